"""Failing downloads in the workflow: each prints one message, leaves no file that looks complete,
and the next run continues."""

import io
import json
import os
import re
import subprocess
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from servers import hub, send, send_file, serving
from study import Study, new_study
from test_bad_input import assert_one_message

REVISION, MISSING_REVISION = "a" * 40, "b" * 40
WORDS = b"tomato Tomate\n"
LARGE = bytes(range(256)) * 12_000  # about three megabytes
TARGETS = {name: f"resources/downloads/{name}" for name in ("good", "gated", "offline", "archive", "vanished", "full", "full_hub")}  # fmt: skip


@pytest.fixture
def study(tmp_path: Path, wheel_pins: dict[str, dict[str, str]]) -> Study:
    """A study without results, which needs no wheels."""
    return new_study(tmp_path / "checkout", tmp_path / "study", wheel_pins)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The hub's cache, which runs of the workflow read from their environment."""
    monkeypatch.setenv("HF_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def repositories(tmp_path: Path) -> Path:
    """The content of the hub: two repositories of words."""
    for name in ("gated", "words"):
        folder = tmp_path / "hub/o" / name
        folder.mkdir(parents=True)
        (folder / "words.parquet").write_bytes(LARGE)
        (folder / "README.md").write_bytes(b"words\n")
    return tmp_path / "hub"


def archive() -> bytes:
    """A zip with one file, larger than its content."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as opened:
        opened.writestr("release/words.txt", WORDS)
        opened.writestr("release/other.bin", os.urandom(50_000))
    return packed.getvalue()


def test_failed_downloads_are_named_and_succeed_in_the_next_run(
    study: Study, repositories: Path
) -> None:
    state: dict[str, Any] = {"is granted": False, "archive": archive()[:30_000]}
    interface = hub(repositories, REVISION)

    def answer(handler: Any) -> None:
        if handler.path == "/archive.zip":
            send_file(handler, state["archive"])
        elif handler.path.startswith("/words/"):
            send_file(handler, WORDS)
        elif "o/gated" in handler.path and "/resolve/" in handler.path and not state["is granted"]:
            send(handler, 403, headers={"X-Error-Code": "GatedRepo"})
        else:
            interface(handler)

    with serving(lambda handler: None) as (silent, _):
        pass  # nothing listens there any more
    with serving(answer) as (address, requests):
        downloads: dict[str, dict[str, Any]] = {
            "good": {"url": f"{address}/words/", "files": ["en-de.txt"]},
            "gated": {"hub": "o/gated", "revision": REVISION},
            "vanished": {"hub": "o/words", "revision": MISSING_REVISION},
            "archive": {"url": f"{address}/archive.zip", "archive": True, "files": ["*/words.txt"]},
            "offline": {"url": "https://offline.org/words/", "files": ["en-fr.txt"]},
        }
        targets = [TARGETS[name] for name in downloads]
        mirrors = {"hub": address, "https://offline.org/": silent}
        failed = study.run(*targets, change={"downloads": downloads, "mirrors": mirrors})
        assert failed.returncode == 1
        messages = {
            "gated": r"o/gated is gated; accept its terms .*HF_TOKEN",
            "vanished": rf"o/words has no revision {MISSING_REVISION}.*`revision`",
            "archive": r".*archive is truncated or damaged .*start again",
            "offline": rf"{silent}/words/en-fr\.txt is not available.*Check the network",
        }
        for name, message in messages.items():
            pattern = rf"fetch_download: download '{name}'.*{message}"
            assert_one_message(failed.stdout, pattern)
            log = study.folder / f"results/logs/fetch_download/{name}.log"
            assert_one_message(log.read_text(encoding="utf-8"), pattern)
            assert not (study.folder / TARGETS[name]).exists()
        files_before = study.output_files()
        assert {path.split("/")[2] for path in files_before} == {"good"}

        state |= {"is granted": True, "archive": archive()}
        downloads["vanished"]["revision"] = REVISION
        mirrors["https://offline.org/"] = address
        earlier_requests = len(requests)
        fixed = study.run(*targets, change={"downloads": downloads, "mirrors": mirrors})
        assert fixed.returncode == 0, fixed.stdout
        requested = [path for _, path, _ in requests[earlier_requests:]]
    assert study.output_files().items() > files_before.items()  # earlier files are unchanged
    assert "/words/en-de.txt" not in requested
    folder = study.folder / "resources/downloads"
    assert (folder / "archive/release/words.txt").read_bytes() == WORDS
    assert (folder / "offline/en-fr.txt").read_bytes() == WORDS
    for name in ("gated", "vanished"):
        assert (folder / name / "words.parquet").read_bytes() == LARGE
    assert not list((study.folder / "resources/partial").iterdir())


@pytest.fixture
def small_disk(study: Study, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Put downloads and the hub's cache on a separate disk of two megabytes."""
    mount_point = study.folder / "resources"
    mount_point.mkdir()
    options = ["-t", "tmpfs", "-o", "size=2m", "tmpfs", str(mount_point)]
    if os.geteuid() or subprocess.run(["mount", *options], check=False).returncode:
        pytest.skip("needs root, to mount a small disk")
    monkeypatch.setenv("HF_HOME", str(mount_point / "home"))
    yield mount_point
    subprocess.run(["umount", str(mount_point)], check=True)


def test_full_disk_is_named_and_the_next_run_continues(
    study: Study, repositories: Path, small_disk: Path
) -> None:
    interface = hub(repositories, REVISION)

    def answer(handler: Any) -> None:
        if handler.path.startswith("/large/"):
            send_file(handler, LARGE)
        else:
            interface(handler)

    with serving(answer) as (address, requests):
        change = {
            "downloads": {
                "full": {"url": f"{address}/large/", "files": ["large.bin"]},
                "full_hub": {"hub": "o/words", "revision": REVISION},
            },
            "mirrors": {"hub": address},
        }
        messages = {
            # The hub sends the size in advance.
            "full_hub": r"needs .* GB and the disk of \S+ has .* free; free some space",
            "full": r"the disk of \S+ is full \(.*\); free some space and start again",
        }
        for name, message in messages.items():
            failed = study.run(TARGETS[name], change=change)
            assert failed.returncode == 1
            assert_one_message(failed.stdout, rf"fetch_download: download '{name}'.*{message}")
        assert study.output_files() == {}
        subprocess.run(["mount", "-o", "remount,size=50m", str(small_disk)], check=True)
        earlier_requests = len(requests)
        fixed = study.run(*(TARGETS[name] for name in messages), change=change)
        assert fixed.returncode == 0, fixed.stdout
        (byte_range,) = [
            part for _, path, part in requests[earlier_requests:] if path == "/large/large.bin"
        ]
    assert re.fullmatch(r"bytes=\d{6,}-", byte_range or "")  # not from the start
    assert (small_disk / "downloads/full/large.bin").read_bytes() == LARGE
    assert (small_disk / "downloads/full_hub/words.parquet").read_bytes() == LARGE


def test_hub_dataset_is_read_without_a_downloads_entry(study: Study, repositories: Path) -> None:
    """The dataset is read from the hub's cache, through a mirror. `download` also reads it."""
    rows = [{"premise": f"p{i}", "hypothesis": "h", "label": "yes"} for i in range(4)]
    for split in ("train", "validation", "test"):
        lines = "".join(
            json.dumps(row | {"premise": f"{split} {row['premise']}"}) + "\n" for row in rows
        )
        (repositories / f"o/words/{split}.jsonl").write_text(lines, encoding="utf-8")
    options = {"id": "o/words", "revision": REVISION, "language": "eng", "files": "{split}.jsonl"}
    own = {
        "kind": "pair_classification",
        "reader": "hf",
        "options": options,
        "tokenization": {"max_length": 32},
    }
    task = {
        "kind": "pair_classification",
        "dataset": "own",
        "training": {"learning_rate": 0.0001, "batch_size": 2},
    }
    target = "results/datasets/own/test.jsonl"
    with serving(hub(repositories, REVISION)) as (address, _):
        change = {
            "datasets": {"own": own},
            "tasks": {"own": task},
            "tasks_shown": ["own"],
            "mirrors": {"hub": address},
        }
        planned = study.run("download", "--dry-run", change=change)
        assert "results/datasets/own/test.jsonl" in planned.stdout, planned.stdout
        result = study.run(target, change=change)
    assert result.returncode == 0, result.stdout
    first = json.loads((study.folder / target).read_text(encoding="utf-8").splitlines()[0])
    assert first["first"] == "test p0"
