"""Checks of a job's GPUs and their memory."""

import contextlib
import math
from collections.abc import Callable, Iterator
from pathlib import Path

import torch

from semantic_tokens.errors import InputError

#: The driver's file on Linux, if the driver is loaded.
DRIVER_VERSION = Path("/proc/driver/nvidia/version")


def require_gpus(count: int) -> None:
    """Check that a job has the GPUs that it needs.

    Raises:
        InputError: torch finds fewer. The message names the driver and the build of torch, and says
            how to fix it.
    """
    found = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if found >= count:
        return
    build = f"torch {torch.__version__} is built for " + (
        f"CUDA {torch.version.cuda}" if torch.version.cuda else "no GPU"
    )
    if not torch.version.cuda:
        remedy = (
            "remove `.venv` and run `python3 envs/set_up.py --torch cuda` (with "
            "`--software-deployment-method conda`, envs/gpu.yaml has that build)"
        )
    elif found:
        remedy = "give the job more GPUs"
    else:
        remedy = "update the driver, or run on a machine with a GPU that this process may see"
    raise InputError(
        f"`gpus_per_job: {count}` needs as many GPUs, and torch finds {found}{_reason()}. {build}; "
        f"the NVIDIA driver here is {driver_version()}. To go on, {remedy}, or set `gpus_per_job: 0`"
    )


@contextlib.contextmanager
def within_gpu_memory(what: str, remedy: Callable[[], str]) -> Iterator[None]:
    """Convert an out-of-memory error of the GPU in the body.

    Args:
        what: the work, for the message.
        remedy: returns advice on what would fit.

    Raises:
        InputError: the GPU has too little memory. The message has its total and free memory.
    """
    try:
        yield
    except RuntimeError as error:  # includes torch.OutOfMemoryError
        if not is_out_of_gpu_memory(error):
            raise
        raise InputError(
            f"{what} needs more GPU memory than there is ({memory_here()}); {remedy()}. Then run "
            "the same command again: finished results are kept, and a training continues from its "
            "checkpoint"
        ) from error


def is_out_of_gpu_memory(error: BaseException) -> bool:
    """Whether an error of torch or a CUDA library means that the GPU is out of memory."""
    if isinstance(error, torch.OutOfMemoryError):
        return True
    said = str(error)
    return "CUDA error: out of memory" in said or "_STATUS_ALLOC_FAILED" in said


def memory_here() -> str:
    """The use of the GPU's memory, in words."""
    free, total = torch.cuda.mem_get_info()
    own = torch.cuda.memory_reserved()
    others = max(0, total - free - own)
    return (
        f"{torch.cuda.get_device_name()} has {_gib(total)}: {_gib(own)} are this process's, "
        f"{_gib(others)} the CUDA context's and other processes', and {_gib(free)} are free"
    )


def batch_that_fits(rows: int, kept: int) -> int:
    """An estimate of the number of rows that fit in a forward and backward pass, after a pass ran
    out of memory.

    The memory use of the failed pass is divided by its rows. The pass was not finished, so the
    estimate is too high; therefore it is limited to half of the rows.

    Args:
        rows: the number of rows of the failed pass.
        kept: the bytes of the weights, their gradients and the optimizer.

    Returns:
        a power of two, or 0 if one row does not fit.
    """
    free, _ = torch.cuda.mem_get_info()
    room = free + torch.cuda.memory_reserved() - kept
    per_row = max(1, torch.cuda.max_memory_allocated() - kept) / rows
    fits = min(room / per_row, rows // 2)
    return 2 ** int(math.log2(fits)) if fits >= 1 else 0


def _gib(count: float) -> str:
    return f"{count / 2**30:.1f} GiB"


def _reason() -> str:
    """The reason that torch gives for not finding a GPU, or an empty text."""
    if torch.cuda.is_available():
        return ""
    try:
        torch.cuda.init()
    except (RuntimeError, AssertionError) as error:
        return f" ({str(error).splitlines()[0].rstrip('.')})"
    return ""


def driver_version() -> str:
    """The version of the NVIDIA driver, or why it is unknown."""
    try:
        words = DRIVER_VERSION.read_text(encoding="utf-8").partition("\n")[0].split()
    except OSError:
        return "not loaded"
    return next((word for word in words if word[:1].isdigit() and "." in word), "unknown")
