"""Compare Table 5 with the paper's (Appendix G)."""

from semantic_tokens.jobs.job import job

with job(snakemake):
    from semantic_tokens.report.tables.paper_comparison import compare, read_table, write_comparison
    from semantic_tokens.report.tables.table5 import columns_of

    params, inputs = snakemake.params, snakemake.input
    ours, published = read_table(inputs.table), read_table(inputs.published)
    table = compare(ours, published, columns_of(params.kinds))
    write_comparison(table, *snakemake.output, title=params.title, same_data=params.same_data)
