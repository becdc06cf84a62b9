"""Make Table 4: groups by lexicon compared with K-Means (paper, Appendix F)."""

from semantic_tokens.jobs.job import job

with job(snakemake):
    from semantic_tokens.evaluation.bootstrap import Resampling
    from semantic_tokens.evaluation.scores import (
        Runs,
        TaskScores,
        experiment_name,
        items_in,
        read_runs,
    )
    from semantic_tokens.evaluation.task_scores import records_in
    from semantic_tokens.files import folder_above
    from semantic_tokens.report.tables.table4 import (
        LexiconTask,
        ratio_of_file,
        table4,
        write_table4,
    )
    from semantic_tokens.study.experiments import recipe_of

    scores = folder_above(snakemake.input.scores, "scores")
    params = snakemake.params
    shown = LexiconTask(**params.shown)
    recipes = [recipe_of(row) for row in params.rows]
    grouped = [recipe.path for recipe in recipes if recipe.grouping != "ungrouped"]
    measured = map(ratio_of_file, snakemake.input.groups)
    ratios = {recipe.path: 1.0 for recipe in recipes} | dict(zip(grouped, measured, strict=True))
    metric = records_in(scores)(params.rows[0], shown.task, params.seeds[0])["metric"]
    items_of, resampling = items_in(scores), Resampling(**params.resampling)
    runs = Runs(params.seeds, params.replicates)
    models = {
        experiment_name(row): read_runs(items_of, row, shown.task, runs) for row in params.rows
    }
    task_scores = TaskScores(shown.task, models, resampling, runs.replicates)
    write_table4(
        table4(params.rows, shown, metric, task_scores, ratios),
        *snakemake.output,
        shown=shown,
        metric=metric,
        trainings=[row["training"] for row in params.rows],
        title=params.title,
        confidence=resampling.confidence,
    )
