# What the plan counts: the experiments, their data, and the command for the part within a budget.
import os
import shlex
from pathlib import Path

from semantic_tokens.study.configuration import POOLED_DEPTHS
from semantic_tokens.study.ingredients import resegments


def plan_study(rows):
    """The parts of the config that affect the cost of experiments."""
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
        "resegment": resegments(config),
        "gpus_per_job": config["gpus_per_job"],
    }


def plan_downloads(rows):
    """The downloads of these experiments, with their known sizes."""
    names = [Path(file).stem for file in network_files(rows)]
    return {name: {**config["wheels"], **config["downloads"]}[name] for name in names}


def plan_pool_depths():
    """Ranking dataset -> the number of BM25 passages that its tasks use, the minimum depth of a pool."""
    depths = {}
    for task in config["tasks"].values():
        for option, kinds in POOLED_DEPTHS.items():
            if task["kind"] in kinds:
                depth = min(task["options"].get(option, 100), config["bm25"]["depth"])
                depths[task["dataset"]] = max(depth, depths.get(task["dataset"], 1))
    return depths


def plan_command():
    """The last options of a command that runs the part within the budget. Without Table 5, they have no
    target, and everything that the part has is made."""
    files = [os.path.relpath(path) for path in workflow.config_settings.configfiles]
    files.append(PREFIX + own("results/budget/config.yaml"))
    target = f" -- {PREFIX}{own('results/table5.csv')}" if PLANS_TABLE5 else ""
    return f"--configfile {shlex.join(files)}{target}"


PLANS_TABLE5 = bool(TABLE5_ROWS) and config["planned"] == "table5"
PLANNED_ROWS = TABLE5_ROWS if PLANS_TABLE5 else EXPERIMENTS
