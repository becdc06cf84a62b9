"""Draw scores by the lexicons of the alignment (paper, Figure 11)."""

from semantic_tokens.jobs import job

with job(snakemake):  # noqa: F821 (Snakemake provides it)
    from semantic_tokens import tables
    from semantic_tokens.figures.alignments import draw_alignments
    from semantic_tokens.figures.style import save
    from semantic_tokens.files import folder_above

    params = snakemake.params  # noqa: F821
    record_of = tables.records_in(folder_above(snakemake.input.scores, "scores"))  # noqa: F821
    rows = params.shown["series"][0]["experiments"]
    tasks = tables.describe_tasks(params.tasks, rows, params.seeds, record_of)
    save(draw_alignments(params.shown, tasks, params.seeds, record_of), snakemake.output)  # noqa: F821
