"""The jobs of some experiments, and the cost of each kind of job. Shared jobs count once.

Disk use is estimated from existing files, or from the sizes of downloads. Tokenised text, with four
bytes per token, is assumed to be as large as the text: in XQuAD's paragraphs, one token of mBERT
has 3.0 (Chinese) to 6.7 bytes (Hindi).
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from semantic_tokens.errors import InputError
from semantic_tokens.plan.architecture import Architecture
from semantic_tokens.plan.study import FLOAT, Pools, Study, groups_in, model_bytes
from semantic_tokens.study.experiments import (
    ALL_LANGUAGES,
    Experiment,
    ExperimentRow,
    experiment_of,
    recipe_of,
)
from semantic_tokens.study.figures import main_backbone
from semantic_tokens.study.measured_groupings import groupings_to_measure, pretrainings_to_measure
from semantic_tokens.study.recipe import Recipe, lexicons_of, segmentation_of

# BM25 splits passages by language; its index has 8 bytes per different word of a passage.
_INDEX = 2.5
# The cost of K-Means on a CPU in full passes: 2.4 to 4.7 were measured (docs/performance.md), since
# most passes skip comparisons.
_KMEANS_PASSES = 5
_RANKING = ("reranking", "retrieval")

#: The rules that every replicate repeats.
REPEATED = {
    "extract_embeddings", "align", "reduce_dimension", "group_kmeans", "group_kmeans_weighted",
    "group_random", "group_by_frequency", "group_first_k", "group_by_lexicon", "pretrain",
    "fine_tune",
}  # fmt: skip
#: The rules that use GPUs, if the study has some.
ON_GPU = {
    "align", "group_kmeans", "group_kmeans_weighted", "pretrain", "measure_pretraining", "fine_tune",
}  # fmt: skip
#: The rule of a grouping, by the start of its name.
_GROUPED_BY = {
    "kmeans-weighted": "group_kmeans_weighted",
    "kmeans": "group_kmeans",
    "firstk": "group_first_k",
    "random": "group_random",
    "frequency": "group_by_frequency",
    "lexicon": "group_by_lexicon",
}
#: The groupings that need subword counts of the pretraining corpora.
_COUNTING = ("group_kmeans_weighted", "group_by_frequency")


@dataclass
class Cost:
    """The total cost of one kind of job.

    Attributes:
        jobs: the number of jobs.
        operations: the floating-point operations of all jobs.
        largest: the operations of the largest job.
        bytes: the size of their outputs.
        scratch: the maximum size of temporary files of one job.
        uncounted: the number of jobs with unknown operations.
        unknown: what could not be counted, and why.
    """

    jobs: int = 0
    operations: float = 0.0
    largest: float = 0.0
    bytes: float = 0.0
    scratch: float = 0.0
    uncounted: int = 0
    unknown: Counter[str] = field(default_factory=Counter)

    def compute(self, operations: float, times: int = 1) -> None:
        """Add the operations of ``times`` equal jobs."""
        self.operations += operations * times
        self.largest = max(self.largest, operations)

    def leave_out(self, reason: str, jobs: int = 1) -> None:
        """Record that the operations of some jobs are unknown."""
        self.uncounted += jobs
        self.unknown[reason] += jobs

    def write(self, text: float | None) -> None:
        """Add the bytes of a text; None for an unknown size."""
        self.bytes += text or 0
        self.unknown["disk of text whose source has no known size"] += text is None

    def repeat(self, times: int) -> None:
        """Multiply everything by ``times``."""
        self.jobs *= times
        self.operations *= times
        self.bytes *= times
        self.uncounted *= times
        self.unknown = Counter({why: count * times for why, count in self.unknown.items()})


def _checkpoints(training: Mapping[str, Any], size: float) -> float:
    """The bytes of two alternating checkpoints, each with the weights and AdamW's two moments."""
    return 2 * 3 * size if training.get("checkpoint_every") else 0.0


def costs_of(
    study: Study,
    rows: Sequence[ExperimentRow],
    tasks: Sequence[str] | None = None,
    pools: Pools | None = None,
) -> dict[str, Cost]:
    """The cost of every kind of job of some experiments, by rule.

    Args:
        study: the study of the experiments.
        rows: one or more experiments, from :meth:`~semantic_tokens.study.experiments.Experiment.as_dict`,
            and with the keys of :meth:`~semantic_tokens.plan.study.Study.trainings`.
        tasks: the shown tasks to train; None for all.
        pools: dataset -> the pool to search instead of the config's.
    """
    return _Tally(study, rows, list(study.tasks) if tasks is None else tasks, pools or {}).costs


class _Tally:
    """Counts the jobs of some experiments. ``costs`` is the result, by rule."""

    def __init__(
        self,
        study: Study,
        rows: Sequence[ExperimentRow],
        tasks: Sequence[str],
        pools: Pools,
    ) -> None:
        self.study, self.data = study, study.data
        self.pools = pools
        #: Each once, since several figures may have the same experiment.
        self.recipes = list(dict.fromkeys(map(recipe_of, rows)))
        self.trainings = study.trainings(rows, tasks)
        trained = (task for _, _, task in self.trainings)
        self.tasks = {name: study.task(name) for name in dict.fromkeys([*tasks, *trained])}
        self.backbones = list(dict.fromkeys(recipe.backbone for recipe in self.recipes))
        self.all: dict[str, Cost] = {}
        self._seen: set[tuple[str, ...]] = set()
        self._read()
        self._tokenizing()
        for recipe in self.recipes:
            self._make_model(recipe)
        self._fine_tune()
        for rule in REPEATED & set(self.all):
            self.all[rule].repeat(study.replicates)
        if study.measures:
            self._measure(list(map(experiment_of, rows)))
        self._add("replicate_backbone", len(self.backbones) * (study.replicates - 1))
        self.costs = {rule: cost for rule, cost in self.all.items() if cost.jobs}

    def _add(self, rule: str, jobs: int = 1) -> Cost:
        cost = self.all.setdefault(rule, Cost())
        cost.jobs += jobs
        return cost

    def _first(self, *identity: str) -> bool:
        is_new = identity not in self._seen
        self._seen.add(identity)
        return is_new

    def _datasets(self) -> list[str]:
        return list(dict.fromkeys(task["dataset"] for task in self.tasks.values()))

    def _read(self) -> None:
        """Sources, and steps without a model."""
        study = self.study
        read = {
            text
            for name in self.backbones
            for text in study.backbones[name].get("vocabulary_texts", [])
        }
        if self._segmentations_of_corpora():
            read |= set(study.pretraining["corpora"])
        lexicons = {
            name
            for recipe in self.recipes
            for part in (recipe.alignment, recipe.grouping)
            for name in lexicons_of(part)
        }
        self._add("read_lexicon", len(lexicons - {"roundtrip"}))
        for name in sorted(read):
            self._add("read_corpus").write(self.data.corpus_bytes(name))
        for dataset in self._datasets():
            ranking = study.datasets[dataset]["kind"] == "ranking"
            text = self.data.dataset_bytes(dataset)
            self._add("read_ranking_dataset" if ranking else "read_dataset").write(text)
            if ranking:
                bm25 = self._add("rank_bm25")
                bm25.scratch = max(bm25.scratch, _INDEX * (text or 0))
            if pool := study.pool(dataset, self.pools):
                kept = self.data.searched_bytes(dataset, self.backbones[0], pool)
                self._add("pool_passages").write(kept)
        for task in self.tasks.values():  # chance, and for rankings BM25
            self._add("baseline", 2 if task["kind"] in _RANKING else 1)
        derived = self._add("derive_backbone", len(self.backbones))
        for name in self.backbones:
            if architecture := study.architectures[name]:
                derived.bytes += model_bytes(Recipe(name), architecture)

    def _tokenizing(self) -> None:
        """Tokenisation, once per tokenizer."""
        study = self.study
        segmentations = {(recipe.backbone, self._segmentation(recipe)) for recipe in self.recipes}
        self._add("truncate_tokenizer", sum(name != "original" for _, name in segmentations))
        datasets = {
            (self.tasks[task]["dataset"], recipe.backbone, self._segmentation(recipe))
            for recipe, _, task in self.trainings
        }
        for dataset, backbone, _ in sorted(datasets):
            ranking = study.datasets[dataset]["kind"] == "ranking"
            text = self.data.searched_bytes(dataset, backbone, study.pool(dataset, self.pools))
            self._add("tokenize_ranking" if ranking else "tokenize_dataset").write(text)
        for _ in self._segmentations_of_corpora():
            for name in study.pretraining["corpora"]:
                self._add("tokenize_corpus").write(self.data.corpus_bytes(name))

    def _segmentation(self, recipe: Recipe) -> str:
        return segmentation_of(recipe.grouping, resegments=self.study.resegment)

    def _segmentations_of_corpora(self) -> set[tuple[str, str]]:
        """The backbones and segmentations with which the pretraining corpora are tokenised."""
        pretrained = {
            (recipe.backbone, self._segmentation(recipe))
            for recipe in self.recipes
            if recipe.is_pretrained
        }
        counted = {
            (recipe.backbone, "original")
            for recipe in self.recipes
            if _rule_of(recipe.grouping) in _COUNTING
        }
        return pretrained | counted

    def _measure(self, experiments: Sequence[Experiment]) -> None:
        """The groups and pretrainings that are measured, of the first replicate only. Some groups are
        of no experiment."""
        main = main_backbone(experiments)
        if any(recipe.is_aligned for recipe in self.recipes if recipe.backbone == main):
            for recipe in groupings_to_measure(experiments):
                self._make_model(recipe)
        for recipe in pretrainings_to_measure(experiments):
            for logits in ("masked", "all"):
                cost = self._add("measure_pretraining")
                _compute(cost, partial(self.study.measuring_of, recipe, logits))

    def _make_model(self, recipe: Recipe) -> None:
        """Embeddings, groups and the pretrained model."""
        architecture = self.study.architectures[recipe.backbone]
        vocabulary = architecture.vocabulary if architecture else 0
        columns = architecture.dimension if architecture else 0
        dimension = (recipe.dimension_number or columns) if architecture else 0
        embeddings = (recipe.backbone, recipe.alignment)
        model = (*embeddings, recipe.dimension, recipe.grouping)
        is_changed = model[1:] != ("unaligned", "dfull", "ungrouped")
        if is_changed and self._first(recipe.backbone):
            self._add("extract_embeddings").bytes += vocabulary * columns * FLOAT
        if recipe.is_aligned and self._first(*embeddings):
            self._add("align").bytes += vocabulary * columns * FLOAT
        if recipe.dimension != "dfull" and self._first(*embeddings, recipe.dimension):
            self._add("reduce_dimension").bytes += vocabulary * dimension * FLOAT
        if recipe.grouping != "ungrouped" and self._first(*model):
            self._group(recipe, architecture, dimension)
        if recipe.is_pretrained and self._first(*model, "mlm"):
            cost = self._add("pretrain")
            if architecture:
                size = model_bytes(recipe, architecture)
                kept = _checkpoints(self.study.pretraining["training"], size)
                cost.bytes += size
                cost.scratch = max(cost.scratch, kept)
            _compute(cost, partial(self.study.pretraining_of, recipe))

    def _group(self, recipe: Recipe, architecture: Architecture | None, dimension: int) -> None:
        groups = groups_in(recipe, architecture) if architecture else 0
        vocabulary = architecture.vocabulary if architecture else 0
        names = [recipe.grouping]
        if recipe.grouping_method in ("random", "frequency"):
            names.append(f"kmeans-cosine-{recipe.grouping.rpartition('-')[2]}")  # their sizes
        passes = self.study.kmeans["max_iterations"]
        if not self.study.gpus_per_job:
            passes = min(passes, _KMEANS_PASSES)
        for name in names:
            identity = (recipe.backbone, recipe.alignment, recipe.dimension, name)
            if not self._first("grouping", *identity):
                continue
            rule = _rule_of(name)
            assert rule is not None
            cost = self._add(rule)
            cost.bytes += groups * dimension * FLOAT + 8 * vocabulary
            if rule.startswith("group_kmeans"):
                cost.compute(passes * 2 * vocabulary * groups * dimension)
            if rule in _COUNTING and self._first("counts", recipe.backbone):
                self._add("count_subwords").bytes += 8 * vocabulary

    def _fine_tune(self) -> None:
        seeds = len(self.study.seeds)
        for recipe, training, name in self.trainings:
            cost = self._add("fine_tune", seeds)
            if architecture := self.study.architectures[recipe.backbone]:
                options = self.tasks[name]["training"]
                kept = _checkpoints(options, model_bytes(recipe, architecture))
                cost.scratch = max(cost.scratch, kept)
            if training != ALL_LANGUAGES:
                cost.leave_out(f"training in {training} only", seeds)
                continue
            _compute(cost, partial(self.study.fine_tuning, recipe, name, self.pools), seeds)


def _rule_of(grouping: str) -> str | None:
    """The rule that makes this grouping; None for no groups."""
    return next((rule for start, rule in _GROUPED_BY.items() if grouping.startswith(start)), None)


def _compute(cost: Cost, operations: Callable[[], float], times: int = 1) -> None:
    """Add operations to a cost, or record why they are unknown."""
    try:
        cost.compute(operations(), times)
    except InputError as error:
        cost.leave_out(str(error), times)
