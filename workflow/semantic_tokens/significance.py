"""Whether two models differ by more than their test items' luck (the paper has no such test).

Paired bootstrap over test items (Efron and Tibshirani 1993; Koehn 2004): items are drawn anew, with
replacement within each language, the same ones for both models, and the score is computed as it
always is. It tells how far a difference hangs on the choice of test items; how far it hangs on the
seed of the training, only several seeds tell.
"""

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from tqdm import tqdm

from semantic_tokens.errors import InputError
from semantic_tokens.recipe import PATTERNS
from semantic_tokens.scored_items import ScoredItem, read_items
from semantic_tokens.tables import Experiment, recipe_of

ItemsOf = Callable[[Experiment, str, int], list[ScoredItem]]  # of an experiment, task and seed

COLUMNS = (
    "task",
    "compared",
    "first",
    "second",
    "first_score",
    "second_score",
    "difference",
    "low",
    "high",
    "p",
    "p_adjusted",
)

#: A comparison with the experiment that relative performance is to, whatever they differ in.
TO_REFERENCE = "reference"

_RESAMPLES_AT_ONCE = 500


@dataclass(frozen=True)
class Comparison:
    """Two experiments, as positions among the rows, and the part of the recipe they differ in."""

    first: int
    second: int
    compared: str


def comparisons(rows: Sequence[Experiment]) -> list[Comparison]:
    """Every pair of experiments that differ in one part of the recipe alone, and every
    experiment with its backbone's reference.

    Args:
        rows: each recipe and training once.
    """
    parts = [*PATTERNS, "training"]
    pairs = []
    for first, second in itertools.combinations(range(len(rows)), 2):
        differing = [part for part in parts if rows[first][part] != rows[second][part]]
        # Two backbones have other vocabularies, and often other layers: no operation.
        if len(differing) == 1 and differing != ["backbone"]:
            pairs.append(Comparison(first, second, differing[0]))
    references = {row["backbone"]: i for i, row in enumerate(rows) if row["reference"]}
    for index, row in enumerate(rows):
        reference = references.get(row["backbone"])
        if reference is not None and reference != index:
            pairs.append(Comparison(index, reference, TO_REFERENCE))
    return pairs


def resampled_scores(
    earned: Mapping[str, np.ndarray],
    possible: Mapping[str, np.ndarray],
    *,
    resamples: int,
    seed: int,
) -> np.ndarray:
    """Every model's score, as a mean over languages, on the same resampled items.

    Args:
        earned, possible: language -> [items, models, seeds] as :class:`ScoredItem` has them;
            the score is over the items, and then the mean over seeds and languages.

    Returns:
        [resamples, models] float64.
    """
    generator = np.random.default_rng(seed)
    languages = sorted(earned)
    _, models, seeds = earned[languages[0]].shape
    total = np.zeros((resamples, models))
    for language in languages:
        items = len(earned[language])
        sums = [part[language].reshape(items, -1) for part in (earned, possible)]
        for start in range(0, resamples, _RESAMPLES_AT_ONCE):
            size = min(_RESAMPLES_AT_ONCE, resamples - start)
            counts = generator.multinomial(items, np.full(items, 1 / items), size=size)
            got, could = (counts.astype(np.float64) @ values for values in sums)
            score = np.divide(got, could, out=np.zeros_like(got), where=could > 0)
            total[start : start + size] += score.reshape(size, models, seeds).mean(axis=2)
    return total / len(languages)


def scores_once(earned: Mapping[str, np.ndarray], possible: Mapping[str, np.ndarray]) -> np.ndarray:
    """[models] every model's score on the items as they are."""
    by_language = []
    for language in sorted(earned):
        got, could = earned[language].sum(axis=0), possible[language].sum(axis=0)
        score = np.divide(got, could, out=np.zeros_like(got), where=could > 0)
        by_language.append(score.mean(axis=1))
    return np.mean(by_language, axis=0)


def bootstrap_p(differences: np.ndarray) -> float:
    """Two-sided p of no difference: twice the smaller share of resamples on one side of zero.

    One is added to both counts, since the sample itself is a resample; so p is never 0 (Davison
    and Hinkley 1997).

    Args:
        differences: [resamples].
    """
    sides = (np.count_nonzero(differences <= 0), np.count_nonzero(differences >= 0))
    return float(min(1.0, 2 * (min(sides) + 1) / (len(differences) + 1)))


def gather(
    rows: Sequence[Experiment], task: str, seeds: Sequence[int], items_of: ItemsOf
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """``earned`` and ``possible`` by language, [items, models, seeds] float64, items by id.

    Raises:
        InputError: two models were not scored on the same items.
    """
    ids: list[tuple[str, str]] | None = None
    columns = []
    for row in rows:
        for seed in seeds:
            items = sorted(items_of(row, task, seed), key=lambda item: (item.language, item.id))
            found = [(item.language, item.id) for item in items]
            ids = found if ids is None else ids
            if found != ids:
                raise InputError(
                    f"{task}: {recipe_of(row).path} with seed {seed} was scored on other test items "
                    f"than {recipe_of(rows[0]).path}; delete both scores and run again"
                )
            columns.append([(item.earned, item.possible) for item in items])
    if not ids:
        raise InputError(f"{task}: no scored item; mend the dataset")
    values = np.array(columns, dtype=np.float64).reshape(len(rows), len(seeds), len(ids), 2)
    languages = np.array([language for language, _ in ids])
    earned, possible = (values[..., part].transpose(2, 0, 1) for part in (0, 1))
    return tuple(  # type: ignore[return-value]
        {str(language): part[languages == language] for language in np.unique(languages)}
        for part in (earned, possible)
    )


def significance(
    rows_by_task: Mapping[str, Sequence[Experiment]],
    seeds: Sequence[int],
    items_of: ItemsOf,
    *,
    resamples: int,
    seed: int,
    confidence: float = 0.95,
) -> pd.DataFrame:
    """Every comparison of :func:`comparisons`, in every task.

    Args:
        rows_by_task: task -> the experiments that have it; of those with the same recipe and
            training the first stands for all, and is a reference if one of them is.
        seeds: of the trainings; a score is their mean.
        seed: of the resampling.
        confidence: of the interval.

    Returns:
        :data:`COLUMNS`. ``compared`` is the part of the recipe that differs, or ``reference``;
        ``difference`` is first minus second in the units of the metric, ``low`` and ``high`` its
        interval by percentiles, ``p`` as :func:`bootstrap_p`, and ``p_adjusted`` after Benjamini
        and Hochberg over the task's comparisons of one kind.
    """
    from scipy.stats import false_discovery_control

    edges = [100 * (1 - confidence) / 2, 100 * (1 + confidence) / 2]
    frames = []
    for task, given in tqdm(rows_by_task.items(), desc="paired bootstrap", unit="task"):
        rows = _each_once(given)
        pairs = comparisons(rows)
        names = [f"{recipe_of(row).path}/{row['training']}" for row in rows]
        earned, possible = gather(rows, task, seeds, items_of)
        scores = scores_once(earned, possible)
        drawn = resampled_scores(earned, possible, resamples=resamples, seed=seed)
        lines: list[dict[str, Any]] = []
        for pair in pairs:
            differences = drawn[:, pair.first] - drawn[:, pair.second]
            low, high = np.percentile(differences, edges)
            first, second = scores[pair.first], scores[pair.second]
            lines.append(
                {
                    "task": task,
                    "compared": pair.compared,
                    "first": names[pair.first],
                    "second": names[pair.second],
                    "first_score": first,
                    "second_score": second,
                    "difference": first - second,
                    "low": low,
                    "high": high,
                    "p": bootstrap_p(differences),
                }
            )
        if lines:
            frame = pd.DataFrame(lines)
            frame["p_adjusted"] = frame.groupby("compared")["p"].transform(
                lambda values: false_discovery_control(values, method="bh")
            )
            frames.append(frame)
    if not frames:
        return pd.DataFrame(columns=list(COLUMNS))
    return pd.concat(frames, ignore_index=True)[list(COLUMNS)]


def side_by_side(table: pd.DataFrame, compared: str) -> pd.DataFrame:
    """The comparisons of one kind, with what two experiments share said once.

    Returns:
        without ``compared``; ``experiment`` is what both are, with ``*`` for what differs, which
        ``first`` and ``second`` say. Where the second is the reference, only the first is told.
    """
    part = table[table["compared"] == compared].drop(columns="compared")
    if compared == TO_REFERENCE:
        return part.drop(columns="second").rename(columns={"first": "experiment"})
    place = [*PATTERNS, "training"].index(compared)
    split = {side: [path.split("/") for path in part[side]] for side in ("first", "second")}
    shared = ["/".join([*p[:place], "*", *p[place + 1 :]]) for p in split["first"]]
    told = {side: [path[place] for path in paths] for side, paths in split.items()}
    wide = part.assign(experiment=shared, **told)
    return wide[["task", "experiment", *(c for c in part if c != "task")]]


def _each_once(rows: Sequence[Experiment]) -> list[Experiment]:
    kept: dict[tuple[str, ...], dict[str, Any]] = {}
    for row in rows:
        identity = tuple(row[part] for part in [*PATTERNS, "training"])
        first = kept.setdefault(identity, dict(row))
        first["reference"] = first["reference"] or row["reference"]
    return list(kept.values())


def items_in(folder: str | Path) -> ItemsOf:
    """How to find an experiment's items among the score files in a folder."""

    def items_of(row: Experiment, task: str, seed: int) -> list[ScoredItem]:
        path = Path(folder) / recipe_of(row).path / task / row["training"]
        return read_items(path / f"seed-{seed}.items.parquet")

    return items_of
