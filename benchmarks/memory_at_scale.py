"""Check that the peak of memory does not grow with the data.

    python benchmarks/memory_at_scale.py tokenizer.json --megabytes 30 300

This makes text of random words in the formats of Wikipedia and MIRACL. It reads, tokenises and
ranks it with the functions of the workflow, each step in a separate process, and prints the peak of
each step.
"""

import argparse
import gzip
import json
import multiprocessing
import resource
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as parquet

from semantic_tokens.data.bm25 import bm25_candidates
from semantic_tokens.data.corpora import read_corpus
from semantic_tokens.data.datasets import read_dataset
from semantic_tokens.json_files import read_jsonl, write_jsonl
from semantic_tokens.tokenization.examples import pack_corpus, tokenize_dataset
from semantic_tokens.tokenization.vocabulary import load_tokenizer

ARTICLE, PASSAGE = 3000, 500  # characters
SHARD = 10_000  # articles per file


def texts(characters: int, length: int) -> Iterator[str]:
    """Random words in texts of about this length. Frequent words are short."""
    generator = np.random.default_rng(1)
    letters = np.array(list("etaoinshrdlucmfwypvbgkqjxz"))
    words = ["".join(generator.choice(letters, 2 + i // 6000)) for i in range(50_000)]
    for _ in range(characters // length):
        drawn = np.minimum(generator.zipf(1.3, length // 6), len(words)) - 1
        yield " ".join(words[i] for i in drawn)


def write_wikipedia(folder: Path, characters: int) -> None:
    path = folder / "wikipedia/20231101.en"
    path.mkdir(parents=True)
    schema = pa.schema([("text", pa.string())])
    found = texts(characters, ARTICLE)
    for number in range(characters // ARTICLE // SHARD + 1):
        some = [text for text, _ in zip(found, range(SHARD), strict=False)]
        table = pa.table({"text": some}, schema=schema)
        parquet.write_table(table, path / f"{number}.parquet", row_group_size=1000)


def write_miracl(folder: Path, characters: int) -> None:
    queries = {"train": range(20), "dev": range(20, 40)}
    for split, numbers in queries.items():
        for name, line in {"topics": "{0}\ta question\n", "qrels": "{0} Q0 {0}#0 1\n"}.items():
            path = folder / f"miracl/{name}/{name}.miracl-v1.0-en-{split}.tsv"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("".join(line.format(n) for n in numbers), encoding="utf-8")
    path = folder / "miracl/miracl-corpus-v1.0-en/docs-0.jsonl.gz"
    path.parent.mkdir()
    with gzip.open(path, "wt", encoding="utf-8", compresslevel=1) as file:
        for number, text in enumerate(texts(characters, PASSAGE)):
            row = {"docid": f"{number}#0", "title": "", "text": text}
            file.write(json.dumps(row) + "\n")


def read_articles(folder: Path, tokenizer: Path) -> None:
    passages = read_corpus("wikipedia", "wikipedia", {"languages": ["eng"]}, folder / "wikipedia")
    write_jsonl(passages, folder / "corpus.jsonl")


def pack_articles(folder: Path, tokenizer: Path) -> None:
    pack_corpus(
        read_jsonl(folder / "corpus.jsonl"),
        load_tokenizer(tokenizer),
        folder / "corpus.safetensors",
        sequence_length=256,
    )


def read_passages(folder: Path, tokenizer: Path) -> None:
    splits = read_dataset("miracl", {"languages": ["eng"], "dev_fraction": 0.5}, folder / "miracl")
    write_jsonl(splits["passages"], folder / "passages.jsonl")


def tokenize_passages(folder: Path, tokenizer: Path) -> None:
    tokenize_dataset(
        "ranking",
        [folder / "passages.jsonl"],
        tokenizer,
        [folder / "passages.parquet"],
        {"max_query_length": 64, "max_passage_length": 256},
    )


def rank_passages(folder: Path, tokenizer: Path) -> None:
    queries = [
        {"id": str(number), "language": "eng", "query": text}
        for number, text in enumerate(texts(200 * 40, 40))
    ]
    index = folder / "index"
    index.mkdir()
    for _ in bm25_candidates(
        read_jsonl(folder / "passages.jsonl"), queries, 100, index_folder=index
    ):
        pass


def measure(work: Callable[[Path, Path], None], folder: Path, tokenizer: Path) -> None:
    start = time.perf_counter()
    work(folder, tokenizer)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{work.__name__}: {peak:.0f} MiB, {time.perf_counter() - start:.0f} s", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("tokenizer", type=Path)
    parser.add_argument("--megabytes", type=int, nargs="+", default=[30, 300])
    arguments = parser.parse_args()
    context = multiprocessing.get_context("spawn")
    for size in arguments.megabytes:
        print(f"{size} MB of text", flush=True)
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            for write in (write_wikipedia, write_miracl):
                write(folder, size * 10**6)
            steps = (read_articles, pack_articles, read_passages, tokenize_passages, rank_passages)
            for work in steps:
                process = context.Process(
                    target=measure, args=(work, folder, arguments.tokenizer.resolve())
                )
                process.start()
                process.join()


if __name__ == "__main__":
    main()
