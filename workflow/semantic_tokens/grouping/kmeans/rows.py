"""The rows of K-Means: normalised rows, and random initial rows."""

import torch
from torch.nn import functional

from semantic_tokens.errors import InputError
from semantic_tokens.grouping.kmeans.nearest import Metric, rows_at_once


def prepared_rows(
    embeddings: torch.Tensor, ids: torch.Tensor | None, metric: Metric, device: torch.device
) -> tuple[torch.Tensor, torch.Tensor]:
    """A normalised copy of some rows on the device, and the row that was subtracted from them.

    For cosine, rows are scaled to length one (zero rows stay zero). For Euclidean, the mean row is
    subtracted. This changes no distance, and keeps |x|² small compared with the other terms. There
    is no further copy.

    Raises:
        InputError: the metric is not known, or a row contains NaN or infinity.
    """
    if metric not in ("cosine", "euclidean"):
        raise InputError(f"grouping metric {metric!r} is not known; use 'cosine' or 'euclidean'")
    count = len(embeddings) if ids is None else len(ids)
    rows = torch.empty(count, embeddings.shape[1], device=device)
    total = torch.zeros(embeddings.shape[1], dtype=torch.float64, device=device)
    at_once = rows_at_once(rows)
    for start in range(0, count, at_once):
        span = slice(start, start + at_once)
        part = embeddings[span if ids is None else ids[span]].to(device, torch.float32)
        if not part.isfinite().all():
            first = start + int((~part.isfinite()).any(dim=1).nonzero()[0])
            raise InputError(
                f"the embedding of clustered subword {first} is not finite; check the backbone's "
                "model.safetensors, or lower `alignment.training.learning_rate` if it is aligned"
            )
        rows[span] = functional.normalize(part) if metric == "cosine" else part
        total += part.sum(dim=0, dtype=torch.float64)
    shift = torch.zeros_like(rows[0])
    if metric == "euclidean":
        shift = (total / count).float()
        rows -= shift
    return rows, shift


def distinct_rows(
    rows: torch.Tensor, count: int, seed: int, weights: torch.Tensor | None = None
) -> torch.Tensor:
    """Ids of ``count`` random rows, [count] int64. Distinct rows come first; repetitions follow
    only if there are too few (they become empty clusters, which are refilled). With weights, the
    probability of a row is proportional to its weight."""
    generator = torch.Generator().manual_seed(seed)
    if weights is None:
        order = torch.randperm(len(rows), generator=generator)
    else:  # the largest log(u) / weight (Efraimidis and Spirakis, 2006)
        uniform = torch.rand(len(rows), generator=generator, dtype=torch.float64)
        order = (uniform.log() / weights.cpu().double()).argsort(descending=True, stable=True)
    keys = _hashes(rows, generator).cpu()[order]
    _, labels = keys.unique(return_inverse=True)
    first = torch.full_like(labels, len(labels))
    first.scatter_reduce_(0, labels, torch.arange(len(labels)), "amin")
    is_repetition = first[labels] != torch.arange(len(labels))
    return order[is_repetition.int().argsort(stable=True)[:count]].to(rows.device)


def _hashes(rows: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """One 64-bit key per row, equal for equal rows: the product of the bits with random odd
    numbers, modulo 2⁶⁴. [N] int64."""
    factors = torch.randint(-(2**62), 2**62, (rows.shape[1],), generator=generator) * 2 + 1
    factors = factors.to(rows.device)
    keys = torch.empty(len(rows), dtype=torch.int64, device=rows.device)
    for part, into in zip(rows.split(512), keys.split(512), strict=True):
        torch.sum(part.view(torch.int32) * factors, dim=1, out=into)
    return keys
