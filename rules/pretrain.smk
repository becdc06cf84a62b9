# Continual pretraining (paper, section 2.4; Appendix A).
#
# consumes  a backbone and its groups, results/tokenized/{backbone}/{segmentation}/corpora/
# makes     results/models/{groups}/mlm/, results/efficiency/, results/held_out/,
#           results/training/pretrain/

# What decides the masked sequences of pretraining.
OBJECTIVE = {
    key: config["pretraining"][key]
    for key in (
        "mask_probability",
        "language_sampling_exponent",
        "held_out_sequences",
        "logits",
        "seed",
    )
}

PRETRAINING_CODE = code_digest(
    "semantic_tokens.pretraining",
    "semantic_tokens.training",
    "semantic_tokens.modeling",
    "semantic_tokens.grouping.groups",
    "semantic_tokens.efficiency",
)


rule pretrain:
    input:
        unpack(backbone_and_groups),
        tokenizer=tokenizer_of_recipe,
        corpora=lambda wildcards: expand(
            "results/tokenized/{backbone}/{segmentation}/corpora/{corpus}.safetensors",
            backbone=original(wildcards.backbone),
            segmentation=segmentation(wildcards),
            corpus=config["pretraining"]["corpora"],
        ),
    output:
        model=directory(f"results/models/{GROUPS}/mlm"),
        efficiency=f"results/efficiency/{GROUPS}.json",
        held_out=f"results/held_out/{GROUPS}.json",
        steps=f"results/training/pretrain/{GROUPS}.steps.tsv",
    log:
        f"results/logs/pretrain/{GROUPS}.log",
    benchmark:
        f"results/benchmarks/pretrain/{GROUPS}.tsv"
    conda:
        "../envs/cpu.yaml"
    threads: 1
    resources:
        mem_mb=growing(config["memory_mb"]["training"]),
        runtime=minutes(config["runtime_minutes"]["pretraining"]),
        gpu=config["gpus_per_job"],
    params:
        training=training_spec(config["pretraining"])["training"],
        objective=lambda wildcards: own_seeds(OBJECTIVE, wildcards),
        # Outside the outputs, which Snakemake deletes when an interrupted job starts again.
        checkpoint=f"{PREFIX}results/checkpoints/pretrain/{GROUPS}",
        tracking=f"{PREFIX}results/tracking",
        code=PRETRAINING_CODE,
    script:
        "../workflow/scripts/pretrain.py"


rule measure_pretraining:
    # The paper computes the logits of every position: its layout, beside ours (Appendix D).
    input:
        unpack(backbone_and_groups),
        tokenizer=tokenizer_of_recipe,
        corpora=lambda wildcards: expand(
            "results/tokenized/{backbone}/{segmentation}/corpora/{corpus}.safetensors",
            backbone=original(wildcards.backbone),
            segmentation=segmentation(wildcards),
            corpus=config["pretraining"]["corpora"],
        ),
    output:
        f"results/efficiency/{GROUPS}.all-logits.json",
    log:
        f"results/logs/measure_pretraining/{GROUPS}.log",
    benchmark:
        f"results/benchmarks/measure_pretraining/{GROUPS}.tsv"
    conda:
        "../envs/cpu.yaml"
    threads: 1
    resources:
        mem_mb=growing(config["memory_mb"]["training"]),
        runtime=minutes(config["runtime_minutes"]["pretraining"]),
        gpu=config["gpus_per_job"],
    params:
        training=training_spec(config["pretraining"])["training"],
        objective=lambda wildcards: own_seeds({**OBJECTIVE, "logits": "all"}, wildcards),
        steps=config["pretraining"]["measured_steps"],
        code=PRETRAINING_CODE,
    script:
        "../workflow/scripts/measure_pretraining.py"
