"""Measure some steps of pretraining in the paper's setting (paper, Appendix D)."""

from semantic_tokens.jobs.job import job

with job(snakemake):
    from semantic_tokens.jobs.cluster.gpus import gpu_count
    from semantic_tokens.jobs.processes import in_processes
    from semantic_tokens.modeling.loading import ModelFiles
    from semantic_tokens.training import TrainingOptions
    from semantic_tokens.training.pretraining import Objective, measure

    params, inputs = snakemake.params, snakemake.input
    in_processes(
        gpu_count(snakemake.resources),
        measure,
        ModelFiles.of(inputs.model, inputs.get("groups", ()), inputs.get("embeddings", ())),
        [str(corpus) for corpus in inputs.corpora],
        str(inputs.tokenizer),
        str(snakemake.output[0]),
        options=TrainingOptions(**params.training),
        objective=Objective(**params.objective),
        steps=params.steps,
    )
