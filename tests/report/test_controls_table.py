import math
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scored import FEW, even_scores

from semantic_tokens.evaluation.scores import Scores, Trainings
from semantic_tokens.evaluation.task_scores import ScoredTask
from semantic_tokens.report.tables.controls import controls, write_controls
from semantic_tokens.tasks.scored_items import ScoredItem

PARTS = ("backbone", "alignment", "dimension", "grouping", "pretraining")
NLI = ScoredTask("nli", "pair_classification", "accuracy")


def row(path: str) -> dict:
    named = dict(zip(PARTS, path.split("/"), strict=True))
    return {"figure": "controls", "training": "all-languages"} | named


ORACLE = row("b/unaligned/dfull/ungrouped/mlm")
VALUES = {
    "b/unaligned/dfull/random-0.05/asis": 0.5,
    "b/unaligned/dfull/kmeans-cosine-0.05/asis": 0.6,
    "b/clsa-muse/dfull/kmeans-cosine-0.05/asis": 0.65,
    "b/unaligned/dfull/kmeans-weighted-0.05/asis": 0.7,
    "b/unaligned/dfull/random-0.2/asis": 0.55,
}
ROWS = [row(path) for path in VALUES]


def value_of(experiment: dict) -> float:
    return VALUES.get("/".join(experiment[part] for part in PARTS), 0.8)


@pytest.fixture
def table() -> pd.DataFrame:
    scores = even_scores(
        [ORACLE, *ROWS], ["nli"], [1], lambda r, *_: {"eng": value_of(r)}, chance=0.5
    )
    return controls(ROWS, [NLI], scores, oracle=ORACLE, full_dimension={"b": 64})


def test_methods_are_in_order_with_their_difference_to_k_means(table: pd.DataFrame) -> None:
    shown = ["method", "clsa", "ratio", "nli_accuracy", "nli_accuracy_minus_kmeans"]
    lines = table[shown].fillna(-1).values.tolist()
    assert lines == [
        ["K-Means", "no", 0.05, 0.6, -1],
        ["K-Means", "yes", 0.05, 0.65, pytest.approx(0.05)],
        ["K-Means, weighted", "no", 0.05, 0.7, pytest.approx(0.1)],
        ["random groups", "no", 0.2, 0.55, -1],  # no K-Means at 20%
        ["random groups", "no", 0.05, 0.5, pytest.approx(-0.1)],
    ]
    assert table["nli_accuracy_perc"].tolist() == pytest.approx([75, 81.25, 87.5, 68.75, 62.5])
    assert table["nli_accuracy_above_chance"].tolist() == ["yes", "yes", "yes", "yes", "no"]


def test_the_page_distinguishes_better_from_worse_and_marks_chance(
    table: pd.DataFrame, tmp_path: Path
) -> None:
    write_controls(
        table, [NLI], tmp_path / "c.csv", tmp_path / "c.html", title="a & b", confidence=0.95
    )
    page = (tmp_path / "c.html").read_text(encoding="utf-8")
    assert "a &amp; b" in page
    assert "0.500° (0.500 to 0.500)" in page
    assert 'class="red text">-0.100 (-0.100 to -0.100)' in page
    assert 'class="green text">+0.100 (+0.100 to +0.100)' in page
    written = pd.read_csv(tmp_path / "c.csv")
    assert written["nli_accuracy_low"].tolist() == [0.6, 0.65, 0.7, 0.55, 0.5]
    assert math.isnan(written.loc[0, "nli_accuracy_minus_kmeans"])


def test_rows_that_differ_in_lexicons_dimension_or_training_are_told_apart(
    table: pd.DataFrame, tmp_path: Path
) -> None:
    paths = [
        "b/clsa-muse/dfull/kmeans-cosine-0.4/asis",
        "b/clsa-emoji/dfull/kmeans-cosine-0.4/asis",
        "b/unaligned/dfull/random-0.05/asis",
        "b/unaligned/d16/random-0.05/asis",
    ]
    rows = [*map(row, paths), {**row(paths[2]), "training": "deu"}]
    values = dict(zip(paths, [0.5, 0.6, 0.7, 0.8], strict=True))
    scores = even_scores(
        [ORACLE, *rows], ["nli"], [1],
        lambda r, *_: {"eng": values.get("/".join(r[part] for part in PARTS), 0.9), "deu": 0.5},
    )  # fmt: skip
    found = controls(rows, [NLI], scores, oracle=ORACLE, full_dimension={"b": 64})
    parts = ["method", "clsa", "ratio", "pretrain", "alignment", "dim", "training"]
    assert not found.duplicated(parts).any()
    assert found[["method", "alignment", "dim", "grouping", "training"]].values.tolist() == [
        ["K-Means", "clsa-emoji", 64, "kmeans-cosine-0.4", "all-languages"],
        ["K-Means", "clsa-muse", 64, "kmeans-cosine-0.4", "all-languages"],
        ["random groups", "unaligned", 64, "random-0.05", "all-languages"],
        ["random groups", "unaligned", 16, "random-0.05", "all-languages"],
        ["random groups", "unaligned", 64, "random-0.05", "deu"],
    ]

    def heads(shown: pd.DataFrame) -> list[str]:
        page = tmp_path / "c.html"
        write_controls(shown, [NLI], tmp_path / "c.csv", page, title="", confidence=0.95)
        first, _, _ = page.read_text(encoding="utf-8").partition("</thead>")
        return re.findall(r"<th[^>]*>([^<]*)</th>", first)

    assert heads(found)[:7] == parts
    assert heads(table)[:5] == [*parts[:4], "nli (Accuracy)"]  # nothing else differs


def test_standard_deviations_over_seeds_are_in_the_file(tmp_path: Path) -> None:
    values = {1: 0.5, 2: 0.7}
    scores = even_scores([ORACLE], ["nli"], [1, 2], lambda _, task, seed: {"eng": values[seed]})
    table = controls([ORACLE], [NLI], scores, oracle=ORACLE, full_dimension={"b": 64})
    write_controls(table, [NLI], tmp_path / "c.csv", tmp_path / "c.html", title="", confidence=0.95)
    written = pd.read_csv(tmp_path / "c.csv")
    assert written["nli_accuracy_std"].tolist() == [0.1414]
    assert "nli_accuracy_std_replicates" not in written


def test_percentages_are_of_the_oracle_in_the_same_languages() -> None:
    zero_shot = {**ROWS[0], "training": "deu"}
    by_language_of = {"all-languages": {"deu": 0.9, "swa": 0.6}, "deu": {"deu": 0.9, "swa": 0.3}}
    scores = even_scores(
        [ORACLE, zero_shot], ["nli"], [1], lambda row, *_: by_language_of[row["training"]]
    )
    table = controls([zero_shot], [NLI], scores, oracle=ORACLE, full_dimension={"b": 64})
    assert table["nli_accuracy_perc"].tolist() == pytest.approx([50])


def test_the_difference_is_paired_by_item() -> None:
    """Two models that miss nearly the same items differ by much less than each varies."""
    generator = np.random.default_rng(1)
    base = generator.random(300) < 0.6
    better = base | (generator.random(300) < 0.05)
    plain, aligned = ROWS[1], ROWS[2]

    def items(right: np.ndarray) -> list[ScoredItem]:
        return [ScoredItem(f"{n:03}", "eng", float(r), 1.0) for n, r in enumerate(right)]

    scores = Scores(
        {"nli": [ORACLE, plain, aligned]},
        Trainings([1]),
        lambda r, *_: items(better if r["alignment"] == "clsa-muse" else base),
        lambda baseline, task: items(np.zeros(300)) if baseline == "chance" else None,
        FEW,
    )
    found = controls([plain, aligned], [NLI], scores, oracle=ORACLE, full_dimension={"b": 64})
    line = found.iloc[1]
    score_width = line["nli_accuracy_high"] - line["nli_accuracy_low"]
    difference_width = (
        line["nli_accuracy_minus_kmeans_high"] - line["nli_accuracy_minus_kmeans_low"]
    )
    assert line["nli_accuracy_minus_kmeans"] == pytest.approx(better.mean() - base.mean())
    assert 0 < difference_width < score_width / 2
