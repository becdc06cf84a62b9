"""Passes of cuML's K-Means, on a GPU."""

import torch
from torch.nn import functional

from semantic_tokens.grouping.kmeans.lloyd import Clustering, Report, has_settled

# cuML's own tile is max_samples_per_batch × n_clusters float32 values; its default of 32,768
# samples would take 47 GB at XLM-V's 360,652 centroids. This bounds it to 4 GB.
_CUML_TILE_ELEMENTS = 2**30


def cuml_iterations(
    clustering: Clustering, max_iterations: int, tolerance: float, report: Report
) -> int:
    """The same, with cuML's rounds: written against the documented interface of cuML 26.10 and
    tested against its signature, not yet run on a GPU.

    cuML knows Euclidean distance alone. From centroids of length one, and on rows of length
    one, one of its rounds is one of spherical K-Means, so centroids are normalised between
    rounds. The final assignment, and what becomes of empty clusters, are the torch backend's.
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
        # Of rows and centroids of length one, |x - c|² is 2 (1 - cosine). cuML's centroids are means,
        # so that this is a little less.
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
    """Rows that cuML compares at a time: its default, or fewer where its tile would not fit."""
    return max(1, min(32768, _CUML_TILE_ELEMENTS // centroids))
