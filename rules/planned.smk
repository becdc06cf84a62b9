# What the plan counts: the experiments, their data, and the command for the part within a budget.
import os
import shlex
from pathlib import Path

from snakemake.common import dict_to_key_value_args

from semantic_tokens.study.configuration import POOLED_DEPTHS
from semantic_tokens.study.ingredients import resegments
from semantic_tokens.study.runs import in_run, split_run

PLANS_TABLE5 = bool(TABLE5_ROWS) and config["planned"] == "table5"
PLANNED_ROWS = TABLE5_ROWS if PLANS_TABLE5 else EXPERIMENTS
# The experiments that are scored together on the tasks of a figure, or on all shown tasks (None).
SCORED_TOGETHER = [
    *(([row], row.figure) for row in EXPERIMENTS),
    *((shown.experiments, figure) for figure, shown in CURVES.items()),
    ([CLAIMED, *CONTROLLED] if CONTROLLED else [], "controls"),
    ([reference_of_main(EXPERIMENTS), *LANGUAGE_ROWS] if LANGUAGE_ROWS else [], None),
    (TABLE5_ROWS, None),
]


def planned_row(row):
    """An experiment, with its own tasks and the shown tasks that it is not trained on."""
    if PLANS_TABLE5:
        return row.as_dict()
    figures = {figure for rows, figure in SCORED_TOGETHER if row in rows}
    with_own_tasks = figures & config["tasks_by_figure"].keys()
    own_tasks = {task for figure in with_own_tasks for task in config["tasks_by_figure"][figure]}
    trained = {
        task
        for figure in figures - with_own_tasks
        for task in (TASKS if figure is None else tasks_of_figure(figure))
    }
    left_out = [task for task in TASKS if task not in trained]
    return {**row.as_dict(), "own_tasks": sorted(own_tasks), "left_out": left_out}


def plan_further_tasks(rows):
    """The tasks of these rows that are not among the shown tasks."""
    return sorted({task for row in rows for task in row.get("own_tasks", ())} - set(TASKS))


def plan_study(rows):
    """The parts of the config that affect the cost of experiments."""
    further = plan_further_tasks(map(planned_row, rows))
    datasets = sorted({config["tasks"][task]["dataset"] for task in [*TASKS, *further]})
    backbones = sorted({row.recipe.backbone for row in rows})
    return {
        "tasks": {task: config["tasks"][task] for task in TASKS},
        "further_tasks": {task: config["tasks"][task] for task in further},
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
        "measures": not PLANS_TABLE5,
        "shared_files": plan_shared_files(backbones, datasets),
    }


def plan_shared_files(backbones, datasets):
    """The files and folders that the plan reads if they exist: the path below `results` -> the path, in
    this run or in the run that makes the same files."""
    files = {f"corpora/{name}.jsonl": f"corpora/{name}.jsonl" for name in config["corpora"]}
    # A folder is where one of its files is.
    files |= {
        f"backbones/{backbone}": f"backbones/{backbone}/config.json" for backbone in backbones
    }
    files |= {f"datasets/{dataset}": f"datasets/{dataset}/train.jsonl" for dataset in datasets}
    for backbone in backbones:
        for dataset in datasets:
            folder = f"tokenized/{backbone}/original/{dataset}"
            files[folder] = f"{folder}/train.parquet"
    runs = {name: split_run(located(f"results/{file}"))[1] for name, file in files.items()}
    return {name: PREFIX + in_run(f"results/{name}", run) for name, run in runs.items()}


def plan_downloads(rows):
    """The downloads of these experiments, with their known sizes, and the data that are read from the
    hub."""
    names = [Path(file).stem for file in network_files(rows)]
    fetched = {name: {**config["wheels"], **config["downloads"]}[name] for name in names}
    return fetched | {
        f"{name} ({section})": {"hub": spec.get("options", {}).get("id", spec["reader"])}
        for section, name, spec in read_from_hub(rows)
    }


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
    # Snakemake finds these files from the folder in which it is called, before --directory.
    path_of_file = os.path.relpath if workflow.overwrite_workdir is None else os.path.abspath
    files = [*workflow.config_settings.configfiles, PREFIX + own("results/budget/config.yaml")]
    words = ["--configfile", *map(path_of_file, files)]
    # The part has these keys.
    in_part = ("budget", "run", "experiments", "tasks_shown")
    given = {k: v for k, v in workflow.config_settings.config.items() if k not in in_part}
    if given:
        words += ["--config", *dict_to_key_value_args(given, repr_obj=True)]
    if PLANS_TABLE5:
        words += ["--", PREFIX + own("results/table5.csv")]
    return shlex.join(words)
