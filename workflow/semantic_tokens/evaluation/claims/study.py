"""A study as its claims need it: the scores of every variant of a model, in every task."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from semantic_tokens.evaluation.scores import Scores, TaskScores, experiment_name
from semantic_tokens.study.experiments import ALL_LANGUAGES, ExperimentRow, recipe_of

#: The tasks that the paper calls classification; retrieval is its embedding task.
CLASSIFICATION = (
    "token_classification",
    "question_answering",
    "pair_classification",
    "reranking",
)
RETRIEVAL = ("retrieval",)
EVERY = (*CLASSIFICATION, *RETRIEVAL)


class Variant(NamedTuple):
    """A model and its training. ``ratio`` is 1 without grouping, and NaN for lexicons."""

    backbone: str
    alignment: str
    dimension: str
    method: str
    ratio: float
    pretraining: str
    training: str


def variant_of(row: ExperimentRow) -> Variant:
    """The key of an experiment.

    >>> variant_of({"backbone": "b", "alignment": "unaligned", "dimension": "dfull",
    ...         "grouping": "kmeans-cosine-0.05", "pretraining": "asis", "training": "eng"})[3:5]
    ('kmeans-cosine', 0.05)
    """
    recipe = recipe_of(row)
    is_by_lexicon = recipe.grouping_method == "lexicon"
    return Variant(
        row["backbone"],
        row["alignment"],
        row["dimension"],
        recipe.grouping_without_ratio,
        math.nan if is_by_lexicon else recipe.ratio,
        row["pretraining"],
        row["training"],
    )


@dataclass(frozen=True)
class MeasuredTask:
    """One task of a study.

    Attributes:
        kind: for example ``retrieval``.
        scores: key -> its draws, [1 + resamples + trainings].
        at_chance: the keys whose scores do not differ from chance.
        by_language: like ``scores``, with language -> scores, for Figure 10.
    """

    kind: str
    scores: Mapping[Variant, np.ndarray]
    at_chance: frozenset[Variant] = frozenset()
    by_language: Mapping[Variant, Mapping[str, np.ndarray]] = field(default_factory=dict)


@dataclass(frozen=True)
class MeasuredStudy:
    """The measurements of a study.

    Attributes:
        oracle: the key to which percentages are relative.
        tasks: the tasks by name.
        by_lexicon: like ``tasks``, with the experiments of Table 4 alone, in its language.
        figures: figure -> the keys of its experiments, in the order of the table.
        full_dimension: D of the main backbone's word embeddings.
        margin: the largest difference, in points of ``perc``, that counts as similar.
        trainings: the number of trainings at the end of all draws; see
            :mod:`semantic_tokens.evaluation.bootstrap`.
    """

    oracle: Variant
    tasks: Mapping[str, MeasuredTask]
    figures: Mapping[str, Sequence[Variant]]
    full_dimension: int
    margin: float
    trainings: int = 0
    by_lexicon: Mapping[str, MeasuredTask] = field(default_factory=dict)

    @property
    def alignment(self) -> str:
        """The alignment of Figure 4."""
        return next((key.alignment for key in self.of("figure4")), "none")

    @property
    def ratios(self) -> list[float]:
        """The ratios of K-Means in Figure 3, the largest first. Some may have only one variant."""
        ratios = {key.ratio for key in self.of("figure3") if key.method == "kmeans-cosine"}
        return sorted(ratios, reverse=True)

    def is_trained(self, *keys: Variant) -> bool:
        """Whether some task has scores of all these models."""
        return any(all(key in task.scores for key in keys) for task in self.tasks.values())

    def common_ratios(self, *variants: Mapping[str, Any]) -> list[float]:
        """The ratios at which each of these variants of the main backbone is trained, the largest
        first. A variant is the changed parts of :meth:`grouped`."""
        return [
            ratio
            for ratio in self.ratios
            if self.is_trained(*(self.grouped(ratio, **parts) for parts in variants))
        ]

    def smallest(self, *variants: Mapping[str, Any]) -> float:
        """The smallest of :meth:`common_ratios`; NaN if there is none."""
        return min(self.common_ratios(*variants), default=math.nan)

    @property
    def dimensions(self) -> list[str]:
        """The dimensions of Figure 5, the largest first."""
        return sorted({k.dimension for k in self.of("figure5")}, key=dimension_size, reverse=True)

    def of(self, figure: str) -> Sequence[Variant]:
        return self.figures.get(figure, ())

    def ungrouped(self, **parts: Any) -> Variant:
        """The key of the ungrouped, unaligned main backbone, with changed parts."""
        backbone = self.oracle.backbone
        key = Variant(backbone, "unaligned", "dfull", "ungrouped", 1.0, "asis", ALL_LANGUAGES)
        return key._replace(**parts)

    def grouped(self, ratio: float, **parts: Any) -> Variant:
        """The key of the unaligned main backbone with cosine K-Means, with changed parts."""
        return self.ungrouped(**{"method": "kmeans-cosine", "ratio": ratio, **parts})


def dimension_size(dimension: str) -> float:
    """``d64`` is 64; ``dfull`` is larger than all others."""
    return math.inf if dimension == "dfull" else float(dimension[1:])


def study_of(
    rows_by_task: Mapping[str, Sequence[ExperimentRow]],
    kinds: Mapping[str, str],
    scores: Scores,
    *,
    oracle: ExperimentRow,
    full_dimension: int,
    margin: float,
    lexicon_language: str | None = None,
) -> MeasuredStudy:
    """Make a study from its scores.

    Args:
        rows_by_task: task -> its experiments.
        kinds: task -> its kind.
        oracle: the reference for relative scores of the main backbone.
        full_dimension: D of the main backbone's own word embeddings.
        margin: see :class:`MeasuredStudy`.
        lexicon_language: the language of Table 4; None for the mean over all languages.
    """
    figures: dict[str, list[Variant]] = {}
    for row in dict.fromkeys(_hashable(r) for rows in rows_by_task.values() for r in rows):
        known = dict(row)
        figures.setdefault(known["figure"], []).append(variant_of(known))
    tasks, by_lexicon = {}, {}
    reference = variant_of(oracle)
    for task, rows in rows_by_task.items():
        named = {variant_of(row): experiment_name(row) for row in rows}
        of_figure_10 = {
            key: name
            for key, name in named.items()
            if key == reference
            or (
                (key.alignment, key.dimension, key.pretraining) == ("unaligned", "dfull", "mlm")
                and key.method == "kmeans-cosine"
            )
        }
        tasks[task] = MeasuredTask(
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
        if lexicon_language is None or lexicon_language in scores[task].languages:
            of_table_4 = {
                variant_of(row): experiment_name(row) for row in rows if row["figure"] == "table4"
            }
            by_lexicon[task] = _in_language(kinds[task], scores[task], of_table_4, lexicon_language)
    trainings = {scores[task].trainings for task in rows_by_task}
    return MeasuredStudy(
        reference, tasks, figures, full_dimension, margin, max(trainings, default=0), by_lexicon
    )


def _in_language(
    kind: str, scores: TaskScores, named: Mapping[Variant, str], language: str | None
) -> MeasuredTask:
    """The scores of some experiments in one language, or in the mean over all of them."""
    if language is None:
        drawn = [scores.draws(name) for name in named.values()]
    else:
        drawn = [found[language] for found in scores.draws_by_language(list(named.values()))]
    return MeasuredTask(
        kind,
        dict(zip(named, drawn, strict=True)),
        frozenset(key for key, name in named.items() if not scores.is_above_chance(name, language)),
    )


def _hashable(row: ExperimentRow) -> tuple[tuple[str, Any], ...]:
    return tuple(sorted(row.items()))


def published_study(table: pd.DataFrame, margin: float) -> MeasuredStudy:
    """The paper's Table 5 as a study, with kinds as names of tasks.

    Args:
        table: from :func:`semantic_tokens.report.tables.paper_comparison.read_table`.
    """
    full = table.groupby("backbone")["dim"].max()
    figures: dict[str, list[Variant]] = {}
    scores: dict[str, dict[Variant, np.ndarray]] = {kind: {} for kind in EVERY}
    for row in table.to_dict("records"):
        dimension = "dfull" if row["dim"] == full[row["backbone"]] else f"d{row['dim']}"
        key = Variant(
            row["backbone"],
            "clsa" if row["clsa"] == "yes" else "unaligned",
            dimension,
            "ungrouped" if row["ratio"] == 1 else "kmeans-cosine",
            float(row["ratio"]),
            "mlm" if row["pretrain"] == "yes" else "asis",
            ALL_LANGUAGES,
        )
        figures.setdefault(row["figure"], []).append(key)
        for kind in EVERY:
            scores[kind][key] = np.array([float(row[kind])])
    oracle = next(key for key in figures["oracle"] if key.pretraining == "mlm")
    tasks = {kind: MeasuredTask(kind, of_kind) for kind, of_kind in scores.items()}
    return MeasuredStudy(oracle, tasks, figures, int(full[oracle.backbone]), margin)
