"""The comparison of two runs: their common scores, and the differences in how they were made.

Differences are tested as in :mod:`semantic_tokens.evaluation.significance`, by the paired bootstrap over
test items, and over trainings if there are several.
"""

import difflib
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
from tqdm import tqdm

from semantic_tokens.errors import InputError
from semantic_tokens.evaluation.bootstrap import Resampling, TaskScores, bootstrap_p
from semantic_tokens.files import read_json, read_jsonl
from semantic_tokens.report.pages import Section, write_csv, write_page
from semantic_tokens.report.provenance import flattened
from semantic_tokens.study.ingredients import Digests, searched_passages
from semantic_tokens.study.recipe import PATTERNS
from semantic_tokens.study.replicates import SEEDS_APART, split_replicate
from semantic_tokens.study.runs import BASE, in_run, recorded, split_run, started_runs
from semantic_tokens.tasks.scored_items import ScoredItem, read_items

log = logging.getLogger(__name__)

COLUMNS = (
    *("task", "metric", "experiment", "trainings"),
    *("first_score", "first_low", "first_high", "second_score", "second_low", "second_high"),
    *("difference", "low", "high", "p", "p_adjusted"),
)
NUMBERS = dict.fromkeys(COLUMNS[4:], ".4f")

#: The configuration keys that only affect the location of files.
_PLACES = ("run", "base_run")


class Cell(NamedTuple):
    """The key of a score in a run: an experiment (a recipe and a training) and a task."""

    experiment: str
    task: str


class Training(NamedTuple):
    """One of the trainings of a score."""

    replicate: int
    seed: int


@dataclass(frozen=True)
class Run:
    """The results of a run.

    Attributes:
        scored_items: by cell and training, the file of its test items.
        configuration: its configuration; None if unknown.
        provenance: its ``provenance.json``; None if it has none.
        root: the folder that contains ``results``.
    """

    name: str
    scored_items: Mapping[Cell, Mapping[Training, Path]]
    configuration: Mapping[str, Any] | None
    provenance: Mapping[str, Any] | None
    root: Path

    def file(self, path: str) -> Path | None:
        """A shared file, such as a dataset, from this run or from the runs on which it is based; None
        if there is none.

        Args:
            path: the path in the run without a name.
        """
        names, configuration = [self.name], self.configuration
        while names[-1] != BASE:
            base = (configuration or {}).get("base_run", BASE)
            if base in names:
                break
            names.append(base)
            configuration = recorded(base, self.root)
        found = (self.root / in_run(path, name) for name in names)
        return next((file for file in found if file.is_file()), None)


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


def read_run(name: str, root: str | Path = ".") -> Run:
    """Find the results of a run.

    Args:
        name: the name of the run; :data:`~semantic_tokens.study.runs.BASE` for the one without a name.
        root: the folder that contains ``results``.

    Raises:
        InputError: there is no such run, or it has no score.
    """
    root = Path(root)
    scores = root / in_run("results/scores", name)
    if not scores.is_dir():
        known = started_runs(root)
        if name in known:
            raise InputError(f"run {name} has no scores yet: there is no folder {scores}")
        close = difflib.get_close_matches(name, known, n=1)
        hint = f"did you mean {close[0]}?" if close else f"there are: {', '.join(known) or 'none'}"
        raise InputError(f"there is no run {name} in {root / 'results'}; {hint}")
    found: dict[Cell, dict[Training, Path]] = {}
    for path in sorted(scores.rglob("seed-*.items.parquet")):
        *recipe, task, training, file = path.relative_to(scores).parts
        if len(recipe) != len(PATTERNS):
            continue
        recipe[0], replicate = split_replicate(recipe[0])
        seed = int(file.removeprefix("seed-").partition(".")[0]) - SEEDS_APART * (replicate - 1)
        cell = Cell("/".join([*recipe, training]), task)
        found.setdefault(cell, {})[Training(replicate, seed)] = path
    if not found:
        raise InputError(f"run {name} has no scores yet: the folder {scores} is empty")
    record = root / in_run("results/provenance.json", name)
    provenance = read_json(record) if record.is_file() else None
    configuration = recorded(name, root)
    if configuration is None and provenance is not None:
        configuration = provenance["configuration"]
    return Run(name, found, configuration, provenance, root)


def compare_runs(first: Run, second: Run, resampling: Resampling | None = None) -> RunComparison:
    """Compare the common scores of two runs.

    Args:
        resampling: the bootstrap; the default is that of the first run's configuration.

    Raises:
        InputError: they are the same run, or have no experiment and task in common.
    """
    if first.name == second.name:
        raise InputError(f"{first.name} is named twice; name two runs")
    cells = [cell for cell in first.scored_items if cell in second.scored_items]
    if not cells:
        raise InputError(
            f"runs {first.name} and {second.name} share no experiment: {first.name} has scores of "
            f"{_contents(first)}, {second.name} of {_contents(second)}"
        )
    if resampling is None:
        given = (first.configuration or {}).get("significance", {})
        resampling = Resampling(**given)
    notes = list(_started_since(first, second))
    for run in (first, second):
        if count := len(run.scored_items) - len(cells):
            which = "which is" if count == 1 else "which are"
            notes.append(
                f"Run {run.name} has {count:,} more {_plural(count, 'score')}, {which} not shown."
            )
    lines: list[dict[str, Any]] = []
    pairs = _Pairs(first, second, notes)
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


def check_output(path: str | Path) -> None:
    """Raise an InputError if :func:`write_comparison` cannot write this kind of file."""
    if Path(path).suffix not in (".csv", ".html"):
        raise InputError(f"{path} ends neither in .csv nor in .html; rename it")


def write_comparison(comparison: RunComparison, path: str | Path) -> None:
    """Write a comparison: its table as CSV, or everything as an HTML page, depending on the suffix.

    Raises:
        InputError: the suffix is another one.
    """
    check_output(path)
    if Path(path).suffix == ".csv":
        write_csv(_renamed(comparison, comparison.table), path, _renamed_formats(comparison))
        return
    level = 1 - comparison.resampling.confidence

    def classes(row: dict[str, Any], column: str) -> str:
        return "weak" if not row["p adjusted"] <= level else ""

    table = _renamed(comparison, comparison.table).rename(columns={"p_adjusted": "p adjusted"})
    formats = _renamed_formats(comparison) | {"p adjusted": ".4f"}
    sections = [Section(table, "Scores", formats=formats, classes=classes)]
    made = _renamed(comparison, comparison.differing)
    if len(made):
        sections.append(Section(made, "Differences in how they were made"))
    title = f"Runs {comparison.first} and {comparison.second}"
    write_page(path, title, [explanation(comparison), *comparison.notes], sections)


def explanation(comparison: RunComparison) -> str:
    """How to read the table, in a few sentences."""
    resampling = comparison.resampling
    return (
        f"Differences are {comparison.second} minus {comparison.first}. The "
        f"{resampling.confidence:.0%} intervals are from a paired bootstrap over test items "
        f"({resampling.resamples:,} samples), and over trainings if there are several. p is "
        f"two-sided, and adjusted for {comparison.table['p'].notna().sum()} tests (Benjamini and "
        "Hochberg)."
    )


def printed(comparison: RunComparison) -> str:
    """A comparison as text for the terminal."""
    first, second = comparison.first, comparison.second
    lines = []
    for row in comparison.table.to_dict("records"):
        line = {"task": row["task"], "metric": row["metric"], "experiment": row["experiment"]}
        line[first] = _with_interval(row, "first_score", "first_low", "first_high")
        line[second] = _with_interval(row, "second_score", "second_low", "second_high")
        line["difference"] = _with_interval(row, "difference", "low", "high", "+.4f")
        line |= {name: _number(row[name], ".4f") for name in ("p", "p_adjusted")}
        lines.append(line)
    text = [pd.DataFrame(lines).to_string(index=False), "", explanation(comparison)]
    text += comparison.notes
    if len(comparison.differing):
        made = _renamed(comparison, comparison.differing)
        for name in (first, second):  # shorten long lists, such as all languages of a corpus
            made[name] = [text if len(text) <= 60 else f"{text[:57]}..." for text in made[name]]
        text += ["", "Differences in how they were made:", made.to_string(index=False)]
    else:
        text += ["", "There are no known differences in how they were made."]
    return "\n".join(text)


def _with_interval(
    row: Mapping[Any, Any], value: str, low: str, high: str, form: str = ".4f"
) -> str:
    if pd.isna(row[value]):
        return "–"
    return f"{row[value]:{form}} [{row[low]:{form}}, {row[high]:{form}}]"


def _number(value: float, form: str) -> str:
    return "–" if pd.isna(value) else format(value, form)


def _renamed(comparison: RunComparison, table: pd.DataFrame) -> pd.DataFrame:
    """A table with the runs' names in place of ``first…`` and ``second…`` in column names."""
    return table.rename(columns={column: _column(comparison, column) for column in table})


def _renamed_formats(comparison: RunComparison) -> dict[str, str]:
    return {_column(comparison, column): form for column, form in NUMBERS.items()}


def _column(comparison: RunComparison, column: str) -> str:
    side, underscore, rest = column.partition("_")
    names = {"first": comparison.first, "second": comparison.second}
    return f"{names[side]}{underscore}{rest}" if side in names else column


def _contents(run: Run) -> str:
    experiments = {cell.experiment for cell in run.scored_items}
    tasks = sorted({cell.task for cell in run.scored_items})
    return f"{_counted(len(experiments), 'experiment')} in {', '.join(tasks)}"


def _counted(number: int, what: str) -> str:
    return f"{number:,} {_plural(number, what)}"


def _plural(number: int, noun: str) -> str:
    return noun if number == 1 else f"{noun}s"


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


class _Pairs:
    """The scores of two runs that can be compared item by item, and the reasons for others.

    Attributes:
        notes: the list of remarks, which is extended.
        unpaired: the cells that cannot be compared, with the trainings of both runs.
    """

    def __init__(self, first: Run, second: Run, notes: list[str]) -> None:
        self.first, self.second, self.notes = first, second, notes
        self.unpaired: dict[Cell, tuple[Sequence[Training], Sequence[Training]]] = {}
        self._differing: set[str] = set()  # tasks

    def check_task(self, task: str) -> None:
        """Record a task with different test data, even if the items have the same ids."""
        configurations = [self.first.configuration, self.second.configuration]
        if None in configurations or any(task not in (c or {})["tasks"] for c in configurations):
            return
        paths, digests, searched = [], [], []
        for configuration in configurations:
            assert configuration is not None
            dataset = configuration["tasks"][task]["dataset"]
            path = f"results/datasets/{dataset}/{configuration['evaluation_split']}.jsonl"
            known = Digests(configuration)
            paths.append(path)
            digests.append((known.of(path), configuration["evaluation_split"]))
            if configuration["tasks"][task]["kind"] == "retrieval":
                searched.append(known.of(searched_passages(configuration, dataset)))
        if len(searched) == 2 and searched[0] != searched[1]:
            self.notes.append(
                f"{task}: the runs search different passages, which also affects scores."
            )
        if digests[0] == digests[1] and digests[0][0] is not None:
            return
        files = [run.file(path) for run, path in zip((self.first, self.second), paths, strict=True)]
        if files[0] is None or files[1] is None:
            self.notes.append(
                f"{task}: the runs read their test items in different ways, and the items cannot "
                "be compared; items with the same id are assumed to be equal."
            )
        elif _examples(files[0]) != _examples(files[1]):
            self._differing.add(task)

    def grouped(
        self, cells: Iterable[Cell]
    ) -> dict[tuple[str, tuple[tuple[str, str], ...], tuple[Sequence[Training], ...]], list[str]]:
        """The comparable cells, as experiments by task, items and trainings."""
        groups: dict[Any, list[str]] = {}
        reasons: dict[str, str] = {}
        for cell in cells:
            trainings = self._trainings(cell)
            if trainings is None:
                continue
            first, second = (
                read_items(run.scored_items[cell][own[0]])
                for run, own in zip((self.first, self.second), trainings, strict=True)
            )
            ids, others = _identities(first), _identities(second)
            if cell.task in self._differing or ids != others:
                self.unpaired[cell] = trainings
                both = len(set(ids) & set(others))
                reasons[cell.task] = (
                    f"{cell.task}: the test items differ ({len(ids):,} in {self.first.name}, "
                    f"{len(others):,} in {self.second.name}"
                    + (", under the same ids" if ids == others else f", {both:,} ids in both")
                    + "), so scores cannot be paired: there are no differences, and each score has "
                    "the interval of its own items."
                )
            else:
                groups.setdefault((cell.task, ids, trainings), []).append(cell.experiment)
        self.notes += reasons.values()
        return groups

    def _trainings(self, cell: Cell) -> tuple[tuple[Training, ...], tuple[Training, ...]] | None:
        """The trainings of both runs for a score, equally many of each. None if one is not finished."""
        sides = []
        for run in (self.first, self.second):
            found = set(run.scored_items[cell])
            if run.configuration:
                expected = {
                    Training(replicate, seed)
                    for replicate in range(1, run.configuration["replicates"] + 1)
                    for seed in run.configuration["seeds"]
                }
                if missing := expected - found:
                    self.notes.append(
                        f"{cell.task}, {cell.experiment}: left out, since {len(missing)} of "
                        f"{len(expected)} trainings of run {run.name} are missing."
                    )
                    return None
                found = expected
            sides.append(found)
        if both := sides[0] & sides[1]:
            sides = [both, both]
        first, second = (_rectangle(side) for side in sides)
        replicates = min(len(first), len(second))
        seeds = min(len(first[0]), len(second[0]))
        chosen = tuple(
            tuple(training for row in side[:replicates] for training in row[:seeds])
            for side in (first, second)
        )
        if not chosen[0]:
            self.notes.append(
                f"{cell.task}, {cell.experiment}: left out, because there is no common seed."
            )
            return None
        if any(
            len(set(run.scored_items[cell])) != len(chosen[0]) for run in (self.first, self.second)
        ):
            note = (
                "If the trainings of the runs differ, scores are means over the common trainings."
            )
            if note not in self.notes:
                self.notes.append(note)
        return chosen[0], chosen[1]


def _rectangle(trainings: Iterable[Training]) -> list[list[Training]]:
    """The trainings by replicate, with the common seeds of all replicates."""
    found = set(trainings)
    replicates = sorted({training.replicate for training in found})
    seeds = [
        seed
        for seed in sorted({training.seed for training in found})
        if all(Training(replicate, seed) in found for replicate in replicates)
    ]
    return [[Training(replicate, seed) for seed in seeds] for replicate in replicates]


def _identities(items: Iterable[ScoredItem]) -> tuple[tuple[str, str], ...]:
    return tuple(sorted((item.language, item.id) for item in items))


def _examples(path: Path) -> dict[str, Any]:
    return {example["id"]: example for example in read_jsonl(path)}


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
        task, {names[key]: items for key, items in models.items()}, resampling, replicates
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
            "p": bootstrap_p(difference[1:]),
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
        scores = TaskScores(cell.task, {run.name: _read(run, cell, own)}, resampling, replicates)
        line |= _score(side, scores, run.name)
    return line


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
