"""Put K-Means beside groupings that know nothing of meaning."""

from semantic_tokens.jobs import job

with job(snakemake):  # noqa: F821 (Snakemake provides it)
    from semantic_tokens import tables
    from semantic_tokens.bootstrap import Resampling, Runs, scores_in
    from semantic_tokens.controls import controls, write_controls
    from semantic_tokens.files import folder_above

    params, inputs = snakemake.params, snakemake.input  # noqa: F821
    folder = folder_above(inputs.scores, "scores")
    rows = [params.oracle, *params.rows]
    tasks = tables.describe_tasks(params.tasks, rows, params.seeds, tables.records_in(folder))
    resampling = Resampling(**params.resampling)
    scores = scores_in(
        folder,
        folder_above(inputs.baselines, "baselines"),
        dict.fromkeys(params.tasks, rows),
        Runs(params.seeds, params.replicates),
        resampling,
    )
    table = controls(
        params.rows,
        tasks,
        scores,
        oracle=params.oracle,
        full_dimension=tables.full_dimensions(inputs.backbones),
    )
    write_controls(
        table,
        tasks,
        *snakemake.output,  # noqa: F821
        title=params.title,
        confidence=resampling.confidence,
    )
