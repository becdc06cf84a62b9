"""Parameters, memory and speed of trainings (paper, Appendix D; Table 3)."""

import resource
import statistics
import sys
from collections.abc import Sequence
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
        seconds: the duration of every step; the first :data:`WARM_UP` are ignored if there are
            more.

    Returns:
        None without steps.
    """
    steady = seconds[WARM_UP:] or seconds
    return 1 / statistics.median(steady) if steady else None


def peak_memory() -> dict[str, Any]:
    """``peak_memory_bytes`` of this process so far, and ``memory_of``, the kind of memory.

    On a GPU it is the memory that PyTorch reserved, as the driver's tools show it. Otherwise it is
    the resident memory of the process, including libraries.
    """
    if torch.cuda.is_available():
        return {"peak_memory_bytes": torch.cuda.max_memory_reserved(), "memory_of": "GPU"}
    unit = 1 if sys.platform == "darwin" else 1024  # bytes there, KiB elsewhere
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    return {"peak_memory_bytes": peak, "memory_of": "process"}
