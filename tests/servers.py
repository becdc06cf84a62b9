"""Web servers for tests: files with resumption, and the hub's interface to a folder."""

import hashlib
import json
import threading
from base64 import b64decode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote

Answer = Callable[[BaseHTTPRequestHandler], None]


@contextmanager
def serving(answer: Answer) -> Iterator[tuple[str, list[tuple[str, str, str | None]]]]:
    """Serve at an address of this machine. Yield it, and the requests (method, path, range)."""
    requests: list[tuple[str, str, str | None]] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            requests.append((self.command, self.path.partition("?")[0], self.headers.get("Range")))
            answer(self)

        do_HEAD = do_POST = do_PUT = do_GET

        def log_message(self, *arguments: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", requests
    finally:
        server.shutdown()
        server.server_close()


def send(
    handler: BaseHTTPRequestHandler,
    status: int,
    content: bytes = b"",
    *,
    headers: dict[str, str] | None = None,
    break_off_at: int | None = None,
) -> None:
    """Send an answer. With ``break_off_at``, close the connection after this number of bytes."""
    handler.send_response(status)
    for name, value in {"Content-Length": str(len(content)), **(headers or {})}.items():
        handler.send_header(name, value)
    handler.end_headers()
    if handler.command == "HEAD":
        return
    handler.wfile.write(content[:break_off_at])
    if break_off_at is not None:
        handler.wfile.flush()
        handler.connection.close()
        handler.close_connection = True


def send_file(
    handler: BaseHTTPRequestHandler, content: bytes, *, with_tag: bool = True, **more: Any
) -> None:
    """Answer with a file, or the requested part of it."""
    headers = {"ETag": f'"{hashlib.md5(content).hexdigest()}"'} if with_tag else {}
    headers |= {"Accept-Ranges": "bytes"} | more.pop("headers", {})
    byte_range = handler.headers.get("Range")
    if byte_range is None:
        send(handler, 200, content, headers=headers, **more)
        return
    begin = int(byte_range.removeprefix("bytes=").partition("-")[0])
    headers["Content-Range"] = f"bytes {begin}-{len(content) - 1}/{len(content)}"
    send(handler, 206, content[begin:], headers=headers, **more)


def hub(repositories: Path, revision: str) -> Answer:
    """The hub's interface to the repositories ``owner/name`` in a folder, all with one revision. It
    answers the requests of ``huggingface_hub`` and ``datasets``."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        parts = handler.path.partition("?")[0].strip("/").split("/")
        if parts[0] == "api":
            _answer_about(handler, repositories / "/".join(parts[2:4]), parts[4:], revision)
            return
        prefix = 1 if parts[0] == "datasets" else 0
        folder = repositories / "/".join(parts[prefix : prefix + 2])
        requested_revision = unquote(parts[prefix + 3])
        file = folder / "/".join(map(unquote, parts[prefix + 4 :]))
        if requested_revision not in (revision, "main"):
            send(handler, 404, headers={"X-Error-Code": "RevisionNotFound"})
        elif not file.is_file():
            send(handler, 404, headers={"X-Error-Code": "EntryNotFound"})
        else:
            content = file.read_bytes()
            about = _entry(file, folder)
            tag = about["lfs"]["oid"] if "lfs" in about else about["oid"]
            headers = {"X-Repo-Commit": revision, "ETag": f'"{tag}"'}
            send_file(handler, content, headers=headers)

    return answer


def writable_hub(repositories: Path, revision: str, token: str) -> Answer:
    """:func:`hub`, in which requests with the token may create repositories and upload files.

    Weights are uploaded as large files: first their bytes, then their digest in the commit.
    """
    read = hub(repositories, revision)
    blobs = repositories / ".large"

    def answer(handler: BaseHTTPRequestHandler) -> None:
        if handler.command not in ("POST", "PUT") or "paths-info" in handler.path:
            read(handler)
            return
        body = handler.rfile.read(int(handler.headers.get("Content-Length", 0)))
        parts = unquote(handler.path.partition("?")[0]).strip("/").split("/")
        if parts[0] == "large":  # an address that only authorised requests receive
            blobs.mkdir(exist_ok=True)
            (blobs / parts[1]).write_bytes(body)
            send(handler, 200)
            return
        if handler.headers.get("Authorization") != f"Bearer {token}":
            send(handler, 401, json.dumps({"error": "Invalid credentials"}).encode())
            return
        address = f"http://{handler.headers['Host']}"
        if parts[-1] == "validate-yaml":
            content: Any = {"warnings": [], "errors": []}
        elif parts[:3] == ["api", "repos", "create"]:
            repository = json.loads(body)
            name = f"{repository.get('organization') or 'me'}/{repository['name']}"
            if name.startswith("another/"):
                send(handler, 403, json.dumps({"error": "not your namespace"}).encode())
                return
            if (repositories / name).is_dir():
                send(handler, 409, json.dumps({"url": f"{address}/{name}"}).encode())
                return
            (repositories / name).mkdir(parents=True)
            content = {"url": f"{address}/{name}"}
        elif parts[4:5] == ["preupload"]:
            content = {"files": [_upload_mode(file) for file in json.loads(body)["files"]]}
        elif parts[-2:] == ["objects", "batch"]:
            objects = json.loads(body)["objects"]
            content = {
                "transfer": "basic",
                "objects": [
                    file | {"actions": {"upload": {"href": f"{address}/large/{file['oid']}"}}}
                    for file in objects
                ],
            }
        else:
            name = "/".join(parts[2:4])
            _commit(repositories / name, body, blobs)
            content = {"commitUrl": f"{address}/{name}/commit/{revision}", "commitOid": revision}
        headers = {"Content-Type": "application/json"}
        send(handler, 200, json.dumps(content).encode(), headers=headers)

    return answer


def _upload_mode(file: dict[str, Any]) -> dict[str, Any]:
    mode = "lfs" if file["path"].endswith(".safetensors") else "regular"
    return {"path": file["path"], "uploadMode": mode, "shouldIgnore": False}


def _commit(folder: Path, body: bytes, blobs: Path) -> None:
    for line in body.splitlines():
        part = json.loads(line)
        value = part["value"]
        if part["key"] not in ("file", "lfsFile"):
            continue
        is_large = part["key"] == "lfsFile"
        data = (blobs / value["oid"]).read_bytes() if is_large else b64decode(value["content"])
        path = folder / value["path"]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


def _answer_about(
    handler: BaseHTTPRequestHandler, folder: Path, path_parts: list[str], revision: str
) -> None:
    """Answer a request below ``/api/{datasets,models}/owner/name``."""
    kind, requested_revision = (
        (path_parts[0], unquote(path_parts[1])) if len(path_parts) > 1 else ("revision", revision)
    )
    if not folder.is_dir():
        send(handler, 404, headers={"X-Error-Code": "RepoNotFound"})
        return
    if (folder / "gated").exists():
        send(handler, 403, headers={"X-Error-Code": "GatedRepo"})
        return
    if requested_revision not in (revision, "main"):
        send(handler, 404, headers={"X-Error-Code": "RevisionNotFound"})
        return
    entries = [_entry(path, folder) for path in sorted(folder.rglob("*"))]
    content: Any
    if kind == "tree":
        below = "/".join(map(unquote, path_parts[2:]))
        is_deep = "recursive=true" in handler.path.lower()
        content = [
            entry
            for entry in entries
            if (not below or entry["path"].startswith(f"{below}/"))
            and (is_deep or "/" not in entry["path"].removeprefix(f"{below}/" if below else ""))
        ]
        if below and not content:
            send(handler, 404, headers={"X-Error-Code": "EntryNotFound"})
            return
    elif kind == "paths-info":
        length = int(handler.headers.get("Content-Length", 0))
        requested_paths = parse_qs(handler.rfile.read(length).decode())["paths"]
        content = [entry for entry in entries if entry["path"] in requested_paths]
    else:
        files = [
            {"rfilename": e["path"], "size": e["size"], "blobId": e["oid"]} | _lfs_of(e)
            for e in entries
            if e["type"] == "file"
        ]
        content = {"id": "/".join(folder.parts[-2:]), "sha": revision, "siblings": files}
        content |= {"private": False, "tags": [], "downloads": 0, "likes": 0}
    headers = {"Content-Type": "application/json"}
    send(handler, 200, json.dumps(content).encode(), headers=headers)


def _entry(path: Path, folder: Path) -> dict[str, Any]:
    """The hub's listing of a file or folder. It treats Parquet files as large files."""
    name = path.relative_to(folder).as_posix()
    if path.is_dir():
        return {"type": "directory", "path": name, "oid": "0" * 40, "size": 0}
    content = path.read_bytes()
    blob = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
    entry: dict[str, Any] = {"type": "file", "path": name, "size": len(content), "oid": blob}
    if path.suffix == ".parquet":
        digest = hashlib.sha256(content).hexdigest()
        entry["lfs"] = {"oid": digest, "size": len(content), "pointerSize": 130}
    return entry


def _lfs_of(entry: dict[str, Any]) -> dict[str, Any]:
    if "lfs" not in entry:
        return {}
    return {"lfs": {**entry["lfs"], "sha256": entry["lfs"]["oid"]}}
