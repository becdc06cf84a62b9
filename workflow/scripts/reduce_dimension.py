"""Keep the leading dimensions of a word-embedding matrix (paper, section 2.3)."""

from semantic_tokens.jobs.job import job

with job(snakemake):
    from semantic_tokens.embeddings.matrix import load_embeddings, save_embeddings
    from semantic_tokens.embeddings.reduction import keep_leading_dimensions

    full = load_embeddings(snakemake.input.embeddings)
    reduced = keep_leading_dimensions(full, int(snakemake.wildcards.dimension[1:]))
    save_embeddings(reduced, snakemake.output.embeddings)
