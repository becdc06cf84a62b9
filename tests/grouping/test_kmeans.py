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
    """The definition: the sum of distances of rows to the means of their clusters."""
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
def test_every_iteration_is_lloyds(metric, iterations):
    rows = rows_of(400, 8).double()
    start = rows[:25]
    expected = lloyd(rows.numpy(), start.numpy(), metric, iterations)
    result = kmeans(
        rows, 25, metric=metric, seed=0, init=start, max_iterations=iterations, tolerance=0
    )
    assert np.array_equal(result.assignment.numpy(), expected)
    assert result.objective == pytest.approx(objective_of(rows.numpy(), expected, metric), rel=1e-5)


@pytest.mark.parametrize("metric", METRICS)
def test_the_best_of_a_few_starts_is_the_best_of_all_partitions(metric):
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


def test_euclidean_is_scikit_learns_from_the_same_start():
    from sklearn.cluster import KMeans

    rows = rows_of(2000, 16) + 5
    reference = KMeans(60, init=rows[:60].numpy(), n_init=1, tol=0, max_iter=300).fit(rows.numpy())
    result = kmeans(
        rows, 60, metric="euclidean", seed=0, init=rows[:60], tolerance=0, max_iterations=300
    )
    assert np.array_equal(result.assignment.numpy(), reference.labels_)
    assert result.objective == pytest.approx(reference.inertia_, rel=1e-5)
    np.testing.assert_allclose(result.centroids, reference.cluster_centers_, atol=1e-4)


def test_cosine_is_faiss_from_the_same_start():
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
def test_invariants_hold_whatever_the_rows(metric, seed):
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
def test_centroids_are_the_members_means(metric):
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


def test_cosine_does_not_see_lengths_and_euclidean_does():
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


@pytest.mark.parametrize("metric", METRICS)
def test_random_starts_are_distinct_rows(metric):
    rows = rows_of(6, 3).repeat(50, 1)
    ids = kmeans_rows.distinct_rows(rows, 6, seed=4)
    assert len(rows[ids].unique(dim=0)) == 6


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("tile", [(1, 1), (7, 3), (64, 1000), (10_000, 5)])
def test_the_size_of_the_tiles_does_not_matter(metric, tile, monkeypatch):
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
def test_looking_at_blocks_first_finds_the_same_two(metric, tile, centroids, monkeypatch):
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


def leaning(count: int, seed: int = 0) -> torch.Tensor:
    """Rows with 160 columns, most of whose length is in a few directions that are not columns."""
    rotation = torch.linalg.qr(rows_of(160, 160, seed=9)).Q
    return rows_of(count, 160, seed) * (0.97 ** torch.arange(160)) @ rotation


@pytest.fixture
def near_first(monkeypatch):
    """Enable passes over near centroids, although there are few centroids here."""
    monkeypatch.setattr(near_passes, "_FEWEST_REGIONS_A_ROW", 2)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("axes", ["leading", "all"])
def test_near_passes_converge_to_a_fixed_point_of_lloyd(metric, axes, near_first):
    rows = leaning(2000) if axes == "leading" else rows_of(2000, 160)
    assert bool(near_passes.principal_axes(rows)[1]) == (axes == "leading")
    told: list[float] = []
    result = kmeans(
        rows, 60, metric=metric, seed=3, tolerance=0, report=lambda _, value: told.append(value)
    )
    assert len(told) == result.iterations
    again = kmeans(rows, 60, metric=metric, seed=3, init=result.centroids, max_iterations=1)
    assert torch.equal(again.assignment, result.assignment)
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
def test_clusters_of_few_rows_are_exact_from_the_start(count, expected, near_first, monkeypatch):
    began = []
    nearby = near_passes._assign_nearby
    monkeypatch.setattr(
        near_passes,
        "_assign_nearby",
        lambda *arguments: (began.append(True), nearby(*arguments)),
    )
    rows = rows_of(count, 6)
    result = kmeans(rows, 51, metric="cosine", seed=3)
    assert bool(began) == expected
    if not expected:
        starts = rows[kmeans_rows.distinct_rows(rows, 51, 3)]
        again = kmeans(rows, 51, metric="cosine", seed=3, init=starts)
        assert torch.equal(again.assignment, result.assignment)


@pytest.mark.parametrize("metric", METRICS)
def test_near_passes_find_no_worse_partitions_for_fewer_products(metric, near_first, monkeypatch):
    """Over some seeds, counted in multiplications."""
    rows = leaning(4000)

    def runs() -> tuple[float, int]:
        with FlopCounterMode(display=False) as counted:
            found = [kmeans(rows, 200, metric=metric, seed=seed).objective for seed in range(4)]
        return sum(found), counted.get_total_flops()

    near, cheap = runs()
    monkeypatch.setattr(near_passes, "_LARGEST_SHARE_OF_REGIONS", 0.0)
    exact, dear = runs()
    assert near < exact * 1.002
    assert cheap < dear


@pytest.mark.parametrize("metric", METRICS)
def test_rows_are_nearest_to_what_they_are_given_of_what_they_are_compared_with(
    metric, monkeypatch
):
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
    some = kmeans(rows, 9, among=among, metric="euclidean", seed=1)
    alone = kmeans(rows[among], 9, metric="euclidean", seed=1)
    assert torch.equal(some.assignment, alone.assignment)
    assert torch.equal(some.centroids, alone.centroids)


def test_the_same_seed_gives_the_same_bytes_and_another_does_not():
    rows = rows_of(500, 12)
    first, again, other = (kmeans(rows, 40, metric="cosine", seed=seed) for seed in (3, 3, 4))
    assert first.centroids.numpy().tobytes() == again.centroids.numpy().tobytes()
    assert torch.equal(first.assignment, again.assignment)
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


def test_a_ratio_too_small_for_the_special_tokens_names_the_row():
    with pytest.raises(InputError, match=r"kmeans-cosine-0\.05.*experiments\.tsv"):
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
def test_what_cannot_be_clustered_is_explained(arguments, message):
    given = {"embeddings": rows_of(10, 3), "metric": "cosine", "seed": 0, **arguments}
    with pytest.raises(InputError, match=message):
        kmeans(given.pop("embeddings"), given.pop("n_clusters"), **given)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("ratio", [0.05, 0.3])  # with near passes first, and without
def test_a_gpus_tiles_lead_where_the_cpus_do(metric, ratio, monkeypatch):
    """All rows at once, and maxima with their indices, tested on the CPU."""
    rows = rows_of(12_000, 16)
    common = {"metric": metric, "seed": 0, "max_iterations": 30}
    cpus = kmeans(rows, round(12_000 * ratio), **common)
    for values in (tiles.TILE, tiles.ROWS_AT_ONCE, tiles._FEWEST_BLOCKS):
        monkeypatch.setitem(values, "cpu", values["cuda"])
    gpus = kmeans(rows, round(12_000 * ratio), **common)
    assert gpus.objective == pytest.approx(cpus.objective, rel=0.005)
    assert int((gpus.assignment == cpus.assignment).sum()) > 0.9 * 12_000
    assert int(gpus.assignment.bincount(minlength=round(12_000 * ratio)).min()) > 0


def test_cuml_without_a_gpu_is_explained():
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
def test_cumls_rounds_lead_where_torchs_do(metric, weighted):
    rows = rows_of(600, 8)
    common = {"metric": metric, "seed": 0, "tolerance": 0.0, "max_iterations": 200}
    common["weights"] = frequency_weights(zipf(600), 0.5) if weighted else None
    ours = kmeans(rows, 30, backend="torch", **common)
    theirs = kmeans(rows, 30, backend="cuml", **common)
    assert torch.equal(ours.assignment, theirs.assignment)
    assert ours.objective == pytest.approx(theirs.objective, rel=1e-6)
    assert (ours.backend, theirs.backend) == ("torch", "cuml")


# --- which backend -------------------------------------------------------------------------------


def trials(**of: Trial | Exception):
    """A trial with given outcomes by backend, and a list of the trials that ran."""
    made = []

    def trial(name):
        made.append(name)
        if isinstance(of[name], Exception):
            raise of[name]
        return of[name]

    return trial, made


@pytest.mark.parametrize(
    ("ours", "theirs", "chosen"),
    [
        (Trial(1.0, 50.0), Trial(0.5, 50.0), "cuml"),
        (Trial(1.0, 50.0), Trial(0.5, 49.0), "cuml"),
        (Trial(1.0, 50.0), Trial(0.5, 50.1), "torch"),  # faster, and worse
        (Trial(1.0, 50.0), Trial(0.9, 40.0), "torch"),  # not clearly faster
        (Trial(1.0, 50.0), Trial(2.0, 40.0), "torch"),
        (Trial(1.0, 50.0), RuntimeError("cuML has no kernel"), "torch"),
    ],
)
def test_auto_takes_cuml_where_it_is_faster_and_as_good(ours, theirs, chosen, monkeypatch, caplog):
    monkeypatch.setattr(kmeans_backend, "cuml_is_here", lambda device: True)
    trial, made = trials(torch=ours, cuml=theirs)
    with caplog.at_level("INFO"):
        assert choose_backend("auto", torch.device("cuda"), trial, growth=1000) == chosen
    assert made == ["torch", "cuml"]
    assert f"K-Means by {chosen}: " in caplog.text
    if isinstance(theirs, Trial):
        assert (
            f"torch took {ours.seconds:.2f} s to an objective of {ours.objective:g}" in caplog.text
        )
        assert f"cuML {theirs.seconds:.2f} s to {theirs.objective:g}" in caplog.text


def test_auto_does_not_try_cuml_where_ours_takes_no_time(monkeypatch):
    monkeypatch.setattr(kmeans_backend, "cuml_is_here", lambda device: True)
    trial, made = trials(torch=Trial(0.05, 50.0))
    assert choose_backend("auto", torch.device("cuda"), trial, growth=36) == "torch"
    assert made == ["torch"]


@pytest.mark.parametrize("wanted", ["auto", "torch"])
def test_on_a_cpu_nothing_is_tried(wanted):
    trial, made = trials()
    assert choose_backend(wanted, torch.device("cpu"), trial, growth=1e9) == "torch"
    assert made == []


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.usefixtures("documented_cuml")
def test_a_trial_clusters_a_sample_by_both_from_the_same_rows(weighted, monkeypatch):
    """The result is that of the chosen backend, independent of the trial."""
    monkeypatch.setattr(kmeans_run, "SAMPLE", 150)
    monkeypatch.setattr(kmeans_backend, "_WORTH_A_TRIAL", 0.0)
    monkeypatch.setattr(kmeans_backend, "_CLEARLY_FASTER", float("inf"))
    tried = {}

    def choose(wanted, device, trial, growth):
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
    others = Groups(groups.token_to_group, groups.weight)
    others.save(tmp_path / "others.safetensors")
    assert Groups.load(tmp_path / "others.safetensors").backend is None


def test_the_log_names_device_and_backend(caplog):
    with caplog.at_level("INFO"):
        kmeans(rows_of(60, 4), 5, metric="cosine", seed=1, device="cpu")
    assert "K-Means by torch on " in caplog.text
    assert ", float32: 60 rows of 4 columns into 5 clusters" in caplog.text


# --- weights -----------------------------------------------------------------------------------


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
def test_every_weighted_iteration_is_lloyds(metric, iterations):
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
def test_a_weight_of_n_is_n_rows(metric):
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


@pytest.mark.parametrize("count", [300, 6000])  # exact from the start, and near before all
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
def test_weights_serve_running_text_better(alpha):
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
def test_no_weighted_group_is_empty_and_its_embedding_is_the_weighted_mean(seed):
    distinct = rows_of(40, 6, seed)
    rows = distinct.repeat(5, 1)  # 200 rows, 40 of them distinct
    weights = frequency_weights(zipf(200, seed), 1.0)
    groups = kmeans_groups(
        rows, metric="cosine", ratio=0.4, singletons=[7], seed=seed, weights=weights
    )
    assert len(groups.weight) == 80  # and Groups refuses an empty one
    assert int((groups.token_to_group == groups.token_to_group[7]).sum()) == 1
    for group in range(80):
        members = groups.token_to_group == group
        mean = (rows[members].double() * weights[members].unsqueeze(1)).sum(0)
        torch.testing.assert_close(groups.weight[group], (mean / weights[members].sum()).float())


def test_weighted_starts_favour_what_weighs_more():
    rows, weights = rows_of(1000, 4), torch.ones(1000, dtype=torch.float64)
    weights[:100] = 50.0
    chosen = kmeans_rows.distinct_rows(rows, 100, 0, weights)
    assert len(set(chosen.tolist())) == 100
    assert (chosen < 100).sum() > 50  # of a hundred; ten, were they drawn alike


def test_subwords_that_never_occur_weigh_as_one():
    weights = frequency_weights(torch.tensor([0, 1, 4]), 0.5)
    torch.testing.assert_close(weights, torch.tensor([1.0, 1.0, 2.0]).double() / (4 / 3))


@pytest.mark.parametrize("weights", [torch.ones(3), torch.tensor([1.0, 0.0, 1.0, 1.0])])
def test_weights_that_are_none_are_refused(weights):
    with pytest.raises(ValueError, match="4 numbers above 0"):
        kmeans(rows_of(4, 2), 2, metric="cosine", seed=0, weights=weights)


def test_a_weighted_ratio_too_small_names_the_row():
    with pytest.raises(InputError, match=r"kmeans-weighted-0\.05"):
        kmeans_groups(
            rows_of(20, 2), metric="cosine", ratio=0.05, singletons=range(5), seed=0,
            weights=frequency_weights(zipf(20), 0.5),
        )  # fmt: skip


def test_cumls_tile_is_bounded_at_the_papers_largest_case():
    centroids = round(0.4 * 901_629)
    assert cuml._cuml_samples(centroids) * centroids * 4 <= 4.3e9
    assert cuml._cuml_samples(1000) == 32768
