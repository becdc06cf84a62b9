"""Passes of cuML's K-Means, on a GPU."""

import torch
from torch.nn import functional

from semantic_tokens.grouping.kmeans.lloyd import Clustering, Report, has_settled

# cuML's tile has max_samples_per_batch × n_clusters float32 values. Its default of 32,768 samples
# would take 47 GB with XLM-V's 360,652 centroids. This limits it to 4 GB.
_CUML_TILE_ELEMENTS = 2**30


def cuml_iterations(
    clustering: Clustering, max_iterations: int, tolerance: float, report: Report
) -> int:
    """Run K-Means with cuML's iterations, like :func:`~.lloyd.lloyd_iterations`. Return their
    number.

    They follow the documented interface of cuML 26.10 and are tested against its signature, but
    have not been run on a GPU.

    cuML supports only Euclidean distance. With rows and centroids of length one, one of its
    iterations is an iteration of spherical K-Means, so centroids are normalised between iterations.
    The torch backend makes the final assignment and refills empty clusters.
    """
    import cupy
    from cuml.cluster import KMeans

    data = cupy.from_dlpack(clustering.rows)
    weights = clustering.weights
    sample_weight = None if weights is None else cupy.from_dlpack(weights)
    count = len(clustering.centroids)
    previous = float("inf")
    for iteration in range(1, max_iterations + 1):
        estimator = KMeans(
            n_clusters=count,
            init=cupy.from_dlpack(clustering.centroids),
            n_init=1,
            max_iter=1,
            max_samples_per_batch=_cuml_samples(count),
            output_type="cupy",
        ).fit(data, sample_weight=sample_weight)
        means = torch.from_dlpack(estimator.cluster_centers_).contiguous()
        cosine = clustering.metric == "cosine"
        clustering.centroids = functional.normalize(means) if cosine else means
        # For rows and centroids of length one, |x - c|² is 2 (1 - cosine). cuML's centroids are
        # means, so the value is a little smaller.
        objective = float(estimator.inertia_) / (2 if cosine else 1)
        report(iteration, objective)
        if has_settled(previous, objective, tolerance):
            break
        previous = objective
    clustering.assign_all()
    clustering.fill_empty_clusters()
    clustering.average_members(torch.ones_like(clustering.centroids[:, 0], dtype=torch.bool))
    return iteration


def _cuml_samples(centroids: int) -> int:
    """The number of rows that cuML compares at a time: its default, or fewer to limit the tile."""
    return max(1, min(32768, _CUML_TILE_ELEMENTS // centroids))
