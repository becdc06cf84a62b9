"""K-Means over word embeddings (paper, section 2.1; Appendix E).

Cosine distance means spherical K-Means: rows and centroids are normalised to length one. Euclidean
distance is the alternative of Appendix E.

**Exact passes.** Lloyd's algorithm, exact up to rounding. The first exact pass compares every row
with every centroid. Later passes skip most comparisons. A centroid moves only if its cluster gained
or lost a member. Each row stores a bound on its score with all other centroids. If a row's own
centroid is better than this bound, no unmoved centroid can be better, so the row is compared only
with the centroids that moved. The last passes, in which few clusters change, are therefore cheap.

**Near passes.** The first passes move nearly every centroid by a large distance, so they need no
precision. With many clusters, centroids are clustered into regions, and a row is compared only with
the centroids of its nearest regions. If a few leading principal axes hold most of the squared
lengths, distances use only these axes. Such a pass costs a few hundredths of an exact pass. When near
passes improve little, exact passes over all centroids and columns continue from their partition.
With only a few rows per cluster, all passes are exact: nearly every row moves only once then, so the
first passes decide the result.

**Memory.** The N×k matrix of similarities is never stored. It is computed and reduced in tiles. The
largest case of the paper is XLM-V at 40% (901,629×768, 360,652 centroids). It needs on the device:
rows 2.8 GB, centroids 1.1 GB, copies of moved centroids 1.1 GB, tiles 0.5 GB, gathered rows 0.8 GB,
and a few vectors of length N. The total is 6 GB; the paper's GPUs have 80 GB.

**Empty clusters.** No iteration leaves an empty cluster: it gets the row that is farthest from its
centroid, among rows whose cluster has other members.

**Weights.** Rows may have weights. They do not affect the assignment. They are used in the means, in
the objective, in the choice of the farthest row, and in the draw of the initial rows. They need one
more vector of length N.
"""

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
from torch.nn import functional
from tqdm import tqdm

from semantic_tokens.errors import InputError
from semantic_tokens.grouping.groups import Groups, clustered_ids, groups_of, number_of_groups
from semantic_tokens.grouping.kmeans_backend import SAMPLE, Backend, Trial, choose_backend
from semantic_tokens.jobs.efficiency import device_name
from semantic_tokens.jobs.gpus import within_gpu_memory

log = logging.getLogger(__name__)

Metric = Literal["cosine", "euclidean"]

#: Called after every iteration with its number and the objective. In exact iterations, this is the
#: objective before the update of the centroids.
Report = Callable[[int, float], None]

# The size of gathered copies. index_select copies rows several times as fast as indexing. On a CPU the
# size is small enough for the allocator to reuse memory. On a GPU it is large enough to make the
# start-up time of kernels negligible.
_ROWS_AT_ONCE = {"cpu": 2048, "cuda": 2**17}

# The first scan of a tile takes the maximum of each block of this many centroids. The second scan finds
# the centroid, in the row's best block only. On a CPU, a maximum without indices takes an eighth of
# the time.
_BLOCK = 128
# With fewer blocks, the second scan would cost more than the first one saves. On a GPU it always would:
# a maximum with indices is cheap compared with the product, and the second scan starts several kernels
# per block.
_FEWEST_BLOCKS = {"cpu": 24.0, "cuda": float("inf")}

# Rows are compared with a copy of the moved centroids. If more than this fraction moved, they are
# compared with all centroids, since the copy would need too much memory.
_LARGEST_SHARE_COPIED = 2 / 3

# Near passes are used if clusters have at least this many rows on average. (With five rows, exact passes
# from the same random rows reach objectives up to 0.6% lower; with seven, 0.1% to 1% higher.) A row
# looks into this fraction of the √k regions, and into at least this many. Near passes are not used if
# that is more than a third of the regions.
_FEWEST_ROWS_A_CLUSTER = 6
_SHARE_OF_REGIONS = 0.1
_FEWEST_REGIONS_A_ROW = 8
_LARGEST_SHARE_OF_REGIONS = 1 / 3
# Near passes use the leading principal axes if a multiple of this many axes, at most this fraction of all
# axes, holds this fraction of the squared lengths.
_LEADING_AXES = 64
_LEADING_SHARE_OF_AXES = 0.6
_LEADING_ENERGY = 0.75
# The number of passes over the centroids that find the regions.
_PASSES_OVER_CENTROIDS = 3
# Near passes end when one lowers the objective by no more than this fraction.
_NEAR_TOLERANCE = 1e-3

# The largest tile of similarities, as rows × centroids. On a CPU it should stay in the cache between
# the product that writes it and the maximum that reads it. On a GPU it should be large enough to use
# every multiprocessor (8192 × 8192 float32 are 0.27 GB).
_TILE = {"cpu": (1024, 1024), "cuda": (8192, 8192)}

# cuML's tile has max_samples_per_batch × n_clusters float32 values. Its default of 32,768 samples would
# take 47 GB with XLM-V's 360,652 centroids. This limits it to 4 GB.
_CUML_TILE_ELEMENTS = 2**30


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


def kmeans_groups(
    embeddings: torch.Tensor,
    *,
    metric: Metric,
    ratio: float,
    alone: Sequence[int],
    seed: int,
    weights: torch.Tensor | None = None,
    max_iterations: int = 100,
    tolerance: float = 1e-4,
    backend: Backend = "auto",
    report: Report | None = None,
) -> Groups:
    """Group the subwords of a vocabulary by K-Means (section 2.1).

    With weights, a semantic embedding is the weighted mean of its members.

    Args:
        embeddings: [V, d] float32, original.
        metric: ``cosine``, or ``euclidean`` (Appendix E).
        ratio: r_G; there are round(r_G · V) groups, including those of ``alone``.
        alone: ids outside the clustering; each is its own group.
        weights: [V] floating, above 0, from :func:`frequency_weights`; None for equal weights.
        seed, max_iterations, tolerance, backend, report: see :func:`kmeans`.

    Raises:
        InputError: the ratio leaves nothing to cluster, or the backend is not available.
    """
    vocabulary = len(embeddings)
    alone = sorted(set(alone))
    name = f"kmeans-{metric}-{ratio:g}" if weights is None else f"kmeans-weighted-{ratio:g}"
    groups = number_of_groups(vocabulary, ratio, alone=len(alone), grouping=name)
    clustered = clustered_ids(vocabulary, alone)
    result = kmeans(
        embeddings,
        groups - len(alone),
        among=clustered,
        metric=metric,
        seed=seed,
        weights=None if weights is None else weights[clustered],
        max_iterations=max_iterations,
        tolerance=tolerance,
        backend=backend,
        report=report,
    )
    labels = torch.arange(groups - len(alone), groups - len(alone) + vocabulary)
    labels[clustered] = result.assignment
    return replace(groups_of(embeddings, labels, weights), backend=result.backend)


def frequency_weights(counts: torch.Tensor, alpha: float) -> torch.Tensor:
    """The weights of subwords: frequency^alpha, divided by the mean so that the mean weight is 1.

    Args:
        counts: [V] int64, how often each subword occurs; 0 counts as 1.
        alpha: 0 gives equal weights, 1 gives the frequency.

    Returns:
        [V] float64.
    """
    weights = counts.clamp(min=1).double().pow(alpha)
    return weights / weights.mean()


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
    times the cost of the clustering). In hundreds of dimensions it also prefers isolated rows, which
    then remain clusters of one.

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
            :mod:`semantic_tokens.grouping.kmeans_backend`.
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
            "ratio in the row's `grouping` in config/experiments.tsv"
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
    """The maximum GPU memory of K-Means; see the docstring of the module."""
    tile_rows, tile_centroids = _TILE["cuda"]
    matrices = 4 * columns * (rows + 2 * clusters)
    tiles = 2 * 4 * min(tile_rows, rows) * min(tile_centroids, clusters)
    gathered = 2 * 4 * columns * min(rows, _ROWS_AT_ONCE["cuda"])
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
    rows, shift = _prepared(embeddings, among, metric, device)
    if weights is not None:
        weights = weights.to(device, torch.float32)
    regions = round(n_clusters**0.5)
    near_first = (
        init is None
        and not by_cuml
        and max_iterations > 1
        and count >= _FEWEST_ROWS_A_CLUSTER * n_clusters
        and regions * _LARGEST_SHARE_OF_REGIONS >= _FEWEST_REGIONS_A_ROW
    )
    leading = 0
    if near_first:
        axes, leading = _principal_axes(rows)
        if leading:
            for part in rows.split(_at_once(rows)):
                part.copy_(part @ axes)
    if init is None:
        centroids = rows[_distinct_rows(rows, n_clusters, seed, weights)]
    elif metric == "cosine":
        centroids = functional.normalize(init.to(rows))
    else:
        centroids = init.to(rows) - shift
    clustering = _Clustering(rows, centroids, metric, weights)
    with tqdm(total=max_iterations, desc="K-Means", unit="pass", mininterval=2) as progress:

        def told(_: int, objective: float) -> None:
            progress.set_postfix(objective=f"{objective:.6g}", refresh=False)
            progress.update()
            if report is not None:
                report(progress.n, objective)

        if near_first:
            _near_iterations(clustering, regions, leading, max_iterations - 1, told)
        iterate = _cuml_iterations if by_cuml else _lloyd_iterations
        iterate(clustering, max_iterations - progress.n, tolerance, told)
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


class _Clustering:
    """The state of K-Means, updated in place.

    Attributes:
        rows: [N, d] float32, from :func:`_prepared`.
        centroids: [k, d] float32.
        assignment: [N] int64, each row's centroid.
        score: [N] float32, the score of a row with its centroid. Larger is nearer: x·c for cosine,
            and x·c - |c|²/2 for Euclidean (which orders centroids as the distance does).
        rival: [N] float32, an upper bound on the scores of all other centroids that have not moved
            since they were last compared with the row.
        weights: [N] float32, or None for equal weights.
    """

    def __init__(
        self,
        rows: torch.Tensor,
        centroids: torch.Tensor,
        metric: Metric,
        weights: torch.Tensor | None = None,
    ) -> None:
        self.rows = rows
        self.centroids = centroids
        self.metric = metric
        self.weights = weights
        self.assignment = torch.full((len(rows),), -1, device=rows.device)
        self.score = torch.full((len(rows),), -torch.inf, device=rows.device)
        self.rival = self.score.clone()
        self._squares = torch.einsum("nd,nd->n", rows, rows).double()

    def distances(self) -> torch.Tensor:
        """1 - cosine, or the squared Euclidean distance, of each row to its centroid, [N] float64."""
        if self.metric == "cosine":
            return 1.0 - self.score.double()
        return self._squares - 2.0 * self.score.double()

    def costs(self) -> torch.Tensor:
        """The distances times the weights, whose sum is the objective, [N] float64."""
        return self.distances() if self.weights is None else self.distances() * self.weights

    def objective(self) -> float:
        return float(self.costs().sum())

    def own_scores(self, ids: torch.Tensor) -> torch.Tensor:
        """The scores of some rows, [n] int64, with their current centroids."""
        offsets = _offsets(self.centroids, self.metric)
        # Written in place: small results between large temporaries would fragment the memory.
        scores = self.rows.new_empty(len(ids))
        at_once = _at_once(self.rows)
        for part, into in zip(ids.split(at_once), scores.split(at_once), strict=True):
            own = self.assignment[part]
            of_row, of_own = self.rows.index_select(0, part), self.centroids.index_select(0, own)
            torch.add(torch.einsum("nd,nd->n", of_row, of_own), offsets[own], out=into)
        return scores

    def score_again(self) -> None:
        """Update all scores after a change of the centroids."""
        self.score = self.own_scores(torch.arange(len(self.rows), device=self.rows.device))

    def assign_nearby(self, regions: int, columns: int) -> None:
        """Compare every row with the centroids of its nearest regions, in the leading columns.
        Afterwards, there are no bounds in ``rival``.

        Args:
            regions: the number of regions into which the centroids are clustered.
        """
        rows, centroids = self.rows[:, :columns], self.centroids[:, :columns].contiguous()
        if self.metric == "cosine":
            centroids = functional.normalize(centroids)
        spread = torch.arange(regions, device=rows.device) * len(centroids) // regions
        gathered = _Clustering(centroids, centroids[spread], self.metric)
        _lloyd_iterations(gathered, _PASSES_OVER_CENTROIDS, 0.0, lambda *_: None)
        offsets = _offsets(gathered.centroids, self.metric)
        looked_into = max(_FEWEST_REGIONS_A_ROW, round(_SHARE_OF_REGIONS * regions))
        near = torch.empty(len(rows), looked_into, dtype=torch.int32, device=rows.device)
        at_once = _at_once(rows)
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
        offsets = _offsets(centroids, self.metric)
        self.score.fill_(-torch.inf)
        for candidates, ids in zip(members, visitors, strict=True):
            block = centroids[candidates].T
            for some in ids.split(at_once):
                best, where = torch.addmm(
                    offsets[candidates], rows.index_select(0, some), block
                ).max(dim=1)
                nearer = best > self.score[some]
                moved = some[nearer]
                self.score[moved] = best[nearer]
                self.assignment[moved] = candidates[where[nearer]]
        self.rival.fill_(-torch.inf)

    def assign_all(self) -> None:
        """Compare every row with every centroid."""
        self.assignment, self.score, self.rival = _nearest(self.rows, self.centroids, self.metric)

    def assign_again(self, changed: torch.Tensor) -> None:
        """Assign rows to their nearest centroids after the changed centroids, [k] bool, have moved.

        A row leaves its cluster only for a strictly nearer centroid.
        """
        affected = changed[self.assignment].nonzero().squeeze(1)
        now = self.own_scores(affected)
        self.score[affected] = now
        exposed = affected[now < self.rival[affected]]
        count = len(self.rows)
        every = torch.arange(len(changed), device=changed.device)
        moved = changed.nonzero().squeeze(1)
        if len(moved) > _LARGEST_SHARE_COPIED * len(changed):
            moved = every
        at_once = _at_once(self.rows)
        self._move_to_nearer([slice(i, i + at_once) for i in range(0, count, at_once)], moved)
        self.rival[exposed] = -torch.inf  # computed again, from all centroids
        self._move_to_nearer(exposed.split(at_once), every)

    def _move_to_nearer(
        self, parts: Sequence[slice | torch.Tensor], candidates: torch.Tensor
    ) -> None:
        """Compare some rows (slices or ids) with some centroids (ids), and move rows to nearer
        centroids."""
        is_every = len(candidates) == len(self.centroids)
        centroids = self.centroids if is_every else self.centroids[candidates]
        for part in parts:
            own, score, rival = self.assignment[part], self.score[part], self.rival[part]
            some = self.rows[part] if isinstance(part, slice) else self.rows.index_select(0, part)
            where, best, second = _nearest(some, centroids, self.metric)
            nearest = candidates[where]
            moves = (best > score) & (nearest != own)
            # The cluster that a row leaves needs no bound: its centroid moves because it loses a
            # member, so the next pass compares the row with it.
            left = torch.where(moves | (nearest == own), second, best)
            self.rival[part] = torch.maximum(rival, left)
            self.assignment[part] = torch.where(moves, nearest, own)
            self.score[part] = torch.where(moves, best, score)

    def fill_empty_clusters(self) -> None:
        """Refill each empty cluster with the row that adds most to the objective, among rows whose
        cluster has another member. With equal weights this is the row farthest from its centroid.
        The row is the new centroid."""
        size = self.assignment.bincount(minlength=len(self.centroids)).tolist()
        empty = [cluster for cluster, members in enumerate(size) if not members]
        if not empty:
            return
        owner = self.assignment.tolist()
        farthest = iter(self.costs().argsort(descending=True, stable=True).tolist())
        given = []
        for _ in empty:
            row = next(row for row in farthest if size[owner[row]] > 1)
            size[owner[row]] -= 1
            given.append(row)
        own = self._squares[given].float()  # |x|² = x·x, and x·(x / |x|) is |x|
        # A row may return to its old cluster, and the centroid that it preferred in between may not move.
        self.rival[given] = torch.maximum(self.rival[given], self.score[given])
        self.score[given] = own.sqrt() if self.metric == "cosine" else own / 2
        self.assignment[given] = torch.tensor(empty, device=self.rows.device)

    def average_members(self, changed: torch.Tensor) -> None:
        """Set the centroids of changed clusters, [k] bool, to the weighted means of their members.

        Members are always summed in the order of their ids, so the centroids depend only on the
        partition. A mean of length zero (opposite rows) stays zero.
        """
        self.centroids[changed] = 0.0
        for part in changed[self.assignment].nonzero().squeeze(1).split(_at_once(self.rows)):
            members = self.rows.index_select(0, part)
            if self.weights is not None:
                members.mul_(self.weights[part].unsqueeze(1))
            self.centroids.index_add_(0, self.assignment[part], members)
        # In place, since a copy would need too much memory. Unchanged centroids are divided by one.
        sizes = self.assignment.bincount(self.weights, minlength=len(self.centroids))
        self.centroids.div_(torch.where(changed, sizes, 1).to(self.centroids.dtype).unsqueeze(1))
        if self.metric == "cosine":
            lengths = torch.linalg.vector_norm(self.centroids, dim=1).clamp_(min=1e-12)
            self.centroids.div_(torch.where(changed, lengths, 1.0).unsqueeze(1))


def _near_iterations(
    clustering: _Clustering, regions: int, leading: int, max_iterations: int, report: Report
) -> None:
    """Run near passes until they improve little; see the docstring of the module.

    The reported objectives are of the partitions with their own means, over all columns.

    Args:
        leading: the number of leading columns for comparisons; 0 for all columns.
    """
    every = torch.ones_like(clustering.centroids[:, 0], dtype=torch.bool)
    previous = float("inf")
    for iteration in range(1, max_iterations + 1):
        clustering.assign_nearby(regions, leading or clustering.rows.shape[1])
        clustering.fill_empty_clusters()
        clustering.average_members(every)
        clustering.score_again()
        objective = clustering.objective()
        report(iteration, objective)
        if _has_settled(previous, objective, _NEAR_TOLERANCE):
            break
        previous = objective


def _lloyd_iterations(
    clustering: _Clustering, max_iterations: int, tolerance: float, report: Report
) -> int:
    """Assign and average until the objective converges; return the number of iterations."""
    before = clustering.assignment
    previous = float("inf")
    clustering.assign_all()
    for iteration in range(1, max_iterations + 1):
        clustering.fill_empty_clusters()
        objective = clustering.objective()
        report(iteration, objective)
        moved = clustering.assignment != before
        changed = torch.zeros(len(clustering.centroids), dtype=torch.bool, device=moved.device)
        changed[clustering.assignment[moved]] = True
        changed[before[moved]] = (
            True  # in the first iteration all clusters, since each has a member
        )
        clustering.average_members(changed)
        if not moved.any() or _has_settled(previous, objective, tolerance):
            break
        if iteration < max_iterations:
            previous = objective
            before = clustering.assignment.clone()
            clustering.assign_again(changed)
    return iteration


def _cuml_iterations(
    clustering: _Clustering, max_iterations: int, tolerance: float, report: Report
) -> int:
    """The same with cuML's iterations. They follow the documented interface of cuML 26.10 and are
    tested against its signature, but have not been run on a GPU.

    cuML supports only Euclidean distance. With rows and centroids of length one, one of its iterations
    is an iteration of spherical K-Means, so centroids are normalised between iterations. The torch
    backend makes the final assignment and refills empty clusters.
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
        # For rows and centroids of length one, |x - c|² is 2 (1 - cosine). cuML's centroids are means,
        # so the value is a little smaller.
        objective = float(estimator.inertia_) / (2 if cosine else 1)
        report(iteration, objective)
        if _has_settled(previous, objective, tolerance):
            break
        previous = objective
    clustering.assign_all()
    clustering.fill_empty_clusters()
    clustering.average_members(torch.ones_like(clustering.centroids[:, 0], dtype=torch.bool))
    return iteration


def _cuml_samples(centroids: int) -> int:
    """The number of rows that cuML compares at a time: its default, or fewer to limit the tile."""
    return max(1, min(32768, _CUML_TILE_ELEMENTS // centroids))


def _has_settled(previous: float, objective: float, tolerance: float) -> bool:
    """Whether the relative decrease of the objective is at most ``tolerance``; false from infinity."""
    return previous - objective <= tolerance * objective


def _prepared(
    embeddings: torch.Tensor, ids: torch.Tensor | None, metric: Metric, device: torch.device
) -> tuple[torch.Tensor, torch.Tensor]:
    """A normalised copy of some rows on the device, and the row that was subtracted from them.

    For cosine, rows are scaled to length one (zero rows stay zero). For Euclidean, the mean row is
    subtracted. This changes no distance, and keeps |x|² small compared with the other terms. There is
    no further copy.

    Raises:
        InputError: the metric is not known, or a row contains NaN or infinity.
    """
    if metric not in ("cosine", "euclidean"):
        raise InputError(f"grouping metric {metric!r} is not known; use 'cosine' or 'euclidean'")
    count = len(embeddings) if ids is None else len(ids)
    rows = torch.empty(count, embeddings.shape[1], device=device)
    total = torch.zeros(embeddings.shape[1], dtype=torch.float64, device=device)
    at_once = _at_once(rows)
    for start in range(0, count, at_once):
        span = slice(start, start + at_once)
        part = embeddings[span if ids is None else ids[span]].to(device, torch.float32)
        if not part.isfinite().all():
            first = start + int((~part.isfinite()).any(dim=1).nonzero()[0])
            raise InputError(
                f"the embedding of clustered subword {first} is not finite; check the backbone's "
                "model.safetensors, or lower `alignment.learning_rate` if it is aligned"
            )
        rows[span] = functional.normalize(part) if metric == "cosine" else part
        total += part.sum(dim=0, dtype=torch.float64)
    shift = torch.zeros_like(rows[0])
    if metric == "euclidean":
        shift = (total / count).float()
        rows -= shift
    return rows, shift


def _principal_axes(rows: torch.Tensor) -> tuple[torch.Tensor, int]:
    """The rows' principal axes (about the origin), as columns in decreasing order, [d, d], and how
    many of them hold most of the squared lengths; 0 if many are needed."""
    products = torch.zeros(2 * rows.shape[1:], dtype=torch.float64, device=rows.device)
    for part in rows.split(_at_once(rows)):
        products += part.T @ part
    energies, axes = torch.linalg.eigh(products)
    held = energies.flip(0).clamp(min=0).cumsum(0)
    most = int(_LEADING_SHARE_OF_AXES * len(held))
    for leading in range(_LEADING_AXES, most + 1, _LEADING_AXES):
        if held[leading - 1] >= _LEADING_ENERGY * held[-1]:
            return axes.flip(1).float(), leading
    return axes, 0


def _distinct_rows(
    rows: torch.Tensor, count: int, seed: int, weights: torch.Tensor | None = None
) -> torch.Tensor:
    """Ids of ``count`` random rows, [count] int64. Distinct rows come first; repetitions follow only if
    there are too few (they become empty clusters, which are refilled). With weights, the probability
    of a row is proportional to its weight."""
    generator = torch.Generator().manual_seed(seed)
    if weights is None:
        order = torch.randperm(len(rows), generator=generator)
    else:  # the largest log(u) / weight (Efraimidis and Spirakis, 2006)
        uniform = torch.rand(len(rows), generator=generator, dtype=torch.float64)
        order = (uniform.log() / weights.cpu().double()).argsort(descending=True, stable=True)
    keys = _hashes(rows, generator).cpu()[order]
    _, labels = keys.unique(return_inverse=True)
    first = torch.full_like(labels, len(labels))
    first.scatter_reduce_(0, labels, torch.arange(len(labels)), "amin")
    is_repetition = first[labels] != torch.arange(len(labels))
    return order[is_repetition.int().argsort(stable=True)[:count]].to(rows.device)


def _hashes(rows: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """One 64-bit key per row, equal for equal rows: the product of the bits with random odd numbers,
    modulo 2⁶⁴. [N] int64."""
    factors = torch.randint(-(2**62), 2**62, (rows.shape[1],), generator=generator) * 2 + 1
    factors = factors.to(rows.device)
    keys = torch.empty(len(rows), dtype=torch.int64, device=rows.device)
    for part, into in zip(rows.split(512), keys.split(512), strict=True):
        torch.sum(part.view(torch.int32) * factors, dim=1, out=into)
    return keys


def _offsets(centroids: torch.Tensor, metric: Metric) -> torch.Tensor:
    """The terms to add to x·c, so that the largest score is the nearest centroid, [k]."""
    if metric == "cosine":
        return centroids.new_zeros(len(centroids))
    return centroids.square().sum(dim=1).mul_(-0.5)


def _nearest(
    rows: torch.Tensor, centroids: torch.Tensor, metric: Metric
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Each row's nearest centroid, [N] int64, its score and the next best score, [N] float32.

    Tiles of rows × centroids are computed in one buffer. The lowest id wins ties. With one centroid,
    the next best score is -inf.

    With many centroids, the first scan keeps only the best score of every block. A second scan of the
    row's best block finds the centroid and the block's next best score.
    """
    tile_rows, tile_centroids = _TILE[rows.device.type]
    offsets = _offsets(centroids, metric)
    blocks = -(-len(centroids) // _BLOCK)
    if blocks < _FEWEST_BLOCKS[rows.device.type]:
        blocks = 0
    else:  # a block is within one tile
        tile_centroids = max(1, tile_centroids // _BLOCK) * _BLOCK
    ids = torch.zeros(len(rows), dtype=torch.int64, device=rows.device)
    scores = torch.full((len(rows),), -torch.inf, device=rows.device)
    seconds = scores.clone()
    buffer = rows.new_empty(min(tile_rows, len(rows)) * min(tile_centroids, len(centroids)))
    best_of_block = rows.new_empty(min(tile_rows, len(rows)), blocks)
    for top in range(0, len(rows), tile_rows):
        span = slice(top, top + tile_rows)
        part = rows[span]
        for left in range(0, len(centroids), tile_centroids):
            block = centroids[left : left + tile_centroids]
            tile = buffer[: len(part) * len(block)].view(len(part), len(block))
            if metric == "cosine":
                torch.mm(part, block.T, out=tile)
            else:
                torch.addmm(offsets[left : left + tile_centroids], part, block.T, out=tile)
            if blocks:
                whole = len(block) // _BLOCK
                first = left // _BLOCK
                into = best_of_block[: len(part), first : first + whole]
                into.copy_(tile[:, : whole * _BLOCK].unflatten(1, (whole, _BLOCK)).amax(dim=2))
                if len(block) % _BLOCK:
                    best_of_block[: len(part), first + whole] = tile[:, whole * _BLOCK :].amax(1)
                continue
            best, where, second = _best_two(tile)
            nearer = best > scores[span]
            beaten = torch.minimum(best, scores[span])
            seconds[span] = torch.maximum(torch.maximum(seconds[span], second), beaten)
            scores[span] = torch.where(nearer, best, scores[span])
            ids[span] = torch.where(nearer, where + left, ids[span])
        if blocks:
            _, ids[span], seconds[span] = _best_two(best_of_block[: len(part)])
    if not blocks:
        return ids, scores, seconds
    members = ids.argsort(stable=True)
    for number, part in enumerate(members.split(ids.bincount(minlength=blocks).tolist())):
        left = number * _BLOCK
        block = centroids[left : left + _BLOCK].T
        for some in part.split(_at_once(rows)):
            tile = rows.index_select(0, some) @ block
            if metric != "cosine":
                tile += offsets[left : left + _BLOCK]
            best, where, second = _best_two(tile)
            ids[some] = where + left
            scores[some] = best
            seconds[some] = torch.maximum(seconds[some], second)
    return ids, scores, seconds


def _at_once(rows: torch.Tensor) -> int:
    """The number of rows to gather at a time, on the device of ``rows``."""
    return _ROWS_AT_ONCE[rows.device.type]


def _best_two(tile: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """For every row, the largest value, its first column, and the next largest value (-inf with one
    column). The tile's largest values are overwritten."""
    best, where = tile.max(dim=1)
    return best, where, tile.scatter_(1, where.unsqueeze(1), -torch.inf).amax(dim=1)
