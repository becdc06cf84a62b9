"""Make Table 5 and its scores by language (paper, Appendix G)."""

from semantic_tokens.jobs import job

with job(snakemake):  # noqa: F821 (Snakemake provides it)
    from semantic_tokens import tables
    from semantic_tokens.files import folder_above

    params, output = snakemake.params, snakemake.output  # noqa: F821
    record_of = tables.records_in(folder_above(snakemake.input.scores, "scores"))  # noqa: F821
    tasks = tables.describe_tasks(params.tasks, params.rows, params.seeds, record_of)
    dimensions = tables.full_dimensions(snakemake.input.backbones)  # noqa: F821
    what = (params.rows, tasks, params.seeds, record_of, dimensions)
    table = tables.table5(*what)
    tables.write_csv(table, tasks, output[0])
    tables.write_latex(table, tasks, output[1], title=params.title, seeds=params.seeds)
    tables.write_html(table, tasks, output[2], title=params.title, seeds=params.seeds)
    languages = tables.by_language(*what)
    tables.write_by_language(languages, tasks, output[3])
    tables.write_by_language_page(languages, tasks, output[4], title=params.title)
