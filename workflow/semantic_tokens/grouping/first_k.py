"""First-k, the baseline that keeps the first subwords instead of merging similar ones (paper,
section 2.1)."""

from collections.abc import Sequence

import torch

from semantic_tokens.grouping.groups import Groups, canonical


def first_k_groups(embeddings: torch.Tensor, kept_ids: Sequence[int], unk_id: int) -> Groups:
    """Give each kept subword a group of its own and map every other to the unknown token's.

    Text that the truncated tokenizer cuts holds no dropped subword; text that the original one
    cuts loses them to the unknown token. The groups serve both.

    Args:
        embeddings: [V, d] float32.
        kept_ids: the first k subwords and the special tokens, in any order.
        unk_id: the unknown token, one of the kept.

    Returns:
        one group per kept id, whose weight is that id's own embedding. Dropped subwords leave no
        trace in the unknown token's: they have no weight in its mean.

    Raises:
        ValueError: the unknown token is not kept, or an id is not of the vocabulary.
    """
    kept = torch.as_tensor(kept_ids, dtype=torch.int64).unique()
    if not len(kept) or kept[0] < 0 or kept[-1] >= len(embeddings):
        raise ValueError(f"kept ids are not within 0..{len(embeddings) - 1}")
    if unk_id not in kept:
        raise ValueError(f"the unknown token, {unk_id}, is not among the kept ids")
    owner = torch.full((len(embeddings),), unk_id)
    owner[kept] = kept
    token_to_group = canonical(owner)
    weight = torch.empty(len(kept), embeddings.shape[1])
    weight[token_to_group[kept]] = embeddings[kept]
    member_weight = torch.zeros(len(embeddings))
    member_weight[kept] = 1.0
    return Groups(token_to_group, weight, member_weight)
