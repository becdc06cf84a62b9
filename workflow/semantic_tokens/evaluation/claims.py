"""The paper's claims, each with the statistic, interval and verdict of a study (sections 4.1 to
4.5, Appendices B, C, E and F).

Scores are percentages of an oracle's score, as the paper's ``perc``. The oracle is the pretrained
ungrouped main backbone, unless a claim needs another. A statistic is computed on the scores and on
every sample of :mod:`semantic_tokens.evaluation.bootstrap`, whose percentiles give the interval. A claim
holds if the entire interval is on its side of the bound, is contradicted if it is entirely on the
other side, and is undecided otherwise.
"""

import itertools
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from semantic_tokens.evaluation.bootstrap import Experiment, Resampling, Scores, experiment_name
from semantic_tokens.study.figures import PAIRS
from semantic_tokens.study.recipe import PATTERNS, Recipe

HOLDS, CONTRADICTED, UNDECIDED, NOT_MEASURED = (
    "holds", "contradicted", "undecided", "not measured",
)  # fmt: skip

#: The tasks that the paper calls classification; retrieval is its embedding task.
CLASSIFICATION = (
    "token_classification",
    "question_answering",
    "pair_classification",
    "reranking",
)
RETRIEVAL = ("retrieval",)
EVERY = (*CLASSIFICATION, *RETRIEVAL)

#: The task of a row that covers all tasks of a claim.
ALL = "all"

PRETRAININGS = ("asis", "mlm")
_ROUNDING = 1e-9
FEWEST_LANGUAGES = 3  # for a correlation over languages

COLUMNS = (
    "topic",
    "section",
    "claim",
    "task",
    "statistic",
    "value",
    "low",
    "high",
    "holds_if",
    "verdict",
    "published",
    "detail",
)


class Key(NamedTuple):
    """A model and its training. ``ratio`` is 1 without grouping, and NaN for lexicons."""

    backbone: str
    alignment: str
    dimension: str
    method: str
    ratio: float
    pretraining: str
    training: str


def key_of(row: Experiment) -> Key:
    """The key of an experiment.

    >>> key_of({"backbone": "b", "alignment": "unaligned", "dimension": "dfull",
    ...         "grouping": "kmeans-cosine-0.05", "pretraining": "asis", "training": "eng"})[3:5]
    ('kmeans-cosine', 0.05)
    """
    recipe = Recipe(**{part: row[part] for part in PATTERNS})
    is_by_lexicon = recipe.grouping_method == "lexicon"
    return Key(
        row["backbone"],
        row["alignment"],
        row["dimension"],
        recipe.grouping_without_ratio,
        math.nan if is_by_lexicon else recipe.ratio,
        row["pretraining"],
        row["training"],
    )


@dataclass(frozen=True)
class TaskStudy:
    """One task of a study.

    Attributes:
        kind: for example ``retrieval``.
        scores: key -> [1 + resamples], its score and that of every sample.
        at_chance: the keys whose scores do not differ from chance.
        by_language: like ``scores``, with language -> scores, for Figure 10.
    """

    kind: str
    scores: Mapping[Key, np.ndarray]
    at_chance: frozenset[Key] = frozenset()
    by_language: Mapping[Key, Mapping[str, np.ndarray]] = field(default_factory=dict)


@dataclass(frozen=True)
class Study:
    """The measurements of a study.

    Attributes:
        oracle: the key to which percentages are relative.
        tasks: the tasks by name.
        figures: figure -> the keys of its experiments, in the order of the table.
        full_dimension: D of the main backbone's word embeddings.
        margin: the largest difference, in points of ``perc``, that counts as similar.
    """

    oracle: Key
    tasks: Mapping[str, TaskStudy]
    figures: Mapping[str, Sequence[Key]]
    full_dimension: int
    margin: float

    @property
    def alignment(self) -> str:
        """The alignment of Figure 4."""
        return next((key.alignment for key in self.of("figure4")), "none")

    @property
    def ratios(self) -> list[float]:
        """The ratios of K-Means in Figure 3, the largest first."""
        ratios = {key.ratio for key in self.of("figure3") if key.method == "kmeans-cosine"}
        return sorted(ratios, reverse=True)

    @property
    def smallest(self) -> float:
        return min(self.ratios, default=math.nan)

    @property
    def dimensions(self) -> list[str]:
        """The dimensions of Figure 5, the largest first."""
        return sorted({k.dimension for k in self.of("figure5")}, key=_size, reverse=True)

    def of(self, figure: str) -> Sequence[Key]:
        return self.figures.get(figure, ())

    def ungrouped(self, **parts: Any) -> Key:
        """The key of the ungrouped, unaligned main backbone, with changed parts."""
        backbone = self.oracle.backbone
        key = Key(backbone, "unaligned", "dfull", "ungrouped", 1.0, "asis", "all-languages")
        return key._replace(**parts)

    def grouped(self, ratio: float, **parts: Any) -> Key:
        """The key of the unaligned main backbone with cosine K-Means, with changed parts."""
        return self.ungrouped(method="kmeans-cosine", ratio=ratio, **parts)


class Value(NamedTuple):
    """A claim's statistic.

    Attributes:
        draws: [1 + resamples], the statistic on the actual items first.
        doubt: the reason why it is not used for the verdict, or empty.
    """

    draws: np.ndarray
    doubt: str = ""


@dataclass(frozen=True)
class Claim:
    """One claim of the paper.

    Attributes:
        topic: for example ``ratio``.
        section: the section of the paper.
        text: the claim in the paper.
        statistic: the statistic in words.
        measure: a study -> task -> the statistic; ``all`` if the claim is about all tasks together.
        bound: the claim holds if the statistic is above it.
        is_below: the claim holds if the statistic is below the bound.
        is_similar: whether the bound is the study's margin, negative unless ``is_below``.
        needs: the experiments that it needs.
    """

    topic: str
    section: str
    text: str
    statistic: str
    measure: Callable[[Study], dict[str, Value]]
    needs: str
    bound: float = 0.0
    is_below: bool = False
    is_similar: bool = False

    def bound_in(self, study: Study) -> float:
        if self.is_similar:
            return study.margin if self.is_below else -study.margin
        return self.bound


def verdict(low: float, high: float, bound: float, *, is_below: bool = False) -> str:
    """The verdict on a claim from an interval.

    >>> verdict(0.1, 2.0, 0.0), verdict(-2.0, -0.1, 0.0), verdict(-1.0, 1.0, 0.0)
    ('holds', 'contradicted', 'undecided')
    """
    if is_below:
        low, high, bound = -high, -low, -bound
    if low > bound + _ROUNDING:
        return HOLDS
    return CONTRADICTED if high < bound - _ROUNDING else UNDECIDED


def judge(study: Study, resampling: Resampling, published: Study | None = None) -> pd.DataFrame:
    """Test every claim on a study: one row over all its tasks, then one row per task.

    Args:
        published: the paper's numbers as a study, for the column ``published``; it is NaN if the paper
            prints no numbers.

    Returns:
        :data:`COLUMNS`; ``verdict`` is ``holds``, ``contradicted``, ``undecided``, or ``not
        measured`` if experiments are missing, which ``detail`` then names.
    """
    lines = []
    for claim in CLAIMS:
        theirs = {} if published is None else _by_kind(claim.measure(published), published)
        lines += _lines(claim, study, resampling, theirs)
    return pd.DataFrame(lines)[list(COLUMNS)]


def _lines(
    claim: Claim, study: Study, resampling: Resampling, theirs: Mapping[str, Value]
) -> list[dict[str, Any]]:
    """The rows of one claim.

    Args:
        theirs: kind of task -> the statistic on the paper's numbers.
    """
    found = claim.measure(study)
    side, bound = "below" if claim.is_below else "above", claim.bound_in(study)
    start: dict[str, Any] = {"topic": claim.topic, "section": claim.section, "claim": claim.text}
    start |= {"statistic": claim.statistic, "holds_if": f"{side} {bound:g}"}
    if not found:
        start |= dict.fromkeys(("value", "low", "high"), math.nan)
        start |= {"task": ALL, "verdict": NOT_MEASURED, "published": _first(_mean(theirs.values()))}
        return [start | {"detail": f"needs {claim.needs}"}]

    def line(task: str, value: Value, printed: Value | None) -> dict[str, Any]:
        low, high = resampling.interval(value.draws)
        decided = verdict(low, high, bound, is_below=claim.is_below)
        if value.doubt or math.isnan(low):
            decided = UNDECIDED
        numbers = {"value": _first(value), "low": low, "high": high, "published": _first(printed)}
        return start | numbers | {"task": task, "verdict": decided, "detail": value.doubt}

    if ALL in found:
        return [line(ALL, found[ALL], theirs.get(ALL))]
    kinds = {task: study.tasks[task].kind for task in found}
    by_task = [line(task, value, theirs.get(kinds[task])) for task, value in found.items()]
    # Values in doubt are not used, unless there are no others.
    whole = _mean([value for value in found.values() if not value.doubt] or found.values())
    printed = _mean(theirs[kind] for kind in set(kinds.values()) & set(theirs))
    assert whole is not None
    said = [(of_task["task"], of_task["verdict"]) for of_task in by_task]
    return [line(ALL, whole, printed) | {"detail": _tally(said)}, *by_task]


def _first(value: Value | None) -> float:
    return math.nan if value is None else float(value.draws[0])


def _tally(said: Sequence[tuple[str, str]]) -> str:
    """``holds in ner, nli; undecided in qa``."""
    parts = []
    for decided in (HOLDS, CONTRADICTED, UNDECIDED):
        tasks = [task for task, of_task in said if of_task == decided]
        if tasks:
            parts.append(f"{decided} in {', '.join(tasks)}")
    return "; ".join(parts)


def _mean(values: Iterable[Value]) -> Value | None:
    """The mean of statistics, in doubt if all are."""
    found = list(values)
    if not found:
        return None
    doubt = found[0].doubt if all(value.doubt for value in found) else ""
    return Value(np.mean([value.draws for value in found], axis=0), doubt)


def _by_kind(found: Mapping[str, Value], study: Study) -> dict[str, Value]:
    return {task if task == ALL else study.tasks[task].kind: value for task, value in found.items()}


# Statistics


def _in_each(
    study: Study,
    kinds: Sequence[str],
    statistic: Callable[["_Task"], np.ndarray | None],
    *,
    oracle: Key | None = None,
) -> dict[str, Value]:
    """A statistic in every task of these kinds with the needed experiments.

    A task is in doubt if its oracle does not differ from chance.
    """
    found = {}
    for name, task in study.tasks.items():
        if task.kind not in kinds:
            continue
        of_task = _Task(task, oracle or study.oracle)
        draws = statistic(of_task) if of_task.oracle in task.scores else None
        if draws is not None:
            found[name] = Value(draws, of_task.doubt)
    return found


class _Task:
    """A task's scores as percentages of an oracle's."""

    def __init__(self, task: TaskStudy, oracle: Key) -> None:
        self.task = task
        self.oracle = oracle
        self.doubt = "its oracle cannot be told from chance" if oracle in task.at_chance else ""

    def __call__(self, key: Key) -> np.ndarray | None:
        """[1 + resamples]; None if it was not trained."""
        if key not in self.task.scores or self.oracle not in self.task.scores:
            return None
        with np.errstate(divide="ignore", invalid="ignore"):
            share: np.ndarray = 100 * self.task.scores[key] / self.task.scores[self.oracle]
        return np.where(np.isfinite(share), share, np.nan)

    def known(self, keys: Iterable[Key]) -> list[tuple[Key, np.ndarray]]:
        """The trained keys among these, with their percentages."""
        return [(key, share) for key in keys if (share := self(key)) is not None]

    def difference(self, pairs: Iterable[tuple[Key, Key]]) -> np.ndarray | None:
        """The mean of first minus second, over pairs of trained models."""
        found = [
            first - second
            for a, b in pairs
            if (first := self(a)) is not None and (second := self(b)) is not None
        ]
        return np.mean(found, axis=0) if found else None

    def keeps(self, key: Key) -> np.ndarray | None:
        """The percentage of one model; in doubt if the model is not better than chance."""
        if key in self.task.at_chance and not self.doubt:
            self.doubt = "it cannot be told from chance"
        return self(key)


def slope(ratios: Sequence[float], shares: Sequence[np.ndarray]) -> np.ndarray:
    """[1 + resamples], the change of a percentage per doubling of the ratio, by least squares. It is
    positive if scores fall with the ratio.

    >>> slope([1.0, 0.5, 0.25], [np.array([100.0]), np.array([90.0]), np.array([80.0])])
    array([10.])
    """
    x = np.log2(ratios)
    x = x - x.mean()
    found: np.ndarray = (x[:, None] * np.array(shares)).sum(axis=0) / (x**2).sum()
    return found


def _slope_of(share_of: _Task, keys: Iterable[Key]) -> np.ndarray | None:
    """The slope over the trained keys among these; it needs at least three."""
    found = share_of.known(keys)
    if len(found) < 3:
        return None
    return slope([key.ratio for key, _ in found], [share for _, share in found])


def _falls(study: Study) -> dict[str, Value]:
    def statistic(share_of: _Task) -> np.ndarray | None:
        slopes = []
        for pretraining in PRETRAININGS:
            keys = [study.ungrouped(pretraining=pretraining)]
            keys += [study.grouped(ratio, pretraining=pretraining) for ratio in study.ratios]
            slopes.append(_slope_of(share_of, keys))
        known = [s for s in slopes if s is not None]
        return np.mean(known, axis=0) if known else None

    return _in_each(study, EVERY, statistic)


def _keeps(kinds: Sequence[str], ratio: float, pretraining: str) -> Callable[[Study], dict]:
    def measure(study: Study) -> dict[str, Value]:
        key = study.grouped(ratio, pretraining=pretraining)
        return _in_each(study, kinds, lambda share_of: share_of.keeps(key))

    return measure


def _retrieval_is_more_sensitive(study: Study) -> dict[str, Value]:
    key = study.grouped(study.smallest, pretraining="mlm")
    classified, retrieved = (
        [value for value in _in_each(study, kinds, lambda t: t(key)).values() if not value.doubt]
        for kinds in (CLASSIFICATION, RETRIEVAL)
    )
    if not classified or not retrieved:
        return {}
    first, second = (np.mean([v.draws for v in part], axis=0) for part in (classified, retrieved))
    return {ALL: Value(first - second)}


def _pretraining_helps(study: Study) -> dict[str, Value]:
    alignments = ("unaligned", study.alignment)
    pairs = [
        (key._replace(pretraining="mlm"), key)
        for alignment in alignments
        for ratio in study.ratios
        for key in [study.grouped(ratio, alignment=alignment)]
    ]
    return _in_each(study, EVERY, lambda t: t.difference(pairs))


def _first_k(study: Study, ratios: Sequence[float], sign: int) -> dict[str, Value]:
    """K-Means minus First-k at these ratios, or the opposite."""
    pairs = [
        (key, key._replace(method="firstk"))
        for ratio in ratios
        for pretraining in PRETRAININGS
        for key in [study.grouped(ratio, pretraining=pretraining)]
    ]
    return _in_each(
        study, EVERY, lambda t: None if (d := t.difference(pairs)) is None else sign * d
    )


def _aligned_pairs(study: Study, ratio: float) -> list[tuple[Key, Key]]:
    return [
        (key._replace(alignment=study.alignment), key)
        for pretraining in PRETRAININGS
        for key in [study.grouped(ratio, pretraining=pretraining)]
    ]


def _alignment_helps(study: Study) -> dict[str, Value]:
    pairs = [pair for ratio in study.ratios for pair in _aligned_pairs(study, ratio)]
    return _in_each(study, EVERY, lambda t: t.difference(pairs))


def _alignment_never_hurts(study: Study) -> dict[str, Value]:
    def statistic(share_of: _Task) -> np.ndarray | None:
        found = [share_of.difference(_aligned_pairs(study, ratio)) for ratio in study.ratios]
        known = [difference for difference in found if difference is not None]
        # The ratio with the lowest score on the actual items. The minimum of each sample would be
        # biased downwards by noise.
        return min(known, key=lambda draws: float(draws[0])) if known else None

    return _in_each(study, EVERY, statistic)


def _alignment_helps_more_at_low_ratios(study: Study) -> dict[str, Value]:
    def statistic(share_of: _Task) -> np.ndarray | None:
        low, high = (
            share_of.difference(_aligned_pairs(study, edge(study.ratios))) for edge in (min, max)
        )
        return None if low is None or high is None else low - high

    return _in_each(study, EVERY, statistic) if len(study.ratios) > 1 else {}


def _smallest_dimension(study: Study) -> dict[str, Any]:
    return {
        "dimension": study.dimensions[-1], "alignment": study.alignment, "pretraining": "mlm",
    }  # fmt: skip


def _grouping_is_as_good_at_few_dimensions(study: Study) -> dict[str, Value]:
    if not study.dimensions:
        return {}
    few = study.grouped(study.smallest, **_smallest_dimension(study))
    pairs = [(few, few._replace(dimension="dfull"))]
    return _in_each(study, EVERY, lambda t: t.difference(pairs))


def _slope_flattens(study: Study) -> dict[str, Value]:
    if not study.dimensions:
        return {}

    few = _smallest_dimension(study)

    def statistic(share_of: _Task) -> np.ndarray | None:
        slopes = []
        for dimension in ("dfull", few["dimension"]):
            top = [
                study.ungrouped(dimension=dimension, pretraining="mlm", alignment=alignment)
                for alignment in (few["alignment"], "unaligned")
            ]
            keys = [key for key in top if share_of(key) is not None][:1]
            keys += [study.grouped(r, **few)._replace(dimension=dimension) for r in study.ratios]
            slopes.append(_slope_of(share_of, keys))
        full, reduced = slopes
        return None if full is None or reduced is None else full - reduced

    return _in_each(study, EVERY, statistic)


def _reduction_falls_sharply(study: Study) -> dict[str, Value]:
    if not study.dimensions:
        return {}
    edge = study.dimensions[-1]
    below = [k.dimension for k in study.of("figure6") if _size(k.dimension) < _size(edge)]
    if not below:
        return {}
    full, last, fallen = (
        study.ungrouped(dimension=dimension, pretraining="mlm")
        for dimension in ("dfull", edge, max(below, key=_size))
    )

    def statistic(share_of: _Task) -> np.ndarray | None:
        above, beneath = share_of.difference([(full, last)]), share_of.difference([(last, fallen)])
        return None if above is None or beneath is None else beneath - above

    return _in_each(study, EVERY, statistic)


def _grouping_goes_further_than_reduction(study: Study) -> dict[str, Value]:
    if not study.dimensions:
        return {}
    grouped = study.grouped(study.smallest, **_smallest_dimension(study))
    size = grouped.ratio * _size(grouped.dimension)
    reduced = [k for k in study.of("figure6") if size <= _size(k.dimension) < study.full_dimension]
    if not reduced:
        return {}
    smallest = min(reduced, key=lambda key: _size(key.dimension))
    return _in_each(study, EVERY, lambda t: t.difference([(grouped, smallest)]))


def _backbones_are_alike(study: Study) -> dict[str, Value]:
    others = list(
        dict.fromkeys(
            k.backbone for k in study.of("figure7") if k.backbone != study.oracle.backbone
        )
    )

    def kept(task: TaskStudy, backbone: str) -> np.ndarray | None:
        """The mean percentage over ratios, relative to the backbone's own ungrouped model."""
        oracle = study.ungrouped(backbone=backbone, alignment=study.alignment)
        if oracle not in task.scores:
            oracle = oracle._replace(alignment="unaligned")  # as for mBERT in the paper
        grouped = [
            study.grouped(ratio, backbone=backbone, alignment=study.alignment)
            for ratio in study.ratios
        ]
        if oracle in task.at_chance:
            return None
        shares = [share for _, share in _Task(task, oracle).known(grouped)]
        return np.mean(shares, axis=0) if shares and len(shares) == len(grouped) else None

    found = {}
    for name, task in study.tasks.items():
        ours = kept(task, study.oracle.backbone)
        theirs = [share for other in others if (share := kept(task, other)) is not None]
        if ours is not None and theirs:
            found[name] = Value(np.mean([np.abs(share - ours) for share in theirs], axis=0))
    return found


def _zero_shot(
    study: Study, kinds: Sequence[str], statistic: Callable[["_Task", Callable], Any]
) -> dict[str, Value]:
    """A statistic of Figure 9, whose scores are relative to its own oracle.

    The arguments of the statistic are the task's percentages, and a function from a ratio to a key.
    """
    grouped = [key for key in study.of("figure9") if key.method == "kmeans-cosine"]
    if not grouped:
        return {}
    oracle = grouped[0]._replace(method="ungrouped", ratio=1.0)
    if not any(oracle in task.scores for task in study.tasks.values()):
        oracle = oracle._replace(alignment="unaligned")

    def at(ratio: float) -> Key:
        return grouped[0]._replace(ratio=ratio)

    return _in_each(study, kinds, lambda t: statistic(t, at), oracle=oracle)


def _transfer_is_on_par(study: Study) -> dict[str, Value]:
    def statistic(share_of: _Task, at: Callable[[float], Key]) -> np.ndarray | None:
        shares = [share_of.keeps(at(ratio)) for ratio in (0.4, 0.2)]
        known = [share for share in shares if share is not None]
        return np.mean(known, axis=0) - 100 if len(known) == 2 else None

    return _zero_shot(study, ("question_answering", "reranking"), statistic)


def _retrieval_transfers(study: Study) -> dict[str, Value]:
    return _zero_shot(study, RETRIEVAL, lambda share_of, at: share_of.keeps(at(0.2)))


def _retrieval_does_not_transfer(study: Study) -> dict[str, Value]:
    return _zero_shot(study, RETRIEVAL, lambda share_of, at: share_of(at(0.1)))


def correlations(study: Study, groups: Iterable[str]) -> list[np.ndarray]:
    """Pearson's ρ of the languages' relative drops in two tasks, [1 + resamples] each, for every pair of
    Appendix C in these groups and every ratio."""
    tasks = {task.kind: task for task in reversed(list(study.tasks.values()))}
    found = []
    for group, first, second in PAIRS:
        if group not in groups or not {first, second} <= set(tasks):
            continue
        for ratio in study.ratios:
            key = study.grouped(ratio, pretraining="mlm")
            drops = [_drops(tasks[kind], key, study.oracle) for kind in (first, second)]
            shared = sorted(drops[0].keys() & drops[1].keys())
            if len(shared) >= FEWEST_LANGUAGES:
                found.append(_pearson(*(np.array([d[code] for code in shared]) for d in drops)))
    return found


def _drops(task: TaskStudy, key: Key, oracle: Key) -> dict[str, np.ndarray]:
    """Language -> [1 + resamples], the relative drop from the oracle's score, without languages in which
    the oracle scores 0."""
    best, ours = (task.by_language.get(k, {}) for k in (oracle, key))
    with np.errstate(divide="ignore", invalid="ignore"):
        return {c: (best[c] - ours[c]) / best[c] for c in best if c in ours and best[c][0] > 0}


def _pearson(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Pearson's ρ over languages of two [languages, 1 + resamples]; NaN if one is constant."""
    with np.errstate(divide="ignore", invalid="ignore"):
        a, b = (values - values.mean(axis=0) for values in (first, second))
        rho: np.ndarray = (a * b).sum(axis=0) / np.sqrt((a**2).sum(axis=0) * (b**2).sum(axis=0))
    return np.where(np.isfinite(rho), rho, np.nan)


def _languages_are_hit_alike(study: Study) -> dict[str, Value]:
    found = correlations(study, ("II", "III"))
    return {ALL: Value(np.mean(found, axis=0))} if found else {}


def _languages_follow_tasks_and_data(study: Study) -> dict[str, Value]:
    alike, unlike = (correlations(study, groups) for groups in (("II", "III"), ("I",)))
    if not alike or not unlike:
        return {}
    return {ALL: Value(np.mean(alike, axis=0) - np.mean(unlike, axis=0))}


def _meaning_counts(study: Study) -> dict[str, Value]:
    random = [key for key in study.of("controls") if key.method == "random"]
    pairs = [(key._replace(method="kmeans-cosine"), key) for key in random]
    return _in_each(study, EVERY, lambda t: t.difference(pairs))


def _cosine_is_better(study: Study) -> dict[str, Value]:
    pairs = [
        (key, key._replace(method="kmeans-euclidean"))
        for key in study.of("figure12")
        if key.method == "kmeans-cosine" and key.dimension == "dfull"
    ]
    return _in_each(study, EVERY, lambda t: t.difference(pairs))


def _more_lexicons_are_better(study: Study) -> dict[str, Value]:
    aligned = [key for key in study.of("figure11") if key.alignment != "unaligned"]
    if len(aligned) < 2:
        return {}
    most = max(aligned, key=lambda key: key.alignment.count("+"))
    pairs = [(most, key) for key in aligned if key != most]
    return _in_each(study, EVERY, lambda t: t.difference(pairs))


def _kmeans_beats_lexicons(study: Study) -> dict[str, Value]:
    shown = study.of("table4")
    oracle = next((key for key in shown if key.method == "ungrouped"), None)
    if oracle is None:
        return {}
    pairs = itertools.product(
        [key for key in shown if key.method == "kmeans-cosine"],
        [key for key in shown if key.method.startswith("lexicon-")],
    )
    some = list(pairs)
    return _in_each(study, EVERY, lambda t: t.difference(some), oracle=oracle)


def _size(dimension: str) -> float:
    """``d64`` is 64; ``dfull`` is larger than all others."""
    return math.inf if dimension == "dfull" else float(dimension[1:])


CLAIMS = (
    Claim(
        "ratio", "4.1", "Scores fall with the grouping ratio.",
        "points of perc lost with each halving of the ratio, by K-Means with and without "
        "pretraining",
        _falls, "K-Means at two ratios or more, and the ungrouped model",
    ),
    Claim(
        "ratio", "4.1", "Grouping alone keeps over 90% in classification with 10% of the "
        "vocabulary.",
        "perc at 10%, not pretrained",
        _keeps(CLASSIFICATION, 0.1, "asis"), "K-Means at 10%, not pretrained", bound=90,
    ),
    Claim(
        "ratio", "4.1", "After pretraining, 5% of the vocabulary keep over 90% in classification.",
        "perc at 5%, pretrained",
        _keeps(CLASSIFICATION, 0.05, "mlm"), "K-Means at 5%, pretrained", bound=90,
    ),
    Claim(
        "ratio", "4.1", "After pretraining, 20% of the vocabulary keep over 85% in retrieval.",
        "perc at 20%, pretrained",
        _keeps(RETRIEVAL, 0.2, "mlm"), "K-Means at 20%, pretrained", bound=85,
    ),
    Claim(
        "ratio", "4.1", "Retrieval is more sensitive to grouping than classification.",
        "perc of classification minus perc of retrieval, at the smallest ratio, pretrained",
        _retrieval_is_more_sensitive, "pretrained K-Means in tasks of both types",
    ),
    Claim(
        "pretraining", "4.1", "Continual pretraining helps grouped models.",
        "points of perc with pretraining minus without, over all ratios and both alignments",
        _pretraining_helps, "K-Means with and without pretraining",
    ),
    Claim(
        "First-k", "4.1", "At 40%, First-k is similar to grouping.",
        "points of perc, First-k minus K-Means at the largest ratio",
        lambda study: _first_k(study, study.ratios[:1], -1), "First-k and K-Means at one ratio",
        is_similar=True,
    ),
    Claim(
        "First-k", "4.1", "Below 40%, First-k loses much more than grouping.",
        "points of perc, K-Means minus First-k at all smaller ratios",
        lambda study: _first_k(study, study.ratios[1:], 1),
        "First-k and K-Means at smaller ratios",
    ),
    Claim(
        "CLSA", "4.1", "With CLSA, scores are consistently higher or similar.",
        "points of perc with CLSA minus without, at the ratio where that is lowest",
        _alignment_never_hurts, "K-Means with and without CLSA", is_similar=True,
    ),
    Claim(
        "CLSA", "4.1", "CLSA helps.",
        "points of perc with CLSA minus without, over all ratios",
        _alignment_helps, "K-Means with and without CLSA",
    ),
    Claim(
        "CLSA", "4.1", "CLSA helps more at lower ratios.",
        "what it helps at the smallest ratio minus at the largest",
        _alignment_helps_more_at_low_ratios, "K-Means with and without CLSA at two ratios",
    ),
    Claim(
        "semantics", "4.2", "What is kept comes of grouping by meaning, and not of sharing alone.",
        "points of perc, K-Means minus random groups of the same sizes",
        _meaning_counts, "random groups (`controls`) and K-Means at one ratio",
    ),
    Claim(
        "DR", "4.2", "At the smallest ratio, few dimensions are on par with all of them.",
        "points of perc, smallest grouped dimension minus full dimension",
        _grouping_is_as_good_at_few_dimensions, "the experiments of Figures 4 and 5",
        is_similar=True,
    ),
    Claim(
        "DR", "4.2", "The curve over the ratio is flatter at few dimensions.",
        "points of perc lost with each halving of the ratio, full dimension minus smallest",
        _slope_flattens, "the experiments of Figures 4 and 5 at three ratios or more",
    ),
    Claim(
        "DR", "4.2", "Reduction alone keeps scores to a dimension, and falls sharply below it.",
        "points of perc lost below the smallest grouped dimension, minus those lost above it",
        _reduction_falls_sharply, "the experiments of Figure 6",
    ),
    Claim(
        "DR", "4.2", "At as few parameters, grouping keeps scores where reduction alone fails.",
        "points of perc, grouped minus the reduced model of as many parameters or more",
        _grouping_goes_further_than_reduction, "the experiments of Figures 5 and 6",
    ),
    Claim(
        "backbones", "4.3", "Other backbones lose as much as the main one.",
        "points between the shares that backbones keep of their own ungrouped scores, over all "
        "ratios",
        _backbones_are_alike, "the experiments of Figures 4 and 7",
        is_below=True, is_similar=True,
    ),
    Claim(
        "transfer", "4.5", "Zero-shot, grouped models are on par with the ungrouped one or better, "
        "in question answering and reranking at 40% and 20%.",
        "points of perc of the zero-shot oracle, less 100",
        _transfer_is_on_par, "the experiments of Figure 9 at 40% and 20%", is_similar=True,
    ),
    Claim(
        "transfer", "4.5", "Zero-shot retrieval keeps over 70% at 20%.",
        "perc of the zero-shot oracle at 20%",
        _retrieval_transfers, "the experiments of Figure 9 at 20%", bound=70,
    ),
    Claim(
        "transfer", "4.5", "Zero-shot retrieval keeps less than 50% below 20%.",
        "perc of the zero-shot oracle at 10%",
        _retrieval_does_not_transfer, "the experiments of Figure 9 at 10%",
        bound=50, is_below=True,
    ),
    Claim(
        "languages", "C", "Grouping hurts the same languages in tasks that share data or type.",
        "Pearson's ρ of the languages' relative drops, mean of pairs II and III of Figure 10",
        _languages_are_hit_alike, "Figure 10 with pairs of groups II or III",
    ),
    Claim(
        "languages", "C", "It hurts them less alike in tasks that share neither.",
        "Pearson's ρ, pairs II and III minus pairs I",
        _languages_follow_tasks_and_data, "Figure 10 with pairs of all groups",
    ),
    Claim(
        "lexicons", "B", "CLSA on all lexicons is best.",
        "points of perc, all lexicons minus fewer",
        _more_lexicons_are_better, "the experiments of Figure 11",
    ),
    Claim(
        "distance", "E", "Cosine distance is better than Euclidean at full dimension.",
        "points of perc, cosine minus Euclidean",
        _cosine_is_better, "the experiments of Figure 12",
    ),
    Claim(
        "lexicons", "F", "K-Means is better than grouping by lexicons, which groups less.",
        "points of perc of the oracle of Table 4, K-Means minus lexicons",
        _kmeans_beats_lexicons, "the experiments of Table 4",
    ),
)  # fmt: skip


def study_of(
    rows_by_task: Mapping[str, Sequence[Experiment]],
    kinds: Mapping[str, str],
    scores: Scores,
    *,
    oracle: Experiment,
    full_dimension: int,
    margin: float,
) -> Study:
    """Make a study from its scores.

    Args:
        rows_by_task: task -> its experiments.
        kinds: task -> its kind.
        oracle: the reference for relative scores of the main backbone.
        full_dimension: D of the main backbone's word embeddings.
        margin: see :class:`Study`.
    """
    figures: dict[str, list[Key]] = {}
    for row in dict.fromkeys(_hashable(r) for rows in rows_by_task.values() for r in rows):
        known = dict(row)
        figures.setdefault(known["figure"], []).append(key_of(known))
    tasks = {}
    for task, rows in rows_by_task.items():
        named = {key_of(row): experiment_name(row) for row in rows}
        of_figure_10 = {
            key: name
            for key, name in named.items()
            if key.alignment == "unaligned"
            and (key.dimension, key.pretraining) == ("dfull", "mlm")
            and key.method in ("ungrouped", "kmeans-cosine")
        }
        tasks[task] = TaskStudy(
            kinds[task],
            {key: scores[task].draws(name) for key, name in named.items()},
            frozenset(key for key, n in named.items() if not scores[task].is_above_chance(n)),
            dict(
                zip(
                    of_figure_10,
                    scores[task].draws_by_language(list(of_figure_10.values())),
                    strict=True,
                )
            ),
        )
    return Study(key_of(oracle), tasks, figures, full_dimension, margin)


def _hashable(row: Experiment) -> tuple[tuple[str, Any], ...]:
    return tuple(sorted(row.items()))


def published_study(table: pd.DataFrame, margin: float) -> Study:
    """The paper's Table 5 as a study, with kinds as names of tasks.

    Args:
        table: from :func:`semantic_tokens.report.tables.paper_comparison.read_table`.
    """
    full = table.groupby("backbone")["dim"].max()
    figures: dict[str, list[Key]] = {}
    scores: dict[str, dict[Key, np.ndarray]] = {kind: {} for kind in EVERY}
    for row in table.to_dict("records"):
        dimension = "dfull" if row["dim"] == full[row["backbone"]] else f"d{row['dim']}"
        key = Key(
            row["backbone"],
            "clsa" if row["clsa"] == "yes" else "unaligned",
            dimension,
            "ungrouped" if row["ratio"] == 1 else "kmeans-cosine",
            float(row["ratio"]),
            "mlm" if row["pretrain"] == "yes" else "asis",
            "all-languages",
        )
        figures.setdefault(row["figure"], []).append(key)
        for kind in EVERY:
            scores[kind][key] = np.array([float(row[kind])])
    oracle = next(key for key in figures["oracle"] if key.pretraining == "mlm")
    tasks = {kind: TaskStudy(kind, of_kind) for kind, of_kind in scores.items()}
    return Study(oracle, tasks, figures, int(full[oracle.backbone]), margin)


def summary(table: pd.DataFrame) -> pd.DataFrame:
    """The rows of :func:`judge` over all tasks: one per claim."""
    columns = [c for c in table if c != "task"]
    return table.loc[table["task"] == ALL, columns].reset_index(drop=True)
