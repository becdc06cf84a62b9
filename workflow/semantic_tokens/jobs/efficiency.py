"""Parameters, memory and speed of trainings (paper, Appendix D; Table 3)."""

import platform
import resource
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

#: The number of first steps to ignore, since they allocate memory and start threads.
WARM_UP = 5


def parameter_count(model: nn.Module) -> int:
    """The number of trained parameters; tied parameters count once."""
    return sum(parameter.numel() for parameter in model.parameters())


def steps_per_second(seconds: Sequence[float]) -> float | None:
    """The speed of the median step, so that pauses do not count.

    Args:
        seconds: the duration of every step; the first :data:`WARM_UP` are ignored if there are more.

    Returns:
        None without steps.
    """
    steady = seconds[WARM_UP:] or seconds
    return 1 / statistics.median(steady) if steady else None


def peak_memory() -> dict[str, Any]:
    """``peak_memory_bytes`` of this process so far, and ``memory_of``, the kind of memory.

    On a GPU it is the memory that PyTorch reserved, as the driver's tools show it. Otherwise it is the
    resident memory of the process, including libraries.
    """
    if torch.cuda.is_available():
        return {"peak_memory_bytes": torch.cuda.max_memory_reserved(), "memory_of": "GPU"}
    unit = 1 if sys.platform == "darwin" else 1024  # bytes there, KiB elsewhere
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    return {"peak_memory_bytes": peak, "memory_of": "process"}


def device_name() -> str:
    """The name of the GPU, or the name of the CPU with the number of threads."""
    if torch.cuda.is_available():
        return str(torch.cuda.get_device_name())
    threads = torch.get_num_threads()
    return f"{_processor()}, {threads} thread{'' if threads == 1 else 's'}"


def _processor() -> str:
    path = Path("/proc/cpuinfo")
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return next(iter(names), "") or platform.processor() or platform.machine()
