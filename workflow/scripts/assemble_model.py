"""Put a backbone's encoder and its semantic embeddings together."""

from pathlib import Path

from semantic_tokens.jobs import job

with job(snakemake):  # noqa: F821 (Snakemake provides it)
    from semantic_tokens.grouping.groups import Groups
    from semantic_tokens.model import assemble

    groups = Groups.load(snakemake.input.groups)  # noqa: F821
    assemble(
        Path(snakemake.input.backbone[0]).parent,  # noqa: F821
        groups.token_to_group,
        groups.weight,
        Path(snakemake.output[0]).parent,  # noqa: F821
    )
