"""The one training loop, on accelerate: fine-tuning and continual pretraining both run it.

The order of the data is a pure function of the seed and the epoch, and the loop's state is
saved with the model's, so a run that was killed goes on where its last checkpoint stood and
ends with the same weights as one that was not.

**Processes.** Under torchrun or accelerate every process makes the same batches, computes every
so-many-th micro-batch of a step, and the gradients are summed over the processes before the
optimizer steps; so a step is the same whatever their number. A micro-batch that may not be cut is
computed by all of them, each encoding its share. :mod:`semantic_tokens.processes` starts them.
"""

import hashlib
import importlib.util
import inspect
import itertools
import json
import logging
import math
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file
from torch import distributed, nn
from tqdm import tqdm
from transformers import PreTrainedModel

from semantic_tokens.errors import InputError
from semantic_tokens.files import read_json, whole, write_json
from semantic_tokens.processes import process_count

log = logging.getLogger(__name__)

Batch = dict[str, torch.Tensor]

# Overflows of fp16 one after another: by then its loss scale is a millionth of the first one.
_OVERFLOWS = 20


@dataclass(frozen=True)
class TrainingOptions:
    """How long and how fast to train (Table 2; Appendix A).

    Attributes:
        learning_rate: peak, reached after the warm-up and decayed linearly to zero.
        batch_size: examples an optimizer step, over all devices.
        epochs: passes over the training data; ``max_steps`` ends sooner.
        max_steps: optimizer steps at the most, or None.
        device_batch_size: examples a forward pass; smaller ones accumulate gradients.
        warmup_ratio: share of the steps over which the learning rate rises.
        adam_betas: of AdamW.
        weight_decay: of AdamW, on matrices only.
        max_gradient_norm: gradients are clipped to it.
        dropout: of embeddings, attention and residual branches; None is the backbone's own.
        precision: ``no`` (float32), ``bf16``, ``fp16``, or ``auto``: see :func:`precision_here`.
        compile: ``auto`` or ``no``: see :func:`compile_encoders`.
        gradient_checkpointing: compute activations again in the backward pass, to save memory.
        attn_implementation: transformers' name of an attention; None is its default.
        checkpoint_every: optimizer steps between checkpoints; 0 keeps none.
    """

    learning_rate: float
    batch_size: int
    epochs: float = 1.0
    max_steps: int | None = None
    device_batch_size: int | None = None
    warmup_ratio: float = 0.0
    adam_betas: tuple[float, float] = (0.9, 0.99)
    weight_decay: float = 0.0
    max_gradient_norm: float = 1.0
    dropout: float | None = None
    precision: str = "no"
    compile: str = "auto"
    gradient_checkpointing: bool = False
    attn_implementation: str | None = None
    checkpoint_every: int = 0

    def steps(self, examples: int) -> int:
        """Optimizer steps that training on so many examples takes."""
        steps = math.ceil(self.epochs * math.ceil(examples / self.batch_size))
        return steps if self.max_steps is None else min(steps, self.max_steps)

    def micro_batch_size(self, rows: int) -> int:
        """Rows of a forward pass: no more than the device takes, and few enough that every
        process has some."""
        share = math.ceil(rows / process_count())
        return min(share, self.device_batch_size or share)


def precision_here(wanted: str) -> str:
    """The precision to compute in: ``auto`` is bf16 where the GPU has it, fp16 on an older GPU,
    and float32 without one.

    Raises:
        InputError: fp16 is wanted, whose small range needs a GPU's loss scaling, and there is none.
    """
    if wanted == "auto":
        if not torch.cuda.is_available():
            return "no"
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp16"
    if wanted == "fp16" and not torch.cuda.is_available():
        raise InputError(
            "`precision: fp16` needs a GPU, and this machine has none; set `precision: auto`"
        )
    return wanted


def autocast_here(wanted: str) -> AbstractContextManager[Any]:
    """Compute in this precision, as training does."""
    precision = precision_here(wanted)
    if precision == "no":
        return nullcontext()
    kind = torch.bfloat16 if precision == "bf16" else torch.float16
    return torch.autocast("cuda" if torch.cuda.is_available() else "cpu", dtype=kind)


def compiler_here() -> str | None:
    """The compiler that helps here, by torch's name of it: none without a GPU that its kernels
    run on, since on a CPU compiling takes longer than a short training."""
    if not torch.cuda.is_available() or importlib.util.find_spec("triton") is None:
        return None
    return "inductor" if torch.cuda.get_device_capability() >= (7, 0) else None


def compile_encoders(model: nn.Module, wanted: str) -> None:
    """Compile a model's encoder in place with ``torch.compile``, for batches of any size.

    What cannot be compiled runs as it is. Not yet run on a GPU.

    Args:
        wanted: ``auto``, where :func:`compiler_here` names a compiler, or ``no``.
    """
    compiler = compiler_here() if wanted == "auto" else None
    if compiler is None:
        return
    torch._dynamo.config.suppress_errors = True
    for module in model.modules():
        if isinstance(module, PreTrainedModel) and module.base_model is module:
            module.compile(backend=compiler, dynamic=True)


def shuffled_batches(
    lengths: Sequence[int], batch_size: int, steps: int, seed: int, pool: int = 16
) -> Iterator[np.ndarray]:
    """Yield one array of example indices an optimizer step.

    Every epoch visits each example once, in an order drawn from the seed and the epoch.
    Examples of like length share a batch: each run of ``pool`` batches is sorted by length
    before it is cut, and the batches are then shuffled, so little padding is computed.

    Args:
        lengths: tokens of each example.
        steps: how many batches to yield, over as many epochs as that takes.
    """
    size_of = np.asarray(lengths)
    emitted, epoch = 0, 0
    while emitted < steps:
        generator = np.random.default_rng([seed, epoch])
        order = generator.permutation(len(lengths))
        batches = []
        for start in range(0, len(order), batch_size * pool):
            run = order[start : start + batch_size * pool]
            run = run[np.argsort(size_of[run], kind="stable")]
            batches += [run[i : i + batch_size] for i in range(0, len(run), batch_size)]
        for index in generator.permutation(len(batches)):
            if emitted == steps:
                return
            yield batches[index]
            emitted += 1
        epoch += 1


def train(
    model: nn.Module,
    batches: Callable[[], Iterator[list[Batch]]],
    loss: Callable[[nn.Module, Batch], torch.Tensor],
    *,
    steps: int,
    options: TrainingOptions,
    seed: int,
    terms: Callable[[Batch], int] | None = None,
    loss_is_shared: bool = False,
    checkpoint: str | Path | None = None,
    keep_checkpoint: bool = False,
    step_seconds: list[float] | None = None,
    description: str = "training",
) -> list[float]:
    """Train a model in place.

    Args:
        batches: yields for every optimizer step the list of micro-batches whose gradients it
            averages; the same sequence whenever it is called, and in every process.
        loss: of a (possibly wrapped) model on one micro-batch, a scalar mean.
        steps: optimizer steps in all.
        terms: how many terms (examples, tokens) the mean of a micro-batch's loss is over, so
            that a step averages over the terms of all its micro-batches; None is one a row.
        loss_is_shared: ``loss`` itself divides a micro-batch among the processes: it is called
            in all of them, returns the same in each, and its gradient is of that process's share.
        checkpoint: folder for the state of an unfinished run. It lies outside the declared
            outputs of a job, which Snakemake deletes when a job starts again; it is removed
            when training ends. A run with other options, weights or data starts again.
        keep_checkpoint: leave the state of the last step there, for the caller to remove
            (:func:`remove_checkpoint`) when what it makes of the weights is written.
        step_seconds: what every step took is appended to it; a resumed run's earlier steps are not.

    Returns:
        the mean loss of every optimizer step.

    Raises:
        InputError: the loss or the gradient is not finite; the step's micro-batches are saved
            beside the checkpoint. Or the checkpoint is damaged.
    """
    from accelerate import Accelerator

    precision = precision_here(options.precision)
    # By this name, for `use_deterministic_algorithms` imports the compiler, see :class:`_AdamW`.
    torch.set_deterministic_debug_mode("default" if torch.cuda.is_available() else "warn")
    # It also fills every new tensor, for those who read what they did not write: a twelfth of a
    # step's time here.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    accelerator = Accelerator(
        mixed_precision=precision,
        step_scheduler_with_optimizer=False,
        cpu=not torch.cuda.is_available(),
    )
    # Dropout differs between processes; the data does not depend on it.
    torch.manual_seed(seed + accelerator.process_index)
    optimizer = _AdamW(
        _decayed(model, options.weight_decay),
        lr=options.learning_rate,
        betas=options.adam_betas,
        fused=True,
    )
    warmup = math.ceil(options.warmup_ratio * steps)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer,
        lambda step: min((step + 1) / (warmup + 1), (steps - step) / max(1, steps - warmup)),
    )
    model.train()
    fingerprint = None
    if checkpoint is not None:
        fingerprint = _fingerprint(model, next(iter(batches()), []), options, steps, seed)
    compile_encoders(model, options.compile)
    # Not wrapped for distributed training, which would average what is summed below. To be told where
    # to place it spares looking for tensors that are spread over devices, and a third of a second's import.
    prepared = accelerator.prepare_model(model, device_placement=True, evaluation_mode=True)
    optimizer, schedule = accelerator.prepare(optimizer, schedule)
    losses = _resume(accelerator, checkpoint, fingerprint)
    done = len(losses)
    overflows = 0
    progress = tqdm(
        total=steps,
        initial=done,
        desc=description,
        unit="step",
        mininterval=2,
        disable=not accelerator.is_local_main_process,
    )
    with progress:
        for step, micro_batches in enumerate(batches()):
            if step < done:
                continue
            if step == steps:
                break
            began = time.perf_counter()
            value = 0.0
            counts = [(terms or _rows)(micro_batch) for micro_batch in micro_batches]
            for number, (micro_batch, count) in enumerate(zip(micro_batches, counts, strict=True)):
                is_own = number % accelerator.num_processes == accelerator.process_index
                if not is_own and not loss_is_shared:
                    continue
                if not count:  # the mean of nothing is no number
                    continue
                micro_batch = {
                    name: tensor.to(accelerator.device) for name, tensor in micro_batch.items()
                }
                with accelerator.autocast():
                    part = loss(prepared, micro_batch) * (count / sum(counts))
                if is_own:
                    value += float(part.detach())
                accelerator.backward(part)
            value = _summed(accelerator, prepared, value)
            norm = torch.tensor(0.0)
            if math.isfinite(value):
                # As `accelerator.clip_grad_norm_`, which looks for spread tensors first.
                accelerator.unscale_gradients()
                norm = nn.utils.clip_grad_norm_(prepared.parameters(), options.max_gradient_norm)
            # Under fp16 a gradient may overflow: its scaler then skips the step, halves the scale and
            # goes on, but not forever.
            overflows = 0 if math.isfinite(norm) else overflows + 1
            allowed = _OVERFLOWS if precision == "fp16" else 0
            if not math.isfinite(value) or overflows > allowed:
                what = "loss" if not math.isfinite(value) else "gradient"
                saved = _save_batch(accelerator, checkpoint, micro_batches, step)
                raise InputError(
                    f"the {what} became {value if what == 'loss' else float(norm)} at step "
                    f"{step + 1} of {steps} ({description}); lower the learning rate or set "
                    f"`precision: no` in the config{saved}"
                )
            optimizer.step()
            schedule.step()
            optimizer.zero_grad()
            losses.append(value)
            if step_seconds is not None:
                step_seconds.append(time.perf_counter() - began)
            progress.update()
            progress.set_postfix(loss=f"{value:.3f}", refresh=False)
            if options.checkpoint_every and (step + 1) % options.checkpoint_every == 0:
                _save(accelerator, checkpoint, fingerprint, losses)
    every = options.checkpoint_every
    if keep_checkpoint and len(losses) > done and not (every and steps % every == 0):
        _save(accelerator, checkpoint, fingerprint, losses)
    if checkpoint is not None and not keep_checkpoint and accelerator.is_main_process:
        remove_checkpoint(checkpoint)
    if losses and accelerator.is_main_process:
        window = max(1, len(losses) // 10)
        log.info(
            "%s: %d steps, loss %.4f -> %.4f",
            description,
            steps,
            float(np.mean(losses[:window])),
            float(np.mean(losses[-window:])),
        )
    return losses


def remove_checkpoint(checkpoint: str | Path) -> None:
    """Remove a run's checkpoint, if there is one.

    What says that it is there goes first, so that half of one is never taken for a whole."""
    (Path(checkpoint) / "state.json").unlink(missing_ok=True)
    shutil.rmtree(checkpoint, ignore_errors=True)


class _AdamW(torch.optim.AdamW):
    """torch's own, without its compiler.

    Torch wraps these methods so that its compiler passes them by, and the wrappers import it to say
    so: a second of a process that compiles nothing, as long as all else that it imports. Below them
    the methods are the same.
    """

    step = torch.no_grad()(inspect.unwrap(torch.optim.AdamW.step))
    zero_grad = inspect.unwrap(torch.optim.AdamW.zero_grad)
    add_param_group = inspect.unwrap(torch.optim.AdamW.add_param_group)
    state_dict = inspect.unwrap(torch.optim.AdamW.state_dict)
    load_state_dict = inspect.unwrap(torch.optim.AdamW.load_state_dict)


def _decayed(model: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    # Biases and LayerNorm have one dimension and are not decayed, as is the custom.
    matrices = [p for p in model.parameters() if p.requires_grad and p.ndim > 1]
    vectors = [p for p in model.parameters() if p.requires_grad and p.ndim <= 1]
    return [
        {"params": matrices, "weight_decay": weight_decay},
        {"params": vectors, "weight_decay": 0.0},
    ]


def _summed(accelerator: Any, model: nn.Module, value: float) -> float:
    """Sum the gradients, in place, and the loss over all processes; return the loss."""
    if accelerator.num_processes == 1:
        return value
    total = torch.tensor(value, dtype=torch.float64, device=accelerator.device)
    distributed.all_reduce(total)
    for parameter in model.parameters():
        if parameter.requires_grad:
            if parameter.grad is None:  # this process had no micro-batch
                parameter.grad = torch.zeros_like(parameter)
            distributed.all_reduce(parameter.grad)
    return float(total)


def _save_batch(
    accelerator: Any, checkpoint: str | Path | None, micro_batches: list[Batch], step: int
) -> str:
    """Write the micro-batches of a step that failed; return words that say where."""
    if checkpoint is None:
        return ""
    path = Path(f"{checkpoint}.failed-step-{step + 1}.safetensors")
    if accelerator.is_main_process:
        tensors = {
            f"{number}.{name}": tensor.detach().cpu().contiguous()
            for number, batch in enumerate(micro_batches)
            for name, tensor in batch.items()
        }
        with whole(path) as partial:
            save_file(tensors, partial)
    return f". The step's data are in {path}"


def _rows(batch: Batch) -> int:
    return len(next(iter(batch.values())))


def _fingerprint(
    model: nn.Module, first: list[Batch], options: TrainingOptions, steps: int, seed: int
) -> str:
    """A digest of what decides a run: options, starting weights and the first step's data.

    How often checkpoints are kept decides nothing.
    """
    settings = asdict(replace(options, checkpoint_every=0))
    digest = hashlib.sha256(json.dumps([settings, steps, seed]).encode("utf-8"))
    tensors = [model.state_dict(), *first]
    for name, tensor in itertools.chain.from_iterable(part.items() for part in tensors):
        digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
        digest.update(tensor.detach().cpu().flatten().view(torch.uint8).numpy())
    return digest.hexdigest()


def _save(
    accelerator: Any, checkpoint: str | Path | None, fingerprint: str | None, losses: list[float]
) -> None:
    if checkpoint is None:
        return
    folder = Path(checkpoint)
    # Two folders in turn: the older one stays whole while the newer one is written.
    state = folder / "state.json"
    newest = read_json(state)["folder"] if state.exists() else "second"
    target = folder / ("first" if newest == "second" else "second")
    accelerator.wait_for_everyone()  # all have read which one is the newer
    accelerator.save_state(str(target))
    accelerator.wait_for_everyone()
    if accelerator.is_main_process:
        write_json({"run": fingerprint, "losses": losses, "folder": target.name}, state)
    accelerator.wait_for_everyone()


def _resume(
    accelerator: Any, checkpoint: str | Path | None, fingerprint: str | None
) -> list[float]:
    """Load the state that a checkpoint holds of this very run; return its losses so far."""
    if checkpoint is None:
        return []
    if not (Path(checkpoint) / "state.json").exists():
        if accelerator.is_main_process:  # what is left of one that was being removed, of any run
            remove_checkpoint(checkpoint)
        return []
    state = read_json(Path(checkpoint) / "state.json")
    if state.get("run") != fingerprint:
        log.warning(
            "%s is of a run with other options, weights or data: starting again", checkpoint
        )
        accelerator.wait_for_everyone()
        if accelerator.is_main_process:
            remove_checkpoint(checkpoint)
        accelerator.wait_for_everyone()
        return []
    try:
        accelerator.load_state(str(Path(checkpoint) / state["folder"]))
    except Exception as error:  # each of the libraries that read a part of it has its own
        raise InputError(
            f"{checkpoint} cannot be read ({error}); delete it to train from the beginning"
        ) from error
    log.info("resuming at step %d from %s", len(state["losses"]), checkpoint)
    return list(state["losses"])
