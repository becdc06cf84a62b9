"""BM25 candidates for retrieval and reranking (paper, section 3).

Words are sequences of word characters. In scripts without spaces between words, they are
overlapping character bigrams, as in Lucene's CJK analyzer. There is no stemming and no list of stop
words, so all languages are treated in the same way.
"""

import contextlib
import hashlib
import heapq
import json
import logging
import tempfile
import unicodedata
from array import array
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import regex
from tqdm import tqdm

from semantic_tokens.errors import InputError
from semantic_tokens.json_files import read_jsonl

# `regex`, because in `re` the vowel signs of Hindi, Bengali, Telugu or Thai end a word.
# Script_Extensions (scx), because Script does not include the ー of ラーメン.
_UNSPACED = r"\p{scx=Han}\p{scx=Hira}\p{scx=Kana}\p{scx=Thai}\p{scx=Laoo}\p{scx=Khmr}\p{scx=Mymr}"
_RUN = regex.compile(
    rf"(?P<unspaced>[\w&&[{_UNSPACED}]]+)|(?P<word>[\w--[{_UNSPACED}]]+)", regex.VERSION1
)
_CHARACTER = regex.compile(r"\X")  # a grapheme: a letter with its marks


def split_words(text: str) -> list[str]:
    """The index terms of a text: NFKC, case folded, without punctuation.

    >>> split_words("L’ÉTÉ, 東京都とiPhone")
    ['l', 'été', '東京', '京都', '都と', 'iphone']
    """
    words: list[str] = []
    for run in _RUN.finditer(unicodedata.normalize("NFKC", text).casefold()):
        if run.lastgroup == "word":
            words.append(run.group())
            continue
        characters = _CHARACTER.findall(run.group())
        if len(characters) == 1:
            words += characters
        else:
            words += map("".join, pairwise(characters))
    return words


@dataclass
class _Collection:
    """The passages of one language, with words as numbers of 4 bytes."""

    ids: list[str] = field(default_factory=list)
    words: list["array[int]"] = field(default_factory=list)
    vocabulary: dict[str, int] = field(default_factory=dict)

    def add(self, passage: Mapping[str, Any]) -> None:
        number = self.vocabulary
        words = split_words(f"{passage['title']} {passage['text']}")
        self.ids.append(passage["id"])
        self.words.append(array("i", [number.setdefault(word, len(number)) for word in words]))

    def sort(self) -> None:
        """Sort the passages by id."""
        order = sorted(range(len(self.ids)), key=self.ids.__getitem__)
        self.ids = [self.ids[i] for i in order]
        self.words = [self.words[i] for i in order]

    def known(self, query: str) -> list[int]:
        """The numbers of the query's words that occur in a passage."""
        return [self.vocabulary[word] for word in split_words(query) if word in self.vocabulary]


def bm25_candidates(
    passages: Iterable[Mapping[str, Any]],
    queries: Iterable[Mapping[str, Any]],
    depth: int,
    k1: float = 0.9,
    b: float = 0.4,
    index_folder: str | Path | None = None,
) -> Iterator[dict[str, Any]]:
    """Rank for every query the passages of its language, by Lucene's form of BM25.

    A passage is a candidate if it shares a word with the query, so a list may be shorter than
    ``depth``, or empty. Equal scores are sorted by passage id.

    Args:
        passages: passages with ``id``, ``language``, ``title`` and ``text``; title and text are
            indexed together. The words of one language are in memory at a time, with 4 bytes each;
            the other languages are in files.
        queries: queries with ``id``, ``language`` and ``query``.
        depth: the maximum length of the lists.
        k1, b: saturation of term frequency, and length normalisation; the defaults are Anserini's,
            which MIRACL's BM25 baseline uses.
        index_folder: an existing folder for these files. Each language's index (8 bytes per
            different word of a passage) is also written there and memory-mapped, so the system can
            page it out. The default is a temporary folder and an index in memory.

    Yields:
        ``{"id": query id, "candidates": [passage id, best first], "scores": [float]}``,
        language by language in alphabetical order, within one in the order of the queries.

    Raises:
        InputError: a query's language has no passages, or no passage with a word in it.
    """
    queries_of: dict[str, list[Mapping[str, Any]]] = {}
    for query in queries:
        queries_of.setdefault(query["language"], []).append(query)
    with tempfile.TemporaryDirectory(prefix="bm25-", dir=index_folder) as folder:
        parts = _by_language(passages, queries_of, Path(folder))
        yield from _rank(parts, queries_of, depth, k1, b, index_folder)


def _by_language(
    passages: Iterable[Mapping[str, Any]], languages: Iterable[str], folder: Path
) -> dict[str, Path]:
    """Split passages into one file per language, since all languages together may not fit in
    memory."""
    parts = {language: folder / f"{language}.jsonl" for language in languages}
    with contextlib.ExitStack() as opened:
        files = {
            language: opened.enter_context(path.open("w", encoding="utf-8"))
            for language, path in parts.items()
        }
        for passage in tqdm(passages, desc="splitting passages", unit="passage", mininterval=2):
            if passage["language"] in files:
                files[passage["language"]].write(json.dumps(passage, ensure_ascii=False) + "\n")
    return parts


def _rank(
    parts: Mapping[str, Path],
    queries_of: Mapping[str, list[Mapping[str, Any]]],
    depth: int,
    k1: float,
    b: float,
    index_folder: str | Path | None,
) -> Iterator[dict[str, Any]]:
    for language in sorted(queries_of):
        collection = _Collection()
        for passage in read_jsonl(parts[language]):
            collection.add(passage)
        if not collection.vocabulary:
            raise InputError(
                f"query {queries_of[language][0]['id']} is in {language}, a language in which no "
                "passage has a word; add passages in it to the dataset's passages.jsonl, or "
                "leave the language out of the dataset's `languages`"
            )
        collection.sort()
        folder = None if index_folder is None else Path(index_folder) / language
        index = _index(collection, k1, b, folder)
        collection.words.clear()
        for query in tqdm(queries_of[language], desc=f"ranking {language}", unit="query"):
            scores = index.get_scores_from_ids(collection.known(query["query"]))
            best = _best(scores, depth)
            yield {
                "id": query["id"],
                "candidates": [collection.ids[i] for i in best],
                "scores": [float(scores[i]) for i in best],
            }


def _index(collection: _Collection, k1: float, b: float, folder: Path | None) -> Any:
    """A `bm25s` index, with every word's score in every passage that contains it."""
    import bm25s

    logging.getLogger("bm25s").setLevel(logging.WARNING)  # its import sets DEBUG
    index = bm25s.BM25(k1=k1, b=b, method="lucene")
    index.index((collection.words, collection.vocabulary), create_empty_token=False)
    if folder is None:
        return index
    index.save(folder)
    return bm25s.BM25.load(folder, mmap=True, load_vocab=False)


def _best(scores: np.ndarray, depth: int) -> np.ndarray:
    """Positions of the highest positive scores, best first; ties by position.

    Args:
        scores: [N], not negative.
    """
    depth = min(depth, int(np.count_nonzero(scores)))
    if depth == 0:
        return np.empty(0, dtype=np.int64)
    worst = np.partition(scores, -depth)[-depth]
    eligible = np.flatnonzero(scores >= worst)
    return eligible[np.argsort(-scores[eligible], kind="stable")[:depth]]


def pool_passages(
    passages: Iterable[Mapping[str, Any]],
    queries: Iterable[Mapping[str, Any]],
    candidates: Iterable[Mapping[str, Any]],
    *,
    depth: int,
    random_per_language: int,
    seed: int,
) -> Iterator[Mapping[str, Any]]:
    """A smaller collection: judged passages, BM25's first passages, and a random sample of the
    others. Retrieval is easier in it than in the entire collection.

    Args:
        queries: queries with ``relevant``, and optionally ``irrelevant``.
        candidates: BM25's lists, ``{"id", "candidates"}``.
        depth: the number of passages from each list.
        random_per_language: the number of random passages per language.
        seed: the seed of the sample; a larger sample with the same seed contains the smaller one.

    Yields:
        passages; only the order within a language is defined.
    """
    named = {
        passage
        for query in queries
        for passage in (*query["relevant"], *query.get("irrelevant", ()))
    }
    named |= {passage for row in candidates for passage in row["candidates"][:depth]}
    drawn: dict[str, list[tuple[float, str, Mapping[str, Any]]]] = {}
    for passage in tqdm(passages, desc="pooling passages", unit="passage", mininterval=2):
        if passage["id"] in named:
            yield passage
            continue
        if not random_per_language:
            continue
        heap = drawn.setdefault(passage["language"], [])  # the first to be replaced is on top
        digest = hashlib.sha256(f"pool\t{seed}\t{passage['id']}".encode()).digest()
        entry = (-int.from_bytes(digest[:8], "big") / 2**64, passage["id"], passage)
        if len(heap) < random_per_language:
            heapq.heappush(heap, entry)
        else:
            heapq.heappushpop(heap, entry)
    for language in sorted(drawn):
        for _, _, passage in sorted(drawn[language], key=lambda entry: entry[1]):
            yield passage
