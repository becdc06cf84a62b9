"""Near passes, the first passes: rows are compared only with near centroids, in the leading
axes."""

import torch
from torch.nn import functional

from semantic_tokens.grouping.kmeans.lloyd import Clustering, Report, has_settled, lloyd_iterations
from semantic_tokens.grouping.kmeans.nearest import rows_at_once, score_offsets

# Near passes are used if clusters have at least this many rows on average. (With five rows, exact
# passes from the same random rows reach objectives up to 0.6% lower; with seven, 0.1% to 1%
# higher.) A row looks into this fraction of the √k regions, and into at least this many. Near
# passes are not used if that is more than a third of the regions.
_FEWEST_ROWS_A_CLUSTER = 6
_SHARE_OF_REGIONS = 0.1
_FEWEST_REGIONS_A_ROW = 8
_LARGEST_SHARE_OF_REGIONS = 1 / 3
# Near passes use the leading principal axes if a multiple of this many axes, at most this fraction
# of all axes, holds this fraction of the squared lengths.
_LEADING_AXES = 64
_LEADING_SHARE_OF_AXES = 0.6
_LEADING_ENERGY = 0.75
# The number of passes over the centroids that find the regions.
_PASSES_OVER_CENTROIDS = 3
# Near passes end when one lowers the objective by no more than this fraction.
_NEAR_TOLERANCE = 1e-3


def _number_of_regions(clusters: int) -> int:
    return round(clusters**0.5)


def pays_to_begin_near(rows: int, clusters: int) -> bool:
    """Whether near passes save time and give groups that are as good; see the constants above."""
    return (
        rows >= _FEWEST_ROWS_A_CLUSTER * clusters
        and _number_of_regions(clusters) * _LARGEST_SHARE_OF_REGIONS >= _FEWEST_REGIONS_A_ROW
    )


def _assign_nearby(clustering: Clustering, regions: int, columns: int) -> None:
    """Compare every row with the centroids of its nearest regions, in the leading columns.
    Afterwards, there are no bounds in ``rival``.

    Args:
        regions: the number of regions into which the centroids are clustered.
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
    """Run near passes until they improve little; see :mod:`semantic_tokens.grouping.kmeans`.

    The reported objectives are of the partitions with their own means, over all columns.

    Args:
        leading: the number of leading columns for comparisons; 0 for all columns.
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
    """The rows' principal axes (about the origin), as columns in decreasing order, [d, d], and how
    many of them hold most of the squared lengths; 0 if many are needed."""
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
