"""The machine of the measurements, and its rate of matrix products, which is the floor of
others."""

import importlib.metadata
import importlib.util
import platform
import time
from typing import Any

import torch

from on_gpu.run import Run, median_seconds, wait

#: Optional modules.
OPTIONAL = (
    "accelerate",
    "triton",
    "cupy",
    "cuml",
    "faiss",
    "fastkmeans",
    "flash_kmeans",
)


def environment(run: Run, values: dict[str, Any]) -> None:
    """Record the GPU, the driver, and the versions of packages."""
    from semantic_tokens.jobs.device import device_name
    from semantic_tokens.jobs.gpus import driver_version

    values |= {
        "device": device_name(),
        "kind": run.device.type,
        "driver": driver_version(),
        "cuda": torch.version.cuda,
        "python": platform.python_version(),
        "packages": {name: version_of(name) for name in ("torch", "transformers", "numpy")},
    }
    values["packages"] |= {name: version_of(name) for name in OPTIONAL}
    if run.device.type == "cuda":
        properties = torch.cuda.get_device_properties(0)
        values |= {
            "gpus": torch.cuda.device_count(),
            "memory_bytes": properties.total_memory,
            "compute_capability": f"{properties.major}.{properties.minor}",
        }


def version_of(module: str) -> str:
    """The version of a module's package; ``absent`` if it is not installed."""
    if importlib.util.find_spec(module) is None:
        return "absent"
    names = importlib.metadata.packages_distributions().get(module) or [module]
    try:
        return f"{names[0]} {importlib.metadata.version(names[0])}"
    except importlib.metadata.PackageNotFoundError:
        return "of no known version"


def floors(run: Run, values: dict[str, Any]) -> None:
    """Measure floating point operations per second of large products by precision, and bytes per
    second of a copy."""
    for name, kind in (
        ("float32", torch.float32),
        ("bfloat16", torch.bfloat16),
        ("float16", torch.float16),
    ):
        values[f"{name}_operations_per_second"] = matrix_rate(run, kind)
    source = torch.ones(64 * run.sizes.matrix**2 // 16, device=run.device)
    target = torch.empty_like(source)
    seconds = median_seconds(run.device, lambda: target.copy_(source))
    values["copied_bytes_per_second"] = 2 * source.nbytes / seconds


def matrix_rate(run: Run, kind: torch.dtype) -> float:
    """The best rate of a product of square random matrices during a second (0.1 s in small
    sizes)."""
    size = run.sizes.matrix
    seconds = 1.0 if run.sizes.name == "full" else 0.1
    left, right = (torch.randn(size, size, device=run.device).to(kind) for _ in range(2))
    out = torch.empty_like(left)
    best, deadline = float("inf"), time.perf_counter() + seconds
    while time.perf_counter() < deadline:
        wait(run.device)
        began = time.perf_counter()
        torch.mm(left, right, out=out)
        wait(run.device)
        best = min(best, time.perf_counter() - began)
    return 2 * size**3 / best


def floor_of(run: Run, precision: str) -> float:
    """The measured rate of products.

    Raises:
        KeyError: it was not measured.
    """
    measured = run.results["sections"]["floors"]["values"]
    return float(measured[f"{precision}_operations_per_second"])
