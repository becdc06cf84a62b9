"""The default profile does not limit the rate at which jobs start."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

# Print the limit when the scheduler starts, and run no job.
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
    ("options", "limit"), [([], "None"), (["--max-jobs-per-timespan", "20/1m"], "20")]
)
def test_job_starts_are_limited_only_on_request(
    tmp_path: Path, options: list[str], limit: str
) -> None:
    (tmp_path / "config").symlink_to(ROOT / "config")
    command = [sys.executable, "-c", _LIMIT, "--cores", "1", "--directory", str(tmp_path)]
    command += ["--snakefile", str(ROOT / "Snakefile"), *options, "--", "download"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert f"limit: {limit}\n" in result.stdout, result.stderr
