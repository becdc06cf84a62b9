"""Web servers for tests: files with resumption, and the hub's interface over a folder."""

import hashlib
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

Answer = Callable[[BaseHTTPRequestHandler], None]


@contextmanager
def serving(answer: Answer) -> Iterator[tuple[str, list[tuple[str, str, str | None]]]]:
    """Serve at an address of this machine; yield it, and the requests (method, path, range)."""
    requests: list[tuple[str, str, str | None]] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            requests.append((self.command, self.path.partition("?")[0], self.headers.get("Range")))
            answer(self)

        do_HEAD = do_GET

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
    """Answer; with ``break_off_at`` close the connection after so many bytes of the content."""
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
    """Answer with a file, or the part of it that is asked for."""
    headers = {"ETag": f'"{hashlib.md5(content).hexdigest()}"'} if with_tag else {}
    headers |= {"Accept-Ranges": "bytes"} | more.pop("headers", {})
    wanted = handler.headers.get("Range")
    if wanted is None:
        send(handler, 200, content, headers=headers, **more)
        return
    begin = int(wanted.removeprefix("bytes=").partition("-")[0])
    headers["Content-Range"] = f"bytes {begin}-{len(content) - 1}/{len(content)}"
    send(handler, 206, content[begin:], headers=headers, **more)


def hub(repositories: Path, revision: str) -> Answer:
    """The hub's interface to the repositories ``owner/name`` of a folder, all at one revision."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        parts = handler.path.partition("?")[0].strip("/").split("/")
        if parts[0] == "api":
            owner, name = parts[2:4]
            folder = repositories / owner / name
            asked = parts[5] if len(parts) > 5 and parts[4] in ("revision", "tree") else revision
            if not folder.is_dir():
                send(handler, 404, headers={"X-Error-Code": "RepoNotFound"})
            elif (folder / "gated").exists():
                send(handler, 403, headers={"X-Error-Code": "GatedRepo"})
            elif asked != revision:
                send(handler, 404, headers={"X-Error-Code": "RevisionNotFound"})
            else:
                files = sorted(path for path in folder.rglob("*") if path.is_file())
                listed = [_sibling(path, folder) for path in files]
                if len(parts) > 4 and parts[4] == "tree":
                    content: Any = [
                        {
                            "type": "file",
                            "path": f["rfilename"],
                            "size": f["size"],
                            "oid": f["blobId"],
                        }
                        for f in listed
                    ]
                else:
                    content = {"id": f"{owner}/{name}", "sha": revision, "siblings": listed}
                    content |= {"private": False, "tags": [], "downloads": 0, "likes": 0}
                send(
                    handler,
                    200,
                    json.dumps(content).encode(),
                    headers={"Content-Type": "application/json"},
                )
            return
        prefix = 1 if parts[0] == "datasets" else 0
        owner, name = parts[prefix : prefix + 2]
        file = repositories / owner / name / "/".join(parts[prefix + 4 :])
        if not file.is_file():
            send(handler, 404, headers={"X-Error-Code": "EntryNotFound"})
            return
        send_file(handler, file.read_bytes(), headers={"X-Repo-Commit": revision})

    return answer


def _sibling(path: Path, folder: Path) -> dict[str, Any]:
    content = path.read_bytes()
    sibling: dict[str, Any] = {
        "rfilename": path.relative_to(folder).as_posix(),
        "size": len(content),
        "blobId": hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest(),
    }
    if path.suffix == ".parquet":
        digest = hashlib.sha256(content).hexdigest()
        sibling["lfs"] = {"sha256": digest, "size": len(content), "pointerSize": 130}
    return sibling
