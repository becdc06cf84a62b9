"""Fetch one source of data from its publisher, or from the mirror that stands in for it."""

from semantic_tokens.jobs import job

with job(snakemake):  # noqa: F821 (Snakemake provides it)
    from semantic_tokens.downloads import fetch_download

    download = snakemake.wildcards.download  # noqa: F821
    fetch_download(
        download,
        snakemake.output[0],  # noqa: F821
        snakemake.params.partial,  # noqa: F821
        snakemake.config["downloads"][download],  # noqa: F821
        # Not a parameter: where pinned files come from changes nothing, and makes nothing stale.
        snakemake.config["mirrors"],  # noqa: F821
    )
