"""Draw scores against the grouping ratio (paper, Figures 3 to 7, 9 and 12)."""

from semantic_tokens.jobs import job

with job(snakemake):  # noqa: F821 (Snakemake provides it)
    from semantic_tokens import tables
    from semantic_tokens.figures.curves import draw_curves
    from semantic_tokens.figures.style import save
    from semantic_tokens.files import folder_above

    params = snakemake.params  # noqa: F821
    record_of = tables.records_in(folder_above(snakemake.input.scores, "scores"))  # noqa: F821
    rows = params.shown["series"][0]["experiments"]
    tasks = tables.describe_tasks(params.tasks, rows, params.seeds, record_of)
    dimensions = tables.full_dimensions(snakemake.input.backbones)  # noqa: F821
    save(draw_curves(params.shown, tasks, params.seeds, record_of, dimensions), snakemake.output)  # noqa: F821
