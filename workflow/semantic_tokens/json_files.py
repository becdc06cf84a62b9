"""The JSON and JSON-lines files of the workflow."""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from semantic_tokens.errors import InputError
from semantic_tokens.files import atomic_file


def write_jsonl(records: Iterable[dict[str, Any]], path: str | Path) -> int:
    """Write one JSON object per line, in UTF-8, atomically. Return their number."""
    count = 0
    with atomic_file(path) as partial, partial.open("w", encoding="utf-8") as file:
        for record in records:
            file.write(json.dumps(record, ensure_ascii=False) + "\n")
            count += 1
    return count


def read_jsonl(path: str | Path) -> Iterator[dict[str, Any]]:
    """Yield the objects of a JSON-lines file.

    Raises:
        InputError: a line is not a JSON object (the message names file and line).
    """
    with Path(path).open("rb") as file:
        for number, line in enumerate(file, start=1):
            try:
                record = json.loads(line.decode("utf-8"))
            except (ValueError, RecursionError) as error:  # includes UnicodeDecodeError
                raise InputError(
                    f"{path}, line {number}: not JSON ({error}); delete the file and it will be made again"
                ) from error
            if not isinstance(record, dict):
                raise InputError(
                    f"{path}, line {number}: not a JSON object; delete the file and it will be made again"
                )
            yield record


def write_json(value: Any, path: str | Path) -> None:
    """Write indented JSON with sorted keys, atomically."""
    with atomic_file(path) as partial:
        partial.write_text(
            json.dumps(value, ensure_ascii=False, indent=2, sort_keys=True) + "\n", encoding="utf-8"
        )


def read_json(path: str | Path) -> Any:
    """Read a JSON file of this workflow.

    Raises:
        InputError: the file is not JSON.
    """
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise InputError(
            f"{path} is not JSON ({error}); delete it and it will be made again"
        ) from error
