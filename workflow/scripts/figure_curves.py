"""Draw scores against the grouping ratio (paper, Figures 3 to 7, 9 and 12), or as bars by the
lexicons of the alignment (Figure 11)."""

from semantic_tokens.jobs.job import job

with job(snakemake):
    from semantic_tokens.evaluation.bootstrap import Resampling
    from semantic_tokens.evaluation.scores import Trainings
    from semantic_tokens.evaluation.task_scores import full_dimensions, read_scores
    from semantic_tokens.report.figures.alignments import draw_alignments
    from semantic_tokens.report.figures.curves import draw_curves
    from semantic_tokens.report.figures.style import save

    params, inputs = snakemake.params, snakemake.input
    tasks, scores = read_scores(
        inputs.scores,
        inputs.baselines,
        params.tasks,
        params.rows,
        Trainings(params.seeds, params.replicates),
        Resampling(**params.resampling),
    )
    if params.is_by_lexicon:
        figure = draw_alignments(params.shown, tasks, scores)
    else:
        figure = draw_curves(params.shown, tasks, scores, full_dimensions(inputs.backbones))
    save(figure, snakemake.output)
