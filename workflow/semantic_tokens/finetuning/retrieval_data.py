"""Queries, passages and candidates as both retrieval tasks read them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from semantic_tokens.errors import InputError
from semantic_tokens.files import read_jsonl
from semantic_tokens.tokenization import SpecialTokens, load_tokenizer, read_table


class RankingData:
    """A ranking dataset: token ids of queries and passages, what is relevant, and BM25's lists.

    Attributes:
        passages: id -> token ids without special tokens.
        passages_of: language -> passage ids, in the order of the collection.
        train, test: queries in order, each with ``id``, ``language``, ``input_ids``,
            ``relevant`` (passage id -> grade) and ``candidates`` (passage ids, best first).
    """

    def __init__(
        self,
        tokenized: Path,
        tokenizer: Path,
        dataset: Path,
        candidates: Path,
        languages: Sequence[str] | None,
        evaluation_split: str,
    ) -> None:
        self.frame = SpecialTokens.of(load_tokenizer(tokenizer))
        self.passages: dict[str, list[int]] = {}
        self.passages_of: dict[str, list[str]] = {}
        for row in read_table(tokenized / "passages.parquet"):
            self.passages[row["id"]] = row["input_ids"]
            self.passages_of.setdefault(row["language"], []).append(row["id"])
        train, self.test = (
            self._queries(split, tokenized, dataset, candidates)
            for split in ("train", evaluation_split)
        )
        self.train = [q for q in train if languages is None or q["language"] in languages]
        if not self.train:
            raise InputError(
                f"no training query of {dataset} is in {languages or 'any language'}; mend the "
                "experiment's `training` or the dataset's `languages`"
            )

    def _queries(
        self, split: str, tokenized: Path, dataset: Path, candidates: Path
    ) -> list[dict[str, Any]]:
        relevant = {row["id"]: row["relevant"] for row in read_jsonl(dataset / f"{split}.jsonl")}
        listed = {row["id"]: row["candidates"] for row in read_jsonl(candidates / f"{split}.jsonl")}
        return [
            row | {"relevant": relevant[row["id"]], "candidates": listed[row["id"]]}
            for row in read_table(tokenized / f"{split}.parquet")
        ]

    def hard_negatives(self, query: dict[str, Any], count: int, depth: int) -> list[str]:
        """Passages that BM25 ranks high and nobody judged relevant, drawn evenly by rank.

        Every query's draw is its own (seeded by its id), so it does not depend on the rest.
        """
        pool = [c for c in query["candidates"][:depth] if c not in query["relevant"]]
        if len(pool) < count:  # few lexical matches: fill up with any passage of the language
            others = [
                p
                for p in self.passages_of[query["language"]]
                if p not in query["relevant"] and p not in pool
            ]
            pool += others[: count - len(pool)]
        seed = np.frombuffer(query["id"].encode("utf-8"), dtype=np.uint8).tolist()
        chosen = np.random.default_rng(seed).permutation(len(pool))[:count]
        return [pool[i] for i in sorted(chosen)]


def ndcg_by_language(
    queries: list[dict[str, Any]], run: dict[str, dict[str, float]]
) -> dict[str, tuple[float, int]]:
    """Mean nDCG@10 over the queries of every language, and how many they are.

    Args:
        run: query id -> passage id -> score.
    """
    from semantic_tokens.ranking import ndcg_at_10

    values = ndcg_at_10({query["id"]: query["relevant"] for query in queries}, run)
    by_language: dict[str, list[float]] = {}
    for query in queries:
        by_language.setdefault(query["language"], []).append(values[query["id"]])
    return {
        language: (float(np.mean(scores)), len(scores))
        for language, scores in sorted(by_language.items())
    }
