# Continual pretraining (paper, section 2.4; Appendix A).
#
# consumes  results/models/…/asis/, results/tokenized/{backbone}/{segmentation}/corpora/
# makes     results/models/…/mlm/, results/efficiency/


rule pretrain:
    input:
        model=multiext(f"results/models/{GROUPS}/asis/", "config.json", "model.safetensors"),
        tokenizer="results/backbones/{backbone}/tokenizer.json",
        corpora=lambda wildcards: expand(
            "results/tokenized/{backbone}/{segmentation}/corpora/{corpus}.safetensors",
            backbone=original(wildcards.backbone),
            segmentation=segmentation(wildcards),
            corpus=config["pretraining"]["corpora"],
        ),
    output:
        multiext(f"results/models/{GROUPS}/mlm/", "config.json", "model.safetensors"),
        efficiency=f"results/efficiency/{GROUPS}.json",
    log:
        f"results/logs/pretrain/{GROUPS}.log",
    benchmark:
        f"results/benchmarks/pretrain/{GROUPS}.tsv"
    conda:
        "../envs/cpu.yaml"
    resources:
        mem_mb=growing(config["memory_mb"]["training"]),
        runtime=growing(config["runtime_minutes"]["pretraining"]),
        gpu=config["gpus_per_job"],
    params:
        options=lambda wildcards: own_seeds(training_spec(config["pretraining"]), wildcards),
        # Outside the outputs, which Snakemake deletes when an interrupted job starts again.
        checkpoint=f"{PREFIX}results/checkpoints/pretrain/{GROUPS}",
        code=code_digest(
            "semantic_tokens.pretraining",
            "semantic_tokens.training",
            "semantic_tokens.model",
            "semantic_tokens.encoder",
            "semantic_tokens.efficiency",
        ),
    script:
        "../workflow/scripts/pretrain.py"
