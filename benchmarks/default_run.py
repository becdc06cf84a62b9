"""How far the default run is from the floor of what it does.

    snakemake --cores all results/table5.csv
    python benchmarks/default_run.py

The floor of a job is what its process needs to start, which is to import what it uses, and then that
of each operation of its training and scoring, see ``floor.py``. Jobs ran one on each core, so starts
and rates are measured with every core busy with the same. The floor is set beside the seconds that
Snakemake noted of the jobs.

A machine that others share is quicker at one time than at another. So some jobs of each kind are
run again, on every core, with starts and rates measured before and after: that tells how far jobs
are from their floor, and the noted seconds what the run added to them.

The run itself cannot take less than its jobs by themselves, divided by the cores, nor than its
longest chain of jobs that wait for each other. Of every rule a chain has one job at the most.

Of every backbone two recipes are recorded: the ungrouped model's, and that of 5% of its subwords,
which is taken for all that are grouped or reduced. Finished jobs alone are counted, so a part of a
run can be measured too.
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
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
import yaml
from floor import (
    COPIED,
    Operation,
    Rates,
    Recorder,
    floor_of,
    from_json,
    rates_of,
    shape_from_json,
    shapes_in,
)
from side_by_side import machine, parser

from semantic_tokens.jobs import job

ROOT = Path(__file__).resolve().parents[1]
# A job (a rule, or the task that it fine-tunes on), its backbone, and whether that is as it was,
# neither grouped nor reduced. Both are empty where nothing is trained.
Kind = tuple[str, str, bool]
# What a job imports, and nothing else.
START = """
from snakemake.logging import logger
from snakemake.iocontainers import Snakemake
from types import SimpleNamespace
from semantic_tokens.jobs import job
with job(SimpleNamespace(threads=1, log=[], rule="start")):
    import semantic_tokens.finetuning.run, accelerate
    {imports}
"""


def seconds_noted(results: Path) -> tuple[dict[Kind, list[float]], dict[Kind, str]]:
    """The seconds of every job, and the recipe to record for each kind that trains."""
    found: dict[Kind, list[float]] = collections.defaultdict(list)
    recipes: dict[Kind, str] = {}
    for path in sorted((results / "benchmarks").rglob("*.tsv")):
        rule, *rest = path.relative_to(results / "benchmarks").with_suffix("").parts
        kind: Kind = (rule, "", False)
        if rule in ("fine_tune", "pretrain"):
            backbone, _, dimension, grouping = rest[:4]
            kind = (
                rest[5] if rule == "fine_tune" else rule,
                backbone,
                (dimension, grouping) == ("dfull", "ungrouped"),
            )
            if dimension == "dfull" and grouping in ("ungrouped", "kmeans-cosine-0.05"):
                recipes.setdefault(kind, "/".join(rest[:4]))
        with path.open(encoding="utf-8") as lines:
            found[kind] += [float(row["s"]) for row in csv.DictReader(lines, delimiter="\t")]
    if not found:
        sys.exit(f"{results / 'benchmarks'} notes no job; run `snakemake --cores all` first")
    if missing := [kind for kind in found if kind[1] and kind not in recipes]:
        sys.exit(f"of {missing[0]} neither the ungrouped model nor 5% of its subwords has run yet")
    return found, recipes


def span_and_chain(results: Path) -> tuple[float, float]:
    """Seconds from the first job's start to the last one's end, which is of meaning for a run that
    was not interrupted; and the slowest job of every rule together, which no chain exceeds."""
    starts, ends = [], []
    slowest: dict[str, float] = collections.defaultdict(float)
    for path in (results / "benchmarks").rglob("*.tsv"):
        with path.open(encoding="utf-8") as lines:
            seconds = sum(float(row["s"]) for row in csv.DictReader(lines, delimiter="\t"))
        ends.append(path.stat().st_mtime)
        starts.append(ends[-1] - seconds)
        rule = path.relative_to(results / "benchmarks").with_suffix("").parts[0]
        slowest[rule] = max(slowest[rule], seconds)
    return max(ends) - min(starts), sum(slowest.values())


def run_job(task: str, recipe: str, results: Path, config: dict[str, Any]) -> None:
    """Do what the job of one rule, or of one task's fine-tuning, does."""
    from semantic_tokens.finetuning import fine_tune_from_files
    from semantic_tokens.pretraining import pretrain
    from semantic_tokens.training import TrainingOptions

    backbone = recipe.partition("/")[0]
    tokenizer = str(results / f"backbones/{backbone}/tokenizer.json")
    model = results / "models" / recipe / "asis"
    tables = results / f"tokenized/{backbone}/original"
    if task == "pretrain":
        spec = config["pretraining"]
        with tempfile.TemporaryDirectory() as folder:
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
        return
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


def on_every_core(command: Sequence[str]) -> list[str]:
    """Run a command once a core at the same time; what each printed."""
    running = [
        subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | {"OMP_NUM_THREADS": "1"},
        )
        for _ in range(os.cpu_count() or 1)
    ]
    printed = [process.communicate() for process in running]
    if any(process.returncode for process in running):
        sys.exit(f"failed: {' '.join(command)[:200]}\n{printed[0][1][-2000:]}")
    return [out for out, _ in printed]


def start_seconds(imports: str) -> float:
    """From the start of a process to its end, one on each core, the quickest of three times."""
    found = []
    for _ in range(3):
        began = time.perf_counter()
        on_every_core([sys.executable, "-c", START.format(imports=imports)])
        found.append(time.perf_counter() - began)
    return min(found)


def mean_rates(printed: Sequence[str]) -> Rates:
    """The mean of the rates that each of some processes printed."""
    cores = [json.loads(text) for text in printed]
    products = zip(*(core["products"] for core in cores), strict=True)
    return Rates(
        statistics.mean(core["operations"] for core in cores),
        [
            statistics.mean(speeds)
            for speeds in zip(*(core["copying"] for core in cores), strict=True)
        ],
        [
            (shape_from_json(same[0][0]), statistics.mean(seconds for _, seconds in same))
            for same in products
        ],
    )


def main() -> None:
    options = parser(__doc__, rounds=1)
    options.add_argument("--results", type=Path, default=ROOT / "results")
    options.add_argument("--task", help="with --run record and --run job")
    options.add_argument("--recipe", help="with --run record and --run job")
    options.add_argument("--shapes", type=Path, help="with --run rates")
    arguments = options.parse_args()
    config = yaml.safe_load((ROOT / "config/config.yaml").read_text("utf-8"))
    if arguments.run:
        with job(SimpleNamespace(threads=1, log=[], rule=arguments.run)):
            torch.set_num_threads(1)
            if arguments.run == "rates":
                shapes = json.loads(arguments.shapes.read_text("utf-8"))
                print(json.dumps(asdict(rates_of(shapes))))
                return
            with Recorder() if arguments.run == "record" else nullcontext() as recorder:
                run_job(arguments.task, arguments.recipe, arguments.results, config)
            if recorder is not None:
                print(json.dumps(list(recorder.operations.items())))
        return
    noted, recipes = seconds_noted(arguments.results)
    print(machine(1), flush=True)
    this = [sys.executable, sys.argv[0], "--results", str(arguments.results), "--run"]

    def again(how: str, kind: Kind) -> list[str]:
        return [*this, how, "--task", kind[0], "--recipe", recipes[kind]]

    def recorded_of(kind: Kind) -> list[tuple[Operation, int]]:
        answer = subprocess.run(again("record", kind), capture_output=True, text=True, check=False)
        if answer.returncode:
            sys.exit(f"{kind[0]} of {recipes[kind]} failed:\n{answer.stderr}")
        return from_json(json.loads(answer.stdout.splitlines()[-1]))

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        recorded = dict(zip(recipes, pool.map(recorded_of, recipes), strict=True))
    shapes = shapes_in(recorded.values())
    jobs = sorted({kind[0] for kind in recipes})
    starts: dict[str, list[float]] = {name: [] for name in jobs}
    printed: list[str] = []

    def measure() -> None:
        with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
            json.dump(shapes, file)
            file.flush()
            printed.extend(on_every_core([*this, "rates", "--shapes", file.name]))
        for name in jobs:
            kind = "run" if name == "pretrain" else config["tasks"][name]["kind"]
            imports = f"from semantic_tokens.finetuning import {kind}"
            if kind == "token_classification":
                imports += "; import seqeval.metrics"
            starts[name].append(start_seconds(imports))

    measure()
    taken = {}
    for kind in recipes:
        began = time.perf_counter()
        on_every_core(again("job", kind))
        taken[kind] = time.perf_counter() - began
    measure()
    rates = mean_rates(printed)
    speeds = ", ".join(
        f"{size:g} MiB {speed / 1e9:.0f}" for size, speed in zip(COPIED, rates.copying, strict=True)
    )
    print(
        f"a core, all being busy: {rates.operations / 1e9:.0f} billion operations a second; memory "
        f"in {speeds} GB/s; {len(shapes)} shapes of products"
    )
    print(
        "| job | number | seconds a job | run again | start | products, as large ones "
        "| by their shapes | memory | times the floor | by shapes |"
    )
    print("| --- " * 10 + "|")
    others = sum(sum(seconds) for kind, seconds in noted.items() if not kind[1])
    total = once_more = least = least_shaped = others
    for name in jobs:
        start = statistics.mean(starts[name])
        kinds = [kind for kind in recipes if kind[0] == name]
        number = sum(len(noted[kind]) for kind in kinds)
        seconds = sum(sum(noted[kind]) for kind in kinds)
        seconds_again = sum(len(noted[kind]) * taken[kind] for kind in kinds)
        floors = [floor_of(recorded[kind], rates, len(noted[kind])) for kind in kinds]
        parts = [
            sum(getattr(floor, part) for floor in floors) for part in ("large", "shaped", "memory")
        ]
        at_large, at_shapes = (number * start + products + parts[2] for products in parts[:2])
        total, once_more = total + seconds, once_more + seconds_again
        least, least_shaped = least + at_large, least_shaped + at_shapes
        each = " | ".join(f"{part / number:.1f}" for part in parts)
        print(
            f"| {name} | {number} | {seconds / number:.1f} | {seconds_again / number:.1f} "
            f"| {start:.1f} | {each} | {seconds_again / at_large:.2f} "
            f"| {seconds_again / at_shapes:.2f} |",
            flush=True,
        )
    print(
        f"all jobs: {total:,.0f} s; run again {once_more:,.0f} s, {once_more / least:.2f} times "
        f"{least:,.0f} s, or {once_more / least_shaped:.2f} times {least_shaped:,.0f} s by shapes; "
        f"the {others:,.0f} s of jobs not shown count as their own floor"
    )

    span, chain = span_and_chain(arguments.results)
    starting = sum(len(noted[kind]) * statistics.mean(starts[kind[0]]) for kind in noted if kind[1])
    cores = os.cpu_count() or 1
    print(
        f"the run: {span:,.0f} s on {cores} cores, {cores * span / once_more:.2f} times what its jobs "
        f"take by themselves; of those {starting:,.0f} s are starts of the processes that train; no "
        f"chain of jobs is longer than {chain:.0f} s"
    )


if __name__ == "__main__":
    main()
