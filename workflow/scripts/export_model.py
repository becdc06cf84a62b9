"""Write a semantic-token model as a plain checkpoint, with a model card."""

from pathlib import Path

from semantic_tokens.jobs.job import job

with job(snakemake):
    from semantic_tokens.files import atomic_folder
    from semantic_tokens.modeling.export import export_with_card
    from semantic_tokens.modeling.loading import ModelFiles

    inputs, params = snakemake.input, snakemake.params
    target = Path(snakemake.output[0])
    with atomic_folder(target) as partial:
        export_with_card(
            ModelFiles.of(inputs.model, inputs.get("groups", ()), inputs.get("embeddings", ())),
            Path(inputs.tokenizer).parent,
            partial,
            recipe=dict(snakemake.wildcards),
            name=target.name,
            scores=sorted(Path(params.scores).glob("*/*/seed-*.json")),
        )
