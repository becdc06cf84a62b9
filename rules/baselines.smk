# What a task gives without a model: chance, and BM25 alone (the paper has neither).
#
# consumes  results/datasets/, results/candidates/, results/pools/
# makes     results/baselines/{baseline}/{task}.{json,items.parquet}


rule baseline:
    # Chance, and BM25 alone: what a task gives without a model.
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
        mem_mb=growing(config["memory_mb"]["data"]),
        runtime=minutes(config["runtime_minutes"]["data"]),
        gpu=0,
    params:
        kind=lambda wildcards: config["tasks"][wildcards.task]["kind"],
        depth=lambda wildcards: ranked_depth(config, wildcards.task),
        code=baseline_code,
    script:
        "../workflow/scripts/baseline.py"
