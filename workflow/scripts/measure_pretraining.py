"""Measure the speed and memory of some steps of pretraining (paper, Appendix D)."""

from semantic_tokens.jobs.job import job

with job(snakemake):
    from semantic_tokens.jobs.cluster.gpus import gpu_count
    from semantic_tokens.jobs.processes import in_processes
    from semantic_tokens.modeling.loading import ModelFiles
    from semantic_tokens.training import TrainingOptions
    from semantic_tokens.training.measuring import measure
    from semantic_tokens.training.pretraining import Objective

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
