"""The first passes: rows are compared with near centroids alone, within the leading axes."""

import torch
from torch.nn import functional

from semantic_tokens.grouping.kmeans.lloyd import Clustering, Report, has_settled, lloyd_iterations
from semantic_tokens.grouping.kmeans.nearest import rows_at_once, score_offsets

# Passes that look at near centroids alone, where clusters have so many rows on average (with five,
# exact passes from the same random rows end up to 0.6% lower, with seven 0.1% to 1% higher): of the
# k centroids' √k regions a row looks into this share and no fewer than so many, where that is no
# more than a third of them.
_FEWEST_ROWS_A_CLUSTER = 6
_SHARE_OF_REGIONS = 0.1
_FEWEST_REGIONS_A_ROW = 8
_LARGEST_SHARE_OF_REGIONS = 1 / 3
# They compare within the leading principal axes where a multiple of so many axes, no more than so
# great a share of them, holds this share of the squared lengths.
_LEADING_AXES = 64
_LEADING_SHARE_OF_AXES = 0.6
_LEADING_ENERGY = 0.75
# The regions are found by so many passes over the centroids.
_PASSES_OVER_CENTROIDS = 3
# They end when a pass lowers the objective by no more than this fraction.
_NEAR_TOLERANCE = 1e-3


def _number_of_regions(clusters: int) -> int:
    return round(clusters**0.5)


def pays_to_begin_near(rows: int, clusters: int) -> bool:
    """Whether passes over near centroids alone take less time and end no worse; see above."""
    return (
        rows >= _FEWEST_ROWS_A_CLUSTER * clusters
        and _number_of_regions(clusters) * _LARGEST_SHARE_OF_REGIONS >= _FEWEST_REGIONS_A_ROW
    )


def _assign_nearby(clustering: Clustering, regions: int, columns: int) -> None:
    """Compare every row with the centroids of the regions nearest to it, within the leading
    columns. No rival is known afterwards.

    Args:
        regions: how many the centroids are gathered in, by a few passes over them.
    """
    rows, centroids = clustering.rows[:, :columns], clustering.centroids[:, :columns].contiguous()
    if clustering.metric == "cosine":
        centroids = functional.normalize(centroids)
    spread = torch.arange(regions, device=rows.device) * len(centroids) // regions
    gathered = Clustering(centroids, centroids[spread], clustering.metric)
    lloyd_iterations(gathered, _PASSES_OVER_CENTROIDS, 0.0, lambda *_: None)
    offsets = score_offsets(gathered.centroids, clustering.metric)
    looked_into = max(_FEWEST_REGIONS_A_ROW, round(_SHARE_OF_REGIONS * regions))
    near = torch.empty(len(rows), looked_into, dtype=torch.int32, device=rows.device)
    at_once = rows_at_once(rows)
    for part, into in zip(rows.split(at_once), near.split(at_once), strict=True):
        scores = torch.addmm(offsets, part, gathered.centroids.T)
        into.copy_(scores.topk(looked_into, dim=1, sorted=False).indices)
    near = near.flatten()
    visits = near.argsort(stable=True).div_(looked_into, rounding_mode="floor")
    visitors = visits.split(near.bincount(minlength=regions).tolist())
    del near
    members = gathered.assignment.argsort(stable=True).split(
        gathered.assignment.bincount(minlength=regions).tolist()
    )
    offsets = score_offsets(centroids, clustering.metric)
    clustering.score.fill_(-torch.inf)
    for candidates, ids in zip(members, visitors, strict=True):
        block = centroids[candidates].T
        for some in ids.split(at_once):
            best, where = torch.addmm(offsets[candidates], rows.index_select(0, some), block).max(
                dim=1
            )
            nearer = best > clustering.score[some]
            moved = some[nearer]
            clustering.score[moved] = best[nearer]
            clustering.assignment[moved] = candidates[where[nearer]]
    clustering.rival.fill_(-torch.inf)


def near_iterations(
    clustering: Clustering, leading: int, max_iterations: int, report: Report
) -> None:
    """Assign to near centroids and average until that gains little; see the module's head.

    The objectives reported are of the partitions with their own means, over all columns.

    Args:
        leading: columns that rows are compared in; 0 is all.
    """
    every = torch.ones_like(clustering.centroids[:, 0], dtype=torch.bool)
    regions = _number_of_regions(len(clustering.centroids))
    previous = float("inf")
    for iteration in range(1, max_iterations + 1):
        _assign_nearby(clustering, regions, leading or clustering.rows.shape[1])
        clustering.fill_empty_clusters()
        clustering.average_members(every)
        clustering.score_again()
        objective = clustering.objective()
        report(iteration, objective)
        if has_settled(previous, objective, _NEAR_TOLERANCE):
            break
        previous = objective


def principal_axes(rows: torch.Tensor) -> tuple[torch.Tensor, int]:
    """The rows' principal axes (about the origin), as columns by falling share, [d, d], and how
    many of them hold most of the squared lengths; 0 where no few do."""
    products = torch.zeros(2 * rows.shape[1:], dtype=torch.float64, device=rows.device)
    for part in rows.split(rows_at_once(rows)):
        products += part.T @ part
    energies, axes = torch.linalg.eigh(products)
    held = energies.flip(0).clamp(min=0).cumsum(0)
    most = int(_LEADING_SHARE_OF_AXES * len(held))
    for leading in range(_LEADING_AXES, most + 1, _LEADING_AXES):
        if held[leading - 1] >= _LEADING_ENERGY * held[-1]:
            return axes.flip(1).float(), leading
    return axes, 0
