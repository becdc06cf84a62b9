# The files of scores and baselines.
from functools import partial

from semantic_tokens.study.experiments import tasks_of_figure
from semantic_tokens.study.replicates import seed_in

tasks_of_figure = partial(tasks_of_figure, config=config)


def score_files(rows, tasks=TASKS):
    """The scores of experiments, for all shown tasks (or the given ones) and seeds."""
    scores = own("results/scores")
    return [
        f"{scores}/{recipe.path}/{task}/{row.training}/seed-{seed_in(seed, replicate)}.json"
        for row in rows
        for replicate, recipe in replicates_of(row.recipe)
        for task in tasks
        for seed in config["seeds"]
    ]


def scored_item_files(rows, tasks=TASKS):
    """The scored test items of experiments."""
    return [path.replace(".json", ".items.parquet") for path in score_files(rows, tasks)]


def unshown_scores(rows):
    """The scores of experiments that no figure shows, for their own tasks."""
    return [
        file
        for row in rows
        if row.figure not in CURVES
        for file in score_files([row], tasks_of_figure(row.figure))
    ]


def baseline_inputs(wildcards):
    """The examples of a baseline, and the rankings or passages that it needs."""
    task = config["tasks"][wildcards.task]
    folder, split = f"results/datasets/{task['dataset']}", config["evaluation_split"]
    files = {
        "train": located(f"{folder}/train.jsonl"),
        "test": located(f"{folder}/{split}.jsonl"),
    }
    if wildcards.baseline == "bm25" or task["kind"] == "reranking":
        files["candidates"] = located([f"results/candidates/{task['dataset']}/{split}.jsonl"])
    elif task["kind"] == "retrieval":
        files["passages"] = [searched_passages_file(task["dataset"])]
    return files


def baselines_of(task):
    """The names of this task's baselines."""
    is_ranking = config["tasks"][task]["kind"] in ("reranking", "retrieval")
    return ["chance", "bm25"] if is_ranking else ["chance"]


def baseline_files(tasks):
    """The scored test items of baselines, for tests."""
    return located(
        f"results/baselines/{baseline}/{task}.items.parquet"
        for task in tasks
        for baseline in baselines_of(task)
    )


def chance_files(tasks):
    """The chance scores of these tasks, with their rules."""
    return located(f"results/baselines/chance/{task}.json" for task in tasks)
