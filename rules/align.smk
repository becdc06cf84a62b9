# Cross-lingual subword alignment, CLSA (paper, section 2.2; Appendix B).
#
# reads     results/backbones/{backbone}/, results/lexicons/
# writes    results/embeddings/{backbone}/{alignment}/dfull.safetensors
from semantic_tokens.study.recipe import lexicons_of


rule extract_embeddings:
    input:
        model=shared("results/backbones/{backbone}/model.safetensors"),
        tokenizer=shared("results/backbones/{backbone}/tokenizer.json"),
    output:
        embeddings="results/{run_folder}embeddings/{backbone}/unaligned/dfull.safetensors",
    log:
        "results/{run_folder}logs/extract_embeddings/{backbone}.log",
    benchmark:
        "results/{run_folder}benchmarks/extract_embeddings/{backbone}.tsv"
    conda:
        "../envs/cpu.yaml"
    resources:
        mem_mb=scaled_by_attempt(config["memory_mb"]["backbones"]),
        runtime=minutes(config["runtime_minutes"]["backbones"]),
        gpu=0,
    params:
        code=code_digest("extract_embeddings"),
    script:
        "../workflow/scripts/extract_embeddings.py"


rule align:
    input:
        embeddings=shared("results/embeddings/{backbone}/unaligned/dfull.safetensors"),
        tokenizer=shared("results/backbones/{backbone}/tokenizer.json"),
        lexicons=lambda wildcards: lexicon_files(lexicons_of(wildcards.alignment)),
    output:
        embeddings="results/{run_folder}embeddings/{backbone}/{alignment}/dfull.safetensors",
    log:
        "results/{run_folder}logs/align/{backbone}/{alignment}.log",
    benchmark:
        "results/{run_folder}benchmarks/align/{backbone}/{alignment}.tsv"
    wildcard_constraints:
        alignment=r"clsa-.+",
    conda:
        "../envs/cpu.yaml"
    threads: 1
    resources:
        mem_mb=scaled_by_attempt(config["memory_mb"]["backbones"]),
        runtime=minutes(config["runtime_minutes"]["backbones"]),
        gpu=config["gpus_per_job"],
    params:
        options=lambda wildcards: own_seeds(config["alignment"], wildcards),
        round_trip=lambda wildcards: "roundtrip" in lexicons_of(wildcards.alignment),
        code=code_digest("align"),
    script:
        "../workflow/scripts/align.py"
