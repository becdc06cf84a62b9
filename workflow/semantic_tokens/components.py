"""Items that are connected by what they share."""

from collections.abc import Hashable, Iterable, Sequence


def groups_sharing(features: Sequence[Iterable[Hashable]]) -> list[int]:
    """Group items that share a feature, directly or through others.

    Args:
        features: the features of each item, such as its document and its text.

    Returns:
        For each item the index of the first item of its group.

    >>> groups_sharing([("title a", "text 1"), ("title b", "text 2"), ("title a", "text 2")])
    [0, 0, 0]
    """
    import numpy as np
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    numbers: dict[Hashable, int] = {}
    edges = [
        (item, len(features) + numbers.setdefault(feature, len(numbers)))
        for item, of_item in enumerate(features)
        for feature in of_item
    ]
    size = len(features) + len(numbers)
    rows, columns = np.array(edges, dtype=np.int64).reshape(-1, 2).T
    graph = coo_array((np.ones(len(edges), dtype=bool), (rows, columns)), shape=(size, size))
    labels = connected_components(graph, directed=False)[1][: len(features)]
    _, first, inverse = np.unique(labels, return_index=True, return_inverse=True)
    return [int(index) for index in first[inverse]]
