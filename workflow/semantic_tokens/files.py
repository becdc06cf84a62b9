"""Files that appear whole or not at all, and the JSON-lines files that stages exchange."""

import contextlib
import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from semantic_tokens.errors import InputError


@contextlib.contextmanager
def whole(path: str | Path) -> Iterator[Path]:
    """Yield a path beside ``path`` to write to; rename it to ``path`` at the end.

    If the body raises, the partial file is removed and ``path`` stays as it was. Missing
    parent folders are made. Who may read the file is up to the umask, also where a library
    writes for its user's eyes alone.
    """
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f".{target.name}.partial")
    partial.touch()
    mode = partial.stat().st_mode
    partial.unlink()
    try:
        yield partial
        partial.chmod(mode)
        os.replace(partial, target)
    finally:
        partial.unlink(missing_ok=True)


def write_jsonl(records: Iterable[dict[str, Any]], path: str | Path) -> int:
    """Write one JSON object a line, UTF-8, whole or not at all; return their number."""
    count = 0
    with whole(path) as partial, partial.open("w", encoding="utf-8") as file:
        for record in records:
            file.write(json.dumps(record, ensure_ascii=False) + "\n")
            count += 1
    return count


def read_jsonl(path: str | Path) -> Iterator[dict[str, Any]]:
    """Yield the objects of a JSON-lines file.

    Raises:
        InputError: a line is not a JSON object (the message names file and line).
    """
    with Path(path).open(encoding="utf-8") as file:
        for number, line in enumerate(file, start=1):
            try:
                record = json.loads(line)
            except json.JSONDecodeError as error:
                raise InputError(
                    f"{path}, line {number}: not JSON ({error}); delete the file to have it made again"
                ) from error
            if not isinstance(record, dict):
                raise InputError(
                    f"{path}, line {number}: not a JSON object; delete the file to have it made again"
                )
            yield record


def write_json(value: Any, path: str | Path) -> None:
    """Write indented JSON with sorted keys, whole or not at all."""
    with whole(path) as partial:
        partial.write_text(
            json.dumps(value, ensure_ascii=False, indent=2, sort_keys=True) + "\n", encoding="utf-8"
        )


def read_json(path: str | Path) -> Any:
    """Read a JSON file that a stage of this workflow wrote.

    Raises:
        InputError: the file is not JSON.
    """
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise InputError(
            f"{path} is not JSON ({error}); delete it to have it made again"
        ) from error
