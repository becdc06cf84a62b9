"""First-k: a baseline that keeps the first k subwords instead of grouping similar ones (paper,
section 2.1)."""

from collections.abc import Sequence

import torch

from semantic_tokens.grouping.groups import Groups, canonical


def first_k_groups(embeddings: torch.Tensor, kept_ids: Sequence[int], unk_id: int) -> Groups:
    """Make each kept subword its own group, and map all others to the unknown token's group.

    The groups work with both tokenizers. Text from the truncated tokenizer has no removed subword.
    In text from the original tokenizer, removed subwords become the unknown token.

    Args:
        embeddings: [V, d] float32.
        kept_ids: the first k subwords and the special tokens, in any order.
        unk_id: the unknown token, one of the kept ids.

    Returns:
        one group per kept id, with that id's embedding. Removed subwords do not change the unknown
        token's embedding: they have no weight in the mean.

    Raises:
        ValueError: the unknown token is not kept, or an id is not in the vocabulary.
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
