"""Grouping by bilingual lexicons (paper, Appendix F)."""

from collections.abc import Sequence

import numpy as np
import torch

from semantic_tokens.errors import InputError
from semantic_tokens.grouping.groups import Groups, groups_of


def lexicon_groups(
    embeddings: torch.Tensor, pairs: np.ndarray, *, singletons: Sequence[int] = ()
) -> Groups:
    """Group subwords that are connected by a chain of translations.

    A subword without a translation is its own group, so the grouping ratio depends on the coverage
    of the lexicons (Table 4: 99.2% to 86.2%).

    Args:
        embeddings: [V, d] float32.
        pairs: [P, 2] int64, token ids of words and their translations.
        singletons: ids that pairs must not connect to others.

    Raises:
        InputError: there are no pairs.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    pairs = pairs[~np.isin(pairs, list(singletons)).any(axis=1)]
    if not len(pairs):
        raise InputError(
            "the lexicons of this grouping connect no two subwords of the backbone; name others "
            "in the row's `grouping` in the table of experiments"
        )
    vocabulary = len(embeddings)
    graph = coo_array(
        (np.ones(len(pairs), dtype=bool), (pairs[:, 0], pairs[:, 1])), (vocabulary, vocabulary)
    )
    _, component = connected_components(graph, directed=False)
    return groups_of(embeddings, torch.from_numpy(component.astype(np.int64)))
