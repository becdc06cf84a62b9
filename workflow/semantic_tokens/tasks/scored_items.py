"""Scored test items, from which scores and significance tests are computed."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from semantic_tokens.errors import InputError
from semantic_tokens.files import atomic_file


class ScoredItem(NamedTuple):
    """One test item of one model.

    A score is the sum of ``earned`` divided by the sum of ``possible``. For accuracy, mean F1 and
    mean nDCG, ``possible`` is 1. For entity micro-F1, ``possible`` is the number of entities in
    gold and prediction together, and ``earned`` is twice the number of correct ones.

    Items of the same ``cluster`` are not independent: they share a passage or a premise, or are
    translations of each other. An item without one is independent of all others.
    """

    id: str
    language: str
    earned: float
    possible: float
    cluster: str | None = None


def in_clusters(
    items: Iterable[ScoredItem], examples: Iterable[Mapping[str, Any]]
) -> list[ScoredItem]:
    """The items with the clusters of their test examples.

    Args:
        examples: canonical examples (docs/architecture.md), with a key ``cluster`` or without.
    """
    cluster_of = {example["id"]: example.get("cluster") for example in examples}
    return [item._replace(cluster=cluster_of[item.id]) for item in items]


def scores_by_language(items: Sequence[ScoredItem]) -> dict[str, tuple[float, int]]:
    """The score and the number of items of every language, in alphabetical order.

    If nothing was possible (no entity in gold or prediction), the score is 0.
    """
    languages: dict[str, list[ScoredItem]] = {}
    for item in items:
        languages.setdefault(item.language, []).append(item)
    scores = {}
    for language, members in sorted(languages.items()):
        possible = sum(item.possible for item in members)
        earned = sum(item.earned for item in members)
        scores[language] = (earned / possible if possible else 0.0, len(members))
    return scores


def mean_score(items: Sequence[ScoredItem]) -> float:
    """The mean of the scores of all languages."""
    return float(np.mean([score for score, _ in scores_by_language(items).values()]))


def score_record(metric: str, items: Sequence[ScoredItem]) -> dict[str, Any]:
    """The part of a score's JSON that follows from its test items (docs/architecture.md).

    Args:
        metric: the name of the score.
    """
    scores = scores_by_language(items)
    return {
        "metric": metric,
        "value": mean_score(items),
        "by_language": {language: score for language, (score, _) in scores.items()},
        "count_by_language": {language: count for language, (_, count) in scores.items()},
    }


def write_items(items: Sequence[ScoredItem], path: str | Path) -> None:
    """Write items as Parquet, one column for each field."""
    import pyarrow
    from pyarrow import parquet

    columns = list(zip(*items, strict=True)) or [()] * len(ScoredItem._fields)
    text, number = pyarrow.string(), pyarrow.float64()
    types = [text, text, number, number, text]
    table = pyarrow.table(
        [pyarrow.array(column, type=kind) for column, kind in zip(columns, types, strict=True)],
        names=list(ScoredItem._fields),
    )
    with atomic_file(path) as partial:
        parquet.write_table(table, partial, compression="zstd")


def read_items(path: str | Path) -> list[ScoredItem]:
    """Read a file that :func:`write_items` wrote.

    Raises:
        InputError: it is not such a file.
    """
    import pyarrow
    from pyarrow import parquet

    try:
        table = parquet.read_table(path, columns=list(ScoredItem._fields))
    except (pyarrow.ArrowException, OSError) as error:
        raise InputError(
            f"{path}: no table of scored items ({error}); delete it and rerun"
        ) from None
    return [ScoredItem(*row) for row in zip(*(c.to_pylist() for c in table.columns), strict=True)]
