"""Make Table 4: groups by lexicon compared with K-Means (paper, Appendix F)."""

from semantic_tokens.jobs.job import job

with job(snakemake):
    from semantic_tokens.evaluation.bootstrap import Resampling
    from semantic_tokens.evaluation.scores import Trainings
    from semantic_tokens.evaluation.task_scores import read_scores
    from semantic_tokens.report.tables.table4 import (
        LexiconTask,
        ratio_of_file,
        table4,
        write_table4,
    )
    from semantic_tokens.study.experiments import recipe_of

    params, inputs = snakemake.params, snakemake.input
    shown, resampling = LexiconTask(**params.shown), Resampling(**params.resampling)
    (task,), scores = read_scores(
        inputs.scores,
        inputs.baselines,
        [shown.task],
        params.rows,
        Trainings(params.seeds, params.replicates),
        resampling,
    )
    recipes = [recipe_of(row) for row in params.rows]
    grouped = [recipe.path for recipe in recipes if recipe.grouping != "ungrouped"]
    measured = map(ratio_of_file, inputs.groups)
    ratios = {recipe.path: 1.0 for recipe in recipes} | dict(zip(grouped, measured, strict=True))
    write_table4(
        table4(params.rows, shown, task.metric, scores[task.name], ratios),
        *snakemake.output,
        shown=shown,
        metric=task.metric,
        trainings=[row["training"] for row in params.rows],
        title=params.title,
        confidence=resampling.confidence,
    )
