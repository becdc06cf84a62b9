"""Draw scores by the lexicons of the alignment (paper, Figure 11)."""

from semantic_tokens.jobs.job import job

with job(snakemake):
    from semantic_tokens.evaluation.bootstrap import Resampling, Runs
    from semantic_tokens.evaluation.task_scores import read_scores
    from semantic_tokens.report.figures.alignments import draw_alignments
    from semantic_tokens.report.figures.style import save

    params, inputs = snakemake.params, snakemake.input
    tasks, scores = read_scores(
        inputs.scores,
        inputs.baselines,
        params.tasks,
        params.rows,
        Runs(params.seeds, params.replicates),
        Resampling(**params.resampling),
    )
    save(draw_alignments(params.shown, tasks, scores), snakemake.output)
