"""Continue a model's pretraining on semantic tokens (paper, section 2.4; Appendix A)."""

from semantic_tokens.jobs import job

with job(snakemake):  # noqa: F821 (Snakemake provides it)
    from semantic_tokens.cluster.gpus import gpu_count
    from semantic_tokens.files import file_lock
    from semantic_tokens.modeling.loading import ModelFiles
    from semantic_tokens.pretraining import Objective, pretrain
    from semantic_tokens.processes import in_processes
    from semantic_tokens.training import Tracking, TrainingOptions

    params, inputs, output = snakemake.params, snakemake.input, snakemake.output  # noqa: F821
    # Not a parameter: how often a training is kept on disk makes no model stale.
    training = snakemake.config["pretraining"]["training"]  # noqa: F821
    checkpointing = {k: training[k] for k in ("checkpoint_every",) if k in training}
    with file_lock(params.checkpoint):
        in_processes(
            gpu_count(snakemake.resources),  # noqa: F821
            pretrain,
            ModelFiles.of(inputs.model, inputs.get("groups", ()), inputs.get("embeddings", ())),
            [str(corpus) for corpus in inputs.corpora],
            str(inputs.tokenizer),
            str(output.model),
            options=TrainingOptions(**params.training, **checkpointing),
            objective=Objective(**params.objective),
            held_out=output.held_out,
            checkpoint=params.checkpoint,
            efficiency=output.efficiency,
            tracking=Tracking(
                output.steps,
                name="/".join(["pretrain", *snakemake.wildcards]),  # noqa: F821
                folder=params.tracking,
                report_to=snakemake.config["report_to"],  # noqa: F821
            ),
            description="/".join(snakemake.wildcards),  # noqa: F821
        )
