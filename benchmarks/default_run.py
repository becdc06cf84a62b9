"""How far the default run is from the floor of what it does.

    snakemake --cores all results/table5.csv
    python benchmarks/default_run.py

The floor of a job is what its process needs to start (to import what it uses, and to make the first
step of an optimizer, which is when torch imports its compiler), and then that of each operation of
its training and scoring, see ``floor.py``. Jobs ran one on each core, so starts and rates are
measured with every core busy with the same. The floor is set beside the seconds that Snakemake
noted of the jobs; a run cannot take less than their sum divided by the cores.

Two recipes are recorded: the ungrouped model's, and that of 5% of its subwords, which is taken for
all that are grouped or reduced. Finished jobs alone are counted, so a part of a run can be measured
too.
"""

import collections
import csv
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
import yaml
from floor import (
    COPIED,
    Floor,
    Operation,
    Rates,
    Recorder,
    floor_of,
    from_json,
    rates_of,
    shapes_in,
)
from side_by_side import machine, parser

ROOT = Path(__file__).resolve().parents[1]
UNGROUPED = "me5-2x12k/unaligned/dfull/ungrouped"
GROUPED = "me5-2x12k/unaligned/dfull/kmeans-cosine-0.05"
# What a job imports and the first step of its optimizer, and nothing else.
START = """
from snakemake.logging import logger
from snakemake.iocontainers import Snakemake
import torch
import semantic_tokens.finetuning.run, accelerate
from semantic_tokens.finetuning import {module}
weight = torch.nn.Parameter(torch.zeros(1))
weight.grad = torch.zeros(1)
torch.optim.AdamW([weight], fused=True).step()
"""


def seconds_noted(results: Path) -> dict[tuple[str, str], list[float]]:
    """The seconds of every job, by its rule, or its task where it trains, and the recipe recorded
    for it (none where it does not train)."""
    found = collections.defaultdict(list)
    for path in sorted((results / "benchmarks").rglob("*.tsv")):
        rule, *rest = path.relative_to(results / "benchmarks").parts
        job, recipe = rule, ""
        if rule in ("fine_tune", "pretrain"):
            job = rest[5] if rule == "fine_tune" else rule
            recipe = UNGROUPED if "/".join(rest).startswith(UNGROUPED) else GROUPED
        with path.open(encoding="utf-8") as lines:
            found[job, recipe] += [float(row["s"]) for row in csv.DictReader(lines, delimiter="\t")]
    if not found:
        sys.exit(f"{results / 'benchmarks'} notes no job; run `snakemake --cores all` first")
    return found


def record_of(
    task: str, recipe: str, results: Path, config: dict[str, Any]
) -> list[tuple[Operation, int]]:
    """What torch does in one job, and how often."""
    from semantic_tokens.finetuning import fine_tune_from_files
    from semantic_tokens.pretraining import pretrain
    from semantic_tokens.training import TrainingOptions

    backbone = recipe.partition("/")[0]
    tokenizer = str(results / f"backbones/{backbone}/tokenizer.json")
    model = results / "models" / recipe / "asis"
    tables = results / f"tokenized/{backbone}/original"
    with Recorder() as recorder, tempfile.TemporaryDirectory() as folder:
        if task == "pretrain":
            spec = config["pretraining"]
            pretrain(
                model,
                [str(tables / f"corpora/{name}.safetensors") for name in spec["corpora"]],
                tokenizer,
                folder,
                options=TrainingOptions(**spec["training"]),
                seed=spec["seed"],
                mask_probability=spec["mask_probability"],
                language_sampling_exponent=spec["language_sampling_exponent"],
            )
            return list(recorder.operations.items())
        spec = config["tasks"][task]
        dataset = spec["dataset"]
        is_ranking = config["datasets"][dataset]["kind"] == "ranking"
        splits = ["train", "dev", "test", *(["passages"] if is_ranking else [])]
        fine_tune_from_files(
            {
                "kind": spec["kind"],
                "tokenized": tables / dataset,
                "tokenizer": tokenizer,
                "dataset": results / "datasets" / dataset,
                "candidates": results / "candidates" / dataset if is_ranking else None,
                "languages": None,
                "evaluation_split": config["evaluation_split"],
                "options": spec.get("options", {}),
            },
            model,
            [str(tables / dataset / f"{split}.parquet") for split in splits],
            options=TrainingOptions(**spec["training"]),
            seed=1,
        )
        return list(recorder.operations.items())


def on_every_core(command: Sequence[str]) -> list[str]:
    """Run a command once a core at the same time; what each printed."""
    running = [
        subprocess.Popen(
            command, stdout=subprocess.PIPE, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"}
        )
        for _ in range(os.cpu_count() or 1)
    ]
    printed = [process.communicate()[0] for process in running]
    if any(process.returncode for process in running):
        sys.exit(f"failed: {' '.join(command)[:200]}")
    return printed


def start_seconds(module: str) -> float:
    """From the start of a process to its end, one on each core, the quickest of three times."""
    found = []
    for _ in range(3):
        began = time.perf_counter()
        on_every_core([sys.executable, "-c", START.format(module=module)])
        found.append(time.perf_counter() - began)
    return min(found)


def mean_rates(printed: Sequence[str]) -> Rates:
    """The mean over the cores of the rates that each printed."""
    cores = [json.loads(text) for text in printed]
    products = zip(*(core["products"] for core in cores), strict=True)
    return Rates(
        statistics.mean(core["operations"] for core in cores),
        [
            statistics.mean(speeds)
            for speeds in zip(*(core["copying"] for core in cores), strict=True)
        ],
        [
            ((tuple(same[0][0][0]), tuple(same[0][0][1])), statistics.mean(s for _, s in same))
            for same in products
        ],
    )


def main() -> None:
    options = parser(__doc__, rounds=1)
    options.add_argument("--results", type=Path, default=ROOT / "results")
    options.add_argument("--recipe", help="with --run")
    options.add_argument("--shapes", type=Path, help="with --run")
    arguments = options.parse_args()
    torch.set_num_threads(1)
    config = yaml.safe_load((ROOT / "config/config.yaml").read_text("utf-8"))
    if arguments.run == "rates":
        print(json.dumps(asdict(rates_of(json.loads(arguments.shapes.read_text("utf-8"))))))
        return
    if arguments.run:
        print(json.dumps(record_of(arguments.run, arguments.recipe, arguments.results, config)))
        return
    noted = seconds_noted(arguments.results)
    print(machine(1), flush=True)
    this = [sys.executable, sys.argv[0], "--results", str(arguments.results), "--run"]
    recorded: dict[tuple[str, str], list[tuple[Operation, int]]] = {}
    for job, recipe in noted:
        if recipe:
            answer = subprocess.run(
                [*this, job, "--recipe", recipe], capture_output=True, text=True, check=False
            )
            if answer.returncode:
                sys.exit(f"{job} of {recipe} failed:\n{answer.stderr}")
            recorded[job, recipe] = from_json(json.loads(answer.stdout.splitlines()[-1]))
    shapes = shapes_in(recorded.values())
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(shapes, file)
        file.flush()
        rates = mean_rates(on_every_core([*this, "rates", "--shapes", file.name]))
    copies = ", ".join(
        f"{size:g} MiB {speed / 1e9:.0f}" for size, speed in zip(COPIED, rates.copying, strict=True)
    )
    print(
        f"a core, all being busy: {rates.operations / 1e9:.0f} billion operations a second; copies "
        f"of {copies} GB/s; {len(shapes)} shapes of products"
    )
    print(
        "| job | grouped | number | seconds a job | start | products, as large ones "
        "| by their shapes | memory | times the floor | by shapes |"
    )
    print("| --- " * 10 + "|")
    total = least = least_shaped = others = 0.0
    starts: dict[str, float] = {}
    for (job, recipe), seconds in sorted(noted.items(), key=lambda item: -sum(item[1])):
        total += sum(seconds)
        if not recipe:
            others += sum(seconds)
            continue
        module = "run" if job == "pretrain" else config["tasks"][job]["kind"]
        if module not in starts:
            starts[module] = start_seconds(module)
        floor: Floor = floor_of(recorded[job, recipe], rates)
        large = starts[module] + floor.large + floor.memory
        shaped = starts[module] + floor.shaped + floor.memory
        least += large * len(seconds)
        least_shaped += shaped * len(seconds)
        mean = statistics.mean(seconds)
        print(
            f"| {job} | {'no' if recipe == UNGROUPED else 'yes'} | {len(seconds)} | {mean:.1f} "
            f"| {starts[module]:.1f} | {floor.large:.1f} | {floor.shaped:.1f} "
            f"| {floor.memory:.1f} | {mean / large:.2f} | {mean / shaped:.2f} |",
            flush=True,
        )
    print(
        f"all jobs: {total:,.0f} s, {total / (least + others):.2f} times {least + others:,.0f} s, or "
        f"{total / (least_shaped + others):.2f} times {least_shaped + others:,.0f} s by shapes; the "
        f"{others:,.0f} s of jobs not shown count as their own floor"
    )


if __name__ == "__main__":
    main()
