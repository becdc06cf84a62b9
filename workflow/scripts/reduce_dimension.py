"""Keep the leading dimensions of a word-embedding matrix (paper, section 2.3)."""

from semantic_tokens.jobs import job

with job(snakemake):  # noqa: F821 (Snakemake provides it)
    from semantic_tokens.embeddings import load_embeddings, save_embeddings
    from semantic_tokens.reduction import keep_leading_dimensions

    full = load_embeddings(snakemake.input.embeddings)  # noqa: F821
    reduced = keep_leading_dimensions(full, int(snakemake.wildcards.dimension[1:]))  # noqa: F821
    save_embeddings(reduced, snakemake.output.embeddings)  # noqa: F821
