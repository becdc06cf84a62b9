import math
import zipfile
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from jinja2 import Template
from matplotlib.colors import to_rgb
from matplotlib.font_manager import findfont
from matplotlib.patches import FancyBboxPatch
from scored import even_scores

from semantic_tokens.errors import InputError
from semantic_tokens.evaluation.task_scores import ScoredTask
from semantic_tokens.grouping.inspection import (
    inspect_group,
    is_number,
    is_punctuation,
    richest_group,
)
from semantic_tokens.report.figures import style
from semantic_tokens.report.figures.curves import draw_curves, tick_label
from semantic_tokens.report.figures.fonts import Fonts, extract_fonts
from semantic_tokens.report.figures.groups import script_colours
from semantic_tokens.report.figures.languages import (
    adjusted,
    correlate,
    draw_correlations,
    relative_drops,
    task_pairs,
)
from semantic_tokens.report.figures.pipelines import draw_pipelines, pipelines
from semantic_tokens.report.figures.pretraining import (
    draw_pretraining,
    grouping_label,
    read_steps,
    running_mean,
)
from semantic_tokens.study.experiments import Experiment
from semantic_tokens.study.figures import (
    by_grouping,
    check_figures,
    curves,
    inspected,
    language_rows,
)
from semantic_tokens.study.recipe import Recipe

NER = ScoredTask("ner", "token_classification", "f1")
CLSA = "clsa-emoji"


def row(figure: str, path: str, *, reference: bool = False, training: str = "all-languages"):
    return Experiment(figure, False, reference, Recipe(*path.split("/")), training)


ROWS = [
    row("oracle", "a/unaligned/dfull/ungrouped/asis"),
    row("oracle", "a/unaligned/dfull/ungrouped/mlm", reference=True),
    row("figure3", "a/unaligned/dfull/kmeans-cosine-0.05/mlm"),
    row("figure3", "a/unaligned/dfull/kmeans-cosine-0.4/mlm"),
    row("figure3", "a/unaligned/dfull/kmeans-cosine-0.4/asis"),
    row("figure3", "a/unaligned/dfull/firstk-0.4/asis"),
    row("figure4", f"a/{CLSA}/dfull/kmeans-cosine-0.4/mlm"),
    row("figure4", f"a/{CLSA}/dfull/kmeans-cosine-0.4/asis"),
    row("figure5", f"a/{CLSA}/d64/kmeans-cosine-0.4/mlm"),
    row("figure5", f"a/{CLSA}/d16/kmeans-cosine-0.4/mlm"),
    row("figure6", "a/unaligned/d16/ungrouped/mlm"),
    row("figure7", f"b/{CLSA}/dfull/ungrouped/asis", reference=True),
    row("figure7", f"b/{CLSA}/dfull/kmeans-cosine-0.4/asis"),
]


def draw_scores(shown, dimension, value_of=lambda row, seed: 0.5, seeds=(1,), **baselines):
    """The figure of these curves for one task, with scores by experiment and seed."""
    rows = [row for series in shown["series"] for row in series["experiments"]]
    rows += [shown["oracle"]] if shown["oracle"] else []
    scores = even_scores(
        rows, ["ner"], seeds, lambda row, _, seed: {"eng": value_of(row, seed)},
        **baselines,
    )  # fmt: skip
    return draw_curves(shown, [NER], scores, {"a": dimension})


def points(container):
    """The points of a drawn curve, without its offset from neighbours."""
    line = container[0]
    return list(line.get_xdata()), list(line.get_ydata())


def summary(figure: str) -> list[tuple[str, bool, list[str]]]:
    """Label, pretrained, and the groupings of its points with their dimensions."""
    return [
        (
            s.label,
            s.is_pretrained,
            [f"{r.recipe.dimension}/{r.recipe.grouping}" for r in s.experiments],
        )
        for s in curves(figure, ROWS).series
    ]


def test_curves_start_at_the_full_vocabulary():
    assert summary("figure3") == [
        ("SG", True, ["dfull/ungrouped", "dfull/kmeans-cosine-0.4", "dfull/kmeans-cosine-0.05"]),
        ("SG", False, ["dfull/ungrouped", "dfull/kmeans-cosine-0.4"]),
        ("First-k", False, ["dfull/ungrouped", "dfull/firstk-0.4"]),
    ]
    oracle = curves("figure3", ROWS).oracle
    assert oracle is not None and oracle.recipe.path == "a/unaligned/dfull/ungrouped/mlm"


def test_figures_reuse_experiments_of_other_figures():
    assert [label for label, *_ in summary("figure4")] == ["SG with CLSA"] * 2 + ["SG"] * 2
    assert summary("figure5") == [
        ("d = {D}", True, ["dfull/ungrouped", "dfull/kmeans-cosine-0.4"]),
        ("d = 64", True, ["d64/kmeans-cosine-0.4"]),  # no ungrouped model with 64 dimensions
        ("d = 16", True, ["d16/ungrouped", "d16/kmeans-cosine-0.4"]),
    ]
    assert summary("figure6") == [
        ("DR", True, ["dfull/ungrouped", "d16/ungrouped"]),
        ("SG, d = 16", True, ["d16/ungrouped", "d16/kmeans-cosine-0.4"]),
    ]


def test_figure9_uses_the_oracle_with_the_alignment_of_its_curve():
    zero_shot = [
        row("figure9", f"a/{alignment}/dfull/{grouping}/mlm", training="eng")
        for alignment, grouping in (
            ("unaligned", "ungrouped"), (CLSA, "ungrouped"), (CLSA, "kmeans-cosine-0.4"),
        )
    ]  # fmt: skip
    with_aligned_oracle = curves("figure9", [*ROWS, *zero_shot])
    assert (
        with_aligned_oracle.oracle is not None
        and with_aligned_oracle.oracle.recipe.alignment == CLSA
    )
    assert with_aligned_oracle.series[0].experiments[0].recipe.alignment == CLSA
    without_aligned_oracle = curves("figure9", [*ROWS, zero_shot[0], zero_shot[2]])
    assert (
        without_aligned_oracle.oracle is not None
        and without_aligned_oracle.oracle.recipe.alignment == "unaligned"
    )


@pytest.mark.parametrize("profile", ["experiments", "paper_experiments"])
def test_oracles_of_figures_7_and_9_are_aligned_in_both_profiles(profile: str):
    """The oracle has the alignment of the curve that ends at it."""
    table = Path(__file__).resolve().parents[2] / f"config/{profile}.tsv"
    header, *lines = (line.split("\t") for line in table.read_text(encoding="utf-8").splitlines())
    rows = []
    for line in lines:
        values = dict(zip(header, line, strict=True))
        recipe = Recipe(**{part: values[part] for part in header[3:8]})
        reference = values["reference"] == "yes"
        rows.append(Experiment(values["figure"], False, reference, recipe, values["training"]))
    for figure in ("figure7", "figure9"):
        shown = curves(figure, rows)
        for series in shown.series:
            assert [r.recipe.ratio for r in series.experiments] == [1.0, 0.4, 0.2, 0.1, 0.05]
            assert len({r.recipe.alignment for r in series.experiments}) == 1
            assert series.experiments[0].recipe.is_aligned
    assert shown.oracle == shown.series[0].experiments[0]


def test_figure7_has_one_curve_per_backbone_and_no_oracle():
    assert summary("figure7") == [
        ("a", False, ["dfull/ungrouped", "dfull/kmeans-cosine-0.4"]),
        ("b", False, ["dfull/ungrouped", "dfull/kmeans-cosine-0.4"]),
    ]
    assert curves("figure7", ROWS).oracle is None


@pytest.mark.parametrize("figure", ["figure9", "figure11", "figure12"])
def test_a_figure_without_experiments_has_no_curves(figure):
    assert curves(figure, ROWS).series == ()


def test_figure12_is_over_dimensions_only_if_there_is_one_ratio():
    def rows(*ratios):
        return [
            row("figure12", f"a/{CLSA}/{d}/kmeans-{m}-{r}/mlm")
            for d in ("dfull", "d16")
            for m in ("cosine", "euclidean")
            for r in ratios
        ]

    single_ratio = curves("figure12", [*ROWS, *rows(0.05)])
    assert single_ratio.x == "dimension"
    assert [(s.label, len(s.experiments)) for s in single_ratio.series] == [
        ("cosine", 2),
        ("Euclidean", 2),
    ]
    several_ratios = curves("figure12", [*ROWS, *rows(0.4, 0.05)])
    assert several_ratios.x == "ratio"
    assert [s.label for s in several_ratios.series] == [
        *("cosine, d = {D}", "Euclidean, d = {D}", "cosine, d = 16", "Euclidean, d = 16")
    ]
    assert len({s.colour for s in several_ratios.series}) == 4
    figure = draw_scores(several_ratios.as_dict(), 64)
    xs = [points(container)[0] for container in figure.axes[0].containers]
    assert xs == [pytest.approx([5, 40], rel=0.04)] * 4
    assert len({x[0] for x in xs}) == 4  # side by side, so that their intervals can be read


CURVE = ("kmeans-cosine-0.4", "kmeans-cosine-0.05")
NUMBERS = "clsa-numbers"


def both(figure, path, **options):
    """The rows of a curve with two ratios."""
    return [row(figure, path.format(ratio=ratio), **options) for ratio in (0.4, 0.05)]


def labels(figure, rows):
    """The label and the colour of each series."""
    return [(series.label, series.colour) for series in curves(figure, rows).series]


def legends(figure, rows):
    """The labels of the series, after a check that each has its own colour."""
    found = labels(figure, rows)
    assert len({colour for _, colour in found}) == len({label for label, _ in found}) == len(found)
    return [label for label, _ in found]


def test_curves_of_two_backbones_are_named_and_have_no_common_oracle():
    rows = [
        *ROWS[:2],
        *both("figure3", "a/unaligned/dfull/kmeans-cosine-{ratio}/mlm"),
        *both("figure3", "b/unaligned/dfull/kmeans-cosine-{ratio}/mlm"),
        row("figure3", "b/unaligned/dfull/firstk-0.4/mlm"),
    ]
    assert legends("figure3", rows) == ["SG, a", "SG, b", "First-k, b"]
    assert curves("figure3", rows).oracle is None
    assert curves("figure3", rows[:4]).oracle == ROWS[1]


def test_curves_of_two_alignments_are_named():
    rows = [
        *ROWS[:2],
        *both("figure3", "a/unaligned/dfull/kmeans-cosine-{ratio}/asis"),
        *both("figure4", f"a/{CLSA}/dfull/kmeans-cosine-{{ratio}}/asis"),
        *both("figure4", f"a/{NUMBERS}/dfull/kmeans-cosine-{{ratio}}/asis"),
        *both("figure4", f"a/{CLSA}/dfull/firstk-{{ratio}}/asis"),
    ]
    assert legends("figure4", rows) == [
        "SG with CLSA, emoji", "SG with CLSA, numbers", "First-k with CLSA", "SG",
    ]  # fmt: skip
    others = both("figure7", f"x/{CLSA}/dfull/kmeans-cosine-{{ratio}}/asis")
    others += both("figure7", f"x/{NUMBERS}/dfull/kmeans-cosine-{{ratio}}/asis")
    assert legends("figure7", others) == ["x, emoji", "x, numbers"]
    control = row("controls", f"a/{NUMBERS}/d64/random-0.05/asis")
    assert legends("controls", [*rows, control]) == [
        "K-Means, all dimensions",
        "K-Means after CLSA, emoji, all dimensions",
        "K-Means after CLSA, numbers, all dimensions",
        "First-k after CLSA, all dimensions",
        "random groups after CLSA, 64 dimensions",
    ]


def test_curves_of_two_training_languages_are_named():
    rows = [
        row_of_training
        for training in ("eng", "deu")
        for row_of_training in (
            row("figure9", f"a/{CLSA}/dfull/ungrouped/mlm", training=training),
            *both("figure9", f"a/{CLSA}/dfull/kmeans-cosine-{{ratio}}/mlm", training=training),
        )
    ]
    assert legends("figure9", rows) == [
        "SG, zero-shot, trained on eng", "SG, zero-shot, trained on deu",
    ]  # fmt: skip
    assert curves("figure9", rows).oracle is None
    assert legends("figure9", rows[:3]) == ["SG, zero-shot"]
    assert curves("figure9", rows[:3]).oracle == rows[0]


def test_curves_over_dimensions_join_only_experiments_that_differ_in_dimension():
    reduced = [
        row("figure6", f"{backbone}/unaligned/d{d}/ungrouped/mlm")
        for backbone in "ab"
        for d in (64, 16)
    ]
    found = curves("figure6", [*ROWS[:2], *reduced])
    assert [(s.label, [r.recipe.path for r in s.experiments]) for s in found.series] == [
        ("DR, a", [f"a/unaligned/{d}/ungrouped/mlm" for d in ("dfull", "d64", "d16")]),
        ("DR, b", [f"b/unaligned/{d}/ungrouped/mlm" for d in ("d64", "d16")]),
    ]
    # The curve starts at the full model with its pretraining, also if that is not the oracle.
    rows = [replace(ROWS[0], reference=True), replace(ROWS[1], reference=False), *reduced[:2]]
    assert curves("figure6", rows).series[0].experiments[0] == rows[1]
    by_distance = [
        row("figure12", f"a/{alignment}/{d}/kmeans-cosine-0.05/mlm")
        for alignment in (CLSA, NUMBERS)
        for d in ("dfull", "d16")
    ]
    assert legends("figure12", [*ROWS, *by_distance]) == ["cosine, emoji", "cosine, numbers"]


def test_bars_with_the_same_lexicons_are_named():
    rows = [
        row("figure11", f"a/{CLSA}/dfull/kmeans-cosine-{ratio}/{pretraining}")
        for ratio, pretraining in ((0.05, "mlm"), (0.05, "asis"), (0.4, "mlm"))
    ]
    assert legends("figure11", rows) == [
        "emoji, 5%, pretrained", "emoji, 5%, not pretrained", "emoji, 40%, pretrained",
    ]  # fmt: skip


def test_figure10_has_one_experiment_of_the_main_backbone_per_ratio():
    others = [
        *both("figure3", "b/unaligned/dfull/kmeans-cosine-{ratio}/mlm"),
        *both("figure3", "a/unaligned/dfull/kmeans-euclidean-{ratio}/mlm"),
        *both("figure3", "a/unaligned/d64/kmeans-cosine-{ratio}/mlm"),
        *both("figure3", f"a/{CLSA}/dfull/kmeans-cosine-{{ratio}}/mlm"),
        *both("figure3", "a/unaligned/dfull/kmeans-cosine-{ratio}/mlm", training="eng"),
    ]
    assert language_rows([*others, *ROWS]) == ROWS[2:4]
    assert language_rows([*others, *ROWS[2:]]) == []  # no oracle


def test_pretrained_and_other_curves_of_a_method_have_one_colour():
    assert len(set(labels("figure3", ROWS[:5]))) == 1
    assert len(curves("figure3", ROWS[:5]).series) == 2


def test_an_experiment_of_two_figures_is_one_point_and_a_start_is_no_curve_of_its_own():
    shown = [row("figure4", f"a/{CLSA}/dfull/{g}/mlm") for g in ("ungrouped", *CURVE)]
    again = row("figure3", f"a/{CLSA}/dfull/kmeans-cosine-0.4/mlm")
    (series,) = curves("figure4", [*shown, again]).series
    assert [r.recipe.ratio for r in series.experiments] == [1.0, 0.4, 0.05]
    assert curves("figure4", shown[:1]).series == ()


def test_the_caption_of_figure_9_names_the_training_language():
    caption = Path(__file__).resolve().parents[2] / "workflow/report/figure_curves.rst"
    text = Template(caption.read_text(encoding="utf-8")).render(
        snakemake=SimpleNamespace(
            wildcards=SimpleNamespace(figure="figure9"),
            params=SimpleNamespace(rows=[{"training": "deu"}] * 2),
            config={"seeds": [1], "significance": {"confidence": 0.95}},
        )
    )
    assert "trained on one language only (deu), by grouping ratio" in text


def test_controls_are_drawn_with_the_other_methods():
    controls = [
        row("controls", f"a/unaligned/dfull/kmeans-euclidean-{r}/asis") for r in (0.4, 0.05)
    ]
    shown = curves(
        "controls", [*ROWS, *controls, row("controls", "a/unaligned/dfull/firstk-0.4/asis")]
    )
    assert [(s.label, s.is_pretrained, len(s.experiments)) for s in shown.series] == [
        ("K-Means", False, 2),  # each with the ungrouped model
        ("First-k", False, 2),  # which Figure 3 also has
        ("K-Means after CLSA", False, 2),
        ("K-Means, Euclidean", False, 3),
    ]
    assert len({s.colour for s in shown.series}) == 4
    assert shown.oracle is not None
    assert curves("controls", ROWS).series == ()


def test_a_control_of_another_backbone_than_the_oracle_is_refused():
    config = {"experiments": "experiments.tsv", "tasks_by_figure": {}}
    check_figures([*ROWS, row("controls", "a/unaligned/dfull/random-0.05/asis")], config)
    other = row("controls", "b/unaligned/dfull/random-0.05/asis")
    with pytest.raises(InputError, match=r"controls has backbone b, .* set its backbone to a, or"):
        check_figures([*ROWS, other], config)
    # without an oracle there is no table of controls
    check_figures([other], config)


GROUPED_FIGURES = ("figure3", "figure4", "figure5", "figure7", "figure9", "figure11")


@pytest.mark.parametrize(
    ("figure", "grouping", "shown"),
    [
        *((name, "lexicon-emoji", "ungrouped, kmeans-cosine,") for name in GROUPED_FIGURES),
        ("controls", "lexicon-emoji", "ungrouped, kmeans-cosine,"),
        ("figure6", "lexicon-emoji", "ungrouped, and not"),
        ("figure6", "kmeans-cosine-0.4", "ungrouped, and not"),
        ("figure12", "lexicon-emoji", "kmeans-cosine, kmeans-euclidean, and not"),
        ("figure12", "ungrouped", "kmeans-cosine, kmeans-euclidean, and not"),
    ],
)
def test_a_row_that_its_figure_cannot_show_is_refused(figure: str, grouping: str, shown: str):
    config = {"experiments": "experiments.tsv", "tasks_by_figure": {}}
    other = replace(row(figure, f"a/{CLSA}/dfull/{grouping}/mlm", training="eng"), line=9)
    message = (
        rf"experiments\.tsv, line 9: {figure} shows the groupings {shown}.* {grouping}; .*table4"
    )
    with pytest.raises(InputError, match=message):
        check_figures([*ROWS, other], config)
    check_figures([*ROWS, replace(other, figure="table4"), replace(other, figure="own")], config)


def test_kmeans_groups_are_inspected():
    others = [row("figure4", f"a/{CLSA}/dfull/{g}/asis") for g in ("ungrouped", "firstk-0.05")]
    assert inspected(others) is None
    found = inspected([*others, *ROWS])
    assert found is not None and found.path == f"a/{CLSA}/dfull/kmeans-cosine-0.4/mlm"


def test_figure9_shows_transfer_from_one_language():
    config = {"experiments": "experiments.tsv", "tasks_by_figure": {}}
    other = row("figure9", f"a/{CLSA}/dfull/kmeans-cosine-0.4/mlm")
    with pytest.raises(InputError, match=r"line 0: figure9 .*`training` is all-languages; set it"):
        check_figures([*ROWS, other], config)
    check_figures([*ROWS, replace(other, training="eng")], config)


def test_drawn_points_are_the_scores():
    shown = curves("figure3", ROWS).as_dict()

    def value_of(experiment, seed):
        value = {"ungrouped": 0.8, "kmeans-cosine-0.4": 0.6, "kmeans-cosine-0.05": 0.3}
        return value.get(experiment["grouping"], 0.1) + 0.02 * seed

    figure = draw_scores(shown, 384, value_of, seeds=[0, 1])
    (axes,) = figure.axes
    assert axes.get_xscale() == "log"
    xs, ys = points(axes.containers[0])
    assert xs == pytest.approx([5, 40, 100], rel=0.04)
    assert ys == pytest.approx([0.31, 0.61, 0.81])
    assert [c[0].get_linestyle() for c in axes.containers] == ["-", "--", "--"]
    # Items have equal scores, so the interval of 0.60 and 0.62 is that of a t test.
    bars = axes.containers[0][2][0].get_segments()
    assert [bars[1][0][1], bars[1][1][1]] == pytest.approx(
        [0.61 - 12.7062 * 0.01, 0.61 + 12.7062 * 0.01], rel=1e-4
    )


def test_chance_and_bm25_are_lines_and_a_point_at_chance_is_hollow():
    shown = curves("figure3", ROWS).as_dict()

    def value_of(experiment, seed):
        return {"ungrouped": 0.8, "kmeans-cosine-0.05": 0.3}.get(experiment["grouping"], 0.6)

    figure = draw_scores(shown, 384, value_of, chance=0.3, bm25={"ner": 0.7})
    (axes,) = figure.axes
    horizontal_lines = [
        line.get_ydata()[0]
        for line in axes.lines
        if len(set(line.get_xdata())) == 2 and list(line.get_xdata()) == [0, 1]
    ]
    assert horizontal_lines == pytest.approx([0.3, 0.7, 0.8])  # chance, BM25 and the oracle
    hollow = [line.get_ydata()[0] for line in axes.lines if line.get_markerfacecolor() == "white"]
    assert hollow == [pytest.approx(0.3)]
    labels = [text.get_text() for legend in figure.legends for text in legend.get_texts()]
    assert {"Chance", "BM25", "no better than chance"} <= set(labels)
    assert min(patch.get_y() for patch in axes.patches) == pytest.approx(0.3)  # no band below
    figure_above_chance = draw_scores(shown, 384, value_of, chance=0.1)
    labels = [
        text.get_text() for legend in figure_above_chance.legends for text in legend.get_texts()
    ]
    assert "no better than chance" not in labels and "BM25" not in labels


def test_parameters_are_ratio_times_dimension():
    shown = curves("figure6", ROWS).as_dict()
    figure = draw_scores(shown, 64)
    xs = [points(container)[0] for container in figure.axes[0].containers]
    assert xs[0] == pytest.approx([25, 100], rel=0.04)  # 16 of 64 dimensions
    assert xs[1] == pytest.approx([10, 25], rel=0.04)  # and 40% of the subwords


def test_bands_are_relative_to_the_oracle():
    from matplotlib.figure import Figure

    axes = Figure().subplots()
    axes.set_ylim(30, 100)
    style.band_background(axes, 80.0)
    bands = sorted((p.get_y(), p.get_y() + p.get_height()) for p in axes.patches)
    assert bands == [pytest.approx(b) for b in [(30, 40), (40, 56), (56, 72), (72, 100)]]


def luma(colour: str) -> float:
    red, green, blue = to_rgb(colour)
    return 0.299 * red + 0.587 * green + 0.114 * blue


def test_bands_and_curves_are_distinguishable_in_grey():
    bands = [luma(colour) for _, colour in style.BANDS]
    steps = [lighter - darker for lighter, darker in pairwise(bands)]
    assert min(steps) > 0.07
    assert max(luma(colour) for colour, _ in style.LINES) < bands[-1] - 0.07


def test_repeated_colours_have_other_markers():
    rows = [
        experiment
        for backbone in "abcdefghij"
        for experiment in both("figure7", f"{backbone}/{CLSA}/dfull/kmeans-cosine-{{ratio}}/asis")
    ]
    looks = [style.line(colour) for _, colour in labels("figure7", rows)]
    assert len(set(looks)) == 10
    assert [style.line(number) for number in range(len(style.LINES))] == list(style.LINES)
    figure = draw_curves(
        curves("figure7", rows).as_dict(),
        [NER],
        even_scores([r.as_dict() for r in rows], ["ner"], [1], lambda *_: {"eng": 0.5}),
        dict.fromkeys("abcdefghij", 64),
    )
    drawn = {
        (line.get_color(), line.get_marker())
        for line in figure.axes[0].lines
        if line.get_marker() not in ("None", "_", "|")
    }
    handles = {(h.get_color(), h.get_marker()) for h in figure.legends[0].get_lines()}
    assert set(looks) <= drawn and set(looks) <= handles


def test_tick_labels_do_not_overlap_and_prefer_the_first_curve():
    rows = [row("figure6", f"a/unaligned/d{d}/ungrouped/mlm") for d in (64, 16, 4, 1)]
    rows += [row("figure5", f"a/{CLSA}/d16/kmeans-cosine-{r}/mlm") for r in (0.4, 0.2, 0.1, 0.05)]
    shown = curves("figure6", [*ROWS[:2], *rows]).as_dict()
    figure = draw_scores(shown, 384)
    figure.canvas.draw()
    (axes,) = figure.axes
    labels = [label for label in axes.get_xticklabels() if label.get_text()]
    assert [label.get_text() for label in labels] == ["0.26%", "1%", "4.2%", "17%", "100%"]
    boxes = [label.get_window_extent() for label in labels]
    assert all(left.x1 < right.x0 for left, right in pairwise(boxes))


@pytest.mark.parametrize("number", [1, 2, 3, 5])
def test_legends_overlap_nothing_and_are_in_the_figure(number: int):
    shown = curves("figure3", ROWS).as_dict()
    rows = [shown["oracle"], *(row for s in shown["series"] for row in s["experiments"])]
    tasks = [replace(NER, name=f"ner{place}") for place in range(number)]
    scores = even_scores(rows, [task.name for task in tasks], [1], lambda *_: {"eng": 0.5})
    figure = draw_curves(shown, tasks, scores, {"a": 64})
    figure.draw_without_rendering()
    others = [axes.get_tightbbox() for axes in figure.axes]
    others += [text.get_window_extent() for text in figure.texts]
    assert all(axes.get_window_extent().height > 150 for axes in figure.axes)
    assert len(figure.legends) == 2
    for legend in figure.legends:
        box = legend.get_window_extent()
        assert box.x0 >= 0 and box.x1 <= figure.bbox.x1
        assert not any(box.overlaps(other) for other in others)


def test_the_model_without_alignment_is_the_first_bar():
    rows = [
        row("figure11", f"a/{alignment}/dfull/kmeans-cosine-0.05/mlm")
        for alignment in ("clsa-muse", "unaligned", "clsa-muse+panlex")
    ]
    labels = [series.label for series in curves("figure11", [*ROWS, *rows]).series]
    assert labels == ["no alignment", "muse", "muse + panlex"]


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.5, "0.50"), (-0.5, "−0.50"), (-0.001, "0.00")],
)
def test_negative_correlations_have_a_minus_sign_and_zero_has_none(value: float, text: str):
    assert style.signed(value) == text


def test_most_common_scripts_have_colours():
    scripts = [f"script {n}" for n in range(9) for _ in range(9 - n)] + ["digits", "symbols"] * 20
    assert list(script_colours(scripts)) == [f"script {n}" for n in range(len(style.LINES))]


def test_tick_labels_are_rounded():
    assert [tick_label(v) for v in (100, 16.7, 4.17, 0.26)] == ["100", "17", "4.2", "0.26"]


def test_correlation_agrees_with_numpy_and_is_one_tailed():
    first = dict(zip("abcde", [0.1, 0.2, 0.4, 0.3, 0.5], strict=True))
    second = dict(zip("abcdf", [0.2, 0.1, 0.5, 0.3, 0.9], strict=True))
    found = correlate(first, second)
    assert found.languages == 4
    assert found.rho == pytest.approx(np.corrcoef([0.1, 0.2, 0.4, 0.3], [0.2, 0.1, 0.5, 0.3])[0, 1])
    opposite = correlate(first, {code: -value for code, value in second.items()})
    assert opposite.p_value == pytest.approx(1 - found.p_value)
    assert math.isnan(correlate(first, dict.fromkeys("abcde", 0.3)).rho)


def test_p_values_are_corrected_for_multiple_testing():
    p_values = np.array([[0.01, 0.04], [math.nan, 0.03]])
    # Benjamini and Hochberg: 3 · 0.01 / 1, 3 · 0.03 / 2 and 3 · 0.04 / 3, made monotonic.
    assert adjusted(p_values).ravel().tolist() == pytest.approx(
        [0.03, 0.04, math.nan, 0.04], nan_ok=True
    )
    assert np.isnan(adjusted(np.full((1, 2), math.nan))).all()


def test_relative_drops_leave_out_languages_with_an_oracle_of_zero():
    scores = {"ungrouped": {"deu": 0.8, "jpn": 0.0}, "kmeans": {"deu": 0.6, "jpn": 0.1}}
    rows = [r.as_dict() for r in (ROWS[1], ROWS[2])]
    found = even_scores(rows, ["ner"], [1], lambda r, t, s: scores[r["grouping"].partition("-")[0]])
    drops = relative_drops(rows[1], rows[0], NER, found)
    assert drops == {"deu": pytest.approx(0.25)}


def test_task_pairs_are_formed_by_kind():
    tasks = [ScoredTask(k, k, "m") for k in ("reranking", "retrieval", "question_answering")]
    assert [(group, a.name, b.name) for group, a, b in task_pairs(tasks)] == [
        ("I", "retrieval", "question_answering"),
        ("II", "retrieval", "reranking"),
        ("III", "reranking", "question_answering"),
    ]
    assert task_pairs(tasks[:1]) == []


def test_correlations_leave_out_tasks_whose_oracle_is_at_chance():
    kinds = {"rerank": "reranking", "qa": "question_answering", "qa2": "question_answering"}
    tasks = [NER, *(ScoredTask(name, kind, "m") for name, kind in kinds.items())]
    oracle, *grouped = (r.as_dict() for r in ROWS[1:4])

    def drawn(*at_chance):
        def by_language(experiment, task, seed):
            whole = 0.2 if task in at_chance else 0.8
            share = experiment["grouping"] == "ungrouped"
            return {code: whole - 0.1 * n * (not share) for n, code in enumerate(["a", "b", "c"])}

        scores = even_scores([oracle, *grouped], ["ner", *kinds], [1], by_language, chance=0.2)
        figure = draw_correlations(grouped, oracle, tasks, scores)
        rows = [text.get_text() for text in figure.axes[0].get_yticklabels()] if figure.axes else []
        return rows, [text.get_text() for text in figure.texts]

    assert drawn() == (["III:  rerank / qa  (3 languages)"], ["grouping ratio $r_G$"])
    rows, notes = drawn("ner", "qa")  # Figure 10 never compares names
    assert rows == ["III:  rerank / qa2  (3 languages)"]
    assert notes == ["grouping ratio $r_G$\nleft out, as their oracle is at chance: qa"]
    rows, notes = drawn("qa", "qa2")
    assert rows == []
    assert notes == ["no pairs of tasks\nleft out, as their oracle is at chance: qa, qa2"]


def test_pipelines_show_steps_of_all_and_of_some_experiments():
    count, pipeline = pipelines([r.as_dict() for r in ROWS])["figure3"]
    assert count == 4
    assert list(pipeline) == ["grouping", "pretraining", "training"]
    assert [operation.required for operation in pipeline.values()] == [True, False, True]
    assert pipeline["grouping"].values == ("K-Means 5%", "K-Means 40%", "First-k 40%")


def test_pipeline_boxes_contain_their_text_and_dashes_are_explained():
    rows = [*ROWS, row("figure9", f"a/{CLSA}/dfull/kmeans-cosine-0.4/mlm", training="ell")]
    figure = draw_pipelines([r.as_dict() for r in rows])
    figure.canvas.draw()
    (axes,) = figure.axes
    texts = {text.get_text(): text.get_window_extent() for text in axes.texts}
    assert {"Modern Greek", "in some of them"} <= texts.keys()
    boxes = [p.get_window_extent() for p in axes.patches if isinstance(p, FancyBboxPatch)]
    for text in axes.texts:
        box = text.get_window_extent()
        overlapping = [b for b in boxes if b.overlaps(box)]
        assert all(b.x0 <= box.x0 and box.x1 <= b.x1 and b.y0 <= box.y0 for b in overlapping)


def test_fonts_are_extracted_from_wheels_without_italics(tmp_path: Path):
    source = findfont("DejaVu Sans")
    with zipfile.ZipFile(tmp_path / "fonts.whl", "w") as archive:
        archive.write(source, "pkg/Some-Regular.ttf")
        archive.write(source, "pkg/Some-Italic.ttf")
    folder = tmp_path / "out"
    folder.mkdir()
    paths = extract_fonts([tmp_path / "fonts.whl"], folder)
    assert [path.name for path in paths] == ["Some-Regular.ttf"]
    fonts = Fonts(paths)
    assert fonts.covering("tomato") == str(paths[0])
    assert fonts.covering("\U0010fffd") is None
    with zipfile.ZipFile(tmp_path / "none.whl", "w") as archive:
        archive.writestr("a.txt", "")
    with pytest.raises(InputError, match="has no font"):
        extract_fonts([tmp_path / "none.whl"], folder)


def test_richest_group_has_the_most_pieces_of_a_kind_and_at_least_half():
    pieces = ["▁1950", "1951", "▁a", "▁b", "▁7", "▁.", "...", "▁c", "▁d", "▁12"]
    groups = np.array([0, 0, 0, 1, 1, 2, 2, 3, 4, 5])
    assert richest_group(pieces, groups, is_number) == 0
    assert richest_group(pieces, groups, is_punctuation) == 2
    assert richest_group(["", "", "."], np.array([0, 0, 1]), is_punctuation) is None
    assert richest_group(["▁1", "▁a", "▁b"], np.array([0, 0, 0]), is_number) is None


@pytest.mark.parametrize(
    ("pieces", "texts"),
    [
        (["▁mother", "ing", "番茄", "##", "▁.."], ["mother", "-ing", "番茄", "##", ".."]),
        (["mother", "##ing", "##茄", "▁", ".."], ["mother", "-ing", "茄", "▁", ".."]),
    ],
)
def test_pieces_from_inside_a_word_have_a_hyphen(pieces: list[str], texts: list[str]):
    members = inspect_group("", 0, pieces, np.zeros(5, dtype=int), torch.ones(5, 2), {}).members
    assert [member.text for member in members] == texts


def test_members_are_ordered_by_similarity_to_the_keyword():
    pieces = ["▁far", "▁near", "▁key", "▁other"]
    vectors = torch.tensor([[0.0, 1.0], [3.0, 0.3], [1.0, 0.0], [1.0, 0.0]])
    group = inspect_group("key", 0, pieces, np.array([0, 0, 0, 1]), vectors, {1: "de: gloss"}, 2)
    assert [(m.text, m.gloss) for m in group.members] == [
        ("key", ""),
        ("near", "de: gloss"),
        ("far", ""),
    ]
    assert [m.similarity for m in group.members] == pytest.approx([1, 3 / math.hypot(3, 0.3), 0])


# Pretraining's curves


def steps_of(losses: list[float]) -> pd.DataFrame:
    return pd.DataFrame({"step": range(1, len(losses) + 1), "loss": losses})


def test_pretraining_has_a_panel_per_embedding_and_a_curve_per_grouping() -> None:
    recipes = [
        Recipe("a", grouping="ungrouped", pretraining="mlm"),
        Recipe("a", grouping="kmeans-cosine-0.05", pretraining="mlm"),
        Recipe("a", CLSA, "d64", "kmeans-cosine-0.05", "mlm"),
    ]
    losses = [float(value) for value in range(100, 0, -1)]
    figure = draw_pretraining({recipe: steps_of(losses) for recipe in recipes})
    first, second = figure.axes
    assert [line.get_label() for line in first.lines] == ["ungrouped", "kmeans-cosine 5%"]
    assert first.get_title() == "a\nno alignment, all dimensions"
    assert second.get_title() == "a\nemoji, 64 dimensions"
    drawn = first.lines[0].get_ydata()
    assert drawn[0] == 100 and drawn[1:4].tolist() == [99.5, 98.5, 97.5]  # over two steps
    assert first.lines[0].get_xdata()[-1] == 100


@pytest.mark.parametrize("panels", [4, 5])
def test_the_last_row_of_pretraining_has_no_empty_panel(panels: int) -> None:
    """A row has three panels."""
    figure = draw_pretraining(
        {Recipe(f"backbone{n}", pretraining="mlm"): steps_of([2.0, 1.0]) for n in range(panels)}
    )
    assert len(figure.axes) == panels


def test_running_mean_starts_with_the_available_values() -> None:
    means = running_mean(np.array([4.0, 2.0, 6.0, 0.0]), 3)
    assert means.tolist() == pytest.approx([4, 3, 4, 8 / 3])


def test_variants_are_sorted_by_alignment_and_then_by_grouping() -> None:
    groupings = ["kmeans-cosine-0.05", "firstk-0.2", "ungrouped", "kmeans-cosine-0.4"]
    groupings.append("lexicon-2grams")  # a lexicon whose name starts with a digit, and no ratio
    recipes = [
        Recipe("a", alignment, grouping=g) for g in groupings for alignment in (CLSA, "unaligned")
    ]
    ordered = [(r.alignment, r.grouping) for r in sorted(recipes, key=by_grouping)]
    expected = ["ungrouped", "firstk-0.2", "kmeans-cosine-0.4", "kmeans-cosine-0.05"]
    expected.append("lexicon-2grams")
    assert ordered == [(a, g) for a in ("unaligned", CLSA) for g in expected]


@pytest.mark.parametrize(
    ("grouping", "label"),
    [
        ("ungrouped", "ungrouped"),
        ("kmeans-cosine-0.05", "kmeans-cosine 5%"),
        ("lexicon-2grams", "lexicon-2grams"),
    ],
)
def test_label_of_a_grouping_has_its_ratio(grouping: str, label: str) -> None:
    assert grouping_label(Recipe("a", grouping=grouping)) == label


@pytest.mark.parametrize("content", ["", "step\tlos", "step\tloss\n1\tx\n"])
def test_damaged_steps_file_is_named_in_the_error(tmp_path: Path, content: str) -> None:
    path = tmp_path / "kmeans.steps.tsv"
    path.write_text(content)
    with pytest.raises(InputError, match=r"kmeans\.steps\.tsv is damaged"):
        read_steps(path)


def test_error_bars_have_no_negative_length() -> None:
    bars = style.error_bars(
        [0.5, 0.5], [0.4, 0.6], [0.8, 0.9]
    )  # the second value is below its interval
    assert bars.tolist() == [pytest.approx([0.1, 0.0]), pytest.approx([0.3, 0.4])]
