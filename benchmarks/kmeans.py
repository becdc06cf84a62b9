"""Compare K-Means with cosine distance to scikit-learn and faiss.

    python benchmarks/kmeans.py --rows 250002 --ratio 0.05
    python benchmarks/kmeans.py --rows 119547 --dimension 768 --ratio 0.2

The rows are the wheel's 250,002 real subword embeddings with 384 columns, or some of them. With
another ``--dimension``, a random matrix maps them to this number of columns, with a tenth of noise,
to get the shape of mBERT. The other libraries run ``--passes`` passes from the same random rows.
Ours starts and stops as in the workflow. The spherical objective of all partitions is computed in
the same way. Our time is the time until the objective of the other library is reached. If it is not
reached, the benchmark fails.

The OpenBLAS in faiss does not recognise newer processors. ``OPENBLAS_CORETYPE`` is set to the
fastest kernel of this processor. ``--contenders faiss-as-installed`` measures faiss without this
setting.
"""

import os
import sys
import time
from pathlib import Path

import numpy as np
import torch
from side_by_side import (
    Measurement,
    demand,
    in_turn,
    machine,
    matmul_rate,
    measured,
    median_seconds,
    parser,
    peak_bytes,
    ratio,
    report,
)
from study import made

OURS = "ours"
OTHERS = ("lloyd", "elkan", "minibatch", "faiss", "faiss-as-installed")
EMBEDDINGS = "results/embeddings/me5-12x250k/unaligned/dfull.safetensors"


def rows_of(count: int, dimension: int) -> torch.Tensor:
    """[count, dimension] float32."""
    from safetensors.torch import load_file

    (path,) = made(EMBEDDINGS)
    (rows,) = load_file(path).values()
    generator = torch.Generator().manual_seed(1)
    if count < len(rows):
        rows = rows[torch.randperm(len(rows), generator=generator)[:count].sort().values]
    if dimension != rows.shape[1]:
        columns = rows.shape[1]
        turned = rows @ (torch.randn(columns, dimension, generator=generator) / columns**0.5)
        noise = torch.randn(count, dimension, generator=generator)
        rows = turned + 0.1 * noise * turned.norm(dim=1, keepdim=True) / dimension**0.5
    return rows.contiguous()


def objective_of(rows: torch.Tensor, assignment: np.ndarray) -> float:
    """The sum of 1 - cosine to the direction of the cluster's mean."""
    unit = torch.nn.functional.normalize(rows)
    sums = torch.zeros(int(assignment.max()) + 1, rows.shape[1])
    sums.index_add_(0, torch.from_numpy(assignment.astype(np.int64)), unit)
    return len(rows) - float(sums.norm(dim=1).double().sum())


def run(name: str, path: Path, clusters: int, passes: int, threads: int) -> Measurement:
    torch.set_num_threads(threads)
    rows = torch.from_numpy(np.load(path))
    generator = torch.Generator().manual_seed(1)
    starts = torch.randperm(len(rows), generator=generator)[:clusters]
    if name == OURS:
        return _ours(rows, clusters)
    unit = torch.nn.functional.normalize(rows).numpy()
    del rows
    if name.startswith("faiss"):
        import faiss

        faiss.omp_set_num_threads(threads)
        estimator = faiss.Kmeans(
            unit.shape[1], clusters, niter=passes, spherical=True, min_points_per_centroid=1
        )
        with measured() as found:
            estimator.train(unit, init_centroids=unit[starts.numpy()])
            assignment = estimator.index.search(unit, 1)[1][:, 0]
        iterations = passes
    else:
        from sklearn.cluster import KMeans, MiniBatchKMeans

        if name == "minibatch":
            fit = MiniBatchKMeans(clusters, init=unit[starts.numpy()], n_init=1, random_state=1)
        else:
            fit = KMeans(
                clusters, init=unit[starts.numpy()], n_init=1, max_iter=passes, algorithm=name
            )
        with measured() as found:
            assignment = fit.fit(unit).labels_
        iterations = fit.n_iter_
    found.quality = {
        "objective": objective_of(torch.from_numpy(unit), assignment),
        "passes": int(iterations),
        "input_bytes": unit.nbytes,
    }
    return found


def _ours(rows: torch.Tensor, clusters: int) -> Measurement:
    from semantic_tokens.grouping.kmeans import kmeans

    # The time and objective of each partition from the exact passes.
    reached: list[tuple[float, float]] = []
    with measured() as found:
        began = time.perf_counter()
        result = kmeans(
            rows,
            clusters,
            metric="cosine",
            seed=1,
            backend="torch",
            report=lambda _, value: reached.append((time.perf_counter() - began, value)),
        )
    found.quality = {
        "objective": objective_of(rows, result.assignment.numpy()),
        "passes": result.iterations,
        "input_bytes": rows.numel() * 4,
        "reached": reached,
    }
    return found


def seconds_to(found: Measurement, objective: float) -> float:
    """The time until our run reached this objective; its entire time if only the last partition
    did."""
    times = (seconds for seconds, value in found.quality["reached"] if value <= objective)
    return next(times, found.seconds)


def pass_floor_share(rows: torch.Tensor, clusters: int) -> tuple[float, float]:
    """Seconds of one pass over all rows and centroids, and the fraction of them that only the
    matrix products would take at this machine's rate."""
    from semantic_tokens.grouping.kmeans.nearest import nearest_centroids

    unit = torch.nn.functional.normalize(rows)
    centroids = unit[torch.randperm(len(unit))[:clusters]]
    began = time.perf_counter()
    nearest_centroids(unit, centroids, "cosine")
    seconds = time.perf_counter() - began
    floor = 2 * rows.numel() * clusters / matmul_rate(1024, rows.shape[1], 1024)
    return seconds, floor / seconds


def main() -> None:
    options = parser(__doc__, rounds=3)
    options.add_argument("--rows", type=int, default=250_002)
    options.add_argument("--dimension", type=int, default=384)
    options.add_argument("--ratio", type=float, default=0.05)
    options.add_argument("--passes", type=int, default=10)
    options.add_argument("--contenders", default=",".join(OTHERS[:-1]))
    options.add_argument("--data", type=Path, help="a file to keep the rows in")
    arguments = options.parse_args()
    clusters = round(arguments.rows * arguments.ratio)
    data = arguments.data or Path(f"results/benchmarks/{arguments.rows}x{arguments.dimension}.npy")
    if arguments.run:
        report(run(arguments.run, data, clusters, arguments.passes, arguments.threads))
        return
    torch.set_num_threads(arguments.threads)
    rows = rows_of(arguments.rows, arguments.dimension)
    data.parent.mkdir(parents=True, exist_ok=True)
    np.save(data, rows.numpy())
    print(machine(arguments.threads))
    print(f"{arguments.rows:,} x {arguments.dimension} into {clusters:,}")
    seconds, share = pass_floor_share(rows, clusters)
    print(f"one full pass: {seconds:.2f} s, of which the products' floor is {share:.0%}")
    del rows
    os.environ.pop("OPENBLAS_CORETYPE", None)
    kernel = (
        {"OPENBLAS_CORETYPE": "SkylakeX"} if "avx512f" in Path("/proc/cpuinfo").read_text() else {}
    )
    names = [OURS, *arguments.contenders.split(",")]
    same = sys.argv[1:]
    found = in_turn(
        dict.fromkeys(names, same),
        rounds=arguments.rounds,
        threads=arguments.threads,
        environment={"faiss": kernel},
    )
    for name in names[1:]:
        theirs = found[name]
        objective = max(run.quality["objective"] for run in theirs)
        ours = [Measurement(seconds_to(run, objective)) for run in found[OURS]]
        best = max(run.quality["objective"] for run in found[OURS])
        demand(
            best <= objective * (1 + 1e-4), f"ours ends at {best:.1f}, {name} at {objective:.1f}"
        )
        print(
            f"{name}: {median_seconds(theirs):.1f} s to {objective:,.1f}; ours is there after "
            f"{median_seconds(ours):.1f} s: {ratio(theirs, ours)} times as fast; memory "
            f"{1 + peak_bytes(theirs) / theirs[0].quality['input_bytes']:.2f} x the input"
        )
    ours = found[OURS]
    print(
        f"ours to its end: {median_seconds(ours):.1f} s, objective {best:,.1f}, memory "
        f"{1 + peak_bytes(ours) / ours[0].quality['input_bytes']:.2f} x the input"
    )


if __name__ == "__main__":
    main()
