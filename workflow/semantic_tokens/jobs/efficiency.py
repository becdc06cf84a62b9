"""What training takes: parameters, memory and speed (paper, Appendix D; Table 3)."""

import platform
import resource
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path
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


def device_name() -> str:
    """The GPU's name, or the processor's and how many threads compute."""
    if torch.cuda.is_available():
        return str(torch.cuda.get_device_name())
    threads = torch.get_num_threads()
    return f"{_processor()}, {threads} thread{'' if threads == 1 else 's'}"


def _processor() -> str:
    path = Path("/proc/cpuinfo")
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return next(iter(names), "") or platform.processor() or platform.machine()
