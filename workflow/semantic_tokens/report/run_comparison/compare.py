"""The scores that two runs share, their differences, and what differs in how they were made."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from tqdm import tqdm

from semantic_tokens.errors import InputError
from semantic_tokens.evaluation.bootstrap import Resampling
from semantic_tokens.evaluation.scores import TaskScores
from semantic_tokens.json_files import read_json
from semantic_tokens.report.provenance import flattened
from semantic_tokens.report.run_comparison.pairs import Pairs
from semantic_tokens.report.run_comparison.runs import Cell, Run, Training, counted, described
from semantic_tokens.study.experiments import ALL_LANGUAGES
from semantic_tokens.study.runs import in_run, split_run
from semantic_tokens.tasks.scored_items import ScoredItem, read_items

COLUMNS = (
    *("task", "metric", "experiment", "trainings"),
    *("first_score", "first_low", "first_high", "second_score", "second_low", "second_high"),
    *("difference", "low", "high", "p", "p_adjusted"),
)
#: The configuration keys that only affect the location of files.
_PLACES = ("run", "base_run")


@dataclass(frozen=True)
class RunComparison:
    """The result of :func:`compare_runs`.

    Attributes:
        first, second: the runs' names.
        table: :data:`COLUMNS`; ``difference`` is second minus first, in the units of the metric.
            The last five are NaN if the runs were scored on different test items.
        differing: ``key``, ``first`` and ``second`` of the differences in how the runs were made.
        notes: remarks about the table, one sentence each.
        resampling: the bootstrap of the intervals.
    """

    first: str
    second: str
    table: pd.DataFrame
    differing: pd.DataFrame
    notes: Sequence[str]
    resampling: Resampling


def compare_runs(first: Run, second: Run) -> RunComparison:
    """Compare the common scores of two runs, with the bootstrap of the first run's configuration.

    Raises:
        InputError: they are the same run, or have no experiment and task in common.
    """
    if first.name == second.name:
        raise InputError(f"{first.name} is named twice; name two runs")
    cells = [cell for cell in first.scored_items if cell in second.scored_items]
    if not cells:
        raise InputError(
            f"runs {first.name} and {second.name} share no experiment: {first.name} has scores of "
            f"{described(first)}, {second.name} of {described(second)}"
        )
    resampling = Resampling(**(first.configuration or {}).get("significance", {}))
    notes = list(_started_since(first, second))
    for run in (first, second):
        if count := len(run.scored_items) - len(cells):
            notes.append(f"Only run {run.name} has {counted(count, 'further score')}; not shown.")
    lines: list[dict[str, Any]] = []
    pairs = Pairs(first, second, notes)
    for task in dict.fromkeys(cell.task for cell in cells):
        pairs.check_task(task)
    for (task, _, trainings), members in tqdm(
        pairs.grouped(cells).items(), desc="paired bootstrap", unit="part"
    ):
        lines += _paired_lines(first, second, task, trainings, members, resampling)
    for cell in pairs.unpaired:
        lines.append(_unpaired_line(first, second, cell, pairs.unpaired[cell], resampling))
    order = {cell: place for place, cell in enumerate(cells)}
    lines.sort(key=lambda line: order[Cell(line["experiment"], line["task"])])
    table = pd.DataFrame(lines, columns=list(COLUMNS))
    table["metric"] = [
        _metric(first.scored_items[Cell(line["experiment"], line["task"])]) for line in lines
    ]
    tested = table["p"].notna()
    if tested.any():
        from scipy.stats import false_discovery_control

        table.loc[tested, "p_adjusted"] = false_discovery_control(
            table.loc[tested, "p"].astype(float), method="bh"
        )
    differing = differences(first, second)
    return RunComparison(first.name, second.name, table, differing, notes, resampling)


def differences(first: Run, second: Run) -> pd.DataFrame:
    """The differences in how two runs were made: configuration, and if both have a
    ``provenance.json``, also code, packages, Python and external files.

    Returns:
        ``key``, ``first`` and ``second`` as text; a dash for a missing key.
    """
    sides = [
        {
            key: value
            for key, value in flattened(run.configuration or {}).items()
            if key not in _PLACES
        }
        for run in (first, second)
    ]
    if first.provenance and second.provenance:
        for side, run in zip(sides, (first, second), strict=True):
            made_by = run.provenance or {}
            inputs = {split_run(path)[0]: digest for path, digest in made_by["inputs"].items()}
            parts = {"code": made_by["code"], "packages": made_by["packages"], "inputs": inputs}
            side |= flattened(parts) | {"python": made_by["python"]}
    keys = dict.fromkeys([*sides[0], *sides[1]])
    lines = [
        {"key": key, "first": sides[0].get(key, "–"), "second": sides[1].get(key, "–")}
        for key in keys
        if sides[0].get(key) != sides[1].get(key)
    ]
    return pd.DataFrame(lines, columns=["key", "first", "second"])


def _started_since(*runs: Run) -> Iterator[str]:
    """A sentence for each run whose results may come from two configurations."""
    for run in runs:
        if run.provenance and run.configuration:
            made_with, started_with = (
                flattened(part) for part in (run.provenance["configuration"], run.configuration)
            )
            keys = dict.fromkeys([*made_with, *started_with])
            if changed := [key for key in keys if made_with.get(key) != started_with.get(key)]:
                yield (
                    f"Run {run.name} was last started with another configuration than its "
                    f"provenance.json has ({', '.join(changed[:5])}): its scores may come from both."
                )
        if run.configuration is None:
            yield f"The configuration of run {run.name} is unknown, because it was never recorded."
        if run.provenance is None:
            yield (
                f"Run {run.name} has no provenance.json, so code, packages and data are not "
                f"compared. To compare them, also make {in_run('results/provenance.json', run.name)}."
            )


def _paired_lines(
    first: Run,
    second: Run,
    task: str,
    trainings: tuple[Sequence[Training], ...],
    experiments: Sequence[str],
    resampling: Resampling,
) -> Iterator[dict[str, Any]]:
    """The rows of experiments with the same test items, which are drawn together."""
    models = {
        (side, experiment): _read(run, Cell(experiment, task), own)
        for experiment in experiments
        for side, run, own in zip((0, 1), (first, second), trainings, strict=True)
    }
    names = {key: f"{(first, second)[key[0]].name}: {key[1]}" for key in models}
    replicates = len({training.replicate for training in trainings[0]})
    scores = TaskScores(
        task,
        {names[key]: items for key, items in models.items()},
        resampling,
        replicates,
        {
            name: language
            for (_, experiment), name in names.items()
            if (language := _trained_on(experiment)) != ALL_LANGUAGES
        },
    )
    for experiment in experiments:
        sides = [scores.draws(names[side, experiment]) for side in (0, 1)]
        difference = sides[1] - sides[0]
        low, high = resampling.interval(difference)
        yield {
            **_line(task, experiment, trainings[0]),
            **_score("first", scores, names[0, experiment]),
            **_score("second", scores, names[1, experiment]),
            "difference": float(difference[0]),
            "low": low,
            "high": high,
            "p": resampling.p_of_no_difference(difference),
        }


def _unpaired_line(
    first: Run,
    second: Run,
    cell: Cell,
    trainings: tuple[Sequence[Training], ...],
    resampling: Resampling,
) -> dict[str, Any]:
    """Both scores, each with the interval from its own test items."""
    line = _line(cell.task, cell.experiment, trainings[0])
    for side, run, own in zip(("first", "second"), (first, second), trainings, strict=True):
        replicates = len({training.replicate for training in own})
        language = _trained_on(cell.experiment)
        scores = TaskScores(
            cell.task,
            {run.name: _read(run, cell, own)},
            resampling,
            replicates,
            {} if language == ALL_LANGUAGES else {run.name: language},
        )
        line |= _score(side, scores, run.name)
    return line


def _trained_on(experiment: str) -> str:
    """The last part of an experiment's path: one language, or all languages."""
    return experiment.rpartition("/")[2]


def _line(task: str, experiment: str, trainings: Sequence[Training]) -> dict[str, Any]:
    return {"task": task, "experiment": experiment, "trainings": len(trainings)}


def _score(side: str, scores: TaskScores, name: str) -> dict[str, float]:
    found = scores.estimate(name)
    return {f"{side}_score": found.value, f"{side}_low": found.low, f"{side}_high": found.high}


def _read(run: Run, cell: Cell, trainings: Iterable[Training]) -> Iterator[list[ScoredItem]]:
    """Yield the items of one training after another."""
    for training in trainings:
        yield read_items(run.scored_items[cell][training])


def _metric(trainings: Mapping[Training, Path]) -> str:
    """The metric in the score files of these items; empty without score files."""
    path = next(iter(trainings.values()))
    record = path.with_name(path.name.replace(".items.parquet", ".json"))
    return str(read_json(record)["metric"]) if record.is_file() else ""
