"""Compare the memory of grouping a vocabulary of XLM-V's size with the planned memory.

    python benchmarks/grouping_at_scale.py --fraction 0.05

This groups a fraction of 901,629 random rows with 768 columns into 40% as many clusters, with the
same tiles as for all rows. It prints the planned and the measured peak of memory, and the planned
peak for all rows.
"""

import argparse
import resource
import time

import torch

from semantic_tokens.grouping.kmeans import kmeans

ROWS, DIMENSION, RATIO = 901_629, 768, 0.4
TILE_AND_GATHERED_ROWS = 0.5e9  # as the docstring of grouping.kmeans bounds them


def planned(rows: int, clusters: int) -> float:
    """Bytes: the embeddings and their normalised copy, the centroids and their successors."""
    return 4 * DIMENSION * (2 * rows + 2 * clusters) + TILE_AND_GATHERED_ROWS


def peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--fraction", type=float, default=0.05)
    parser.add_argument("--passes", type=int, default=3)
    arguments = parser.parse_args()
    rows = round(ROWS * arguments.fraction)
    clusters = round(rows * RATIO)
    kmeans(torch.randn(100, DIMENSION), 10, metric="cosine", seed=1, backend="torch")
    before = peak()
    embeddings = torch.randn(rows, DIMENSION, generator=torch.Generator().manual_seed(1))
    start = time.perf_counter()
    result = kmeans(
        embeddings,
        clusters,
        metric="cosine",
        seed=1,
        max_iterations=arguments.passes,
        tolerance=0,
        backend="torch",
    )
    seconds = time.perf_counter() - start
    assert len(result.assignment.unique()) == clusters
    whole = planned(ROWS, round(ROWS * RATIO))
    print(
        f"{rows:,} x {DIMENSION} into {clusters:,}: {result.iterations} passes in {seconds:.0f} s"
    )
    print(
        f"planned at most {planned(rows, clusters) / 1e9:.2f} GB, measured {(peak() - before) / 1e9:.2f} GB"
    )
    print(f"planned for all {ROWS:,}: {whole / 1e9:.1f} GB")


if __name__ == "__main__":
    main()
