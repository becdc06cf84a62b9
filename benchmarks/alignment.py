"""An epoch of cross-lingual subword alignment, against the plain loop.

    python benchmarks/alignment.py --pairs 1000000

The plain loop trains the whole 119,547 x 768 matrix with a dense Adam, which moves all of it at
every step; ours trains the rows that a batch names. Pairs are a row and one of its nearest among
random others, so that there is something to learn. The losses at the end must agree.
"""

import sys
from pathlib import Path

import numpy as np
import torch
from floor import Floor, Recorder, floor_of, over
from kmeans import rows_of
from side_by_side import (
    Measurement,
    demand,
    in_turn,
    machine,
    measured,
    median_seconds,
    parser,
    peak_bytes,
    ratio,
    report,
)
from torch import nn

from semantic_tokens.alignment import (
    AlignmentLog,
    TranslationPairs,
    align,
    info_nce,
    known_positives,
)

TEMPERATURE, BATCH, RATE = 0.05, 256, 1e-3
VOCABULARY, DIMENSION = 119_547, 768


def pairs_of(rows: torch.Tensor, count: int) -> np.ndarray:
    """[count, 2] int64: every row with its nearest among 2,048 others, its second nearest …"""
    generator = torch.Generator().manual_seed(1)
    others = torch.randperm(len(rows), generator=generator)[:2048]
    unit = nn.functional.normalize(rows)
    near = -(-count // len(rows)) + 1
    best = torch.cat([(part @ unit[others].T).topk(near).indices for part in unit.split(8192)])
    pairs = torch.stack(
        [torch.arange(len(rows)).repeat(near), others[best].T.flatten()], dim=1
    ).sort(dim=1)
    unique = pairs.values[pairs.values[:, 0] != pairs.values[:, 1]].unique(dim=0)
    return unique[torch.randperm(len(unique), generator=generator)[:count]].numpy()


def run(name: str, folder: Path) -> Measurement:
    rows = torch.from_numpy(np.load(folder / "rows.npy"))
    pairs = np.load(folder / "pairs.npy")
    if name == "plain":
        return _plain(rows, pairs)
    with measured() as found:
        aligned, log = _ours(rows, pairs)
    found.quality = {"mean_loss": log.losses[0], "final_loss": _loss(aligned, pairs)}
    return found


def _ours(rows: torch.Tensor, pairs: np.ndarray) -> tuple[torch.Tensor, AlignmentLog]:
    return align(
        rows,
        TranslationPairs(pairs, np.arange(len(pairs))),
        seed=1,
        temperature=TEMPERATURE,
        batch_size=BATCH,
        epochs=1,
        learning_rate=RATE,
    )


def floor_here(rows: torch.Tensor, pairs: np.ndarray) -> Floor:
    """Of our epoch, from 50 of its steps, and from one, which all that is made once is in too."""
    recorded = []
    for steps in (1, 51):
        with Recorder() as recorder:
            _ours(rows, pairs[: steps * BATCH])
        recorded.append(recorder.operations)
    further = (len(pairs) - BATCH) / (50 * BATCH)
    return floor_of(over(*recorded, times=further))


def _plain(rows: torch.Tensor, pairs: np.ndarray) -> Measurement:
    with measured() as found:
        table = nn.Embedding.from_pretrained(nn.functional.normalize(rows), freeze=False)
        optimizer = torch.optim.Adam(table.parameters(), lr=RATE)
        generator = torch.Generator().manual_seed(1)
        token_ids, total = torch.from_numpy(pairs), 0.0
        order = torch.randperm(len(pairs), generator=generator)
        for batch in order.tensor_split(-(-len(pairs) // BATCH)):
            ids = token_ids[batch]
            excluded = known_positives(ids, batch)
            loss = info_nce(table(ids[:, 0]), table(ids[:, 1]), TEMPERATURE, excluded)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.item() * len(batch)
    mean = total / len(pairs)
    found.quality = {"mean_loss": mean, "final_loss": _loss(table.weight.detach(), pairs)}
    return found


def _loss(rows: torch.Tensor, pairs: np.ndarray) -> float:
    """The mean loss of 200 batches of pairs, by the matrix as it is now."""
    generator = torch.Generator().manual_seed(2)
    drawn = torch.from_numpy(pairs)[torch.randperm(len(pairs), generator=generator)[: 200 * BATCH]]
    losses = [
        info_nce(
            rows[ids[:, 0]],
            rows[ids[:, 1]],
            TEMPERATURE,
            known_positives(ids, torch.arange(len(ids))),
        )
        for ids in drawn.split(BATCH)
    ]
    return float(torch.stack(losses).mean())


def main() -> None:
    options = parser(__doc__, rounds=3)
    options.add_argument("--pairs", type=int, default=1_000_000)
    options.add_argument("--data", type=Path, default=Path("results/benchmarks/alignment"))
    arguments = options.parse_args()
    torch.set_num_threads(arguments.threads)
    if arguments.run:
        report(run(arguments.run, arguments.data))
        return
    rows = rows_of(VOCABULARY, DIMENSION)
    arguments.data.mkdir(parents=True, exist_ok=True)
    np.save(arguments.data / "rows.npy", rows.numpy())
    pairs = pairs_of(rows, arguments.pairs)
    np.save(arguments.data / "pairs.npy", pairs)
    print(machine(arguments.threads))
    print(f"an epoch of {len(pairs):,} pairs, {VOCABULARY:,} x {DIMENSION}, batches of {BATCH}")
    found = in_turn(
        dict.fromkeys(("ours", "plain"), sys.argv[1:]),
        rounds=arguments.rounds,
        threads=arguments.threads,
    )
    ours, plain = found["ours"], found["plain"]
    for mine, other in zip(ours, plain, strict=True):
        difference = mine.quality["final_loss"] - other.quality["final_loss"]
        demand(difference < 0.02, f"the final losses differ by {difference:.3f} nats")
    print(
        f"plain {median_seconds(plain):.1f} s, ours {median_seconds(ours):.1f} s: "
        f"{ratio(plain, ours)} times as fast; memory {peak_bytes(plain) / peak_bytes(ours):.2f} "
        "times as much"
    )
    print(f"ours: {floor_here(rows, pairs).of(median_seconds(ours))}")


if __name__ == "__main__":
    main()
