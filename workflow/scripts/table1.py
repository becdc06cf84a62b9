"""Make Table 1: the tasks and their data (paper, section 3)."""

from pathlib import Path

from semantic_tokens.jobs.job import job

with job(snakemake):
    from semantic_tokens.report.pages import Section, write_csv, write_page
    from semantic_tokens.report.tables.table1 import dataset_counts, table1

    params, output = snakemake.params, snakemake.output
    files = {
        dataset: {Path(path).stem: path for path in paths}
        for dataset, paths in snakemake.input.items()
    }
    counts = dataset_counts(files)
    table = table1(params.tasks, counts, params.evaluation_split)
    write_csv(table, output[0])
    write_csv(counts, output[2])
    numbers = dict.fromkeys(["train", "dev", "test", "passages"], ",")
    write_page(
        output[1],
        f"Tasks and datasets: {params.title}",
        [
            "The numbers of loaded examples; for ranking, of queries and passages. Languages are "
            f"those of the {params.evaluation_split} split."
        ],
        [
            Section(table, "By task", formats=numbers),
            Section(counts, "By dataset and language", formats=numbers),
        ],
    )
