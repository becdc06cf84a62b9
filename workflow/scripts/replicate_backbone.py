"""Link a backbone's files under the name of a replicate."""

from pathlib import Path

from semantic_tokens.jobs import job

with job(snakemake):  # noqa: F821 (Snakemake provides it)
    from semantic_tokens.files import link_files

    source, target = (
        Path(paths[0]).parent
        for paths in (snakemake.input, snakemake.output)  # noqa: F821
    )
    link_files(source, target, "*.json", "*.safetensors", "*.py")
