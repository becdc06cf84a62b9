"""A small study in a separate folder, run by the real ``snakemake``."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from semantic_tokens.files import sha256_of

_JOB_COUNTS = re.compile(r"^job +count\n-[- ]+\n(.*?)^total ", re.MULTILINE | re.DOTALL)


def job_counts(output: str) -> dict[str, int]:
    """The number of jobs of each rule, except ``all``, in Snakemake's output."""
    table = _JOB_COUNTS.search(output)
    if table is None:
        assert "Nothing to be done" in output, output
        return {}
    counts = (line.split() for line in table[1].splitlines())
    return {rule: int(count) for rule, count in counts if rule != "all"}


class OutputFile(NamedTuple):
    """The time when a file was written, in nanoseconds, and a digest of its content."""

    time: int
    sha256: str


ROOT = Path(__file__).resolve().parents[2]


def command_output(command: Sequence[str | Path], folder: Path) -> str:
    """The output of a command, which must succeed.

    Args:
        command: words after ``python -m``.
        folder: the working directory.
    """
    result = subprocess.run(
        [sys.executable, "-m", *command],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        check=False,
    )
    assert result.returncode == 0, result.stdout
    return result.stdout


def new_study(checkout: Path, folder: Path, wheels: Mapping[str, Mapping[str, str]]) -> "Study":
    """A copy of the checkout, which tests may edit, and the study before any results.

    Args:
        wheels: ``wheels`` of the study's config, with the paths of the archives.
    """
    for part in ("rules", "workflow", "profiles", "envs", "config/schemas"):
        shutil.copytree(ROOT / part, checkout / part, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "Snakefile", checkout)
    shutil.copy(ROOT / "config/paper_table5.csv", checkout / "config")
    shutil.copytree(Path(__file__).parent / "config", folder / "config")
    with (folder / "config/config.yaml").open("a", encoding="utf-8") as file:
        yaml.safe_dump({"wheels": {name: dict(pin) for name, pin in wheels.items()}}, file)
    return Study(checkout, folder)


@dataclass(frozen=True)
class Study:
    """A checkout of the workflow, and its working directory.

    Attributes:
        checkout: contains ``Snakefile``, ``rules``, ``workflow``, ``profiles`` and the schema.
        folder: contains the study's ``config``, and receives the results.
    """

    checkout: Path
    folder: Path

    def run(
        self, *targets: str, change: Mapping[str, Any] | None = None, options: Iterable[str] = ()
    ) -> subprocess.CompletedProcess[str]:
        """Run the workflow to its end. ``stdout`` of the result is the entire output.

        Args:
            change: changes of the study's config.
            options: options of ``snakemake``.
        """
        process = self.start(*targets, change=change, options=options)
        output, _ = process.communicate()
        return subprocess.CompletedProcess(process.args, process.returncode, output)

    def start(
        self,
        *targets: str,
        change: Mapping[str, Any] | None = None,
        options: Iterable[str] = (),
        environment: Mapping[str, str] | None = None,
    ) -> subprocess.Popen[str]:
        """Like :meth:`run`, without waiting, in a separate session.

        Args:
            environment: additional variables of the run and its jobs.
        """
        command = [sys.executable, "-m", "snakemake", "--snakefile", self.checkout / "Snakefile"]
        command += ["--directory", self.folder, "--cores", "2", *targets, *options]
        if change:
            change_file = self.folder / "config/change.yaml"
            change_file.write_text(yaml.safe_dump(dict(change)), encoding="utf-8")
            command += ["--configfile", change_file]
        return subprocess.Popen(
            command,
            cwd=self.folder,
            # The workflow must find its package without the tests' settings.
            env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": ""} | dict(environment or {}),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            start_new_session=True,
        )

    def stale(self, *targets: str, change: Mapping[str, Any] | None = None) -> dict[str, int]:
        """How many jobs of each rule a run would do, by a dry run."""
        result = self.run(*targets, change=change, options=["--dry-run"])
        assert result.returncode == 0, result.stdout
        return job_counts(result.stdout)

    def output_files(self) -> dict[str, OutputFile]:
        """The output files of jobs so far, by path. Logs, benchmarks, unfinished downloads, Snakemake's
        time stamps of folders and the configurations of runs are left out."""
        files = {}
        for folder in ("resources", "results"):
            for path in sorted((self.folder / folder).rglob("*")):
                name = path.relative_to(self.folder)
                if not path.is_file() or path.name in (
                    ".snakemake_timestamp",
                    "configuration.json",
                ):
                    continue
                kind = name.parts[3 if name.parts[1] == "runs" else 1]
                if kind not in ("logs", "benchmarks", "partial"):
                    files[str(name)] = OutputFile(path.stat().st_mtime_ns, sha256_of(path))
        return files
