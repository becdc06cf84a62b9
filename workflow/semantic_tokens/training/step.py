"""One optimizer step: gradients of its micro-batches, summed over processes, and an update."""

import math
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import distributed, nn

from semantic_tokens.training.batches import Batch, row_count
from semantic_tokens.training.device import precision_here
from semantic_tokens.training.options import TrainingOptions

# The maximum number of consecutive fp16 overflows; the loss scale is then a millionth of the first.
_OVERFLOWS = 20


class Step(NamedTuple):
    """The record of one optimizer step.

    Attributes:
        loss: the mean over the terms of the step's micro-batches, before the update.
        learning_rate: the learning rate of the update.
        gradient_norm: the norm before clipping.
        examples_per_second: the speed of all processes together.
    """

    loss: float
    learning_rate: float
    gradient_norm: float
    examples_per_second: float


class Stepper:
    """Takes the optimizer steps of one training.

    Args:
        model: the model, on its device.
        steps: the total number of steps, for the schedule.
        loss: the loss of a model on one micro-batch, a scalar mean.
        terms: the number of terms (examples, tokens) in the mean loss of a micro-batch.
        loss_is_shared: whether ``loss`` divides a micro-batch among the processes.
    """

    def __init__(
        self,
        accelerator: Any,
        model: nn.Module,
        options: TrainingOptions,
        *,
        steps: int,
        loss: Callable[[nn.Module, Batch], torch.Tensor],
        terms: Callable[[Batch], int],
        loss_is_shared: bool,
    ) -> None:
        self.accelerator, self.model, self.options = accelerator, model, options
        self.loss, self.terms, self.loss_is_shared = loss, terms, loss_is_shared
        optimizer = make_optimizer(model, options)
        schedule = make_schedule(optimizer, steps, options.warmup_ratio)
        self.optimizer, self.schedule = accelerator.prepare(optimizer, schedule)
        if accelerator.scaler is not None:
            # Set up the scale in all processes. One without a micro-batch in its first step scales no
            # loss, and could not clip its gradients.
            accelerator.scaler.scale(torch.zeros((), device=accelerator.device))
        # With fp16 a gradient may overflow. The scaler then skips the update and halves its scale.
        # The number of consecutive overflows is limited.
        self._allowed = _OVERFLOWS if precision_here(options.precision) == "fp16" else 0
        self._overflows = 0

    def take(self, micro_batches: list[Batch], began: float) -> Step:
        """Take one step over these micro-batches.

        Args:
            began: the start time of the step, by :func:`time.perf_counter`.

        Raises:
            FloatingPointError: the loss or the gradient is not finite; there is no update.
        """
        loss = self._add_gradients(micro_batches)
        if not math.isfinite(loss):
            raise FloatingPointError(f"the loss became {loss}")
        limit = self.options.max_gradient_norm
        norm = float(self.accelerator.clip_grad_norm_(self.model.parameters(), limit))
        self._overflows = 0 if math.isfinite(norm) else self._overflows + 1
        if self._overflows > self._allowed:
            raise FloatingPointError(f"the gradient became {norm}")
        rate = self.schedule.get_last_lr()[0]
        self.optimizer.step()
        self.schedule.step()
        self.optimizer.zero_grad()
        speed = sum(map(row_count, micro_batches)) / (time.perf_counter() - began)
        return Step(loss, rate, norm, speed)

    def _add_gradients(self, micro_batches: list[Batch]) -> float:
        """Add the gradients of the step's mean loss to the parameters; return the loss.

        Each of n processes computes every n-th micro-batch, and gradients are summed over the
        processes. So the result does not depend on their number. (Accelerate's wrapper for
        distributed training would average over the processes, without regard to their numbers of
        terms.)
        """
        accelerator = self.accelerator
        counts = [self.terms(micro_batch) for micro_batch in micro_batches]
        total = torch.zeros((), dtype=torch.float64, device=accelerator.device)
        for number, (micro_batch, count) in enumerate(zip(micro_batches, counts, strict=True)):
            is_own = number % accelerator.num_processes == accelerator.process_index
            if not count or not (is_own or self.loss_is_shared):  # without terms there is no mean
                continue
            micro_batch = {name: part.to(accelerator.device) for name, part in micro_batch.items()}
            with accelerator.autocast():
                loss = self.loss(self.model, micro_batch) * (count / sum(counts))
            if is_own:
                total += loss.detach()
            accelerator.backward(loss)
        if accelerator.num_processes > 1:
            _sum_over_processes(self.model, total)
        return float(total)


def make_optimizer(model: nn.Module, options: TrainingOptions) -> torch.optim.AdamW:
    """AdamW, as usual without weight decay for biases and LayerNorm, which have one dimension."""
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    groups = [
        {"params": [p for p in trained if p.ndim > 1], "weight_decay": options.weight_decay},
        {"params": [p for p in trained if p.ndim <= 1], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=options.learning_rate, betas=options.adam_betas, fused=True)


def make_schedule(
    optimizer: torch.optim.Optimizer, steps: int, warmup_ratio: float
) -> torch.optim.lr_scheduler.LambdaLR:
    """A schedule in which the learning rate rises linearly to its peak and falls linearly to
    zero."""
    warmup = math.ceil(warmup_ratio * steps)
    return torch.optim.lr_scheduler.LambdaLR(
        optimizer,
        lambda step: min((step + 1) / (warmup + 1), (steps - step) / max(1, steps - warmup)),
    )


def _sum_over_processes(model: nn.Module, loss: torch.Tensor) -> None:
    distributed.all_reduce(loss)
    for parameter in model.parameters():
        if parameter.requires_grad:
            if parameter.grad is None:  # this process had no micro-batch
                parameter.grad = torch.zeros_like(parameter)
            distributed.all_reduce(parameter.grad)
