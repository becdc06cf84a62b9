"""Derive a backbone from real weights (paper, section 4.3)."""

from pathlib import Path

from semantic_tokens.jobs import job

with job(snakemake):  # noqa: F821 (Snakemake provides it)
    from semantic_tokens.backbones import derive_backbone
    from semantic_tokens.files import read_jsonl

    derive_backbone(
        snakemake.params.spec,  # noqa: F821
        Path(snakemake.output[0]).parent,  # noqa: F821
        wheel=next(iter(snakemake.input.wheel), None),  # noqa: F821
        checkpoint=next(iter(snakemake.input.download), None),  # noqa: F821
        texts=(row["text"] for path in snakemake.input.texts for row in read_jsonl(path)),  # noqa: F821
    )
