"""Whether a job that asks for GPUs has them, and whether their memory suffices."""

import contextlib
import math
from collections.abc import Callable, Iterator
from pathlib import Path

import torch

from semantic_tokens.errors import InputError

#: Where Linux has it, if the driver is loaded.
DRIVER_VERSION = Path("/proc/driver/nvidia/version")


def require_gpus(count: int) -> None:
    """Check that a job which is to use GPUs has them.

    Raises:
        InputError: torch finds fewer; the message names the driver, the build of torch and the
            way out.
    """
    found = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if found >= count:
        return
    build = f"torch {torch.__version__} is built for " + (
        f"CUDA {torch.version.cuda}" if torch.version.cuda else "no GPU"
    )
    if not torch.version.cuda:
        remedy = "install a build of torch for CUDA (envs/gpu.yaml has one)"
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
    """Explain a lack of GPU memory in the body.

    Args:
        what: the work, for the message.
        remedy: says what would fit; called where the memory does not suffice.

    Raises:
        InputError: it does not; the message names what the GPU has, and what is free.
    """
    try:
        yield
    except RuntimeError as error:  # torch.OutOfMemoryError among them
        if not is_out_of_gpu_memory(error):
            raise
        raise InputError(
            f"{what} needs more GPU memory than there is ({memory_here()}); {remedy()}. Then run "
            "the same command again: what is finished is kept, and a training goes on from its "
            "checkpoint"
        ) from error


def is_out_of_gpu_memory(error: BaseException) -> bool:
    """Whether a GPU's memory did not suffice, as torch or one of CUDA's libraries says it."""
    if isinstance(error, torch.OutOfMemoryError):
        return True
    said = str(error)
    return "CUDA error: out of memory" in said or "_STATUS_ALLOC_FAILED" in said


def memory_here() -> str:
    """What of the GPU's memory is whose, in words."""
    free, total = torch.cuda.mem_get_info()
    own = torch.cuda.memory_reserved()
    others = max(0, total - free - own)
    return (
        f"{torch.cuda.get_device_name()} has {_gib(total)}: {_gib(own)} are this process's, "
        f"{_gib(others)} the CUDA context's and other processes', and {_gib(free)} are free"
    )


def batch_that_fits(rows: int, kept: int) -> int:
    """An estimate of the rows that a forward and backward pass has memory for, after one of more
    rows has not had it.

    What the pass had taken by then, its rows took in equal parts. It was not done, so the estimate
    is high, and half of the rows are its limit.

    Args:
        rows: of the pass that did not fit.
        kept: bytes that the weights, their gradients and the optimizer take.

    Returns:
        a power of two; 0 where not even one row fits.
    """
    free, _ = torch.cuda.mem_get_info()
    room = free + torch.cuda.memory_reserved() - kept
    per_row = max(1, torch.cuda.max_memory_allocated() - kept) / rows
    fits = min(room / per_row, rows // 2)
    return 2 ** int(math.log2(fits)) if fits >= 1 else 0


def _gib(count: float) -> str:
    return f"{count / 2**30:.1f} GiB"


def _reason() -> str:
    """Why torch finds no GPU, in its own words; nothing where it has no reason to give."""
    if torch.cuda.is_available():
        return ""
    try:
        torch.cuda.init()
    except (RuntimeError, AssertionError) as error:
        return f" ({str(error).splitlines()[0].rstrip('.')})"
    return ""


def driver_version() -> str:
    """The version of the NVIDIA driver, or why it is not known."""
    try:
        words = DRIVER_VERSION.read_text(encoding="utf-8").partition("\n")[0].split()
    except OSError:
        return "not loaded"
    return next((word for word in words if word[:1].isdigit() and "." in word), "unknown")
