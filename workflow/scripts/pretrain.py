"""Continue a model's pretraining on semantic tokens (paper, section 2.4; Appendix A)."""

from semantic_tokens.jobs import job

with job(snakemake):  # noqa: F821 (Snakemake provides it)
    from semantic_tokens.files import file_lock
    from semantic_tokens.modeling.loading import ModelFiles
    from semantic_tokens.pretraining import pretrain
    from semantic_tokens.processes import in_processes
    from semantic_tokens.training import TrainingOptions

    options, inputs = snakemake.params.options, snakemake.input  # noqa: F821
    # Not a parameter: how often a training is kept on disk makes no model stale.
    training = snakemake.config["pretraining"]["training"]  # noqa: F821
    checkpointing = {k: training[k] for k in ("checkpoint_every",) if k in training}
    with file_lock(snakemake.params.checkpoint):  # noqa: F821
        in_processes(
            snakemake.resources.gpu,  # noqa: F821
            pretrain,
            ModelFiles.of(inputs.model, inputs.get("groups", ()), inputs.get("embeddings", ())),
            [str(corpus) for corpus in inputs.corpora],
            str(inputs.tokenizer),
            str(snakemake.output.model),  # noqa: F821
            options=TrainingOptions(**options["training"], **checkpointing),
            seed=options["seed"],
            mask_probability=options["mask_probability"],
            language_sampling_exponent=options["language_sampling_exponent"],
            logits=options["logits"],
            held_out_sequences=options["held_out_sequences"],
            held_out=snakemake.output.held_out,  # noqa: F821
            checkpoint=snakemake.params.checkpoint,  # noqa: F821
            efficiency=snakemake.output.efficiency,  # noqa: F821
            description="/".join(snakemake.wildcards),  # noqa: F821
        )
