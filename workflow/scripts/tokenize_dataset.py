"""Tokenise a dataset for one backbone and segmentation."""

from pathlib import Path

from semantic_tokens.jobs import job

with job(snakemake):  # noqa: F821 (Snakemake provides it)
    from semantic_tokens.modeling.encoders import check_length
    from semantic_tokens.tokenization import longest_row, tokenize_dataset

    options = snakemake.params.options  # noqa: F821
    check_length(
        Path(snakemake.input.model).parent,  # noqa: F821
        longest_row(options, snakemake.input.tokenizer),  # noqa: F821
        f"datasets.{snakemake.wildcards.dataset}.tokenization",  # noqa: F821
    )
    tokenize_dataset(
        snakemake.params.kind,  # noqa: F821
        [
            Path(path)
            for path in [*snakemake.input.splits, *snakemake.input.get("passages", [])]  # noqa: F821
        ],
        snakemake.input.tokenizer,  # noqa: F821
        [Path(path) for path in snakemake.output],  # noqa: F821
        options,
        processes=snakemake.threads,  # noqa: F821
    )
