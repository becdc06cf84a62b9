"""Groups of subwords by K-Means (paper, section 2.1), and the weights of subwords."""

from collections.abc import Sequence
from dataclasses import replace

import torch

from semantic_tokens.grouping.groups import Groups, clustered_ids, groups_of, number_of_groups
from semantic_tokens.grouping.kmeans.backend import Backend
from semantic_tokens.grouping.kmeans.lloyd import Report
from semantic_tokens.grouping.kmeans.nearest import Metric
from semantic_tokens.grouping.kmeans.run import kmeans


def kmeans_groups(
    embeddings: torch.Tensor,
    *,
    metric: Metric,
    ratio: float,
    singletons: Sequence[int],
    without_subword: Sequence[int] = (),
    seed: int,
    weights: torch.Tensor | None = None,
    max_iterations: int = 100,
    tolerance: float = 1e-4,
    backend: Backend = "auto",
    report: Report | None = None,
) -> Groups:
    """Group the subwords of a vocabulary by K-Means (section 2.1).

    With weights, a semantic embedding is the weighted mean of its members. Zero rows have no
    direction, and would shorten the mean of their group. So they share a group of their own; with
    fewer other rows than groups, they have several.

    Args:
        embeddings: [V, d] float32, original.
        metric: ``cosine``, or ``euclidean`` (Appendix E).
        ratio: r_G; there are round(r_G · V) groups, including those of ``singletons``. Here V does
            not count ``without_subword``.
        singletons: ids outside the clustering; each is its own group.
        without_subword: ids that the tokenizer never gives. They are one additional group.
        weights: [V] floating, above 0, from :func:`frequency_weights`; None for equal weights.
        seed, max_iterations, tolerance, backend, report: see :func:`kmeans`.

    Raises:
        InputError: the ratio leaves nothing to cluster, or the backend is not available.
    """
    vocabulary = len(embeddings)
    singletons = sorted(set(singletons))
    name = f"kmeans-{metric}-{ratio:g}" if weights is None else f"kmeans-weighted-{ratio:g}"
    subwords = vocabulary - len(without_subword)
    groups = number_of_groups(subwords, ratio, singletons=len(singletons), grouping=name)
    clusters = groups - len(singletons)
    clustered = clustered_ids(vocabulary, [*singletons, *without_subword])
    is_zero = ~embeddings.any(dim=1)[clustered]
    if is_zero.all() or clusters == 1:  # there is nothing to separate, or no second group
        is_zero[:] = False
    zero, not_zero = clustered[is_zero], clustered[~is_zero]
    clusters_of_zero = max(min(1, len(zero)), clusters - len(not_zero))
    result = kmeans(
        embeddings,
        clusters - clusters_of_zero,
        among=not_zero,
        metric=metric,
        seed=seed,
        weights=None if weights is None else weights[not_zero],
        max_iterations=max_iterations,
        tolerance=tolerance,
        backend=backend,
        report=report,
    )
    labels = torch.arange(clusters, clusters + vocabulary)
    labels[torch.as_tensor(without_subword, dtype=torch.int64)] = clusters + vocabulary
    labels[not_zero] = result.assignment
    labels[zero] = clusters - 1 - torch.arange(len(zero)).clamp(max=clusters_of_zero - 1)
    return replace(groups_of(embeddings, labels, weights), backend=result.backend)


def frequency_weights(counts: torch.Tensor, alpha: float) -> torch.Tensor:
    """The weights of subwords: frequency^alpha, divided by the mean so that the mean weight is 1.

    Args:
        counts: [V] int64, how often each subword occurs; 0 counts as 1.
        alpha: 0 gives equal weights, 1 gives the frequency.

    Returns:
        [V] float64.
    """
    weights = counts.clamp(min=1).double().pow(alpha)
    return weights / weights.mean()
