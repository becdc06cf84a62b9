import itertools
import sys
import types

import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from semantic_tokens.errors import InputError
from semantic_tokens.grouping.groups import Groups
from semantic_tokens.grouping.kmeans import backend as kmeans_backend
from semantic_tokens.grouping.kmeans import cuml, frequency_weights, kmeans, kmeans_groups
from semantic_tokens.grouping.kmeans import near as near_passes
from semantic_tokens.grouping.kmeans import nearest as tiles
from semantic_tokens.grouping.kmeans import rows as kmeans_rows
from semantic_tokens.grouping.kmeans import run as kmeans_run
from semantic_tokens.grouping.kmeans.backend import Trial, choose_backend
from semantic_tokens.grouping.kmeans.lloyd import Clustering

METRICS = ["cosine", "euclidean"]


def rows_of(count: int, dimension: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(count, dimension, generator=torch.Generator().manual_seed(seed))


def planted(clusters: int, members: int, dimension: int, seed: int = 0) -> torch.Tensor:
    """Tight clusters around random directions. Rows of one cluster are consecutive."""
    centers = rows_of(clusters, dimension, seed).repeat_interleave(members, dim=0)
    return centers + 0.02 * rows_of(clusters * members, dimension, seed + 1)


def unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)


def objective_of(rows: np.ndarray, assignment: np.ndarray, metric: str) -> float:
    """The sum of distances of rows to the means of their clusters, by definition."""
    rows = unit(rows) if metric == "cosine" else rows
    total = 0.0
    for cluster in np.unique(assignment):
        members = rows[assignment == cluster]
        center = members.mean(axis=0)
        if metric == "cosine":
            total += (1 - members @ (center / max(np.linalg.norm(center), 1e-12))).sum()
        else:
            total += ((members - center) ** 2).sum()
    return total


def lloyd(rows: np.ndarray, centroids: np.ndarray, metric: str, iterations: int) -> np.ndarray:
    """Lloyd's algorithm in double precision, comparing all rows with all centroids in each pass."""
    if metric == "cosine":
        rows, centroids = unit(rows), unit(centroids)
    for _ in range(iterations):
        distances = ((rows[:, None] - centroids[None]) ** 2).sum(axis=2)
        assignment = distances.argmin(axis=1)
        centroids = np.stack([rows[assignment == c].mean(axis=0) for c in range(len(centroids))])
        if metric == "cosine":
            centroids = unit(centroids)
    return assignment


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("iterations", [1, 2, 3, 5, 8, 50])
def test_every_iteration_equals_lloyds_algorithm(metric, iterations):
    rows = rows_of(400, 8).double()
    start = rows[:25]
    expected = lloyd(rows.numpy(), start.numpy(), metric, iterations)
    result = kmeans(
        rows, 25, metric=metric, seed=0, init=start, max_iterations=iterations, tolerance=0
    )
    assert np.array_equal(result.assignment.numpy(), expected)
    assert result.objective == pytest.approx(objective_of(rows.numpy(), expected, metric), rel=1e-5)


@pytest.mark.parametrize("metric", METRICS)
def test_best_of_several_starts_is_the_optimal_partition(metric):
    rows = rows_of(8, 3, seed=5)
    best = min(
        objective_of(rows.double().numpy(), np.array(labels), metric)
        for labels in itertools.product(range(3), repeat=8)
        if len(set(labels)) == 3
    )
    found = min(
        kmeans(rows, 3, metric=metric, seed=seed, tolerance=0).objective for seed in range(30)
    )
    assert found == pytest.approx(best, rel=1e-5)


def test_euclidean_equals_scikit_learn_from_the_same_start():
    from sklearn.cluster import KMeans

    rows = rows_of(2000, 16) + 5
    reference = KMeans(60, init=rows[:60].numpy(), n_init=1, tol=0, max_iter=300).fit(rows.numpy())
    result = kmeans(
        rows, 60, metric="euclidean", seed=0, init=rows[:60], tolerance=0, max_iterations=300
    )
    assert np.array_equal(result.assignment.numpy(), reference.labels_)
    assert result.objective == pytest.approx(reference.inertia_, rel=1e-5)
    np.testing.assert_allclose(result.centroids, reference.cluster_centers_, atol=1e-4)


def test_cosine_equals_faiss_from_the_same_start():
    faiss = pytest.importorskip("faiss", reason="needs the optional reference faiss-cpu")
    rows = torch.nn.functional.normalize(rows_of(2000, 16))
    reference = faiss.Kmeans(
        16, 40, niter=100, spherical=True, max_points_per_centroid=2000, min_points_per_centroid=1
    )
    reference.train(rows.numpy(), init_centroids=rows[:40].numpy())
    similarity, _ = reference.index.search(rows.numpy(), 1)
    result = kmeans(
        rows, 40, metric="cosine", seed=0, init=rows[:40], tolerance=0, max_iterations=100
    )
    assert result.objective == pytest.approx(float((1 - similarity).sum()), rel=1e-4)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("seed", range(12))
def test_invariants_hold_for_random_rows(metric, seed):
    random = np.random.default_rng(seed)
    count, dimension = int(random.integers(2, 120)), int(random.integers(1, 10))
    rows = rows_of(count, dimension, seed)
    rows[random.random(count) < 0.2] = 0.0  # zero rows
    rows = rows[torch.from_numpy(random.integers(0, count, count))]  # repeated rows
    clusters = int(random.integers(1, count + 1))
    result = kmeans(rows, clusters, metric=metric, seed=seed)
    assert result.assignment.unique().tolist() == list(range(clusters))
    assert result.centroids.isfinite().all()
    assert result.objective == pytest.approx(
        objective_of(rows.double().numpy(), result.assignment.numpy(), metric), rel=1e-4, abs=1e-4
    )


@pytest.mark.parametrize("metric", METRICS)
def test_centroids_are_the_means_of_their_members(metric):
    rows = rows_of(300, 5)
    result = kmeans(rows, 20, metric=metric, seed=1)
    source = torch.nn.functional.normalize(rows) if metric == "cosine" else rows
    means = torch.stack([source[result.assignment == c].mean(dim=0) for c in range(20)])
    expected = torch.nn.functional.normalize(means) if metric == "cosine" else means
    torch.testing.assert_close(result.centroids, expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("metric", METRICS)
def test_planted_clusters_are_found(metric):
    rows = planted(clusters=30, members=10, dimension=16)
    result = kmeans(rows, 30, metric=metric, seed=0, init=rows[::10])
    assert torch.equal(result.assignment, torch.arange(30).repeat_interleave(10))


def test_cosine_ignores_lengths_and_euclidean_does_not():
    rows = planted(clusters=12, members=10, dimension=8)
    scaled = rows * (10.0 ** rows_of(120, 1, seed=9))

    def labels(rows: torch.Tensor, metric: str) -> list[int]:
        return kmeans(rows, 12, metric=metric, seed=0, init=rows[::10]).assignment.tolist()

    assert labels(rows, "cosine") == labels(scaled, "cosine")
    assert labels(rows, "euclidean") != labels(scaled, "euclidean")


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("distinct", [1, 3])
def test_fewer_distinct_rows_than_clusters_still_fill_every_cluster(metric, distinct):
    rows = rows_of(distinct, 4).repeat(10, 1)
    result = kmeans(rows, distinct * 10 - 2, metric=metric, seed=0, tolerance=0)
    assert result.assignment.bincount().min() >= 1
    assert result.objective == pytest.approx(0.0, abs=1e-4)


def test_an_empty_cluster_gets_the_row_farthest_from_its_centroid():
    rows = torch.tensor([[1.0, 0.0], [1.0, 0.1], [1.0, 0.2], [0.0, 1.0], [1.0, -0.1]])
    far_off = torch.tensor([[1.0, 0.05], [-1.0, -1.0]])
    result = kmeans(rows, 2, metric="cosine", seed=0, init=far_off, max_iterations=1)
    assert result.assignment.tolist() == [0, 0, 0, 1, 0]


def test_random_starts_are_distinct_rows():
    rows = rows_of(6, 3).repeat(50, 1)
    ids = kmeans_rows.distinct_rows(rows, 6, seed=4)
    assert len(rows[ids].unique(dim=0)) == 6


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("tile", [(1, 1), (7, 3), (64, 1000), (10_000, 5)])
def test_tile_size_does_not_change_the_result(metric, tile, monkeypatch):
    rows = rows_of(500, 12)
    expected = kmeans(rows, 40, metric=metric, seed=2, tolerance=0)
    monkeypatch.setitem(tiles.TILE, "cpu", tile)
    monkeypatch.setitem(tiles.ROWS_AT_ONCE, "cpu", 33)
    result = kmeans(rows, 40, metric=metric, seed=2, tolerance=0)
    assert torch.equal(result.assignment, expected.assignment)
    assert result.iterations == expected.iterations


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("tile", [(16, 8), (64, 3), (7, 1000)])
@pytest.mark.parametrize("centroids", [1, 4, 5, 37, 40])
def test_search_by_blocks_finds_the_two_nearest_centroids(metric, tile, centroids, monkeypatch):
    rows, others = rows_of(120, 6), rows_of(centroids, 6, seed=1)
    others[centroids // 2] = others[0]  # the lower id wins a tie
    scores = rows @ others.T
    if metric == "euclidean":
        scores -= others.square().sum(dim=1) / 2
    monkeypatch.setitem(tiles.TILE, "cpu", tile)
    monkeypatch.setattr(tiles, "_BLOCK", 4)
    monkeypatch.setitem(tiles._FEWEST_BLOCKS, "cpu", 1)
    ids, best, second = tiles.nearest_centroids(rows, others, metric)
    expected = scores.sort(dim=1, descending=True, stable=True)
    assert torch.equal(ids, expected.indices[:, 0])
    torch.testing.assert_close(best, expected.values[:, 0])
    if centroids > 1:
        torch.testing.assert_close(second, expected.values[:, 1])
    else:
        assert second.eq(-torch.inf).all()


def rows_with_principal_axes(count: int, seed: int = 0) -> torch.Tensor:
    """Rows with 160 columns whose variance is mostly in a few directions, which are not columns."""
    rotation = torch.linalg.qr(rows_of(160, 160, seed=9)).Q
    return rows_of(count, 160, seed) * (0.97 ** torch.arange(160)) @ rotation


@pytest.fixture
def enable_near_passes(monkeypatch):
    """Enable passes over near centroids, which few centroids would not start otherwise."""
    monkeypatch.setattr(near_passes, "_FEWEST_REGIONS_A_ROW", 2)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("axes", ["leading", "all"])
def test_near_passes_converge_to_a_fixed_point_of_lloyd(metric, axes, enable_near_passes):
    rows = rows_with_principal_axes(2000) if axes == "leading" else rows_of(2000, 160)
    assert bool(near_passes.principal_axes(rows)[1]) == (axes == "leading")
    objectives: list[float] = []
    result = kmeans(
        rows,
        60,
        metric=metric,
        seed=3,
        tolerance=0,
        report=lambda _, value: objectives.append(value),
    )
    assert len(objectives) == result.iterations
    next_pass = kmeans(rows, 60, metric=metric, seed=3, init=result.centroids, max_iterations=1)
    assert torch.equal(next_pass.assignment, result.assignment)
    assert result.objective == pytest.approx(
        objective_of(rows.double().numpy(), result.assignment.numpy(), metric), rel=1e-5
    )
    for cluster in range(60):
        members = rows[result.assignment == cluster]
        if metric == "cosine":
            members = torch.nn.functional.normalize(members)
        mean = members.mean(dim=0)
        expected = torch.nn.functional.normalize(mean, dim=0) if metric == "cosine" else mean
        torch.testing.assert_close(result.centroids[cluster], expected, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(("count", "expected"), [(306, True), (305, False)])
def test_near_passes_are_skipped_if_clusters_have_few_rows(
    count, expected, enable_near_passes, monkeypatch
):
    near_pass_calls = []
    original = near_passes._assign_nearby
    monkeypatch.setattr(
        near_passes,
        "_assign_nearby",
        lambda *arguments: (near_pass_calls.append(True), original(*arguments)),
    )
    rows = rows_of(count, 6)
    result = kmeans(rows, 51, metric="cosine", seed=3)
    assert bool(near_pass_calls) == expected
    if not expected:
        starts = rows[kmeans_rows.distinct_rows(rows, 51, 3)]
        exact = kmeans(rows, 51, metric="cosine", seed=3, init=starts)
        assert torch.equal(exact.assignment, result.assignment)


@pytest.mark.parametrize("metric", METRICS)
def test_near_passes_need_fewer_operations_for_an_equal_objective(
    metric, enable_near_passes, monkeypatch
):
    """Over some seeds, counted in multiplications."""
    rows = rows_with_principal_axes(4000)

    def objective_and_operations() -> tuple[float, int]:
        with FlopCounterMode(display=False) as counted:
            found = [kmeans(rows, 200, metric=metric, seed=seed).objective for seed in range(4)]
        return sum(found), counted.get_total_flops()

    near_objective, near_operations = objective_and_operations()
    monkeypatch.setattr(near_passes, "_LARGEST_SHARE_OF_REGIONS", 0.0)
    exact_objective, exact_operations = objective_and_operations()
    assert near_objective < exact_objective * 1.002
    assert near_operations < exact_operations


@pytest.mark.parametrize("metric", METRICS)
def test_near_pass_assigns_the_nearest_of_the_compared_centroids(metric, monkeypatch):
    """Searching all regions equals a comparison with all centroids. Searching some regions gives
    every row a centroid and its score."""
    rows = rows_of(500, 6)
    if metric == "cosine":
        rows = torch.nn.functional.normalize(rows)
    clustering = Clustering(rows, rows[:49].clone(), metric)
    clustering.assign_all()
    nearest, score = clustering.assignment.clone(), clustering.score.clone()
    monkeypatch.setattr(near_passes, "_FEWEST_REGIONS_A_ROW", 7)
    near_passes._assign_nearby(clustering, 7, 6)
    assert torch.equal(clustering.assignment, nearest)
    torch.testing.assert_close(clustering.score, score)
    monkeypatch.setattr(near_passes, "_FEWEST_REGIONS_A_ROW", 2)
    near_passes._assign_nearby(clustering, 7, 6)
    assert (clustering.score <= score + 1e-6).all()
    assert 0.5 < (clustering.assignment == nearest).double().mean() < 1
    torch.testing.assert_close(
        clustering.score, clustering.own_scores(torch.arange(500)), atol=1e-5, rtol=1e-5
    )


def test_a_subset_of_rows_is_clustered_independently():
    rows, among = rows_of(300, 8), torch.arange(0, 300, 3)
    subset = kmeans(rows, 9, among=among, metric="euclidean", seed=1)
    separate = kmeans(rows[among], 9, metric="euclidean", seed=1)
    assert torch.equal(subset.assignment, separate.assignment)
    assert torch.equal(subset.centroids, separate.centroids)


def test_clustering_is_reproducible_and_depends_on_the_seed():
    rows = rows_of(500, 12)
    first, repeated, other = (kmeans(rows, 40, metric="cosine", seed=seed) for seed in (3, 3, 4))
    assert first.centroids.numpy().tobytes() == repeated.centroids.numpy().tobytes()
    assert torch.equal(first.assignment, repeated.assignment)
    assert not torch.equal(first.assignment, other.assignment)


def test_the_objective_never_rises_and_tolerance_stops_early():
    objectives: list[float] = []
    rows = rows_of(1000, 10)
    exact = kmeans(
        rows, 50, metric="cosine", seed=0, tolerance=0, report=lambda _, o: objectives.append(o)
    )
    assert len(objectives) == exact.iterations
    assert all(b <= a + 1e-6 for a, b in itertools.pairwise(objectives))
    loose = kmeans(rows, 50, metric="cosine", seed=0, tolerance=0.01)
    assert loose.iterations < exact.iterations


def test_groups_keep_special_tokens_as_singletons_and_match_the_ratio():
    embeddings = planted(clusters=20, members=10, dimension=8)
    groups = kmeans_groups(
        embeddings, metric="cosine", ratio=0.1, singletons=[0, 57, 3, 3], seed=0, tolerance=0
    )
    sizes = groups.token_to_group.bincount()
    assert len(sizes) == 20
    assert sizes[groups.token_to_group[[0, 3, 57]]].tolist() == [1, 1, 1]
    assert torch.equal(groups.weight[groups.token_to_group[57]], embeddings[57])


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize(
    ("zero_rows", "ratio", "groups_of_zero"), [(1, 0.1, 1), (60, 0.1, 1), (150, 0.6, 70), (7, 1, 7)]
)
def test_zero_rows_share_no_group_with_others(metric, zero_rows, ratio, groups_of_zero):
    embeddings = rows_of(200, 8)
    is_zero = torch.zeros(200, dtype=torch.bool)
    is_zero[torch.randperm(199, generator=torch.Generator().manual_seed(1))[:zero_rows]] = True
    embeddings[is_zero] = 0
    weights = torch.ones(200).scatter_(0, torch.arange(0, 200, 3), 2.0)
    for own in (None, weights) if metric == "cosine" else (None,):
        groups = kmeans_groups(
            embeddings, metric=metric, ratio=ratio, singletons=[199], seed=1, weights=own
        )
        assert len(groups.weight) == round(200 * ratio)
        found = groups.token_to_group[is_zero].unique()
        assert len(found) == groups_of_zero
        assert not torch.isin(groups.token_to_group[~is_zero], found).any()
        assert not groups.weight[found].any()


def test_zero_rows_share_the_only_group():
    embeddings = torch.cat([torch.zeros(5, 4), rows_of(5, 4)])
    for rows in (embeddings, torch.zeros(10, 4)):
        groups = kmeans_groups(rows, metric="cosine", ratio=0.2, singletons=[0], seed=1)
        assert groups.token_to_group.tolist() == [0] + [1] * 9
    assert len(kmeans_groups(torch.zeros(10, 4), metric="cosine", ratio=0.5, singletons=[], seed=1).weight) == 5  # fmt: skip


def test_a_ratio_too_small_for_the_special_tokens_names_the_row():
    with pytest.raises(InputError, match=r"kmeans-cosine-0\.05.*table of experiments"):
        kmeans_groups(rows_of(100, 4), metric="cosine", ratio=0.05, singletons=range(5), seed=0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n_clusters": 11}, "11 clusters of 10"),
        ({"n_clusters": 2, "metric": "manhattan"}, "manhattan"),
        ({"n_clusters": 2, "backend": "spark"}, "grouping.kmeans.backend"),
        ({"n_clusters": 2, "embeddings": torch.full((10, 3), torch.nan)}, "not finite"),
    ],
)
def test_invalid_clustering_arguments_are_refused(arguments, message):
    options = {"embeddings": rows_of(10, 3), "metric": "cosine", "seed": 0, **arguments}
    with pytest.raises(InputError, match=message):
        kmeans(options.pop("embeddings"), options.pop("n_clusters"), **options)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("ratio", [0.05, 0.3])  # with near passes first, and without
def test_gpu_tile_settings_give_results_like_cpu_settings(metric, ratio, monkeypatch):
    """The CPU runs with the settings of a GPU."""
    rows = rows_of(12_000, 16)
    common = {"metric": metric, "seed": 0, "max_iterations": 30}
    with_cpu_tiles = kmeans(rows, round(12_000 * ratio), **common)
    for values in (tiles.TILE, tiles.ROWS_AT_ONCE, tiles._FEWEST_BLOCKS):
        monkeypatch.setitem(values, "cpu", values["cuda"])
    with_gpu_tiles = kmeans(rows, round(12_000 * ratio), **common)
    assert with_gpu_tiles.objective == pytest.approx(with_cpu_tiles.objective, rel=0.005)
    assert int((with_gpu_tiles.assignment == with_cpu_tiles.assignment).sum()) > 0.9 * 12_000
    assert int(with_gpu_tiles.assignment.bincount(minlength=round(12_000 * ratio)).min()) > 0


def test_cuml_without_a_gpu_is_refused():
    if torch.cuda.is_available():
        pytest.skip("there is a GPU here")
    with pytest.raises(InputError, match=r"backend.*'auto'"):
        kmeans(rows_of(10, 3), 2, metric="cosine", seed=0, backend="cuml")


class DocumentedKMeans:
    """cuML 26.10's KMeans in numpy, from its documentation. It checks the call, not the GPU."""

    def __init__(
        self,
        *,
        n_clusters=8,
        max_iter=300,
        tol=1e-4,
        verbose=False,
        random_state=None,
        init="scalable-k-means++",
        n_init="auto",
        oversampling_factor=2.0,
        max_samples_per_batch=32768,
        device_buffer_samples=0,
        init_size=0,
        output_type=None,
    ):
        assert np.shape(init)[0] == n_clusters and n_init == 1 and max_iter == 1
        assert output_type == "cupy" and max_samples_per_batch >= 1
        self.init = np.array(init)

    def fit(self, X, y=None, sample_weight=None):
        weights = np.ones(len(X)) if sample_weight is None else sample_weight
        assignment = (X @ self.init.T - (self.init**2).sum(axis=1) / 2).argmax(axis=1)
        centers = self.init.copy()  # an empty cluster stays where it is
        for cluster in np.unique(assignment):
            members = assignment == cluster
            centers[cluster] = np.average(X[members], axis=0, weights=weights[members])
        self.cluster_centers_ = centers
        self.inertia_ = (weights * ((X - centers[assignment]) ** 2).sum(axis=1)).sum()
        return self


@pytest.fixture
def documented_cuml(monkeypatch):
    """The documented cuML on the CPU."""
    cluster = types.ModuleType("cuml.cluster")
    cluster.KMeans = DocumentedKMeans  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "cuml", types.ModuleType("cuml"))
    monkeypatch.setitem(sys.modules, "cuml.cluster", cluster)
    monkeypatch.setitem(sys.modules, "cupy", np)
    monkeypatch.setattr(kmeans_backend, "cuml_is_here", lambda device: True)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.usefixtures("documented_cuml")
def test_cuml_gives_the_same_clusters_as_torch(metric, weighted):
    rows = rows_of(600, 8)
    common = {"metric": metric, "seed": 0, "tolerance": 0.0, "max_iterations": 200}
    common["weights"] = frequency_weights(zipf(600), 0.5) if weighted else None
    torch_result = kmeans(rows, 30, backend="torch", **common)
    cuml_result = kmeans(rows, 30, backend="cuml", **common)
    assert torch.equal(torch_result.assignment, cuml_result.assignment)
    assert torch_result.objective == pytest.approx(cuml_result.objective, rel=1e-6)
    assert (torch_result.backend, cuml_result.backend) == ("torch", "cuml")


# The choice of the backend


def trials(**outcomes: Trial | Exception):
    """A trial function that returns the given outcomes, and the list of the backends it tried."""
    tried = []

    def trial(name):
        tried.append(name)
        if isinstance(outcomes[name], Exception):
            raise outcomes[name]
        return outcomes[name]

    return trial, tried


@pytest.mark.parametrize(
    ("torch_outcome", "cuml_outcome", "chosen"),
    [
        (Trial(1.0, 50.0), Trial(0.5, 50.0), "cuml"),
        (Trial(1.0, 50.0), Trial(0.5, 49.0), "cuml"),
        (Trial(1.0, 50.0), Trial(0.5, 50.1), "torch"),  # faster, and worse
        (Trial(1.0, 50.0), Trial(0.9, 40.0), "torch"),  # not clearly faster
        (Trial(1.0, 50.0), Trial(2.0, 40.0), "torch"),
        (Trial(1.0, 50.0), RuntimeError("cuML has no kernel"), "torch"),
    ],
)
def test_auto_chooses_cuml_only_if_it_is_faster_and_as_good(
    torch_outcome, cuml_outcome, chosen, monkeypatch, caplog
):
    monkeypatch.setattr(kmeans_backend, "cuml_is_here", lambda device: True)
    trial, tried = trials(torch=torch_outcome, cuml=cuml_outcome)
    with caplog.at_level("INFO"):
        assert choose_backend("auto", torch.device("cuda"), trial, growth=1000) == chosen
    assert tried == ["torch", "cuml"]
    assert f"K-Means by {chosen}: " in caplog.text
    if isinstance(cuml_outcome, Trial):
        assert (
            f"torch took {torch_outcome.seconds:.2f} s to an objective of {torch_outcome.objective:g}"
            in caplog.text
        )
        assert f"cuML {cuml_outcome.seconds:.2f} s to {cuml_outcome.objective:g}" in caplog.text


def test_auto_does_not_try_cuml_if_torch_takes_no_time(monkeypatch):
    monkeypatch.setattr(kmeans_backend, "cuml_is_here", lambda device: True)
    trial, tried = trials(torch=Trial(0.05, 50.0))
    assert choose_backend("auto", torch.device("cuda"), trial, growth=36) == "torch"
    assert tried == ["torch"]


@pytest.mark.parametrize("backend", ["auto", "torch"])
def test_no_backend_is_tried_on_a_cpu(backend):
    trial, tried = trials()
    assert choose_backend(backend, torch.device("cpu"), trial, growth=1e9) == "torch"
    assert tried == []


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.usefixtures("documented_cuml")
def test_trial_clusters_the_same_sample_with_both_backends(weighted, monkeypatch):
    """The result is that of the chosen backend, independent of the trial."""
    monkeypatch.setattr(kmeans_run, "SAMPLE", 150)
    monkeypatch.setattr(kmeans_backend, "_WORTH_A_TRIAL", 0.0)
    monkeypatch.setattr(kmeans_backend, "_CLEARLY_FASTER", float("inf"))
    tried = {}

    def choose(backend, device, trial, growth):
        tried.update({name: trial(name) for name in ("torch", "cuml")}, growth=growth)
        return "torch"

    rows, among = rows_of(700, 8), torch.arange(100, 700)
    common = {"metric": "cosine", "seed": 0, "among": among, "max_iterations": 50}
    common["weights"] = frequency_weights(zipf(600), 0.5) if weighted else None
    expected = kmeans(rows, 60, backend="torch", **common)
    monkeypatch.setattr(kmeans_run, "choose_backend", choose)
    result = kmeans(rows, 60, backend="auto", **common)
    assert torch.equal(result.assignment, expected.assignment)
    assert tried["growth"] == 16
    assert tried["torch"].objective == pytest.approx(tried["cuml"].objective, rel=0.02)
    assert 0 < tried["torch"].objective < expected.objective / 2
    assert tried["torch"].seconds > 0


def test_groups_are_saved_with_their_backend(tmp_path):
    groups = kmeans_groups(rows_of(60, 4), metric="cosine", ratio=0.2, singletons=[0], seed=1)
    groups.save(tmp_path / "groups.safetensors")
    assert Groups.load(tmp_path / "groups.safetensors").backend == "torch"
    without_backend = Groups(groups.token_to_group, groups.weight)
    without_backend.save(tmp_path / "others.safetensors")
    assert Groups.load(tmp_path / "others.safetensors").backend is None


def test_the_log_names_device_and_backend(caplog):
    with caplog.at_level("INFO"):
        kmeans(rows_of(60, 4), 5, metric="cosine", seed=1, device="cpu")
    assert "K-Means by torch on " in caplog.text
    assert ", float32: 60 rows of 4 columns into 5 clusters" in caplog.text


# Weights


def zipf(count: int, seed: int = 9) -> torch.Tensor:
    """Realistic counts of subwords in random order. The rarest never occur."""
    order = torch.randperm(count, generator=torch.Generator().manual_seed(seed))
    return (count // 2) // (order + 1)


def weighted_lloyd(
    rows: np.ndarray, weights: np.ndarray, centroids: np.ndarray, metric: str, iterations: int
) -> tuple[np.ndarray, float]:
    """Lloyd's algorithm in double precision with weighted means and objective."""
    if metric == "cosine":
        rows, centroids = unit(rows), unit(centroids)
    for _ in range(iterations):
        distances = ((rows[:, None] - centroids[None]) ** 2).sum(axis=2)
        assignment = distances.argmin(axis=1)
        centroids = np.stack(
            [
                np.average(rows[assignment == c], axis=0, weights=weights[assignment == c])
                for c in range(len(centroids))
            ]
        )
        if metric == "cosine":
            centroids = unit(centroids)
    cost = ((rows - centroids[assignment]) ** 2).sum(axis=1)
    return assignment, float((weights * cost).sum() / (2 if metric == "cosine" else 1))


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("iterations", [1, 2, 3, 8])
def test_every_weighted_iteration_equals_lloyds_algorithm(metric, iterations):
    rows, weights = rows_of(200, 5), frequency_weights(zipf(200), 0.7)
    start = rows[:12].clone()
    found = kmeans(
        rows, 12, metric=metric, seed=0, weights=weights, init=start, tolerance=0.0,
        max_iterations=iterations,
    )  # fmt: skip
    expected, objective = weighted_lloyd(
        rows.double().numpy(), weights.numpy(), start.double().numpy(), metric, iterations
    )
    assert found.assignment.tolist() == expected.tolist()
    assert found.objective == pytest.approx(objective, rel=1e-5)


@pytest.mark.parametrize("metric", METRICS)
def test_weight_of_n_equals_n_copies_of_a_row(metric):
    rows = rows_of(80, 4)
    counts = torch.arange(80) % 4 + 1
    start = rows[:7].clone()
    common = {"metric": metric, "seed": 0, "init": start, "tolerance": 0.0}
    weighted = kmeans(rows, 7, weights=counts.double(), **common)
    repeated = kmeans(rows.repeat_interleave(counts, dim=0), 7, **common)
    first = counts.cumsum(0) - counts
    assert torch.equal(weighted.assignment, repeated.assignment[first])
    torch.testing.assert_close(weighted.centroids, repeated.centroids, atol=1e-5, rtol=1e-5)
    assert weighted.objective == pytest.approx(repeated.objective, rel=1e-5)


@pytest.mark.parametrize("count", [300, 6000])  # without near passes, and with them
def test_alpha_zero_is_plain_kmeans(count):
    rows, counts = rows_of(count, 8), zipf(count)
    common = {"metric": "cosine", "ratio": 0.1, "singletons": [0, 5], "seed": 3}
    plain = kmeans_groups(rows, **common)
    weighted = kmeans_groups(rows, weights=frequency_weights(counts, 0.0), **common)
    assert torch.equal(plain.token_to_group, weighted.token_to_group)
    assert torch.equal(plain.weight, weighted.weight)
    other = kmeans_groups(rows, weights=frequency_weights(counts, 0.5), **common)
    assert not torch.equal(plain.token_to_group, other.token_to_group)


@pytest.mark.parametrize("alpha", [0.3, 0.5, 1.0])
def test_weighting_lowers_the_weighted_objective(alpha):
    """The weighted partition has a smaller weighted objective than the plain one."""
    rows, counts = rows_of(2000, 8), zipf(2000)
    weights = frequency_weights(counts, alpha)
    common = {"metric": "cosine", "seed": 1}
    plain, weighted = kmeans(rows, 100, **common), kmeans(rows, 100, weights=weights, **common)

    def cost(assignment: torch.Tensor) -> float:
        normal = torch.nn.functional.normalize(rows.double())
        sums = torch.zeros(100, 8, dtype=torch.float64)
        sums.index_add_(0, assignment, normal * weights.unsqueeze(1))
        return float(weights.sum() - sums.norm(dim=1).sum())

    assert cost(weighted.assignment) < 0.98 * cost(plain.assignment)
    assert cost(weighted.assignment) == pytest.approx(weighted.objective, rel=1e-4)


@pytest.mark.parametrize("seed", range(4))
def test_weighted_groups_are_not_empty_and_have_weighted_mean_embeddings(seed):
    distinct = rows_of(40, 6, seed)
    rows = distinct.repeat(5, 1)  # 200 rows, 40 of them distinct
    weights = frequency_weights(zipf(200, seed), 1.0)
    groups = kmeans_groups(
        rows, metric="cosine", ratio=0.4, singletons=[7], seed=seed, weights=weights
    )
    assert len(groups.weight) == 80  # Groups refuses an empty one
    assert int((groups.token_to_group == groups.token_to_group[7]).sum()) == 1
    for group in range(80):
        members = groups.token_to_group == group
        mean = (rows[members].double() * weights[members].unsqueeze(1)).sum(0)
        torch.testing.assert_close(groups.weight[group], (mean / weights[members].sum()).float())


def test_weighted_starts_favour_heavier_rows():
    rows, weights = rows_of(1000, 4), torch.ones(1000, dtype=torch.float64)
    weights[:100] = 50.0
    chosen = kmeans_rows.distinct_rows(rows, 100, 0, weights)
    assert len(set(chosen.tolist())) == 100
    assert (chosen < 100).sum() > 50  # about ten without weights


def test_subwords_that_never_occur_have_the_weight_of_one_occurrence():
    weights = frequency_weights(torch.tensor([0, 1, 4]), 0.5)
    torch.testing.assert_close(weights, torch.tensor([1.0, 1.0, 2.0]).double() / (4 / 3))


@pytest.mark.parametrize("weights", [torch.ones(3), torch.tensor([1.0, 0.0, 1.0, 1.0])])
def test_invalid_weights_are_refused(weights):
    with pytest.raises(ValueError, match="4 numbers above 0"):
        kmeans(rows_of(4, 2), 2, metric="cosine", seed=0, weights=weights)


def test_a_weighted_ratio_too_small_names_the_row():
    with pytest.raises(InputError, match=r"kmeans-weighted-0\.05"):
        kmeans_groups(
            rows_of(20, 2), metric="cosine", ratio=0.05, singletons=range(5), seed=0,
            weights=frequency_weights(zipf(20), 0.5),
        )  # fmt: skip


def test_cuml_batch_is_bounded_at_the_largest_case_of_the_paper():
    centroids = round(0.4 * 901_629)
    assert cuml._cuml_samples(centroids) * centroids * 4 <= 4.3e9
    assert cuml._cuml_samples(1000) == 32768
