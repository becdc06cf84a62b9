"""Align the embeddings of words that translate each other (paper, section 2.2; Appendix B)."""

from semantic_tokens.jobs import job

with job(snakemake) as log:  # noqa: F821 (Snakemake provides it)
    from semantic_tokens.alignment import (
        align,
        merge_pairs,
        round_trip_pairs,
        single_subword_id,
        single_subword_pairs,
        token_ids_by_language,
    )
    from semantic_tokens.embeddings import load_embeddings, save_embeddings
    from semantic_tokens.lexicons.table import is_held_out, read_lexicon
    from semantic_tokens.tokenization import load_tokenizer

    options = snakemake.params.options  # noqa: F821
    tokenizer = load_tokenizer(snakemake.input.tokenizer)  # noqa: F821
    embeddings = load_embeddings(snakemake.input.embeddings)  # noqa: F821
    entries = [
        entry
        for path in snakemake.input.lexicons  # noqa: F821
        for entry in read_lexicon(path)
        if not is_held_out(entry.concept, options["held_out_fraction"])
    ]

    def token_id_of(word):
        return single_subword_id(tokenizer, word)

    pairs = single_subword_pairs(
        entries, token_id_of, max_pairs_per_concept=options["max_pairs_per_concept"]
    )
    if snakemake.params.round_trip:  # noqa: F821
        words = token_ids_by_language(entries, token_id_of)
        pairs = merge_pairs([pairs, round_trip_pairs(embeddings, words)])
    aligned, training = align(embeddings, pairs, **options["training"])
    log.info(
        "%d pairs of %d subwords, loss %s",
        training.pairs,
        training.subwords,
        " ".join(f"{loss:.3f}" for loss in training.losses),
    )
    save_embeddings(aligned, snakemake.output.embeddings)  # noqa: F821
