"""The statistic of every claim: a study -> task -> its value on the scores and on every resample."""

import dataclasses
import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from semantic_tokens.evaluation.claims.shares import ALL, TaskShares, Value, in_each, slope_of
from semantic_tokens.evaluation.claims.study import (
    CLASSIFICATION,
    EVERY,
    RETRIEVAL,
    MeasuredStudy,
    MeasuredTask,
    Variant,
    dimension_size,
)
from semantic_tokens.study.figures import FEWEST_LANGUAGES, PAIRS

PRETRAININGS = ("asis", "mlm")


def falls(study: MeasuredStudy) -> dict[str, Value]:
    """Points of perc lost with each halving of the ratio, mean over models with and without
    pretraining (4.1)."""

    def statistic(share_of: TaskShares) -> np.ndarray | None:
        slopes = []
        for pretraining in PRETRAININGS:
            keys = [study.ungrouped(pretraining=pretraining)]
            keys += [study.grouped(ratio, pretraining=pretraining) for ratio in study.ratios]
            slopes.append(slope_of(share_of, keys))
        known = [s for s in slopes if s is not None]
        return np.mean(known, axis=0) if known else None

    return in_each(study, EVERY, statistic)


def keeps(kinds: Sequence[str], ratio: float, pretraining: str) -> Callable[[MeasuredStudy], dict]:
    """Perc of K-Means at a ratio, in tasks of these kinds (4.1)."""

    def measure(study: MeasuredStudy) -> dict[str, Value]:
        key = study.grouped(ratio, pretraining=pretraining)
        return in_each(study, kinds, lambda share_of: share_of.keeps(key))

    return measure


def retrieval_is_more_sensitive(study: MeasuredStudy) -> dict[str, Value]:
    """Perc in classification minus perc in retrieval, at the smallest ratio, pretrained (4.1)."""
    pretrained = {"pretraining": "mlm"}
    key = study.grouped(study.smallest(pretrained), **pretrained)
    classified, retrieved = (
        [value for value in in_each(study, kinds, lambda t: t(key)).values() if not value.doubt]
        for kinds in (CLASSIFICATION, RETRIEVAL)
    )
    if not classified or not retrieved:
        return {}
    first, second = (np.mean([v.draws for v in part], axis=0) for part in (classified, retrieved))
    return {ALL: Value(first - second)}


def pretraining_helps(study: MeasuredStudy) -> dict[str, Value]:
    """Points of perc with pretraining minus without, mean over ratios and alignments (4.1)."""
    alignments = ("unaligned", study.alignment)
    pairs = [
        (key._replace(pretraining="mlm"), key)
        for alignment in alignments
        for ratio in study.ratios
        for key in [study.grouped(ratio, alignment=alignment)]
    ]
    return in_each(study, EVERY, lambda t: t.difference(pairs))


def first_k_is_similar(study: MeasuredStudy) -> dict[str, Value]:
    """Points of perc, First-k minus K-Means at the largest ratio (4.1)."""
    return _first_k(study, _first_k_ratios(study)[:1], -1)


def first_k_loses_more(study: MeasuredStudy) -> dict[str, Value]:
    """Points of perc, K-Means minus First-k, mean over all smaller ratios (4.1)."""
    return _first_k(study, _first_k_ratios(study)[1:], 1)


def _first_k_ratios(study: MeasuredStudy) -> list[float]:
    """The ratios at which First-k and K-Means are trained, the largest first."""
    found = [
        study.common_ratios(key, key | {"method": "firstk"})
        for key in ({"pretraining": pretraining} for pretraining in PRETRAININGS)
    ]
    return sorted(set().union(*found), reverse=True)


def _first_k(study: MeasuredStudy, ratios: Sequence[float], sign: int) -> dict[str, Value]:
    """K-Means minus First-k at these ratios, or the opposite."""
    pairs = [
        (key, key._replace(method="firstk"))
        for ratio in ratios
        for pretraining in PRETRAININGS
        for key in [study.grouped(ratio, pretraining=pretraining)]
    ]
    return in_each(study, EVERY, lambda t: None if (d := t.difference(pairs)) is None else sign * d)


def _aligned_pair(study: MeasuredStudy, ratio: float, pretraining: str) -> tuple[Variant, Variant]:
    key = study.grouped(ratio, pretraining=pretraining)
    return key._replace(alignment=study.alignment), key


def _aligned_pairs(study: MeasuredStudy, ratio: float) -> list[tuple[Variant, Variant]]:
    return [_aligned_pair(study, ratio, pretraining) for pretraining in PRETRAININGS]


def alignment_helps(study: MeasuredStudy) -> dict[str, Value]:
    """Points of perc with CLSA minus without, mean over ratios and pretraining (4.1)."""
    pairs = [pair for ratio in study.ratios for pair in _aligned_pairs(study, ratio)]
    return in_each(study, EVERY, lambda t: t.difference(pairs))


def alignment_never_hurts(study: MeasuredStudy) -> dict[str, Value]:
    """Points of perc with CLSA minus without, at the ratio with the lowest difference (4.1)."""

    def statistic(share_of: TaskShares) -> np.ndarray | None:
        found = [share_of.difference(_aligned_pairs(study, ratio)) for ratio in study.ratios]
        known = [difference for difference in found if difference is not None]
        # The ratio with the lowest score on the actual items. The minimum of each sample would be
        # biased downwards by noise.
        return min(known, key=lambda draws: float(draws[0])) if known else None

    return in_each(study, EVERY, statistic)


def alignment_helps_more_at_low_ratios(study: MeasuredStudy) -> dict[str, Value]:
    """The gain from CLSA at the smallest ratio minus the gain at the largest, in points of perc,
    mean over models with and without pretraining (4.1)."""

    def statistic(share_of: TaskShares) -> np.ndarray | None:
        found = []
        for pretraining in PRETRAININGS:
            pairs = [_aligned_pair(study, ratio, pretraining) for ratio in study.ratios]
            gains = [gain for p in pairs if (gain := share_of.difference([p])) is not None]
            if len(gains) > 1:
                found.append(gains[-1] - gains[0])
        return np.mean(found, axis=0) if found else None

    return in_each(study, EVERY, statistic)


def _smallest_dimension(study: MeasuredStudy) -> dict[str, Any]:
    return {
        "dimension": study.dimensions[-1], "alignment": study.alignment, "pretraining": "mlm",
    }  # fmt: skip


def grouping_is_as_good_at_few_dimensions(study: MeasuredStudy) -> dict[str, Value]:
    """Points of perc at the smallest ratio, smallest grouped dimension minus full dimension (4.2)."""
    if not study.dimensions:
        return {}
    few = _smallest_dimension(study)
    every = {**few, "dimension": "dfull"}
    ratio = study.smallest(few, every)
    pairs = [(study.grouped(ratio, **few), study.grouped(ratio, **every))]
    return in_each(study, EVERY, lambda t: t.difference(pairs))


def slope_flattens(study: MeasuredStudy) -> dict[str, Value]:
    """Points of perc lost with each halving of the ratio, full dimension minus the smallest one
    (4.2)."""
    if not study.dimensions:
        return {}

    few = _smallest_dimension(study)
    ratios = study.common_ratios(few, {**few, "dimension": "dfull"})

    def statistic(share_of: TaskShares) -> np.ndarray | None:
        slopes = []
        for dimension in ("dfull", few["dimension"]):
            top = [
                study.ungrouped(dimension=dimension, pretraining="mlm", alignment=alignment)
                for alignment in (few["alignment"], "unaligned")
            ]
            keys = [key for key in top if share_of(key) is not None][:1]
            keys += [study.grouped(r, **few)._replace(dimension=dimension) for r in ratios]
            slopes.append(slope_of(share_of, keys))
        full, reduced = slopes
        return None if full is None or reduced is None else full - reduced

    return in_each(study, EVERY, statistic)


def reduction_falls_sharply(study: MeasuredStudy) -> dict[str, Value]:
    """Points of perc that reduction without grouping loses below the smallest grouped dimension,
    minus those that it loses above it (4.2)."""
    if not study.dimensions:
        return {}
    edge = study.dimensions[-1]
    below = [
        k.dimension
        for k in study.of("figure6")
        if dimension_size(k.dimension) < dimension_size(edge)
    ]
    if not below:
        return {}
    full, last, fallen = (
        study.ungrouped(dimension=dimension, pretraining="mlm")
        for dimension in ("dfull", edge, max(below, key=dimension_size))
    )

    def statistic(share_of: TaskShares) -> np.ndarray | None:
        above, beneath = share_of.difference([(full, last)]), share_of.difference([(last, fallen)])
        return None if above is None or beneath is None else beneath - above

    return in_each(study, EVERY, statistic)


def grouping_goes_further_than_reduction(study: MeasuredStudy) -> dict[str, Value]:
    """Points of perc, grouped at the smallest ratio and dimension minus reduced to as many
    parameters or more (4.2)."""
    if not study.dimensions:
        return {}
    few = _smallest_dimension(study)
    grouped = study.grouped(study.smallest(few), **few)
    size = grouped.ratio * dimension_size(grouped.dimension)
    reduced = [
        k for k in study.of("figure6") if size <= dimension_size(k.dimension) < study.full_dimension
    ]
    if not reduced:
        return {}
    smallest = min(reduced, key=lambda key: dimension_size(key.dimension))
    return in_each(study, EVERY, lambda t: t.difference([(grouped, smallest)]))


def backbones_are_alike(study: MeasuredStudy) -> dict[str, Value]:
    """The percentage that other backbones keep of their own ungrouped scores, minus that of the main
    backbone, mean over backbones and over the ratios that a backbone shares with the main one (4.3).

    The differences have a sign. A mean of absolute differences would be above zero by noise alone.
    """
    others = list(
        dict.fromkeys(
            k.backbone for k in study.of("figure7") if k.backbone != study.oracle.backbone
        )
    )

    def kept(task: MeasuredTask, backbone: str) -> dict[float, np.ndarray]:
        """Ratio -> the percentage of the backbone's own ungrouped model."""
        oracle = study.ungrouped(backbone=backbone, alignment=study.alignment)
        if oracle not in task.scores:
            oracle = oracle._replace(alignment="unaligned")  # as for mBERT in the paper
        if oracle in task.at_chance:
            return {}
        grouped = [
            study.grouped(ratio, backbone=backbone, alignment=study.alignment)
            for ratio in study.ratios
        ]
        return {key.ratio: share for key, share in TaskShares(task, oracle).known(grouped)}

    found = {}
    for name, task in study.tasks.items():
        ours = kept(task, study.oracle.backbone)
        differences = []
        for theirs in (kept(task, other) for other in others):
            if common := ours.keys() & theirs.keys():
                some = [theirs[ratio] - ours[ratio] for ratio in sorted(common)]
                differences.append(np.mean(some, axis=0))
        if differences:
            found[name] = Value(np.mean(differences, axis=0))
    return found


def _zero_shot(
    study: MeasuredStudy, kinds: Sequence[str], statistic: Callable[[TaskShares, Callable], Any]
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

    def at(ratio: float) -> Variant:
        return grouped[0]._replace(ratio=ratio)

    return in_each(study, kinds, lambda t: statistic(t, at), oracle=oracle)


def transfer_is_on_par(study: MeasuredStudy) -> dict[str, Value]:
    """Perc of the zero-shot oracle less 100, mean over 40% and 20% (4.5)."""

    def statistic(share_of: TaskShares, at: Callable[[float], Variant]) -> np.ndarray | None:
        shares = [share_of.keeps(at(ratio)) for ratio in (0.4, 0.2)]
        known = [share for share in shares if share is not None]
        return np.mean(known, axis=0) - 100 if len(known) == 2 else None

    return _zero_shot(study, ("question_answering", "reranking"), statistic)


def retrieval_transfers(study: MeasuredStudy) -> dict[str, Value]:
    """Perc of the zero-shot oracle in retrieval at 20% (4.5)."""
    return _zero_shot(study, RETRIEVAL, lambda share_of, at: share_of.keeps(at(0.2)))


def retrieval_does_not_transfer(study: MeasuredStudy) -> dict[str, Value]:
    """Perc of the zero-shot oracle in retrieval at 10% (4.5)."""
    return _zero_shot(study, RETRIEVAL, lambda share_of, at: share_of(at(0.1)))


def correlations(study: MeasuredStudy, groups: Iterable[str]) -> list[np.ndarray]:
    """Pearson's ρ of the languages' relative drops in two tasks, [draws] each, for every
    pair of Appendix C in these groups and every ratio.

    The first task of each kind whose oracle differs from chance is used.
    """
    above_chance = [t for t in study.tasks.values() if study.oracle not in t.at_chance]
    tasks = {task.kind: task for task in reversed(above_chance)}
    found = []
    for group, first, second in PAIRS:
        if group not in groups or not {first, second} <= set(tasks):
            continue
        for ratio in study.ratios:
            key = study.grouped(ratio, pretraining="mlm")
            drops = [_drops(tasks[kind], key, study.oracle) for kind in (first, second)]
            shared = sorted(drops[0].keys() & drops[1].keys())
            if len(shared) >= FEWEST_LANGUAGES:
                one, other = (np.array([of_task[code] for code in shared]) for of_task in drops)
                found.append(
                    _pearson(
                        one,
                        other,
                        _counts_of_languages(tasks, shared, one.shape[1], study.trainings),
                    )
                )
    return found


def _counts_of_languages(
    tasks: Mapping[str, MeasuredTask], shared: Sequence[str], draws: int, trainings: int
) -> np.ndarray:
    """[shared languages, draws], how often each language is drawn; 1 on the actual items.

    A correlation over a few languages says little about others, so languages are drawn too. The
    draws are the same for all pairs of tasks.
    """
    every = sorted({c for t in tasks.values() for of_key in t.by_language.values() for c in of_key})
    generator = np.random.default_rng(0)
    counts = np.ones((len(every), draws))
    samples = draws - 1 - trainings
    even = np.full(len(every), 1 / len(every))
    counts[:, 1 : 1 + samples] = generator.multinomial(len(every), even, size=samples).T
    found: np.ndarray = counts[[every.index(code) for code in shared]]
    return found


def _drops(task: MeasuredTask, key: Variant, oracle: Variant) -> dict[str, np.ndarray]:
    """Language -> [draws], the relative drop from the oracle's score, without languages in
    which the oracle scores 0."""
    best, ours = (task.by_language.get(k, {}) for k in (oracle, key))
    with np.errstate(divide="ignore", invalid="ignore"):
        return {c: (best[c] - ours[c]) / best[c] for c in best if c in ours and best[c][0] > 0}


def _pearson(first: np.ndarray, second: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Pearson's ρ over languages of two [languages, draws], in which each language counts
    as often as it was drawn; NaN if one is constant."""
    with np.errstate(divide="ignore", invalid="ignore"):
        a, b = (v - (counts * v).sum(axis=0) / counts.sum(axis=0) for v in (first, second))
        spread = (counts * a**2).sum(axis=0) * (counts * b**2).sum(axis=0)
        rho: np.ndarray = (counts * a * b).sum(axis=0) / np.sqrt(spread)
        # With one language drawn, the spread is zero except for rounding.
        return np.where((counts > 0).sum(axis=0) > 1, rho, np.nan)


def languages_are_hit_alike(study: MeasuredStudy) -> dict[str, Value]:
    """Mean of Pearson's ρ of the languages' relative drops, for tasks that share data or type
    (Appendix C)."""
    found = correlations(study, ("II", "III"))
    return {ALL: Value(np.mean(found, axis=0))} if found else {}


def languages_follow_tasks_and_data(study: MeasuredStudy) -> dict[str, Value]:
    """The mean ρ of tasks that share data or type, minus that of tasks that share neither
    (Appendix C)."""
    alike, unlike = (correlations(study, groups) for groups in (("II", "III"), ("I",)))
    if not alike or not unlike:
        return {}
    return {ALL: Value(np.mean(alike, axis=0) - np.mean(unlike, axis=0))}


def meaning_counts(study: MeasuredStudy) -> dict[str, Value]:
    """Points of perc, K-Means minus random groups of the same sizes (not in the paper)."""
    random = [key for key in study.of("controls") if key.method == "random"]
    pairs = [(key._replace(method="kmeans-cosine"), key) for key in random]
    return in_each(study, EVERY, lambda t: t.difference(pairs))


def cosine_is_better(study: MeasuredStudy) -> dict[str, Value]:
    """Points of perc at full dimension, cosine minus Euclidean distance (Appendix E)."""
    pairs = [
        (key, key._replace(method="kmeans-euclidean"))
        for key in study.of("figure12")
        if key.method == "kmeans-cosine" and key.dimension == "dfull"
    ]
    return in_each(study, EVERY, lambda t: t.difference(pairs))


def more_lexicons_are_better(study: MeasuredStudy) -> dict[str, Value]:
    """Points of perc, CLSA on all lexicons minus CLSA on fewer (Appendix B)."""
    aligned = [key for key in study.of("figure11") if key.alignment != "unaligned"]
    if len(aligned) < 2:
        return {}
    most = max(aligned, key=lambda key: key.alignment.count("+"))
    pairs = [(most, key) for key in aligned if key != most]
    return in_each(study, EVERY, lambda t: t.difference(pairs))


def kmeans_beats_lexicons(study: MeasuredStudy) -> dict[str, Value]:
    """Points of perc of the oracle of Table 4, K-Means minus grouping by lexicons (Appendix F), in
    the language of this table."""
    shown = study.of("table4")
    oracle = next((key for key in shown if key.method == "ungrouped"), None)
    if oracle is None:
        return {}
    pairs = itertools.product(
        [key for key in shown if key.method == "kmeans-cosine"],
        [key for key in shown if key.method.startswith("lexicon-")],
    )
    some = list(pairs)
    of_table_4 = dataclasses.replace(study, tasks=study.by_lexicon)
    return in_each(of_table_4, EVERY, lambda t: t.difference(some), oracle=oracle)
