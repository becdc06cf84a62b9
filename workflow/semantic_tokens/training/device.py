"""The device, precision, attention and compiler of a training."""

import importlib.util
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import nn
from transformers import PreTrainedModel

from semantic_tokens.errors import InputError
from semantic_tokens.jobs.device import device_name
from semantic_tokens.jobs.processes import process_count
from semantic_tokens.training.options import TrainingOptions


def precision_here(wanted: str) -> str:
    """The precision of the computation: ``auto`` is bf16 if the GPU supports it, fp16 on an older
    GPU, and float32 without a GPU.

    Raises:
        InputError: fp16 is requested without a GPU. Its small range needs a GPU's loss scaling.
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
    """A context that computes in this precision, as training does."""
    precision = precision_here(wanted)
    if precision == "no":
        return nullcontext()
    kind = torch.bfloat16 if precision == "bf16" else torch.float16
    return torch.autocast("cuda" if torch.cuda.is_available() else "cpu", dtype=kind)


def compiler_here() -> str | None:
    """The name in torch of the compiler for this machine, or None.

    Compilation needs a GPU that can run the kernels. On a CPU it takes longer than a short
    training.
    """
    if not torch.cuda.is_available() or importlib.util.find_spec("triton") is None:
        return None
    return "inductor" if torch.cuda.get_device_capability() >= (7, 0) else None


def compile_encoders(model: nn.Module, wanted: str) -> bool:
    """Compile a model's encoder in place with ``torch.compile``, for batches of any size.

    Compilation happens in the first step. Code that cannot be compiled runs uncompiled;
    :func:`uncompiled_functions` counts it.

    Args:
        wanted: ``auto`` compiles if :func:`compiler_here` names a compiler; ``no`` does not
            compile.

    Returns:
        whether the encoder is to be compiled.
    """
    compiler = compiler_here() if wanted == "auto" else None
    encoders = [module for module in model.modules() if _is_encoder(module)]
    if compiler is None or not encoders:
        return False
    torch._dynamo.config.suppress_errors = True
    torch._dynamo.utils.counters["frames"].clear()
    for encoder in encoders:
        encoder.compile(backend=compiler, dynamic=True)
    return True


def uncompiled_functions() -> int:
    """The number of functions that torch tried to compile since :func:`compile_encoders`, and that
    run uncompiled."""
    frames = torch._dynamo.utils.counters["frames"]
    return frames["total"] - frames["ok"]


def _is_encoder(module: nn.Module) -> bool:
    """Whether a module is a base model in the sense of transformers: an encoder without its
    head."""
    return getattr(module, "base_model", None) is module


def checkpoint_activations(model: PreTrainedModel) -> None:
    """Keep few of a model's activations, and recompute the others in the backward pass.

    Raises:
        InputError: the model's family does not support it.
    """
    try:
        model.activation_checkpointing_enable()
    except ValueError as error:
        raise InputError(
            f"`gradient_checkpointing: true` is not possible with {type(model).__name__} "
            f"({error}); set it to false"
        ) from error


def describe_setup(model: nn.Module, options: TrainingOptions, is_compiled: bool) -> str:
    """Device, precision, attention implementation and compiler of a training, in one line."""
    count = process_count()
    precision = precision_here(options.precision)
    configs = (getattr(module, "config", None) for module in model.modules())
    attention = (getattr(config, "_attn_implementation", None) for config in configs)
    parts = [
        device_name() + (f" × {count} processes" if count > 1 else ""),
        "float32" if precision == "no" else precision,
        f"attention {next(filter(None, attention), 'of the model')}",
        "compiled" if is_compiled else "not compiled",
    ]
    if options.gradient_checkpointing:
        parts.append("gradient checkpointing")
    return ", ".join(parts)
