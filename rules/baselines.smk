# What a task gives without a model: chance, and BM25 alone (the paper has neither).
#
# consumes  results/datasets/, results/candidates/, results/pools/
# makes     results/baselines/{baseline}/{task}.{json,items.parquet}


def baselines_of(task):
    """What of this task needs no model."""
    is_ranking = config["tasks"][task]["kind"] in ("reranking", "retrieval")
    return ["chance", "bm25"] if is_ranking else ["chance"]


def baseline_files(tasks):
    """The items of what needs no model, for the tests against it."""
    return [
        f"results/baselines/{baseline}/{task}.items.parquet"
        for task in tasks
        for baseline in baselines_of(task)
    ]


def chance_files(tasks):
    """Chance in these tasks, with the rule that it follows."""
    return [f"results/baselines/chance/{task}.json" for task in tasks]


def ranked_depth(task):
    """How many of BM25's passages a task ranks anew; None where it is no such task."""
    spec = config["tasks"][task]
    return spec["options"].get("rerank_depth", 100) if spec["kind"] == "reranking" else None


def baseline_inputs(wildcards):
    """The examples that a baseline is scored on, and the rankings or passages that it needs."""
    task = config["tasks"][wildcards.task]
    folder, split = f"results/datasets/{task['dataset']}", config["evaluation_split"]
    files = {"train": f"{folder}/train.jsonl", "test": f"{folder}/{split}.jsonl"}
    if wildcards.baseline == "bm25" or task["kind"] == "reranking":
        files["candidates"] = [f"results/candidates/{task['dataset']}/{split}.jsonl"]
    elif task["kind"] == "retrieval":
        place = "pools" if pool_of(task["dataset"]) else "datasets"
        files["passages"] = [f"results/{place}/{task['dataset']}/passages.jsonl"]
    return files


def baseline_code(wildcards):
    """The digest of what scores a baseline: with the metric of its kind of task."""
    kind = config["tasks"][wildcards.task]["kind"]
    metric = "ranking" if kind in ("reranking", "retrieval") else f"finetuning.{kind}"
    modules = ["baselines", "scored_items"]
    if kind != "pair_classification":
        modules.append(metric)
    return code_digest(*(f"semantic_tokens.{module}" for module in modules))


rule baseline:
    # Chance, and BM25 alone: what a task gives without a model.
    input:
        unpack(baseline_inputs),
    output:
        scores="results/baselines/{baseline}/{task}.json",
        scored_items="results/baselines/{baseline}/{task}.items.parquet",
    log:
        "results/logs/baseline/{baseline}/{task}.log",
    benchmark:
        "results/benchmarks/baseline/{baseline}/{task}.tsv"
    wildcard_constraints:
        baseline=r"chance|bm25",
    conda:
        "../envs/cpu.yaml"
    resources:
        mem_mb=growing(config["memory_mb"]["data"]),
        runtime=growing(config["runtime_minutes"]["data"]),
        gpu=0,
    params:
        kind=lambda wildcards: config["tasks"][wildcards.task]["kind"],
        depth=lambda wildcards: ranked_depth(wildcards.task),
        code=baseline_code,
    script:
        "../workflow/scripts/baseline.py"
