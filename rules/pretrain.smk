# Continual pretraining (paper, section 2.4; Appendix A).
#
# reads     a backbone and its groups, results/tokenized/{backbone}/{segmentation}/corpora/
# writes    results/models/{groups}/mlm/, results/efficiency/, results/held_out/,
#           results/training/pretrain/
from semantic_tokens.study.ingredients import (
    division_of_work,
    measured_training,
    objective,
    training_spec,
)

# The options that affect the masked sequences of pretraining.
OBJECTIVE = objective(config)


rule pretrain:
    input:
        unpack(backbone_and_groups),
        tokenizer=tokenizer_of_recipe,
        corpora=corpora_of_recipe,
    output:
        model=directory(f"results/{{run_folder}}models/{GROUPS}/mlm"),
        held_out=f"results/{{run_folder}}held_out/{GROUPS}.json",
        steps=f"results/{{run_folder}}training/pretrain/{GROUPS}.steps.tsv",
    log:
        f"results/{{run_folder}}logs/pretrain/{GROUPS}.log",
    benchmark:
        f"results/{{run_folder}}benchmarks/pretrain/{GROUPS}.tsv"
    conda:
        "../envs/cpu.yaml"
    threads: 1
    resources:
        mem_mb=scaled_by_attempt(config["memory_mb"]["training"]),
        runtime=minutes(config["runtime_minutes"]["pretraining"]),
        gpu=config["gpus_per_job"],
    params:
        training=training_spec(config["pretraining"])["training"],
        division_of_work=unrecorded(division_of_work(config["pretraining"])),
        report_to=unrecorded(config["report_to"]),
        objective=lambda wildcards: own_seeds(OBJECTIVE, wildcards),
        # Not an output, since Snakemake deletes outputs when an interrupted job starts again.
        checkpoint=f"{PREFIX}results/{{run_folder}}checkpoints/pretrain/{GROUPS}",
        tracking=f"{PREFIX}results/{{run_folder}}tracking",
        code=code_digest("pretrain"),
    script:
        "../workflow/scripts/pretrain.py"


rule measure_pretraining:
    # The paper computes the logits of all positions, and we by default those of masked ones
    # (Appendix D). Each setting is measured in a process of its own, so that memory is comparable.
    input:
        unpack(backbone_and_groups),
        tokenizer=tokenizer_of_recipe,
        corpora=corpora_of_recipe,
    output:
        f"results/{{run_folder}}efficiency/{{logits}}-logits/{GROUPS}.json",
    log:
        f"results/{{run_folder}}logs/measure_pretraining/{{logits}}-logits/{GROUPS}.log",
    benchmark:
        f"results/{{run_folder}}benchmarks/measure_pretraining/{{logits}}-logits/{GROUPS}.tsv"
    wildcard_constraints:
        logits="masked|all",
    conda:
        "../envs/cpu.yaml"
    threads: 1
    resources:
        mem_mb=scaled_by_attempt(config["memory_mb"]["training"]),
        runtime=minutes(config["runtime_minutes"]["pretraining"]),
        gpu=config["gpus_per_job"],
    params:
        training=measured_training(config["pretraining"]),
        objective=lambda wildcards: own_seeds({**OBJECTIVE, "logits": wildcards.logits}, wildcards),
        steps=config["pretraining"]["measured_steps"],
        code=code_digest("measure_pretraining"),
    script:
        "../workflow/scripts/measure_pretraining.py"
