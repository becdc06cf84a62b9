"""Test the differences between experiments by paired bootstrap."""

from semantic_tokens.jobs.job import job

with job(snakemake):
    from semantic_tokens.evaluation.bootstrap import Resampling
    from semantic_tokens.evaluation.scores import Trainings, items_in
    from semantic_tokens.evaluation.significance import significance
    from semantic_tokens.files import folder_above
    from semantic_tokens.report.tables.significance import write_significance

    params = snakemake.params
    resampling = Resampling(**params.resampling)
    runs = Trainings(params.seeds, params.replicates)
    items_of = items_in(folder_above(snakemake.input.scored_items, "scores"))
    write_significance(
        significance(params.rows_by_task, runs, items_of, resampling),
        *snakemake.output,
        title=params.title,
        runs=runs,
        resampling=resampling,
    )
