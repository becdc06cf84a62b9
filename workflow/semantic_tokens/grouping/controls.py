"""Groups that know nothing of meaning, with the sizes of K-Means' groups (the paper has none).

What a model loses by them beside what it loses by K-Means' groups tells meaning from mere sharing.
"""

from collections.abc import Sequence

import torch

from semantic_tokens.grouping.groups import Groups, clustered_ids, groups_of


def random_groups(
    embeddings: torch.Tensor, kmeans: torch.Tensor, *, alone: Sequence[int], seed: int
) -> Groups:
    """Deal the subwords that K-Means clustered into groups of exactly its sizes, at random.

    Args:
        embeddings: [V, d] float32, original.
        kmeans: [V] int64, K-Means' ``token_to_group`` at the same ratio.
        alone: ids that K-Means left outside the clustering; they keep groups of their own.
        seed: of the deal.

    Raises:
        ValueError: an id of ``alone`` shares its group.
    """
    clustered = _clustered(kmeans, alone)
    order = torch.randperm(len(clustered), generator=torch.Generator().manual_seed(seed))
    labels = kmeans.clone()
    labels[clustered[order]] = kmeans[clustered]
    return groups_of(embeddings, labels)


def frequency_groups(
    embeddings: torch.Tensor, kmeans: torch.Tensor, counts: torch.Tensor, *, alone: Sequence[int]
) -> Groups:
    """Cut the subwords that K-Means clustered, by falling frequency, into consecutive groups of
    exactly its sizes.

    The sizes come in the order of the mean rank of K-Means' groups: where K-Means lets a frequent
    subword share with few others, this does too, and only who shares with whom differs.

    Args:
        embeddings: [V, d] float32, original.
        kmeans: [V] int64, K-Means' ``token_to_group`` at the same ratio.
        counts: [V] int64, how often each subword occurs; of equally frequent ones the lower id
            comes first.
        alone: ids that K-Means left outside the clustering; they keep groups of their own.

    Raises:
        ValueError: an id of ``alone`` shares its group.
    """
    clustered = _clustered(kmeans, alone)
    by_frequency = clustered[counts[clustered].argsort(descending=True, stable=True)]
    groups, sizes = kmeans[by_frequency].unique(return_counts=True)
    places = torch.searchsorted(groups, kmeans[by_frequency])
    ranks = torch.arange(len(by_frequency), dtype=torch.float64)
    mean_ranks = torch.zeros(len(groups), dtype=torch.float64).index_add_(0, places, ranks) / sizes
    order = mean_ranks.argsort(stable=True)
    labels = kmeans.clone()
    labels[by_frequency] = groups[order].repeat_interleave(sizes[order])
    return groups_of(embeddings, labels)


def _clustered(kmeans: torch.Tensor, alone: Sequence[int]) -> torch.Tensor:
    """Ids of the subwords that are dealt, ascending, [n] int64."""
    kept = torch.as_tensor(sorted(set(alone)), dtype=torch.int64)
    shared = kept[kmeans.bincount()[kmeans[kept]] > 1]
    if len(shared):
        raise ValueError(
            f"subword {int(shared[0])} is kept alone, and K-Means' groups have it among others"
        )
    return clustered_ids(len(kmeans), alone)
