"""What a run has made: its scores by experiment, task and training, and its configuration."""

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from semantic_tokens.errors import InputError
from semantic_tokens.json_files import read_json
from semantic_tokens.study.recipe import PATTERNS
from semantic_tokens.study.replicates import SEEDS_APART, split_replicate
from semantic_tokens.study.runs import BASE, RECORD, in_run, recorded, started_runs


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
        """A shared file, such as a dataset, from this run or from the runs on which it is based;
        None if there is none.

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


def read_run(name: str, root: str | Path = ".") -> Run:
    """Find the results of a run.

    Args:
        name: the name of the run; :data:`~semantic_tokens.study.runs.BASE` for the one without a
            name.
        root: the folder that contains ``results``.

    Raises:
        InputError: there is no such run, or it has no score.
    """
    root = Path(root)
    known = started_runs(root)
    scores = root / in_run("results/scores", name)
    if name in known and not scores.is_dir():
        raise InputError(f"run {name} has no scores yet: there is no folder {scores}")
    if name not in known:
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
    described_in = root / in_run("results/provenance.json", name)
    provenance = read_json(described_in) if described_in.is_file() else None
    if provenance is not None:
        needed = ("configuration", "code", "packages", "inputs", "python")
        _check_version(provenance, needed, described_in)
    configuration = recorded(name, root)
    if configuration is not None:
        described_in = root / in_run(RECORD, name)
    elif provenance is not None:
        configuration = provenance["configuration"]
    if configuration is not None:
        needed = ("tasks", "evaluation_split", "replicates", "seeds", "significance")
        _check_version(configuration, needed, described_in)
    return Run(name, found, configuration, provenance, root)


def _check_version(content: Any, keys: Sequence[str], path: Path) -> None:
    """Check that a file has the keys that a comparison reads."""
    missing = [key for key in keys if not isinstance(content, Mapping) or key not in content]
    if missing:
        raise InputError(
            f"{path} has no {missing[0]}, so another version of this workflow wrote it; move it away "
            "to compare the scores alone, or run the study again"
        )


def described(run: Run) -> str:
    experiments = {cell.experiment for cell in run.scored_items}
    tasks = sorted({cell.task for cell in run.scored_items})
    return f"{counted(len(experiments), 'experiment')} in {', '.join(tasks)}"


def counted(number: int, what: str) -> str:
    return f"{number:,} {_plural(number, what)}"


def _plural(number: int, noun: str) -> str:
    return noun if number == 1 else f"{noun}s"
