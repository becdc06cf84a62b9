"""Tabulate and draw the loss of pretrained models on held-out text."""

from semantic_tokens.jobs.job import job

with job(snakemake):
    from semantic_tokens.evaluation.bootstrap import Resampling
    from semantic_tokens.evaluation.task_scores import full_dimensions
    from semantic_tokens.report.figures.held_out import draw_held_out, draw_held_out_by_language
    from semantic_tokens.report.figures.style import save
    from semantic_tokens.report.tables.held_out import held_out_losses, write_held_out

    params, inputs, output = snakemake.params, snakemake.input, snakemake.output
    resampling = Resampling(**params.resampling)
    table = held_out_losses(inputs.losses, resampling, full_dimensions(inputs.backbones))
    write_held_out(
        table, output.table, output.page, title=params.title, confidence=resampling.confidence
    )
    save(draw_held_out(table, params.backbone), output.by_ratio)
    save(draw_held_out_by_language(table, params.backbone), output.by_language)
