"""Masked language modelling: the paper's Table 3, precision, resumption, and two processes."""

import itertools
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from on_gpu.clustering import imported
from on_gpu.machine import floor_of
from on_gpu.models import write_corpus, write_groups
from on_gpu.run import Absent, Run, attempt, free_memory
from semantic_tokens.jobs.processes import in_processes
from semantic_tokens.json_files import read_json
from semantic_tokens.modeling.loading import ModelFiles
from semantic_tokens.training import TrainingOptions, precision_here
from semantic_tokens.training.device import compiler_here
from semantic_tokens.training.measuring import measure
from semantic_tokens.training.pretraining import Objective, Pretraining, pretrain

#: The paper's Table 3: columns, grouping ratio, millions of parameters, GB of GPU memory, and steps
#: per second, on an 80 GB A100.
PAPER = (
    (768, 0.05, 90, 19.1, 5.1),
    (768, 0.1, 95, 39.8, 2.6),
    (768, 0.2, 104, 51.5, 2.1),
    (768, 0.4, 123, 74.9, 2.1),
    (768, 1.0, 178, 74.6, 1.9),
    (128, 0.05, 86, 19.1, 5.2),
    (128, 1.0, 101, 74.6, 1.9),
    (32, 0.05, 86, 19.1, 5.3),
    (32, 1.0, 89, 74.6, 1.9),
)
MASKED = 0.15
OBJECTIVE = Objective(mask_probability=MASKED, language_sampling_exponent=0.7, seed=1)
#: The maximum relative difference of a loss from float32's, by precision.
LOSS_BOUNDS = {
    "float32, compiled": 1e-3,
    "bf16": 2e-2,
    "bf16, compiled": 2e-2,
    "fp16": 2e-2,
    "fp16, compiled": 2e-2,
}
#: The maximum relative difference of two processes' loss from one process's.
PROCESSES_BOUND = 1e-4


def table3(run: Run, values: dict[str, Any]) -> None:
    """Measure every row of Table 3 with our logits, and with the logits of all positions. Also
    measure two rows with a compiled encoder."""
    imported("accelerate")
    sizes = run.sizes
    values |= {
        "batch": sizes.batch,
        "length": sizes.length,
        "steps": sizes.steps,
        "precision": "float32" if precision_here("auto") == "no" else precision_here("auto"),
        "floor": floor_name(),
        "rows": [],
    }
    wide = sizes.columns / PAPER[0][0]
    kinds = [(row, logits, "no") for row in PAPER for logits in ("masked", "all")]
    if compiler_here() is not None:
        kinds += [(row, "masked", "auto") for row in PAPER if row[:2] in ((768, 0.05), (768, 1.0))]
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        corpus = write_corpus(run, folder, sizes.length, 4 * sizes.batch)
        for (columns, ratio, *paper), logits, compiled in kinds:
            dimension = max(1, round(columns * wide))
            found: dict[str, Any] = {
                "dimension": columns,
                "ratio": ratio,
                "logits": logits,
                "compiled": compiled == "auto",
                "paper": dict(
                    zip(("million_parameters", "gigabytes", "steps_per_second"), paper, strict=True)
                ),
            }
            values["rows"].append(found)

            def one(
                ratio: float = ratio,
                dimension: int = dimension,
                logits: Any = logits,
                compiled: str = compiled,
            ) -> dict[str, Any]:
                free_memory(run.device)
                forget_precision()
                files = write_groups(run, folder, ratio, dimension)
                options = _options(sizes.batch, sizes.steps, precision="auto", compile=compiled)
                objective = replace(OBJECTIVE, logits=logits)
                path = folder / "efficiency.json"
                measure(
                    files,
                    [corpus],
                    files.folder / "tokenizer.json",
                    path,
                    options=options,
                    objective=objective,
                    steps=sizes.steps,
                )
                taken = read_json(path)
                speed = taken["steps_per_second"]
                share = MASKED if logits == "masked" else 1.0
                floor = step_operations(run, ratio, dimension, share) / floor_of(run, floor_name())
                return {
                    "parameters": taken["parameters"],
                    "peak_bytes": taken["peak_memory_bytes"],
                    "memory_of": taken["memory_of"],
                    "steps_per_second": speed,
                    "floor_share": floor * speed,
                }

            attempt(found, one)
            run.save()
    torch._dynamo.reset()


def step_operations(run: Run, ratio: float, dimension: int, share: float) -> float:
    """Floating point operations of the products in a step. Backward has twice as many as forward.

    Args:
        share: the fraction of positions whose logits are computed.
    """
    sizes = run.sizes
    tokens, width = sizes.batch * sizes.length, sizes.columns
    layer = 8 * width**2 + 4 * width * sizes.feed_forward + 4 * sizes.length * width
    head = share * 2 * (width**2 + dimension * round(sizes.rows * ratio))
    return 3 * tokens * (sizes.layers * layer + head)


def forget_precision() -> None:
    """Allow another precision for the next training, because accelerate keeps one per process."""
    imported("accelerate.state").AcceleratorState._reset_state(reset_partial_state=True)


def floor_name() -> str:
    """The floor for trainings and encoding: that of the precision ``auto``."""
    return {"no": "float32", "bf16": "bfloat16", "fp16": "float16"}[precision_here("auto")]


def _options(batch: int, steps: int, **more: Any) -> TrainingOptions:
    given: dict[str, Any] = {"learning_rate": 1e-4, "dropout": 0.0, "compile": "no"}
    return TrainingOptions(**given | {"batch_size": batch, "max_steps": steps} | more)


def _compared(run: Run, folder: Path) -> tuple[ModelFiles, list[Path], Path]:
    """The model at 5%, the text and the tokenizer of the compared trainings."""
    imported("accelerate")
    files = write_groups(run, folder, 0.05, run.sizes.columns)
    corpus = write_corpus(run, folder, run.sizes.compared_length, 8 * run.sizes.compared_batch)
    return files, [corpus], files.folder / "tokenizer.json"


def precision(run: Run, values: dict[str, Any]) -> None:
    """Compare losses in bf16 and fp16, compiled or not, with those in float32 without
    compilation."""
    sizes = run.sizes
    values |= {"steps": sizes.compared_steps, "kinds": {}}
    with tempfile.TemporaryDirectory() as temporary:
        given = _compared(run, Path(temporary))

        def losses(kind: str) -> list[float]:
            name, _, compiled = kind.partition(", ")
            if name == "fp16" and run.device.type != "cuda":
                raise Absent("fp16 needs a CUDA device")
            if compiled and compiler_here() is None:
                raise Absent("no compiler that torch could use here")
            options = _options(
                sizes.compared_batch,
                sizes.compared_steps,
                precision="no" if name == "float32" else name,
                compile="auto" if compiled else "no",
            )
            forget_precision()
            return Pretraining(*given, options, OBJECTIVE).train(description=kind)

        expected = losses("float32")
        values["float32_losses"] = expected
        for kind, bound in LOSS_BOUNDS.items():
            found: dict[str, Any] = {"bound": bound}
            values["kinds"][kind] = found

            def compare(kind: str = kind, bound: float = bound) -> dict[str, Any]:
                away = relative_difference(losses(kind), expected)
                return {"largest_difference": away, "holds": away <= bound}

            attempt(found, compare)
            run.save()
    torch._dynamo.reset()


def relative_difference(found: Sequence[float], expected: Sequence[float]) -> float:
    """The largest relative difference from the expected values."""
    ours, theirs = np.asarray(found), np.asarray(expected)
    return float(np.max(np.abs(ours - theirs) / np.abs(theirs)))


def resume(run: Run, values: dict[str, Any]) -> None:
    """Compare a training that is interrupted and continues from its checkpoint with an
    uninterrupted one. Also compare two uninterrupted ones, because a GPU adds in another order each
    time."""
    sizes = run.sizes
    steps = sizes.compared_steps
    with tempfile.TemporaryDirectory() as temporary:
        given = _compared(run, Path(temporary))
        options = _options(sizes.compared_batch, steps, checkpoint_every=steps // 3, dropout=0.1)

        def trained(
            checkpoint: Path | None = None, until: int | None = None
        ) -> dict[str, torch.Tensor]:
            forget_precision()
            one = Pretraining(*given, options, OBJECTIVE)
            if until is not None:
                one.batches = _cut_off(one.batches, until)  # type: ignore[method-assign]
            one.train(checkpoint=checkpoint, description="resumption")
            return {name: tensor.cpu() for name, tensor in one.plain.state_dict().items()}

        expected, again = trained(), trained()
        checkpoint = Path(temporary) / "checkpoint"
        try:
            trained(checkpoint, until=steps // 3 * 2 + 1)
        except _Interrupted:
            pass
        else:
            raise AssertionError("the training was not cut off")
        resumed = trained(checkpoint)
    repeated, difference = (_difference(other, expected) for other in (again, resumed))
    values |= {
        "steps": steps,
        "cut_off_after": steps // 3 * 2 + 1,
        "repeated_difference": repeated,
        "resumed_difference": difference,
        "holds": difference <= 3 * repeated,  # on a CPU both are 0
    }


class _Interrupted(Exception):
    """Ends a training between two steps."""


def _cut_off(batches: Callable[[], Iterator[Any]], steps: int) -> Callable[[], Iterator[Any]]:
    def fewer() -> Iterator[Any]:
        yield from itertools.islice(batches(), steps)
        raise _Interrupted

    return fewer


def _difference(ours: dict[str, torch.Tensor], theirs: dict[str, torch.Tensor]) -> float:
    """The norm of the difference of all weights, relative to the norm of theirs."""
    apart = sum(float((ours[n].double() - theirs[n].double()).square().sum()) for n in theirs)
    return float((apart / sum(float(t.double().square().sum()) for t in theirs.values())) ** 0.5)


def processes(run: Run, values: dict[str, Any]) -> None:
    """Compare losses of two processes, each with its own GPU, with those of one process. Without a
    GPU, they run on the CPU."""
    if run.device.type == "cuda" and torch.cuda.device_count() < 2:
        raise Absent("one GPU; two processes take two")
    sizes = run.sizes
    steps = min(6, sizes.compared_steps)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        files, corpora, tokenizer = _compared(run, folder)
        forget_precision()
        options = _options(
            sizes.compared_batch, steps, device_batch_size=max(1, sizes.compared_batch // 4)
        )
        alone, together = (
            in_processes(
                count,
                pretrain,
                files,
                corpora,
                tokenizer,
                folder / f"trained-{count}",
                options=options,
                objective=OBJECTIVE,
            )
            for count in (1, 2)
        )
    away = relative_difference(together, alone)
    values |= {
        "steps": steps,
        "largest_difference": away,
        "bound": PROCESSES_BOUND,
        "holds": away <= PROCESSES_BOUND,
    }
