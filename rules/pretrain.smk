# Continual pretraining (paper, section 2.4; Appendix A).
#
# consumes  results/models/…/asis/, results/tokenized/{backbone}/{segmentation}/corpora/
# makes     results/models/…/mlm/


rule pretrain:
    input:
        model=multiext(f"results/models/{GROUPS}/asis/", "config.json", "model.safetensors"),
        tokenizer="results/backbones/{backbone}/tokenizer.json",
        corpora=lambda wildcards: expand(
            "results/tokenized/{{backbone}}/{segmentation}/corpora/{corpus}.safetensors",
            segmentation=segmentation(wildcards),
            corpus=config["pretraining"]["corpora"],
        ),
    output:
        multiext(f"results/models/{GROUPS}/mlm/", "config.json", "model.safetensors"),
    log:
        f"results/logs/pretrain/{GROUPS}.log",
    benchmark:
        f"results/benchmarks/pretrain/{GROUPS}.tsv"
    conda:
        "../envs/cpu.yaml"
    resources:
        mem_mb=config["memory_mb"]["training"],
        runtime=config["runtime_minutes"]["pretraining"],
        gpu=config["gpus_per_job"],
    params:
        options=config["pretraining"],
        # Outside the outputs, which Snakemake deletes when an interrupted job starts again.
        checkpoint=f"results/checkpoints/pretrain/{GROUPS}",
        code=code_digest(
            "semantic_tokens.pretraining",
            "semantic_tokens.training",
            "semantic_tokens.model",
            "semantic_tokens.encoder",
        ),
    script:
        "../workflow/scripts/pretrain.py"
