"""The measured hours of finished trainings, compared with the plan.

Snakemake measures every job (``results/benchmarks``), so a plan can be compared with the first
trainings of a study.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from semantic_tokens.errors import InputError
from semantic_tokens.plan.study import Study
from semantic_tokens.plan.throughput import Throughput
from semantic_tokens.study.experiments import ALL_LANGUAGES, ExperimentRow, recipe_of


@dataclass(frozen=True)
class FinishedTrainings:
    """Finished trainings.

    Attributes:
        jobs: the number of trainings.
        seconds: their total time, including the start of their processes.
        operations: their counted operations.
    """

    jobs: int
    seconds: float
    operations: float

    def planned_seconds(self, throughput: Throughput) -> float:
        """The planned time of these trainings."""
        reached = throughput.rate * throughput.utilisation * throughput.devices_per_job
        return self.jobs * throughput.seconds_per_job + self.operations / reached

    def utilisation(self, throughput: Throughput) -> float | None:
        """The utilisation with which the plan would be right; None if the start-up times exceed the
        measured time."""
        computing = self.seconds - self.jobs * throughput.seconds_per_job
        if computing <= 0:
            return None
        return self.operations / (computing * throughput.rate * throughput.devices_per_job)


def finished_trainings(
    study: Study, rows: Sequence[ExperimentRow], benchmarks: Path
) -> FinishedTrainings | None:
    """Finished pretrainings and fine-tunings of a study; None if there are none.

    Args:
        rows: experiments, as :meth:`~semantic_tokens.study.experiments.Experiment.as_dict` gives them.
        benchmarks: Snakemake's measurements, with one folder per rule.
    """
    jobs, seconds, operations = 0, 0.0, 0.0
    for path, count in _trainings(study, rows, benchmarks):
        jobs += 1
        seconds += float(pd.read_csv(path, sep="\t")["s"].iloc[-1])
        operations += count
    return FinishedTrainings(jobs, seconds, operations) if jobs else None


def _trainings(
    study: Study, rows: Sequence[ExperimentRow], benchmarks: Path
) -> Iterator[tuple[Path, float]]:
    """Yield the file and the operations of every finished training that can be counted."""
    for recipe, training, task in study.trainings(rows):
        folder = benchmarks / "fine_tune" / recipe.path / task / training
        for path in (folder / f"seed-{seed}.tsv" for seed in study.seeds):
            if training == ALL_LANGUAGES and path.is_file():
                try:
                    yield path, study.fine_tuning(recipe, task, {})
                except InputError:
                    continue
    for recipe in dict.fromkeys(map(recipe_of, rows)):
        path = benchmarks / "pretrain" / f"{recipe.groups_path}.tsv"
        if recipe.is_pretrained and path.is_file():
            try:
                yield path, study.pretraining_of(recipe)
            except InputError:
                continue
