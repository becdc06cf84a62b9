"""Count the subwords of one tokenizer in the pretraining corpora."""

from semantic_tokens.jobs.job import job

with job(snakemake) as log:
    from semantic_tokens.tokenization.subword_counts import count_subwords, save_counts

    counts = count_subwords(snakemake.input.corpora)
    log.info("%d tokens of %d different subwords", counts.sum(), (counts > 0).sum())
    save_counts(counts, snakemake.output[0])
