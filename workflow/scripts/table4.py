"""Make Table 4: groups by lexicon compared with K-Means (paper, Appendix F)."""

from semantic_tokens.jobs.job import job

with job(snakemake):
    from semantic_tokens.evaluation.bootstrap import Resampling
    from semantic_tokens.evaluation.scores import (
        Runs,
        TaskScores,
        experiment_name,
        items_in,
        read_runs,
    )
    from semantic_tokens.evaluation.task_scores import METRIC_NAMES, records_in
    from semantic_tokens.files import folder_above
    from semantic_tokens.report.pages import Section, write_csv, write_page
    from semantic_tokens.report.tables.table4 import LexiconTask, ratio_of_file, table4
    from semantic_tokens.report.tables.table5 import SPREADS
    from semantic_tokens.study.experiments import recipe_of

    scores = folder_above(snakemake.input.scores, "scores")
    params, output = snakemake.params, snakemake.output
    shown = LexiconTask(**params.shown)
    recipes = [recipe_of(row) for row in params.rows]
    grouped = [recipe.path for recipe in recipes if recipe.grouping != "ungrouped"]
    measured = map(ratio_of_file, snakemake.input.groups)
    ratios = {recipe.path: 1.0 for recipe in recipes} | dict(zip(grouped, measured, strict=True))
    record = records_in(scores)(params.rows[0], shown.task, params.seeds[0])
    metric, items_of = record["metric"], items_in(scores)
    resampling = Resampling(**params.resampling)
    runs = Runs(params.seeds, params.replicates)
    models = {
        experiment_name(row): read_runs(items_of, row, shown.task, runs) for row in params.rows
    }
    table = table4(
        params.rows,
        shown,
        metric,
        TaskScores(shown.task, models, resampling, runs.replicates),
        ratios,
    )
    formats = {f"{metric}{part}": ".4f" for part in ("", *SPREADS, "_low", "_high")}
    formats["ratio"] = ".1%"
    write_csv(table, output[0], formats | {"ratio": ".4f"})
    where = "over all languages" if shown.language is None else f"in {shown.language}"
    trained = ", ".join(sorted({row["training"] for row in params.rows}))
    write_page(
        output[1],
        f"Grouping by lexicon compared with K-Means: {params.title}",
        [
            f"{METRIC_NAMES[metric]} of {shown.task} {where}, trained on {trained}, without "
            "alignment or continual pretraining. The coverage of a lexicon determines its "
            f"ratio. Low and high are the limits of the {resampling.confidence:.0%} interval, from a "
            "bootstrap over the test items."
        ],
        [Section(table, formats=formats)],
    )
