"""Make Table 1: the tasks and their data (paper, section 3)."""

from pathlib import Path

from semantic_tokens.jobs.job import job

with job(snakemake):
    from semantic_tokens.report.tables.table1 import dataset_counts, table1, write_table1

    params = snakemake.params
    files = {
        dataset: {Path(path).stem: path for path in paths}
        for dataset, paths in snakemake.input.items()
    }
    counts = dataset_counts(files)
    write_table1(
        table1(params.tasks, counts, params.evaluation_split),
        counts,
        *snakemake.output,
        title=params.title,
        evaluation_split=params.evaluation_split,
    )
