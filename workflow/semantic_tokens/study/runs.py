"""Runs: studies of different configurations side by side in one folder.

The run without a name, :data:`BASE`, lies in ``results`` itself, another one in
``results/runs/{name}``. What a run fine-tunes, and all that is made of it, is its own. What is made
before (:mod:`semantic_tokens.study.ingredients`) it takes from the run that it is based on, where both
configurations make the same; otherwise that is its own, too. So whatever a run writes into another
one's folder, that one would write there itself.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from semantic_tokens.errors import InputError
from semantic_tokens.files import read_json, write_json
from semantic_tokens.study.ingredients import Digests

#: The run whose files lie in ``results`` itself.
BASE = "base"
#: What a run was last started with, below its folder.
RECORD = "results/configuration.json"

_RUN_FOLDER = re.compile(r"^(results|resources)/runs/([^/]+)/")


def folder_of(run: str) -> str:
    """The folder of a run below ``results``, with its slash; empty for :data:`BASE`.

    >>> folder_of("lr5e-4")
    'runs/lr5e-4/'
    """
    return "" if run == BASE else f"runs/{run}/"


def in_run(path: str, run: str) -> str:
    """The path of a run's own file.

    Args:
        path: as :data:`BASE` has it, below ``results`` or ``resources``.

    >>> in_run("results/table5.csv", "lr5e-4")
    'results/runs/lr5e-4/table5.csv'
    """
    top, _, rest = path.partition("/")
    return f"{top}/{folder_of(run)}{rest}"


def split_run(path: str) -> tuple[str, str]:
    """The path as :data:`BASE` has it, and the run that a file lies in.

    >>> split_run("results/runs/lr5e-4/table5.csv")
    ('results/table5.csv', 'lr5e-4')
    """
    found = _RUN_FOLDER.match(path)
    return (f"{found[1]}/{path[found.end() :]}", found[2]) if found else (path, BASE)


@dataclass(frozen=True)
class Layout:
    """Where the files of one run lie.

    Attributes:
        configurations: of the runs that it is based on, the one with no base first, and of the
            run itself as the last, by name.
    """

    configurations: Mapping[str, Mapping[str, Any]]
    _digests: dict[str, Digests] = field(default_factory=dict, repr=False, compare=False)

    @property
    def run(self) -> str:
        """The run's name."""
        return list(self.configurations)[-1]

    @property
    def folders(self) -> list[str]:
        """Every folder that files of the run may lie in, as :func:`folder_of` has them."""
        return [folder_of(run) for run in self.configurations]

    def own(self, path: str) -> str:
        """The path of a file that is the run's own."""
        return in_run(path, self.run)

    def shared(self, path: str) -> str:
        """The path of a file that runs share: that of the first run that makes the same."""
        if len(self.configurations) == 1:
            return self.own(path)
        mine = self._digest(self.run, path)
        runs = (run for run in self.configurations if self._digest(run, path) == mine)
        return self.own(path) if mine is None else in_run(path, next(runs))

    def found(self, path: str) -> str:
        """The path of any file of the run, its own or shared."""
        return self.own(path) if self._digest(self.run, path) is None else self.shared(path)

    def check_target(self, path: str) -> None:
        """Raise an InputError for a file that another run would have to make.

        Args:
            path: that was asked for, below ``results`` or ``resources``.
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
                f"{path} is not where run {self.run} has this file: ask for {found}{otherwise}"
            )

    def _digest(self, run: str, path: str) -> str | None:
        if run not in self._digests:
            self._digests[run] = Digests(self.configurations[run])
        return self._digests[run].of(path)


def recorded(run: str, root: str | Path = ".") -> Mapping[str, Any] | None:
    """The configuration that a run was last started with; None if it never was.

    Args:
        root: the folder that ``results`` lies in.
    """
    path = Path(root) / in_run(RECORD, run)
    return read_json(path) if path.is_file() else None


def record(config: Mapping[str, Any], root: str | Path = ".") -> None:
    """Keep the configuration that a run starts with, for the runs that are based on it."""
    path = Path(root) / in_run(RECORD, config["run"])
    if recorded(config["run"], root) != config:
        write_json(config, path)


def layout_of(
    config: Mapping[str, Any],
    default: Callable[[], Mapping[str, Any] | None],
    root: str | Path = ".",
) -> Layout:
    """The layout of the run that a configuration is of.

    Args:
        default: the configuration that :data:`BASE` has as long as it was never started; None if
            that is not known, and then nothing is shared with it. It is asked for where needed.
        root: the folder that ``results`` lies in.

    Raises:
        InputError: a run that this one is based on was never started, or is based on this one.
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
    """The names of the runs that have a folder, in order, :data:`BASE` first if it has scores."""
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
