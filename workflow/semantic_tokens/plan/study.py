"""The parts of a study that affect the cost of experiments."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from semantic_tokens.errors import InputError
from semantic_tokens.plan.architecture import Architecture
from semantic_tokens.plan.data import Data
from semantic_tokens.plan.operations import pretraining_operations, task_operations
from semantic_tokens.study.experiments import ExperimentRow, recipe_of
from semantic_tokens.study.recipe import Recipe

FLOAT = 4  # bytes of a stored weight
#: Dataset -> the pool to search instead of the config's.
Pools = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class Study:
    """The parts of a configuration that affect the cost of experiments.

    Attributes:
        tasks: the shown tasks, with their dataset, options and training.
        datasets, backbones, corpora: the entries of the config.
        sizes: the sizes of downloads in megabytes.
        pretraining: the section of the config, with the names of its ``corpora``.
        kmeans: the section of the config, with ``max_iterations``.
        seeds: the seeds of fine-tuning.
        resegment: whether First-k re-segments the text.
        results: the folder of existing backbones and datasets.
        shared_files: those that may be in another run's folder; see
            :class:`~semantic_tokens.plan.data.Data`.
        replicates: the number of runs of the entire pipeline.
        gpus_per_job: the number of GPUs of a training job; 0 for CPUs.
        further_tasks: the tasks that are not shown, and that some experiments have as their own.
        measures: whether the study also measures its groups and its pretraining.
    """

    tasks: Mapping[str, Mapping[str, Any]]
    datasets: Mapping[str, Mapping[str, Any]]
    backbones: Mapping[str, Mapping[str, Any]]
    corpora: Mapping[str, Mapping[str, Any]]
    sizes: Mapping[str, float | None]
    pretraining: Mapping[str, Any]
    kmeans: Mapping[str, Any]
    seeds: Sequence[int]
    resegment: bool
    results: Path
    replicates: int = 1
    gpus_per_job: int = 0
    shared_files: Mapping[str, str] = field(default_factory=dict)
    further_tasks: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    measures: bool = False

    @cached_property
    def data(self) -> Data:
        return Data(self.results, self.sizes, self.corpora, self.datasets, self.shared_files)

    @cached_property
    def architectures(self) -> dict[str, Architecture | None]:
        """The architecture by backbone; None if its sizes are unknown."""
        return {
            name: Architecture.of_backbone(spec, self.data.path(f"backbones/{name}"))
            for name, spec in self.backbones.items()
        }

    @cached_property
    def languages(self) -> int:
        """The number of languages of the pretraining corpora."""
        options = [self.corpora[name].get("options", {}) for name in self.pretraining["corpora"]]
        return len({language for one in options for language in one.get("languages", ())})

    def pool(self, dataset: str, pools: Pools) -> Mapping[str, Any] | None:
        """The pool of a dataset, from ``pools`` or the config."""
        return pools.get(dataset, self.datasets[dataset].get("pool"))

    def task(self, name: str) -> Mapping[str, Any]:
        """The entry of a task, shown or not."""
        return self.tasks[name] if name in self.tasks else self.further_tasks[name]

    def trainings(
        self, rows: Sequence[ExperimentRow], tasks: Sequence[str] | None = None
    ) -> list[tuple[Recipe, str, str]]:
        """The fine-tunings of some experiments, each once: recipe, training language and task.

        Args:
            rows: the experiments. ``left_out`` of a row names shown tasks that it is not trained on,
                and ``own_tasks`` names tasks that it is always trained on.
            tasks: the shown tasks to train; None for all.
        """
        shown = list(self.tasks) if tasks is None else tasks
        found: dict[tuple[Recipe, str, str], None] = {}
        for row in rows:
            recipe, training = recipe_of(row), str(row["training"])
            kept = [task for task in shown if task not in row.get("left_out", ())]
            for task in [*kept, *row.get("own_tasks", ())]:
                found[recipe, training, task] = None
        return list(found)

    def fine_tuning(self, recipe: Recipe, task: str, pools: Pools) -> float:
        """Operations of one fine-tuning, including its evaluation.

        Raises:
            InputError: they cannot be counted.
        """
        architecture, spec = self._known(recipe.backbone), self.task(task)
        dataset = spec["dataset"]
        pool = self.pool(dataset, pools)
        try:
            trained, scored = task_operations(
                spec["kind"],
                architecture,
                self.data.counts(dataset, recipe.backbone)
                | self.data.searched(dataset, recipe.backbone, pool),
                self.data.lengths(dataset, recipe.backbone),
                spec["options"],
                spec["training"],
            )
        except KeyError as error:
            raise InputError(f"task {task}: dataset {dataset} has no count {error}") from error
        return trained + scored

    def pretraining_of(self, recipe: Recipe) -> float:
        """Operations of pretraining one model.

        Raises:
            InputError: they cannot be counted.
        """
        return self._pretraining(recipe, self.pretraining, self.languages)

    def measuring_of(self, recipe: Recipe, logits: str) -> float:
        """Operations of the steps that measure the pretraining of one model.

        Args:
            logits: ``masked`` or ``all``.

        Raises:
            InputError: they cannot be counted.
        """
        steps = {"max_steps": self.pretraining["measured_steps"]}
        changed = {"logits": logits, "training": {**self.pretraining["training"], **steps}}
        return self._pretraining(recipe, {**self.pretraining, **changed}, languages=0)

    def _pretraining(self, recipe: Recipe, options: Mapping[str, Any], languages: int) -> float:
        architecture = self._known(recipe.backbone)
        groups = groups_in(recipe, architecture)
        dimension = recipe.dimension_number or architecture.dimension
        return pretraining_operations(architecture, groups, dimension, options, languages)

    def full_lengths(self, rows: Sequence[ExperimentRow]) -> list[str]:
        """The datasets whose texts count with their maximum length, for a backbone of these
        experiments."""
        backbones = {row["backbone"] for row in rows}
        tasks = dict.fromkeys([*self.tasks, *(task for _, _, task in self.trainings(rows))])
        datasets = dict.fromkeys(self.task(task)["dataset"] for task in tasks)
        return [
            name
            for name in datasets
            if any(self.data.has_full_lengths(name, backbone) for backbone in backbones)
        ]

    def _known(self, backbone: str) -> Architecture:
        architecture = self.architectures[backbone]
        if architecture is None:
            raise InputError(f"backbone {backbone} has no `shape` yet")
        return architecture


def groups_in(recipe: Recipe, architecture: Architecture) -> int:
    """|V'| of a recipe; |V| for a grouping by lexicon, whose ratio is unknown."""
    ratio = 1.0 if recipe.grouping_method == "lexicon" else recipe.ratio
    return round(ratio * architecture.vocabulary)


def model_bytes(recipe: Recipe, architecture: Architecture) -> float:
    """The bytes of a recipe's weights: the encoder, and |V'| embeddings of its dimension."""
    dimension = recipe.dimension_number or architecture.dimension
    embeddings = groups_in(recipe, architecture) * dimension
    return float(FLOAT * (architecture.encoder_parameters + embeddings))
