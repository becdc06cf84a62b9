# What the rows of Table 5 take, before any of it starts, and what a budget buys of them.
#
# prints it, and keeps it as results/plan.txt; with a `budget` that does not pay for all of it also
# makes     results/budget/experiments.tsv, results/budget/config.yaml
import os
import shlex
from pathlib import Path

from semantic_tokens.study.configuration import POOLED_DEPTHS


def plan_study(rows):
    """What decides the cost of some experiments, and nothing else of the config."""
    datasets = sorted({config["tasks"][task]["dataset"] for task in TASKS})
    backbones = sorted({row.recipe.backbone for row in rows})
    return {
        "tasks": {task: config["tasks"][task] for task in TASKS},
        "datasets": {dataset: config["datasets"][dataset] for dataset in datasets},
        "backbones": {backbone: config["backbones"][backbone] for backbone in backbones},
        "corpora": config["corpora"],
        "sizes": {name: spec.get("size_mb") for name, spec in config["downloads"].items()},
        "pretraining": config["pretraining"],
        "kmeans": config["grouping"]["kmeans"],
        "seeds": config["seeds"],
        "replicates": config["replicates"],
        "resegment": config["grouping"]["first_k"]["mode"] == "resegment",
        "gpus_per_job": config["gpus_per_job"],
    }


def plan_downloads(rows):
    """What comes over the network for some experiments, and how much of it is known."""
    names = [Path(file).stem for file in network_files(rows)]
    return {name: {**config["wheels"], **config["downloads"]}[name] for name in names}


def plan_pool_depths():
    """By ranking dataset, how deep in BM25's lists its tasks look: no pool may be less deep."""
    depths = {}
    for task in config["tasks"].values():
        for option, kinds in POOLED_DEPTHS.items():
            if task["kind"] in kinds:
                depth = min(task["options"].get(option, 100), config["bm25"]["depth"])
                depths[task["dataset"]] = max(depth, depths.get(task["dataset"], 1))
    return depths


def plan_command():
    """The end of a command that runs what a budget buys."""
    files = [os.path.relpath(path) for path in workflow.config_settings.configfiles]
    files.append(f"{PREFIX}results/budget/config.yaml")
    return f"--configfile {shlex.join(files)} -- {PREFIX}results/table5.csv"


rule plan:
    # Without an output or a benchmark, so that it is shown whenever it is asked for.
    log:
        own("results/logs/plan.log"),
    localrule: True
    conda:
        "../envs/cpu.yaml"
    resources:
        mem_mb=1000,
        runtime=10,
        gpu=0,
    params:
        study=plan_study(TABLE5_ROWS),
        rows=rows_as_params(TABLE5_ROWS),
        downloads=plan_downloads(TABLE5_ROWS),
        throughput=config["throughput"],
        at_once=jobs_at_once(),
        budget=config["budget"],
        pool_depths=plan_pool_depths(),
        bought=[
            PREFIX + own("results/budget/experiments.tsv"),
            PREFIX + own("results/budget/config.yaml"),
        ],
        command=plan_command(),
        page=PREFIX + own("results/plan.txt"),
        results=f"{PREFIX}results",
    script:
        "../workflow/scripts/plan.py"
