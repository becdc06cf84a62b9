"""Group subwords that lexicons connect (paper, Appendix F)."""

from semantic_tokens.jobs.job import job

with job(snakemake):
    from semantic_tokens.data.lexicons.table import read_lexicon
    from semantic_tokens.embeddings.alignment import connected_translations
    from semantic_tokens.embeddings.matrix import load_embeddings
    from semantic_tokens.grouping.lexicon_components import lexicon_groups
    from semantic_tokens.tokenization.vocabulary import (
        load_tokenizer,
        single_subword_id,
        special_ids,
    )

    tokenizer = load_tokenizer(snakemake.input.tokenizer)
    entries = [entry for path in snakemake.input.lexicons for entry in read_lexicon(path)]
    pairs = connected_translations(entries, lambda word: single_subword_id(tokenizer, word))
    embeddings = load_embeddings(snakemake.input.embeddings)
    groups = lexicon_groups(embeddings, pairs, singletons=special_ids(tokenizer))
    groups.save(snakemake.output.groups)
