"""K-Means with torch, with cuML, on the CPU, and of other libraries.

Each row is one of many random centres with noise. The spherical objective of all partitions is
computed in the same way: the sum of 1 - cosine to the direction of the cluster's mean.
"""

import importlib
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from on_gpu.machine import floor_of, version_of
from on_gpu.run import Absent, PeakMemory, Run, attempt, median_seconds, wait
from semantic_tokens.grouping.kmeans import KMeansResult, kmeans
from semantic_tokens.grouping.kmeans.backend import cuml_is_here

RATIOS = (0.05, 0.1, 0.2, 0.4)
#: The maximum relative excess over the objective on the CPU. Rounding of sums differs, so some rows
#: are in other clusters.
OBJECTIVE_BOUND = 0.01


def structured_rows(run: Run, count: int) -> torch.Tensor:
    """[count, columns] float32 on the CPU. The device generates them, because this is faster."""
    generator = torch.Generator(run.device).manual_seed(1)
    columns = run.sizes.columns

    def normal(rows: int) -> torch.Tensor:
        return torch.randn(rows, columns, device=run.device, generator=generator)

    centres = normal(max(1, count // 20))
    rows = torch.empty(count, columns)
    for part in rows.split(2**17):
        of = torch.randint(len(centres), (len(part),), device=run.device, generator=generator)
        part.copy_(centres[of] + 0.8 * normal(len(part)))
    return rows


def spherical_objective(run: Run, rows: torch.Tensor, assignment: Any) -> float:
    """The sum of 1 - cosine of rows to the direction of their cluster's mean.

    Args:
        rows: [N, d].
        assignment: [N] integers, of any library.
    """
    labels = torch.as_tensor(assignment, device=run.device).flatten().long()
    unit = functional.normalize(rows.to(run.device))
    sums = torch.zeros(int(labels.max()) + 1, rows.shape[1], device=run.device)
    sums.index_add_(0, labels, unit)
    # A row of length zero adds one.
    return len(rows) - float(torch.linalg.vector_norm(sums.double(), dim=1).sum())


def ours(run: Run, rows: torch.Tensor, clusters: int, **options: Any) -> KMeansResult:
    """Our K-Means as in the workflow. The default is torch on the run's device."""
    given: dict[str, Any] = {"metric": "cosine", "seed": 1, "backend": "torch"}
    return kmeans(rows, clusters, **given | {"device": run.device} | options)


def agreement(run: Run, values: dict[str, Any]) -> None:
    """Compare the objectives of torch and cuML with the CPU's, at every ratio, on fewer rows."""
    values |= {"rows": run.sizes.compared_rows, "bound": OBJECTIVE_BOUND, "ratios": []}
    rows = structured_rows(run, run.sizes.compared_rows)
    for ratio in RATIOS:
        clusters = round(len(rows) * ratio)
        cpu = ours(run, rows, clusters, device="cpu")
        found: dict[str, Any] = {"ratio": ratio, "clusters": clusters, "cpu": cpu.objective}
        values["ratios"].append(found)
        for backend in ("torch", "cuml"):
            if backend == "cuml" and not cuml_is_here(run.device):
                found[backend] = None
                continue
            result = ours(run, rows, clusters, backend=backend)
            sizes = result.assignment.bincount(minlength=clusters)
            found[backend] = {
                "objective": result.objective,
                "above_cpu": result.objective / cpu.objective - 1,
                "empty_clusters": int((sizes == 0).sum()),
                "holds": bool(
                    result.objective <= cpu.objective * (1 + OBJECTIVE_BOUND) and (sizes > 0).all()
                ),
            }
        run.save()


def whole(run: Run, values: dict[str, Any]) -> None:
    """Measure seconds, passes and memory for mBERT's shape at every ratio, with torch and cuML.
    Also compare a pass over all rows and centroids with the floor of its products."""
    values |= {"rows": run.sizes.rows, "columns": run.sizes.columns, "ratios": []}
    rows = structured_rows(run, run.sizes.rows)
    rate = floor_of(run, "float32")
    ours(run, rows[: run.sizes.compared_rows], 100)  # libraries are loaded
    for ratio in RATIOS:
        clusters = round(len(rows) * ratio)
        found: dict[str, Any] = {"ratio": ratio, "clusters": clusters}
        values["ratios"].append(found)
        seconds = pass_seconds(run, rows, clusters)
        floor = 2 * rows.numel() * clusters / rate
        found |= {"pass_seconds": seconds, "pass_floor_share": floor / seconds}
        for backend in ("torch", "cuml"):
            found[backend] = {}
            attempt(found[backend], lambda: timed(run, rows, clusters, backend))  # noqa: B023
            run.save()


def pass_seconds(run: Run, rows: torch.Tensor, clusters: int) -> float:
    """The seconds to compare all rows with all centroids on the device."""
    from semantic_tokens.grouping.kmeans.nearest import nearest_centroids

    unit = functional.normalize(rows.to(run.device))
    centroids = unit[:clusters].clone()
    return median_seconds(run.device, lambda: nearest_centroids(unit, centroids, "cosine"), times=3)


def timed(run: Run, rows: torch.Tensor, clusters: int, backend: str) -> dict[str, Any]:
    """Measure one K-Means until it stops, from rows on the CPU to an assignment on the CPU."""
    if backend == "cuml":
        if not cuml_is_here(run.device):
            raise Absent("cuML, or a CUDA device for it, is not available")
        ours(run, rows[: run.sizes.compared_rows], 100, backend=backend)
    with PeakMemory(run.device) as memory:
        began = time.perf_counter()
        result = ours(run, rows, clusters, backend=backend)
        seconds = time.perf_counter() - began
    return {
        "seconds": seconds,
        "objective": result.objective,
        "passes": result.iterations,
        "peak_bytes": memory.bytes,
    }


def largest(run: Run, values: dict[str, Any]) -> None:
    """Measure the memory and the seconds per pass for XLM-V's shape at 40%. Only two passes run,
    because all passes would take too long."""
    count, clusters = run.sizes.largest
    values |= {"rows": count, "columns": run.sizes.columns, "clusters": clusters}
    rows = structured_rows(run, count)
    passes: list[float] = []

    def measure() -> dict[str, Any]:
        with PeakMemory(run.device) as memory:
            ours(
                run,
                rows,
                clusters,
                max_iterations=2,
                report=lambda *_: passes.append(time.perf_counter()),
            )
        return {"peak_bytes": memory.bytes, "second_pass_seconds": passes[-1] - passes[0]}

    attempt(values, measure)


# Other libraries


def starts_of(unit: torch.Tensor, clusters: int) -> torch.Tensor:
    """Ids of random rows to start from, the same for all that take some, [clusters] int64."""
    return torch.randperm(len(unit), generator=torch.Generator().manual_seed(1))[:clusters]


def _faiss(run: Run, unit: torch.Tensor, clusters: int, passes: int) -> Any:
    faiss = imported("faiss")
    has_gpu_code = hasattr(faiss, "StandardGpuResources") and faiss.get_num_gpus() > 0
    if run.device.type == "cuda" and not has_gpu_code:
        raise Absent(f"{version_of('faiss')} has no code for GPUs")
    estimator = faiss.Kmeans(
        unit.shape[1],
        clusters,
        niter=passes,
        spherical=True,
        gpu=has_gpu_code,
        min_points_per_centroid=1,
        max_points_per_centroid=len(unit),
    )
    rows = unit.numpy()
    estimator.train(rows, init_centroids=rows[starts_of(unit, clusters).numpy()])
    return estimator.index.search(rows, 1)[1][:, 0]


def _cuml(run: Run, unit: torch.Tensor, clusters: int, passes: int) -> Any:
    if not cuml_is_here(run.device):
        raise Absent("cuML, or a CUDA device for it, is not available")
    cupy, cluster = imported("cupy"), imported("cuml.cluster")
    on_gpu = unit.to(run.device)
    starts = on_gpu[starts_of(unit, clusters).to(run.device)]
    estimator = cluster.KMeans(
        n_clusters=clusters,
        init=cupy.from_dlpack(starts),
        n_init=1,
        max_iter=passes,
        tol=1e-4,
        max_samples_per_batch=max(1, min(32768, 2**30 // clusters)),
        output_type="cupy",
    ).fit(cupy.from_dlpack(on_gpu))
    return torch.from_dlpack(estimator.labels_)


def _fastkmeans(run: Run, unit: torch.Tensor, clusters: int, passes: int) -> Any:
    fast = imported("fastkmeans")
    estimator = fast.FastKMeans(
        unit.shape[1], clusters, niter=passes, gpu=run.device.type == "cuda", seed=1
    )
    return estimator.fit_predict(unit.numpy())


def _flash(kind: torch.dtype) -> Callable[..., Any]:
    def cluster(run: Run, unit: torch.Tensor, clusters: int, passes: int) -> Any:
        flash = imported("flash_kmeans")
        if run.device.type != "cuda":
            raise Absent("flash-kmeans needs a CUDA device")
        rows = unit.to(run.device, kind)
        starts = rows[starts_of(unit, clusters).to(run.device)]
        labels, _, _ = flash.batch_kmeans_Cosine(
            rows[None], clusters, max_iters=passes, tol=0.0, init_centroids=starts[None]
        )
        return labels[0]

    return cluster


CONTENDERS: dict[str, Callable[..., Any]] = {
    "faiss": _faiss,
    "cuML": _cuml,
    "fastkmeans": _fastkmeans,
    "flash-kmeans, float32": _flash(torch.float32),
    "flash-kmeans, float16": _flash(torch.float16),
}


def imported(name: str) -> Any:
    """A module that may be missing.

    Raises:
        Absent: it is.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise Absent(f"{name} cannot be imported ({error})") from error


def contenders(run: Run, values: dict[str, Any]) -> None:
    """mBERT's shape at 5%: so many passes of each other library, and when ours has an objective that
    is no higher. All begin with rows on the CPU, and end with an assignment."""
    sizes = run.sizes
    clusters = round(sizes.rows * RATIOS[0])
    values |= {
        "rows": sizes.rows,
        "columns": sizes.columns,
        "clusters": clusters,
        "passes": sizes.contenders_passes,
        "others": {name: {} for name in CONTENDERS},
    }
    rows = structured_rows(run, sizes.rows)
    unit = functional.normalize(rows)
    reached: list[tuple[float, float]] = []
    ours(run, rows[: sizes.compared_rows], 100)
    began = time.perf_counter()
    result = ours(
        run,
        rows,
        clusters,
        report=lambda _, value: reached.append((time.perf_counter() - began, value)),
    )
    values["ours"] = {
        "seconds": time.perf_counter() - began,
        "objective": spherical_objective(run, rows, result.assignment),
    }
    for name, cluster in CONTENDERS.items():

        def measure(cluster: Callable[..., Any] = cluster) -> dict[str, Any]:
            cluster(run, unit, clusters, 1)  # kernels are compiled for this shape
            wait(run.device)
            with PeakMemory(run.device) as memory:
                began = time.perf_counter()
                labels = cluster(run, unit, clusters, sizes.contenders_passes)
                wait(run.device)
                seconds = time.perf_counter() - began
            objective = spherical_objective(run, rows, np_or_torch(labels))
            times = (at for at, value in reached if value <= objective)
            there = next(times, None)
            if there is None and values["ours"]["objective"] <= objective:
                there = values["ours"]["seconds"]
            return {
                "seconds": seconds,
                "objective": objective,
                "peak_bytes": memory.bytes,
                "ours_is_there_after": there,
            }

        attempt(values["others"][name], measure)
        run.save()


def np_or_torch(labels: Any) -> Any:
    """Labels in a form that torch accepts."""
    return labels if torch.is_tensor(labels) else np.asarray(labels)


def against_cpu(run: Run, values: dict[str, Any]) -> None:
    """Compare mBERT's full shape at 5% on the CPU with the device's results of section
    ``whole``."""
    measured = run.results["sections"].get("K-Means", {"values": {}})["values"].get("ratios")
    if not measured:
        raise Absent("the section K-Means, whose objectives this one compares, was not run")
    clusters = round(run.sizes.rows * RATIOS[0])
    rows = structured_rows(run, run.sizes.rows)
    began = time.perf_counter()
    cpu = ours(run, rows, clusters, device="cpu")
    values |= {
        "threads": torch.get_num_threads(),
        "seconds": time.perf_counter() - began,
        "objective": cpu.objective,
        "bound": OBJECTIVE_BOUND,
    }
    for backend in ("torch", "cuml"):
        if "objective" in measured[0].get(backend, {}):
            above = measured[0][backend]["objective"] / cpu.objective - 1
            values[backend] = {"above_cpu": above, "holds": above <= OBJECTIVE_BOUND}
