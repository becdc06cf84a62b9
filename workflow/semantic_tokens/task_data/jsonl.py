"""A user's own data, in canonical form already."""

from collections.abc import Iterable
from pathlib import Path

from semantic_tokens.errors import InputError
from semantic_tokens.task_data.canonical import SPLITS, Example
from semantic_tokens.task_data.sources import json_lines


def jsonl(path: Path, has_passages: bool) -> dict[str, Iterable[Example]]:
    """Read ``{train,dev,test}.jsonl``, and ``passages.jsonl`` for ranking.

    Raises:
        InputError: a file is missing, or (on reading it) names the line that is not JSON.
    """
    splits = [*SPLITS, "passages"] if has_passages else SPLITS
    for split in splits:
        if not (path / f"{split}.jsonl").is_file():
            raise InputError(
                f"{path}/{split}.jsonl is missing; a folder of your own data holds "
                f"{', '.join(f'{name}.jsonl' for name in splits)}"
            )
    return {split: json_lines(path / f"{split}.jsonl") for split in splits}
