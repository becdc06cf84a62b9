"""The training loop for fine-tuning and continual pretraining, based on accelerate.

An interrupted run continues from its last checkpoint, and ends with the same weights as a run
without an interruption: the order of the data is a pure function of the seed and the epoch, and
checkpoints contain the state of the loop.

**Processes.** With torchrun or accelerate, every process makes the same batches and computes a part
of each step's micro-batches. Gradients are summed over the processes before the update, so a step
does not depend on their number. :mod:`semantic_tokens.jobs.processes` starts the processes.
"""

import itertools
import logging
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from semantic_tokens.errors import InputError
from semantic_tokens.jobs.gpus import batch_that_fits, within_gpu_memory
from semantic_tokens.training.batches import Batch, row_count
from semantic_tokens.training.checkpoint import Checkpoint, remove_checkpoint, run_fingerprint
from semantic_tokens.training.device import (
    compile_encoders,
    describe_setup,
    precision_here,
    uncompiled_functions,
)
from semantic_tokens.training.options import TrainingOptions
from semantic_tokens.training.step import Stepper
from semantic_tokens.training.tracking import Tracking, recording

if TYPE_CHECKING:
    from accelerate import Accelerator

log = logging.getLogger(__name__)


def train(
    model: nn.Module,
    batches: Callable[[], Iterator[list[Batch]]],
    loss: Callable[[nn.Module, Batch], torch.Tensor],
    *,
    steps: int,
    options: TrainingOptions,
    seed: int,
    terms: Callable[[Batch], int] = row_count,
    loss_is_shared: bool = False,
    checkpoint: str | Path | None = None,
    keep_checkpoint: bool = False,
    identity: Any = None,
    tracking: Tracking | None = None,
    step_seconds: list[float] | None = None,
    description: str = "training",
) -> list[float]:
    """Train a model in place.

    Args:
        batches: yields the list of micro-batches of every optimizer step. Every call, and every
            process, must yield the same sequence.
        loss: the loss of a (possibly wrapped) model on one micro-batch, a scalar mean.
        steps: the total number of optimizer steps.
        terms: the number of terms (examples, tokens) in the mean loss of a micro-batch. A step
            averages over the terms of all its micro-batches. The default is the number of rows.
        loss_is_shared: whether ``loss`` divides a micro-batch among the processes. Then all
            processes call it, it returns the same value in each, and its gradient is that of the
            process's part.
        checkpoint: the folder for the state of an unfinished run. It must not be a declared output
            of the job, since Snakemake deletes outputs when a job starts again. It is removed at
            the end. A run with other options, initial weights or ``identity`` starts from the
            beginning. Options that only divide the work may change.
        keep_checkpoint: keep the state of the last step. The caller removes it
            (:func:`remove_checkpoint`) after writing its results.
        identity: plain values that also decide the result, such as the options of the loss and the
            digests of the data.
        tracking: where to record the steps.
        step_seconds: the duration of every step is appended to this list, without steps before a
            resumption.

    Returns:
        the mean loss of every optimizer step.

    Raises:
        InputError: the loss or the gradient is not finite (then the step's micro-batches are saved
            next to the checkpoint); the checkpoint is damaged; a tracker is missing; or the GPU has
            too little memory (the message says what would fit).
    """
    if tracking is not None:
        tracking.check()
    accelerator = _make_accelerator(options, seed, tracking)
    state, run = None, None
    if checkpoint is not None:
        run = run_fingerprint(model, options, steps, seed, identity)
        state = Checkpoint(checkpoint, accelerator, run)
    model.train()
    is_compiled = compile_encoders(model, options.compile)
    if accelerator.is_main_process:
        log.info("%s: %s", description, describe_setup(model, options, is_compiled))
    with within_gpu_memory(f"the model ({description})", lambda: _NOT_THE_MODEL):
        # In evaluation mode, accelerate does not wrap the model for distributed training.
        model = accelerator.prepare_model(model, evaluation_mode=True)
        stepper = Stepper(
            accelerator,
            model,
            options,
            steps=steps,
            loss=loss,
            terms=terms,
            loss_is_shared=loss_is_shared,
        )
        history = state.resume() if state is not None else []
    recorder = recording(accelerator, tracking, options, run, history, steps, description)
    with recorder as record:
        for number, micro_batches, began in _remaining(batches(), len(history), steps):
            place = f"step {number} of {steps} ({description})"
            try:
                with within_gpu_memory(place, partial(_what_fits, model, micro_batches, options)):
                    step = stepper.take(micro_batches, began)
            except FloatingPointError as error:
                raise _failure(error, place, state, number, micro_batches) from error
            history.append(step)
            record(number, step)
            if step_seconds is not None:
                step_seconds.append(time.perf_counter() - began)
            if state is not None and _is_due(number, steps, options, keep_checkpoint):
                state.save(history)
    if checkpoint is not None and not keep_checkpoint and accelerator.is_main_process:
        remove_checkpoint(checkpoint)
    if is_compiled and (count := uncompiled_functions()):
        log.warning(
            "%s: torch.compile failed for %d functions of the encoder, which ran uncompiled",
            description,
            count,
        )
    losses = [step.loss for step in history]
    if losses and accelerator.is_main_process:
        window = max(1, len(losses) // 10)
        first, last = np.mean(losses[:window]), np.mean(losses[-window:])
        log.info("%s: %d steps, loss %.4f -> %.4f", description, steps, first, last)
    return losses


def _make_accelerator(
    options: TrainingOptions, seed: int, tracking: Tracking | None
) -> "Accelerator":
    """Make the run deterministic, and choose the device."""
    from accelerate import Accelerator

    # On a GPU some operations have no deterministic implementation, or a much slower one.
    torch.use_deterministic_algorithms(not torch.cuda.is_available(), warn_only=True)
    # Filling would initialise every new tensor, which takes a twelfth of a step's time on a CPU.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    accelerator = Accelerator(
        mixed_precision=precision_here(options.precision),
        step_scheduler_with_optimizer=False,
        cpu=not torch.cuda.is_available(),
        **({} if tracking is None else tracking.for_accelerator()),
    )
    # Dropout differs between processes. The data do not depend on this seed.
    torch.manual_seed(seed + accelerator.process_index)
    return accelerator


def _remaining(
    batches: Iterator[list[Batch]], done: int, steps: int
) -> Iterator[tuple[int, list[Batch], float]]:
    """Yield ``(number, micro-batches, start time)`` of the remaining steps. A step starts when its
    data are requested."""
    began = time.perf_counter()
    for number, micro_batches in enumerate(itertools.islice(batches, steps), start=1):
        if number > done:
            yield number, micro_batches, began
            began = time.perf_counter()


def _is_due(number: int, steps: int, options: TrainingOptions, keep_last: bool) -> bool:
    """Whether to save the state after this step."""
    every = options.checkpoint_every
    return (every > 0 and number % every == 0) or (keep_last and number == steps)


_NOT_THE_MODEL = "end the other processes on this GPU, or use one with more memory"


def _what_fits(model: nn.Module, micro_batches: list[Batch], options: TrainingOptions) -> str:
    """Advice on how to make a step fit into the GPU's memory."""
    rows = options.device_batch_size or max(map(row_count, micro_batches))
    # AdamW in float32: the weight, its gradient and two moments.
    kept = sum(p.numel() * (16 if p.requires_grad else 4) for p in model.parameters())
    fits = batch_that_fits(rows, kept)
    if fits:
        return f"`device_batch_size` is {rows} here, and by an estimate {fits} would fit: set it"
    return (
        f"`device_batch_size` is {rows} here, and by an estimate not even one row would fit: set "
        f"`gradient_checkpointing: true`, {_NOT_THE_MODEL}"
    )


def _failure(
    error: FloatingPointError,
    place: str,
    state: Checkpoint | None,
    number: int,
    micro_batches: list[Batch],
) -> InputError:
    """The error for a failed step, whose data are saved."""
    saved = ""
    if state is not None:
        path = state.save_failed_step(number, micro_batches)
        saved = f". The step's data are in {path}"
    return InputError(
        f"{error} at {place}; lower the learning rate or set `precision: no` in the config{saved}"
    )
