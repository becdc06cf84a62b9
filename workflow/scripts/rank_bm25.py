"""Rank each query's passages by BM25."""

from pathlib import Path

from semantic_tokens.jobs.job import job

with job(snakemake):
    from tempfile import TemporaryDirectory

    from semantic_tokens.data.bm25 import bm25_candidates
    from semantic_tokens.json_files import read_jsonl, write_jsonl

    params, outputs = snakemake.params, snakemake.output
    splits = [list(read_jsonl(path)) for path in snakemake.input.queries]
    folder = Path(outputs[0]).parent
    folder.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix=".index-", dir=folder) as index_folder:
        ranked = {
            row["id"]: row
            for row in bm25_candidates(
                read_jsonl(snakemake.input.passages),
                [query for split in splits for query in split],
                depth=params.depth,
                k1=params.k1,
                b=params.b,
                index_folder=index_folder,
            )
        }
    for queries, target in zip(splits, outputs, strict=True):
        write_jsonl((ranked[query["id"]] for query in queries), target)
