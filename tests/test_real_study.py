"""The published scores of the study on real data, computed again from those of its test items."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import pandas as pd

from semantic_tokens.evaluation.bootstrap import Resampling
from semantic_tokens.evaluation.scores import TaskScores
from semantic_tokens.tasks.scored_items import ScoredItem

DOCS = Path(__file__).resolve().parents[1] / "docs"
#: The tasks of the published table's columns.
TASKS = ("ner", "qa", "nli", "rerank", "retrieval")
#: The tasks of the columns of the table of transfer from English.
TRANSFERRED = ("qa", "rerank", "retrieval")
#: The tasks of the columns of the table of further trainings.
TRAINED_AGAIN = ("ner", "nli", "rerank", "retrieval")
#: A score with its interval: ``.656 (.638–.673)``, in which ° marks a score at chance.
PRINTED = re.compile(r"([\d.]+)°? \(([\d.]+)–([\d.]+)\)")


def published() -> dict[tuple[str, str], tuple[str, ...]]:
    """Model and task -> the printed score and interval of the page's tables."""
    return _cells(TASKS, PRINTED)


def _printed(
    model: str, tasks: Sequence[str], cells: Sequence[str]
) -> dict[tuple[str, str], tuple[str, ...]]:
    """Model and task -> the printed score and interval, of which each cell must be one."""
    found = {}
    for task, cell in zip(tasks, cells, strict=True):
        numbers = PRINTED.fullmatch(cell)
        assert numbers, cell
        found[model, task] = numbers.groups()
    return found


def published_with_one_member() -> dict[tuple[str, str], tuple[str, ...]]:
    """Model and task -> the printed score and interval of groups with the embedding of one member,
    and of the same groups with the mean."""
    methods = {"K-Means": "kmeans-cosine", "random groups": "random"}
    found: dict[tuple[str, str], tuple[str, ...]] = {}
    for cells in _rows():
        name, _, embedding = cells[0].partition(", ")
        if name in methods and embedding in ("the mean", "one member's"):
            suffix = " (member)" if embedding == "one member's" else ""
            model = f"unaligned/dfull/{methods[name]}-0.05/asis{suffix}"
            found |= _printed(model, TASKS, cells[1:])
    assert len(found) == 4 * len(TASKS)
    return found


def published_from_english() -> dict[tuple[str, str], tuple[str, ...]]:
    """Model and task -> the printed score and interval, in other languages, of aligned and
    pretrained models that were trained on English alone."""
    found: dict[tuple[str, str], tuple[str, ...]] = {}
    for cells in _rows():
        name, ending, _ = cells[0].partition(", from English")
        if ending and len(cells) == 2 + len(TRANSFERRED):
            model = f"{_model(f'aligned {name}, pretrained', cells[1])}/eng"
            found |= _printed(model, TRANSFERRED, cells[2:])
    assert len(found) == 5 * len(TRANSFERRED)
    return found


def published_again() -> dict[tuple[str, str], tuple[str, ...]]:
    """Model and task -> the printed scores of all trainings."""
    found = _cells(TRAINED_AGAIN, re.compile(r"([\d.]+(?:, [\d.]+)+)"))
    return {key: tuple(cell.split(", ")) for key, (cell,) in found.items()}


def _rows() -> Iterator[list[str]]:
    """The cells of each row of the page's tables."""
    for line in (DOCS / "real_study.md").read_text(encoding="utf-8").splitlines():
        if line.startswith("|"):
            yield [cell.strip() for cell in line.strip("|").split("|")]


def _cells(
    tasks: Sequence[str], pattern: re.Pattern[str]
) -> dict[tuple[str, str], tuple[str, ...]]:
    """Model and task -> the numbers in this cell, of the page's tables with these columns."""
    found = {}
    for cells in _rows():
        if len(cells) == 2 + len(tasks) and (model := _model(*cells[:2])):
            for task, cell in zip(tasks, cells[2:], strict=True):
                if numbers := pattern.fullmatch(cell):
                    found[model, task] = numbers.groups()
    return found


def _model(name: str, ratio: str) -> str | None:
    """The path of a model's recipe without its backbone; None for baselines and headings."""
    name, pretrained, _ = name.partition(", pretrained")
    methods = {
        "ungrouped": "unaligned/dfull/ungrouped",
        "K-Means": "unaligned/dfull/kmeans-cosine",
        "aligned ungrouped": "clsa-muse+concepticon/dfull/ungrouped",
        "aligned K-Means": "clsa-muse+concepticon/dfull/kmeans-cosine",
        "random groups": "unaligned/dfull/random",
        "weighted K-Means": "unaligned/dfull/kmeans-weighted",
        "First-k": "unaligned/dfull/firstk",
    }
    if name not in methods or not ratio.endswith("%"):
        return None
    share = "" if name.endswith("ungrouped") else f"-{float(ratio[:-1]) / 100:g}"
    return f"{methods[name]}{share}/{'mlm' if pretrained else 'asis'}"


def published_items(training: int) -> pd.DataFrame:
    """The scored test items of a training, which are counted from 1."""
    items = pd.read_parquet(DOCS / "real_study_items.parquet").astype({"cluster": object})
    items["cluster"] = items["cluster"].where(items["cluster"].notna(), None)
    return items[items["training"] == training]


def rounds_to(value: float, text: str) -> bool:
    """Whether a value is printed as this text."""
    return abs(float(text) - value) <= 0.51 * 10 ** -len(text.partition(".")[2])


def test_published_scores_follow_from_their_items() -> None:
    printed = published()
    with_one_member = published_with_one_member()
    for key, texts in with_one_member.items():
        assert printed.setdefault(key, texts) == texts
    printed |= published_from_english()
    for task, of_task in published_items(1).groupby("task", observed=True):
        models = {
            str(model): [[ScoredItem(*row) for row in part[list(ScoredItem._fields)].values]]
            for model, part in of_task.groupby("model", observed=True)
        }
        from_english = {model: "eng" for model in models if model.endswith("/eng")}
        scores = TaskScores(str(task), models, Resampling(), languages_trained_on=from_english)
        for model in models:
            texts = printed[model, str(task)]
            for text, value in zip(texts, scores.estimate(model)[:3], strict=True):
                assert rounds_to(value, text), (task, model, text, value)


def test_published_scores_of_further_trainings_follow_from_their_items() -> None:
    first, all_trainings = published(), published_again()
    assert len(all_trainings) == 15 * len(TRAINED_AGAIN)
    values = {training: scores_of(published_items(training)) for training in (2, 3)}
    for (model, task), (once, *again) in all_trainings.items():
        assert once == first[model, task][0]
        assert len(again) == 2
        for training, text in enumerate(again, start=2):
            assert rounds_to(values[training][task, model], text), (task, model, training)


def test_published_means_of_all_trainings_follow_from_their_items() -> None:
    printed = _cells(TRAINED_AGAIN, PRINTED)
    by_training = [published_items(training) for training in (1, 2, 3)]
    models = {model for model, _ in printed}
    assert len(printed) == 15 * len(TRAINED_AGAIN) and len(models) == 15
    for task in TRAINED_AGAIN:
        runs = {
            model: [
                [ScoredItem(*row) for row in part[list(ScoredItem._fields)].values]
                for items in by_training
                for part in [items[(items["task"] == task) & (items["model"] == model)]]
            ]
            for model in sorted(models)
        }
        scores = TaskScores(task, runs, Resampling(), replicates=len(by_training))
        for model in models:
            texts = printed[model, task]
            for text, value in zip(texts, scores.estimate(model)[:3], strict=True):
                assert rounds_to(value, text), (task, model, text, value)


def scores_of(items: pd.DataFrame) -> pd.Series:
    """Task and model -> the mean of the scores of the languages."""
    points = items.groupby(["task", "model", "language"], observed=True)[["earned", "possible"]]
    by_language = points.sum()
    return (by_language["earned"] / by_language["possible"]).groupby(["task", "model"]).mean()
