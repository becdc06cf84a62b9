"""Queries, passages and candidates for reranking and retrieval.

A collection may have tens of millions of passages. The passages that queries refer to are kept in
memory, and the entire collection is read from disk.
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
from semantic_tokens.json_files import read_jsonl
from semantic_tokens.tasks.scored_items import ScoredItem
from semantic_tokens.tokenization.special_tokens import SpecialTokens
from semantic_tokens.tokenization.tables import read_batches, read_table
from semantic_tokens.tokenization.vocabulary import load_tokenizer

_ROWS_AT_ONCE = 2**16
_SPARE = 1000  # passages per language, for queries with too few results of BM25


class RankingData:
    """A ranking dataset: token ids of queries and passages, relevance judgements, and BM25's lists.

    Args:
        judged_negatives: also draw negatives from passages that annotators judged irrelevant.

    Attributes:
        passages: id -> token ids without special tokens, for all passages that are relevant for a
            query or in its BM25 list, and some others.
        spare: language -> ids of the first passages of its collection.
        train, test: queries in order, each with ``id``, ``language``, ``input_ids``, ``relevant``
            (passage id -> grade), ``irrelevant`` (ids of passages that were judged irrelevant) and
            ``candidates`` (passage ids, best first).
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
        """Yield the collection in parts of at most ``size`` passages of one language: the language,
        the ids and the token ids. Order and parts are always the same."""
        for batch in tqdm(read_batches(self._table, size), desc="collection", unit="part"):
            languages = batch.column("language")
            # pyarrow values, since a comparison with Python values would import pandas.
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
        """Draw hard negatives uniformly.

        They are BM25's first passages that are not judged relevant, and with ``judged_negatives``
        also the passages that annotators judged irrelevant.

        Args:
            count: the number of passages to draw.
            depth: the number of passages to use from BM25's list.
            random: :func:`draws_of` the query.
        """
        judged = query.get("irrelevant", ()) if self.judged_negatives else ()
        pool = list(dict.fromkeys([*judged, *query["candidates"][:depth]]))
        pool = [passage for passage in pool if passage not in query["relevant"]]
        if len(pool) < count:  # few lexical matches: add other passages of the language
            others = [
                p
                for p in self.spare.get(query["language"], ())
                if p not in query["relevant"] and p not in pool
            ]
            pool += others[: count - len(pool)]
        return [pool[i] for i in random.permutation(len(pool))[:count]]


def draws_of(query: dict[str, Any], seed: int, epoch: int) -> np.random.Generator:
    """The random generator of one query in one epoch, independent of other queries."""
    name = np.frombuffer(query["id"].encode("utf-8"), dtype=np.uint8).tolist()
    return np.random.default_rng([seed, epoch, *name])


def rankings(run: dict[str, dict[str, float]]) -> dict[str, Any]:
    """Query id -> its passages with their scores, best first, in the form of predictions."""
    return {
        query: {"ranking": sorted(scores.items(), key=lambda pair: -pair[1])}
        for query, scores in run.items()
    }


def ndcg_items(queries: list[dict[str, Any]], run: dict[str, dict[str, float]]) -> list[ScoredItem]:
    """The nDCG@10 of every query.

    Args:
        run: query id -> passage id -> score.
    """
    from semantic_tokens.tasks.metrics import ndcg_at_10

    values = ndcg_at_10({query["id"]: query["relevant"] for query in queries}, run)
    return [ScoredItem(q["id"], q["language"], values[q["id"]], 1.0) for q in queries]
