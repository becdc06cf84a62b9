"""Fine-tune a model on one task and evaluate it (paper, section 3; Table 2)."""

from pathlib import Path

from semantic_tokens.jobs.job import job

with job(snakemake):
    from semantic_tokens.file_locks import file_lock
    from semantic_tokens.jobs.cluster.gpus import gpu_count
    from semantic_tokens.jobs.processes import in_processes
    from semantic_tokens.json_files import read_jsonl, write_json
    from semantic_tokens.modeling.loading import ModelFiles
    from semantic_tokens.tasks.predictions import write_predictions
    from semantic_tokens.tasks.run import fine_tune_from_files
    from semantic_tokens.tasks.scored_items import in_clusters, write_items
    from semantic_tokens.training import Tracking, TrainingOptions, remove_checkpoint, tracked_name

    wildcards, params = snakemake.wildcards, snakemake.params
    inputs, output, task_options = snakemake.input, snakemake.output, params.task
    candidates = inputs.get("candidates")
    with file_lock(params.checkpoint):
        scores, items, predictions = in_processes(
            gpu_count(snakemake.resources),
            fine_tune_from_files,
            {
                "kind": task_options["kind"],
                "tokenized": Path(inputs.tokenized[0]).parent,
                "tokenizer": str(inputs.tokenizer),
                "dataset": Path(inputs.dataset[0]).parent,
                "candidates": Path(candidates[0]).parent if candidates else None,
                "languages": (
                    None if wildcards.training == "all-languages" else [str(wildcards.training)]
                ),
                "evaluation_split": params.evaluation_split,
                "options": task_options["options"],
            },
            ModelFiles.of(inputs.model, inputs.get("groups", ()), inputs.get("embeddings", ())),
            [str(table) for table in inputs.tokenized],
            data=[str(file) for file in (*inputs.tokenized, *inputs.dataset, *(candidates or ()))],
            code=params.code,
            options=TrainingOptions(**task_options["training"], **params.division_of_work),
            seed=int(wildcards.seed),
            checkpoint=params.checkpoint,
            tracking=Tracking(
                snakemake.output.steps,
                name=tracked_name(
                    params.run_folder,
                    "fine_tune",
                    *wildcards[:6],
                    f"{wildcards.training}-{wildcards.seed}",
                ),
                folder=params.tracking,
                report_to=params.report_to,
            ),
            evaluation_batch_size=params.evaluation_batch_size,
            keep_predictions="predictions" in output.keys(),  # noqa: SIM118 (not a dictionary)
            keep_model=output.get("model"),
            description=f"{wildcards.task} on {'/'.join(wildcards[:5])}",
        )
        identity = {
            "task": wildcards.task,
            "kind": task_options["kind"],
            "seed": int(wildcards.seed),
        }
        recipe = {"recipe": "/".join(wildcards[:5]), "training": wildcards.training}
        if params.collection:
            recipe["collection"] = params.collection
        if predictions:
            write_predictions(items, predictions, output.predictions)
        tested = Path(inputs.dataset[0]).parent / f"{params.evaluation_split}.jsonl"
        write_items(in_clusters(items, read_jsonl(tested)), output.scored_items)
        write_json(identity | recipe | scores, output.scores)
        remove_checkpoint(params.checkpoint)
