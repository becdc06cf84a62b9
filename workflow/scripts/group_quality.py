"""Measure groups on held-out translations, scripts and languages."""

from semantic_tokens.jobs.job import job

with job(snakemake) as log:
    from semantic_tokens.data.lexicons.table import read_lexicon
    from semantic_tokens.evaluation.bootstrap import Resampling
    from semantic_tokens.evaluation.group_quality import held_out_pairs, labels_of_subwords
    from semantic_tokens.report.tables.group_quality import group_quality, write_group_quality
    from semantic_tokens.tokenization.vocabulary import load_tokenizer, single_subword_id

    inputs, params = snakemake.input, snakemake.params
    resampling = Resampling(**params.resampling)
    tokenizer = load_tokenizer(inputs.tokenizer)
    entries = [entry for path in inputs.lexicons for entry in read_lexicon(path)]
    known = {word: single_subword_id(tokenizer, word) for word in {e.word for e in entries}}
    pairs = held_out_pairs(entries, known.get, params.held_out_fraction)
    log.info("%d held-out pairs of %d subwords", len(pairs), len(set(pairs.ravel().tolist())))
    scripts, languages = labels_of_subwords(tokenizer, entries, known.get)
    write_group_quality(
        group_quality(inputs.groups, pairs, scripts, languages, resampling),
        *snakemake.output,
        title=params.title,
        held_out_fraction=params.held_out_fraction,
        confidence=resampling.confidence,
    )
