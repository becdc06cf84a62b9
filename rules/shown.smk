# The experiments of each table and figure. A table or figure without experiments is not made.
from semantic_tokens.study.experiments import rows_of_table5
from semantic_tokens.study.explored_groupings import explored
from semantic_tokens.study.figures import (
    by_grouping,
    controlled,
    curves,
    inspected,
    language_pairs,
    language_rows,
    main_backbone,
    reference_of_main,
)
from semantic_tokens.study.measured_groupings import groupings_to_measure, pretrainings_to_measure

# With the references for relative scores, which the table may not show.
TABLE5_ROWS = rows_of_table5(EXPERIMENTS)
# Grouping by lexicon (Appendix F), scored on one task only.
TABLE4_ROWS = [row for row in EXPERIMENTS if row.figure == "table4"]
TABLE4 = {"task": tasks_of_figure("table4")[0], **config["lexicon_comparison"]}
# Pretraining of the main backbone by dimension and ratio.
EFFICIENCY = pretrainings_to_measure(EXPERIMENTS)
# All pretrained recipes, each once.
HELD_OUT = located(
    dict.fromkeys(
        f"results/held_out/{row.recipe.groups_path}.json"
        for row in EXPERIMENTS
        if row.recipe.is_pretrained
    )
)
# The main backbone's K-Means groupings and controls, and the lexicons of its alignments.
MEASURED_GROUPS = [groups_file(recipe) for recipe in groupings_to_measure(EXPERIMENTS)]
MEASURED_LEXICONS = sorted(
    {
        name
        for row in EXPERIMENTS
        if row.recipe.backbone == main_backbone(EXPERIMENTS)
        for name in row.recipe.alignment_lexicons
    }
    - {"roundtrip"}
)
# Task -> the experiments that are scored on it.
SCORED_ROWS = {
    task: [row for row in EXPERIMENTS if task in tasks_of_figure(row.figure)]
    for task in dict.fromkeys(task for row in EXPERIMENTS for task in tasks_of_figure(row.figure))
}

# The claims are about the main backbone, in percent of its oracle.
CLAIMED = reference_of_main(EXPERIMENTS)
# K-Means and the control groupings.
CONTROLLED = controlled(EXPERIMENTS) if CLAIMED else []

# The figures of one script: curves or bars.
DRAWINGS = ["report.figures.alignments", "report.figures.curves"]
CURVES = {
    figure: shown
    for figure in [*(f"figure{number}" for number in (3, 4, 5, 6, 7, 9, 11, 12)), "controls"]
    if (shown := curves(figure, EXPERIMENTS)).series and tasks_of_figure(figure)
}
# Figure 10 needs two tasks of the compared kinds.
LANGUAGE_ROWS = (
    language_rows(EXPERIMENTS)
    if language_pairs(config["tasks"][task]["kind"] for task in TASKS)
    else []
)
# The pretrained models, each once, those with more groups first.
PRETRAINED = sorted(
    {row.recipe for row in EXPERIMENTS if row.recipe.is_pretrained}, key=by_grouping
)
# Figures 8 and 13.
INSPECTED = inspected(EXPERIMENTS)
# The groups that the explorer looks words up in.
EXPLORED = explored(EXPERIMENTS)
EXPLORER = [own("results/explorer.html")] if EXPLORED else []
