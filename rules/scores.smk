# The files of scores that tables and figures read: of experiments, and of baselines.
from semantic_tokens.study.replicates import seed_in


def tasks_of_figure(figure):
    """What the rows of a figure are trained for: the config says, or all tasks that are shown.
    The paper's Figure 9 leaves out names: its benchmark has no English to train on."""
    if figure in config["tasks_by_figure"]:
        return config["tasks_by_figure"][figure]
    if figure != "figure9":
        return TASKS
    return [task for task in TASKS if config["tasks"][task]["kind"] != "token_classification"]


def score_files(rows, tasks=TASKS):
    """The scores of some experiments, for every shown task (or some of them) and seed."""
    scores = own("results/scores")
    return [
        f"{scores}/{recipe.path}/{task}/{row.training}/seed-{seed_in(seed, replicate)}.json"
        for row in rows
        for replicate, recipe in replicates_of(row.recipe)
        for task in tasks
        for seed in config["seeds"]
    ]


def scored_item_files(rows, tasks=TASKS):
    """What every test item adds to these scores."""
    return [path.replace(".json", ".items.parquet") for path in score_files(rows, tasks)]


def unshown_scores(rows):
    """The scores of the experiments that no figure shows: each row's of its own tasks."""
    return [
        file
        for row in rows
        if row.figure not in CURVES
        for file in score_files([row], tasks_of_figure(row.figure))
    ]


def baselines_of(task):
    """What of this task needs no model."""
    is_ranking = config["tasks"][task]["kind"] in ("reranking", "retrieval")
    return ["chance", "bm25"] if is_ranking else ["chance"]


def baseline_files(tasks):
    """The items of what needs no model, for the tests against it."""
    return located(
        f"results/baselines/{baseline}/{task}.items.parquet"
        for task in tasks
        for baseline in baselines_of(task)
    )


def chance_files(tasks):
    """Chance in these tasks, with the rule that it follows."""
    return located(f"results/baselines/chance/{task}.json" for task in tasks)
