# Baselines without a model: chance and BM25 (not in the paper).
#
# reads     results/datasets/, results/candidates/, results/pools/
# writes    results/baselines/{baseline}/{task}.{json,items.parquet}
from semantic_tokens.study.ingredients import answer_normalization, ranked_depth


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
        answer_normalization=lambda wildcards: answer_normalization(config, wildcards.task),
        code=code_digest("baseline"),
    script:
        "../workflow/scripts/baseline.py"
