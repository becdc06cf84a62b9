"""Draw how well groups agree with held-out translations, scripts and languages."""

from semantic_tokens.jobs.job import job

with job(snakemake):
    import pandas as pd

    from semantic_tokens.report.figures.group_quality import draw_group_quality
    from semantic_tokens.report.figures.style import save

    table = pd.read_csv(snakemake.input.table)
    save(draw_group_quality(table), snakemake.output)
