# Fine-tuning and evaluation on the five tasks (paper, section 3; Table 2).
#
# consumes  results/models/{recipe}/, results/tokenized/, results/datasets/, results/candidates/
# makes     results/scores/{recipe}/{task}/{training}/seed-{seed}.json


def task_inputs(wildcards):
    """The data of a task, cut by this recipe's tokenizer."""
    dataset = config["tasks"][wildcards.task]["dataset"]
    ranking = dataset_kind(dataset) == "ranking"
    tables = SPLITS + ["passages"] if ranking else SPLITS
    folder = f"results/tokenized/{wildcards.backbone}/{segmentation(wildcards)}/{dataset}"
    files = {
        "tokenized": [f"{folder}/{table}.parquet" for table in tables],
        "dataset": [f"results/datasets/{dataset}/{split}.jsonl" for split in SPLITS],
    }
    if ranking:
        files["candidates"] = [f"results/candidates/{dataset}/{split}.jsonl" for split in SPLITS]
    return files


def task_code(wildcards):
    """The digest of what trains and scores this kind of task."""
    kind = config["tasks"][wildcards.task]["kind"]
    modules = ["run", "task", kind] + ["retrieval_data"] * (kind in ("reranking", "retrieval"))
    return code_digest(
        "semantic_tokens.model",
        "semantic_tokens.encoder",
        "semantic_tokens.training",
        *(f"semantic_tokens.finetuning.{module}" for module in modules),
    )


rule fine_tune:
    input:
        unpack(task_inputs),
        model=multiext(f"results/models/{RECIPE}/", "config.json", "model.safetensors"),
        tokenizer="results/backbones/{backbone}/tokenizer.json",
    output:
        scores=f"results/scores/{RECIPE}/{{task}}/{{training}}/seed-{{seed}}.json",
    params:
        task=lambda wildcards: config["tasks"][wildcards.task],
        evaluation_split=config["evaluation_split"],
        checkpoint=f"results/checkpoints/fine_tune/{RECIPE}/{{task}}/{{training}}/seed-{{seed}}",
        code=task_code,
    log:
        f"results/logs/fine_tune/{RECIPE}/{{task}}/{{training}}/seed-{{seed}}.log",
    benchmark:
        f"results/benchmarks/fine_tune/{RECIPE}/{{task}}/{{training}}/seed-{{seed}}.tsv"
    resources:
        mem_mb=config["memory_mb"]["training"],
        runtime=config["runtime_minutes"]["fine_tuning"],
        gpu=config["gpus_per_job"],
    script:
        "../workflow/scripts/fine_tune.py"
