"""Group subwords by frequency, with the sizes of K-Means' groups: a control."""

from semantic_tokens.jobs.job import job

with job(snakemake):
    from semantic_tokens.embeddings.matrix import load_embeddings
    from semantic_tokens.grouping.controls import frequency_groups
    from semantic_tokens.grouping.groups import Groups, with_embedding
    from semantic_tokens.tokenization.subword_counts import load_counts
    from semantic_tokens.tokenization.vocabulary import (
        ids_without_subword,
        load_tokenizer,
        special_ids,
    )

    inputs, params = snakemake.input, snakemake.params
    tokenizer = load_tokenizer(inputs.tokenizer)
    embeddings = load_embeddings(inputs.embeddings)
    groups = frequency_groups(
        embeddings,
        Groups.load(inputs.kmeans).token_to_group,
        load_counts(inputs.counts, len(embeddings)),
        singletons=special_ids(tokenizer, with_unused=not params.cluster_unused),
        without_subword=ids_without_subword(tokenizer),
    )
    with_embedding(groups, embeddings, **params.embedding).save(snakemake.output.groups)
