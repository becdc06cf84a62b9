"""Runs: studies with different configurations in one folder.

The run without a name, :data:`BASE`, is in ``results``; a named run is in ``results/runs/{name}``.
Fine-tunings, and all files made from them, belong to their run. Files of earlier steps
(:mod:`semantic_tokens.study.ingredients`) are shared with the run on which a run is based, if both
configurations make the same file; otherwise they belong to their run. So a run writes into another
run's folder only files that the other run would write in the same way.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from semantic_tokens.errors import InputError
from semantic_tokens.json_files import read_json, write_json
from semantic_tokens.study.ingredients import Digests

#: The run whose files are in ``results``.
BASE = "base"
#: The file with the configuration of the last start of a run that made a result, in its folder.
RECORD = "results/configuration.json"

_RUN_FOLDER = re.compile(r"^(results|resources)/runs/([^/]+)/")


def folder_of(run: str) -> str:
    """The folder of a run below ``results``, with a final slash; empty for :data:`BASE`.

    >>> folder_of("lr5e-4")
    'runs/lr5e-4/'
    """
    return "" if run == BASE else f"runs/{run}/"


def in_run(path: str, run: str) -> str:
    """The path of a run's own file.

    Args:
        path: the path in :data:`BASE`, below ``results`` or ``resources``.

    >>> in_run("results/table5.csv", "lr5e-4")
    'results/runs/lr5e-4/table5.csv'
    """
    top, _, rest = path.partition("/")
    return f"{top}/{folder_of(run)}{rest}"


def split_run(path: str) -> tuple[str, str]:
    """The path in :data:`BASE`, and the run of a file.

    >>> split_run("results/runs/lr5e-4/table5.csv")
    ('results/table5.csv', 'lr5e-4')
    """
    found = _RUN_FOLDER.match(path)
    return (f"{found[1]}/{path[found.end() :]}", found[2]) if found else (path, BASE)


@dataclass(frozen=True)
class Layout:
    """The locations of the files of one run.

    Attributes:
        configurations: the configurations by name: first those of the runs on which it is based,
            starting with the one without a base, and last that of the run itself.
    """

    configurations: Mapping[str, Mapping[str, Any]]
    _digests: dict[str, Digests] = field(default_factory=dict, repr=False, compare=False)

    @property
    def run(self) -> str:
        """The run's name."""
        return list(self.configurations)[-1]

    @property
    def folders(self) -> list[str]:
        """All folders that may contain files of the run, in the form of :func:`folder_of`."""
        return [folder_of(run) for run in self.configurations]

    def own(self, path: str) -> str:
        """The path of a file that belongs to the run."""
        return in_run(path, self.run)

    def shared(self, path: str) -> str:
        """The path of a shared file, in the first run that makes the same file."""
        if len(self.configurations) == 1:
            return self.own(path)
        mine = self._digest(self.run, path)
        runs = (run for run in self.configurations if self._digest(run, path) == mine)
        return self.own(path) if mine is None else in_run(path, next(runs))

    def found(self, path: str) -> str:
        """The path of any file of the run, own or shared."""
        return self.own(path) if self._digest(self.run, path) is None else self.shared(path)

    def check_target(self, path: str) -> None:
        """Raise an InputError for a file of another run.

        Args:
            path: the requested path, below ``results`` or ``resources``.
        """
        plain, asked = split_run(path)
        if asked not in self.configurations:
            raise InputError(
                f"{path} is of run {asked}, and this configuration is of run {self.run}: add "
                f"`--config run={asked}`, or the --configfile that names it"
            )
        if (found := self.found(plain)) != path:
            otherwise = ", or leave `run` out" if asked == BASE else ""
            raise InputError(
                f"run {self.run} has the file {path} elsewhere: request {found}{otherwise}"
            )

    def _digest(self, run: str, path: str) -> str | None:
        if run not in self._digests:
            self._digests[run] = Digests(self.configurations[run])
        return self._digests[run].of(path)


def recorded(run: str, root: str | Path = ".") -> Mapping[str, Any] | None:
    """The configuration of the last start of a run; None if it was never started.

    Args:
        root: the folder that contains ``results``.
    """
    path = Path(root) / in_run(RECORD, run)
    return read_json(path) if path.is_file() else None


def record(config: Mapping[str, Any], root: str | Path = ".") -> None:
    """Save the configuration of a run at its start, for runs that are based on it."""
    path = Path(root) / in_run(RECORD, config["run"])
    if recorded(config["run"], root) != config:
        write_json(config, path)


def layout_of(
    config: Mapping[str, Any],
    default: Callable[[], Mapping[str, Any] | None],
    root: str | Path = ".",
) -> Layout:
    """The layout of the run of a configuration.

    Args:
        default: returns the configuration of :data:`BASE` before its first start, or None if it is
            unknown; then nothing is shared with it. It is called only if needed.
        root: the folder that contains ``results``.

    Raises:
        InputError: a run on which this one is based was never started, or is based on this one.
    """
    configurations: list[tuple[str, Mapping[str, Any]]] = [(config["run"], config)]
    while configurations[-1][0] != BASE:
        base = configurations[-1][1].get("base_run", BASE)
        if base in dict(configurations):
            names = " on ".join([name for name, _ in configurations] + [base])
            raise InputError(f"config key base_run: {names} is a circle; name another run")
        found = recorded(base, root)
        if found is None and base != BASE:
            raise InputError(
                f"config key base_run names {base!r}, which was never started here; "
                f"{_started(root)}"
            )
        if found is None:
            found = default()
        if found is None:
            break
        configurations.append((base, found))
    return Layout(dict(reversed(configurations)))


def started_runs(root: str | Path = ".") -> list[str]:
    """The sorted names of the runs with a folder; :data:`BASE` is first if it has scores."""
    results = Path(root) / "results"
    found = (
        [BASE]
        if (results / "scores").is_dir() or (results / "configuration.json").is_file()
        else []
    )
    return found + sorted(path.name for path in results.glob("runs/*") if path.is_dir())


def _started(root: str | Path) -> str:
    names: Sequence[str] = started_runs(root)
    return f"started were {', '.join(names)}" if names else "no run was"
