"""Rank each query's passages by BM25."""

from semantic_tokens.jobs import job

with job(snakemake):  # noqa: F821 (Snakemake provides it)
    from semantic_tokens.files import read_jsonl, write_jsonl
    from semantic_tokens.ranking import bm25_candidates

    params = snakemake.params  # noqa: F821
    splits = [list(read_jsonl(path)) for path in snakemake.input.queries]  # noqa: F821
    ranked = {
        row["id"]: row
        for row in bm25_candidates(
            read_jsonl(snakemake.input.passages),  # noqa: F821
            [query for split in splits for query in split],
            depth=params.depth,
            k1=params.k1,
            b=params.b,
        )
    }
    for queries, target in zip(splits, snakemake.output, strict=True):  # noqa: F821
        write_jsonl((ranked[query["id"]] for query in queries), target)
