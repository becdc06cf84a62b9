"""K-Means of rows: the choice of backend and device, the initial rows, and the passes."""

import logging
import time
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn import functional
from tqdm import tqdm

from semantic_tokens.errors import InputError
from semantic_tokens.grouping.kmeans.backend import SAMPLE, Backend, Trial, choose_backend
from semantic_tokens.grouping.kmeans.cuml import cuml_iterations
from semantic_tokens.grouping.kmeans.lloyd import Clustering, Report, lloyd_iterations
from semantic_tokens.grouping.kmeans.near import near_iterations, pays_to_begin_near, principal_axes
from semantic_tokens.grouping.kmeans.nearest import ROWS_AT_ONCE, TILE, Metric, rows_at_once
from semantic_tokens.grouping.kmeans.rows import distinct_rows, prepared_rows
from semantic_tokens.jobs.device import device_name
from semantic_tokens.jobs.gpus import within_gpu_memory

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class KMeansResult:
    """A partition of N rows into k clusters, all on the CPU.

    Attributes:
        assignment: [N] int64, each id of 0..k-1 at least once.
        centroids: [k, d] float32, the means of the assigned rows (for cosine: means of the
            normalised rows, normalised).
        objective: the sum over rows of 1 - cosine, or of the squared distance, to their centroid;
            with weights, the weighted sum.
        iterations: the number of passes that assigned rows.
        backend: ``torch`` or ``cuml``.
    """

    assignment: torch.Tensor
    centroids: torch.Tensor
    objective: float
    iterations: int
    backend: str


def kmeans(
    embeddings: torch.Tensor,
    n_clusters: int,
    *,
    metric: Metric,
    seed: int,
    among: torch.Tensor | None = None,
    weights: torch.Tensor | None = None,
    max_iterations: int = 100,
    tolerance: float = 1e-4,
    backend: Backend = "auto",
    device: torch.device | str | None = None,
    init: torch.Tensor | None = None,
    report: Report | None = None,
) -> KMeansResult:
    """Partition rows into exactly ``n_clusters`` clusters, none of them empty.

    The initial centroids are distinct random rows, drawn in proportion to their weights. k-means++
    would read the entire matrix once per centroid (for mBERT at 5%, 6,000 × 370 MB, which is many
    times the cost of the clustering). In hundreds of dimensions it also prefers isolated rows,
    which then remain clusters of one.

    On a CPU the same seed gives the same bytes. On a GPU, and with cuML, the order of sums changes
    between runs, so keep the assignment.

    Args:
        embeddings: [M, d] floating. Zero rows are allowed: their cosine to everything is 0.
        n_clusters: k, at most the number N of rows to partition.
        metric: ``cosine`` or ``euclidean``.
        seed: the seed of the initial rows.
        among: [N] int64, the ids of the rows to partition; None for all rows.
        weights: [N] floating, above 0, the weights of these rows; None for equal weights.
        max_iterations: the maximum number of passes over the rows.
        tolerance: stop when the relative decrease of the objective is at most this; 0 runs until no
            row moves or improves.
        backend: ``torch``, ``cuml``, or ``auto`` for the better of the two on this device; see
            :mod:`semantic_tokens.grouping.kmeans.backend`.
        device: the device; None is a CUDA device if there is one.
        init: [k, d] initial centroids instead of random rows; then every pass is exact.
        report: called after every iteration.

    Raises:
        InputError: there are fewer rows than clusters, the backend is not available, or the GPU has
            too little memory.
    """
    count = len(embeddings) if among is None else len(among)
    if not 1 <= n_clusters <= count:
        raise InputError(
            f"K-Means cannot make {n_clusters} clusters of {count} subwords; fix the "
            "ratio in the row's `grouping` in the table of experiments"
        )
    device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    if weights is not None:
        if len(weights) != count or not (weights > 0).all():
            raise ValueError(f"weights are not {count} numbers above 0")
        if bool((weights == weights[0]).all()):
            weights = None
    options = {"metric": metric, "seed": seed, "tolerance": tolerance, "device": device}
    needed = _device_bytes(count, n_clusters, embeddings.shape[1]) / 2**30
    elsewhere = f"K-Means of this shape takes some {needed:.1f} GiB: {_ELSEWHERE}"
    with within_gpu_memory("K-Means", lambda: elsewhere):
        chosen = choose_backend(
            backend,
            device,
            lambda name: _trial(
                embeddings, n_clusters, among, weights, name, max_iterations, options
            ),
            (count / min(count, SAMPLE)) ** 2,
        )
        is_default = device.type == "cuda" or not torch.cuda.is_available()
        log.info(
            "K-Means by %s on %s, float32: %d rows of %d columns into %d clusters",
            chosen,
            device_name() if is_default else "the CPU",
            count,
            embeddings.shape[1],
            n_clusters,
        )
        return _cluster(
            embeddings,
            n_clusters,
            metric=metric,
            seed=seed,
            among=among,
            weights=weights,
            max_iterations=max_iterations,
            tolerance=tolerance,
            by_cuml=chosen == "cuml",
            device=device,
            init=init,
            report=report,
        )


def _trial(
    embeddings: torch.Tensor,
    n_clusters: int,
    among: torch.Tensor | None,
    weights: torch.Tensor | None,
    backend: str,
    max_iterations: int,
    options: dict[str, Any],
) -> Trial:
    """Cluster a sample of the rows with a backend, and measure the time. Both backends start from
    the same rows."""
    ids = torch.arange(len(embeddings)) if among is None else among
    generator = torch.Generator().manual_seed(options["seed"])
    some = torch.randperm(len(ids), generator=generator)[:SAMPLE].sort().values
    clusters = max(1, round(n_clusters * len(some) / len(ids)))
    sample = embeddings[ids[some]]
    own = None if weights is None else weights.cpu()[some]
    # The first run in a process loads kernels and libraries.
    for passes in (2, max_iterations):
        began = time.perf_counter()
        result = _cluster(
            sample,
            clusters,
            among=None,
            weights=own,
            max_iterations=passes,
            by_cuml=backend == "cuml",
            init=None,
            report=None,
            **options,
        )
    # The result is on the CPU, so the device has finished.
    return Trial(time.perf_counter() - began, result.objective)


def _device_bytes(rows: int, clusters: int, columns: int) -> int:
    """The maximum GPU memory of K-Means; see :mod:`semantic_tokens.grouping.kmeans`."""
    tile_rows, tile_centroids = TILE["cuda"]
    matrices = 4 * columns * (rows + 2 * clusters)
    tiles = 2 * 4 * min(tile_rows, rows) * min(tile_centroids, clusters)
    gathered = 2 * 4 * columns * min(rows, ROWS_AT_ONCE["cuda"])
    vectors = 64 * rows
    return matrices + tiles + gathered + vectors


_ELSEWHERE = (
    "end the other processes on this GPU, use one with more memory, or set `gpus_per_job: 0` and "
    "CUDA_VISIBLE_DEVICES to nothing to compute on the CPU"
)


def _cluster(
    embeddings: torch.Tensor,
    n_clusters: int,
    *,
    metric: Metric,
    seed: int,
    among: torch.Tensor | None,
    weights: torch.Tensor | None,
    max_iterations: int,
    tolerance: float,
    by_cuml: bool,
    device: torch.device,
    init: torch.Tensor | None,
    report: Report | None,
) -> KMeansResult:
    """:func:`kmeans` with a given backend and device."""
    count = len(embeddings) if among is None else len(among)
    rows, shift = prepared_rows(embeddings, among, metric, device)
    if weights is not None:
        weights = weights.to(device, torch.float32)
    near_first = (
        init is None
        and not by_cuml
        and max_iterations > 1
        and pays_to_begin_near(count, n_clusters)
    )
    leading = 0
    if near_first:
        axes, leading = principal_axes(rows)
        if leading:
            for part in rows.split(rows_at_once(rows)):
                part.copy_(part @ axes)
    if init is None:
        centroids = rows[distinct_rows(rows, n_clusters, seed, weights)]
    elif metric == "cosine":
        centroids = functional.normalize(init.to(rows))
    else:
        centroids = init.to(rows) - shift
    clustering = Clustering(rows, centroids, metric, weights)
    with tqdm(total=max_iterations, desc="K-Means", unit="pass", mininterval=2) as progress:

        def show(_: int, objective: float) -> None:
            progress.set_postfix(objective=f"{objective:.6g}", refresh=False)
            progress.update()
            if report is not None:
                report(progress.n, objective)

        if near_first:
            near_iterations(clustering, leading, max_iterations - 1, show)
        iterate = cuml_iterations if by_cuml else lloyd_iterations
        iterate(clustering, max_iterations - progress.n, tolerance, show)
        iterations = progress.n
    clustering.score_again()
    centroids = clustering.centroids if not leading else clustering.centroids @ axes.T
    return KMeansResult(
        assignment=clustering.assignment.cpu(),
        centroids=centroids.add_(shift).cpu(),
        objective=clustering.objective(),
        iterations=iterations,
        backend="cuml" if by_cuml else "torch",
    )
