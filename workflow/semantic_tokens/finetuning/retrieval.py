"""Passage retrieval with a bi-encoder (DPR), searched exactly: nDCG@10."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from semantic_tokens.finetuning.retrieval_data import RankingData, ndcg_by_language
from semantic_tokens.finetuning.task import model_inputs, predict
from semantic_tokens.model import load_encoder, pool
from semantic_tokens.training import Batch

RETRIEVED = 100  # passages a query's list holds; nDCG@10 looks at the first ten


class Retrieval:
    """One encoder for queries and passages; negatives are the batch's other passages and
    BM25's. A passage that is relevant to a query is never its negative.

    Args:
        pooling: ``cls`` (DPR's) or ``mean`` over the tokens.
        similarity: ``dot`` (DPR's) or ``cosine``.
        temperature: divides the similarity in the loss.
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
        negatives_per_query: int = 1,
        negative_depth: int = 100,
        pooling: str = "cls",
        similarity: str = "dot",
        temperature: float = 1.0,
    ) -> None:
        self.data = RankingData(
            tokenized, tokenizer, dataset, candidates, languages, evaluation_split
        )
        self.pooling, self.similarity, self.temperature = pooling, similarity, temperature
        self.examples = [
            (query, positive, self.data.hard_negatives(query, negatives_per_query, negative_depth))
            for query in self.data.train
            for positive in sorted(query["relevant"])
        ]
        self.lengths = [
            len(q["input_ids"]) + len(self.data.passages[p]) for q, p, _ in self.examples
        ]

    def load_model(self, folder: str | Path, *, seed: int, dropout: float | None) -> nn.Module:
        return load_encoder(folder, dropout=dropout)

    def collate(self, indices: np.ndarray) -> Batch:
        """Queries and passages apart: ``query_*`` [B, …], ``passage_*`` [P, …], ``target`` [B]
        and ``forbidden`` [B, P], true where a passage must not be a negative."""
        chosen = [self.examples[i] for i in indices]
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
        queries, passages = (
            self.embed(model, batch[f"{side}_input_ids"], batch[f"{side}_attention_mask"])
            for side in ("query", "passage")
        )
        scores = queries.float() @ passages.float().T / self.temperature
        scores = scores.masked_fill(batch["forbidden"], -torch.inf)
        return functional.cross_entropy(scores, batch["target"])

    def terms(self, batch: Batch) -> int:
        return len(batch["target"])

    def embed(
        self, model: nn.Module, input_ids: torch.Tensor, attention_mask: torch.Tensor
    ) -> torch.Tensor:
        """[B, L] -> [B, D] sentence embeddings."""
        pooled = pool(model(input_ids, attention_mask), attention_mask, self.pooling)
        return functional.normalize(pooled, dim=-1) if self.similarity == "cosine" else pooled

    def evaluate(self, model: nn.Module, batch_size: int) -> dict[str, tuple[float, int]]:
        ids = list(self.data.passages)
        passages = self._encode(model, list(self.data.passages.values()), batch_size, "encoding")
        queries = self._encode(
            model, [q["input_ids"] for q in self.data.test], batch_size, "encoding queries"
        )
        position = {passage: i for i, passage in enumerate(ids)}
        run: dict[str, dict[str, float]] = {}
        for language, members in self.data.passages_of.items():
            collection = passages[[position[p] for p in members]]
            for query, vector in zip(self.data.test, queries, strict=True):
                if query["language"] == language:
                    scores = collection @ vector
                    best = np.argsort(-scores, kind="stable")[:RETRIEVED]
                    run[query["id"]] = {members[i]: float(scores[i]) for i in best}
        return ndcg_by_language(self.data.test, run)

    def _encode(
        self, model: nn.Module, texts: list[list[int]], batch_size: int, description: str
    ) -> np.ndarray:
        vectors: list[np.ndarray] = [np.empty(0)] * len(texts)
        for index, vector in predict(
            model,
            [len(text) for text in texts],
            lambda indices: self._inputs([texts[i] for i in indices]),
            lambda m, b: self.embed(m, b["input_ids"], b["attention_mask"]),
            batch_size,
            description,
        ):
            vectors[index] = vector
        return np.stack(vectors)

    def _inputs(self, texts: list[list[int]]) -> Batch:
        return model_inputs([self.data.frame.single(text) for text in texts], self.data.frame.pad)
