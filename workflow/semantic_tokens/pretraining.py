"""Continual pretraining by masked language modelling on semantic tokens (paper, 2.4; Ap. A)."""

import bisect
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import safe_open

from semantic_tokens.efficiency import (
    device_name,
    parameter_count,
    peak_memory,
    steps_per_second,
)
from semantic_tokens.errors import InputError
from semantic_tokens.files import reading, write_json
from semantic_tokens.model import load_masked_language_model, save_masked_language_model
from semantic_tokens.processes import is_first_process, process_count
from semantic_tokens.tokenization import SpecialTokens, load_tokenizer
from semantic_tokens.training import (
    Batch,
    Tracking,
    TrainingOptions,
    precision_here,
    remove_checkpoint,
    train,
)

log = logging.getLogger(__name__)


class _Sequences:
    """The sequences of one language in several files, each read from disk when it is asked for."""

    def __init__(self) -> None:
        self._parts: list[Any] = []
        self._ends: list[int] = []

    def append(self, part: Any) -> None:
        self._parts.append(part)
        self._ends.append(len(self) + part.get_shape()[0])

    def __len__(self) -> int:
        return self._ends[-1] if self._ends else 0

    def __getitem__(self, index: int) -> np.ndarray:
        """[L] int32."""
        number = bisect.bisect_right(self._ends, index)
        row = index - (self._ends[number - 1] if number else 0)
        return self._parts[number][row : row + 1][0]


class PackedCorpora:
    """Full sequences by language, sampled with a temperature.

    A language with a share p of all sequences is drawn with probability proportional to
    p ** ``exponent``: 1 follows the data, 0 draws every language alike.
    """

    def __init__(self, paths: list[str | Path], exponent: float) -> None:
        found: dict[str, _Sequences] = {}
        for path in paths:
            with reading(path):
                file = safe_open(path, framework="np")  # mapped into memory, not read
            for language in file.keys():  # noqa: SIM118 (not a dictionary)
                found.setdefault(language, _Sequences()).append(file.get_slice(language))
        if not found:
            raise InputError(f"{', '.join(map(str, paths))} hold no sequence; add a corpus")
        self.sequences = {name: found[name] for name in sorted(found)}
        counts = np.array([len(rows) for rows in self.sequences.values()], dtype=np.float64)
        weights = (counts / counts.sum()) ** exponent
        self.probabilities = weights / weights.sum()

    @property
    def sequence_length(self) -> int:
        """L, tokens of a sequence."""
        return len(next(iter(self.sequences.values()))[0])

    def batches(self, batch_size: int, steps: int, seed: int) -> Iterator[np.ndarray]:
        """Yield [batch_size, L] int32 a step; a language's sequences come in a shuffled order,
        each once before any comes again."""
        generator = np.random.default_rng(seed)
        names = list(self.sequences)
        orders = {name: np.empty(0, dtype=np.int64) for name in names}
        for _ in range(steps):
            drawn = generator.choice(len(names), size=batch_size, p=self.probabilities)
            rows = []
            for index in drawn:
                name = names[index]
                if not len(orders[name]):
                    orders[name] = generator.permutation(len(self.sequences[name]))
                rows.append(self.sequences[name][int(orders[name][0])])
                orders[name] = orders[name][1:]
            yield np.stack(rows)


def mask_tokens(
    input_ids: torch.Tensor,
    special_ids: torch.Tensor,
    *,
    mask_id: int,
    vocabulary_size: int,
    probability: float,
    generator: torch.Generator,
) -> tuple[torch.Tensor, torch.Tensor]:
    """BERT's masking: of the chosen tokens 80% become [MASK], 10% a random token, 10% stay.

    Args:
        input_ids: [B, L] int64.
        special_ids: ids that are never chosen.

    Returns:
        the ids to feed and the ids to predict (-100 where nothing is), both [B, L].
    """
    eligible = ~torch.isin(input_ids, special_ids)
    chosen = (torch.rand(input_ids.shape, generator=generator) < probability) & eligible
    targets = torch.where(chosen, input_ids, -100)
    action = torch.rand(input_ids.shape, generator=generator)
    random_ids = torch.randint(vocabulary_size, input_ids.shape, generator=generator)
    fed = torch.where(chosen & (action < 0.8), mask_id, input_ids)
    fed = torch.where(chosen & (action >= 0.9), random_ids, fed)
    return fed, targets


def pretrain(
    model_folder: str | Path,
    corpora: list[str | Path],
    tokenizer: str | Path,
    target: str | Path,
    *,
    options: TrainingOptions,
    seed: int,
    mask_probability: float,
    language_sampling_exponent: float,
    checkpoint: str | Path | None = None,
    efficiency: str | Path | None = None,
    tracking: Tracking | None = None,
    description: str = "pretraining",
) -> list[float]:
    """Continue a semantic-token model's pretraining and write it to ``target``.

    Args:
        tracking: where the steps are recorded.
        efficiency: a JSON file for what it took (Table 3): ``parameters``, ``device``,
            ``processes``, ``precision``, ``batch_size``, ``device_batch_size``,
            ``sequence_length``, ``steps_measured``, ``steps_per_second`` (null where no step was
            left to do), ``peak_memory_bytes`` and ``memory_of``.

    Returns:
        the loss of every step, in nats a masked token.
    """
    data = PackedCorpora(corpora, language_sampling_exponent)
    frame = SpecialTokens.of(load_tokenizer(tokenizer))
    if frame.mask is None:
        raise InputError(f"{tokenizer} has no mask token, which masked language modelling needs")
    model = load_masked_language_model(model_folder, seed=seed, dropout=options.dropout)
    vocabulary_size = len(model.encoder.word_embeddings.token_to_group)
    special = torch.tensor(
        sorted({*frame.prefix, *frame.middle, *frame.suffix, frame.pad, frame.mask})
    )
    steps = options.max_steps
    if steps is None:
        raise InputError("pretraining needs a number of steps: set `pretraining.max_steps`")
    mask_id = frame.mask

    def batches() -> Iterator[list[Batch]]:
        generator = torch.Generator().manual_seed(seed)
        for rows in data.batches(options.batch_size, steps, seed):
            fed, targets = mask_tokens(
                torch.from_numpy(rows.astype(np.int64)),
                special,
                mask_id=mask_id,
                vocabulary_size=vocabulary_size,
                probability=mask_probability,
                generator=generator,
            )
            size = options.micro_batch_size(len(rows))
            yield [
                {
                    "input_ids": fed[i : i + size],
                    "masked_tokens": targets[i : i + size],
                }
                for i in range(0, len(fed), size)
            ]

    step_seconds: list[float] = []
    losses = train(
        model,
        batches,
        lambda wrapped, batch: wrapped(**batch),
        steps=steps,
        options=options,
        seed=seed,
        terms=lambda batch: int((batch["masked_tokens"] != -100).sum()),
        checkpoint=checkpoint,
        # Until the model is written: who is killed before that does not train again.
        keep_checkpoint=checkpoint is not None and options.checkpoint_every > 0,
        tracking=tracking,
        step_seconds=step_seconds,
        description=description,
    )
    if is_first_process():
        save_masked_language_model(model, model_folder, target)
        if efficiency is not None:
            taken = {
                "parameters": parameter_count(model),
                "device": device_name(),
                "processes": process_count(),
                "precision": precision_here(options.precision),
                "batch_size": options.batch_size,
                "device_batch_size": options.micro_batch_size(options.batch_size),
                "sequence_length": data.sequence_length,
                "steps_measured": len(step_seconds),
                "steps_per_second": steps_per_second(step_seconds),
            }
            write_json(taken | peak_memory(), efficiency)
        if checkpoint is not None:
            remove_checkpoint(checkpoint)
    return losses
