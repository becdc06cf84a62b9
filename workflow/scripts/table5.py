"""Make Table 5 and its scores by language (paper, Appendix G)."""

from semantic_tokens.jobs.job import job

with job(snakemake):
    from semantic_tokens.evaluation.bootstrap import Resampling
    from semantic_tokens.evaluation.scores import Trainings
    from semantic_tokens.evaluation.task_scores import full_dimensions, read_scores
    from semantic_tokens.json_files import read_json
    from semantic_tokens.report.tables import table5_files
    from semantic_tokens.report.tables.table5 import baselines, by_language, references_of, table5

    params, inputs, output = snakemake.params, snakemake.input, snakemake.output
    runs = Trainings(params.seeds, params.replicates)
    resampling = Resampling(**params.resampling)
    tasks, scores = read_scores(
        inputs.scores,
        inputs.baselines,
        params.tasks,
        params.rows,
        runs,
        resampling,
    )
    dimensions = full_dimensions(inputs.backbones)
    table = table5(params.rows, tasks, scores, dimensions)
    backbone, reference = next(iter(references_of(params.rows).items()))
    without_model = baselines(tasks, scores, reference)
    context = {
        "title": params.title,
        "runs": runs,
        "confidence": resampling.confidence,
        "backbone": backbone,
        "rules": {
            task.name: read_json(path)["rule"]
            for task, path in zip(tasks, inputs.chance, strict=True)
        },
    }
    table5_files.write_csv(table, tasks, output[0])
    table5_files.write_latex(table, without_model, tasks, output[1], **context)
    table5_files.write_html(table, without_model, tasks, output[2], **context)
    languages = by_language(params.rows, tasks, scores, dimensions)
    table5_files.write_by_language(languages, tasks, output[3])
    table5_files.write_by_language_page(languages, tasks, output[4], title=params.title)
    table5_files.write_csv(without_model, tasks, output[5])
