"""Compare K-Means with control groupings."""

from semantic_tokens.jobs.job import job

with job(snakemake):
    from semantic_tokens.evaluation.bootstrap import Resampling
    from semantic_tokens.evaluation.scores import Trainings
    from semantic_tokens.evaluation.task_scores import full_dimensions, read_scores
    from semantic_tokens.report.tables.controls import controls, write_controls

    params, inputs = snakemake.params, snakemake.input
    resampling = Resampling(**params.resampling)
    tasks, scores = read_scores(
        inputs.scores,
        inputs.baselines,
        params.tasks,
        [params.oracle, *params.rows],
        Trainings(params.seeds, params.replicates),
        resampling,
    )
    table = controls(
        params.rows,
        tasks,
        scores,
        oracle=params.oracle,
        full_dimension=full_dimensions(inputs.backbones),
    )
    write_controls(
        table,
        tasks,
        *snakemake.output,
        title=params.title,
        confidence=resampling.confidence,
    )
