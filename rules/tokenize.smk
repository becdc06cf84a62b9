# Text to token ids, once per backbone and segmentation, for all variants.
#
# reads     results/datasets/, results/corpora/, the tokenizer
# writes    results/tokenized/{backbone}/{segmentation}/{dataset}/*.parquet
#           results/tokenized/{backbone}/{segmentation}/corpora/{corpus}.safetensors


rule tokenize_dataset:
    input:
        tokenizer=tokenizer_file,
        model=shared("results/backbones/{backbone}/config.json"),
        splits=shared(expand("results/datasets/{{dataset}}/{split}.jsonl", split=SPLITS)),
    output:
        expand(
            "results/{{run_folder}}tokenized/{{backbone}}/{{segmentation}}/{{dataset}}/{split}.parquet",
            split=SPLITS,
        ),
    log:
        "results/{run_folder}logs/tokenize_dataset/{backbone}/{segmentation}/{dataset}.log",
    benchmark:
        "results/{run_folder}benchmarks/tokenize_dataset/{backbone}/{segmentation}/{dataset}.tsv"
    wildcard_constraints:
        dataset=datasets_of_kind(is_ranking=False),
    conda:
        "../envs/cpu.yaml"
    threads: 1
    resources:
        mem_mb=scaled_by_attempt(config["memory_mb"]["data"]),
        runtime=minutes(config["runtime_minutes"]["data"]),
        gpu=0,
    params:
        kind=lambda wildcards: dataset_kind(wildcards.dataset),
        options=lambda wildcards: config["datasets"][wildcards.dataset]["tokenization"],
        code=code_digest("tokenize_dataset"),
    script:
        "../workflow/scripts/tokenize_dataset.py"


use rule tokenize_dataset as tokenize_ranking with:
    input:
        tokenizer=tokenizer_file,
        model=shared("results/backbones/{backbone}/config.json"),
        splits=shared(expand("results/datasets/{{dataset}}/{split}.jsonl", split=SPLITS)),
        passages=lambda wildcards: [searched_passages_file(wildcards.dataset)],
    output:
        expand(
            "results/{{run_folder}}tokenized/{{backbone}}/{{segmentation}}/{{dataset}}/{split}.parquet",
            split=SPLITS + ["passages"],
        ),
    log:
        "results/{run_folder}logs/tokenize_ranking/{backbone}/{segmentation}/{dataset}.log",
    benchmark:
        "results/{run_folder}benchmarks/tokenize_ranking/{backbone}/{segmentation}/{dataset}.tsv"
    wildcard_constraints:
        dataset=datasets_of_kind(is_ranking=True),


rule tokenize_corpus:
    input:
        tokenizer=tokenizer_file,
        model=shared("results/backbones/{backbone}/config.json"),
        corpus=shared("results/corpora/{corpus}.jsonl"),
    output:
        "results/{run_folder}tokenized/{backbone}/{segmentation}/corpora/{corpus}.safetensors",
    log:
        "results/{run_folder}logs/tokenize_corpus/{backbone}/{segmentation}/{corpus}.log",
    benchmark:
        "results/{run_folder}benchmarks/tokenize_corpus/{backbone}/{segmentation}/{corpus}.tsv"
    conda:
        "../envs/cpu.yaml"
    threads: 1
    resources:
        mem_mb=scaled_by_attempt(config["memory_mb"]["data"]),
        runtime=minutes(config["runtime_minutes"]["data"]),
        gpu=0,
    params:
        sequence_length=config["pretraining"]["sequence_length"],
        code=code_digest("tokenize_corpus"),
    script:
        "../workflow/scripts/tokenize_corpus.py"


rule count_subwords:
    input:
        corpora=shared(
            expand(
                "results/tokenized/{{backbone}}/original/corpora/{corpus}.safetensors",
                corpus=config["pretraining"]["corpora"],
            )
        ),
    output:
        "results/{run_folder}tokenized/{backbone}/original/subword_counts.safetensors",
    log:
        "results/{run_folder}logs/count_subwords/{backbone}.log",
    benchmark:
        "results/{run_folder}benchmarks/count_subwords/{backbone}.tsv"
    conda:
        "../envs/cpu.yaml"
    resources:
        mem_mb=scaled_by_attempt(config["memory_mb"]["backbones"]),
        runtime=minutes(config["runtime_minutes"]["backbones"]),
        gpu=0,
    params:
        code=code_digest("count_subwords"),
    script:
        "../workflow/scripts/count_subwords.py"
