"""Leave every subword a semantic token of its own."""

from semantic_tokens.jobs import job

with job(snakemake):  # noqa: F821 (Snakemake provides it)
    from semantic_tokens.embeddings import load_embeddings
    from semantic_tokens.grouping.groups import ungrouped

    embeddings = load_embeddings(snakemake.input.embeddings)  # noqa: F821
    ungrouped(embeddings).save(snakemake.output.groups)  # noqa: F821
