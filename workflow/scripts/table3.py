"""Make Table 3: the cost of pretraining by dimension and ratio (paper, Appendix D)."""

from pathlib import Path

from semantic_tokens.jobs.job import job

with job(snakemake):
    from semantic_tokens.modeling.encoders import embedding_width
    from semantic_tokens.report.tables.table3 import table3, write_table3

    inputs = snakemake.input
    width = embedding_width(Path(inputs.backbone).parent)
    table = table3(inputs.masked_logits, inputs.all_logits, width)
    write_table3(table, *snakemake.output, title=snakemake.params.title)
