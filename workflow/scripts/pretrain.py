"""Continue a model's pretraining on semantic tokens (paper, section 2.4; Appendix A)."""

from pathlib import Path

from semantic_tokens.jobs import job

with job(snakemake):  # noqa: F821 (Snakemake provides it)
    from semantic_tokens.pretraining import pretrain
    from semantic_tokens.processes import in_processes
    from semantic_tokens.training import TrainingOptions

    options = snakemake.params.options  # noqa: F821
    in_processes(
        snakemake.resources.gpu,  # noqa: F821
        pretrain,
        Path(snakemake.input.model[0]).parent,  # noqa: F821
        [str(corpus) for corpus in snakemake.input.corpora],  # noqa: F821
        str(snakemake.input.tokenizer),  # noqa: F821
        Path(snakemake.output[0]).parent,  # noqa: F821
        options=TrainingOptions(**options["training"]),
        seed=options["seed"],
        mask_probability=options["mask_probability"],
        language_sampling_exponent=options["language_sampling_exponent"],
        checkpoint=snakemake.params.checkpoint,  # noqa: F821
        description="/".join(snakemake.wildcards),  # noqa: F821
    )
