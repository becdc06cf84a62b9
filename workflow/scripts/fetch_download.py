"""Fetch one download from its publisher or a mirror."""

from semantic_tokens.jobs.job import job

with job(snakemake):
    from semantic_tokens.sources.downloads import fetch_download

    download = snakemake.wildcards.download
    fetch_download(
        download,
        snakemake.output[0],
        snakemake.params.partial,
        snakemake.params.entry,
        snakemake.params.mirrors,
    )
