"""File locks between processes."""

import logging
import os
import re
import subprocess
import sys
import threading
import time
from pathlib import Path
from socket import gethostname

import pytest

from semantic_tokens.file_locks import file_lock

HOLDER = """
import sys, time
from semantic_tokens.file_locks import file_lock
with file_lock(sys.argv[1]):
    print("locked", flush=True)
    time.sleep(float(sys.argv[2]))
"""


def start_holder(path: Path, seconds: float) -> subprocess.Popen[bytes]:
    """Another process that has the lock of a path, for this number of seconds."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", HOLDER, path, str(seconds)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, env=environment)
    assert process.stdout is not None and process.stdout.readline() == b"locked\n"
    return process


@pytest.mark.parametrize("end_of_holder", ["ends", "is killed"])
def test_process_waits_for_a_held_lock(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, end_of_holder: str
) -> None:
    caplog.set_level(logging.INFO)
    path = tmp_path / "new/checkpoint"
    other = start_holder(path, 1.0 if end_of_holder == "ends" else 600.0)
    killer = threading.Timer(1.0, other.kill)
    if end_of_holder == "is killed":
        killer.start()
    began = time.monotonic()
    with file_lock(path, retry_every=0.05, log_every=0.3):
        waited = time.monotonic() - began
        assert path.with_suffix(".lock").read_text() == f"process {os.getpid()} of {gethostname()}"
    assert 0.5 < waited < 20
    other.communicate()
    assert not path.with_suffix(".lock").exists()
    *waits, end = caplog.messages
    assert len(waits) >= 3
    expected = rf"waiting for .*new/checkpoint, which process {other.pid} of \S+ uses, for \d+ s"
    assert all(re.match(expected, line) for line in waits)
    assert re.match(r".*new/checkpoint is free after \d+ s", end)


def test_a_free_lock_is_taken_silently(tmp_path: Path, caplog) -> None:
    caplog.set_level(logging.INFO)
    for _ in range(2):
        with file_lock(tmp_path / "checkpoint"):
            assert (tmp_path / "checkpoint.lock").exists()
    assert not (tmp_path / "checkpoint.lock").exists()
    assert not caplog.messages


COMPETITOR = """
import os, sys
from semantic_tokens.file_locks import file_lock
for _ in range(40):
    with file_lock(sys.argv[1], retry_every=0.0):
        os.close(os.open(sys.argv[2], os.O_CREAT | os.O_EXCL))
        os.unlink(sys.argv[2])
"""


def test_a_lock_has_one_holder_at_a_time(tmp_path: Path) -> None:
    """Every holder removes the lock file, and there is still only one holder at a time."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", COMPETITOR, tmp_path / "checkpoint", tmp_path / "inside"]
    processes = [subprocess.Popen(command, env=environment) for _ in range(4)]
    assert [process.wait() for process in processes] == [0] * 4
