"""The speed and memory of pretraining (paper, Appendix D; Table 3)."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from semantic_tokens.jobs.device import device_name
from semantic_tokens.jobs.efficiency import parameter_count, peak_memory, steps_per_second
from semantic_tokens.jobs.processes import is_first_process, process_count
from semantic_tokens.json_files import write_json
from semantic_tokens.modeling.loading import ModelFiles
from semantic_tokens.training import TrainingOptions, precision_here
from semantic_tokens.training.pretraining import Objective, Pretraining


def measure(
    files: ModelFiles,
    corpora: Sequence[str | Path],
    tokenizer: str | Path,
    efficiency: str | Path,
    *,
    options: TrainingOptions,
    objective: Objective,
    steps: int,
) -> None:
    """Pretrain for some steps, and write only what they took (Table 3).

    Args:
        files, corpora, tokenizer: see :class:`~semantic_tokens.training.pretraining.Pretraining`.
        efficiency: a JSON file for ``parameters``, ``device``, ``processes``, ``precision``,
            ``logits``, ``batch_size``, ``device_batch_size``, ``sequence_length``,
            ``steps_measured``, ``steps_per_second``, ``peak_memory_bytes`` and ``memory_of``.
        steps: the number of steps.
    """
    options = replace(options, max_steps=steps, checkpoint_every=0)
    pretraining = Pretraining(files, corpora, tokenizer, options, objective)
    step_seconds: list[float] = []
    pretraining.train(
        step_seconds=step_seconds, description=f"measuring with logits: {objective.logits}"
    )
    if is_first_process():
        taken = {
            "parameters": parameter_count(pretraining.model),
            "device": device_name(),
            "processes": process_count(),
            "precision": precision_here(options.precision),
            "logits": objective.logits,
            "batch_size": options.batch_size,
            "device_batch_size": options.micro_batch_size(options.batch_size),
            "sequence_length": pretraining.data.sequence_length,
            "steps_measured": len(step_seconds),
            "steps_per_second": steps_per_second(step_seconds),
        }
        write_json(taken | peak_memory(), efficiency)
