"""The paper's own profile: resolved, though nothing of it can be run here."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from study import job_counts

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def dry_run(tmp_path_factory: pytest.TempPathFactory) -> str:
    """All that a dry run of Table 5 shows, job by job."""
    folder = tmp_path_factory.mktemp("paper")
    shutil.copytree(ROOT / "config", folder / "config")
    command = [sys.executable, "-m", "snakemake", "--snakefile", ROOT / "Snakefile", "--dry-run"]
    command += ["results/table5.csv"]
    command += ["--directory", folder, "--configfile", folder / "config/paper.yaml"]
    answer = subprocess.run(
        command,
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        check=False,
    )
    assert answer.returncode == 0, answer.stdout
    return answer.stdout


def test_table_5_of_the_paper_resolves(dry_run: str) -> None:
    counts = job_counts(dry_run)
    assert counts["fine_tune"] == 45 * 5
    assert counts["derive_backbone"] == counts["align"] == 4
    assert counts["group_kmeans"] == 4 + 4 + 8 + 3 * 4
    assert counts["pretrain"] == 1 + 4 + 4 + 8 + 4
    assert counts["read_corpus"] == counts["tokenize_corpus"] == 28
    # Four backbones, four lexicons, Wikipedia and five of the tasks' sources.
    assert counts["fetch_download"] == 4 + 4 + 1 + 5
    assert "fetch_wheel" not in counts


def test_every_job_names_its_resources(dry_run: str) -> None:
    jobs = re.findall(r"^(?:local)?rule (\w+):\n((?: {4}.+\n)+)", dry_run, re.MULTILINE)
    assert len(jobs) == sum(job_counts(dry_run).values())
    for rule, told in jobs:
        (resources,) = re.findall(r"resources: (.*)", told)
        for name in ("mem_mb", "runtime", "gpu"):
            assert re.search(rf"\b{name}=\d+", resources), (rule, resources)
