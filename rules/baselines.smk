# Baselines without a model: chance and BM25 (not in the paper).
#
# reads     results/datasets/, results/candidates/, results/pools/
# writes    results/baselines/{baseline}/{task}.{json,items.parquet}
from semantic_tokens.study.ingredients import ranked_depth


def baseline_inputs(wildcards):
    """The examples of a baseline, and the rankings or passages that it needs."""
    task = config["tasks"][wildcards.task]
    folder, split = f"results/datasets/{task['dataset']}", config["evaluation_split"]
    files = {
        "train": located(f"{folder}/train.jsonl"),
        "test": located(f"{folder}/{split}.jsonl"),
    }
    if wildcards.baseline == "bm25" or task["kind"] == "reranking":
        files["candidates"] = located([f"results/candidates/{task['dataset']}/{split}.jsonl"])
    elif task["kind"] == "retrieval":
        place = "pools" if pool_of(task["dataset"]) else "datasets"
        files["passages"] = located([f"results/{place}/{task['dataset']}/passages.jsonl"])
    return files


rule baseline:
    # Chance and BM25.
    input:
        unpack(baseline_inputs),
    output:
        scores="results/{run_folder}baselines/{baseline}/{task}.json",
        scored_items="results/{run_folder}baselines/{baseline}/{task}.items.parquet",
    log:
        "results/{run_folder}logs/baseline/{baseline}/{task}.log",
    benchmark:
        "results/{run_folder}benchmarks/baseline/{baseline}/{task}.tsv"
    wildcard_constraints:
        baseline=r"chance|bm25",
    conda:
        "../envs/cpu.yaml"
    resources:
        mem_mb=scaled_by_attempt(config["memory_mb"]["data"]),
        runtime=minutes(config["runtime_minutes"]["data"]),
        gpu=0,
    params:
        kind=lambda wildcards: config["tasks"][wildcards.task]["kind"],
        depth=lambda wildcards: ranked_depth(config, wildcards.task),
        code=code_digest("baseline"),
    script:
        "../workflow/scripts/baseline.py"
