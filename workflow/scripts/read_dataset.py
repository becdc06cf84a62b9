"""Read or generate a dataset in canonical form."""

from pathlib import Path

from semantic_tokens.jobs.job import job

with job(snakemake) as log:
    from semantic_tokens.json_files import write_jsonl

    spec = snakemake.params.spec
    inputs = snakemake.input
    source = next(iter([*inputs.wheel, *inputs.path]), None)
    if spec["reader"] == "miniature":
        from semantic_tokens.data.miniature import generate

        splits = generate(spec["kind"], source, **spec["options"])
    else:
        from semantic_tokens.data.datasets import read_dataset

        splits = read_dataset(
            spec["reader"],
            spec["options"],
            Path(source) if source else [Path(folder) for folder in inputs.download] or None,
            kind=spec["kind"],
            name=snakemake.wildcards.dataset,
            mirror=snakemake.params.mirror,
        )
    for path in snakemake.output:
        log.info("%s: %d", path, write_jsonl(splits[Path(path).stem], path))
