"""A few rows of the small study, whose jobs go to the tests' cluster with ``profiles/slurm``."""

import re
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from study import Study

ASIS = "unigram/unaligned/dfull/ungrouped/asis"
GROUPED = "unigram/unaligned/dfull/kmeans-cosine-0.05/asis"
ROWS = """\
figure table5 reference backbone alignment dimension grouping pretraining training
oracle yes yes unigram unaligned dfull ungrouped asis all-languages
figure4 yes no unigram unaligned dfull kmeans-cosine-0.05 asis all-languages
"""
FEW_EXPERIMENTS = {
    "experiments": "config/few.tsv",
    "tasks_shown": ["ner"],
    "memory_mb": {"backbones": 2000, "data": 1500, "ranking": 1500, "training": 1500},
}


def scores(recipe: str, task: str, seed: int) -> str:
    return f"results/scores/{recipe}/{task}/all-languages/seed-{seed}.json"


class Submitted:
    """The same study in another folder, whose jobs go to the cluster."""

    def __init__(self, local: Study, folder: Path) -> None:
        shutil.copytree(local.folder / "config", folder, dirs_exist_ok=True)
        self.study = Study(local.checkout, folder.parent)
        self.options = ["--profile", str(local.checkout / "profiles/slurm")]
        # Shorter waits for the tests.
        self.options += ["--latency-wait", "20"]
        self.options += ["--slurm-init-seconds-before-status-checks", "7"]

    def start(
        self, *targets: str, options: tuple[str, ...] = (), fake_gpus: bool = True, **change: Any
    ) -> subprocess.Popen[str]:
        """Start a run. With ``fake_gpus``, its jobs accept the cluster's GPUs."""
        environment = {"PYTHONPATH": str(Path(__file__).parent / "toy_gpus")} if fake_gpus else {}
        return self.study.start(
            *targets,
            change=FEW_EXPERIMENTS | change,
            options=[*self.options, *options],
            environment=environment,
        )

    def run(self, *targets: str, fails: bool = False, **named: Any) -> str:
        """Run to the end, and return the output. With ``fails``, it must fail."""
        process = self.start(*targets, **named)
        output, _ = process.communicate(timeout=500)
        assert process.returncode == (1 if fails else 0), output
        return output


def write_few_experiments(study: Study) -> None:
    """Write the table of the few experiments."""
    rows = ROWS.replace(" ", "\t")
    (study.folder / "config/few.tsv").write_text(rows, encoding="utf-8")


def wait_until(condition: Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return
        time.sleep(0.2)
    raise TimeoutError


def time_of(path: Path) -> int | None:
    """The time when a file was written, in nanoseconds, if it exists.

    Another process may replace it.
    """
    try:
        return path.stat().st_mtime_ns
    except FileNotFoundError:
        return None


def final_failures(output: str) -> list[str]:
    """The lines about jobs that finally failed."""
    assert re.search(r"^\d+ jobs? failed\. Finished results are kept\.$", output, re.MULTILINE), (
        output
    )
    lines = output[output.rindex("Finished results are kept.") :].splitlines()
    return [line.removeprefix("- ") for line in lines if line.startswith("- ")]
