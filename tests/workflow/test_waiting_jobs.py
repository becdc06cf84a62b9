"""Snakemake does not check waiting jobs over and over."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

# Only until the scheduler first looks at the jobs.
_LIMIT = """
import sys
from snakemake.cli import main
from snakemake.scheduling.job_scheduler import JobScheduler

def schedule(self):
    limit = self.job_rate_limiter
    print("limit:", limit and limit.max_jobs)
    return True

JobScheduler.schedule = schedule
main(sys.argv[1:])
"""


@pytest.mark.parametrize(
    ("asked", "limit"), [([], "None"), (["--max-jobs-per-timespan", "20/1m"], "20")]
)
def test_starts_are_limited_where_that_is_asked_for_alone(
    tmp_path: Path, asked: list[str], limit: str
) -> None:
    (tmp_path / "config").symlink_to(ROOT / "config")
    command = [sys.executable, "-c", _LIMIT, "--cores", "1", "--directory", str(tmp_path)]
    command += ["--snakefile", str(ROOT / "Snakefile"), *asked, "--", "download"]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert f"limit: {limit}\n" in ran.stdout, ran.stderr
