"""Judge for each task whether the paper's four orderings appear."""

from semantic_tokens.jobs import job

with job(snakemake):  # noqa: F821 (Snakemake provides it)
    from semantic_tokens.orderings import orderings, write_orderings
    from semantic_tokens.tables import describe_tasks, records_in

    params = snakemake.params  # noqa: F821
    record_of = records_in("results/scores")
    tasks = describe_tasks(params.tasks, params.rows, params.seeds, record_of)
    write_orderings(
        orderings(params.rows, tasks, params.seeds, record_of),
        snakemake.output[0],  # noqa: F821
    )
