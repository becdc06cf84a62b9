"""Draw the pipelines of operations (paper, Figure 2)."""

from semantic_tokens.jobs.job import job

with job(snakemake):
    from semantic_tokens.report.figures.pipelines import draw_pipelines
    from semantic_tokens.report.figures.style import save

    save(draw_pipelines(snakemake.params.rows), snakemake.output)
