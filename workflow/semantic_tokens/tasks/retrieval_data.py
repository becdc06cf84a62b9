"""Queries, passages and candidates as both retrieval tasks read them.

A collection may have tens of millions of passages: those that a query names are kept in memory, and
the whole is gone through from disk.
"""

from array import array
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from tqdm import tqdm

from semantic_tokens.errors import InputError
from semantic_tokens.files import read_jsonl
from semantic_tokens.tasks.scored_items import ScoredItem
from semantic_tokens.tokenization.special_tokens import SpecialTokens
from semantic_tokens.tokenization.tables import read_batches, read_table
from semantic_tokens.tokenization.vocabulary import load_tokenizer

_ROWS_AT_ONCE = 2**16
_SPARE = 1000  # passages a language that fill up where BM25 found too few


class RankingData:
    """A ranking dataset: token ids of queries and passages, what is relevant, and BM25's lists.

    Args:
        judged_negatives: draw negatives out of those that people judged irrelevant, too.

    Attributes:
        passages: id -> token ids without special tokens, of every passage that a query holds
            relevant or BM25 lists for one, and of some others.
        spare: language -> ids of the first passages of its collection.
        train, test: queries in order, each with ``id``, ``language``, ``input_ids``,
            ``relevant`` (passage id -> grade), ``irrelevant`` (passage ids that were judged so)
            and ``candidates`` (passage ids, best first).
    """

    def __init__(
        self,
        tokenized: Path,
        tokenizer: Path,
        dataset: Path,
        candidates: Path,
        languages: Sequence[str] | None,
        evaluation_split: str,
        judged_negatives: bool = False,
    ) -> None:
        self.frame = SpecialTokens.of(load_tokenizer(tokenizer))
        self._table = tokenized / "passages.parquet"
        self.judged_negatives = judged_negatives
        train, self.test = (
            self._queries(split, tokenized, dataset, candidates)
            for split in ("train", evaluation_split)
        )
        self.train = [q for q in train if languages is None or q["language"] in languages]
        if not self.train:
            raise InputError(
                f"no training query of {dataset} is in {languages or 'any language'}; fix the "
                "experiment's `training` or the dataset's `languages`"
            )
        self.passages: dict[str, Sequence[int]] = {}
        self.spare: dict[str, list[str]] = {}
        self._load_passages()

    def _load_passages(self) -> None:
        named = {
            passage
            for query in [*self.train, *self.test]
            for passages in (query["relevant"], query["candidates"], query["irrelevant"])
            for passage in passages
        }
        for batch in read_batches(self._table, _ROWS_AT_ONCE):
            token_ids = batch.column("input_ids")
            names = batch.column("id").to_pylist(), batch.column("language").to_pylist()
            for row, (passage, language) in enumerate(zip(*names, strict=True)):
                known = self.spare.setdefault(language, [])
                is_spare = len(known) < _SPARE
                if is_spare:
                    known.append(passage)
                if is_spare or passage in named:
                    self.passages[passage] = array("i", token_ids[row].as_py())

    def collection(self, size: int) -> Iterator[tuple[str, list[str], list[list[int]]]]:
        """The whole collection in parts of at most so many passages of one language: the language,
        their ids and their token ids, always in the same order and parts."""
        for batch in tqdm(read_batches(self._table, size), desc="collection", unit="part"):
            languages = batch.column("language")
            # As pyarrow's own values: to compare with one of Python's it would import pandas.
            for language in sorted(pc.unique(languages), key=pa.StringScalar.as_py):
                part = batch.filter(pc.equal(languages, language))
                ids, token_ids = part.column("id"), part.column("input_ids")
                yield language.as_py(), ids.to_pylist(), token_ids.to_pylist()

    def _queries(
        self, split: str, tokenized: Path, dataset: Path, candidates: Path
    ) -> list[dict[str, Any]]:
        judged = {row["id"]: row for row in read_jsonl(dataset / f"{split}.jsonl")}
        listed = {row["id"]: row["candidates"] for row in read_jsonl(candidates / f"{split}.jsonl")}
        return [
            row
            | {
                "relevant": judged[row["id"]]["relevant"],
                "irrelevant": judged[row["id"]].get("irrelevant", []),
                "candidates": listed[row["id"]],
            }
            for row in read_table(tokenized / f"{split}.parquet")
        ]

    def hard_negatives(
        self, query: dict[str, Any], count: int, depth: int, random: np.random.Generator
    ) -> list[str]:
        """Passages that are hard to tell from relevant ones, drawn evenly.

        They are those that people judged irrelevant, where ``judged_negatives`` asks for
        them, and BM25's first that nobody judged relevant.

        Args:
            count: how many to draw.
            depth: how far to look down BM25's list.
            random: :func:`draws_of` the query.
        """
        judged = query.get("irrelevant", ()) if self.judged_negatives else ()
        pool = list(dict.fromkeys([*judged, *query["candidates"][:depth]]))
        pool = [passage for passage in pool if passage not in query["relevant"]]
        if len(pool) < count:  # few lexical matches: fill up with any passage of the language
            others = [
                p
                for p in self.spare.get(query["language"], ())
                if p not in query["relevant"] and p not in pool
            ]
            pool += others[: count - len(pool)]
        return [pool[i] for i in random.permutation(len(pool))[:count]]


def draws_of(query: dict[str, Any], seed: int, epoch: int) -> np.random.Generator:
    """The random numbers of one query in one epoch. They depend on no other query."""
    name = np.frombuffer(query["id"].encode("utf-8"), dtype=np.uint8).tolist()
    return np.random.default_rng([seed, epoch, *name])


def rankings(run: dict[str, dict[str, float]]) -> dict[str, Any]:
    """Query id -> its passages and their scores, best first, as predictions are kept."""
    return {
        query: {"ranking": sorted(scores.items(), key=lambda pair: -pair[1])}
        for query, scores in run.items()
    }


def ndcg_items(queries: list[dict[str, Any]], run: dict[str, dict[str, float]]) -> list[ScoredItem]:
    """The nDCG@10 of every query.

    Args:
        run: query id -> passage id -> score.
    """
    from semantic_tokens.data.ranking import ndcg_at_10

    values = ndcg_at_10({query["id"]: query["relevant"] for query in queries}, run)
    return [ScoredItem(q["id"], q["language"], values[q["id"]], 1.0) for q in queries]
