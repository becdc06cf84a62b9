"""Tables of token ids, as :mod:`semantic_tokens.tokenization.examples` writes them: Parquet files with one
row per example (or per window of one) and ragged columns of int32."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as parquet

from semantic_tokens.files import reading
from semantic_tokens.tokenization.special_tokens import SpecialTokens


def read_table(path: str | Path) -> list[dict[str, Any]]:
    """Read a table of token ids as a list of rows."""
    with reading(path):  # pyarrow's own read_table would import pandas
        return parquet.ParquetFile(path).read().to_pylist()


def read_batches(path: str | Path, rows: int) -> Iterator[pa.RecordBatch]:
    """Read a table of token ids in batches of at most ``rows`` rows."""
    with reading(path):
        batches = parquet.ParquetFile(path).iter_batches(rows)
    yield from batches


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
