"""Time an epoch of cross-lingual subword alignment against a simple loop. Also measure the effect
of alignment on embeddings by the size of the lexicon.

    python benchmarks/alignment.py --pairs 1000000
    python benchmarks/alignment.py --strength 3000 30000 200000 1000000

The simple loop trains the entire 119,547 x 768 matrix with a dense Adam, which changes all rows at
every step. Ours trains only the rows in a batch. A pair is a row and one of its nearest neighbours
among random rows, so that training has an effect. The final losses must agree.

``--strength`` aligns the wheel's 250,002 subword embeddings with these numbers of pairs, with the
defaults of the workflow, and prints a table of drift and of accuracy@1 on held-out concepts. The
pairs are random subsets, each contained in the next, from MUSE's dictionaries (all lines with the
same English word are one concept, so words of other languages are paired through English),
Concepticon and PanLex's Swadesh lists. Queries and candidates are words from all of these.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from floor import Floor, Recorder, floor_of, over
from kmeans import EMBEDDINGS, rows_of
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
from study import made
from torch import nn

from semantic_tokens.data.lexicons.table import is_held_out, read_lexicon
from semantic_tokens.embeddings.alignment import (
    AlignmentLog,
    TranslationPairs,
    align,
    info_nce,
    known_positives,
    single_subword_pairs,
)
from semantic_tokens.embeddings.alignment_quality import (
    mean_cosine,
    translation_test,
    translations_found,
)
from semantic_tokens.embeddings.matrix import load_embeddings
from semantic_tokens.tokenization.vocabulary import load_tokenizer, single_subword_id

TEMPERATURE, BATCH, RATE = 0.05, 256, 1e-3
HELD_OUT = 0.1  # of the concepts
SEEDS = (1, 2, 3)  # for the alignment, with each size
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
    found.quality = {"mean_loss": float(np.mean(log.losses)), "final_loss": _loss(aligned, pairs)}
    return found


def _ours(rows: torch.Tensor, pairs: np.ndarray) -> tuple[torch.Tensor, AlignmentLog]:
    return align(
        rows,
        TranslationPairs(pairs, np.arange(len(pairs))),
        seed=1,
        temperature=TEMPERATURE,
        batch_size=BATCH,
        steps=-(-len(pairs) // BATCH),
        learning_rate=RATE,
        min_mean_cosine=-1,
    )


def floor_here(rows: torch.Tensor, pairs: np.ndarray) -> Floor:
    """The floor of our epoch, extrapolated from a run of 50 steps and a run of one step."""
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
    """The mean loss of the current matrix on 200 batches of pairs."""
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


def strength(sizes: Sequence[int]) -> None:
    """Print the table of drift and accuracy by the number of pairs."""
    names = ("muse", "concepticon")
    embeddings_file, tokenizer_file, *lexicons = made(
        EMBEDDINGS,
        "results/backbones/me5-12x250k/tokenizer.json",
        *(f"results/lexicons/{name}.tsv" for name in names),
    )
    embeddings, tokenizer = load_embeddings(embeddings_file), load_tokenizer(tokenizer_file)
    entries = [entry for path in lexicons for entry in read_lexicon(path)]
    english = {e.concept: e.word for e in entries if e.source == "muse" and e.language == "eng"}
    entries = [e._replace(concept=english.get(e.concept, e.concept)) for e in entries]
    words = {entry.word for entry in entries}
    token_id_of = {word: single_subword_id(tokenizer, word) for word in words}.get
    trained = [entry for entry in entries if not is_held_out(entry.concept, HELD_OUT)]
    pool = single_subword_pairs(trained, token_id_of, max_pairs_per_concept=10_000)
    demand(len(pool) >= max(sizes), f"the lexicons have only {len(pool):,} pairs")
    test = translation_test(entries, token_id_of, HELD_OUT, max_queries=10_000)
    order = np.random.default_rng(1).permutation(len(pool))
    before = translations_found(embeddings, test)
    print(
        f"{len(pool):,} pairs to draw from; {len(test.queries):,} queries of held-out concepts, "
        f"{len(test.candidates):,} candidates; unaligned: accuracy@1 "
        f"{before.mean():.4f}"
    )
    print(
        "| pairs | seed | rows | mean cosine of these | of all rows | angle kept | accuracy@1 "
        "| change, 95% | s |"
    )
    print("| --- " * 9 + "|")
    for size in sizes:
        chosen = np.sort(order[:size])
        pairs = TranslationPairs(pool.token_ids[chosen], pool.concepts[chosen])
        for seed in SEEDS:
            with measured() as found:
                aligned, log = align(embeddings, pairs, seed=seed)
            after = translations_found(aligned, test)
            change = after.astype(float) - before  # paired, because the queries are the same
            margin = 1.96 * change.std(ddof=1) / len(change) ** 0.5
            print(
                f"| {size:,} | {seed} | {log.subwords:,} | {log.mean_cosine:.4f} "
                f"| {mean_cosine(embeddings, aligned):.4f} | {log.share_kept:.2f} "
                f"| {after.mean():.4f} | {change.mean():+.4f} ± {margin:.4f} "
                f"| {found.seconds:.0f} |",
                flush=True,
            )


def main() -> None:
    options = parser(__doc__, rounds=3)
    options.add_argument("--pairs", type=int, default=1_000_000)
    options.add_argument("--data", type=Path, default=Path("results/benchmarks/alignment"))
    options.add_argument("--strength", type=int, nargs="+", metavar="PAIRS")
    arguments = options.parse_args()
    torch.set_num_threads(arguments.threads)
    if arguments.strength:
        strength(arguments.strength)
        return
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
