"""Lloyd's algorithm: the state of a clustering, and exact passes."""

from collections.abc import Callable, Sequence

import torch

from semantic_tokens.grouping.kmeans.nearest import (
    Metric,
    nearest_centroids,
    rows_at_once,
    score_offsets,
)

#: Called after every iteration with its number and the objective. In exact iterations, this is the
#: objective before the update of the centroids.
Report = Callable[[int, float], None]
# Rows are compared with a copy of the moved centroids. If more than this fraction moved, they are
# compared with all centroids, since the copy would need too much memory.
_LARGEST_SHARE_COPIED = 2 / 3


class Clustering:
    """The state of K-Means, updated in place.

    Attributes:
        rows: [N, d] float32, from :func:`prepared_rows`.
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
        offsets = score_offsets(self.centroids, self.metric)
        # Written in place: small results between large temporaries would fragment the memory.
        scores = self.rows.new_empty(len(ids))
        at_once = rows_at_once(self.rows)
        for part, into in zip(ids.split(at_once), scores.split(at_once), strict=True):
            own = self.assignment[part]
            of_row, of_own = self.rows.index_select(0, part), self.centroids.index_select(0, own)
            torch.add(torch.einsum("nd,nd->n", of_row, of_own), offsets[own], out=into)
        return scores

    def score_again(self) -> None:
        """Update all scores after a change of the centroids."""
        self.score = self.own_scores(torch.arange(len(self.rows), device=self.rows.device))

    def assign_all(self) -> None:
        """Compare every row with every centroid."""
        self.assignment, self.score, self.rival = nearest_centroids(
            self.rows, self.centroids, self.metric
        )

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
        at_once = rows_at_once(self.rows)
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
            where, best, second = nearest_centroids(some, centroids, self.metric)
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
        # A row may return to its old cluster, and the centroid that it preferred in between may not
        # move.
        self.rival[given] = torch.maximum(self.rival[given], self.score[given])
        self.score[given] = own.sqrt() if self.metric == "cosine" else own / 2
        self.assignment[given] = torch.tensor(empty, device=self.rows.device)

    def average_members(self, changed: torch.Tensor) -> None:
        """Set the centroids of changed clusters, [k] bool, to the weighted means of their members.

        Members are always summed in the order of their ids, so the centroids depend only on the
        partition. A mean of length zero (opposite rows) stays zero.
        """
        self.centroids[changed] = 0.0
        for part in changed[self.assignment].nonzero().squeeze(1).split(rows_at_once(self.rows)):
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


def lloyd_iterations(
    clustering: Clustering, max_iterations: int, tolerance: float, report: Report
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
        if not moved.any() or has_settled(previous, objective, tolerance):
            break
        if iteration < max_iterations:
            previous = objective
            before = clustering.assignment.clone()
            clustering.assign_again(changed)
    return iteration


def has_settled(previous: float, objective: float, tolerance: float) -> bool:
    """Whether the relative decrease of the objective is at most ``tolerance``; false from
    infinity."""
    return previous - objective <= tolerance * objective
