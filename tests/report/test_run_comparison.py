"""The comparison of two runs: numbers compared with a direct computation, and notes."""

import csv
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import false_discovery_control

from semantic_tokens.cli import main
from semantic_tokens.errors import InputError
from semantic_tokens.json_files import read_json, write_json
from semantic_tokens.report.run_comparison.compare import COLUMNS, RunComparison, compare_runs
from semantic_tokens.report.run_comparison.runs import read_run
from semantic_tokens.report.run_comparison.show import printed
from semantic_tokens.study.runs import BASE, in_run
from semantic_tokens.tasks.scored_items import ScoredItem, write_items

ORACLE = "b/unaligned/dfull/ungrouped/asis"
GROUPED = "b/unaligned/dfull/kmeans-cosine-0.05/asis"
RESAMPLES = 4_000

CONFIGURATION = {
    "title": "A study",
    "seeds": [1],
    "replicates": 1,
    "evaluation_split": "test",
    "significance": {"resamples": RESAMPLES, "seed": 1, "confidence": 0.95},
    "tasks": {"nli": {"kind": "pair_classification", "dataset": "pairs", "learning_rate": 0.001}},
    "datasets": {"pairs": {"kind": "pair_classification", "reader": "jsonl", "options": {}}},
}


def nli(right: Sequence[bool], languages: Sequence[str] = ("deu", "eng")) -> list[ScoredItem]:
    """Items with the languages in turn."""
    return [
        ScoredItem(f"{number:04}", languages[number % len(languages)], float(value), 1.0)
        for number, value in enumerate(right)
    ]


def save(
    root: Path,
    run: str,
    scores: Mapping[str, Sequence[ScoredItem]],
    *,
    task: str = "nli",
    configuration: Mapping[str, Any] | None = CONFIGURATION,
) -> None:
    """Write a run's scores in the workflow's format.

    Args:
        scores: ``{recipe}/{seed}`` -> scores.
    """
    for recipe_and_seed, items in scores.items():
        recipe, _, seed = recipe_and_seed.rpartition("/")
        folder = root / in_run("results/scores", run) / recipe / task / "all-languages"
        write_items(items, folder / f"seed-{seed}.items.parquet")
        write_json({"metric": "accuracy"}, folder / f"seed-{seed}.json")
    if configuration is not None:
        made_with = {**configuration, "run": run}
        write_json(made_with, root / in_run("results/configuration.json", run))
        write_json(
            {
                "configuration": made_with,
                "code": {"version": "1", "sha256": "a", "commit": None, "changed_since": None},
                "python": "3.12",
                "packages": {"torch": "1", "numpy": "1"},
                "inputs": {in_run("resources/wheels/emoji.whl", run): "c"},
            },
            root / in_run("results/provenance.json", run),
        )


def compare_saved_runs(root: Path, first: str = BASE, second: str = "lr") -> RunComparison:
    return compare_runs(read_run(first, root), read_run(second, root))


def drawn_differences(first: np.ndarray, second: np.ndarray, seed: int) -> np.ndarray:
    """Differences of the means over two languages, with items drawn in pairs, by independent
    code."""
    generator = np.random.default_rng(seed)
    total = np.zeros(RESAMPLES)
    for language in range(2):
        difference = second[language::2].astype(float) - first[language::2]
        places = generator.integers(len(difference), size=(RESAMPLES, len(difference)))
        total += difference[places].mean(axis=1)
    return total / 2


def test_differences_equal_a_direct_computation(tmp_path: Path) -> None:
    generator = np.random.default_rng(5)
    oracle = generator.random(600) < 0.7
    better = oracle | (generator.random(600) < 0.2)
    shuffled = generator.permutation(oracle)
    save(tmp_path, BASE, {f"{ORACLE}/1": nli(oracle), f"{GROUPED}/1": nli(oracle)})
    save(tmp_path, "lr", {f"{ORACLE}/1": nli(better)[::-1], f"{GROUPED}/1": nli(shuffled)})
    found = compare_saved_runs(tmp_path)
    assert tuple(found.table) == COLUMNS
    table = found.table.set_index("experiment")
    values = {ORACLE: better, GROUPED: shuffled}
    for recipe, second in values.items():
        line = table.loc[f"{recipe}/all-languages"]
        scores = [np.mean([v[0::2].mean(), v[1::2].mean()]) for v in (oracle, second)]
        assert [line["first_score"], line["second_score"]] == pytest.approx(scores)
        assert line["difference"] == pytest.approx(scores[1] - scores[0])
        draws = drawn_differences(oracle, second, seed=9)
        assert [line["low"], line["high"]] == pytest.approx(
            np.percentile(draws, [2.5, 97.5]).tolist(), abs=0.004
        )
        sides = min((draws <= 0).sum(), (draws >= 0).sum())
        assert line["p"] == pytest.approx(min(1, 2 * (sides + 1) / (RESAMPLES + 1)), abs=0.05)
        for side in ("first", "second"):
            assert line[f"{side}_low"] < line[f"{side}_score"] < line[f"{side}_high"]
        assert (line["metric"], line["trainings"]) == ("accuracy", 1)
    assert table["p_adjusted"].tolist() == pytest.approx(
        false_discovery_control(table["p"].tolist()).tolist()
    )
    assert table.loc[f"{ORACLE}/all-languages", "p_adjusted"] < 0.01 < 0.2
    assert table.loc[f"{GROUPED}/all-languages", "p"] > 0.1
    assert found.notes == []


def test_score_intervals_equal_those_of_table_5(tmp_path: Path) -> None:
    """Draws depend only on a task's items and the seed."""
    from semantic_tokens.evaluation.bootstrap import Resampling
    from semantic_tokens.evaluation.scores import TaskScores

    right = np.random.default_rng(2).random(80) < 0.4
    save(tmp_path, BASE, {f"{ORACLE}/1": nli(right)})
    save(tmp_path, "lr", {f"{ORACLE}/1": nli(~right)})
    line = compare_saved_runs(tmp_path).table.iloc[0]
    estimate = TaskScores("nli", {"x": [nli(right)]}, Resampling(RESAMPLES)).estimate("x")
    assert line[["first_score", "first_low", "first_high"]].tolist() == pytest.approx(estimate[:3])


def test_scores_are_means_over_common_trainings(tmp_path: Path) -> None:
    generator = np.random.default_rng(1)
    runs = {seed: generator.random(40) < 0.5 for seed in (1, 2, 3)}
    save(tmp_path, BASE, {f"{ORACLE}/{seed}": nli(runs[seed]) for seed in (1, 2)},
         configuration=CONFIGURATION | {"seeds": [1, 2]})  # fmt: skip
    save(tmp_path, "lr", {f"{ORACLE}/{seed}": nli(runs[seed]) for seed in (2, 3)},
         configuration=CONFIGURATION | {"seeds": [2, 3]})  # fmt: skip
    found = compare_saved_runs(tmp_path)
    line = found.table.iloc[0]
    assert (line["trainings"], line["difference"], line["p"]) == (1, 0, 1)
    (note,) = found.notes
    assert "common trainings" in note


def test_runs_with_different_seeds_are_compared(tmp_path: Path) -> None:
    first, second = (np.random.default_rng(seed).random(40) < 0.5 for seed in (1, 2))
    save(tmp_path, BASE, {f"{ORACLE}/1": nli(first)})
    save(tmp_path, "lr", {f"{ORACLE}/7": nli(second)}, configuration=CONFIGURATION | {"seeds": [7]})
    line = compare_saved_runs(tmp_path).table.iloc[0]
    assert line["difference"] == pytest.approx(second.mean() - first.mean())


def test_replicates_are_trainings_of_one_experiment(tmp_path: Path) -> None:
    generator = np.random.default_rng(1)
    replicated = CONFIGURATION | {"replicates": 2}
    right = {}
    for run in (BASE, "lr"):
        right[run] = [generator.random(40) < 0.5 for _ in range(2)]
        scores = {f"{ORACLE}/1": nli(right[run][0])}
        scores[f"{ORACLE.replace('b/', 'b.replicate-2/', 1)}/1001"] = nli(right[run][1])
        save(tmp_path, run, scores, configuration=replicated)
    (line,) = compare_saved_runs(tmp_path).table.to_dict("records")
    assert line["trainings"] == 2
    assert line["second_score"] == pytest.approx(np.mean([v.mean() for v in right["lr"]]))


def test_experiment_with_missing_trainings_is_left_out(tmp_path: Path) -> None:
    right = [True, False] * 10
    two_seeds = CONFIGURATION | {"seeds": [1, 2]}
    scores = {f"{recipe}/{seed}": nli(right) for recipe in (ORACLE, GROUPED) for seed in (1, 2)}
    save(tmp_path, BASE, scores, configuration=two_seeds)
    del scores[f"{GROUPED}/2"]
    save(tmp_path, "lr", scores, configuration=two_seeds)
    found = compare_saved_runs(tmp_path)
    assert found.table["experiment"].tolist() == [f"{ORACLE}/all-languages"]
    (note,) = found.notes
    assert note.startswith(f"nli, {GROUPED}/all-languages: left out")
    assert "1 of 2 trainings of run lr" in note


def test_different_test_items_are_not_paired(tmp_path: Path) -> None:
    right = np.random.default_rng(4).random(60) < 0.5
    save(tmp_path, BASE, {f"{ORACLE}/1": nli(right), f"{GROUPED}/1": nli(right)})
    save(tmp_path, "lr", {f"{ORACLE}/1": nli(right[:40]), f"{GROUPED}/1": nli(~right)})
    found = compare_saved_runs(tmp_path)
    table = found.table.set_index("experiment")
    unpaired, paired = (table.loc[f"{recipe}/all-languages"] for recipe in (ORACLE, GROUPED))
    assert unpaired["second_score"] == pytest.approx(right[:40].mean())
    assert unpaired["second_low"] < unpaired["second_score"] < unpaired["second_high"]
    for column in ("difference", "low", "high", "p", "p_adjusted"):
        assert np.isnan(unpaired[column]) and not np.isnan(paired[column])
    assert paired["p_adjusted"] == paired["p"]  # for one test
    (note,) = found.notes
    assert note.startswith("nli: the test items differ (60 in base, 40 in lr, 40 ids in both)")
    assert "–" in printed(found) and note in printed(found)


def test_different_texts_with_the_same_ids_are_not_paired(tmp_path: Path) -> None:
    right = [True, False] * 10
    other = json.loads(json.dumps(CONFIGURATION))
    other["datasets"]["pairs"]["options"] = {"seed": 2}
    save(tmp_path, BASE, {f"{ORACLE}/1": nli(right)})
    save(tmp_path, "lr", {f"{ORACLE}/1": nli(right)}, configuration=other)
    (note,) = compare_saved_runs(tmp_path).notes
    assert "the items cannot be compared" in note
    for run, text in ((BASE, "red"), ("lr", "blue")):
        path = tmp_path / in_run("results/datasets/pairs/test.jsonl", run)
        path.parent.mkdir(parents=True)
        path.write_text(json.dumps({"id": "0000", "first": text}) + "\n", encoding="utf-8")
    found = compare_saved_runs(tmp_path)
    assert np.isnan(found.table.loc[0, "difference"])
    assert "the test items differ (20 in base, 20 in lr, under the same ids)" in found.notes[0]
    path.write_text(json.dumps({"id": "0000", "first": "red"}) + "\n", encoding="utf-8")
    found = compare_saved_runs(tmp_path)  # another reader, and the same items
    assert (found.table.loc[0, "difference"], found.notes) == (0, [])


def test_differences_between_runs_are_listed(tmp_path: Path) -> None:
    right = [True, False] * 10
    other = json.loads(json.dumps(CONFIGURATION))
    other["tasks"]["nli"]["learning_rate"] = 0.0005
    other["lexicons"] = {"mine": {"reader": "table"}}
    save(tmp_path, BASE, {f"{ORACLE}/1": nli(right)})
    save(tmp_path, "lr", {f"{ORACLE}/1": nli(right)}, configuration=other)
    lines = compare_saved_runs(tmp_path).differing.values.tolist()
    assert lines == [
        ["tasks.nli.learning_rate", "0.001", "0.0005"],
        ["lexicons.mine.reader", "–", "table"],
    ]
    path = tmp_path / in_run("results/provenance.json", "lr")
    write_json(read_json(path) | {"packages": {"torch": "2", "numpy": "1"}}, path)
    found = compare_saved_runs(tmp_path)
    assert sorted(found.differing.values.tolist()) == sorted([*lines, ["packages.torch", "1", "2"]])
    assert found.notes == []
    record = tmp_path / in_run("results/configuration.json", "lr")
    write_json({**other, "run": "lr", "title": "Since"}, record)
    (note,) = compare_saved_runs(tmp_path).notes
    assert (
        note.startswith("Run lr was last started with another configuration than")
        and "title" in note
    )


def test_run_without_a_recorded_configuration_is_compared(tmp_path: Path) -> None:
    right = [True, False] * 10
    save(tmp_path, BASE, {f"{ORACLE}/1": nli(right)}, configuration=None)
    save(tmp_path, "lr", {f"{ORACLE}/1": nli(right)})
    found = compare_saved_runs(tmp_path)
    assert found.table.loc[0, "difference"] == 0
    unknown, not_compared = found.notes
    assert "configuration of run base is unknown" in unknown
    assert "Run base has no provenance.json, so code, packages and data are not" in not_compared
    assert not_compared.endswith("also make results/provenance.json.")


# Incomparable scores


def test_unknown_or_empty_run_is_named_in_the_error(tmp_path: Path) -> None:
    save(tmp_path, BASE, {f"{ORACLE}/1": nli([True, False])})
    save(tmp_path, "lr5e-4", {f"{ORACLE}/1": nli([True, False])})
    (tmp_path / "results/runs/empty").mkdir()
    for name, message in (
        ("lr5e4", r"there is no run lr5e4 in .*results; did you mean lr5e-4\?"),
        ("other", r"there is no run other in .*; there are: base, empty, lr5e-4"),
        ("empty", r"run empty has no scores"),
    ):
        with pytest.raises(InputError, match=message):
            read_run(name, tmp_path)
    with pytest.raises(InputError, match="base is named twice"):
        compare_saved_runs(tmp_path, BASE, BASE)


def test_a_file_of_another_version_is_named_in_the_error(tmp_path: Path) -> None:
    save(tmp_path, BASE, {f"{ORACLE}/1": nli([True, False])}, configuration={"tasks": {}})
    with pytest.raises(
        InputError, match=r"configuration\.json has no evaluation_split, so another"
    ):
        read_run(BASE, tmp_path)
    for name in ("configuration", "provenance"):
        (tmp_path / f"results/{name}.json").unlink()
    assert read_run(BASE, tmp_path).configuration is None
    write_json({"configuration": {}}, tmp_path / "results/provenance.json")
    with pytest.raises(InputError, match=r"provenance\.json has no code, so another version"):
        read_run(BASE, tmp_path)
    parts: dict[str, Any] = {
        name: {} for name in ("configuration", "code", "packages", "inputs", "python")
    }
    write_json(parts, tmp_path / "results/provenance.json")
    with pytest.raises(InputError, match=r"provenance\.json has no tasks, so another version"):
        read_run(BASE, tmp_path)


def test_the_path_of_a_run_is_no_name(tmp_path: Path) -> None:
    save(tmp_path, "lr5e-4", {f"{ORACLE}/1": nli([True, False])})
    with pytest.raises(InputError, match=r"there is no run lr5e-4/ in .*; did you mean lr5e-4\?"):
        read_run("lr5e-4/", tmp_path)


def test_runs_without_common_scores_are_refused(tmp_path: Path) -> None:
    save(tmp_path, BASE, {f"{ORACLE}/1": nli([True, False])})
    save(tmp_path, "lr", {f"{GROUPED}/1": nli([True, False])})
    with pytest.raises(
        InputError,
        match=r"base and lr share no experiment: base has .* 1 experiment in nli",
    ):
        compare_saved_runs(tmp_path)


# The command


def test_compare_command_prints_and_writes_the_table(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    right = np.random.default_rng(3).random(40) < 0.5
    other = json.loads(json.dumps(CONFIGURATION))
    other["tasks"]["nli"]["learning_rate"] = 0.0005
    save(tmp_path, BASE, {f"{ORACLE}/1": nli(right), f"{GROUPED}/1": nli(right)})
    save(tmp_path, "lr", {f"{ORACLE}/1": nli(~right)}, configuration=other)
    table, page = tmp_path / "out/compared.csv", tmp_path / "out/compared.html"
    options = ["compare", BASE, "lr", "--directory", str(tmp_path)]
    assert main([*options, "--output", str(table), "--output", str(page)]) == 0
    shown = capsys.readouterr().out
    assert f"{ORACLE}/all-languages" in shown and "[" in shown
    assert "Differences are lr minus base" in shown
    assert "Only run base has 1 further score; not shown." in shown
    assert "tasks.nli.learning_rate" in shown
    with table.open(encoding="utf-8", newline="") as file:
        (line,) = csv.DictReader(file)
    assert list(line)[4:8] == ["base_score", "base_low", "base_high", "lr_score"]
    assert line["difference"] == f"{(~right).mean() - right.mean():.4f}"
    text = page.read_text(encoding="utf-8")
    assert "Runs base and lr" in text and "Differences in how they were made" in text


def test_errors_of_the_command_are_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save(tmp_path, BASE, {f"{ORACLE}/1": nli([True, False])})
    options = ["--directory", str(tmp_path)]
    assert main(["compare", BASE, "lr", *options]) == 1
    assert capsys.readouterr().err.startswith("Error: there is no run lr in ")
    assert main(["compare", BASE, BASE, "--output", "table.xls", *options]) == 1
    error = capsys.readouterr().err
    assert error.startswith("Error: table.xls ") and error.count("\n") == 1
    assert ".csv" in error and ".html" in error


@pytest.mark.parametrize(
    "name", ["file/table.csv", "folder.html", f"{'x' * 300}.csv", "/proc/table.csv"]
)
def test_unusable_output_is_reported_before_the_comparison(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    name: str,
) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "folder.html").mkdir()

    def no_work(*_: Any) -> None:
        raise AssertionError("the work started")

    monkeypatch.setattr("semantic_tokens.report.run_comparison.runs.read_run", no_work)
    output = ["--output", str(tmp_path / "first.csv"), "--output", str(tmp_path / name)]
    assert main(["compare", BASE, "lr", "--directory", str(tmp_path), *output]) == 1
    error = capsys.readouterr().err
    assert error.startswith("Error: the output ") and error.count("\n") == 1


def test_comparison_is_written_to_the_file_of_a_link(tmp_path: Path) -> None:
    for run in (BASE, "lr"):
        save(tmp_path, run, {f"{ORACLE}/1": nli(np.arange(40) % 2 == 0)})
    table, link = tmp_path / "table.csv", tmp_path / "link.csv"
    table.touch()
    link.symlink_to(table)
    options = ["--directory", str(tmp_path), "--output", str(link)]
    assert main(["compare", BASE, "lr", *options]) == 0
    assert link.is_symlink() and table.read_text(encoding="utf-8").startswith("task,")
