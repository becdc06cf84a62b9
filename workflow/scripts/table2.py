"""Make Table 2: the hyperparameters (paper, Appendix A)."""

from semantic_tokens.jobs.job import job

with job(snakemake):
    from semantic_tokens.report.tables.table2 import table2, write_table2

    params = snakemake.params
    pretraining = {
        "training": params.pretraining["training"],
        "options": {k: v for k, v in params.pretraining.items() if k != "training"},
    }
    alignment = {k: v for k, v in params.alignment.items() if k != "training"}
    write_table2(
        *table2(params.tasks, pretraining),
        alignment | params.alignment["training"],
        *snakemake.output,
        title=params.title,
        seeds=params.seeds,
    )
