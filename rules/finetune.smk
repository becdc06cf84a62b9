# Fine-tuning and evaluation on the five tasks (paper, section 3; Table 2).
#
# consumes  results/models/{recipe}/, results/tokenized/, results/datasets/, results/candidates/
# makes     results/scores/{recipe}/{task}/{training}/seed-{seed}.json


rule fine_tune:
    input:
        unpack(task_inputs),
        model=multiext(f"results/models/{RECIPE}/", "config.json", "model.safetensors"),
        tokenizer="results/backbones/{backbone}/tokenizer.json",
    output:
        scores=f"results/scores/{RECIPE}/{{task}}/{{training}}/seed-{{seed}}.json",
    log:
        f"results/logs/fine_tune/{RECIPE}/{{task}}/{{training}}/seed-{{seed}}.log",
    benchmark:
        f"results/benchmarks/fine_tune/{RECIPE}/{{task}}/{{training}}/seed-{{seed}}.tsv"
    conda:
        "../envs/cpu.yaml"
    resources:
        mem_mb=config["memory_mb"]["training"],
        runtime=config["runtime_minutes"]["fine_tuning"],
        gpu=config["gpus_per_job"],
    params:
        task=lambda wildcards: config["tasks"][wildcards.task],
        evaluation_split=config["evaluation_split"],
        pool=lambda wildcards: pool_of(config["tasks"][wildcards.task]["dataset"]),
        checkpoint=f"results/checkpoints/fine_tune/{RECIPE}/{{task}}/{{training}}/seed-{{seed}}",
        code=task_code,
    script:
        "../workflow/scripts/fine_tune.py"
