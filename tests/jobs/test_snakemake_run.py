"""A job ends with its Snakemake, and a killed Snakemake's lock does not stop the next run."""

import json
import os
import subprocess
import sys
import time
from dataclasses import asdict, replace
from pathlib import Path

import psutil
import pytest

from semantic_tokens.jobs import snakemake_run
from semantic_tokens.jobs.snakemake_run import Process, begin_run

ENVIRONMENT = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}

# A substitute for Snakemake: it starts a job through a shell, and waits.
PARENT = """
import os, subprocess, sys
from semantic_tokens.jobs.snakemake_run import begin_run
begin_run(sys.argv[1], takes_lock=False)
subprocess.run(["bash", "-c", "set -e; \\"$0\\" -c \\"$1\\"; true", sys.executable, sys.argv[2]])
"""
JOB = """
import os, subprocess, sys, time
from types import SimpleNamespace
from semantic_tokens.jobs.job import job
with job(SimpleNamespace(rule="align", threads=1, log=[LOG])):
    child = subprocess.Popen(["sleep", "600"])
    IGNORE
    open(MARK, "w").write(f"{os.getpid()} {child.pid}")
    time.sleep(600)
"""


def all_ended(processes: list[psutil.Process]) -> bool:
    return not any(map(snakemake_run._is_alive, processes))


@pytest.mark.parametrize("ignores_sigterm", [False, True], ids=["plain", "ignores SIGTERM"])
def test_a_job_and_its_children_end_with_their_snakemake(
    tmp_path: Path, ignores_sigterm: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    ignore = (
        "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)"
        if ignores_sigterm
        else "pass"
    )
    script = JOB.replace("LOG", repr(str(tmp_path / "align.log")))
    script = script.replace("MARK", repr(str(tmp_path / "mark"))).replace("IGNORE", ignore)
    parent = subprocess.Popen([sys.executable, "-c", PARENT, tmp_path, script], env=ENVIRONMENT)
    mark = tmp_path / "mark"
    while not (mark.exists() and mark.read_text()):
        assert parent.poll() is None
        time.sleep(0.05)
    processes = [psutil.Process(int(pid)) for pid in mark.read_text().split()]
    time.sleep(2.5)
    assert not any(all_ended([process]) for process in processes)  # not while Snakemake lives
    parent.kill()  # without waiting, so it remains a zombie
    began = time.monotonic()
    while not all_ended(processes):
        time.sleep(0.1)
        assert time.monotonic() - began < (20 if ignores_sigterm else 5)
    parent.wait()
    (line,) = (tmp_path / "align.log").read_text("utf-8").splitlines()
    assert f"Snakemake (process {parent.pid}), which started this job, no longer exists" in line


WORKERS = """
import os, time
def work(folder):
    open(f"{folder}/{os.environ['RANK']}", "w").write(str(os.getpid()))
    time.sleep(600)
"""


@pytest.mark.parametrize("killed", ["snakemake", "job"])
def test_all_processes_of_a_killed_training_end(tmp_path: Path, killed: str) -> None:
    (tmp_path / "workers.py").write_text(WORKERS)
    (tmp_path / "job.py").write_text(f"""
import os
from types import SimpleNamespace
from workers import work
from semantic_tokens.jobs.job import job
from semantic_tokens.jobs.processes import in_processes
if __name__ == "__main__":
    with job(SimpleNamespace(rule="pretrain", threads=1, log=[{str(tmp_path / "log")!r}])):
        open({str(tmp_path / "job")!r}, "w").write(str(os.getpid()))
        in_processes(2, work, {str(tmp_path)!r})
""")
    start = f"import runpy; runpy.run_path({str(tmp_path / 'job.py')!r}, run_name='__main__')"
    path = os.pathsep.join([str(tmp_path), ENVIRONMENT["PYTHONPATH"]])
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, tmp_path, start], env=ENVIRONMENT | {"PYTHONPATH": path}
    )
    marks = [tmp_path / name for name in ("job", "0", "1")]
    while not all(mark.exists() and mark.read_text() for mark in marks):
        assert parent.poll() is None
        time.sleep(0.05)
    processes = [psutil.Process(int(mark.read_text())) for mark in marks]
    (parent if killed == "snakemake" else processes[0]).kill()
    began = time.monotonic()
    while not all_ended(processes):
        time.sleep(0.1)
        assert time.monotonic() - began < 15
    parent.kill()
    parent.wait()
    assert "this is a bug" not in (tmp_path / "log").read_text("utf-8")


def test_job_started_without_snakemake_is_not_watched(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SEMANTIC_TOKENS_SNAKEMAKE", raising=False)
    threads = []
    monkeypatch.setattr(snakemake_run.threading, "Thread", lambda **given: threads.append(given))
    snakemake_run.end_with_snakemake()
    assert not threads


RUN = """
import sys
from semantic_tokens.jobs.snakemake_run import begin_run
begin_run(sys.argv[1], takes_lock=sys.argv[2] == "run")
print("started", flush=True)
sys.stdin.read()
"""


def start_run(state: Path, kind: str = "run") -> subprocess.Popen[str]:
    """Start a process as a substitute for Snakemake in this folder."""
    process = subprocess.Popen(
        [sys.executable, "-c", RUN, state, kind],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=ENVIRONMENT,
        text=True,
    )
    assert process.stdout is not None and process.stdout.readline() == "started\n"
    return process


def lock(state: Path) -> Path:
    """Write the lock of Snakemake."""
    path = state / "locks/0.output.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("results/table5.csv\n")
    return path


def records(state: Path) -> list[Path]:
    return sorted((state / "semantic_tokens_runs").glob("*.json"))


def test_the_lock_of_a_killed_run_is_removed(tmp_path: Path) -> None:
    first = start_run(tmp_path)
    path = lock(tmp_path)
    first.kill()
    first.communicate()
    second = start_run(tmp_path)
    assert not path.exists()
    assert len(records(tmp_path)) == 1
    second.communicate()
    assert not records(tmp_path)  # a normal end leaves no record


def test_lock_of_a_running_snakemake_stays(tmp_path: Path) -> None:
    killed, running = start_run(tmp_path), start_run(tmp_path)
    killed.kill()
    killed.communicate()
    path = lock(tmp_path)
    start_run(tmp_path).communicate()
    assert path.exists()
    running.communicate()
    start_run(tmp_path).communicate()
    assert not path.exists()


@pytest.mark.parametrize("kind", ["other-host", "unknown", "damaged"])
def test_lock_of_a_remote_or_unknown_run_stays(tmp_path: Path, kind: str) -> None:
    path = lock(tmp_path)
    if kind != "unknown":
        folder = tmp_path / "semantic_tokens_runs"
        folder.mkdir()
        other = asdict(replace(Process.this(), host="login-2"))
        text = json.dumps(other) if kind == "other-host" else "{"
        (folder / "login-2-1.json").write_text(text)
    start_run(tmp_path).communicate()
    assert path.exists()


def test_dry_runs_and_snakemake_of_jobs_remove_no_lock(tmp_path: Path) -> None:
    first = start_run(tmp_path)
    path = lock(tmp_path)
    first.kill()
    first.communicate()
    start_run(tmp_path, "job").communicate()
    assert path.exists()
    assert len(records(tmp_path)) == 1


def test_later_process_with_the_same_id_is_another_process(tmp_path: Path) -> None:
    this = Process.this()
    assert this.find() is not None
    assert replace(this, started=this.started - 3600).find() is None


def test_unwritable_folder_does_not_stop_a_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "semantic_tokens_runs").write_text("a file")
    monkeypatch.setenv("SEMANTIC_TOKENS_SNAKEMAKE", "")
    begin_run(tmp_path, takes_lock=True)


@pytest.mark.skipif(not psutil.LINUX, reason="other systems store the start times of processes")
def test_a_changed_clock_does_not_hide_a_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """A paused virtual machine sets its clock forward, and with it the computed time of boot."""
    this = Process.this()
    started, booted = psutil.Process.create_time, psutil.boot_time
    monkeypatch.setattr(psutil.Process, "create_time", lambda process: started(process) + 600)
    monkeypatch.setattr(psutil, "boot_time", lambda: booted() + 600)
    found = this.find()
    assert found is not None and found.pid == this.pid
