"""The result of every grouping: a map from subwords to groups, and one embedding per group
(paper, section 2.1)."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file

from semantic_tokens.errors import InputError
from semantic_tokens.files import atomic_file

#: How the embedding of a group is made: the config's ``grouping.embedding.method``.
EmbeddingMethod = Literal["mean", "member"]

_ROWS_AT_ONCE = 65536  # converted to float64 at a time, for the means


@dataclass(frozen=True)
class Groups:
    """A partition of the vocabulary into semantic tokens.

    Attributes:
        token_to_group: [V] int64, each id of 0..V'-1 at least once.
        weight: [V', d] float32, the semantic embeddings.
        member_weight: [V] float32, the weight of each subword in its group's mean; None for equal
            weights. Other parameters of a subword, such as the bias of masked language modelling,
            are averaged with the same weights.
        backend: the backend of K-Means, ``torch`` or ``cuml``; None for other groupings.

    Raises:
        ValueError: the tensors do not describe a partition.
    """

    token_to_group: torch.Tensor
    weight: torch.Tensor
    member_weight: torch.Tensor | None = None
    backend: str | None = None

    def __post_init__(self) -> None:
        ids, weight = self.token_to_group, self.weight
        if ids.dtype != torch.int64 or ids.dim() != 1:
            raise ValueError(f"token_to_group is {ids.dtype} {list(ids.shape)}, not int64 [V]")
        if weight.dtype != torch.float32 or weight.dim() != 2:
            raise ValueError(f"weight is {weight.dtype} {list(weight.shape)}, not float32 [V', d]")
        if not len(ids) or ids.min() < 0 or ids.max() >= len(weight):
            raise ValueError(f"group ids are not within 0..{len(weight) - 1}")
        empty = int((ids.bincount(minlength=len(weight)) == 0).sum())
        if empty:
            raise ValueError(f"{empty} of {len(weight)} groups have no subword")
        if self.member_weight is not None and self.member_weight.shape != ids.shape:
            raise ValueError(f"member_weight is {list(self.member_weight.shape)}, not [{len(ids)}]")

    @property
    def is_first_k(self) -> bool:
        """Whether subwords were removed: those without weight are all in one group, the unknown
        token's."""
        if self.member_weight is None:
            return False
        return len(self.token_to_group[self.member_weight == 0].unique()) == 1

    @property
    def ratio(self) -> float:
        """The grouping ratio r_G = |V'| / |V|."""
        return len(self.weight) / len(self.token_to_group)

    def save(self, path: str | Path) -> None:
        """Write the tensors atomically as safetensors, with the backend in the metadata."""
        tensors = {
            "token_to_group": self.token_to_group.contiguous(),
            "weight": self.weight.contiguous(),
        }
        if self.member_weight is not None:
            tensors["member_weight"] = self.member_weight.contiguous()
        with atomic_file(path) as partial:
            save_file(tensors, partial, {"backend": self.backend} if self.backend else None)

    @classmethod
    def load(cls, path: str | Path) -> "Groups":
        """Read a file that :meth:`save` wrote.

        Raises:
            InputError: the file contains no groups, or they are not a partition.
        """
        try:
            tensors = load_file(path)
            with safe_open(path, framework="pt") as file:
                backend = (file.metadata() or {}).get("backend")
            return cls(
                tensors["token_to_group"],
                tensors["weight"],
                tensors.get("member_weight"),
                backend,
            )
        except KeyError as error:
            raise InputError(
                f"{path} is not a file of groups (it has no tensor {error}); name another, or, if "
                "the workflow made it, delete it and it will be made again"
            ) from error
        except (ValueError, SafetensorError) as error:
            raise InputError(
                f"{path} is not a file of groups ({error}); name another, or, if the workflow made "
                "it, delete it and it will be made again"
            ) from error


def groups_of(
    embeddings: torch.Tensor, labels: torch.Tensor, weights: torch.Tensor | None = None
) -> Groups:
    """Groups from labels of the subwords. Equal partitions give equal groups.

    Args:
        embeddings: [V, d] float32, original (unnormalised).
        labels: [V] int64; subwords with the same label form a group.
        weights: [V] floating, the weight of each subword in its group's mean; None for equal
            weights.
    """
    token_to_group = canonical(labels)
    member_weight = None if weights is None else weights.float()
    weight = group_means(embeddings, token_to_group, weights)
    return Groups(token_to_group, weight, member_weight)


def with_embedding(
    groups: Groups, embeddings: torch.Tensor, *, method: EmbeddingMethod, seed: int
) -> Groups:
    """The same groups, with embeddings that are made in another way.

    A mean of unlike embeddings is shorter than they are, and close to other such means. So random
    groups lose more than the meaning of their members. With the embedding of one member, groups of
    any kind have embeddings like those of subwords (a control that is not in the paper).

    Args:
        embeddings: [V, d] float32, original.
        method: ``mean`` leaves the groups as they are; ``member`` gives each group the embedding of
            one member, drawn at random.
        seed: the seed of the draw.
    """
    if method == "mean":
        return groups
    order = torch.randperm(len(embeddings), generator=torch.Generator().manual_seed(seed))
    place = order.argsort()
    first = torch.full((len(groups.weight),), len(order))
    first.scatter_reduce_(0, groups.token_to_group, place, "amin")
    drawn = order[first]
    member_weight = torch.zeros(len(embeddings))
    member_weight[drawn] = 1.0
    return replace(groups, weight=embeddings[drawn].contiguous(), member_weight=member_weight)


def ungrouped(embeddings: torch.Tensor) -> Groups:
    """Every subword is its own semantic token; ``embeddings`` is [V, d] float32."""
    return Groups(torch.arange(len(embeddings)), embeddings.clone())


def canonical(labels: torch.Tensor) -> torch.Tensor:
    """Number groups by their smallest member.

    >>> canonical(torch.tensor([7, 3, 7, 0])).tolist()
    [0, 1, 0, 2]

    Args:
        labels: [V] int64, any values.

    Returns:
        [V] int64, the same partition with ids 0..V'-1.
    """
    distinct, labels = labels.unique(return_inverse=True)
    positions = torch.arange(len(labels))
    smallest = positions.new_full((len(distinct),), len(labels))
    smallest.scatter_reduce_(0, labels, positions, "amin")
    rank = torch.empty_like(smallest)
    rank[smallest.argsort()] = torch.arange(len(distinct))
    return rank[labels]


def group_means(
    values: torch.Tensor, token_to_group: torch.Tensor, weights: torch.Tensor | None = None
) -> torch.Tensor:
    """Average the values of each group's members, in double precision (section 2.1).

    Args:
        values: [V] or [V, d] floating, such as unnormalised embeddings: grouping may use directions
            only, but the model reads the mean embedding with its length.
        token_to_group: [V] int64, ids 0..V'-1, no group empty.
        weights: [V] floating, above 0, the weight of each subword; None for equal weights.

    Returns:
        [V'] or [V', d], of the dtype of ``values``. The value of a group of one is exactly that of
        its subword.
    """
    sizes = token_to_group.bincount(None if weights is None else weights.double())
    sums = values.new_zeros((len(sizes), *values.shape[1:]), dtype=torch.float64)
    columns = [1] * (values.dim() - 1)
    for start in range(0, len(values), _ROWS_AT_ONCE):
        part = slice(start, start + _ROWS_AT_ONCE)
        members = values[part].double()
        if weights is not None:
            members *= weights[part].double().reshape(-1, *columns)
        sums.index_add_(0, token_to_group[part], members)
    return sums.div_(sizes.reshape(-1, *columns)).to(values.dtype)


def number_of_groups(vocabulary_size: int, ratio: float, *, singletons: int, grouping: str) -> int:
    """|V'| = round(r_G · |V|), special tokens included.

    Args:
        vocabulary_size: |V|.
        ratio: r_G.
        singletons: the number of subwords outside the clustering, each its own group.
        grouping: the grouping in experiments.tsv, for the message.

    Raises:
        InputError: the ratio leaves no group for the clustered subwords, or gives more groups
            than subwords.
    """
    groups = round(ratio * vocabulary_size)
    if not singletons < groups <= vocabulary_size:
        raise InputError(
            f"grouping {grouping!r} gives {groups} groups for {vocabulary_size} subwords, but "
            f"{singletons} subwords are groups of one, so it must give {singletons + 1} to "
            f"{vocabulary_size}; fix the ratio in the row's `grouping` in the table of experiments"
        )
    return groups


def clustered_ids(vocabulary_size: int, singletons: Sequence[int]) -> torch.Tensor:
    """Ids of the clustered subwords (all except ``singletons``), ascending, [clustered] int64."""
    clustered = torch.ones(vocabulary_size, dtype=torch.bool)
    clustered[torch.as_tensor(singletons, dtype=torch.int64)] = False
    return clustered.nonzero().squeeze(1)
