"""Fine-tune a model on one task and score it (paper, section 3; Table 2)."""

from pathlib import Path

from semantic_tokens.jobs import job

with job(snakemake):  # noqa: F821 (Snakemake provides it)
    from semantic_tokens.files import file_lock, write_json
    from semantic_tokens.finetuning import fine_tune_from_files
    from semantic_tokens.processes import in_processes
    from semantic_tokens.scored_items import write_items
    from semantic_tokens.training import Tracking, TrainingOptions, remove_checkpoint

    wildcards, task_options = snakemake.wildcards, snakemake.params.task  # noqa: F821
    # Not a parameter: how often a training is kept on disk makes no score stale.
    training = snakemake.config["tasks"][wildcards.task]["training"]  # noqa: F821
    checkpointing = {k: training[k] for k in ("checkpoint_every",) if k in training}
    candidates = snakemake.input.get("candidates")  # noqa: F821
    with file_lock(snakemake.params.checkpoint):  # noqa: F821
        scores, items = in_processes(
            snakemake.resources.gpu,  # noqa: F821
            fine_tune_from_files,
            {
                "kind": task_options["kind"],
                "tokenized": Path(snakemake.input.tokenized[0]).parent,  # noqa: F821
                "tokenizer": str(snakemake.input.tokenizer),  # noqa: F821
                "dataset": Path(snakemake.input.dataset[0]).parent,  # noqa: F821
                "candidates": Path(candidates[0]).parent if candidates else None,
                "languages": (
                    None if wildcards.training == "all-languages" else [str(wildcards.training)]
                ),
                "evaluation_split": snakemake.params.evaluation_split,  # noqa: F821
                "options": task_options["options"],
            },
            Path(snakemake.input.model[0]).parent,  # noqa: F821
            [str(table) for table in snakemake.input.tokenized],  # noqa: F821
            options=TrainingOptions(**task_options["training"], **checkpointing),
            seed=int(wildcards.seed),
            checkpoint=snakemake.params.checkpoint,  # noqa: F821
            tracking=Tracking(
                snakemake.output.steps,  # noqa: F821
                name="/".join(
                    ["fine_tune", *wildcards[:6], f"{wildcards.training}-{wildcards.seed}"]
                ),
                folder=snakemake.params.tracking,  # noqa: F821
                report_to=snakemake.config["report_to"],  # noqa: F821
            ),
            evaluation_batch_size=task_options["evaluation_batch_size"],
            description=f"{wildcards.task} on {'/'.join(wildcards[:5])}",
        )
        identity = {
            "task": wildcards.task,
            "kind": task_options["kind"],
            "seed": int(wildcards.seed),
        }
        recipe = {"recipe": "/".join(wildcards[:5]), "training": wildcards.training}
        if snakemake.params.collection:  # noqa: F821
            recipe["collection"] = snakemake.params.collection  # noqa: F821
        write_items(items, snakemake.output.scored_items)  # noqa: F821
        write_json(identity | recipe | scores, snakemake.output.scores)  # noqa: F821
        remove_checkpoint(snakemake.params.checkpoint)  # noqa: F821
