"""Each row's nearest centroid, in tiles of rows by centroids."""

from typing import Literal

import torch

Metric = Literal["cosine", "euclidean"]
# Gathered at a time, by index_select, which copies whole rows several times as fast as indexing: on
# a CPU few enough that the allocator reuses their memory, on a GPU so many that the time to start
# kernels does not count.
ROWS_AT_ONCE = {"cpu": 2048, "cuda": 2**17}
# Of a tile of similarities the first look takes the best of so many centroids; the row's best
# block alone is looked at again, to find which one it was. Without indices a maximum takes an
# eighth of the time on a CPU.
_BLOCK = 128
# With fewer blocks than these the second look would cost more than the first one saves. On a GPU,
# where a maximum with indices takes little beside the product, it always would: a second look starts
# some kernels for each block.
_FEWEST_BLOCKS = {"cpu": 24.0, "cuda": float("inf")}
# The largest tile of similarities, as rows × centroids: on a CPU it should stay in the cache
# between the product that fills it and the maximum that reads it; on a GPU it should be large
# enough to keep every multiprocessor busy (8192 × 8192 float32 are 0.27 GB).
TILE = {"cpu": (1024, 1024), "cuda": (8192, 8192)}


def score_offsets(centroids: torch.Tensor, metric: Metric) -> torch.Tensor:
    """What is added to x·c so that the largest score is the nearest centroid, [k]."""
    if metric == "cosine":
        return centroids.new_zeros(len(centroids))
    return centroids.square().sum(dim=1).mul_(-0.5)


def nearest_centroids(
    rows: torch.Tensor, centroids: torch.Tensor, metric: Metric
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Each row's nearest centroid, [N] int64, its score and the next best one, [N] float32.

    Tiles of rows × centroids are computed into one buffer. Ties go to the lowest id. With one
    centroid the next best score is -inf.

    Of many centroids a first look keeps the best score in every block of them alone; a second
    one, over the row's best block, finds which centroid that is and the block's next best.
    """
    tile_rows, tile_centroids = TILE[rows.device.type]
    offsets = score_offsets(centroids, metric)
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
    """How many rows are gathered at a time where these are."""
    return ROWS_AT_ONCE[rows.device.type]


def _best_two(tile: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Of every row the largest value, the first column that has it, and the next largest value
    (-inf where there is one column). The tile's largest values are gone afterwards."""
    best, where = tile.max(dim=1)
    return best, where, tile.scatter_(1, where.unsqueeze(1), -torch.inf).amax(dim=1)
