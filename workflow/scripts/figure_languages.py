"""Draw how alike languages are hit on two benchmarks (paper, Figure 10)."""

from semantic_tokens.jobs import job

with job(snakemake):  # noqa: F821 (Snakemake provides it)
    from semantic_tokens import tables
    from semantic_tokens.figures.languages import draw_correlations
    from semantic_tokens.figures.style import save
    from semantic_tokens.files import folder_above

    params = snakemake.params  # noqa: F821
    record_of = tables.records_in(folder_above(snakemake.input.scores, "scores"))  # noqa: F821
    tasks = tables.describe_tasks(params.tasks, params.rows, params.seeds, record_of)
    figure = draw_correlations(params.rows, params.oracle, tasks, params.seeds, record_of)
    save(figure, snakemake.output)  # noqa: F821
