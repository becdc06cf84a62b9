"""Continue a model's pretraining on semantic tokens (paper, section 2.4; Appendix A)."""

from pathlib import Path

from semantic_tokens.jobs import job

with job(snakemake):  # noqa: F821 (Snakemake provides it)
    from semantic_tokens.files import file_lock
    from semantic_tokens.pretraining import pretrain
    from semantic_tokens.processes import in_processes
    from semantic_tokens.training import Tracking, TrainingOptions

    options = snakemake.params.options  # noqa: F821
    # Not a parameter: how often a training is kept on disk makes no model stale.
    training = snakemake.config["pretraining"]["training"]  # noqa: F821
    checkpointing = {k: training[k] for k in ("checkpoint_every",) if k in training}
    with file_lock(snakemake.params.checkpoint):  # noqa: F821
        in_processes(
            snakemake.resources.gpu,  # noqa: F821
            pretrain,
            Path(snakemake.input.model[0]).parent,  # noqa: F821
            [str(corpus) for corpus in snakemake.input.corpora],  # noqa: F821
            str(snakemake.input.tokenizer),  # noqa: F821
            Path(snakemake.output[0]).parent,  # noqa: F821
            options=TrainingOptions(**options["training"], **checkpointing),
            seed=options["seed"],
            mask_probability=options["mask_probability"],
            language_sampling_exponent=options["language_sampling_exponent"],
            checkpoint=snakemake.params.checkpoint,  # noqa: F821
            efficiency=snakemake.output.efficiency,  # noqa: F821
            tracking=Tracking(
                snakemake.output.steps,  # noqa: F821
                name="/".join(["pretrain", *snakemake.wildcards]),  # noqa: F821
                folder=snakemake.params.tracking,  # noqa: F821
                report_to=snakemake.config["report_to"],  # noqa: F821
            ),
            description="/".join(snakemake.wildcards),  # noqa: F821
        )
