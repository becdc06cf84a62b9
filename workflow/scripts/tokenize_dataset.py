"""Tokenise a dataset for one backbone and segmentation."""

from pathlib import Path

from semantic_tokens.jobs import job

with job(snakemake):  # noqa: F821 (Snakemake provides it)
    from semantic_tokens.tokenization import tokenize_dataset

    tokenize_dataset(
        snakemake.params.kind,  # noqa: F821
        [
            Path(path)
            for path in [*snakemake.input.splits, *snakemake.input.get("passages", [])]  # noqa: F821
        ],
        snakemake.input.tokenizer,  # noqa: F821
        [Path(path) for path in snakemake.output],  # noqa: F821
        snakemake.params.options,  # noqa: F821
    )
