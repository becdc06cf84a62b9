"""A bi-encoder for queries and passages: embedding, gradient caching, loss, and exact search."""

import math
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import distributed, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from semantic_tokens.json_files import read_json, write_json
from semantic_tokens.modeling.pooling import Pooling, pooled
from semantic_tokens.tasks.task import model_inputs, predict

#: A model, token ids and an attention mask -> embeddings: :func:`embed` with its options.
EmbedPart = Callable[[nn.Module, torch.Tensor, torch.Tensor], torch.Tensor]


class BestPassages:
    """The nearest passages of every query so far, by inner product, computed on a GPU if there is
    one.

    Args:
        queries: [Q, D] float32.
        languages: the language of each query, which is compared with passages of this language.
        depth: the number of passages to keep per query.
    """

    def __init__(self, queries: np.ndarray, languages: Sequence[str], depth: int) -> None:
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.queries = torch.from_numpy(np.ascontiguousarray(queries)).to(self.device)
        self.languages = np.asarray(languages)
        self.depth = depth
        self.found: list[list[tuple[float, str]]] = [[] for _ in languages]

    def has_queries_in(self, language: str) -> bool:
        """Whether a query is in this language."""
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
                # Sorting is stable: among equal scores, the earlier passage comes first.
                self.found[row] = sorted(merged, key=lambda pair: -pair[0])[: self.depth]

    def runs(self) -> list[dict[str, float]]:
        """For each query, its passages with their scores, best first."""
        return [{passage: score for score, passage in found} for found in self.found]

    def save(self, path: Path, parts: int) -> None:
        """Save the result after this number of parts."""
        write_json({"parts": parts, "found": self.found}, path)

    def restore(self, path: Path | None) -> int:
        """Load the result of an interrupted search. Return the number of finished parts."""
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
    """[B, L] -> [B, D] embeddings of texts, normalised if the similarity is the cosine."""
    output = model(input_ids=input_ids, attention_mask=attention_mask)
    state = pooled(output.last_hidden_state, attention_mask, pooling)
    return functional.normalize(state, dim=-1) if similarity == "cosine" else state


def embed_in_parts(
    embed_part: EmbedPart, model: nn.Module, ids: torch.Tensor, mask: torch.Tensor, size: int | None
) -> torch.Tensor:
    """Like :func:`embed`, but only the activations of one part are in memory at a time.

    In the backward pass, each part is computed again, and receives its gradient under the loss of
    the entire batch: gradient caching (Gao et al. 2021). So all passages of the batch are
    negatives, even if few of them fit into the memory of the device.

    Args:
        embed_part: :func:`embed` with its options.
        ids: [B, L] token ids.
        mask: [B, L] attention mask.
        size: the number of texts per part; None means one part.
    """
    if size is None or len(ids) <= size:
        return embed_part(model, ids, mask)
    parts = []
    for some, of_some in zip(ids.split(size), mask.split(size), strict=True):
        longest = int(of_some.sum(dim=1).max())
        shortened = some[:, :longest], of_some[:, :longest]
        parts.append(checkpoint(embed_part, model, *shortened, use_reentrant=False))
    return torch.cat(parts)


def embed_together(
    embed_part: EmbedPart, model: nn.Module, ids: torch.Tensor, mask: torch.Tensor, size: int | None
) -> torch.Tensor:
    """Like :func:`embed_in_parts`, for several processes. Each process encodes a part of the rows
    and receives the other embeddings as constants. Its gradient is that of its part under the loss
    of the entire batch, so the sum over the processes is the gradient of the batch.
    """
    if not distributed.is_initialized() or distributed.get_world_size() == 1:
        return embed_in_parts(embed_part, model, ids, mask, size)
    count, rank = distributed.get_world_size(), distributed.get_rank()
    share = math.ceil(len(ids) / count)
    rows = torch.arange(rank * share, (rank + 1) * share, device=ids.device)
    rows = rows.clamp(max=len(ids) - 1)  # all parts have the same size: repeat the last row
    longest = int(mask[rows].sum(dim=1).max())
    own = embed_in_parts(embed_part, model, ids[rows, :longest], mask[rows, :longest], size)
    shares = [torch.empty_like(own) for _ in range(count)]
    distributed.all_gather(shares, own.detach().contiguous())
    shares[rank] = own
    return torch.cat(shares)[: len(ids)]


def contrastive_loss(
    queries: torch.Tensor,
    passages: torch.Tensor,
    target: torch.Tensor,
    forbidden: torch.Tensor,
    temperature: float,
) -> torch.Tensor:
    """Mean cross-entropy of each query's passage among all passages of the batch, in float32.

    Args:
        queries: [B, D].
        passages: [P, D].
        target: [B] int64, the relevant passage of each query.
        forbidden: [B, P] bool, true where a passage must not be a negative.
        temperature: divides the inner products.
    """
    with torch.autocast(queries.device.type, enabled=False):  # differences are small
        scores = queries.float() @ passages.float().T / temperature
    scores = scores.masked_fill(forbidden, -torch.inf)
    return functional.cross_entropy(scores, target)


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
    """Embed many texts, in batches of similar length.

    Args:
        texts: token ids, with special tokens.
        pooling, similarity: see :class:`~semantic_tokens.tasks.retrieval.Retrieval`.

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
