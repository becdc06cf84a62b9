"""Draw how alike languages are hit on two benchmarks (paper, Figure 10)."""

from semantic_tokens.jobs import job

with job(snakemake):  # noqa: F821 (Snakemake provides it)
    from semantic_tokens import tables
    from semantic_tokens.bootstrap import Resampling, Runs, scores_in
    from semantic_tokens.figures.languages import draw_correlations
    from semantic_tokens.figures.style import save
    from semantic_tokens.files import folder_above

    params, inputs = snakemake.params, snakemake.input  # noqa: F821
    folder = folder_above(inputs.scores, "scores")
    rows = [params.oracle, *params.rows]
    tasks = tables.describe_tasks(params.tasks, rows, params.seeds, tables.records_in(folder))
    scores = scores_in(
        folder,
        folder_above(inputs.baselines, "baselines"),
        dict.fromkeys(params.tasks, rows),
        Runs(params.seeds, params.replicates),
        Resampling(**params.resampling),
    )
    save(draw_correlations(params.rows, params.oracle, tasks, scores), snakemake.output)  # noqa: F821
