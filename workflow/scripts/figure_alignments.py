"""Draw scores by the lexicons of the alignment (paper, Figure 11)."""

from semantic_tokens.jobs import job

with job(snakemake):  # noqa: F821 (Snakemake provides it)
    from semantic_tokens import tables
    from semantic_tokens.bootstrap import Resampling, Runs, scores_in
    from semantic_tokens.figures.alignments import draw_alignments
    from semantic_tokens.figures.style import save
    from semantic_tokens.files import folder_above

    params, inputs = snakemake.params, snakemake.input  # noqa: F821
    folder = folder_above(inputs.scores, "scores")
    tasks = tables.describe_tasks(
        params.tasks, params.rows, params.seeds, tables.records_in(folder)
    )
    scores = scores_in(
        folder,
        folder_above(inputs.baselines, "baselines"),
        dict.fromkeys(params.tasks, params.rows),
        Runs(params.seeds, params.replicates),
        Resampling(**params.resampling),
    )
    save(draw_alignments(params.shown, tasks, scores), snakemake.output)  # noqa: F821
