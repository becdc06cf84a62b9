# What the rows of Table 5 take, before any of it starts.
#
# prints it, and keeps it as results/plan.txt


def plan_study():
    """What decides the cost of the rows of Table 5, and nothing else of the config."""
    datasets = sorted({config["tasks"][task]["dataset"] for task in TASKS})
    backbones = sorted({row.recipe.backbone for row in TABLE5_ROWS})
    return {
        "rows": rows_as_params(TABLE5_ROWS),
        "tasks": {task: config["tasks"][task] for task in TASKS},
        "datasets": {dataset: config["datasets"][dataset] for dataset in datasets},
        "backbones": {backbone: config["backbones"][backbone] for backbone in backbones},
        "corpora": config["pretraining"]["corpora"],
        "pretraining": config["pretraining"],
        "kmeans": config["grouping"]["kmeans"],
        "seeds": config["seeds"],
        "resegment": config["grouping"]["first_k"]["mode"] == "resegment",
    }


def plan_downloads():
    """What comes over the network for these rows, and how much of it is known."""
    names = [Path(file).stem for file in network_files(TABLE5_ROWS)]
    return {name: {**config["wheels"], **config["downloads"]}[name] for name in names}


rule plan:
    # Without an output, so that it is shown whenever it is asked for.
    log:
        "results/logs/plan.log",
    benchmark:
        "results/benchmarks/plan.tsv"
    localrule: True
    conda:
        "../envs/cpu.yaml"
    resources:
        mem_mb=1000,
        runtime=10,
        gpu=0,
    params:
        study=plan_study(),
        downloads=plan_downloads(),
        throughput=config["throughput"],
        page="results/plan.txt",
    script:
        "../workflow/scripts/plan.py"
