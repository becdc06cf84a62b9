"""Measure how costs grow with the size of a study, and plot them.

    python benchmarks/growth.py kmeans         # with subwords, groups and columns
    python benchmarks/growth.py pretraining    # with the length of sequences, and outputs
    python benchmarks/growth.py dag            # with the table of experiments: 45, 450, 4,500 rows

Each command writes docs/growth_{what}.svg. Each time is from one run after a warm-up. K-Means runs
ten passes on random rows of the wheel's embeddings.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from side_by_side import machine
from study import ROOT

#: Title, name of the axis, and (size, value) by series.
Panel = tuple[str, str, dict[str, list[tuple[float, float]]]]


def kmeans_growth() -> list[Panel]:
    from kmeans import rows_of

    from semantic_tokens.grouping.kmeans import kmeans

    rows = rows_of(80_000, 384)

    def seconds(count: int, clusters: int, columns: int) -> float:
        part = rows[:count, :columns].contiguous()
        began = time.perf_counter()
        kmeans(part, clusters, metric="cosine", seed=1, max_iterations=10, backend="torch")
        return time.perf_counter() - began

    seconds(5_000, 250, 384)
    sizes = (10_000, 20_000, 40_000, 80_000)
    counts = (500, 1_000, 2_000, 4_000)
    widths = (96, 192, 288, 384)
    return [
        (
            "1,000 groups, 384 columns",
            "subwords",
            {"seconds": [(n, seconds(n, 1_000, 384)) for n in sizes]},
        ),
        (
            "40,000 subwords, 384 columns",
            "groups",
            {"seconds": [(k, seconds(40_000, k, 384)) for k in counts]},
        ),
        (
            "40,000 subwords, 1,000 groups",
            "columns",
            {"seconds": [(d, seconds(40_000, 1_000, d)) for d in widths]},
        ),
    ]


def pretraining_growth() -> list[Panel]:
    from transformers import BertConfig, BertForMaskedLM

    from semantic_tokens.modeling.embedding import use_semantic_tokens
    from semantic_tokens.modeling.masked_language_modelling import MaskedLanguageModel
    from semantic_tokens.training import TrainingOptions, train
    from semantic_tokens.training.pretraining import mask_tokens

    config = BertConfig(
        vocab_size=119_547,
        hidden_size=384,
        num_attention_heads=12,
        intermediate_size=1536,
        num_hidden_layers=4,
    )

    def seconds(outputs: int, length: int, tokens: int = 2048) -> float:
        """The median time of five steps with 2,048 tokens."""
        vocabulary = 119_547
        generator = torch.Generator().manual_seed(1)
        groups = torch.arange(vocabulary) % outputs
        weight = 0.02 * torch.randn(outputs, 384, generator=generator)
        plain = BertForMaskedLM(config)
        use_semantic_tokens(plain, groups, weight)
        model = MaskedLanguageModel(plain)
        ids = torch.randint(5, vocabulary, (tokens // length, length), generator=generator)
        fed, targets = mask_tokens(
            ids,
            torch.tensor([0]),
            mask_id=4,
            random_from=torch.arange(vocabulary),
            probability=0.15,
            generator=generator,
        )
        taken: list[float] = []
        train(
            model,
            lambda: iter([[{"input_ids": fed, "masked_tokens": targets}]] * 7),
            lambda wrapped, batch: wrapped(**batch),
            steps=7,
            options=TrainingOptions(learning_rate=1e-4, batch_size=len(ids)),
            seed=1,
            step_seconds=taken,
        )
        return float(np.median(taken[2:]))

    lengths = (32, 64, 128, 256, 512)
    vocabularies = (1_200, 5_977, 23_909, 119_547)
    return [
        (
            "Pretraining, 2,048 tokens per step",
            "tokens of a sequence",
            {f"{v:,} outputs": [(n, seconds(v, n)) for n in lengths] for v in (5_977, 119_547)},
        ),
        (
            "Pretraining, 16 sequences of 128 per step",
            "outputs",
            {"seconds": [(v, seconds(v, 128)) for v in vocabularies]},
        ),
    ]


def dag_growth() -> list[Panel]:
    table = (ROOT / "config/experiments.tsv").read_text(encoding="utf-8").splitlines()
    header = table[0]
    shown = [line for line in table[1:] if line.split("\t")[1] == "yes"]
    columns = header.split("\t")
    times, jobs = [], []
    for count in (45, 450, 4_500):
        lines = list(shown)
        number = 0
        while len(lines) < count:
            number += 1
            recipe = {
                "figure": "more",
                "table5": "yes",
                "reference": "no",
                "backbone": "me5-2x12k",
                "alignment": "unaligned",
                "dimension": "dfull",
                # It ends in 1, so it differs from the ratios in the table and has no trailing zero.
                "grouping": f"kmeans-cosine-{0.01001 + number * 1e-4:.5f}",
                "pretraining": "asis",
                "training": "all-languages",
            }
            lines.append("\t".join(recipe[column] for column in columns))
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "experiments.tsv"
            path.write_text("\n".join([header, *lines]) + "\n", encoding="utf-8")
            config = Path(folder) / "config.yaml"
            config.write_text(yaml.safe_dump({"experiments": str(path)}), encoding="utf-8")
            command = [sys.executable, "-m", "snakemake", "--dry-run", "--quiet", "rules"]
            command += ["--cores", "2", "results/table5.csv", "--configfile", str(config)]
            began = time.perf_counter()
            answer = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
            taken = time.perf_counter() - began
        if answer.returncode:
            sys.exit(answer.stdout + answer.stderr)
        total = next(
            int(line.split()[1])
            for line in (answer.stdout + answer.stderr).splitlines()
            if line.startswith("total ")
        )
        times.append((count, taken))
        jobs.append((count, 1000 * taken / total))
        print(f"{count:,} rows, {total:,} jobs: {taken:.1f} s", flush=True)
    return [
        ("Planning a study (dry run)", "experiments", {"seconds": times}),
        ("Planning a study (dry run)", "experiments", {"milliseconds a job": jobs}),
    ]


def _spans_tens(series: dict[str, list[tuple[float, float]]]) -> bool:
    """Whether an axis of these values has enough powers of ten as labels."""
    values = [value for points in series.values() for _, value in points]
    return max(values) > 30 * min(values)


def draw(panels: list[Panel], path: Path) -> None:
    from matplotlib import pyplot
    from matplotlib.ticker import NullFormatter, NullLocator, ScalarFormatter

    figure, axes = pyplot.subplots(
        1, len(panels), figsize=(4 * len(panels), 3), layout="constrained", squeeze=False
    )
    for axis, (title, name, series) in zip(axes[0], panels, strict=True):
        for marker, (label, points) in zip("os^", series.items(), strict=False):
            axis.plot(*zip(*points, strict=True), marker=marker, label=label, color="0.2")
            print(title, "by", name, label, [(x, round(y, 3)) for x, y in points], flush=True)
        axis.set(title=title, xlabel=name, xscale="log", yscale="log")
        sizes = sorted({size for points in series.values() for size, _ in points})
        axis.set_xticks(sizes, [f"{size:,}" for size in sizes])
        axis.yaxis.set_major_formatter(ScalarFormatter())
        axis.yaxis.set_minor_formatter(
            NullFormatter() if _spans_tens(series) else ScalarFormatter()
        )
        axis.xaxis.set_minor_locator(NullLocator())
        is_time = "milliseconds a job" not in series
        axis.set_ylabel("seconds" if is_time else "milliseconds a job")
        if len(series) > 1:
            axis.legend(frameon=False)
    figure.savefig(path)


def main() -> None:
    measures: dict[str, Callable[[], Any]] = {
        "kmeans": kmeans_growth,
        "pretraining": pretraining_growth,
        "dag": dag_growth,
    }
    options = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    options.add_argument("what", choices=sorted(measures))
    options.add_argument("--threads", type=int, default=2)
    arguments = options.parse_args()
    torch.set_num_threads(arguments.threads)
    print(machine(arguments.threads))
    draw(measures[arguments.what](), ROOT / f"docs/growth_{arguments.what}.svg")


if __name__ == "__main__":
    main()
