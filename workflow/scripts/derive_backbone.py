"""Derive a backbone from real weights (paper, section 4.3)."""

from pathlib import Path

from semantic_tokens.jobs import job

with job(snakemake):
    from semantic_tokens.backbones import derive_backbone
    from semantic_tokens.files import read_jsonl

    derive_backbone(
        snakemake.params.spec,
        Path(snakemake.output[0]).parent,
        wheel=next(iter(snakemake.input.wheel), None),
        checkpoint=next(iter(snakemake.input.download), None),
        texts=(row["text"] for path in snakemake.input.texts for row in read_jsonl(path)),
    )
