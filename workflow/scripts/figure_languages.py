"""Draw whether grouping hurts the same languages in two tasks (paper, Figure 10)."""

from semantic_tokens.jobs.job import job

with job(snakemake):
    from semantic_tokens.evaluation.bootstrap import Resampling
    from semantic_tokens.evaluation.scores import Trainings
    from semantic_tokens.evaluation.task_scores import read_scores
    from semantic_tokens.report.figures.languages import draw_correlations
    from semantic_tokens.report.figures.style import save

    params, inputs = snakemake.params, snakemake.input
    tasks, scores = read_scores(
        inputs.scores,
        inputs.baselines,
        params.tasks,
        [params.oracle, *params.rows],
        Trainings(params.seeds, params.replicates),
        Resampling(**params.resampling),
    )
    save(draw_correlations(params.rows, params.oracle, tasks, scores), snakemake.output)
