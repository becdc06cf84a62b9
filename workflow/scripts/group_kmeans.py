"""Group subwords by K-Means (paper, section 2.1; Appendix E)."""

from semantic_tokens.jobs import job

with job(snakemake):  # noqa: F821 (Snakemake provides it)
    from semantic_tokens.embeddings import load_embeddings
    from semantic_tokens.grouping.kmeans import kmeans_groups
    from semantic_tokens.vocabulary import load_tokenizer, special_ids

    params = snakemake.params  # noqa: F821
    tokenizer = load_tokenizer(snakemake.input.tokenizer)  # noqa: F821
    groups = kmeans_groups(
        load_embeddings(snakemake.input.embeddings),  # noqa: F821
        metric=params.metric,
        ratio=params.ratio,
        alone=special_ids(tokenizer, with_unused=params.keep_unused_alone),
        **params.options,
    )
    groups.save(snakemake.output.groups)  # noqa: F821
