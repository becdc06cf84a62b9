"""The published scores of the study on real data, computed again from those of its test items."""

import re
from pathlib import Path

import pandas as pd
import pytest

from semantic_tokens.evaluation.bootstrap import Resampling
from semantic_tokens.evaluation.scores import TaskScores
from semantic_tokens.tasks.scored_items import ScoredItem

DOCS = Path(__file__).resolve().parents[1] / "docs"
#: The tasks of the published table's columns.
TASKS = ("ner", "qa", "nli", "rerank", "retrieval")
#: A score with its interval: ``.656 (.638–.673)``, in which ° marks a score at chance.
PRINTED = re.compile(r"([\d.]+)°? \(([\d.]+)–([\d.]+)\)")


def published() -> dict[tuple[str, str], tuple[str, ...]]:
    """Model and task -> the printed score and interval of the page's tables."""
    found = {}
    for line in (DOCS / "real_study.md").read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) == 2 + len(TASKS) and (model := _model(*cells[:2])):
            for task, cell in zip(TASKS, cells[2:], strict=True):
                if score := PRINTED.fullmatch(cell):
                    found[model, task] = score.groups()
    return found


def _model(name: str, ratio: str) -> str | None:
    """The path of a model's recipe without its backbone; None for baselines and headings."""
    name, pretrained, _ = name.partition(", pretrained")
    methods = {
        "ungrouped": "unaligned/dfull/ungrouped",
        "K-Means": "unaligned/dfull/kmeans-cosine",
        "aligned K-Means": "clsa-muse+concepticon/dfull/kmeans-cosine",
        "random groups": "unaligned/dfull/random",
        "weighted K-Means": "unaligned/dfull/kmeans-weighted",
        "First-k": "unaligned/dfull/firstk",
    }
    if name not in methods or not ratio.endswith("%"):
        return None
    share = "" if name == "ungrouped" else f"-{float(ratio[:-1]) / 100:g}"
    return f"{methods[name]}{share}/{'mlm' if pretrained else 'asis'}"


def test_published_scores_follow_from_their_items() -> None:
    items = pd.read_parquet(DOCS / "real_study_items.parquet").astype({"cluster": object})
    items["cluster"] = items["cluster"].where(items["cluster"].notna(), None)
    printed = published()
    for task, of_task in items.groupby("task", observed=True):
        models = {
            str(model): [[ScoredItem(*row) for row in part[list(ScoredItem._fields)].values]]
            for model, part in of_task.groupby("model", observed=True)
        }
        scores = TaskScores(str(task), models, Resampling())
        for model in models:
            texts = printed[model, str(task)]
            for text, value in zip(texts, scores.estimate(model)[:3], strict=True):
                assert float(text) == pytest.approx(
                    value, abs=0.51 * 10 ** -len(text.partition(".")[2])
                )
