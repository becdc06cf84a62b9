"""How far the default run is from the floor of what it does.

    snakemake --cores all results/table5.csv
    python benchmarks/default_run.py

The floor of a job is what its process needs to start (to import what it uses, and to make the first
step of an optimizer, which is when torch imports its compiler), and then, of each operation of
the ungrouped model's training and scoring, its arithmetic at this core's rate of large products or
its bytes at this core's rate of copying so many, whichever takes longer. Operations are recorded
while the job's own code runs. It is set beside the seconds that Snakemake noted of the jobs, which
ran two at a time on two cores, so that a run cannot take less than their sum divided by the cores.
"""

import bisect
import collections
import csv
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import yaml
from side_by_side import MIB, bandwidth, machine, matmul_rate, parser

ROOT = Path(__file__).resolve().parents[1]
RECIPE = "me5-2x12k/unaligned/dfull/ungrouped/asis"
SIZES = (0.05, 0.25, 1, 4, 16, 64, 256)
# What a job imports and the first step of its optimizer, and nothing else.
START = """
import torch
import semantic_tokens.finetuning.run, accelerate
from semantic_tokens.finetuning import {module}
weight = torch.nn.Parameter(torch.zeros(1))
weight.grad = torch.zeros(1)
torch.optim.AdamW([weight], fused=True).step()
"""


def seconds_noted(results: Path) -> dict[str, list[float]]:
    """The seconds of every job, by its rule, and of fine-tuning by its task."""
    found = collections.defaultdict(list)
    for path in sorted((results / "benchmarks").rglob("*.tsv")):
        rule, *rest = path.relative_to(results / "benchmarks").parts
        if rule == "fine_tune":
            rule = f"fine_tune {rest[-3]}"
        with path.open(encoding="utf-8") as lines:
            found[rule] += [float(row["s"]) for row in csv.DictReader(lines, delimiter="\t")]
    if not found:
        sys.exit(f"{results / 'benchmarks'} notes no job; run `snakemake --cores all` first")
    return found


def recorder() -> Any:
    """A mode in which torch's operations are recorded: ``operations`` are pairs of floating point
    operations and bytes."""
    import torch
    from torch.utils._python_dispatch import TorchDispatchMode
    from torch.utils._pytree import tree_leaves
    from torch.utils.flop_counter import flop_registry, sdpa_backward_flop_count, sdpa_flop_count

    looks_up = ("embedding", "index", "gather", "index_select")  # not all of the table is read

    class Recorder(TorchDispatchMode):
        def __init__(self) -> None:
            super().__init__()
            self.operations: list[tuple[int, int]] = []

        def __torch_dispatch__(self, function, types, arguments=(), named=None):  # type: ignore
            named = named or {}
            out = function(*arguments, **named)
            returns = function._schema.returns
            views = returns and returns[0].alias_info and not returns[0].alias_info.is_write
            name = function._overloadpacket.__name__
            if views or name.startswith(("empty", "new_empty", "detach")):
                return out
            inputs = {id(t): t for t in tree_leaves((arguments, named)) if torch.is_tensor(t)}
            outputs = {id(t): t for t in tree_leaves(out) if torch.is_tensor(t)}
            if name in looks_up:
                inputs = dict(outputs)
            size = sum(t.numel() * t.element_size() for t in (*inputs.values(), *outputs.values()))
            if name.startswith("_fused_adam"):  # in place: all but the gradients are written too
                size += sum(t.numel() * t.element_size() for k in (0, 2, 3) for t in arguments[k])
            work = 0
            if function._overloadpacket in flop_registry:
                work = flop_registry[function._overloadpacket](*arguments, **named, out_val=out)
            elif name == "_scaled_dot_product_flash_attention_for_cpu":
                work = sdpa_flop_count(*(t.shape for t in arguments[:3]))
            elif name == "_scaled_dot_product_flash_attention_for_cpu_backward":
                work = sdpa_backward_flop_count(*(t.shape for t in arguments[:4]))
            self.operations.append((work, size))
            return out

    return Recorder()


def operations_of(task: str, results: Path, config: dict[str, Any]) -> list[tuple[int, int]]:
    """What torch does in one job."""
    from semantic_tokens.finetuning import fine_tune_from_files
    from semantic_tokens.pretraining import pretrain
    from semantic_tokens.training import TrainingOptions

    backbone = RECIPE.partition("/")[0]
    tokenizer = str(results / f"backbones/{backbone}/tokenizer.json")
    model = results / "models" / RECIPE
    tables = results / f"tokenized/{backbone}/original"
    with recorder() as recorded, tempfile.TemporaryDirectory() as folder:
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
            return recorded.operations
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
        return recorded.operations


def seconds_at(operations: list[tuple[int, int]], rate: float, copying: dict[float, float]) -> Any:
    """Seconds of the operations that arithmetic bounds, and of those that memory bounds."""
    arithmetic = memory = 0.0
    sizes = [size * MIB for size in copying]
    speeds = list(copying.values())
    for work, size in operations:
        # A copy of n bytes reads and writes 2n.
        speed = speeds[min(bisect.bisect_left(sizes, size / 2), len(sizes) - 1)]
        if work / rate > size / speed:
            arithmetic += work / rate
        else:
            memory += size / speed
    return arithmetic, memory


def start_seconds(module: str) -> float:
    """From the start of a process to its end, the quickest of three."""
    found = []
    for _ in range(3):
        began = time.perf_counter()
        subprocess.run([sys.executable, "-c", START.format(module=module)], check=True)
        found.append(time.perf_counter() - began)
    return min(found)


def main() -> None:
    options = parser(__doc__, rounds=1)
    options.add_argument("--results", type=Path, default=ROOT / "results")
    arguments = options.parse_args()
    config = yaml.safe_load((ROOT / "config/config.yaml").read_text("utf-8"))
    if arguments.run:
        import torch

        torch.set_num_threads(1)
        print(json.dumps(operations_of(arguments.run, arguments.results, config)))
        return
    import torch

    noted = seconds_noted(arguments.results)
    torch.set_num_threads(1)
    rate = matmul_rate(1024, 384, 1024)
    copying = {size: bandwidth(size, 0.5) for size in SIZES}
    print(machine(1))
    print(
        f"one core: {rate / 1e9:.0f} billion operations a second; copies of "
        + ", ".join(f"{size:g} MiB {speed / 1e9:.0f}" for size, speed in copying.items())
        + " GB/s"
    )
    total = floor = 0.0
    print("| jobs | number | seconds a job | start | products | memory | times the floor |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for rule, seconds in sorted(noted.items(), key=lambda item: -sum(item[1])):
        task = rule.removeprefix("fine_tune ")
        if task != "pretrain" and task not in config["tasks"]:
            floor += sum(seconds)
            total += sum(seconds)
            continue
        module = "run" if task == "pretrain" else config["tasks"][task]["kind"]
        start = start_seconds(module)
        answer = subprocess.run(
            [sys.executable, sys.argv[0], "--run", task, "--results", str(arguments.results)],
            capture_output=True,
            text=True,
            check=False,
        )
        if answer.returncode:
            sys.exit(f"{task} failed:\n{answer.stderr}")
        arithmetic, memory = seconds_at(json.loads(answer.stdout.splitlines()[-1]), rate, copying)
        mean, least = sum(seconds) / len(seconds), start + arithmetic + memory
        total += sum(seconds)
        floor += least * len(seconds)
        print(
            f"| {rule} | {len(seconds)} | {mean:.1f} | {start:.1f} | {arithmetic:.1f} "
            f"| {memory:.1f} | {mean / least:.2f} |",
            flush=True,
        )
    print(
        f"all jobs: {total:,.0f} s, {total / floor:.2f} times {floor:,.0f} s; those not shown count "
        "as their own floor"
    )


if __name__ == "__main__":
    main()
