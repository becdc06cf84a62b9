"""Link a backbone's files under the name of a replicate."""

from pathlib import Path

from semantic_tokens.jobs.job import job

with job(snakemake):
    from semantic_tokens.files import link_files

    source, target = (Path(paths[0]).parent for paths in (snakemake.input, snakemake.output))
    link_files(source, target, "*.json", "*.safetensors", "*.py")
