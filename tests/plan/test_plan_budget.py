"""The part of a study within a budget: the rule, the use of the budget, and the files."""

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
#: The rate of operations, and the seconds per job.
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


#: Like the tables of experiments: an oracle before and after pretraining, its curves, and another
#: backbone, which is larger and not pretrained.
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
                "options": {},
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


def budget(hours: float, rows: list[dict[str, Any]] | None = None, **change: Any) -> Budget:
    study = Study(results=Path("nowhere"), **config(**change))
    return Budget(study, ROWS if rows is None else rows, THROUGHPUT.hours, hours, {"search": 20})


def whole() -> SubStudy:
    return budget(1).of(ROWS, ["names", "pairs", "search"])


SHARES = [0.001, 0.003, 0.01, 0.02, 0.03, 0.05, 0.08, 0.12, 0.2, 0.3, 0.45, 0.6, 0.8, 0.95, 1.0]


@pytest.mark.parametrize("share", SHARES)
def test_what_is_selected_fits_and_leaves_no_room_for_a_row(share: float) -> None:
    asked = budget(share * whole().hours)
    found = asked.largest()
    if found is None:
        assert share < 0.01 and asked.cheapest().hours > asked.hours
        return
    again = THROUGHPUT.hours(costs_of(asked.study, found.rows, found.tasks, found.pools))
    assert found.hours == again <= asked.hours
    references = {one["backbone"]: one for one in ROWS if one["reference"]}
    for one in found.rows:  # scores are relative to a selected row
        assert references[one["backbone"]] in found.rows
    for one in ROWS:
        if one not in found.rows:
            more = [r for r in (references[one["backbone"]], one) if r not in found.rows]
            assert asked.of([*found.rows, *more], found.tasks, found.pools).hours > asked.hours
    assert [one for one in ROWS if one in found.rows] == found.rows  # in the table's order


def test_a_sufficient_budget_covers_the_entire_study() -> None:
    asked = budget(whole().hours)
    found = asked.largest()
    assert found == whole() and asked.is_complete(found)
    assert budget_lines(asked, found, THROUGHPUT, "", [])[0].startswith("  budget: ")
    assert "cover the entire study" in budget_lines(asked, found, THROUGHPUT, "", [])[0]


def test_passages_go_first_then_rows_then_tasks() -> None:
    tasks = ["names", "pairs", "search"]
    levels = [budget(1).of(ROWS, tasks, pools) for pools in pools_of()]
    assert [level.hours for level in levels] == sorted((x.hours for x in levels), reverse=True)
    assert len(levels) == 4
    for level in levels:  # the largest pool that fits, with all rows and tasks
        found = budget(level.hours).largest()
        assert found == level
    found = budget(0.999 * levels[-1].hours).largest()  # then the last row is left out
    assert found is not None and (found.rows, found.tasks) == (ROWS[:-1], tasks)
    core = ROWS[:10]
    smallest = budget(1).of(core, tasks, levels[-1].pools)
    found = budget(smallest.hours).largest()
    assert found == smallest
    found = budget(0.999 * smallest.hours).largest()  # then the most expensive task is left out
    by_cost = {task: budget(1).of(core, [task], levels[-1].pools).hours for task in tasks}
    assert found is not None
    assert found.tasks == [task for task in tasks if by_cost[task] < max(by_cost.values())]
    assert all(one in found.rows for one in core)


def pools_of() -> list[dict[str, Any]]:
    """All searched collections: the entire collection, and three pools."""
    pool = {"depth": 20, "seed": 1}
    numbers = (100_000, 10_000, 1_000)
    return [{}, *({"search": pool | {"random_per_language": number}} for number in numbers)]


def test_a_pool_of_the_config_keeps_its_depth_and_is_only_made_smaller() -> None:
    given = {"depth": 50, "random_per_language": 10_000, "seed": 7}
    datasets = config()["datasets"]
    datasets["search"]["pool"] = given
    asked = budget(0, datasets=datasets, tasks={"search": config()["tasks"]["search"]})
    least = asked.cheapest()
    assert least.tasks == ["search"]
    assert least.pools == {"search": given | {"random_per_language": 1_000}}


def test_costs_that_are_shared_count_once() -> None:
    asked = budget(1)
    pretrained = row("figure3", "kmeans-cosine-0.2", pretraining="mlm")
    one, two = (asked.of([pretrained], tasks) for tasks in (["names"], ["names", "pairs"]))
    costs = [costs_of(asked.study, x.rows, x.tasks) for x in (one, two)]
    for rule in ("pretrain", "group_kmeans", "extract_embeddings", "derive_backbone"):
        assert costs[0][rule] == costs[1][rule]
    assert two.hours - one.hours < 0.9 * asked.of([pretrained], ["pairs"]).hours
    aligned = grouped("figure4", alignment=ALIGNED)
    assert costs_of(asked.study, aligned)["align"].jobs == 1


def test_a_budget_that_fits_no_row_names_the_cheapest() -> None:
    asked = budget(1e-6)
    assert asked.largest() is None
    least = min(
        asked.of(rows, [task], pools).hours
        for one in ROWS
        for rows in [
            [r for r in ROWS if r == one or (r["reference"] and r["backbone"] == one["backbone"])]
        ]
        for task in asked.study.tasks
        for pools in pools_of()
    )
    assert asked.cheapest().hours == pytest.approx(least)
    priced = Throughput(1.0, "given", gpus_per_job=1, price_per_gpu_hour=2.0)
    (line,) = budget_lines(asked, None, priced, "", [])
    (name,) = [f"{one['backbone']}/" for one in asked.cheapest().rows[-1:]]
    assert f"The cheapest row is {name}" in line and f"with {asked.cheapest().tasks[0]}: " in line
    assert f"GPU-hours (price_per_gpu_hour: {2 * least:,.2f})." in line
    assert budget(asked.cheapest().hours).largest() is not None


def test_what_cannot_be_counted_is_not_selected() -> None:
    rows = [
        *ROWS,
        row("figure9", training="eng"),
        row("figure7", backbone="unknown", reference=True),
    ]
    backbones = config()["backbones"] | {"unknown": {}}
    found = budget(1e9, rows, backbones=backbones).largest()
    assert found is not None and found.rows == ROWS
    tasks = config()["tasks"]
    tasks["other"] = tasks["names"] | {"dataset": "other"}
    datasets = config()["datasets"]
    datasets["other"] = {"kind": "token_classification", "tokenization": {"max_length": 8}}
    asked = budget(1e9, tasks=tasks, datasets=datasets)
    found = asked.largest()
    assert found is not None and found.tasks == ["names", "pairs", "search"]
    asked = budget(1e9, backbones={"main": {}, "large": {}})
    assert asked.largest() is None and math.isinf(asked.cheapest().hours)
    (line,) = budget_lines(asked, None, THROUGHPUT, "", [])
    assert "do not cover any row that can be counted" in line


def test_what_is_selected_is_a_table_of_experiments_and_a_file_to_overlay(tmp_path: Path) -> None:
    asked = budget(0.5 * budget(1).of(ROWS, list(config()["tasks"]), pools_of()[-1]).hours)
    found = asked.largest()
    assert found is not None and found.pools
    table, overlay = tmp_path / "budget/experiments.tsv", tmp_path / "budget/config.yaml"
    write_sub_study(found, table, overlay, {"throughput": {"tflops": 0.5}})
    known = {"backbones": config()["backbones"], "lexicons": {"words": {}}}
    assert [one.as_dict() for one in read_experiments(table, known, ROWS_SCHEMA)] == found.rows
    laid_over = yaml.safe_load(overlay.read_text(encoding="utf-8"))
    assert laid_over == {
        "experiments": str(table),
        "tasks_shown": found.tasks,
        "throughput": {"tflops": 0.5},
        "datasets": {"search": {"pool": dict(found.pools["search"])}},
    }
    lines = budget_lines(asked, found, THROUGHPUT, "--configfile x", ["a.tsv", "b.yaml"])
    page = "\n".join(lines)
    assert f"cover {len(found.rows)} of {len(ROWS)} experiments with" in page
    assert "search is searched in a pool (depth 20, random_per_language" in page
    assert "Written to a.tsv and b.yaml." in page and "--configfile x" in page
    further = asked.next_row(found)
    assert further is not None and further.hours > asked.hours
    assert f"it would be {further.hours:.2f} core-hours" in page
