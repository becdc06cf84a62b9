"""What training takes: parameters, memory and speed (paper, Appendix D; Table 3)."""

import resource
import statistics
import sys
from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

#: Steps at the start that are left out: the first ones allocate memory and start threads.
WARM_UP = 5


def parameter_count(model: nn.Module) -> int:
    """Trained numbers of a model, tied ones once."""
    return sum(parameter.numel() for parameter in model.parameters())


def steps_per_second(seconds: Sequence[float]) -> float | None:
    """The speed of the median step, so that a pause of the machine does not count.

    Args:
        seconds: of every step; the first :data:`WARM_UP` are left out where others remain.

    Returns:
        None where no step was taken.
    """
    steady = seconds[WARM_UP:] or seconds
    return 1 / statistics.median(steady) if steady else None


def peak_memory() -> dict[str, Any]:
    """``peak_memory_bytes`` of this process so far, and ``memory_of`` what.

    On a GPU it is what PyTorch took of it, as the driver's tools show it; else the resident
    memory of the process, libraries and all.
    """
    if torch.cuda.is_available():
        return {"peak_memory_bytes": torch.cuda.max_memory_reserved(), "memory_of": "GPU"}
    unit = 1 if sys.platform == "darwin" else 1024  # bytes there, KiB elsewhere
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    return {"peak_memory_bytes": peak, "memory_of": "process"}
