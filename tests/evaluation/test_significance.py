from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from semantic_tokens.errors import InputError
from semantic_tokens.evaluation.bootstrap import Resampling
from semantic_tokens.evaluation.scores import Trainings
from semantic_tokens.evaluation.significance import COLUMNS, comparisons, side_by_side, significance
from semantic_tokens.report.tables.significance import write_significance
from semantic_tokens.tasks.scored_items import ScoredItem


def row(path: str, reference: bool = False, training: str = "all-languages") -> dict:
    parts = ("backbone", "alignment", "dimension", "grouping", "pretraining")
    named = dict(zip(parts, path.split("/"), strict=True))
    return named | {"reference": reference, "training": training}


ORACLE = row("b/unaligned/dfull/ungrouped/mlm", reference=True)
GROUPED = row("b/unaligned/dfull/kmeans-cosine-0.05/mlm")
ALIGNED = row("b/clsa-muse/dfull/kmeans-cosine-0.05/mlm")
BARE = row("b/unaligned/dfull/kmeans-cosine-0.05/asis")

ORACLE_PATH = "b/unaligned/dfull/ungrouped/mlm/all-languages"
GROUPED_PATH = "b/unaligned/dfull/kmeans-cosine-0.05/mlm/all-languages"
BARE_PATH = "b/unaligned/dfull/kmeans-cosine-0.05/asis/all-languages"


def test_compared_experiments_differ_in_one_property() -> None:
    other_backbone = row("c/unaligned/dfull/ungrouped/mlm")
    zero_shot = row("b/unaligned/dfull/ungrouped/mlm", training="eng")
    rows = [ORACLE, GROUPED, ALIGNED, BARE, other_backbone, zero_shot]
    assert {(c.first, c.second, c.compared) for c in comparisons(rows)} == {
        (0, 1, "grouping"),
        (1, 2, "alignment"),
        (1, 3, "pretraining"),
        (0, 5, "training"),
        (1, 0, "reference"),
        (2, 0, "reference"),
        (3, 0, "reference"),
        (5, 0, "reference"),
    }


def items(right: list[int]) -> list[ScoredItem]:
    return [ScoredItem(f"{i:03}", "eng", float(value), 1.0) for i, value in enumerate(right)]


def test_real_difference_is_significant_and_random_difference_is_not() -> None:
    generator = np.random.default_rng(3)
    oracle = generator.random(400) < 0.8
    worse = oracle & (generator.random(400) < 0.85)
    shuffled = generator.permutation(oracle)  # as good, on other items
    scored = {"ungrouped": oracle, "kmeans-cosine-0.05": worse, "kmeans-cosine-0.4": shuffled}
    rows = [ORACLE, GROUPED, row("b/unaligned/dfull/kmeans-cosine-0.4/mlm"), GROUPED]
    table = significance(
        {"nli": rows},
        Trainings([1]),
        lambda r, task, seed: items(scored[r["grouping"]])[
            :: 1 if r["grouping"] == "ungrouped" else -1
        ],
        Resampling(2_000),
    )
    assert tuple(table.columns) == COLUMNS
    found = table[table["compared"] == "reference"].set_index("first")
    worse_row = found.loc["b/unaligned/dfull/kmeans-cosine-0.05/mlm/all-languages"]
    assert worse_row["difference"] == pytest.approx(worse.mean() - oracle.mean())
    assert worse_row["low"] < worse_row["difference"] < worse_row["high"] < 0
    assert worse_row["p_adjusted"] < 0.01
    equal_row = found.loc["b/unaligned/dfull/kmeans-cosine-0.4/mlm/all-languages"]
    assert equal_row["difference"] == 0
    assert equal_row["p"] > 0.5
    by_grouping = side_by_side(table, "grouping")
    assert list(by_grouping)[:4] == ["task", "experiment", "first", "second"]
    assert tuple(by_grouping.iloc[0])[:4] == (
        "nli", "b/unaligned/dfull/*/mlm/all-languages", "ungrouped", "kmeans-cosine-0.05",
    )  # fmt: skip
    by_reference = side_by_side(table, "reference")
    assert list(by_reference)[:3] == ["task", "experiment", "first_score"]
    assert (table["p_adjusted"] >= table["p"]).all()
    assert len(table[table["compared"] == "grouping"]) == 3  # the repeated row is one experiment


def test_the_page_has_a_section_per_kind_and_grey_rows(tmp_path: Path) -> None:
    line = {"task": "nli", "second": ORACLE_PATH, "first_score": 0.5, "second_score": 0.6}
    line |= {"difference": -0.1, "low": -0.2, "high": 0.1, "p": 0.01}
    table = pd.DataFrame(
        [
            line | {"compared": "reference", "first": BARE_PATH, "p_adjusted": 0.2},
            line | {"compared": "grouping", "first": GROUPED_PATH, "p_adjusted": 0.03},
        ]
    )
    csv, page = tmp_path / "significance.csv", tmp_path / "significance.html"
    for runs, sentence in (
        (Trainings([1]), "Everything was trained once"),
        (Trainings([1, 2]), "Scores are means over trainings"),
    ):
        write_significance(table, csv, page, title="study", runs=runs, resampling=Resampling(2_000))
        text = page.read_text(encoding="utf-8")
        assert sentence in text and "2,000 samples" in text
    reference, _, grouping = text.partition("Experiments that differ only in grouping")
    assert "Compared with the reference" in reference
    assert 'class="weak' in reference and 'class="weak' not in grouping
    assert pd.read_csv(csv)["p_adjusted"].tolist() == [0.2, 0.03]


def test_scores_over_different_items_are_refused() -> None:
    def items_of(r: dict, task: str, seed: int) -> list[ScoredItem]:
        return items([1, 0, 1] if r["grouping"] == "ungrouped" else [1, 0])

    with pytest.raises(
        InputError, match=r"nli: b/unaligned/dfull/kmeans-cosine-0\.05/mlm/all-languages \(run"
    ):
        significance({"nli": [ORACLE, GROUPED]}, Trainings([1]), items_of, Resampling(100))
