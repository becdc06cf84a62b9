# The files of every table and figure of this study.
from semantic_tokens.study.targets import check_made

TABLE5 = multiext(
    own("results/table5"),
    ".csv",
    ".tex",
    ".html",
    "_by_language.csv",
    "_by_language.html",
    "_baselines.csv",
)
# All tables of this study. A table without experiments is not made.
TABLE_FILES = [
    *multiext(own("results/table1"), ".csv", ".html", "_by_language.csv"),
    *multiext(own("results/table2"), ".csv", ".html"),
    *multiext(own("results/significance"), ".csv", ".html"),
]
if TABLE5_ROWS:
    TABLE_FILES += [*TABLE5, *multiext(own("results/comparison"), ".csv", ".html")]
if CLAIMED:
    TABLE_FILES += multiext(own("results/claims"), ".csv", ".html")
if CONTROLLED:
    TABLE_FILES += multiext(own("results/controls"), ".csv", ".html")
if HELD_OUT:
    TABLE_FILES += [
        *multiext(own("results/held_out"), ".csv", ".html"),
        *multiext(own("results/figures/held_out"), ".pdf", ".svg", ".png"),
        *multiext(own("results/figures/held_out_by_language"), ".pdf", ".svg", ".png"),
    ]
if EFFICIENCY:
    TABLE_FILES += multiext(own("results/table3"), ".csv", ".html")
if TABLE4_ROWS:
    TABLE_FILES += multiext(own("results/table4"), ".csv", ".html")
if MEASURED_GROUPS and MEASURED_LEXICONS:
    TABLE_FILES += multiext(own("results/group_quality"), ".csv", ".html")

# All figures with experiments in the table of experiments.
DRAWN = ["figure2", *CURVES]
if LANGUAGE_ROWS:
    DRAWN.append("figure10")
if INSPECTED:
    DRAWN += ["figure8", "figure13"]
if MEASURED_GROUPS and MEASURED_LEXICONS:
    DRAWN.append("group_quality")
if PRETRAINED:
    DRAWN.append("pretraining_curves")
FIGURE_FILES = expand(
    own("results/figures/{figure}.{suffix}"), figure=DRAWN, suffix=["pdf", "svg", "png"]
)

try:
    for requested in requested_files():
        check_made(requested, [*TABLE_FILES, *FIGURE_FILES, *EXPLORER], config["experiments"])
except InputError as error:
    stop(error)
