"""The paper's 45 rows in our tables: their relative performance."""

import csv
from pathlib import Path

import pytest
from scored import even_scores

from semantic_tokens.evaluation.task_scores import ScoredTask
from semantic_tokens.report.tables.table5 import table5

TASKS = [
    ScoredTask("masakhaner", "token_classification", "f1"),
    ScoredTask("tydiqa", "question_answering", "f1"),
    ScoredTask("xnli", "pair_classification", "acc"),
    ScoredTask("miracl_rerank", "reranking", "ndcg10"),
    ScoredTask("miracl_retrieval", "retrieval", "ndcg10"),
]
DIMENSIONS = {"mbert": 768, "xlmr-base": 768, "xlmr-large": 1024, "xlmv-base": 768}

# "the second row for mBERT, the corresponding 100% rows for the other backbones" (caption)
REFERENCES = {("oracle", "mbert", "yes")} | {
    ("fig7", backbone, "no") for backbone in DIMENSIONS if backbone != "mbert"
}


@pytest.fixture(scope="module")
def printed(shared_data: Path) -> list[dict[str, str]]:
    with (shared_data.parent / "paper/table5.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def experiments(printed):
    """The printed rows as rows of experiments.tsv, each with its line."""
    rows = []
    for line in printed:
        ratio, dim = float(line["ratio"]), int(line["dim"])
        key = (line["figure"], line["backbone"], line["pretrain"])
        rows.append(
            {
                "figure": line["figure"],
                "table5": True,
                "reference": ratio == 1 and key in REFERENCES,
                "backbone": line["backbone"],
                "alignment": "clsa-all" if line["clsa"] == "yes" else "unaligned",
                "dimension": "dfull" if dim == DIMENSIONS[line["backbone"]] else f"d{dim}",
                "grouping": "ungrouped" if ratio == 1 else f"kmeans-cosine-{ratio:g}",
                "pretraining": "mlm" if line["pretrain"] == "yes" else "asis",
                "training": "all-languages",
                "printed": line,
            }
        )
    return rows


def record_of(row, task, seed):
    (column,) = (known.column for known in TASKS if known.name == task)
    return {"value": float(row["printed"][column])}


def test_table5_reproduces_the_printed_columns_and_percentages(printed, experiments):
    # The five rows that Figures 5 and 6 repeat have paths of their own.
    scores = even_scores(
        experiments,
        [task.name for task in TASKS],
        [1],
        lambda experiment, task, seed: {"all": record_of(experiment, task, seed)["value"]},
    )
    table = table5(experiments, TASKS, scores, DIMENSIONS)
    assert len(table) == len(printed) == 45
    identity = ["figure", "backbone", "dim", "ratio", "clsa", "pretrain"]
    for row, printed_row in zip(table.to_dict("records"), printed, strict=True):
        assert [str(row[c]) for c in identity] == [printed_row[c] for c in identity]
        for task in TASKS:
            perc = f"{task.column}_perc"
            assert f"{row[perc]:.1f}" == printed_row[perc], (printed_row, perc)
