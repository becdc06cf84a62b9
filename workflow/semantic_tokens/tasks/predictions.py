"""The predictions of a fine-tuned model for every test item, for error analysis."""

import gzip
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from semantic_tokens.files import atomic_file
from semantic_tokens.tasks.scored_items import ScoredItem


def write_predictions(
    items: Sequence[ScoredItem], predictions: Mapping[str, Any], path: str | Path
) -> None:
    """Write one compressed JSON object per test item, with its id, language, score and prediction.

    The score is ``earned`` out of ``possible``, as in the scored items.
    ``datasets.load_dataset("json", data_files=…)`` opens the file.
    """
    with (
        atomic_file(path) as partial,
        partial.open("wb") as packed,
        # Without time and name, so that equal predictions give equal files.
        gzip.GzipFile("", "wb", fileobj=packed, mtime=0) as file,
    ):
        for item in items:
            row = item._asdict() | predictions[item.id]
            del row["cluster"]
            file.write(json.dumps(row, ensure_ascii=False).encode() + b"\n")
