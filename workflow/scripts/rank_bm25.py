"""Rank each query's passages by BM25."""

from pathlib import Path

from semantic_tokens.jobs import job

with job(snakemake):  # noqa: F821 (Snakemake provides it)
    from semantic_tokens.files import read_jsonl, write_jsonl
    from semantic_tokens.ranking import bm25_candidates

    params = snakemake.params  # noqa: F821
    for queries, target in zip(snakemake.input.queries, snakemake.output, strict=True):  # noqa: F821
        candidates = bm25_candidates(
            read_jsonl(snakemake.input.passages),  # noqa: F821
            read_jsonl(queries),
            depth=params.depth,
            k1=params.k1,
            b=params.b,
        )
        write_jsonl(candidates, Path(target))
