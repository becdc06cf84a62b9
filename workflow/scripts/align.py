"""Align the embeddings of translations (paper, section 2.2; Appendix B)."""

from semantic_tokens.jobs.job import job

with job(snakemake) as log:
    from semantic_tokens.data.lexicons.table import is_held_out, read_lexicon
    from semantic_tokens.embeddings.alignment import (
        align,
        merge_pairs,
        round_trip_pairs,
        single_subword_pairs,
        token_ids_by_language,
    )
    from semantic_tokens.embeddings.alignment_quality import (
        mean_cosine,
        translation_accuracy,
        translation_test,
    )
    from semantic_tokens.embeddings.matrix import load_embeddings, save_embeddings
    from semantic_tokens.tokenization.vocabulary import load_tokenizer, single_subword_id

    options = snakemake.params.options
    tokenizer = load_tokenizer(snakemake.input.tokenizer)
    embeddings = load_embeddings(snakemake.input.embeddings)
    every = [entry for path in snakemake.input.lexicons for entry in read_lexicon(path)]
    fraction = options["held_out_fraction"]
    entries = [entry for entry in every if not is_held_out(entry.concept, fraction)]
    words = {entry.word for entry in every}
    token_id_of = {word: single_subword_id(tokenizer, word) for word in words}.get
    pairs = single_subword_pairs(
        entries, token_id_of, max_pairs_per_concept=options["max_pairs_per_concept"]
    )
    if snakemake.params.round_trip:
        ids_by_language = token_ids_by_language(entries, token_id_of)
        pairs = merge_pairs([pairs, round_trip_pairs(embeddings, ids_by_language)])
    aligned, training = align(embeddings, pairs, **options["training"])
    save_embeddings(aligned, snakemake.output.embeddings)
    log.info(
        "%d pairs of %d subwords, loss %s",
        training.pairs,
        training.subwords,
        " ".join(f"{loss:.3f}" for loss in training.losses),
    )
    log.info(
        "mean cosine of a row before and after: %.4f of the pairs' rows, %.4f of all; %.0f%% of "
        "each angle is kept",
        training.mean_cosine,
        mean_cosine(embeddings, aligned),
        100 * training.share_kept,
    )
    test = translation_test(every, token_id_of, fraction)
    log.info(
        "accuracy@1 of %d subwords of held-out concepts: %.4f before, %.4f after",
        len(test.queries),
        translation_accuracy(embeddings, test),
        translation_accuracy(aligned, test),
    )
