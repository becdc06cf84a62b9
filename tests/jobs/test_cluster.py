"""Messages about jobs that fail on SLURM, and the requested and used resources."""

import logging
import re
from pathlib import Path
from queue import Empty, SimpleQueue
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest

from semantic_tokens.cli import main
from semantic_tokens.errors import InputError
from semantic_tokens.jobs.cluster.failures import Failures, Job, ending, never_starts, refusal
from semantic_tokens.jobs.cluster.gpus import gpu_count
from semantic_tokens.jobs.cluster.keys import MEMORY_KEY, TIME_KEY
from semantic_tokens.jobs.cluster.usage import (
    SNAKEMAKE_MB,
    by_rule,
    measured_usage,
    page,
    proposal,
    read_benchmarks,
    read_reports,
)

ROOT = Path(__file__).resolve().parents[2]

TRAINING = Job(
    rules=("fine_tune",),
    name="mbert/ner/seed-1",
    resources={"mem_mb": 64000, "runtime": 4320, "gpu": 2, "gpu_model": "a100", "slurm_partition": "gpu"},
    threads=8,
)  # fmt: skip


def test_resource_keys_match_the_rules() -> None:
    """The rule files are the source for all rules whose jobs go to a cluster."""
    memory, time = {}, {}
    inherits = {}
    for path in (ROOT / "rules").glob("*.smk"):
        text = path.read_text(encoding="utf-8")
        for block in re.split(r"^\s*(?=(?:use )?rule )", text, flags=re.MULTILINE)[1:]:
            if inherited := re.match(r"use rule (\w+) as (\w+)", block):
                inherits[inherited[2]] = inherited[1]
                continue
            rule = re.match(r"rule (\w+):", block)
            if rule is None or "localrule: True" in block:
                continue
            if key := re.search(r'config\["memory_mb"\]\["(\w+)"\]', block):
                memory[rule[1]] = key[1]
            if key := re.search(r'config\["runtime_minutes"\]\["(\w+)"\]', block):
                time[rule[1]] = key[1]
    for rule_name, origin in inherits.items():
        for keys in (memory, time):
            if origin in keys:
                keys[rule_name] = keys[origin]
    assert (memory, time) == (MEMORY_KEY, TIME_KEY)


@pytest.mark.parametrize(
    ("resources", "count"),
    [
        ({"gpu": 2}, 2),
        ({"gpu": 0}, 0),
        ({}, 0),
        ({"gpu": 0, "gres": "gpu:4"}, 4),
        ({"gpu": 0, "gres": "lustre:1,gpu:a100:2"}, 2),
        ({"gres": "gpu"}, 1),
        ({"gres": "shard:8"}, 0),
    ],
)
def test_gpu_count_is_read_from_job_resources(resources: dict[str, Any], count: int) -> None:
    assert gpu_count(resources) == count


@pytest.mark.parametrize(
    ("sbatch_error", "expected"),
    [
        (
            "sbatch: error: Batch job submission failed: Requested node configuration is not available",
            "no node of partition `gpu` has 8 CPUs, 64000 MB, 2 GPUs of type `a100` on one node; name "
            "another partition in `set-resources`",
        ),
        (
            "sbatch: error: Batch job submission failed: Requested time limit is invalid (missing or "
            "exceeds some limit)",
            "it requests 4320 minutes, and partition `gpu` allows 1-00:00:00; set "
            "`runtime_minutes.maximum` in the config to that",
        ),
        (
            "sbatch: error: invalid partition specified: gpus\n"
            "sbatch: error: Batch job submission failed: Invalid partition name specified",
            "`sinfo` lists the partitions; fix `slurm_partition`",
        ),
        (
            "sbatch: error: Batch job submission failed: Invalid account or account/partition "
            "combination specified",
            "fix `slurm_account` in the profile",
        ),
        (
            "sbatch: error: Memory specification can not be satisfied\n"
            "sbatch: error: Batch job submission failed: Memory specification can not be satisfied",
            "lower `memory_mb.training`",
        ),
        (
            "The given account other appears to be invalid. Available accounts:\nstudy",
            "Available accounts: study; `sacctmgr show associations user=$USER` lists yours",
        ),
        (
            "sbatch: error: QOSMaxSubmitJobPerUserLimit\n"
            "sbatch: error: Batch job submission failed: Job violates accounting/QOS policy (job "
            "submit limit, user's size and/or time limits)",
            "time limits): QOSMaxSubmitJobPerUserLimit; lower `jobs` in the profile, or request less",
        ),
        (
            "sbatch: error: Batch job submission failed: Job violates accounting/QOS policy (job "
            "submit limit, user's size and/or time limits)",
            "time limits); lower `jobs` in the profile, or request less",
        ),
        (
            "sbatch: error: QOSMaxWallDurationPerJobLimit\n"
            "sbatch: error: Batch job submission failed: Job violates accounting/QOS policy (job "
            "submit limit, user's size and/or time limits)",
            "QOSMaxWallDurationPerJobLimit; lower `runtime_minutes.maximum` in the config to what",
        ),
        (
            "sbatch: error: QOSMaxMemoryPerJob\n"
            "sbatch: error: Batch job submission failed: Job violates accounting/QOS policy (job "
            "submit limit, user's size and/or time limits)",
            "QOSMaxMemoryPerJob; it requests 8 CPUs, 64000 MB, 2 GPUs of type `a100` on one node in "
            "partition `gpu`; request less",
        ),
        ("sbatch: error: something new", "fix what it names in the profile"),
    ],
)
def test_sbatch_refusal_is_explained_in_one_line(sbatch_error: str, expected: str) -> None:
    line = refusal(TRAINING, sbatch_error, "1-00:00:00")
    assert line.startswith("fine_tune (mbert/ner/seed-1) was not submitted: ")
    assert expected in line
    assert "\n" not in line and "error:" not in line


def test_ended_job_is_explained_in_one_line(tmp_path: Path) -> None:
    slurm_log = tmp_path / "12.log"
    job = Job(**{**vars(TRAINING), "slurm_log": slurm_log})
    assert "ended as FAILED before it wrote its log; its log is" in ending(job, "12", {})
    line = ending(job, "12", {"State": "TIMEOUT", "TimeLimit": "3-00:00:00"})
    assert (
        "SLURM job 12 reached its time limit of 3-00:00:00; raise `runtime_minutes.fine_tuning`"
        in line
    )
    line = ending(job, "12", {"State": "NODE_FAIL", "NodeList": "node7"})
    assert "lost its node on node7 (NODE_FAIL)" in line
    assert "`--slurm-exclude-failed-nodes node7`" in line
    assert "was ended by SLURM (CANCELLED)" in ending(job, "12", {"State": "CANCELLED by 1000"})
    assert (
        "was killed, because it exceeded its memory of 64000 MB; raise `memory_mb.training`"
        in ending(job, "12", {"State": "OUT_OF_MEMORY"})
    )
    slurm_log.write_text(
        "slurmstepd: error: Step 12.0 exceeded memory limit (7 > 6), being killed\n"
    )
    assert "exceeded its memory" in ending(job, "12", {"State": "CANCELLED"})
    slurm_log.unlink()
    job_log = tmp_path / "seed-1.log"
    job_log.write_text(
        "2026-11-28 10:00:00,123 step 1\n2026-11-28 10:00:01,000 fine_tune: no labels\n\n"
    )
    line = ending(Job(**{**vars(job), "logs": (job_log,)}), "12", {"State": "FAILED"})
    assert line.endswith(f"SLURM job 12 failed: fine_tune: no labels ({job_log})")


def test_remedies_name_what_the_rule_has() -> None:
    """The request of some rules is in their rule file, and few rules train or have checkpoints."""

    def lines(rule: str) -> list[str]:
        job = Job(rules=(rule,), name="")
        states = ("OUT_OF_MEMORY", "TIMEOUT")
        return [ending(job, "1", {"State": state}).partition("; ")[2] for state in states]

    assert lines("significance") == [
        "set `significance: {mem_mb: …}` under `set-resources` in the profile",
        "set `significance: {runtime: …}` under `set-resources` in the profile",
    ]
    maximum = "(and `runtime_minutes.maximum`) in the config"
    assert lines("align") == [
        "raise `memory_mb.backbones` in the config",
        f"raise `runtime_minutes.backbones` {maximum}",
    ]
    assert lines("explorer") == [
        "raise `memory_mb.backbones` in the config",
        "set `explorer: {runtime: …}` under `set-resources` in the profile",
    ]
    assert lines("measure_pretraining") == [
        "raise `memory_mb.training` in the config, or lower `device_batch_size`",
        f"raise `runtime_minutes.pretraining` {maximum}",
    ]
    assert lines("pretrain") == [
        "raise `memory_mb.training` in the config, or lower `device_batch_size`",
        f"raise `runtime_minutes.pretraining` {maximum}, or give the same command again: a training "
        "continues from its checkpoint",
    ]
    refused = refusal(Job(rules=("claims",), name=""), "error: Memory specification can not be met")
    assert "set `claims: {mem_mb: …}` under `set-resources` in the profile, or name" in refused


def test_job_that_cannot_start_is_explained_in_one_line() -> None:
    grouped = Job(**{**vars(TRAINING), "sharing": 5})
    line = never_starts(grouped, "12", "PartitionTimeLimit", "1-00:00:00")
    assert "SLURM job 12 could not start (PartitionTimeLimit) and was cancelled" in line
    assert "partition `gpu` allows 1-00:00:00" in line and "lower `group-components`" in line
    assert "`slurm_account` or `qos`" in never_starts(TRAINING, "12", "InvalidQOS")
    assert "runtime_minutes.maximum" in never_starts(TRAINING, "1", "QOSMaxWallDurationPerJobLimit")


class Queue:
    """An executor like the SLURM plugin's, with the messages to its scheduler."""

    run_uuid = "1-2"
    wait = True

    def __init__(self) -> None:
        settings = SimpleNamespace(init_seconds_before_status_checks=1000)
        self.workflow = SimpleNamespace(executor_settings=settings)
        self.failed: list[Any] = []
        self.submitted: SimpleQueue[Any] = SimpleQueue()

    def run_job(self, job: Any) -> None:
        self.submitted.put(job)

    def report_job_submission(self, job_info: Any, register_job: bool = True) -> None:
        pass

    def report_job_error(self, job_info: Any, msg: str | None = None, **named: Any) -> None:
        self.failed.append((job_info, msg, named))


class OneJob(SimpleNamespace):
    """A job like Snakemake's, or a group of one job."""

    def is_group(self) -> bool:
        return False

    def __len__(self) -> int:
        return 1


def one_job() -> OneJob:
    return OneJob(
        rule=SimpleNamespace(name="align"), wildcards=["mbert", "clsa"], output=["results/none"],
        log=[], resources={"mem_mb": 100}, threads=1, attempt=1, restart_times=2,
    )  # fmt: skip


def test_only_final_failures_are_reported_at_the_end(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    # SLURM has forgotten the job, or there is none.
    monkeypatch.setattr("semantic_tokens.jobs.cluster.failures._answer", lambda *command: "")
    log = logging.getLogger("failures")
    queue, failures = Queue(), Failures()
    failures.watch(queue, log)
    job = one_job()
    started_job = SimpleNamespace(job=job, external_jobid="7", aux={})
    queue.report_job_error(started_job, msg="SLURM-job '7' failed, SLURM status is: 'TIMEOUT'. ")
    failures.tell()
    assert "reached its time limit of ? minutes" in caplog.text
    assert "It is submitted again." in caplog.text and "failed. What" not in caplog.text
    caplog.clear()
    refused_job = SimpleNamespace(job=job, external_jobid=None, aux=None)
    queue.report_job_error(
        refused_job,
        msg="SLURM sbatch failed. The error message was 'sbatch: error: Batch job submission failed: "
        "Requested node configuration is not available'.\n    sbatch call:\n        sbatch "
        "--parsable  -p plain -t 60\n",
    )
    failures.tell()
    assert len(queue.failed) == 2
    assert all(message for _, message, _ in queue.failed)
    assert job.attempt == 3, "a further attempt would be refused too"
    assert "1 job failed. Finished results are kept." in caplog.text
    assert (
        "- align (mbert/clsa): SLURM job 7 reached its time limit of ? minutes; raise "
        "`runtime_minutes.backbones` (and `runtime_minutes.maximum`) in the config. The next attempt "
        "was not submitted: Requested node"
    ) in caplog.text
    assert "no node of partition `plain` has 1 CPU, 100 MB" in caplog.text


FULL_QUEUE = (
    "SLURM sbatch failed. The error message was 'sbatch: error: AssocMaxSubmitJobLimit\n"
    "sbatch: error: Batch job submission failed: Job violates accounting/QOS policy (job submit "
    "limit, user's size and/or time limits)'.\n    sbatch call:\n        sbatch --parsable -t 60\n"
)


@pytest.mark.parametrize("queued", ["41\n", ""])
def test_a_full_queue_costs_no_job(
    queued: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With jobs in the queue, the job waits for one of them. Else, the usual attempts remain."""
    module = "semantic_tokens.jobs.cluster.failures"
    monkeypatch.setattr(
        f"{module}._answer", lambda *command: queued if command[0] == "squeue" else ""
    )
    monkeypatch.setattr(f"{module}._SECONDS_UNTIL_NEXT_SUBMISSION", 0.01)
    executor, failures = Queue(), Failures()
    failures.watch(executor, logging.getLogger("failures"))
    job = one_job()
    for _ in range(2):
        refused_job = SimpleNamespace(job=job, external_jobid=None, aux=None)
        executor.report_job_error(refused_job, msg=FULL_QUEUE)
        if queued:
            assert executor.submitted.get(timeout=10) is job
    assert job.attempt == 1
    warnings = [record.getMessage() for record in caplog.records]
    if queued:
        assert not executor.failed
        (warning,) = warnings
        assert "takes no more of your jobs for now (AssocMaxSubmitJobLimit): align" in warning
        executor.wait = False  # the run was stopped
        executor.report_job_error(refused_job, msg=FULL_QUEUE)
        with pytest.raises(Empty):
            executor.submitted.get(timeout=0.2)
    else:
        assert len(executor.failed) == 2 and executor.submitted.empty()
        assert "AssocMaxSubmitJobLimit; lower `jobs` in the profile" in warnings[0]


HEADER = "s\th:m:s\tmax_rss\tmax_vms\tmax_uss\tmax_pss\tio_in\tio_out\tmean_load\tcpu_time"
EXTENDED = (
    HEADER + "\tjobid\trule_name\twildcards\tparams\tthreads\tcpu_usage\tresources\tinput_size_mb"
)


def benchmark(path: Path, seconds: float, memory: str, cpu: float, resources: str = "") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    row = f"{seconds}\t0:00:01\t{memory}\t9\t9\t9\t0\t0\t1\t{cpu}"
    if resources:
        row += f"\t1\t{path.parent.name}\t{{}}\t{{}}\t(4,)\t9\t{resources}\t{{}}"
    path.write_text(f"{EXTENDED if resources else HEADER}\n{row}\n", encoding="utf-8")


REPORT = """\
,JobID,JobName,RuleName,Elapsed,TotalCPU,NNodes,NCPUS,MaxRSS,ReqMem,Elapsed_sec,TotalCPU_sec,MaxRSS_MB,RequestedMem_MB,MainJobID,CPU Efficiency (%),Memory Usage (%)
3,8.0,python3.11,rule_align_wildcards_mbert_clsa-a+b,01:00:00,30:00.000,1,4,2G,4000M,3600,1800,2048,4000,8,12.5,51.2
5,9.0,python3.11,rule_fine_tunings_fine_tune,05:00:00,05:00:00,1,1,3G,4000M,18000,18000,3072,4000,9,100,76.8
"""


def test_used_resources_are_summarized_by_rule(tmp_path: Path) -> None:
    folder = tmp_path / "benchmarks"
    resources = "{'mem_mb': 4000, 'runtime': 240, 'tmpdir': '/tmp', 'gpu': 0}"
    benchmark(folder / "align/mbert/a.tsv", 1200, "1500.5", 2400, resources)
    benchmark(folder / "align/mbert/b.tsv", 600, "1000", 600, resources)
    benchmark(folder / "fine_tune/mbert/seed-1.tsv", 3000, "700", 3000)
    benchmark(folder / "read_lexicon/numbers.tsv", 0.1, "NA", 0)
    benchmarks = read_benchmarks(folder)
    assert len(benchmarks) == 4
    report = tmp_path / "efficiency_report_1.csv"
    report.write_text(REPORT, encoding="utf-8")
    table = by_rule(benchmarks, read_reports([report])).set_index("rule")
    align = table.loc["align"]
    assert align["jobs"] == 2
    # The larger of the two sources: memory and time from the report, CPUs from the benchmarks.
    assert (align["memory_mb_asked"], align["memory_mb_used"]) == (4000, 2048 + 180)
    assert (align["minutes_asked"], align["minutes_used"]) == (240, 60)
    assert (align["cpus_asked"], align["cpus_used"]) == (4, 2)
    training = table.loc["fine_tune"]
    # Each fine-tuning of a group has the memory of the job, but not its time.
    assert (training["memory_mb_used"], training["minutes_used"]) == (3072 + 180, 50)
    assert pd.isna(table.loc["read_lexicon", "memory_mb_used"])
    assert proposal(table.reset_index(), 1.5) == {
        "memory_mb": {"backbones": 3400, "training": 4900},
        "runtime_minutes": {"backbones": 90, "data": 10, "fine_tuning": 80},
    }


def test_values_that_are_not_numbers_are_unknown(tmp_path: Path) -> None:
    benchmark(tmp_path / "benchmarks/align/a.tsv", 60, "100", 30)
    path = tmp_path / "benchmarks/align/a.tsv"
    path.write_text(path.read_text(encoding="utf-8").replace("60", "?"), encoding="utf-8")
    report = tmp_path / "efficiency_report_1.csv"
    report.write_text(REPORT.replace("3600", "?").replace("2048", "-"), encoding="utf-8")
    table = by_rule(read_benchmarks(tmp_path / "benchmarks"), read_reports([report]))
    align = table.set_index("rule").loc["align"]
    assert pd.isna(align["minutes_used"]) and align["memory_mb_used"] == 100 + SNAKEMAKE_MB


def test_usage_works_without_an_efficiency_report(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["usage", str(tmp_path)]) == 1
    message = capsys.readouterr().err
    assert "no benchmark files, and there is no efficiency report" in message
    assert message.count("\n") == 1
    benchmark(tmp_path / "benchmarks/align/a.tsv", 60, "100", 30)
    assert main(["usage", str(tmp_path)]) == 0
    output = capsys.readouterr().out
    assert f"By 1 benchmark files only, with {SNAKEMAKE_MB} MB added" in output
    assert "there is no efficiency report of SLURM" in output
    assert "memory_mb:\n  backbones: 800\n" in output
    align = next(line for line in output.splitlines() if line.split()[0] == "align")
    assert align.split() == ["align", "1", "-", "550", "-", "1.0", "-", "0.5"]


def test_usage_of_a_named_run_has_the_report_of_all_runs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    results = tmp_path / "results"
    benchmark(results / "benchmarks/align/a.tsv", 60, "100", 30)
    benchmark(results / "runs/one/benchmarks/pretrain/a.tsv", 60, "100", 30)
    report = results / "logs/slurm/efficiency_report_1.csv"
    report.parent.mkdir(parents=True)
    report.write_text(REPORT, encoding="utf-8")
    assert main(["usage", str(results)]) == 0
    assert "By 2 benchmark files and 1 efficiency reports" in capsys.readouterr().out
    assert main(["usage", str(results / "runs/one")]) == 0
    assert "By 1 benchmark files and 1 efficiency reports" in capsys.readouterr().out


def test_unreadable_efficiency_report_is_refused(tmp_path: Path) -> None:
    report = tmp_path / "efficiency_report_1.csv"
    with pytest.raises(InputError, match=r"cannot be read .*No such file.*--no-report"):
        read_reports([report])
    report.write_bytes("Name,Käse\n1,2\n".encode("latin-1"))
    with pytest.raises(InputError, match=r"_1\.csv cannot be read \('utf-8' codec .*--no-report"):
        read_reports([report])
    report.write_text("a,b\n1,2\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"is not an efficiency report of the SLURM plugin"):
        read_reports([report])
    report.write_text(REPORT.replace("RuleName", "Other"), encoding="utf-8")
    with pytest.raises(InputError, match=r"AccountingStoreFlags=job_comment.*--no-report"):
        read_reports([report])
    benchmark(tmp_path / "benchmarks/align/a.tsv", 60, "100", 30)
    table, origin = measured_usage(tmp_path, [])
    assert "benchmark files only" in origin and list(table["rule"]) == ["align"]
    assert page(table, origin, 1.3).count("align") == 1
    (tmp_path / "benchmarks/align/b.tsv").write_text("x\ty\n1\t2\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"b\.tsv is not a benchmark file"):
        measured_usage(tmp_path, [])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("s\tKäse\n".encode("latin-1"), r"cannot be read \('utf-8' codec .*\); move it"),
        (b"", r"cannot be read \(No columns .*\); move it"),
        (f"{HEADER}\n".encode(), r"is not a benchmark file of Snakemake; move it"),
        (b"s\tmax_rss\n1\t2\n1\t2\t3\t4\n", r"cannot be read \(.*\); move it"),
    ],
)
def test_unreadable_benchmark_file_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: bytes, message: str
) -> None:
    path = tmp_path / "benchmarks/align/a.tsv"
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    assert main(["usage", str(tmp_path)]) == 1
    error = capsys.readouterr().err
    assert re.match(rf"Error: .*{path} {message}", error) and error.count("\n") == 1


@pytest.mark.parametrize("margin", ["nan", "inf", "-inf", "0", "-1", "101"])
def test_unusable_margin_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], margin: str
) -> None:
    benchmark(tmp_path / "benchmarks/align/a.tsv", 60, "100", 30)
    assert main(["usage", str(tmp_path), f"--margin={margin}"]) == 1
    error = capsys.readouterr().err
    assert error == f"Error: --margin is {margin} and must be above 0 and at most 100\n"


@pytest.mark.parametrize("table", ["file/table.csv", "folder", "x" * 300, "/proc/table.csv"])
def test_unusable_table_of_usage_is_reported_before_the_work(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    table: str,
) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()

    def no_work(*_: Any) -> None:
        raise AssertionError("the work started")

    monkeypatch.setattr("semantic_tokens.jobs.cluster.usage.measured_usage", no_work)
    assert main(["usage", str(tmp_path), "--table", str(tmp_path / table)]) == 1
    error = capsys.readouterr().err
    assert error.startswith("Error: the output ") and error.count("\n") == 1


def test_a_full_disk_ends_usage_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    benchmark(tmp_path / "benchmarks/align/a.tsv", 60, "100", 30)
    table = tmp_path / "table.csv"
    table.write_text("old", encoding="utf-8")

    def full(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pd.DataFrame, "to_csv", full)
    assert main(["usage", str(tmp_path), "--table", str(table)]) == 1
    error = capsys.readouterr().err
    assert error.startswith(f"Error: {table} cannot be written: the disk of {tmp_path} is full")
    assert error.count("\n") == 1
    assert table.read_text(encoding="utf-8") == "old"
