"""Make Table 5 and its scores by language (paper, Appendix G)."""

from semantic_tokens.jobs.job import job

with job(snakemake):
    from semantic_tokens.evaluation.bootstrap import Resampling, Runs
    from semantic_tokens.files import read_json
    from semantic_tokens.report.tables import table5 as tables

    params, inputs, output = snakemake.params, snakemake.input, snakemake.output
    runs = Runs(params.seeds, params.replicates)
    resampling = Resampling(**params.resampling)
    tasks, scores = tables.read_scores(
        inputs.scores,
        inputs.baselines,
        params.tasks,
        params.rows,
        runs,
        resampling,
    )
    dimensions = tables.full_dimensions(inputs.backbones)
    table = tables.table5(params.rows, tasks, scores, dimensions)
    backbone, reference = next(iter(tables.references_of(params.rows).items()))
    without_model = tables.baselines(tasks, scores, reference)
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
    tables.write_csv(table, tasks, output[0])
    tables.write_latex(table, without_model, tasks, output[1], **context)
    tables.write_html(table, without_model, tasks, output[2], **context)
    languages = tables.by_language(params.rows, tasks, scores, dimensions)
    tables.write_by_language(languages, tasks, output[3])
    tables.write_by_language_page(languages, tasks, output[4], title=params.title)
    tables.write_csv(without_model, tasks, output[5])
