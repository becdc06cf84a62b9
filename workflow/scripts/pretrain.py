"""Continue a model's pretraining on semantic tokens (paper, section 2.4; Appendix A)."""

from semantic_tokens.jobs.job import job

with job(snakemake):
    from semantic_tokens.file_locks import file_lock
    from semantic_tokens.jobs.cluster.gpus import gpu_count
    from semantic_tokens.jobs.processes import in_processes
    from semantic_tokens.modeling.loading import ModelFiles
    from semantic_tokens.training import Tracking, TrainingOptions, tracked_name
    from semantic_tokens.training.pretraining import Objective, pretrain

    params, inputs, output = snakemake.params, snakemake.input, snakemake.output
    folder, *groups = snakemake.wildcards
    with file_lock(params.checkpoint):
        in_processes(
            gpu_count(snakemake.resources),
            pretrain,
            ModelFiles.of(inputs.model, inputs.get("groups", ()), inputs.get("embeddings", ())),
            [str(corpus) for corpus in inputs.corpora],
            str(inputs.tokenizer),
            str(output.model),
            options=TrainingOptions(**params.training, **params.division_of_work),
            objective=Objective(**params.objective),
            held_out=output.held_out,
            checkpoint=params.checkpoint,
            code=params.code,
            tracking=Tracking(
                output.steps,
                name=tracked_name(folder, "pretrain", *groups),
                folder=params.tracking,
                report_to=params.report_to,
            ),
            description="/".join(groups),
        )
