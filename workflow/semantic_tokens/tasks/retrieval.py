"""Passage retrieval with a bi-encoder (DPR), searched exactly: nDCG@10."""

import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from semantic_tokens.modeling.loading import ModelFiles, load_model
from semantic_tokens.modeling.pooling import Pooling
from semantic_tokens.tasks.bi_encoder import (
    BestPassages,
    contrastive_loss,
    embed,
    embed_together,
    encode_texts,
)
from semantic_tokens.tasks.retrieval_data import RankingData, draws_of, ndcg_items, rankings
from semantic_tokens.tasks.scored_items import ScoredItem
from semantic_tokens.tasks.task import Predictions, Task, model_inputs
from semantic_tokens.training import Batch

RETRIEVED = 100  # passages per query; nDCG@10 uses the first ten
PART = 50_000  # passages that are encoded and searched at a time
SECONDS_BETWEEN_SAVES = 300.0  # of an unfinished search


class Retrieval(Task):
    """One encoder for queries and passages. Negatives are the other passages of the batch, and
    passages from BM25. A passage that is relevant for a query is never its negative.

    An epoch is one pass over the queries. It draws one positive passage and the negatives of each.

    Args:
        pooling: ``cls`` (as DPR) or ``mean`` over the tokens.
        similarity: ``dot`` (as DPR) or ``cosine``.
        temperature: divides the similarity in the loss.
        judged_negatives: also draw negatives from passages that annotators judged irrelevant.
    """

    metric = "ndcg_at_10"
    couples_examples = True
    part_size = PART
    seconds_between_saves = SECONDS_BETWEEN_SAVES

    def __init__(
        self,
        tokenized: Path,
        tokenizer: Path,
        dataset: Path,
        candidates: Path,
        languages: Sequence[str] | None = None,
        evaluation_split: str = "test",
        negatives_per_query: int = 1,
        negative_depth: int = 100,
        pooling: Pooling = "cls",
        similarity: str = "dot",
        temperature: float = 1.0,
        judged_negatives: bool = False,
    ) -> None:
        self.data = RankingData(
            tokenized,
            tokenizer,
            dataset,
            candidates,
            languages,
            evaluation_split,
            judged_negatives,
        )
        self.pooling, self.similarity, self.temperature = pooling, similarity, temperature
        self.negatives_per_query, self.negative_depth = negatives_per_query, negative_depth
        self.queries = [query for query in self.data.train if query["relevant"]]
        self.lengths = [
            len(query["input_ids"]) + max(len(self.data.passages[p]) for p in query["relevant"])
            for query in self.queries
        ]

    def load_model(self, files: ModelFiles | Path, **options: Any) -> nn.Module:
        return load_model("none", files, **options)

    def draw(self, query: dict[str, Any], epoch: int) -> tuple[str, list[str]]:
        """The positive passage and the negatives of a query in this epoch."""
        random = draws_of(query, self.seed, epoch)
        positive = sorted(query["relevant"])[random.integers(len(query["relevant"]))]
        negatives = self.data.hard_negatives(
            query, self.negatives_per_query, self.negative_depth, random
        )
        return positive, negatives

    def collate(self, indices: np.ndarray, epoch: int = 0) -> Batch:
        """``query_*`` [B, …], ``passage_*`` [P, …], ``target`` [B], and ``forbidden`` [B, P], which
        is true if a passage must not be a negative."""
        chosen = [(self.queries[i], *self.draw(self.queries[i], epoch)) for i in indices]
        passages = list(dict.fromkeys(p for _, p, _ in chosen))
        passages += [
            p for p in dict.fromkeys(n for _, _, hard in chosen for n in hard) if p not in passages
        ]
        target = torch.tensor([passages.index(positive) for _, positive, _ in chosen])
        forbidden = torch.tensor(
            [
                [p in query["relevant"] and p != positive for p in passages]
                for query, positive, _ in chosen
            ]
        )
        queries = self._inputs([query["input_ids"] for query, _, _ in chosen])
        texts = self._inputs([self.data.passages[p] for p in passages])
        return (
            {f"query_{name}": tensor for name, tensor in queries.items()}
            | {f"passage_{name}": tensor for name, tensor in texts.items()}
            | {"target": target, "forbidden": forbidden}
        )

    def loss(self, model: nn.Module, batch: Batch) -> torch.Tensor:
        embed_part = partial(embed, pooling=self.pooling, similarity=self.similarity)
        queries, passages = (
            embed_together(
                embed_part,
                model,
                batch[f"{side}_input_ids"],
                batch[f"{side}_attention_mask"],
                self.device_batch_size,
            )
            for side in ("query", "passage")
        )
        return contrastive_loss(
            queries, passages, batch["target"], batch["forbidden"], self.temperature
        )

    def terms(self, batch: Batch) -> int:
        return len(batch["target"])

    def evaluate(
        self, model: nn.Module, batch_size: int, predictions: Predictions | None = None
    ) -> list[ScoredItem]:
        """Encode and search the collection in parts, exactly. Only every query's best passages are
        kept, so neither memory nor disk use grows with the collection."""
        queries = self._encode(
            model, [q["input_ids"] for q in self.data.test], batch_size, "encoding queries"
        )
        best = BestPassages(queries, [q["language"] for q in self.data.test], RETRIEVED)
        state = None if self.progress is None else Path(self.progress) / "search.json"
        done = best.restore(state)
        saved = time.monotonic()
        for number, (language, ids, texts) in enumerate(self.data.collection(self.part_size)):
            if number < done or not best.has_queries_in(language):
                continue
            best.add(language, ids, self._encode(model, texts, batch_size, "encoding"))
            if state is not None and time.monotonic() - saved >= self.seconds_between_saves:
                best.save(state, number + 1)
                saved = time.monotonic()
        names = [query["id"] for query in self.data.test]
        run = dict(zip(names, best.runs(), strict=True))
        if predictions is not None:
            predictions.update(rankings(run))
        return ndcg_items(self.data.test, run)

    def _encode(
        self, model: nn.Module, texts: Sequence[Sequence[int]], batch_size: int, description: str
    ) -> np.ndarray:
        return encode_texts(
            model,
            [self.data.frame.single(text) for text in texts],
            self.data.frame.pad,
            pooling=self.pooling,
            similarity=self.similarity,
            batch_size=batch_size,
            description=description,
        )

    def _inputs(self, texts: Sequence[Sequence[int]]) -> Batch:
        return model_inputs([self.data.frame.single(text) for text in texts], self.data.frame.pad)
