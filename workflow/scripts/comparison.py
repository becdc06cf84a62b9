"""Compare Table 5 with the paper's (Appendix G)."""

from semantic_tokens.jobs.job import job

with job(snakemake):
    from semantic_tokens.report.tables.paper_comparison import compare, read_table, write_comparison

    params = snakemake.params
    ours = read_table(snakemake.input.table)
    columns = {}
    for task, kind in params.kinds.items():
        perc = next(c for c in ours if c.startswith(f"{task}_") and c.endswith("_perc"))
        columns[task] = (perc.removesuffix("_perc"), kind)
    table = compare(ours, read_table(snakemake.input.published), columns)
    write_comparison(table, *snakemake.output, title=params.title, same_data=params.same_data)
