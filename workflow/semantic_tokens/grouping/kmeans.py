"""K-Means over word embeddings (paper, section 2.1; Appendix E).

Cosine distance means spherical K-Means: rows and centroids have length one. Euclidean distance
is the alternative of Appendix E.

**Work.** Lloyd's algorithm, exact up to rounding. The first pass compares every row with every
centroid. A later one uses what it knows. A centroid moves only if its cluster gained or lost a
member, and each row remembers how near the nearest of the others can at most be: a row that is
still nearer to its own cannot prefer a centroid that stood still, and is compared with those
that moved alone. The tail of a run, where few clusters change, then costs little.

**Near before all.** The first passes move nearly every centroid, and far: they need no precision.
Where there are many clusters their centroids are gathered in regions, and a row is compared with
the centroids of the regions nearest to it alone; where the leading principal axes hold most of
what tells rows apart, within those axes. Such a pass costs a few hundredths of a whole one. When
they gain little more, exact passes over all centroids and columns go on from their partition.
Clusters of a few rows each are exact from the start: nearly every row moves once alone then, so a
partition is no better than its first passes.

**Memory.** The N×k matrix of similarities never exists; it is made and reduced a tile at a time.
The largest case of the paper, XLM-V at 40% (901,629×768, 360,652 centroids), holds on the
device: rows 2.8 GB, centroids 1.1 GB and copies of those that moved 1.1 GB, tiles 0.5 GB, gathered
rows 0.8 GB, a few vectors of N: 6 GB in all, of the 80 GB of the paper's GPUs.

**Empty clusters.** There are none, in any iteration: an empty cluster gets the row that lies
farthest from its own centroid, out of a cluster that can spare it.

**Weights.** Rows may weigh differently. A row is assigned as before; it counts by its weight in
its cluster's mean, in the objective, in what is farthest, and in the draw of the rows to start
from. A vector of N more is all that this takes.
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

#: Told of every iteration: its number and the objective, in an exact one before its centroids are
#: updated.
Report = Callable[[int, float], None]

# Gathered at a time, by index_select, which copies whole rows several times as fast as indexing: on
# a CPU few enough that the allocator reuses their memory, on a GPU so many that the time to start
# kernels does not count.
_ROWS_AT_ONCE = {"cpu": 2048, "cuda": 2**17}

# Of a tile of similarities the first look takes the best of so many centroids; the row's best
# block alone is looked at again, to find which one it was. Without indices a maximum takes an
# eighth of the time on a CPU.
_BLOCK = 128
# With fewer blocks than these the second look would cost more than the first one saves. On a GPU,
# where a maximum with indices takes little beside the product, it always would: a second look starts
# some kernels for each block.
_FEWEST_BLOCKS = {"cpu": 24.0, "cuda": float("inf")}

# Rows are compared with the centroids that moved, in a copy; with all where more than this share
# did, for a copy of most would be the largest thing in memory beside the rows.
_LARGEST_SHARE_COPIED = 2 / 3

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

# The largest tile of similarities, as rows × centroids: on a CPU it should stay in the cache
# between the product that fills it and the maximum that reads it; on a GPU it should be large
# enough to keep every multiprocessor busy (8192 × 8192 float32 are 0.27 GB).
_TILE = {"cpu": (1024, 1024), "cuda": (8192, 8192)}

# cuML's own tile is max_samples_per_batch × n_clusters float32 values; its default of 32,768
# samples would take 47 GB at XLM-V's 360,652 centroids. This bounds it to 4 GB.
_CUML_TILE_ELEMENTS = 2**30


@dataclass(frozen=True)
class KMeansResult:
    """A partition of N rows into k clusters, all on the CPU.

    Attributes:
        assignment: [N] int64, every id of 0..k-1 at least once.
        centroids: [k, d] float32, the means of the assigned rows (cosine: of the normalised
            rows, and of length one).
        objective: the sum over rows of 1 - cosine, or of the squared distance, to their centroid,
            times the row's weight where there are weights.
        iterations: how many times rows were assigned.
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
        ratio: r_G; there are round(r_G · V) groups, the subwords kept alone included.
        alone: ids that keep a group of their own, outside the clustering.
        weights: [V] floating, above 0, as :func:`frequency_weights` makes them; None weighs every
            subword alike.
        seed, max_iterations, tolerance, backend, report: see :func:`kmeans`.

    Raises:
        InputError: the ratio leaves nothing to cluster, or the backend is not at hand.
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
    """What subwords weigh: frequency^alpha, divided by the mean so that 1 is the average.

    Args:
        counts: [V] int64, how often each subword occurs; one that never does counts as once.
        alpha: 0 weighs all alike, 1 by frequency.

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

    It starts from random distinct rows, drawn in proportion to their weights. k-means++ would read the whole matrix once a centroid
    (for mBERT at 5%, 6,000 × 370 MB: many times the cost of the clustering itself), and in
    hundreds of dimensions it favours isolated rows, which then stay clusters of one.

    On the CPU the same seed gives the same bytes. On a GPU, and under cuML, sums are ordered
    differently from run to run, so the assignment itself is what to keep.

    Args:
        embeddings: [M, d] floating. Zero rows are fine: their cosine to everything is 0.
        n_clusters: k, no more than the N rows that are partitioned.
        metric: ``cosine`` or ``euclidean``.
        seed: decides the initial rows.
        among: [N] int64, the ids of the rows to partition; None is all of them.
        weights: [N] floating, above 0, what each of those rows counts; None is one for all, and
            equal weights are as good as none.
        max_iterations: a bound on the passes over the rows.
        tolerance: stop when the objective falls by no more than this fraction of itself; 0
            runs until no row moves, or none gains.
        backend: ``torch``, ``cuml``, or ``auto``: the better of the two on this device; see
            :mod:`semantic_tokens.grouping.kmeans_backend`.
        device: to compute on; None is a CUDA device where there is one.
        init: [k, d] initial centroids instead of random rows; every pass is exact then.
        report: called after every iteration.

    Raises:
        InputError: there are fewer rows than clusters, the backend is not at hand, or the GPU's
            memory does not suffice.
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
    """Cluster a sample of the rows with a backend, and time it. Both draw the same rows to start
    from."""
    ids = torch.arange(len(embeddings)) if among is None else among
    generator = torch.Generator().manual_seed(options["seed"])
    some = torch.randperm(len(ids), generator=generator)[:SAMPLE].sort().values
    clusters = max(1, round(n_clusters * len(some) / len(ids)))
    sample = embeddings[ids[some]]
    own = None if weights is None else weights.cpu()[some]
    # The first run of a process loads kernels and libraries.
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
    # The result is on the CPU, so the device has ended.
    return Trial(time.perf_counter() - began, result.objective)


def _device_bytes(rows: int, clusters: int, columns: int) -> int:
    """What K-Means takes of a GPU's memory at the most; see the module's head."""
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
    """:func:`kmeans` with a backend and a device that are known."""
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
    """Where K-Means stands, updated in place.

    Attributes:
        rows: [N, d] float32, as :func:`_prepared` leaves them.
        centroids: [k, d] float32.
        assignment: [N] int64, each row's centroid.
        score: [N] float32, its nearness to that centroid, larger being nearer: x·c under
            cosine, x·c - |c|²/2 (which orders centroids as the distance does) under Euclidean.
        rival: [N] float32, at least the score of every other centroid that has stood still
            since it was last compared with the row.
        weights: [N] float32, or None where each row counts one.
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
        """The distances times the weights: what each row adds to the objective, [N] float64."""
        return self.distances() if self.weights is None else self.distances() * self.weights

    def objective(self) -> float:
        return float(self.costs().sum())

    def own_scores(self, ids: torch.Tensor) -> torch.Tensor:
        """The scores of some rows, [n] int64, with their own centroids as these now are."""
        offsets = _offsets(self.centroids, self.metric)
        # Filled in place, as elsewhere here: results kept between large temporaries leave holes
        # in the memory that the next of those just does not fit in.
        scores = self.rows.new_empty(len(ids))
        at_once = _at_once(self.rows)
        for part, into in zip(ids.split(at_once), scores.split(at_once), strict=True):
            own = self.assignment[part]
            of_row, of_own = self.rows.index_select(0, part), self.centroids.index_select(0, own)
            torch.add(torch.einsum("nd,nd->n", of_row, of_own), offsets[own], out=into)
        return scores

    def score_again(self) -> None:
        """Bring all scores up to date with the centroids."""
        self.score = self.own_scores(torch.arange(len(self.rows), device=self.rows.device))

    def assign_nearby(self, regions: int, columns: int) -> None:
        """Compare every row with the centroids of the regions nearest to it, within the leading
        columns. No rival is known afterwards.

        Args:
            regions: how many the centroids are gathered in, by a few passes over them.
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
        """Assign to the nearest centroid after the changed centroids, [k] bool, have moved.

        A row leaves its cluster only for one that is strictly nearer.
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
        self.rival[exposed] = -torch.inf  # found anew, among all
        self._move_to_nearer(exposed.split(at_once), every)

    def _move_to_nearer(
        self, parts: Sequence[slice | torch.Tensor], candidates: torch.Tensor
    ) -> None:
        """Compare some rows, as slices or ids, with some centroids, as ids, and move those
        that gain."""
        is_every = len(candidates) == len(self.centroids)
        centroids = self.centroids if is_every else self.centroids[candidates]
        for part in parts:
            own, score, rival = self.assignment[part], self.score[part], self.rival[part]
            some = self.rows[part] if isinstance(part, slice) else self.rows.index_select(0, part)
            where, best, second = _nearest(some, centroids, self.metric)
            nearest = candidates[where]
            moves = (best > score) & (nearest != own)
            # The cluster that a row leaves is no rival to remember: losing a member moves its
            # centroid, so the row meets it among the next candidates.
            left = torch.where(moves | (nearest == own), second, best)
            self.rival[part] = torch.maximum(rival, left)
            self.assignment[part] = torch.where(moves, nearest, own)
            self.score[part] = torch.where(moves, best, score)

    def fill_empty_clusters(self) -> None:
        """Give each empty cluster, in turn, the row that adds most to the objective among those
        whose cluster has another member: the one farthest from its centroid, where all weigh
        alike. The row is the new centroid."""
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
        # A row may thus be back where it was, and what it preferred in between stand still.
        self.rival[given] = torch.maximum(self.rival[given], self.score[given])
        self.score[given] = own.sqrt() if self.metric == "cosine" else own / 2
        self.assignment[given] = torch.tensor(empty, device=self.rows.device)

    def average_members(self, changed: torch.Tensor) -> None:
        """Set the centroids of changed clusters, [k] bool, to the weighted means of their members.

        Members are summed in the order of their ids, whatever happened before, so a partition
        has one set of centroids. A mean of length zero (opposite rows) stays zero.
        """
        self.centroids[changed] = 0.0
        for part in changed[self.assignment].nonzero().squeeze(1).split(_at_once(self.rows)):
            members = self.rows.index_select(0, part)
            if self.weights is not None:
                members.mul_(self.weights[part].unsqueeze(1))
            self.centroids.index_add_(0, self.assignment[part], members)
        # In place, for a copy would be the largest thing in memory beside the rows; what has not
        # changed is divided by one.
        sizes = self.assignment.bincount(self.weights, minlength=len(self.centroids))
        self.centroids.div_(torch.where(changed, sizes, 1).to(self.centroids.dtype).unsqueeze(1))
        if self.metric == "cosine":
            lengths = torch.linalg.vector_norm(self.centroids, dim=1).clamp_(min=1e-12)
            self.centroids.div_(torch.where(changed, lengths, 1.0).unsqueeze(1))


def _near_iterations(
    clustering: _Clustering, regions: int, leading: int, max_iterations: int, report: Report
) -> None:
    """Assign to near centroids and average until that gains little; see the module's head.

    The objectives reported are of the partitions with their own means, over all columns.

    Args:
        leading: columns that rows are compared in; 0 is all.
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
    """Assign and average until the objective settles; return how often."""
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
        changed[before[moved]] = True  # in the first iteration all are: every cluster has a member
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
        if _has_settled(previous, objective, tolerance):
            break
        previous = objective
    clustering.assign_all()
    clustering.fill_empty_clusters()
    clustering.average_members(torch.ones_like(clustering.centroids[:, 0], dtype=torch.bool))
    return iteration


def _cuml_samples(centroids: int) -> int:
    """Rows that cuML compares at a time: its default, or fewer where its tile would not fit."""
    return max(1, min(32768, _CUML_TILE_ELEMENTS // centroids))


def _has_settled(previous: float, objective: float, tolerance: float) -> bool:
    """Whether the objective fell by no more than a fraction of itself; never from infinity."""
    return previous - objective <= tolerance * objective


def _prepared(
    embeddings: torch.Tensor, ids: torch.Tensor | None, metric: Metric, device: torch.device
) -> tuple[torch.Tensor, torch.Tensor]:
    """Some rows ready to compare, on the device, and what was taken from them.

    Under cosine each gets length one (zero rows stay zero). Under Euclidean the mean row is
    taken off, which changes no distance and keeps |x|² small beside what it is compared with.
    The copy that this makes is the only one.

    Raises:
        InputError: the metric is not known, or a row holds NaN or infinity.
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
    """The rows' principal axes (about the origin), as columns by falling share, [d, d], and how
    many of them hold most of the squared lengths; 0 where no few do."""
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
    """Ids of ``count`` random rows, [count] int64: distinct ones first, repetitions only where
    there are too few (they become empty clusters, which are filled). With weights each next row is
    drawn with a chance in proportion to its own."""
    generator = torch.Generator().manual_seed(seed)
    if weights is None:
        order = torch.randperm(len(rows), generator=generator)
    else:  # log(u) / weight, largest first, is such a draw (Efraimidis and Spirakis, 2006)
        uniform = torch.rand(len(rows), generator=generator, dtype=torch.float64)
        order = (uniform.log() / weights.cpu().double()).argsort(descending=True, stable=True)
    keys = _hashes(rows, generator).cpu()[order]
    _, labels = keys.unique(return_inverse=True)
    first = torch.full_like(labels, len(labels))
    first.scatter_reduce_(0, labels, torch.arange(len(labels)), "amin")
    is_repetition = first[labels] != torch.arange(len(labels))
    return order[is_repetition.int().argsort(stable=True)[:count]].to(rows.device)


def _hashes(rows: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """A 64-bit key a row, equal for equal rows: the bits' product with random odd numbers,
    modulo 2⁶⁴. [N] int64."""
    factors = torch.randint(-(2**62), 2**62, (rows.shape[1],), generator=generator) * 2 + 1
    factors = factors.to(rows.device)
    keys = torch.empty(len(rows), dtype=torch.int64, device=rows.device)
    for part, into in zip(rows.split(512), keys.split(512), strict=True):
        torch.sum(part.view(torch.int32) * factors, dim=1, out=into)
    return keys


def _offsets(centroids: torch.Tensor, metric: Metric) -> torch.Tensor:
    """What is added to x·c so that the largest score is the nearest centroid, [k]."""
    if metric == "cosine":
        return centroids.new_zeros(len(centroids))
    return centroids.square().sum(dim=1).mul_(-0.5)


def _nearest(
    rows: torch.Tensor, centroids: torch.Tensor, metric: Metric
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Each row's nearest centroid, [N] int64, its score and the next best one, [N] float32.

    Tiles of rows × centroids are computed into one buffer. Ties go to the lowest id. With one
    centroid the next best score is -inf.

    Of many centroids a first look keeps the best score in every block of them alone; a second
    one, over the row's best block, finds which centroid that is and the block's next best.
    """
    tile_rows, tile_centroids = _TILE[rows.device.type]
    offsets = _offsets(centroids, metric)
    blocks = -(-len(centroids) // _BLOCK)
    if blocks < _FEWEST_BLOCKS[rows.device.type]:
        blocks = 0
    else:  # a block lies within one tile
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
    """How many rows are gathered at a time where these are."""
    return _ROWS_AT_ONCE[rows.device.type]


def _best_two(tile: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Of every row the largest value, the first column that has it, and the next largest value
    (-inf where there is one column). The tile's largest values are gone afterwards."""
    best, where = tile.max(dim=1)
    return best, where, tile.scatter_(1, where.unsqueeze(1), -torch.inf).amax(dim=1)
