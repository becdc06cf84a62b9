# Fine-tuning and evaluation on the five tasks (paper, section 3; Table 2).
#
# reads     a backbone and its groups, or results/models/{groups}/mlm/; results/tokenized/,
#           results/datasets/, results/candidates/
# writes    results/scores/{recipe}/{task}/{training}/seed-{seed}.json, and .items.parquet
#           results/training/fine_tune/…steps.tsv
#           results/predictions/…jsonl.gz, results/fine-tuned/…   if `keep` requests them
from semantic_tokens.study.ingredients import division_of_work, training_spec
from semantic_tokens.study.runs import folder_of

SCORED = f"{RECIPE}/{{task}}/{{training}}/seed-{{seed}}"
KEPT = {}
if config["keep"]["predictions"]:
    KEPT["predictions"] = own(f"results/predictions/{SCORED}.jsonl.gz")
if config["keep"]["models"]:
    KEPT["model"] = directory(own(f"results/fine-tuned/{SCORED}"))

# On a cluster, short fine-tunings are grouped in one job. In it, Snakemake runs each of them as a
# separate job, as on one machine.
ON_CLUSTER = workflow.resource_settings.nodes is not None and not workflow.remote_exec
FINE_TUNING_GROUP = "fine_tunings" if config["group_fine_tunings"] and ON_CLUSTER else None


rule fine_tune:
    input:
        unpack(task_inputs),
        unpack(model_inputs),
        tokenizer=shared("results/backbones/{backbone}/tokenizer.json"),
    output:
        **KEPT,
        scores=own(f"results/scores/{SCORED}.json"),
        # The scored test items, for significance tests.
        scored_items=own(f"results/scores/{SCORED}.items.parquet"),
        steps=own(f"results/training/fine_tune/{SCORED}.steps.tsv"),
    log:
        own(f"results/logs/fine_tune/{SCORED}.log"),
    benchmark:
        own(f"results/benchmarks/fine_tune/{SCORED}.tsv")
    group:
        FINE_TUNING_GROUP
    conda:
        "../envs/cpu.yaml"
    threads: 1
    resources:
        mem_mb=scaled_by_attempt(config["memory_mb"]["training"]),
        runtime=minutes(config["runtime_minutes"]["fine_tuning"], group=FINE_TUNING_GROUP),
        gpu=config["gpus_per_job"],
    params:
        task=lambda wildcards: training_spec(config["tasks"][wildcards.task]),
        division_of_work=unrecorded(
            lambda wildcards: division_of_work(config["tasks"][wildcards.task])
        ),
        evaluation_batch_size=unrecorded(
            lambda wildcards: config["tasks"][wildcards.task]["evaluation_batch_size"]
        ),
        report_to=unrecorded(config["report_to"]),
        run_folder=unrecorded(folder_of(config["run"])),
        evaluation_split=config["evaluation_split"],
        collection=lambda wildcards: collection_of(wildcards.task),
        checkpoint=PREFIX + own(f"results/checkpoints/fine_tune/{SCORED}"),
        tracking=PREFIX + own("results/tracking"),
        code=task_code,
    script:
        "../workflow/scripts/fine_tune.py"
