"""Passage retrieval with a bi-encoder (DPR), searched exactly: nDCG@10."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import distributed, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from semantic_tokens.files import read_json, write_json
from semantic_tokens.finetuning.retrieval_data import RankingData, draws_of, ndcg_items, rankings
from semantic_tokens.finetuning.task import Predictions, Task, model_inputs, predict
from semantic_tokens.modeling.loading import ModelFiles, load_model
from semantic_tokens.modeling.pooling import Pooling, pooled
from semantic_tokens.scored_items import ScoredItem
from semantic_tokens.training import Batch

RETRIEVED = 100  # passages a query's list holds; nDCG@10 looks at the first ten
PART = 50_000  # passages encoded, searched and forgotten at a time


class BestPassages:
    """Every query's nearest passages among those seen so far, by inner product, compared on a
    GPU where there is one.

    Args:
        queries: [Q, D] float32.
        languages: of each query; a query sees the passages of its own.
        depth: how many to keep.
    """

    def __init__(self, queries: np.ndarray, languages: Sequence[str], depth: int) -> None:
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.queries = torch.from_numpy(np.ascontiguousarray(queries)).to(self.device)
        self.languages = np.asarray(languages)
        self.depth = depth
        self.found: list[list[tuple[float, str]]] = [[] for _ in languages]

    def asks(self, language: str) -> bool:
        return bool((self.languages == language).any())

    def add(self, language: str, ids: Sequence[str], vectors: np.ndarray) -> None:
        """Compare a part of the collection, [P, D] float32, with the queries of its language."""
        rows = np.flatnonzero(self.languages == language)
        passages = torch.from_numpy(vectors).to(self.device)
        for some in np.array_split(rows, max(1, len(rows) * len(ids) // 2**27)):
            with torch.autocast(self.device.type, enabled=False):  # exact, in float32
                scores = self.queries[torch.from_numpy(some).to(self.device)] @ passages.T
            values, places = scores.topk(min(self.depth, len(ids)), dim=1)
            for row, value, place in zip(some, values.tolist(), places.tolist(), strict=True):
                merged = self.found[row] + [
                    (score, ids[i]) for score, i in zip(value, place, strict=True)
                ]
                # Sorting is stable: of equals the one that was seen first stays first.
                self.found[row] = sorted(merged, key=lambda pair: -pair[0])[: self.depth]

    def runs(self) -> list[dict[str, float]]:
        """For each query its passages' scores, best first."""
        return [{passage: score for score, passage in found} for found in self.found]

    def save(self, path: Path, parts: int) -> None:
        """Keep what was found in so many parts."""
        write_json({"parts": parts, "found": self.found}, path)

    def restore(self, path: Path | None) -> int:
        """Take up what an interrupted search kept; return how many parts it went through."""
        if path is None or not path.exists():
            return 0
        state = read_json(path)
        self.found = [[(score, passage) for score, passage in found] for found in state["found"]]
        return int(state["parts"])


def embed(
    model: nn.Module,
    input_ids: torch.Tensor,
    attention_mask: torch.Tensor,
    *,
    pooling: Pooling,
    similarity: str,
) -> torch.Tensor:
    """[B, L] -> [B, D] embeddings of texts, of length one where they are compared by cosine."""
    output = model(input_ids=input_ids, attention_mask=attention_mask)
    state = pooled(output.last_hidden_state, attention_mask, pooling)
    return functional.normalize(state, dim=-1) if similarity == "cosine" else state


def encode_texts(
    model: nn.Module,
    texts: Sequence[Sequence[int]],
    pad_id: int,
    *,
    pooling: Pooling,
    similarity: str,
    batch_size: int = 64,
    description: str = "encoding",
) -> np.ndarray:
    """Embed many texts, those of like length together.

    Args:
        texts: token ids, framed by the special tokens.
        pooling, similarity: see :class:`Retrieval`.

    Returns:
        [len(texts), D] float32.
    """
    vectors: np.ndarray | None = None
    for index, vector in predict(
        model,
        [len(text) for text in texts],
        lambda indices: model_inputs([texts[i] for i in indices], pad_id),
        lambda m, b: embed(
            m, b["input_ids"], b["attention_mask"], pooling=pooling, similarity=similarity
        ),
        batch_size,
        description,
    ):
        if vectors is None:
            vectors = np.empty((len(texts), len(vector)), dtype=np.float32)
        vectors[index] = vector
    assert vectors is not None
    return vectors


class Retrieval(Task):
    """One encoder for queries and passages; negatives are the batch's other passages and
    BM25's. A passage that is relevant to a query is never its negative.

    An epoch is a pass over the queries. One positive of each and its negatives are drawn anew in
    every epoch.

    Args:
        pooling: ``cls`` (DPR's) or ``mean`` over the tokens.
        similarity: ``dot`` (DPR's) or ``cosine``.
        temperature: divides the similarity in the loss.
        judged_negatives: draw negatives out of those that people judged irrelevant, too.
    """

    metric = "ndcg_at_10"
    couples_examples = True
    part_size = PART

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
        """The positive and the negatives of a query in this epoch."""
        random = draws_of(query, self.seed, epoch)
        positive = sorted(query["relevant"])[random.integers(len(query["relevant"]))]
        negatives = self.data.hard_negatives(
            query, self.negatives_per_query, self.negative_depth, random
        )
        return positive, negatives

    def collate(self, indices: np.ndarray, epoch: int = 0) -> Batch:
        """Queries and passages apart: ``query_*`` [B, …], ``passage_*`` [P, …], ``target`` [B]
        and ``forbidden`` [B, P], true where a passage must not be a negative."""
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
        queries, passages = (
            self._embed_together(model, batch[f"{side}_input_ids"], batch[f"{side}_attention_mask"])
            for side in ("query", "passage")
        )
        with torch.autocast(queries.device.type, enabled=False):  # differences are small
            scores = queries.float() @ passages.float().T / self.temperature
        scores = scores.masked_fill(batch["forbidden"], -torch.inf)
        return functional.cross_entropy(scores, batch["target"])

    def terms(self, batch: Batch) -> int:
        return len(batch["target"])

    def _embed(
        self, model: nn.Module, input_ids: torch.Tensor, attention_mask: torch.Tensor
    ) -> torch.Tensor:
        return embed(
            model, input_ids, attention_mask, pooling=self.pooling, similarity=self.similarity
        )

    def _embed_together(
        self, model: nn.Module, input_ids: torch.Tensor, attention_mask: torch.Tensor
    ) -> torch.Tensor:
        """Like :func:`embed`; of several processes each encodes a share of the rows and gets the
        others' embeddings as constants, so its gradient is that of its share under the loss of
        the whole batch, and the sum over the processes is the batch's.
        """
        if not distributed.is_initialized() or distributed.get_world_size() == 1:
            return self._embed_in_parts(model, input_ids, attention_mask)
        count, rank = distributed.get_world_size(), distributed.get_rank()
        share = math.ceil(len(input_ids) / count)
        rows = torch.arange(rank * share, (rank + 1) * share, device=input_ids.device)
        rows = rows.clamp(max=len(input_ids) - 1)  # all shares are of one size: the last row again
        longest = int(attention_mask[rows].sum(dim=1).max())
        own = self._embed_in_parts(model, input_ids[rows, :longest], attention_mask[rows, :longest])
        shares = [torch.empty_like(own) for _ in range(count)]
        distributed.all_gather(shares, own.detach().contiguous())
        shares[rank] = own
        return torch.cat(shares)[: len(input_ids)]

    def _embed_in_parts(
        self, model: nn.Module, input_ids: torch.Tensor, attention_mask: torch.Tensor
    ) -> torch.Tensor:
        """Like :func:`embed`, with the activations of one part in memory at a time.

        Every part is computed again when its gradient is due, from the embeddings' gradient under
        the whole batch's loss: gradient caching (Gao et al. 2021), so all of the batch's passages
        are negatives however few fit on the device.
        """
        size = self.device_batch_size
        if size is None or len(input_ids) <= size:
            return self._embed(model, input_ids, attention_mask)
        parts = []
        for ids, mask in zip(input_ids.split(size), attention_mask.split(size), strict=True):
            longest = int(mask.sum(dim=1).max())
            parts.append(
                checkpoint(
                    self._embed, model, ids[:, :longest], mask[:, :longest], use_reentrant=False
                )
            )
        return torch.cat(parts)

    def evaluate(
        self, model: nn.Module, batch_size: int, predictions: Predictions | None = None
    ) -> list[ScoredItem]:
        """Encode the collection part by part, search each part exactly, keep every query's best
        and forget the vectors: neither memory nor disk grows with the collection."""
        queries = self._encode(
            model, [q["input_ids"] for q in self.data.test], batch_size, "encoding queries"
        )
        best = BestPassages(queries, [q["language"] for q in self.data.test], RETRIEVED)
        state = None if self.progress is None else Path(self.progress) / "search.json"
        done = best.restore(state)
        for number, (language, ids, texts) in enumerate(self.data.collection(self.part_size)):
            if number < done or not best.asks(language):
                continue
            best.add(language, ids, self._encode(model, texts, batch_size, "encoding"))
            if state is not None:
                best.save(state, number + 1)
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
