"""Convert a lexicon to the common table (paper, section 2.2)."""

from pathlib import Path

from semantic_tokens.jobs.job import job

with job(snakemake) as log:
    from semantic_tokens.data.lexicons import read_source
    from semantic_tokens.data.lexicons.table import write_lexicon

    spec = snakemake.params.spec
    inputs = snakemake.input
    source = next(iter([*inputs.wheel, *inputs.path, *inputs.download]), None)
    entries = read_source(
        spec["reader"],
        spec["options"],
        Path(source) if source else None,
        name=snakemake.wildcards.lexicon,
    )
    log.info("%d entries", write_lexicon(entries, snakemake.output[0]))
