"""Atomic writes, and messages about damaged files."""

import logging
import os
import re
import subprocess
import sys
import threading
import time
from pathlib import Path
from socket import gethostname

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet
from safetensors.numpy import load_file, save_file

from semantic_tokens.errors import InputError
from semantic_tokens.files import (
    atomic_file,
    file_lock,
    link_files,
    read_json,
    read_jsonl,
    reading,
    write_json,
    write_jsonl,
)


def test_file_appears_only_when_it_is_complete(tmp_path: Path) -> None:
    target = tmp_path / "new/folder/file.txt"
    with atomic_file(target) as partial:
        partial.write_text("half", encoding="utf-8")
        assert not target.exists()
        assert partial.parent == target.parent  # on the same disk, so that renaming is atomic
    assert target.read_text(encoding="utf-8") == "half"
    assert list(target.parent.iterdir()) == [target]


def test_a_failure_keeps_the_old_file(tmp_path: Path) -> None:
    target = tmp_path / "file.txt"
    target.write_text("before", encoding="utf-8")
    with pytest.raises(RuntimeError), atomic_file(target) as partial:
        partial.write_text("half", encoding="utf-8")
        raise RuntimeError
    assert target.read_text(encoding="utf-8") == "before"
    assert list(tmp_path.iterdir()) == [target]


def test_jsonl_records_of_any_script_are_read_back(tmp_path: Path) -> None:
    records = [{"text": "番茄\u2028\n"}, {"text": "ቲማቲም", "relevant": {"a": 1}}, {}]
    assert write_jsonl(iter(records), tmp_path / "x.jsonl") == 3
    assert list(read_jsonl(tmp_path / "x.jsonl")) == records
    assert "番茄" in (tmp_path / "x.jsonl").read_text(encoding="utf-8")


def test_failed_jsonl_write_leaves_no_file(tmp_path: Path) -> None:
    with pytest.raises(TypeError):
        write_jsonl([{"fine": 1}, {"not JSON": {1}}], tmp_path / "x.jsonl")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("line", ["{", "", "[1]", "7"])
def test_damaged_jsonl_line_is_named_in_the_error(tmp_path: Path, line: str) -> None:
    (tmp_path / "x.jsonl").write_text(f'{{"a": 1}}\n{line}\n', encoding="utf-8")
    with pytest.raises(InputError, match=r"x\.jsonl, line 2: not (a )?JSON.*delete the file"):
        list(read_jsonl(tmp_path / "x.jsonl"))


def test_json_is_read_back_and_independent_of_key_order(tmp_path: Path) -> None:
    write_json({"b": [1.5, None], "a": "番茄"}, tmp_path / "1.json")
    write_json({"a": "番茄", "b": [1.5, None]}, tmp_path / "2.json")
    assert read_json(tmp_path / "1.json") == {"a": "番茄", "b": [1.5, None]}
    assert (tmp_path / "1.json").read_bytes() == (tmp_path / "2.json").read_bytes()


def test_damaged_json_is_named_in_the_error(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text('{"a": 1', encoding="utf-8")
    with pytest.raises(InputError, match=r"x\.json is not JSON .*delete it"):
        read_json(tmp_path / "x.json")


def test_file_permissions_follow_the_umask(tmp_path: Path) -> None:
    plain, private = tmp_path / "plain", tmp_path / "private"
    plain.touch()
    with atomic_file(private) as partial:
        partial.touch(mode=0o600)
    assert private.stat().st_mode == plain.stat().st_mode


@pytest.mark.parametrize("kept", [0, 3, 0.5, -1], ids=["empty", "start", "half", "nearly"])
@pytest.mark.parametrize("kind", ["safetensors", "parquet"])
def test_truncated_file_is_named_in_the_error(tmp_path: Path, kind: str, kept: float) -> None:
    path = tmp_path / f"table.{kind}"
    if kind == "parquet":
        parquet.write_table(pa.table({"ids": list(range(1000))}), path)
    else:
        save_file({"ids": np.arange(1000)}, path)
    read = parquet.read_table if kind == "parquet" else load_file
    with reading(path):
        assert len(read(path)) > 0
    content = path.read_bytes()
    path.write_bytes(content[: int(kept * len(content)) if kept == 0.5 else int(kept)])
    message = rf"table\.{kind} is damaged .*; delete it"
    with pytest.raises(InputError, match=message), reading(path):
        read(path)


def test_missing_file_is_not_reported_as_damaged(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), reading(tmp_path / "none"):
        load_file(tmp_path / "none")


HOLDER = """
import sys, time
from semantic_tokens.files import file_lock
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
from semantic_tokens.files import file_lock
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


def test_files_are_linked_or_copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a/config.json").write_text("{}", encoding="utf-8")
    (tmp_path / "a/notes.txt").write_text("no", encoding="utf-8")
    link_files(tmp_path / "a", tmp_path / "b", "*.json")
    assert [path.name for path in (tmp_path / "b").iterdir()] == ["config.json"]
    link = tmp_path / "b/config.json"
    assert link.samefile(tmp_path / "a/config.json")
    # Setting the time of the link, as Snakemake does after a job, leaves the original's.
    before = (tmp_path / "a/config.json").stat().st_mtime_ns
    os.utime(link, (1, 1), follow_symlinks=False)
    assert (tmp_path / "a/config.json").stat().st_mtime_ns == before
    # The links are relative, so the study's folder can be moved.
    (tmp_path / "study").mkdir()
    for name in ("a", "b"):
        (tmp_path / name).rename(tmp_path / "study" / name)
    assert (tmp_path / "study/b/config.json").read_text(encoding="utf-8") == "{}"

    def no_links(*_: object) -> None:
        raise OSError("no links here")

    monkeypatch.setattr(Path, "symlink_to", no_links)
    link_files(tmp_path / "study/a", tmp_path / "c", "*.json")
    assert (tmp_path / "c/config.json").read_text(encoding="utf-8") == "{}"
    assert not (tmp_path / "c/config.json").samefile(tmp_path / "study/a/config.json")
