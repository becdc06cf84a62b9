"""Atomic writes, and messages about damaged files."""

import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet
from safetensors.numpy import load_file, save_file

from semantic_tokens.errors import InputError
from semantic_tokens.files import (
    atomic_file,
    atomic_folder,
    full_disk_as_input_error,
    link_files,
    output_file,
    reading,
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


def contents_of(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): path.read_text(encoding="utf-8")
        for path in folder.rglob("*")
        if path.is_file()
    }


def write_folder(target: Path, content: str) -> None:
    with atomic_folder(target) as partial:
        (partial / "file").write_text(content, encoding="utf-8")


def test_folder_is_replaced_only_by_a_complete_one(tmp_path: Path) -> None:
    target = tmp_path / "new/folder"
    for content in ("first", "second"):
        before = contents_of(tmp_path)
        with atomic_folder(target) as partial:
            (partial / "file").write_text(content, encoding="utf-8")
            partial.joinpath("inner").mkdir(mode=0o700)
            found = contents_of(tmp_path)
            assert found.pop(str((partial / "file").relative_to(tmp_path))) == content
            assert found == before
        assert contents_of(tmp_path) == {"new/folder/file": content}
    assert (target / "inner").stat().st_mode == target.stat().st_mode
    with pytest.raises(RuntimeError), atomic_folder(target) as partial:
        (partial / "file").write_text("third", encoding="utf-8")
        raise RuntimeError
    assert contents_of(tmp_path) == {"new/folder/file": "second"}
    assert list(target.parent.iterdir()) == [target]


@pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError(28, "No space left on device")])
@pytest.mark.parametrize("failing", ["before", "after"])
@pytest.mark.parametrize("number", [1, 2])
def test_the_old_folder_remains_if_its_replacement_fails(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    error: BaseException,
    failing: str,
    number: int,
) -> None:
    """The error comes before or after the first or second rename."""
    target = tmp_path / "folder"
    write_folder(target, "old")
    rename, calls = Path.rename, []

    def rename_or_fail(path: Path, new: Path) -> Path:
        calls.append(path)
        if len(calls) == number and failing == "before":
            raise error
        renamed = rename(path, new)
        if len(calls) == number:
            raise error
        return renamed

    with monkeypatch.context() as patch, pytest.raises(type(error)):
        patch.setattr(Path, "rename", rename_or_fail)
        write_folder(target, "new")
    is_new = (failing, number) == ("after", 2)
    assert contents_of(target) == {"file": "new" if is_new else "old"}
    write_folder(target, "newer")
    assert contents_of(tmp_path) == {"folder/file": "newer"}


@pytest.mark.parametrize("is_target_there", [False, True])
def test_the_old_folder_of_a_killed_process_is_found(tmp_path: Path, is_target_there: bool) -> None:
    """The process ended between its two renames; a workflow may have made an empty folder since."""
    target, old = tmp_path / "folder", tmp_path / ".folder.old"
    write_folder(old, "only copy")
    if is_target_there:
        target.mkdir()
    with pytest.raises(RuntimeError), atomic_folder(target):
        raise RuntimeError
    place = old if is_target_there else target
    assert contents_of(tmp_path) == {f"{place.name}/file": "only copy"}
    write_folder(target, "new")
    assert contents_of(tmp_path) == {"folder/file": "new"}
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize(
    ("output", "message"),
    [
        ("file/below.csv", r"cannot be below .*/file, which is a file; name another place"),
        ("folder.csv", r"folder\.csv is a folder; name a file"),
        ("pipe.csv", r"pipe\.csv is not an ordinary file; name a file"),
        ("loop.csv", r"name another place"),
        ("x" * 300, r"File name too long.*; name another place"),
        ("x" * 250, r"cannot be written in .* \(File name too long\); name another place"),
        ("to-file/below.csv", r"cannot be below .*/file, which is a file; name another place"),
        ("/dev/null", r"/dev/null is not an ordinary file; name a file"),
        ("/proc/new.csv", r"cannot be written in /proc "),
    ],
)
def test_unusable_output_file_is_refused(tmp_path: Path, output: str, message: str) -> None:
    if output.startswith("/proc") and not Path("/proc/self").exists():
        pytest.skip("needs Linux's /proc")
    (tmp_path / "file").write_text("years of work", encoding="utf-8")
    (tmp_path / "folder.csv").mkdir()
    os.mkfifo(tmp_path / "pipe.csv")
    (tmp_path / "loop.csv").symlink_to(tmp_path / "loop.csv")
    (tmp_path / "to-file").symlink_to(tmp_path / "file")
    before = sorted(tmp_path.iterdir())
    with pytest.raises(InputError, match=rf"^the output .*{message}") as found:
        output_file(tmp_path / output)
    assert "\n" not in str(found.value)
    assert sorted(tmp_path.iterdir()) == before
    assert (tmp_path / "file").read_text(encoding="utf-8") == "years of work"


def test_output_file_may_exist_or_be_a_link(tmp_path: Path) -> None:
    (tmp_path / "file.csv").touch()
    (tmp_path / "link.csv").symlink_to("file.csv")
    (tmp_path / "dangling.csv").symlink_to("new/to-come.csv")
    for name, expected in (
        ("file.csv", "file.csv"),
        ("link.csv", "file.csv"),
        ("dangling.csv", "new/to-come.csv"),
        ("not/there/yet.csv", "not/there/yet.csv"),
    ):
        target = output_file(tmp_path / name)
        assert target == tmp_path.resolve() / expected
        assert target.parent.is_dir()


def test_only_a_full_disk_is_reported_as_one(tmp_path: Path) -> None:
    expected = rf"^a\.csv: the disk of {tmp_path} is full \(.*No space left.*\); free some space$"
    for error in (OSError(28, "No space left"), RuntimeError("I/O: No space left on device")):
        with (
            pytest.raises(InputError, match=expected),
            full_disk_as_input_error("a.csv", tmp_path, "free some space"),
        ):
            raise error
    with pytest.raises(OSError, match="broken"), full_disk_as_input_error("a.csv", tmp_path, ""):
        raise OSError(5, "broken")
    with (
        pytest.raises(InputError, match=r"^fix it$"),
        full_disk_as_input_error("a.csv", tmp_path, ""),
    ):
        raise InputError("fix it") from OSError(28, "No space left")


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
