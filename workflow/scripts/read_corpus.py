"""Read a corpus into passages by language (paper, section 2.4)."""

from pathlib import Path

from semantic_tokens.jobs.job import job

with job(snakemake) as log:
    from semantic_tokens.data.corpora import read_corpus
    from semantic_tokens.json_files import write_jsonl

    spec = snakemake.params.spec
    inputs = snakemake.input
    source = next(iter([*inputs.wheel, *inputs.path, *inputs.download]), None)
    passages = read_corpus(
        snakemake.wildcards.corpus,
        spec["reader"],
        spec["options"],
        Path(source) if source else None,
        spec["minimum_characters"],
        mirror=snakemake.params.mirror,
    )
    log.info("%d passages", write_jsonl(passages, snakemake.output[0]))
