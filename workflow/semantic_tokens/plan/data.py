"""The amount of text of a study, the lengths of texts, and the number of passages to search.

Existing files are counted. Otherwise the sizes of downloads and the config's ``counts`` are used.
Text is assumed to be three times as large as its compressed files (English Wikipedia in Parquet:
1.7 times; gzipped JSON: about three times).
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from semantic_tokens.files import reading

_UNPACKED = 3  # the size of text divided by the size of its files

#: A dataset's ``counts`` of tokens -> the limits in ``tokenization`` that are used without them.
LENGTHS = {
    "tokens": "max_length",
    "query_tokens": "max_query_length",
    "passage_tokens": "max_passage_length",
}


class Data:
    """The corpora and datasets of a study.

    Args:
        results: the folder of existing files.
        sizes: the sizes of downloads in megabytes; None if unknown.
        corpora, datasets: the entries of the config.
        shared_files: the files and folders that may be in another run's folder: the path below
            ``results`` -> the path.
    """

    def __init__(
        self,
        results: Path,
        sizes: Mapping[str, float | None],
        corpora: Mapping[str, Mapping[str, Any]],
        datasets: Mapping[str, Mapping[str, Any]],
        shared_files: Mapping[str, str] | None = None,
    ) -> None:
        self.results, self.shared_files, self.sizes = results, shared_files or {}, sizes
        self.corpora, self.datasets = corpora, datasets
        #: The number of corpora that share a download, with one language each.
        self._shared = Counter(str(spec.get("download")) for spec in corpora.values())
        self._bytes: dict[tuple[str, str], float | None] = {}
        self._counts: dict[tuple[str, str], dict[str, float]] = {}

    def path(self, name: str) -> Path:
        """The path of a file or folder, from its path below ``results``."""
        return Path(self.shared_files.get(name, self.results / name))

    def corpus_bytes(self, name: str) -> float | None:
        """The bytes of a corpus's text; None if unknown."""
        key = ("corpus", name)
        if key not in self._bytes:
            spec, file = self.corpora[name], self.path(f"corpora/{name}.jsonl")
            size = self._text([file], spec)
            is_part = not (file.is_file() or spec.get("path")) and spec.get("download")
            if size is not None and is_part:
                size /= self._shared[str(spec["download"])]
            self._bytes[key] = size
        return self._bytes[key]

    def dataset_bytes(self, name: str) -> float | None:
        """The bytes of a dataset's text; None if unknown."""
        key = ("dataset", name)
        if key not in self._bytes:
            files = sorted(self.path(f"datasets/{name}").glob("*.jsonl"))
            self._bytes[key] = self._text(files, self.datasets[name])
        return self._bytes[key]

    def counts(self, name: str, backbone: str) -> dict[str, float]:
        """The sizes of a dataset: ``train`` and ``test`` examples or queries, mean tokens of a text
        (:data:`LENGTHS`), and for rankings ``relevant`` passages per training query and
        ``passages``. Unknown values are missing.

        Args:
            backbone: the backbone of the tokenizer.
        """
        key = (name, backbone)
        if key not in self._counts:
            self._counts[key] = self._read_counts(name, backbone)
        return self._counts[key]

    def has_full_lengths(self, name: str, backbone: str) -> bool:
        """Whether texts of a dataset count with their maximum length."""
        counts, limits = self.counts(name, backbone), self.datasets[name]["tokenization"]
        return any(limit in limits and length not in counts for length, limit in LENGTHS.items())

    def lengths(self, name: str, backbone: str) -> dict[str, float]:
        """The mean number of tokens of a dataset's texts, or the maximum if the mean is unknown."""
        counts, limits = self.counts(name, backbone), self.datasets[name]["tokenization"]
        return {
            length: min(counts.get(length, limits[limit]), limits[limit])
            for length, limit in LENGTHS.items()
            if limit in limits
        }

    def searched(
        self, name: str, backbone: str, pool: Mapping[str, Any] | None
    ) -> dict[str, float]:
        """The maximum number of ``passages`` in this pool of a dataset; empty without a pool or
        without counts."""
        counts = self.counts(name, backbone)
        if not pool or any(key not in counts for key in ("train", "test", "relevant", "passages")):
            return {}
        named = (counts["train"] + counts["test"]) * (counts["relevant"] + pool["depth"])
        languages = self.datasets[name].get("options", {}).get("languages", ())
        drawn = pool["random_per_language"] * max(1, len(languages))
        return {"passages": min(counts["passages"], named + drawn)}

    def searched_bytes(
        self, name: str, backbone: str, pool: Mapping[str, Any] | None
    ) -> float | None:
        """The bytes of a dataset's text in a pool, or of all of its text."""
        text, searched = self.dataset_bytes(name), self.searched(name, backbone, pool)
        if text is None or not searched:
            return text
        return text * searched["passages"] / self.counts(name, backbone)["passages"]

    def _text(self, read: Sequence[Path], spec: Mapping[str, Any]) -> float | None:
        if found := [file.stat().st_size for file in read if file.is_file()]:
            return float(sum(found))
        if spec.get("path"):
            own = Path(spec["path"])
            files = [own] if own.is_file() else [file for file in own.rglob("*") if file.is_file()]
            return float(sum(file.stat().st_size for file in files))
        names = spec.get("download") or []
        sizes = [self.sizes.get(name) for name in ([names] if isinstance(names, str) else names)]
        known = [size for size in sizes if size]
        return _UNPACKED * 1e6 * sum(known) if sizes and len(known) == len(sizes) else None

    def _read_counts(self, name: str, backbone: str) -> dict[str, float]:
        counts: dict[str, float] = dict(self.datasets[name].get("counts") or {})
        for split in ("train", "test", "passages"):
            file = self.path(f"datasets/{name}") / f"{split}.jsonl"
            if file.is_file():
                with file.open("rb") as lines:
                    counts[split] = sum(1 for _ in lines)
        tokenized = self.path(f"tokenized/{backbone}/original/{name}")
        if self.datasets[name]["kind"] != "ranking":
            # For long passages, a row is a window, and an example has several windows.
            for split in ("test", "train"):
                if table := _tokenized(tokenized / f"{split}.parquet"):
                    counts[split], counts["tokens"] = table
        else:
            for split, length in (("train", "query_tokens"), ("passages", "passage_tokens")):
                if table := _tokenized(tokenized / f"{split}.parquet"):
                    counts[length] = table[1]
        return counts


def _tokenized(path: Path) -> tuple[int, float] | None:
    """The number of rows of a tokenised table and the mean number of tokens per row, from the
    file's metadata. None if the table is missing or empty."""
    if not path.is_file():
        return None
    with reading(path):
        summary = pq.read_metadata(path)
    if not summary.num_rows:
        return None
    groups = [summary.row_group(number) for number in range(summary.num_row_groups)]
    tokens = sum(
        column.num_values
        for group in groups
        for column in (group.column(index) for index in range(group.num_columns))
        if column.path_in_schema.split(".")[0] == "input_ids"
    )
    return summary.num_rows, tokens / summary.num_rows
