"""Take the word-embedding matrix out of a backbone."""

from semantic_tokens.jobs import job

with job(snakemake):  # noqa: F821 (Snakemake provides it)
    from semantic_tokens.embeddings import read_word_embeddings, save_embeddings

    embeddings = read_word_embeddings(snakemake.input.model)  # noqa: F821
    save_embeddings(embeddings, snakemake.output.embeddings)  # noqa: F821
