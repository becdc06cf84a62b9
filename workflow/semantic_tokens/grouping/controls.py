"""Control groupings that ignore meaning, with the group sizes of K-Means (not in the paper).

They separate the effect of meaning from the effect of sharing an embedding.
"""

from collections.abc import Sequence

import torch

from semantic_tokens.grouping.groups import Groups, clustered_ids, groups_of


def random_groups(
    embeddings: torch.Tensor,
    kmeans: torch.Tensor,
    *,
    singletons: Sequence[int],
    without_subword: Sequence[int] = (),
    seed: int,
) -> Groups:
    """Assign the clustered subwords at random to groups with the sizes of K-Means' groups.

    Args:
        embeddings: [V, d] float32, original.
        kmeans: [V] int64, K-Means' ``token_to_group`` at the same ratio.
        singletons: ids outside the clustering; each is its own group.
        without_subword: as in :func:`~semantic_tokens.grouping.kmeans.kmeans_groups`.
        seed: of the random assignment.

    Raises:
        ValueError: an id of ``singletons`` shares a group with others.
    """
    clustered = _clustered(embeddings, kmeans, singletons, without_subword)
    order = torch.randperm(len(clustered), generator=torch.Generator().manual_seed(seed))
    labels = kmeans.clone()
    labels[clustered[order]] = kmeans[clustered]
    return groups_of(embeddings, labels)


def frequency_groups(
    embeddings: torch.Tensor,
    kmeans: torch.Tensor,
    counts: torch.Tensor,
    *,
    singletons: Sequence[int],
    without_subword: Sequence[int] = (),
) -> Groups:
    """Sort the clustered subwords by decreasing frequency, and cut them into consecutive groups
    with the sizes of K-Means' groups.

    The sizes are in the order of the mean frequency rank of K-Means' groups. So a frequent subword
    shares its group with about as many others as under K-Means, but with different ones.

    Args:
        embeddings: [V, d] float32, original.
        kmeans: [V] int64, K-Means' ``token_to_group`` at the same ratio.
        counts: [V] int64, how often each subword occurs; equally frequent subwords are sorted by
            id.
        singletons: ids outside the clustering; each is its own group.
        without_subword: as in :func:`~semantic_tokens.grouping.kmeans.kmeans_groups`.

    Raises:
        ValueError: an id of ``singletons`` shares a group with others.
    """
    clustered = _clustered(embeddings, kmeans, singletons, without_subword)
    by_frequency = clustered[counts[clustered].argsort(descending=True, stable=True)]
    groups, sizes = kmeans[by_frequency].unique(return_counts=True)
    places = torch.searchsorted(groups, kmeans[by_frequency])
    ranks = torch.arange(len(by_frequency), dtype=torch.float64)
    mean_ranks = torch.zeros(len(groups), dtype=torch.float64).index_add_(0, places, ranks) / sizes
    order = mean_ranks.argsort(stable=True)
    labels = kmeans.clone()
    labels[by_frequency] = groups[order].repeat_interleave(sizes[order])
    return groups_of(embeddings, labels)


def _clustered(
    embeddings: torch.Tensor,
    kmeans: torch.Tensor,
    singletons: Sequence[int],
    without_subword: Sequence[int],
) -> torch.Tensor:
    """Ids of the clustered subwords, ascending, [n] int64. Zero rows and ids without a subword stay
    in K-Means' groups of these."""
    kept = torch.as_tensor(sorted(set(singletons)), dtype=torch.int64)
    shared = kept[kmeans.bincount()[kmeans[kept]] > 1]
    if len(shared):
        raise ValueError(
            f"subword {int(shared[0])} must be its own group, but shares one in K-Means' groups"
        )
    clustered = clustered_ids(len(kmeans), [*singletons, *without_subword])
    return clustered[embeddings.any(dim=1)[clustered]]
