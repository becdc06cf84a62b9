"""Downloads: atomic, resumed, checked, and from a mirror if there is one."""

import hashlib
import io
import json
import os
import shutil
import stat
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from servers import hub, send, send_file, serving

from semantic_tokens.errors import InputError
from semantic_tokens.sources import addresses, downloads, network
from semantic_tokens.sources.addresses import mirrored
from semantic_tokens.sources.archives import extract
from semantic_tokens.sources.downloads import PROVENANCE, fetch_download
from semantic_tokens.sources.folder import read_checksums

CONTENT = bytes(range(256)) * 4000
REVISION = "a" * 40

Fetch = Callable[..., Path]


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network, "LONGEST_WAIT", 0)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A separate cache of the hub for this test."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def fetch(tmp_path: Path) -> Fetch:
    """``fetch(spec, mirrors)``: the folder of the download."""

    def fetched(spec: dict[str, Any], mirrors: dict[str, str] | None = None) -> Path:
        target = tmp_path / "downloaded"
        fetch_download("own", target, tmp_path / "partial", spec, mirrors)
        assert not (tmp_path / "partial").exists()
        return target

    return fetched


def write(path: Path, content: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def checksums(path: Path, contents: dict[str, bytes]) -> str:
    lines = [f"{hashlib.sha256(content).hexdigest()}  {name}" for name, content in contents.items()]
    write(path, ("\n".join(lines) + "\n").encode())
    return str(path)


# Addresses


def test_the_files_of_a_folder_are_fetched_and_checked(fetch: Fetch, tmp_path: Path) -> None:
    contents = {"swa/train.txt": b"Amina B-PER\n", "yor/train.txt": CONTENT}
    checksum_file = checksums(tmp_path / "list.sha256", contents)
    assert (
        read_checksums(checksum_file)["swa/train.txt"]
        == hashlib.sha256(b"Amina B-PER\n").hexdigest()
    )
    with serving(lambda h: send_file(h, contents[h.path.removeprefix("/data/")])) as (address, _):
        downloaded = fetch(
            {"url": f"{address}/data/", "checksums": checksum_file, "licence": "CC0"}
        )
    assert {name: (downloaded / name).read_bytes() for name in contents} == contents
    provenance = json.loads((downloaded / PROVENANCE).read_text())
    assert provenance["sha256"] == read_checksums(checksum_file)
    assert provenance["bytes"] == {name: len(content) for name, content in contents.items()}
    assert provenance["licence"] == "CC0"


def test_file_with_wrong_checksum_is_refused_and_downloaded_again(
    fetch: Fetch, tmp_path: Path
) -> None:
    served = {"content": b"damaged"}
    checksum_file = checksums(tmp_path / "list.sha256", {"a.txt": b"right", "b.txt": b"right"})
    with serving(lambda h: send_file(h, served["content"])) as (address, requests):
        spec = {"url": address, "checksums": checksum_file}
        with pytest.raises(InputError, match=r"'own': a\.txt .*should have"):
            fetch(spec)
        assert not (tmp_path / "downloaded").exists()
        served["content"] = b"right"
        assert (fetch(spec) / "a.txt").read_bytes() == b"right"
        assert all(
            byte_range is None for _, _, byte_range in requests
        )  # the damaged file was removed


@pytest.mark.parametrize(
    ("with_tag", "is_checked", "second_range"),
    [
        (True, False, "bytes=262144-"),  # the parts that arrived completely
        (False, True, "bytes=262144-"),
        (False, False, None),  # nothing would show whether it is still the same file
    ],
)
def test_an_interrupted_download_continues(
    fetch: Fetch, tmp_path: Path, with_tag: bool, is_checked: bool, second_range: str | None
) -> None:
    ranges = []

    def answer(handler: Any) -> None:
        ranges.append(handler.headers.get("Range"))
        cut = 300_000 if len(ranges) == 1 else None
        send_file(handler, CONTENT, with_tag=with_tag, break_off_at=cut)

    with serving(answer) as (address, _):
        spec: dict[str, Any] = {"url": address, "files": ["a.bin"]}
        if is_checked:
            spec["checksums"] = checksums(tmp_path / "list.sha256", {"a.bin": CONTENT})
        downloaded = fetch(spec)
    assert (downloaded / "a.bin").read_bytes() == CONTENT
    assert ranges == [None, second_range]
    assert sorted(path.name for path in downloaded.iterdir()) == [PROVENANCE, "a.bin"]


def test_downloaded_files_are_kept_for_the_next_run(fetch: Fetch, tmp_path: Path) -> None:
    files = {"/a.bin": b"first", "/b.bin": CONTENT}
    state = {"down": True}

    def answer(handler: Any) -> None:
        if handler.path == "/b.bin" and state["down"]:
            send(handler, 503)
        else:
            send_file(handler, files[handler.path])

    with serving(answer) as (address, requests):
        spec = {"url": address, "files": ["a.bin", "b.bin"]}
        with pytest.raises(InputError, match=r"b\.bin is not available: all tries failed.*mirrors"):
            fetch(spec)
        assert not (tmp_path / "downloaded").exists()
        state["down"] = False
        assert (fetch(spec) / "b.bin").read_bytes() == CONTENT
    assert sum(path == "/a.bin" for _, path, _ in requests) == 1


def test_changed_file_is_downloaded_from_the_start(fetch: Fetch) -> None:
    new = b"another " * 50_000

    def answer(handler: Any) -> None:
        if handler.headers.get("Range") is None:
            send_file(handler, CONTENT, break_off_at=100_000)
        else:  # the tag has changed, so the entire file is sent
            send(handler, 200, new)

    with serving(answer) as (address, _):
        assert (fetch({"url": address, "files": ["a.bin"]}) / "a.bin").read_bytes() == new


@pytest.mark.parametrize(
    ("status", "reason"),
    [(404, r"does not exist \(any more\)"), (403, "access is denied"), (401, "HF_TOKEN")],
)
def test_unavailable_file_is_requested_only_once(fetch: Fetch, status: int, reason: str) -> None:
    with (
        serving(lambda h: send(h, status)) as (address, requests),
        pytest.raises(InputError, match=rf"a\.txt is not available: .*{reason}"),
    ):
        fetch({"url": address, "files": ["a.txt"]})
    assert len(requests) == 1


def test_network_error_names_the_mirrors_key(fetch: Fetch) -> None:
    with serving(lambda h: None) as (address, _):
        pass  # nothing listens there any more
    with pytest.raises(InputError, match=r"ConnectionError.*or another address.*`mirrors`"):
        fetch({"url": address, "files": ["a.txt"]})


def test_full_disk_is_named_and_the_next_run_continues(
    fetch: Fetch, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    get = addresses._get

    def fill_the_disk(address: str, path: Path, *more: Any, **named: Any) -> None:
        if address.endswith("b.bin"):
            path.write_bytes(CONTENT[:1000])
            raise OSError(28, "No space left on device")
        get(address, path, *more, **named)

    spec = {"files": ["a.bin", "b.bin"]}
    with serving(lambda h: send_file(h, CONTENT)) as (address, requests):
        with monkeypatch.context() as patched:
            patched.setattr(addresses, "_get", fill_the_disk)
            with pytest.raises(InputError, match=r"the disk of .* is full \(.*\); free some space"):
                fetch({"url": address} | spec)
        assert not (tmp_path / "downloaded").exists()
        downloaded = fetch({"url": address} | spec)
    assert [(downloaded / name).read_bytes() for name in spec["files"]] == [CONTENT] * 2
    assert [path for _, path, _ in requests] == ["/a.bin", "/b.bin"]


def test_downloaded_files_are_kept_if_the_run_is_interrupted(
    fetch: Fetch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run ends while it computes checksums, which takes minutes for many gigabytes."""

    def interrupt(path: Path) -> str:
        raise KeyboardInterrupt

    with serving(lambda h: send_file(h, CONTENT)) as (address, requests):
        spec = {"url": address, "files": ["a.bin", "b.bin"]}
        with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
            patched.setattr(downloads, "sha256_of", interrupt)
            fetch(spec)
        downloaded = fetch(spec)
    assert [(downloaded / name).read_bytes() for name in spec["files"]] == [CONTENT] * 2
    assert len(requests) == 2


def test_archive_larger_than_the_free_disk_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=1000))
    with pytest.raises(InputError, match=r"needs .* GB and the disk of"):
        extract(zipped(tmp_path / "a.zip", {"a.txt": CONTENT}), tmp_path / "out", None)


# Checksums


def test_recorded_checksums_can_pin_a_download(
    fetch: Fetch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    served = {"content": b"tomato Tomate\n"}
    with serving(lambda h: send_file(h, served["content"])) as (address, _):
        spec: dict[str, Any] = {"url": address, "files": ["en-de.txt"]}
        downloaded = fetch(spec)
        assert "no checksums" in caplog.text
        sums = json.loads((downloaded / PROVENANCE).read_text())["sha256"]
        assert sums == {"en-de.txt": hashlib.sha256(served["content"]).hexdigest()}
        lines = [f"{digest}  {name}\n" for name, digest in sums.items()]
        pinned = spec | {"checksums": str(write(tmp_path / "own.sha256", "".join(lines).encode()))}
        assert fetch(pinned).exists()
        served["content"] = b"tomato Paradeiser\n"
        shutil.rmtree(downloaded)
        with pytest.raises(InputError, match=r"en-de\.txt .* has sha256 \w+ and should have"):
            fetch(pinned)
        assert not downloaded.exists()


def test_file_of_an_older_checksum_list_is_downloaded_again(fetch: Fetch, tmp_path: Path) -> None:
    """The checksum list keeps its name and changes its content."""
    served = {"/a.txt": b"old", "/b.txt": None}

    def answer(handler: Any) -> None:
        content = served[handler.path]
        send(handler, 404) if content is None else send_file(handler, content)

    with serving(answer) as (address, _):
        checksum_file = checksums(tmp_path / "list.sha256", {"a.txt": b"old", "b.txt": b"b"})
        with pytest.raises(InputError, match=r"b\.txt is not available"):
            fetch({"url": address, "checksums": checksum_file})
        served |= {"/a.txt": b"new", "/b.txt": b"b"}
        checksums(tmp_path / "list.sha256", {"a.txt": b"new", "b.txt": b"b"})
        assert (
            fetch({"url": address, "checksums": checksum_file}) / "a.txt"
        ).read_bytes() == b"new"


def test_log_shows_the_checksum_of_an_unpinned_archive(
    fetch: Fetch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    content = zipped(tmp_path / "archive", {"a.csv": CONTENT}).read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    with serving(lambda h: send_file(h, content)) as (address, _):
        downloaded = fetch({"url": f"{address}/a", "archive": True})
    assert f"set sha256: {digest}" in caplog.text
    provenance = json.loads((downloaded / PROVENANCE).read_text())
    assert provenance["revision"] == digest
    assert provenance["sha256"] == {"a.csv": hashlib.sha256(CONTENT).hexdigest()}


# Archives


def zipped(path: Path, members: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def tarred(path: Path, members: dict[str, bytes]) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


@pytest.mark.parametrize("pack", [zipped, tarred])
def test_only_matching_files_are_extracted_from_an_archive(
    fetch: Fetch, tmp_path: Path, pack: Callable[..., Path]
) -> None:
    members = {"release/a.csv": CONTENT, "release/b.csv": b"b", "release/README": b"c"}
    content = pack(tmp_path / "archive", members).read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    with serving(lambda h: send_file(h, content)) as (address, _):
        spec = {"url": f"{address}/a", "archive": True, "sha256": digest, "files": ["*/*.csv"]}
        downloaded = fetch(spec)
    found = {str(p.relative_to(downloaded)): p.read_bytes() for p in downloaded.rglob("*.csv")}
    assert found == {name: members[name] for name in ("release/a.csv", "release/b.csv")}
    assert {path.name for path in downloaded.iterdir()} == {"release", PROVENANCE}


@pytest.mark.parametrize("pack", [zipped, tarred])
@pytest.mark.parametrize(
    "name", ["../evil.txt", "/tmp/evil.txt", "a/../../evil.txt", "c:\\evil.txt"]
)
def test_archive_member_outside_the_folder_is_refused(
    tmp_path: Path, pack: Callable[..., Path], name: str
) -> None:
    folder = tmp_path / "deep/out"
    folder.mkdir(parents=True)
    with pytest.raises(InputError, match="would land outside its folder"):
        extract(pack(tmp_path / "archive", {name: b"x"}), folder, None)
    assert not list(tmp_path.rglob("evil*"))


def with_link(path: Path, suffix: str) -> Path:
    """An archive with a link and a file."""
    if suffix == "tar":
        with tarfile.open(path, "w") as archive:
            link = tarfile.TarInfo("link")
            link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
            archive.addfile(link)
            info = tarfile.TarInfo("file")
            info.size = 1
            archive.addfile(info, io.BytesIO(b"x"))
        return path
    with zipfile.ZipFile(path, "w") as packed:
        entry = zipfile.ZipInfo("link")
        entry.external_attr = (stat.S_IFLNK | 0o777) << 16
        packed.writestr(entry, "/etc/passwd")
        packed.writestr("file", b"x")
    return path


@pytest.mark.parametrize("suffix", ["tar", "zip"])
def test_a_link_in_an_archive_is_refused(tmp_path: Path, suffix: str) -> None:
    archive = with_link(tmp_path / f"a.{suffix}", suffix)
    with pytest.raises(InputError, match="'link' is a link or a device"):
        extract(archive, tmp_path / "all", None)
    assert not list((tmp_path / "all").iterdir())
    assert [file.name for file in extract(archive, tmp_path / "wanted", ["file"])] == ["file"]


def test_an_archive_that_cannot_be_unpacked_is_refused(tmp_path: Path) -> None:
    """Archives with a file that is another member's folder, with encryption, and with an unknown
    compression."""
    plain = zipped(tmp_path / "plain.zip", {"a.csv": b"x"}).read_bytes()
    directory = plain.find(b"PK\x01\x02")
    encrypted, unknown = bytearray(plain), bytearray(plain)
    encrypted[6] |= 1
    encrypted[directory + 8] |= 1
    unknown[8] = unknown[directory + 10] = 99
    for content, reason in (
        (zipped(tmp_path / "a.zip", {"a": b"x", "a/b": b"y"}).read_bytes(), "File exists"),
        (zipped(tmp_path / "b.zip", {"a/b": b"x", "a": b"y"}).read_bytes(), "Is a directory"),
        (bytes(encrypted), "encrypted"),
        (bytes(unknown), "not supported"),
    ):
        with pytest.raises(InputError, match=f"cannot be unpacked .*{reason}.*another source"):
            extract(write(tmp_path / "archive", content), tmp_path / f"out {reason}", None)


@pytest.mark.parametrize("suffix", ["tar.gz", "zip"])
def test_decompression_bomb_is_refused(tmp_path: Path, suffix: str) -> None:
    archive, zeros = tmp_path / f"bomb.{suffix}", bytes(60_000_000)
    if suffix == "zip":
        with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as packed:
            for name in ("first.csv", "second.csv"):
                packed.writestr(name, zeros)
    else:
        with tarfile.open(archive, "w:gz") as tar:
            for name in ("first.csv", "second.csv"):
                info = tarfile.TarInfo(name)
                info.size = len(zeros)
                tar.addfile(info, io.BytesIO(zeros))
    assert archive.stat().st_size < 1_000_000
    with pytest.raises(InputError, match=r"'second\.csv' unpack to more than 200"):
        extract(archive, tmp_path / "out", None)
    # Each of them is small.
    assert [file.name for file in extract(archive, tmp_path / "one", ["first.csv"])] == [
        "first.csv"
    ]


@pytest.mark.parametrize("pack", [zipped, tarred])
def test_a_truncated_archive_is_named_and_downloaded_again(
    fetch: Fetch, tmp_path: Path, pack: Callable[..., Path]
) -> None:
    content = pack(tmp_path / "archive", {"a.csv": os.urandom(50_000)}).read_bytes()
    served = {"content": content[:30_000]}
    with serving(lambda h: send_file(h, served["content"])) as (address, _):
        spec = {"url": f"{address}/a", "archive": True, "files": ["a.csv"]}
        with pytest.raises(InputError, match=r"the archive is truncated or damaged .*again"):
            fetch(spec)
        assert not (tmp_path / "downloaded").exists()
        served["content"] = content
        assert (fetch(spec) / "a.csv").stat().st_size == 50_000


# Mirrors


def test_longest_matching_mirror_key_is_used() -> None:
    mirrors = {"https://a.org/": "/data/a", "https://a.org/b/": "http://c.org/", "hub": "/data/hub"}
    assert mirrored("https://a.org/x.txt", mirrors) == "/data/a/x.txt"
    assert mirrored("https://a.org/b/x.txt", mirrors) == "http://c.org/x.txt"
    assert mirrored("https://d.org/x.txt", mirrors) == "https://d.org/x.txt"


def test_folder_can_be_a_mirror(fetch: Fetch, tmp_path: Path) -> None:
    write(tmp_path / "mirror/en-de.txt", b"tomato Tomate\n")
    spec = {"url": "https://a.org/dictionaries/", "files": ["en-de.txt"]}
    downloaded = fetch(spec, {"https://a.org/dictionaries/": str(tmp_path / "mirror")})
    assert (downloaded / "en-de.txt").is_symlink()  # large data are not copied
    assert (downloaded / "en-de.txt").read_bytes() == b"tomato Tomate\n"
    with pytest.raises(InputError, match=r"there is no file .*en-fr\.txt; put it there"):
        fetch(spec | {"files": ["en-fr.txt"]}, {"https://a.org/": str(tmp_path / "mirror")})


def test_mirror_file_with_wrong_checksum_is_refused_and_kept(fetch: Fetch, tmp_path: Path) -> None:
    copy = write(tmp_path / "mirror/a.txt", b"other")
    checksum_file = checksums(tmp_path / "list.sha256", {"a.txt": b"right"})
    with pytest.raises(InputError, match="should have"):
        fetch(
            {"url": "https://a.org/", "checksums": checksum_file},
            {"https://a.org/": str(tmp_path / "mirror")},
        )
    assert copy.exists()


# Zenodo


def test_zenodo_files_are_checked_against_their_record(fetch: Fetch) -> None:
    def answer(handler: Any, damaged: bool = False) -> None:
        if handler.path.startswith("/api/records/12"):
            file = {
                "key": "network.pickle",
                "size": len(CONTENT),
                "checksum": f"md5:{hashlib.md5(CONTENT).hexdigest()}",
                "links": {"self": f"{state['address']}/content"},
            }
            other = file | {"key": "vectors.wv"}
            send(handler, 200, json.dumps({"id": 12, "files": [file, other]}).encode())
        else:
            send_file(handler, state["content"])

    state: dict[str, Any] = {"content": CONTENT}
    with serving(answer) as (address, _):
        state["address"] = address
        mirrors = {"https://zenodo.org/api/": f"{address}/api/"}
        downloaded = fetch({"zenodo": 12, "files": ["*.pickle"]}, mirrors)
        assert [path.name for path in downloaded.glob("[!.]*")] == ["network.pickle"]
        # The mirror's copy of the record names files at Zenodo.
        state["address"] = "https://zenodo.org"
        mirrors["https://zenodo.org/content"] = f"{address}/content"
        assert (fetch({"zenodo": 12}, mirrors) / "vectors.wv").read_bytes() == CONTENT
        state["content"] = CONTENT[::-1]
        with pytest.raises(InputError, match=r"network\.pickle.* has md5 .* should have"):
            fetch({"zenodo": 12, "files": ["*.pickle"]}, mirrors)
        with pytest.raises(InputError, match=r"no file that matches .*network\.pickle, vectors"):
            fetch({"zenodo": 12, "files": ["*.tsv"]}, mirrors)


# The hub


@pytest.fixture
def repositories(tmp_path: Path) -> Path:
    folder = tmp_path / "hub"
    write(folder / "o/data/README.md", b"---\n---\n")
    write(folder / "o/data/de/train-0.parquet", CONTENT)
    write(folder / "o/data/fr/train-0.parquet", b"left out")
    write(folder / "o/data/loader.py", b"raise SystemExit")
    return folder


SPEC = {"hub": "o/data", "revision": REVISION, "files": ["README.md", "de/*.parquet"]}


def names(downloaded: Path) -> list[str]:
    return sorted(
        path.relative_to(downloaded).as_posix()
        for path in downloaded.rglob("*")
        if path.is_file() and path.name != PROVENANCE
    )


def test_hub_and_folder_mirror_give_the_same_files(fetch: Fetch, repositories: Path) -> None:
    with serving(hub(repositories, REVISION)) as (address, requests):
        downloaded = fetch(SPEC, {"hub": address})
        assert names(downloaded) == ["README.md", "de/train-0.parquet"]
        assert (downloaded / "de/train-0.parquet").read_bytes() == CONTENT
        assert json.loads((downloaded / PROVENANCE).read_text())["revision"] == REVISION
        assert not any("fr/" in path or "loader" in path for _, path, _ in requests)
    linked = fetch(SPEC, {"hub": str(repositories)})
    assert names(linked) == ["README.md", "de/train-0.parquet"]
    assert (linked / "de/train-0.parquet").read_bytes() == CONTENT


def test_interrupted_hub_file_is_requested_again(fetch: Fetch, repositories: Path) -> None:
    interface = hub(repositories, REVISION)
    state = {"requests": 0}

    def answer(handler: Any) -> None:
        state["requests"] += handler.command == "GET" and handler.path.endswith(".parquet")
        if (
            handler.command == "GET"
            and handler.path.endswith(".parquet")
            and state["requests"] == 1
        ):
            send_file(handler, CONTENT, break_off_at=300_000)
        else:
            interface(handler)

    with serving(answer) as (address, _):
        downloaded = fetch(SPEC, {"hub": address})
    assert state["requests"] == 2
    assert (downloaded / "de/train-0.parquet").read_bytes() == CONTENT


def test_cached_hub_files_are_not_downloaded_again(
    fetch: Fetch, repositories: Path, cache: Path, tmp_path: Path
) -> None:
    with serving(hub(repositories, REVISION)) as (address, requests):
        downloaded = fetch(SPEC, {"hub": address})
        earlier_requests = len(requests)
        shutil.rmtree(downloaded)
        assert names(fetch(SPEC, {"hub": address})) == ["README.md", "de/train-0.parquet"]
        requested_files = [
            path for method, path, _ in requests[earlier_requests:] if "/resolve/" in path
        ]
    assert requested_files == []
    shutil.rmtree(cache)  # the downloaded files remain
    assert (downloaded / "de/train-0.parquet").read_bytes() == CONTENT


def test_a_damaged_cached_file_is_refused_and_downloaded_again(
    fetch: Fetch, repositories: Path, cache: Path
) -> None:
    with serving(hub(repositories, REVISION)) as (address, _):
        downloaded = fetch(SPEC, {"hub": address})
        shutil.rmtree(downloaded)
        blob = cache / "datasets--o--data/blobs" / hashlib.sha256(CONTENT).hexdigest()
        blob.write_bytes(CONTENT[::-1])
        with pytest.raises(InputError, match=r"de/train-0\.parquet in the hub's cache has sha256"):
            fetch(SPEC, {"hub": address})
        assert (fetch(SPEC, {"hub": address}) / "de/train-0.parquet").read_bytes() == CONTENT


def test_offline_mode_uses_the_hub_cache(
    fetch: Fetch, repositories: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving(hub(repositories, REVISION)) as (address, _):
        shutil.rmtree(fetch(SPEC, {"hub": address}))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    assert names(fetch(SPEC)) == ["README.md", "de/train-0.parquet"]
    with pytest.raises(InputError, match=r"not in its cache, and HF_HUB_OFFLINE is set"):
        fetch(SPEC | {"files": ["fr/*.parquet"]})


def test_every_request_to_the_hub_has_the_token(
    fetch: Fetch, repositories: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    interface = hub(repositories, REVISION)
    tokens = []

    def answer(handler: Any) -> None:
        tokens.append(handler.headers.get("Authorization"))
        interface(handler)

    monkeypatch.setenv("HF_TOKEN", "hf_own")
    with serving(answer) as (address, requests):
        fetch(SPEC, {"hub": address})
    assert requests and set(tokens) == {"Bearer hf_own"}


def test_log_shows_the_newest_revision_for_pinning(
    fetch: Fetch, repositories: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with serving(hub(repositories, REVISION)) as (address, _):
        downloaded = fetch(SPEC | {"revision": None}, {"hub": address})
    assert json.loads((downloaded / PROVENANCE).read_text())["revision"] == REVISION
    assert f"set revision: {REVISION}" in caplog.text


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"revision": "b" * 40},
            rf"has no revision {'b' * 40}.*`revision`",
        ),
        ({"hub": "o/none"}, r"the hub has no dataset o/none, or you have no access"),
        ({"hub": "o/gated"}, r"o/gated is gated; accept its terms .*HF_TOKEN"),
        ({"files": ["it/*"]}, r"o/data has no file that matches it/\*"),
    ],
)
def test_different_hub_errors_have_different_messages(
    fetch: Fetch, repositories: Path, tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    write(repositories / "o/gated/gated", b"")
    with (
        serving(hub(repositories, REVISION)) as (address, _),
        pytest.raises(InputError, match=message),
    ):
        fetch(SPEC | change, {"hub": address})
    assert not (tmp_path / "downloaded").exists()
    with serving(hub(repositories, REVISION)) as (address, _):  # after it is fixed
        assert names(fetch(SPEC, {"hub": address})) == ["README.md", "de/train-0.parquet"]


def test_next_run_continues_after_access_is_granted(
    fetch: Fetch, repositories: Path, tmp_path: Path
) -> None:
    """The hub lists the files of a gated repository for anyone, and refuses their content."""
    interface = hub(repositories, REVISION)
    state = {"is granted": False}

    def answer(handler: Any) -> None:
        if handler.path.endswith(".parquet") and not state["is granted"]:
            send(handler, 403, headers={"X-Error-Code": "GatedRepo"})
        else:
            interface(handler)

    with serving(answer) as (address, _):
        with pytest.raises(InputError, match=r"o/data is gated; accept its terms .*HF_TOKEN"):
            fetch(SPEC, {"hub": address})
        assert not (tmp_path / "downloaded").exists()
        state["is granted"] = True
        downloaded = fetch(SPEC, {"hub": address})
    provenance = json.loads((downloaded / PROVENANCE).read_text())
    assert provenance["sha256"] == {
        name: hashlib.sha256((downloaded / name).read_bytes()).hexdigest()
        for name in names(downloaded)
    }


def test_offline_mode_sends_no_request(
    fetch: Fetch, repositories: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving(hub(repositories, REVISION)) as (address, requests):
        with monkeypatch.context() as patched:
            patched.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
            with pytest.raises(InputError, match=r"HF_HUB_OFFLINE is set; .*`mirrors`"):
                fetch(SPEC, {"hub": address})
        assert requests == []
        fetch(SPEC, {"hub": address})


def test_unavailable_hub_leaves_no_incomplete_folder(
    fetch: Fetch, repositories: Path, tmp_path: Path
) -> None:
    interface = hub(repositories, REVISION)

    def answer(handler: Any) -> None:
        if handler.path.endswith(".parquet"):
            send(handler, 404, headers={"X-Error-Code": "EntryNotFound"})
        else:
            interface(handler)

    with (
        serving(answer) as (address, _),
        pytest.raises(InputError, match="o/data is not available"),
    ):
        fetch(SPEC, {"hub": address})
    with pytest.raises(InputError, match=r"o/data is not available: .*`mirrors`"):
        fetch(SPEC, {"hub": "http://127.0.0.1:9"})  # where nothing listens
    assert not (tmp_path / "downloaded").exists()


def test_files_of_a_changed_download_are_not_reused(fetch: Fetch) -> None:
    served = {"/a.txt": b"old", "/b.txt": None}

    def answer(handler: Any) -> None:
        content = served[handler.path]
        send(handler, 404) if content is None else send_file(handler, content)

    with serving(answer) as (address, _):
        with pytest.raises(InputError, match=r"b\.txt is not available"):
            fetch({"url": address, "files": ["a.txt", "b.txt"]})
        served["/a.txt"] = b"new"
        downloaded = fetch({"url": address, "files": ["a.txt"], "sha256": None, "licence": "CC0"})
    assert (downloaded / "a.txt").read_bytes() == b"new"


def test_hub_mirror_without_the_files_is_named_in_the_error(
    fetch: Fetch, repositories: Path
) -> None:
    with pytest.raises(InputError, match=r"hub/o/none contains no file .*README\.md"):
        fetch(SPEC | {"hub": "o/none"}, {"hub": str(repositories)})


def test_malformed_checksum_list_is_named_in_the_error(tmp_path: Path) -> None:
    write(tmp_path / "list.sha256", b"abc  a.txt\n")
    with pytest.raises(InputError, match=r"list\.sha256, line 1: .*sha256"):
        read_checksums(tmp_path / "list.sha256")
