"""Passage reranking with a cross-encoder over BM25's candidates (monoBERT): nDCG@10."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from semantic_tokens.errors import InputError
from semantic_tokens.modeling.encoders import longest_text
from semantic_tokens.modeling.loading import ModelFiles
from semantic_tokens.modeling.pooling import compute_scores_in_float32
from semantic_tokens.tasks.pair_classification import load_classifier
from semantic_tokens.tasks.retrieval_data import RankingData, draws_of, ndcg_items, rankings
from semantic_tokens.tasks.scored_items import ScoredItem
from semantic_tokens.tasks.task import Predictions, Task, model_inputs, outputs, predict
from semantic_tokens.tokenization.special_tokens import fit_pair
from semantic_tokens.training import Batch

LOSSES = ("pointwise", "listwise")


class Reranking(Task):
    """Classification of a query and a passage as relevant or not.

    Args:
        negatives_per_query: the number of negatives, drawn in every epoch from BM25's first
            ``negative_depth`` passages.
        rerank_depth: the number of BM25's passages to rerank.
        loss: with ``pointwise``, each pair is a training example (monoBERT, as in the paper). With
            ``listwise``, an example is a query with one relevant passage and its negatives, and the
            loss is the cross-entropy of the relevant one among them (localized contrastive
            estimation, Gao et al. 2021). It learns more in few steps.
        judged_negatives: also draw negatives from passages that annotators judged irrelevant.

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
        judged_negatives: bool = False,
    ) -> None:
        if loss not in LOSSES:
            raise InputError(f"`loss` of a reranking task is {loss!r}; use {' or '.join(LOSSES)}")
        self.data = RankingData(
            tokenized,
            tokenizer,
            dataset,
            candidates,
            languages,
            evaluation_split,
            judged_negatives,
        )
        self.pooling = pooling
        self.listwise = loss == "listwise"
        self.max_length = max_length
        self.room = max_length - self.data.frame.pair_overhead
        self.negatives_per_query, self.negative_depth = negatives_per_query, negative_depth
        # A query, and its passage: the id of a relevant one, or the number of a drawn negative.
        self.examples: list[tuple[dict[str, Any], str | int]] = []
        for query in self.data.train:
            drawn = len(self._negatives(query, epoch=0))
            slots: list[str | int] = sorted(query["relevant"])
            slots += [] if self.listwise else range(drawn)
            self.examples += [(query, slot) for slot in slots]
        self.pairs = [
            (query, passage)
            for query in self.data.test
            for passage in query["candidates"][:rerank_depth]
        ]
        self.lengths = [
            len(query["input_ids"])
            + max(len(self.data.passages[p]) for p, _ in self.passages(query, slot, epoch=0))
            for query, slot in self.examples
        ]

    def load_model(self, files: ModelFiles | Path, **options: Any) -> nn.Module:
        files = files if isinstance(files, ModelFiles) else ModelFiles(files)
        limit = longest_text(files.source)
        if limit is not None and limit < min(self.max_length, self._longest_pair()):
            raise InputError(
                f"`max_length` of a reranking task's `options` is {self.max_length}, and "
                f"{files.source} reads at most {limit} tokens; lower it"
            )
        model = load_classifier(files, 2, self.pooling, **options)
        compute_scores_in_float32(model, 2)
        return model

    def _longest_pair(self) -> int:
        """The maximum number of tokens of a query and a passage, before truncation."""
        queries = [len(query["input_ids"]) for query in (*self.data.train, *self.data.test)]
        passages = map(len, self.data.passages.values())
        return max(queries) + max(passages) + self.data.frame.pair_overhead

    def _negatives(self, query: dict[str, Any], epoch: int) -> list[str]:
        random = draws_of(query, self.seed, epoch)
        return self.data.hard_negatives(
            query, self.negatives_per_query, self.negative_depth, random
        )

    def passages(self, query: dict[str, Any], slot: str | int, epoch: int) -> list[tuple[str, int]]:
        """The passages of a training example in this epoch, with their labels."""
        if not self.listwise and isinstance(slot, str):
            return [(slot, 1)]
        negatives = [(passage, 0) for passage in self._negatives(query, epoch)]
        return [(slot, 1), *negatives] if isinstance(slot, str) else [negatives[slot]]

    def collate(self, indices: np.ndarray, epoch: int = 0) -> Batch:
        pairs = [
            (number, query["input_ids"], passage, label)
            for number, (query, slot) in enumerate(self.examples[i] for i in indices)
            for passage, label in self.passages(query, slot, epoch)
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
