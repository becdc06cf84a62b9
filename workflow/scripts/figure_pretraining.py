"""Draw the training loss of every pretrained model (paper, section 2.4)."""

from semantic_tokens.jobs.job import job

with job(snakemake):
    from semantic_tokens.report.figures.pretraining import draw_pretraining, read_steps
    from semantic_tokens.report.figures.style import save
    from semantic_tokens.study.recipe import Recipe

    recipes = [Recipe(*path.split("/")) for path in snakemake.params.recipes]
    curves = zip(recipes, map(read_steps, snakemake.input.steps), strict=True)
    save(draw_pretraining(dict(curves)), snakemake.output)
