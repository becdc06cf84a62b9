"""Each row's nearest centroid, in tiles of rows by centroids."""

from typing import Literal

import torch

Metric = Literal["cosine", "euclidean"]
# The size of gathered copies. index_select copies rows several times as fast as indexing. On a CPU
# the size is small enough for the allocator to reuse memory. On a GPU it is large enough to make
# the start-up time of kernels negligible.
ROWS_AT_ONCE = {"cpu": 2048, "cuda": 2**17}
# The first scan of a tile takes the maximum of each block of this many centroids. The second scan
# finds the centroid, in the row's best block only. On a CPU, a maximum without indices takes an
# eighth of the time.
_BLOCK = 128
# With fewer blocks, the second scan would cost more than the first one saves. On a GPU it always
# would: a maximum with indices is cheap compared with the product, and the second scan starts
# several kernels per block.
_FEWEST_BLOCKS = {"cpu": 24.0, "cuda": float("inf")}
# The largest tile of similarities, as rows × centroids. On a CPU it should stay in the cache
# between the product that writes it and the maximum that reads it. On a GPU it should be large
# enough to use every multiprocessor (8192 × 8192 float32 are 0.27 GB).
TILE = {"cpu": (1024, 1024), "cuda": (8192, 8192)}


def score_offsets(centroids: torch.Tensor, metric: Metric) -> torch.Tensor:
    """The terms to add to x·c, so that the largest score is the nearest centroid, [k]."""
    if metric == "cosine":
        return centroids.new_zeros(len(centroids))
    return centroids.square().sum(dim=1).mul_(-0.5)


def nearest_centroids(
    rows: torch.Tensor, centroids: torch.Tensor, metric: Metric
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Each row's nearest centroid, [N] int64, its score and the next best score, [N] float32.

    Tiles of rows × centroids are computed in one buffer. The lowest id wins ties. With one
    centroid, the next best score is -inf.

    With many centroids, the first scan keeps only the best score of every block. A second scan of
    the row's best block finds the centroid and the block's next best score.
    """
    tile_rows, tile_centroids = TILE[rows.device.type]
    offsets = score_offsets(centroids, metric)
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
                full = len(block) // _BLOCK
                first = left // _BLOCK
                into = best_of_block[: len(part), first : first + full]
                into.copy_(tile[:, : full * _BLOCK].unflatten(1, (full, _BLOCK)).amax(dim=2))
                if len(block) % _BLOCK:
                    best_of_block[: len(part), first + full] = tile[:, full * _BLOCK :].amax(1)
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
        for some in part.split(rows_at_once(rows)):
            tile = rows.index_select(0, some) @ block
            if metric != "cosine":
                tile += offsets[left : left + _BLOCK]
            best, where, second = _best_two(tile)
            ids[some] = where + left
            scores[some] = best
            seconds[some] = torch.maximum(seconds[some], second)
    return ids, scores, seconds


def rows_at_once(rows: torch.Tensor) -> int:
    """The number of rows to gather at a time, on the device of ``rows``."""
    return ROWS_AT_ONCE[rows.device.type]


def _best_two(tile: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """For every row, the largest value, its first column, and the next largest value (-inf with one
    column). The tile's largest values are overwritten."""
    best, where = tile.max(dim=1)
    return best, where, tile.scatter_(1, where.unsqueeze(1), -torch.inf).amax(dim=1)
