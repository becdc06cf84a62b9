"""Tables of token ids, as :mod:`semantic_tokens.tokenization.examples` writes them: Parquet files with one
row per example (or per window of one) and ragged columns of int32."""

import logging
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as parquet

from semantic_tokens.files import reading
from semantic_tokens.tokenization.special_tokens import SpecialTokens

#: The share of unknown tokens in a language above which there is a warning.
_MANY_UNKNOWN = 0.02


def read_table(path: str | Path) -> list[dict[str, Any]]:
    """Read a table of token ids as a list of rows."""
    with reading(path):  # pyarrow's own read_table would import pandas
        return parquet.ParquetFile(path).read().to_pylist()


def read_batches(path: str | Path, rows: int) -> Iterator[pa.RecordBatch]:
    """Read a table of token ids in batches of at most ``rows`` rows."""
    with reading(path):
        batches = parquet.ParquetFile(path).iter_batches(rows)
    yield from batches


def log_unknown_tokens(path: str | Path, unknown: int | None, log: logging.Logger) -> None:
    """Warn if many tokens of a language are unknown: a model cannot read them."""
    many = {
        language: share
        for language, share in unknown_by_language(path, unknown).items()
        if share > _MANY_UNKNOWN
    }
    if many:
        log.warning(
            "%s: unknown tokens: %s. A model cannot read them: take a backbone with subwords of "
            "this script, or set its `vocabulary_texts` and `vocabulary_characters`",
            path,
            ", ".join(f"{language} {share:.1%}" for language, share in many.items()),
        )


def unknown_by_language(path: str | Path, unknown: int | None) -> dict[str, float]:
    """Language -> the share of unknown tokens in a table of token ids.

    Args:
        unknown: the id of the unknown token; None if the tokenizer has none.
    """
    found: dict[str, np.ndarray] = {}
    for batch in read_batches(path, 2**14):
        for language, ids in zip(
            batch.column("language").to_pylist(), batch.column("input_ids"), strict=True
        ):
            values = ids.values.to_numpy()
            counted = np.array([np.count_nonzero(values == unknown), len(values)])
            found[language] = found.get(language, 0) + counted
    return {language: float(some / all_of) for language, (some, all_of) in sorted(found.items())}


def token_ids_in(tables: Iterable[str | Path], frame: SpecialTokens) -> np.ndarray:
    """All token ids that occur in tables of token ids or in their special tokens: int64, ascending,
    each once."""
    found = {*frame.prefix, *frame.middle, *frame.suffix, frame.pad}
    for path in tables:
        with reading(path):
            batches = parquet.ParquetFile(path).iter_batches(2**18, columns=["input_ids"])
        for batch in batches:
            found.update(pc.unique(pc.list_flatten(batch.column(0))).to_pylist())
    return np.array(sorted(found), dtype=np.int64)
