"""Passage reranking with a cross-encoder over BM25's candidates (monoBERT): nDCG@10."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from semantic_tokens.finetuning.retrieval_data import RankingData, ndcg_by_language
from semantic_tokens.finetuning.task import model_inputs, predict
from semantic_tokens.model import load_text_head
from semantic_tokens.tokenization import fit_pair
from semantic_tokens.training import Batch


class Reranking:
    """Relevant or not, from the classification head over query and passage."""

    metric = "ndcg_at_10"

    def __init__(
        self,
        tokenized: Path,
        tokenizer: Path,
        dataset: Path,
        candidates: Path,
        languages: Sequence[str] | None = None,
        evaluation_split: str = "test",
        negatives_per_query: int = 4,
        negative_depth: int = 100,
        rerank_depth: int = 100,
        max_length: int = 256,
        pooling: str = "cls",
    ) -> None:
        self.data = RankingData(
            tokenized, tokenizer, dataset, candidates, languages, evaluation_split
        )
        self.pooling = pooling
        self.room = max_length - self.data.frame.pair_overhead
        self.examples: list[tuple[list[int], str, int]] = []
        for query in self.data.train:
            self.examples += [(query["input_ids"], p, 1) for p in sorted(query["relevant"])]
            self.examples += [
                (query["input_ids"], p, 0)
                for p in self.data.hard_negatives(query, negatives_per_query, negative_depth)
            ]
        self.pairs = [
            (query, passage)
            for query in self.data.test
            for passage in query["candidates"][:rerank_depth]
        ]
        self.lengths = [len(q) + len(self.data.passages[p]) for q, p, _ in self.examples]

    def load_model(self, folder: str | Path, *, seed: int, dropout: float | None) -> nn.Module:
        return load_text_head(folder, 2, seed=seed, dropout=dropout, pooling=self.pooling)

    def collate(self, indices: np.ndarray) -> Batch:
        chosen = [self.examples[i] for i in indices]
        labels = torch.tensor([label for _, _, label in chosen])
        return self._inputs([(q, p) for q, p, _ in chosen]) | {"labels": labels}

    def loss(self, model: nn.Module, batch: Batch) -> torch.Tensor:
        labels = batch.pop("labels")
        return functional.cross_entropy(model(**batch).float(), labels)

    def terms(self, batch: Batch) -> int:
        return len(batch["labels"])

    def evaluate(self, model: nn.Module, batch_size: int) -> dict[str, tuple[float, int]]:
        def collate(indices: np.ndarray) -> Batch:
            return self._inputs(
                [(self.pairs[i][0]["input_ids"], self.pairs[i][1]) for i in indices]
            )

        lengths = [len(q["input_ids"]) + len(self.data.passages[p]) for q, p in self.pairs]
        run: dict[str, dict[str, float]] = {query["id"]: {} for query in self.data.test}
        for index, logits in predict(
            model, lengths, collate, lambda m, b: m(**b), batch_size, "reranking"
        ):
            query, passage = self.pairs[index]
            run[query["id"]][passage] = float(logits[1] - logits[0])
        return ndcg_by_language(self.data.test, run)

    def _inputs(self, pairs: list[tuple[list[int], str]]) -> Batch:
        framed = [
            self.data.frame.pair(*fit_pair(query, self.data.passages[passage], self.room))
            for query, passage in pairs
        ]
        ids, types = zip(*framed, strict=True)
        return model_inputs(ids, self.data.frame.pad, types)
