# Fine-tuning and evaluation on the five tasks (paper, section 3; Table 2).
#
# consumes  results/models/{recipe}/, results/tokenized/, results/datasets/, results/candidates/
# makes     results/scores/{recipe}/{task}/{training}/seed-{seed}.json
#           results/training/fine_tune/…steps.tsv


rule fine_tune:
    input:
        unpack(task_inputs),
        model=multiext(f"results/models/{RECIPE}/", "config.json", "model.safetensors"),
        tokenizer="results/backbones/{backbone}/tokenizer.json",
    output:
        scores=f"results/scores/{RECIPE}/{{task}}/{{training}}/seed-{{seed}}.json",
        # What every test item adds to them, for the tests between models.
        scored_items=f"results/scores/{RECIPE}/{{task}}/{{training}}/seed-{{seed}}.items.parquet",
        steps=f"results/training/fine_tune/{RECIPE}/{{task}}/{{training}}/seed-{{seed}}.steps.tsv",
    log:
        f"results/logs/fine_tune/{RECIPE}/{{task}}/{{training}}/seed-{{seed}}.log",
    benchmark:
        f"results/benchmarks/fine_tune/{RECIPE}/{{task}}/{{training}}/seed-{{seed}}.tsv"
    conda:
        "../envs/cpu.yaml"
    resources:
        mem_mb=growing(config["memory_mb"]["training"]),
        runtime=growing(config["runtime_minutes"]["fine_tuning"]),
        gpu=config["gpus_per_job"],
    params:
        task=lambda wildcards: training_spec(config["tasks"][wildcards.task]),
        evaluation_split=config["evaluation_split"],
        collection=lambda wildcards: collection_of(wildcards.task),
        checkpoint=f"{PREFIX}results/checkpoints/fine_tune/{RECIPE}/{{task}}/{{training}}/seed-{{seed}}",
        tracking=f"{PREFIX}results/tracking",
        code=task_code,
    script:
        "../workflow/scripts/fine_tune.py"
