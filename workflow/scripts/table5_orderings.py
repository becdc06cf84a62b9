"""Judge for each task whether the paper's four orderings appear."""

from semantic_tokens.jobs import job

with job(snakemake):  # noqa: F821 (Snakemake provides it)
    from semantic_tokens.files import folder_above
    from semantic_tokens.orderings import orderings, write_orderings, write_orderings_page
    from semantic_tokens.tables import describe_tasks, records_in

    params = snakemake.params  # noqa: F821
    record_of = records_in(folder_above(snakemake.input.scores, "scores"))  # noqa: F821
    tasks = describe_tasks(params.tasks, params.rows, params.seeds, record_of)
    lines = orderings(params.rows, tasks, params.seeds, record_of)
    write_orderings(lines, snakemake.output[0])  # noqa: F821
    write_orderings_page(lines, snakemake.output[1], title=params.title)  # noqa: F821
