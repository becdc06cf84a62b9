"""A user's own data in canonical form."""

import logging
from collections.abc import Iterable, Iterator
from pathlib import Path

from semantic_tokens.data.datasets.canonical import SPLITS, Example, Placed
from semantic_tokens.errors import InputError
from semantic_tokens.text_files import files_in, json_lines

log = logging.getLogger(__name__)


def jsonl(path: Path, has_passages: bool) -> dict[str, Iterable[Example]]:
    """Read ``{train,dev,test}.jsonl``, and ``passages.jsonl`` for ranking. There may be no dev split.

    Raises:
        InputError: a file is missing, or (during reading) a line is not JSON.
    """
    splits = [*SPLITS, "passages"] if has_passages else SPLITS
    files = {split: files_in(path, f"{split}.jsonl") for split in splits}
    for split, found in files.items():
        if not found and split != "dev":
            raise InputError(
                f"{path}/{split}.jsonl is missing; a folder of your own data contains "
                f"{', '.join(f'{name}.jsonl' for name in splits)}"
            )
    if not files["dev"]:
        log.warning("%s has no dev.jsonl, so there is no dev split", path)
    return {split: _examples(found[0]) if found else () for split, found in files.items()}


def _examples(file: Path) -> Iterator[Example]:
    for number, record in json_lines(file):
        yield Placed(record, file, number)
