"""Tokenise a dataset for one backbone and segmentation."""

from pathlib import Path

from semantic_tokens.jobs.job import job

with job(snakemake) as log:
    from semantic_tokens.modeling.encoders import check_length
    from semantic_tokens.tokenization.examples import longest_row, tokenize_dataset
    from semantic_tokens.tokenization.tables import log_unknown_tokens
    from semantic_tokens.tokenization.vocabulary import load_tokenizer

    options = snakemake.params.options
    check_length(
        Path(snakemake.input.model).parent,
        longest_row(options, snakemake.input.tokenizer),
        f"datasets.{snakemake.wildcards.dataset}.tokenization",
    )
    tokenize_dataset(
        snakemake.params.kind,
        [Path(path) for path in [*snakemake.input.splits, *snakemake.input.get("passages", [])]],
        snakemake.input.tokenizer,
        [Path(path) for path in snakemake.output],
        options,
        processes=snakemake.threads,
    )
    unknown = load_tokenizer(snakemake.input.tokenizer).unk_token_id
    for path in snakemake.output:
        log_unknown_tokens(path, unknown, log)
