"""The part of a study within a budget: its selection, the page, and the files."""

import math
from pathlib import Path
from typing import Any

import pytest
import yaml
from test_plan import SHAPE

from semantic_tokens.plan.budget import Budget, SubStudy, write_sub_study
from semantic_tokens.plan.costs import costs_of
from semantic_tokens.plan.report import budget_lines
from semantic_tokens.plan.study import Study
from semantic_tokens.plan.throughput import Throughput
from semantic_tokens.study.experiments import read_experiments

ROWS_SCHEMA = Path(__file__).resolve().parents[2] / "config/schemas/experiments.schema.json"
ALIGNED = "clsa-words"
RATIOS = (0.4, 0.2, 0.1, 0.05)
THROUGHPUT = Throughput(1e8, "given", utilisation=0.5, seconds_per_job=1.0)


def row(
    figure: str,
    grouping: str = "ungrouped",
    *,
    backbone: str = "main",
    alignment: str = "unaligned",
    pretraining: str = "asis",
    reference: bool = False,
    training: str = "all-languages",
) -> dict[str, Any]:
    return {
        "figure": figure,
        "table5": True,
        "reference": reference,
        "backbone": backbone,
        "alignment": alignment,
        "dimension": "dfull",
        "grouping": grouping,
        "pretraining": pretraining,
        "training": training,
    }


def grouped(figure: str, **options: Any) -> list[dict[str, Any]]:
    return [row(figure, f"kmeans-cosine-{ratio}", **options) for ratio in RATIOS]


#: An oracle before and after pretraining, its curves, and another backbone, which is larger and not
#: pretrained.
ROWS = [
    row("oracle"),
    row("oracle", pretraining="mlm", reference=True),
    *grouped("figure3"),
    *grouped("figure3", pretraining="mlm"),
    *grouped("figure4", alignment=ALIGNED),
    *grouped("figure4", alignment=ALIGNED, pretraining="mlm"),
    row("figure7", backbone="large", alignment=ALIGNED, reference=True),
    *grouped("figure7", backbone="large", alignment=ALIGNED),
]


def config(**change: Any) -> dict[str, Any]:
    training = {"epochs": 1, "batch_size": 8}
    ranking = {"kind": "ranking", "options": {"languages": ["deu", "zho"]}}
    lengths = {"max_query_length": 8, "max_passage_length": 16}
    return {
        "tasks": {
            "names": {
                "kind": "token_classification",
                "dataset": "names",
                "options": {},
                "training": training,
            },
            "pairs": {
                "kind": "pair_classification",
                "dataset": "pairs",
                "options": {},
                "training": training,
            },
            "search": {
                "kind": "retrieval",
                "dataset": "search",
                "options": {"negatives_per_query": 1},
                "training": training,
            },
        },
        "datasets": {
            "names": {
                "kind": "token_classification",
                "tokenization": {"max_length": 16},
                "counts": {"train": 1000, "test": 200},
            },
            "pairs": {
                "kind": "pair_classification",
                "tokenization": {"max_length": 32},
                "counts": {"train": 4000, "test": 200},
            },
            "search": ranking
            | {
                "tokenization": lengths,
                "counts": {"train": 20, "test": 10, "relevant": 1.5, "passages": 1_000_000},
            },
        },
        "backbones": {"main": {"shape": SHAPE}, "large": {"shape": SHAPE | {"layers": 4}}},
        "corpora": {"wikipedia": {"reader": "wikipedia"}},
        "sizes": {},
        "pretraining": {
            "corpora": ["wikipedia"],
            "training": {"max_steps": 100, "batch_size": 16},
            "sequence_length": 32,
            "mask_probability": 0.15,
        },
        "kmeans": {"max_iterations": 10},
        "seeds": [1],
        "resegment": True,
    } | change


def make_budget(hours: float, rows: list[dict[str, Any]] | None = None, **change: Any) -> Budget:
    study = Study(results=Path("nowhere"), **config(**change))
    return Budget(study, ROWS if rows is None else rows, THROUGHPUT.hours, hours, {"search": 20})


def full_study() -> SubStudy:
    return make_budget(1).of(ROWS, ["names", "pairs", "search"])


SHARES = [0.001, 0.003, 0.01, 0.02, 0.03, 0.05, 0.08, 0.12, 0.2, 0.3, 0.45, 0.6, 0.8, 0.95, 1.0]


@pytest.mark.parametrize("share", SHARES)
def test_selection_fits_the_budget_and_no_row_can_be_added(share: float) -> None:
    budget = make_budget(share * full_study().hours)
    found = budget.largest()
    if found is None:
        assert share < 0.01 and budget.cheapest().hours > budget.hours
        return
    again = THROUGHPUT.hours(costs_of(budget.study, found.rows, found.tasks, found.pools))
    assert found.hours == again <= budget.hours
    references = {one["backbone"]: one for one in ROWS if one["reference"]}
    for one in found.rows:  # scores are relative to a selected row
        assert references[one["backbone"]] in found.rows
    for one in ROWS:
        if one not in found.rows:
            more = [r for r in (references[one["backbone"]], one) if r not in found.rows]
            assert budget.of([*found.rows, *more], found.tasks, found.pools).hours > budget.hours
    assert [one for one in ROWS if one in found.rows] == found.rows  # in the table's order


def test_a_sufficient_budget_covers_the_entire_study() -> None:
    budget = make_budget(full_study().hours)
    found = budget.largest()
    assert found == full_study() and budget.is_complete(found)
    assert budget_lines(budget, found, THROUGHPUT, "", [])[0].startswith("  budget: ")
    assert "cover the entire study" in budget_lines(budget, found, THROUGHPUT, "", [])[0]


def test_selection_reduces_passages_then_rows_then_tasks() -> None:
    tasks = ["names", "pairs", "search"]
    levels = [make_budget(1).of(ROWS, tasks, pools) for pools in pools_of()]
    assert [level.hours for level in levels] == sorted((x.hours for x in levels), reverse=True)
    assert len(levels) == 4
    for level in levels:  # the largest pool that fits, with all rows and tasks
        found = make_budget(level.hours).largest()
        assert found == level
    found = make_budget(0.999 * levels[-1].hours).largest()  # then the last row is left out
    assert found is not None and (found.rows, found.tasks) == (ROWS[:-1], tasks)
    core = ROWS[:10]
    smallest = make_budget(1).of(core, tasks, levels[-1].pools)
    found = make_budget(smallest.hours).largest()
    assert found == smallest
    found = make_budget(
        0.999 * smallest.hours
    ).largest()  # then the most expensive task is left out
    by_cost = {task: make_budget(1).of(core, [task], levels[-1].pools).hours for task in tasks}
    assert found is not None
    assert found.tasks == [task for task in tasks if by_cost[task] < max(by_cost.values())]
    assert all(one in found.rows for one in core)


def test_main_backbone_is_that_of_the_oracle() -> None:
    other = grouped("figure3", backbone="large")
    rows = [*other, row("oracle", reference=True), *grouped("figure3")]
    tasks = ["names", "pairs", "search"]
    core = make_budget(1, rows).of(rows[len(other) :], tasks, pools_of()[-1])
    found = make_budget(core.hours, rows).largest()
    assert found is not None and (found.rows, found.tasks) == (core.rows, tasks)


def pools_of() -> list[dict[str, Any]]:
    """The entire collection, and three pools of decreasing size."""
    pool = {"depth": 20, "seed": 1}
    numbers = (100_000, 10_000, 1_000)
    return [{}, *({"search": pool | {"random_per_language": number}} for number in numbers)]


def test_configured_pool_keeps_its_depth_and_only_shrinks() -> None:
    pool = {"depth": 50, "random_per_language": 10_000, "seed": 7}
    datasets = config()["datasets"]
    datasets["search"]["pool"] = pool
    budget = make_budget(0, datasets=datasets, tasks={"search": config()["tasks"]["search"]})
    cheapest = budget.cheapest()
    assert cheapest.tasks == ["search"]
    assert cheapest.pools == {"search": pool | {"random_per_language": 1_000}}


def test_shared_costs_count_once() -> None:
    budget = make_budget(1)
    pretrained = row("figure3", "kmeans-cosine-0.2", pretraining="mlm")
    one, two = (budget.of([pretrained], tasks) for tasks in (["names"], ["names", "pairs"]))
    costs = [costs_of(budget.study, x.rows, x.tasks) for x in (one, two)]
    for rule in ("pretrain", "group_kmeans", "extract_embeddings", "derive_backbone"):
        assert costs[0][rule] == costs[1][rule]
    assert two.hours - one.hours < 0.9 * budget.of([pretrained], ["pairs"]).hours
    aligned = grouped("figure4", alignment=ALIGNED)
    assert costs_of(budget.study, aligned)["align"].jobs == 1


def test_too_small_budget_names_the_cheapest_row() -> None:
    budget = make_budget(1e-6)
    assert budget.largest() is None
    cheapest = min(
        budget.of(rows, [task], pools).hours
        for one in ROWS
        for rows in [
            [r for r in ROWS if r == one or (r["reference"] and r["backbone"] == one["backbone"])]
        ]
        for task in budget.study.tasks
        for pools in pools_of()
    )
    assert budget.cheapest().hours == pytest.approx(cheapest)
    priced = Throughput(1.0, "given", gpus_per_job=1, price_per_gpu_hour=2.0)
    (line,) = budget_lines(budget, None, priced, "", [])
    (name,) = [f"{one['backbone']}/" for one in budget.cheapest().rows[-1:]]
    assert f"The cheapest row is {name}" in line and f"with {budget.cheapest().tasks[0]}: " in line
    assert f"GPU-hours (price_per_gpu_hour: {2 * cheapest:,.2f})." in line
    assert make_budget(budget.cheapest().hours).largest() is not None


def test_rows_and_tasks_that_cannot_be_counted_are_not_selected() -> None:
    rows = [
        *ROWS,
        row("figure9", training="eng"),
        row("figure7", backbone="unknown", reference=True),
    ]
    backbones = config()["backbones"] | {"unknown": {}}
    found = make_budget(1e9, rows, backbones=backbones).largest()
    assert found is not None and found.rows == ROWS
    tasks = config()["tasks"]
    tasks["other"] = tasks["names"] | {"dataset": "other"}
    datasets = config()["datasets"]
    datasets["other"] = {"kind": "token_classification", "tokenization": {"max_length": 8}}
    budget = make_budget(1e9, tasks=tasks, datasets=datasets)
    found = budget.largest()
    assert found is not None and found.tasks == ["names", "pairs", "search"]
    budget = make_budget(1e9, backbones={"main": {}, "large": {}})
    assert budget.largest() is None and math.isinf(budget.cheapest().hours)
    (line,) = budget_lines(budget, None, THROUGHPUT, "", [])
    assert "do not cover any row" in line


def test_selection_is_written_as_experiments_and_config_files(tmp_path: Path) -> None:
    budget = make_budget(
        0.5 * make_budget(1).of(ROWS, list(config()["tasks"]), pools_of()[-1]).hours
    )
    found = budget.largest()
    assert found is not None and found.pools
    table, overlay = tmp_path / "budget/experiments.tsv", tmp_path / "budget/config.yaml"
    write_sub_study(found, table, overlay, {"throughput": {"tflops": 0.5}})
    known = {"backbones": config()["backbones"], "lexicons": {"words": {}}}
    assert [one.as_dict() for one in read_experiments(table, known, ROWS_SCHEMA)] == found.rows
    overlaid = yaml.safe_load(overlay.read_text(encoding="utf-8"))
    assert overlaid == {
        "experiments": str(table),
        "tasks_shown": found.tasks,
        "throughput": {"tflops": 0.5},
        "datasets": {"search": {"pool": dict(found.pools["search"])}},
    }
    lines = budget_lines(budget, found, THROUGHPUT, "--configfile x", ["a.tsv", "b.yaml"])
    page = "\n".join(lines)
    assert f"cover {len(found.rows)} of {len(ROWS)} experiments with" in page
    assert "search is searched in a pool (depth 20, random_per_language" in page
    assert "Written to a.tsv and b.yaml." in page and "--configfile x" in page
    further = budget.next_row(found)
    assert further is not None and further.hours > budget.hours
    assert f"it would be {further.hours:.2f} core-hours" in page
