"""Passage reranking with a cross-encoder over BM25's candidates (monoBERT): nDCG@10."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from semantic_tokens.errors import InputError
from semantic_tokens.finetuning.pair_classification import load_classifier
from semantic_tokens.finetuning.retrieval_data import RankingData, ndcg_items, rankings
from semantic_tokens.finetuning.task import Predictions, Task, model_inputs, outputs, predict
from semantic_tokens.modeling.loading import ModelFiles
from semantic_tokens.scored_items import ScoredItem
from semantic_tokens.tokenization import fit_pair
from semantic_tokens.training import Batch

LOSSES = ("pointwise", "listwise")


class Reranking(Task):
    """Relevant or not, from the classification head over query and passage.

    Args:
        negatives_per_query: drawn out of BM25's first ``negative_depth``.
        rerank_depth: how many of BM25's passages are scored anew.
        loss: ``pointwise`` classifies each pair, which is a training example of its own
            (monoBERT, as the paper has it). In ``listwise`` an example is a query with one
            relevant passage and its negatives, and the loss the cross-entropy of the one among
            them (localized contrastive estimation, Gao et al. 2021): fewer steps learn more.

    Raises:
        InputError: there is no such loss.
    """

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
        loss: str = "pointwise",
    ) -> None:
        if loss not in LOSSES:
            raise InputError(f"`loss` of a reranking task is {loss!r}; use {' or '.join(LOSSES)}")
        self.data = RankingData(
            tokenized, tokenizer, dataset, candidates, languages, evaluation_split
        )
        self.pooling = pooling
        self.listwise = loss == "listwise"
        self.room = max_length - self.data.frame.pair_overhead
        # Query, and its passages with their labels.
        self.examples: list[tuple[list[int], list[tuple[str, int]]]] = []
        for query in self.data.train:
            relevant = [(passage, 1) for passage in sorted(query["relevant"])]
            negatives = [
                (passage, 0)
                for passage in self.data.hard_negatives(query, negatives_per_query, negative_depth)
            ]
            if self.listwise:
                lists = [[passage, *negatives] for passage in relevant]
            else:
                lists = [[passage] for passage in relevant + negatives]
            self.examples += [(query["input_ids"], passages) for passages in lists]
        self.pairs = [
            (query, passage)
            for query in self.data.test
            for passage in query["candidates"][:rerank_depth]
        ]
        self.lengths = [
            max(len(query) + len(self.data.passages[p]) for p, _ in passages)
            for query, passages in self.examples
        ]

    def load_model(self, files: ModelFiles | Path, **options: Any) -> nn.Module:
        return load_classifier(files, 2, self.pooling, **options)

    def collate(self, indices: np.ndarray) -> Batch:
        pairs = [
            (number, self.examples[i][0], passage, label)
            for number, i in enumerate(indices)
            for passage, label in self.examples[i][1]
        ]
        examples, queries, passages, labels = zip(*pairs, strict=True)
        return self._inputs(list(zip(queries, passages, strict=True))) | {
            "example": torch.tensor(examples),
            "labels": torch.tensor(labels),
        }

    def loss(self, model: nn.Module, batch: Batch) -> torch.Tensor:
        example, labels = batch.pop("example"), batch.pop("labels")
        logits = outputs(model, batch).logits.float()
        if not self.listwise:
            return functional.cross_entropy(logits, labels)
        scores = logits[:, 1] - logits[:, 0]
        totals = [scores[example == i].logsumexp(dim=0) for i in example.unique()]
        return (torch.stack(totals) - scores[labels == 1]).mean()

    def terms(self, batch: Batch) -> int:
        return int(batch["example"][-1]) + 1

    def evaluate(
        self, model: nn.Module, batch_size: int, predictions: Predictions | None = None
    ) -> list[ScoredItem]:
        def collate(indices: np.ndarray) -> Batch:
            return self._inputs(
                [(self.pairs[i][0]["input_ids"], self.pairs[i][1]) for i in indices]
            )

        lengths = [len(q["input_ids"]) + len(self.data.passages[p]) for q, p in self.pairs]
        run: dict[str, dict[str, float]] = {query["id"]: {} for query in self.data.test}
        for index, logits in predict(
            model, lengths, collate, lambda m, b: outputs(m, b).logits, batch_size, "reranking"
        ):
            query, passage = self.pairs[index]
            run[query["id"]][passage] = float(logits[1] - logits[0])
        if predictions is not None:
            predictions.update(rankings(run))
        return ndcg_items(self.data.test, run)

    def _inputs(self, pairs: list[tuple[list[int], str]]) -> Batch:
        framed = [
            self.data.frame.pair(*fit_pair(query, self.data.passages[passage], self.room))
            for query, passage in pairs
        ]
        ids, types = zip(*framed, strict=True)
        return model_inputs(ids, self.data.frame.pad, types)
