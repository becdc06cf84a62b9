"""Test the differences between experiments by paired bootstrap."""

from semantic_tokens.jobs import job

with job(snakemake):  # noqa: F821 (Snakemake provides it)
    from semantic_tokens.files import folder_above
    from semantic_tokens.pages import Section, write_csv, write_page
    from semantic_tokens.significance import TO_REFERENCE, items_in, side_by_side, significance

    scores = folder_above(snakemake.input.scored_items, "scores")  # noqa: F821
    params, output = snakemake.params, snakemake.output  # noqa: F821
    options = params.options
    table = significance(params.rows_by_task, params.seeds, items_in(scores), **options)
    numbers = ["first_score", "second_score", "difference", "low", "high"]
    formats = dict.fromkeys(numbers, ".4f") | {"p": ".4f", "p_adjusted": ".4f"}
    write_csv(table, output[0], formats)
    level = 1 - options["confidence"]

    def classes(row, column):
        return "weak" if row["p_adjusted"] > level else ""

    kinds = [TO_REFERENCE, *(k for k in table["compared"].unique() if k != TO_REFERENCE)]
    headings = {TO_REFERENCE: "Against the reference that relative performance is to"}
    write_page(
        output[1],
        f"Significance: {params.title}",
        [
            f"Paired bootstrap over test items ({options['resamples']:,} resamples): the difference "
            f"first minus second, its {options['confidence']:.0%} interval, the two-sided p, and p "
            "adjusted for all comparisons of a task and kind (Benjamini and Hochberg). Lines in grey "
            f"have an adjusted p above {level:.2g}. It speaks of these trained models on other test "
            "items, and not of other trainings"
            + (
                ", of which there is one."
                if len(params.seeds) == 1
                else "; scores are means of seeds."
            )
        ],
        [
            Section(
                side_by_side(table, kind),
                headings.get(kind, f"Experiments that differ in {kind} alone"),
                formats=formats,
                classes=classes,
            )
            for kind in kinds
        ],
    )
