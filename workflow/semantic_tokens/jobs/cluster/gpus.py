"""The number of GPUs of a job."""

from collections.abc import Mapping
from typing import Any


def gpu_count(resources: Mapping[str, Any]) -> int:
    """The number of GPUs of a job, from ``gpu`` or, on some clusters, ``gres``.

    >>> gpu_count({"gpu": 2}), gpu_count({"gpu": 0, "gres": "gpu:a100:4"}), gpu_count({"gres": "gpu"})
    (2, 4, 1)
    """
    if gpus := int(resources.get("gpu", 0)):
        return gpus
    for asked in str(resources.get("gres", "")).split(","):
        name, *rest = asked.split(":")
        if name == "gpu":
            return int(rest[-1]) if rest and rest[-1].isdigit() else 1
    return 0
