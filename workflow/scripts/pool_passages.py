"""Choose the passages of a smaller collection for retrieval."""

from semantic_tokens.jobs.job import job

with job(snakemake) as log:
    from itertools import chain

    from semantic_tokens.data.bm25 import pool_passages
    from semantic_tokens.json_files import read_jsonl, write_jsonl

    inputs = snakemake.input
    pool = pool_passages(
        read_jsonl(inputs.passages),
        chain.from_iterable(map(read_jsonl, inputs.queries)),
        chain.from_iterable(map(read_jsonl, inputs.candidates)),
        **snakemake.params.options,
    )
    log.info("%d passages", write_jsonl(pool, snakemake.output[0]))
