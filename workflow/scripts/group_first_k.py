"""Keep the first k subwords that the tokenizer learned (paper, section 2.1)."""

from semantic_tokens.jobs.job import job

with job(snakemake):
    from semantic_tokens.embeddings.matrix import load_embeddings
    from semantic_tokens.grouping.first_k import first_k_groups
    from semantic_tokens.tokenization.vocabulary import (
        first_k_ids,
        load_tokenizer,
        number_of_subwords,
        unknown_id,
    )

    tokenizer = load_tokenizer(snakemake.input.tokenizer)
    embeddings = load_embeddings(snakemake.input.embeddings)
    k = round(snakemake.params.ratio * number_of_subwords(tokenizer))
    groups = first_k_groups(embeddings, first_k_ids(tokenizer, k), unknown_id(tokenizer))
    groups.save(snakemake.output.groups)
