"""Group subwords by K-Means (paper, section 2.1; Appendix E), optionally weighted by frequency."""

from semantic_tokens.jobs.job import job

with job(snakemake):
    from semantic_tokens.embeddings.matrix import load_embeddings
    from semantic_tokens.grouping.groups import with_embedding
    from semantic_tokens.grouping.kmeans import frequency_weights, kmeans_groups
    from semantic_tokens.tokenization.subword_counts import load_counts
    from semantic_tokens.tokenization.vocabulary import (
        ids_without_subword,
        load_tokenizer,
        special_ids,
    )

    inputs, params = snakemake.input, snakemake.params
    tokenizer = load_tokenizer(inputs.tokenizer)
    embeddings = load_embeddings(inputs.embeddings)
    weights = None
    if params.alpha is not None:
        weights = frequency_weights(load_counts(inputs.counts, len(embeddings)), params.alpha)
    groups = kmeans_groups(
        embeddings,
        metric=params.metric,
        ratio=params.ratio,
        singletons=special_ids(tokenizer, with_unused=not params.cluster_unused),
        without_subword=ids_without_subword(tokenizer),
        weights=weights,
        **params.options,
    )
    with_embedding(groups, embeddings, **params.embedding).save(snakemake.output.groups)
