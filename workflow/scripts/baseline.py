"""Score a baseline: chance or BM25."""

from collections import Counter

from semantic_tokens.jobs.job import job

with job(snakemake):
    from semantic_tokens.evaluation.baselines import bm25_order, chance, record
    from semantic_tokens.json_files import read_jsonl, write_json
    from semantic_tokens.tasks.scored_items import in_clusters, write_items

    wildcards, params, inputs = snakemake.wildcards, snakemake.params, snakemake.input
    candidates = {
        row["id"]: row["candidates"]
        for path in inputs.get("candidates", [])
        for row in read_jsonl(path)
    }
    test = list(read_jsonl(inputs.test))
    if wildcards.baseline == "bm25":
        items = bm25_order(test, candidates, params.depth)
        rule = "the passages in BM25's order"
    else:
        searched = inputs.get("passages", [])
        items, rule = chance(
            params.kind,
            read_jsonl(inputs.train),
            test,
            candidates=candidates,
            depth=params.depth,
            answer_normalization=params.answer_normalization,
            passages=Counter(row["language"] for path in searched for row in read_jsonl(path)),
        )
    write_items(in_clusters(sorted(items), test), snakemake.output.scored_items)
    what = {"task": wildcards.task, "baseline": wildcards.baseline, "rule": rule}
    write_json(record(params.kind, items, **what), snakemake.output.scores)
