"""Compare encoding and searching a collection with sentence-transformers and numpy.

    pip install sentence-transformers==6.2.0
    python benchmarks/retrieval.py --passages 200000 --queries 1000

The collection contains windows of one to six consecutive translated messages of Django, in about
sixty languages. The encoder is the first two layers of the wheel's encoder. The other contender is
``SentenceTransformer.encode`` with its defaults, and ``numpy.argsort`` over all inner products.
Ours tokenises the texts once, as in the workflow, and encodes batches of similar length. Both start
from text. Vectors must agree with a cosine of 0.9999. With the same vectors, the first hundred
passages of every query must be the same.
"""

import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from floor import Floor, Recorder, floor_of
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

DEPTH = 100
MAX_LENGTH = 128
LONGEST = 6  # messages per passage
BACKBONE = "me5-2x250k"


def texts_of(corpus: Path, count: int) -> list[str]:
    from semantic_tokens.json_files import read_jsonl

    messages = [row["text"].strip() for row in read_jsonl(corpus)]
    # All windows of one to six messages in random order. They overlap, and all differ.
    windows = np.random.default_rng(1).permutation((len(messages) - LONGEST + 1) * LONGEST)[:count]
    demand(len(windows) == count, f"there are {len(messages):,} messages, too few")
    starts, lengths = np.divmod(windows, LONGEST)
    return [" ".join(messages[i : i + n + 1]) for i, n in zip(starts, lengths, strict=True)]


def encoder_of(backbone: Path) -> Callable[[list[str]], np.ndarray]:
    """The workflow's function from texts to vectors."""
    from semantic_tokens.modeling.loading import load_model
    from semantic_tokens.tasks.bi_encoder import encode_texts
    from semantic_tokens.tokenization.vocabulary import load_tokenizer

    tokenizer = load_tokenizer(backbone)
    tokenizer.backend_tokenizer.enable_truncation(MAX_LENGTH)
    model = load_model("none", backbone, dropout=0.0)

    def encode(some: list[str]) -> np.ndarray:
        ids: list[list[int]] = []
        for start in range(0, len(some), 4096):
            part = tokenizer.backend_tokenizer.encode_batch_fast(some[start : start + 4096])
            ids += [encoding.ids for encoding in part]
        return encode_texts(model, ids, tokenizer.pad_token_id, pooling="mean", similarity="cosine")

    return encode


def floor_here(backbone: Path, texts: list[str]) -> Floor:
    """The floor of encoding all texts, extrapolated from 4,000 of them."""
    some = texts[:4000]
    encode = encoder_of(backbone)
    with Recorder() as recorder:
        encode(some)
    return floor_of(recorder.operations.items(), share=len(texts) / len(some))


def run_ours(folder: Path, backbone: Path) -> Measurement:
    from semantic_tokens.tasks.bi_encoder import BestPassages

    texts = (folder / "texts.txt").read_text(encoding="utf-8").split("\n")
    queries = (folder / "queries.txt").read_text(encoding="utf-8").split("\n")
    encode = encoder_of(backbone)
    with measured() as found:
        began = time.perf_counter()
        vectors = encode(texts)
        encoded = time.perf_counter() - began
        asked = encode(queries)
        best = BestPassages(asked, ["any"] * len(queries), DEPTH)
        names = [str(i) for i in range(len(texts))]
        for start in range(0, len(texts), 50_000):
            part = slice(start, start + 50_000)
            best.add("any", names[part], vectors[part])
        runs = best.runs()
    ids = np.array([[int(name) for name in run] for run in runs])
    np.save(folder / "ours.npy", vectors)
    np.save(folder / "ours_queries.npy", asked)
    # Search the same vectors in the simple way.
    mismatched = 0
    for row, query in enumerate(asked):
        scores = vectors @ query
        theirs = np.argsort(-scores, kind="stable")[:DEPTH]
        if not np.array_equal(theirs, ids[row]):
            # Another passage may have the same score, up to rounding.
            mismatched += int(not np.allclose(scores[theirs], scores[ids[row]], atol=1e-6, rtol=0))
    found.quality = {"encode_seconds": encoded, "mismatched_queries": mismatched}
    return found


def run_plain(folder: Path, backbone: Path) -> Measurement:
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.models import Normalize, Pooling, Transformer

    texts = (folder / "texts.txt").read_text(encoding="utf-8").split("\n")
    queries = (folder / "queries.txt").read_text(encoding="utf-8").split("\n")
    word = Transformer(str(backbone), max_seq_length=MAX_LENGTH)
    pooling = Pooling(word.get_word_embedding_dimension(), "mean")
    model = SentenceTransformer(modules=[word, pooling, Normalize()], device="cpu")
    with measured() as found:
        began = time.perf_counter()
        vectors = model.encode(texts)
        encoded = time.perf_counter() - began
        asked = model.encode(queries)
        best = np.argsort(-(asked @ vectors.T), axis=1)[:, :DEPTH]
    assert best.shape == (len(queries), DEPTH)
    np.save(folder / "plain.npy", vectors)
    found.quality = {"encode_seconds": encoded}
    return found


def main() -> None:
    options = parser(__doc__, rounds=2)
    options.add_argument("--passages", type=int, default=200_000)
    options.add_argument("--queries", type=int, default=1_000)
    options.add_argument("--data", type=Path, default=Path("results/benchmarks/retrieval"))
    arguments = options.parse_args()
    torch.set_num_threads(arguments.threads)
    weights, tokenizer, corpus = made(
        f"results/backbones/{BACKBONE}/model.safetensors",
        f"results/backbones/{BACKBONE}/tokenizer.json",
        "results/corpora/django_many.jsonl",
    )
    if arguments.run:
        run = run_ours if arguments.run == "ours" else run_plain
        report(run(arguments.data, weights.parent))
        return
    arguments.data.mkdir(parents=True, exist_ok=True)
    texts = texts_of(corpus, arguments.passages + arguments.queries)
    texts = [" ".join(text.split()) for text in texts]
    (arguments.data / "texts.txt").write_text(
        "\n".join(texts[: arguments.passages]), encoding="utf-8"
    )
    (arguments.data / "queries.txt").write_text(
        "\n".join(texts[arguments.passages :]), encoding="utf-8"
    )
    print(machine(arguments.threads))
    print(f"{arguments.passages:,} passages, {arguments.queries:,} queries")
    found = in_turn(
        dict.fromkeys(("ours", "plain"), sys.argv[1:]),
        rounds=arguments.rounds,
        threads=arguments.threads,
    )
    ours, plain = (np.load(arguments.data / f"{name}.npy") for name in ("ours", "plain"))
    cosine = float((ours * plain).sum(axis=1).min())
    demand(cosine > 0.9999, f"vectors differ: the smallest cosine is {cosine:.5f}")
    wrong = sum(run.quality["mismatched_queries"] for run in found["ours"])
    demand(not wrong, f"the first {DEPTH} of {wrong} queries are other passages")
    encode = [
        [Measurement(run.quality["encode_seconds"]) for run in found[name]]
        for name in ("plain", "ours")
    ]
    print(
        f"encode: plain {median_seconds(encode[0]):.1f} s, ours {median_seconds(encode[1]):.1f} s, "
        f"{ratio(*encode)} times as fast; encode and search "
        f"{ratio(found['plain'], found['ours'])}; memory "
        f"{peak_bytes(found['ours']) / peak_bytes(found['plain']):.0%} of plain's; tokenizer "
        f"{tokenizer.name}, smallest cosine {cosine:.6f}"
    )
    floor = floor_here(weights.parent, texts[: arguments.passages])
    print(f"our encoding: {floor.of(median_seconds(encode[1]))}")


if __name__ == "__main__":
    main()
