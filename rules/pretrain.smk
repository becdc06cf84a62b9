# Continual pretraining (paper, section 2.4; Appendix A).
#
# consumes  a backbone and its groups, results/tokenized/{backbone}/{segmentation}/corpora/
# makes     results/models/{groups}/mlm/, results/efficiency/, results/held_out/


rule pretrain:
    input:
        unpack(backbone_and_groups),
        tokenizer=tokenizer_of_recipe,
        corpora=lambda wildcards: expand(
            "results/tokenized/{{backbone}}/{segmentation}/corpora/{corpus}.safetensors",
            segmentation=segmentation(wildcards),
            corpus=config["pretraining"]["corpora"],
        ),
    output:
        model=directory(f"results/models/{GROUPS}/mlm"),
        efficiency=f"results/efficiency/{GROUPS}.json",
        held_out=f"results/held_out/{GROUPS}.json",
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
        options=training_spec(config["pretraining"]),
        # Outside the outputs, which Snakemake deletes when an interrupted job starts again.
        checkpoint=f"{PREFIX}results/checkpoints/pretrain/{GROUPS}",
        code=code_digest(
            "semantic_tokens.pretraining",
            "semantic_tokens.training",
            "semantic_tokens.modeling",
            "semantic_tokens.grouping.groups",
            "semantic_tokens.efficiency",
        ),
    script:
        "../workflow/scripts/pretrain.py"
