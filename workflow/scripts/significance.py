"""Test the differences between experiments by paired bootstrap."""

from semantic_tokens.jobs.job import job

with job(snakemake):
    from semantic_tokens.evaluation.bootstrap import Resampling
    from semantic_tokens.evaluation.scores import Runs, items_in
    from semantic_tokens.evaluation.significance import TO_REFERENCE, side_by_side, significance
    from semantic_tokens.files import folder_above
    from semantic_tokens.report.pages import Section, write_csv, write_page

    scores = folder_above(snakemake.input.scored_items, "scores")
    params, output = snakemake.params, snakemake.output
    resampling = Resampling(**params.resampling)
    runs = Runs(params.seeds, params.replicates)
    table = significance(params.rows_by_task, runs, items_in(scores), resampling)
    numbers = ["first_score", "second_score", "difference", "low", "high"]
    formats = dict.fromkeys(numbers, ".4f") | {"p": ".4f", "p_adjusted": ".4f"}
    write_csv(table, output[0], formats)
    level = 1 - resampling.confidence

    def classes(row, column):
        return "weak" if row["p_adjusted"] > level else ""

    kinds = [TO_REFERENCE, *(k for k in table["compared"].unique() if k != TO_REFERENCE)]
    headings = {TO_REFERENCE: "Compared with the reference"}
    write_page(
        output[1],
        f"Significance: {params.title}",
        [
            f"Paired bootstrap over the test items ({resampling.resamples:,} samples): the "
            "difference (first minus second), its "
            f"{resampling.confidence:.0%} interval, the two-sided p, and p adjusted for all "
            "comparisons of one task and kind (Benjamini and Hochberg). Grey rows have an "
            f"adjusted p above {level:.2g}. "
            + (
                "Everything was trained once, so the variation between trainings is not included."
                if len(runs.seeds) == runs.replicates == 1
                else "Scores are means over seeds and replicates, which are drawn too."
            )
        ],
        [
            Section(
                side_by_side(table, kind),
                headings.get(kind, f"Experiments that differ only in {kind}"),
                formats=formats,
                classes=classes,
            )
            for kind in kinds
        ],
    )
