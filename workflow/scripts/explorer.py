"""Write the explorer's page (paper, section 4.4)."""

from semantic_tokens.jobs.job import job

with job(snakemake):
    from semantic_tokens.report.explorer.page import write_page
    from semantic_tokens.study.recipe import Recipe

    files, params = snakemake.input, snakemake.params
    recipes = [Recipe(*path.split("/")) for path in params.recipes]
    alignments = dict.fromkeys(recipe.alignment for recipe in recipes)
    write_page(
        snakemake.output[0],
        title=params.title,
        recipes=recipes,
        groups=files.groups,
        embeddings=dict(zip(alignments, files.embeddings, strict=True)),
        tokenizer=files.tokenizer,
        lexicons=files.lexicons,
        keywords=params.keywords,
    )
