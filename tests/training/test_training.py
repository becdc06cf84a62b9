"""The training loop: interruptions, device batches, processes, learning rates and seeds."""

import itertools
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import accelerate
import numpy as np
import pytest
import torch
from accelerate import Accelerator
from safetensors.torch import load_file
from tiny import write_model
from torch import nn
from torch.nn import functional
from transformers import BertModel

from semantic_tokens.errors import InputError
from semantic_tokens.jobs.processes import in_processes, process_count
from semantic_tokens.modeling.embedding import SemanticTokenEmbedding
from semantic_tokens.modeling.loading import load_model
from semantic_tokens.training import (
    Batch,
    TrainingOptions,
    device,
    precision_here,
    shuffled_batches,
    step,
    train,
)

STEPS = 12
OPTIONS = TrainingOptions(learning_rate=0.01, batch_size=8, warmup_ratio=0.25, weight_decay=0.1)


def make_model() -> nn.Sequential:
    torch.manual_seed(7)
    return nn.Sequential(nn.Linear(5, 9), nn.Tanh(), nn.Dropout(0.3), nn.Linear(9, 3))


def squared_error(model: nn.Module, batch: Batch) -> torch.Tensor:
    return functional.mse_loss(model(batch["x"]), batch["y"])


def data(seed: int = 0, sizes: tuple[int, ...] = (8,)) -> Callable[[], Iterator[list[Batch]]]:
    """Steps of micro-batches with these numbers of rows. The rows are the same for any sizes."""

    def batches() -> Iterator[list[Batch]]:
        generator = torch.Generator().manual_seed(seed)
        while True:
            x = torch.randn(sum(sizes), 5, generator=generator)
            y = torch.randn(sum(sizes), 3, generator=generator)
            yield [
                {"x": xs, "y": ys}
                for xs, ys in zip(x.split(list(sizes)), y.split(list(sizes)), strict=True)
            ]

    return batches


class Killed(Exception):
    """An interruption of a job."""


def killed_after(
    step: int, batches: Callable[[], Iterator[list[Batch]]]
) -> Callable[[], Iterator[list[Batch]]]:
    """The same batches up to ``step``. The next one raises :class:`Killed`."""

    def batches_until_killed() -> Iterator[list[Batch]]:
        yield from itertools.islice(batches(), step)
        raise Killed

    return batches_until_killed


def run(
    model: nn.Module, batches=None, options: TrainingOptions = OPTIONS, **arguments
) -> list[float]:
    arguments = {"steps": STEPS, "seed": 1} | arguments
    return train(model, batches or data(), squared_error, options=options, **arguments)


def have_equal_weights(first: nn.Module, second: nn.Module) -> bool:
    pairs = zip(first.state_dict().values(), second.state_dict().values(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


# Interruptions


@pytest.mark.parametrize("killed_at", [4, 7, 9, 11])
def test_resumed_run_equals_an_uninterrupted_run(tmp_path: Path, killed_at: int) -> None:
    options = replace(OPTIONS, checkpoint_every=3)
    uninterrupted = make_model()
    expected = run(uninterrupted, options=options)
    checkpoint = tmp_path / "checkpoint"
    with pytest.raises(Killed):
        run(make_model(), killed_after(killed_at, data()), options=options, checkpoint=checkpoint)
    resumed = make_model()
    torch.rand(100)  # dropout continues in the same way for any state of the generator
    assert run(resumed, options=options, checkpoint=checkpoint) == expected
    assert have_equal_weights(resumed, uninterrupted)
    assert not checkpoint.exists()


def test_run_can_be_resumed_several_times(tmp_path: Path) -> None:
    options = replace(OPTIONS, checkpoint_every=2)
    uninterrupted, resumed = make_model(), make_model()
    expected = run(uninterrupted, options=options)
    for killed_at in (3, 5, 9):
        with pytest.raises(Killed):
            run(
                make_model(),
                killed_after(killed_at, data()),
                options=options,
                checkpoint=tmp_path / "checkpoint",
            )
    assert run(resumed, options=options, checkpoint=tmp_path / "checkpoint") == expected
    assert have_equal_weights(resumed, uninterrupted)


def test_resumed_run_continues_at_the_checkpoint(tmp_path: Path, caplog) -> None:
    caplog.set_level(logging.INFO)
    options = replace(OPTIONS, checkpoint_every=4)
    with pytest.raises(Killed):
        run(make_model(), killed_after(9, data()), options=options, checkpoint=tmp_path / "kept")
    computed = []

    def counting_loss(model: nn.Module, batch: Batch) -> torch.Tensor:
        computed.append(len(batch["x"]))
        return squared_error(model, batch)

    train(
        make_model(),
        data(),
        counting_loss,
        steps=STEPS,
        options=options,
        seed=1,
        checkpoint=tmp_path / "kept",
    )
    assert len(computed) == STEPS - 8
    assert "resuming at step 8" in caplog.text


@pytest.mark.parametrize(
    "change",
    [
        {"options": replace(OPTIONS, checkpoint_every=3, learning_rate=0.02)},
        {"seed": 2},
        {"steps": STEPS + 1},
        {"model": nn.Sequential(nn.Linear(5, 3))},
        {"identity": {"temperature": 0.05}},
    ],
    ids=["learning rate", "seed", "steps", "model", "identity"],
)
def test_checkpoint_of_another_configuration_is_not_resumed(
    tmp_path: Path, change: dict, caplog
) -> None:
    settings = {"options": replace(OPTIONS, checkpoint_every=3), "batches": data()}
    with pytest.raises(Killed):
        run(
            make_model(),
            killed_after(7, settings["batches"]),
            settings["options"],
            checkpoint=tmp_path / "left",
        )
    changed = settings | change
    start = changed.pop("model", make_model())
    fresh, resumed = (_copy(start) for _ in range(2))
    expected = run(fresh, **changed)
    assert run(resumed, **changed, checkpoint=tmp_path / "left") == expected
    assert have_equal_weights(resumed, fresh)
    assert "starting again" in caplog.text


def _copy(model: nn.Module) -> nn.Module:
    import copy

    return copy.deepcopy(model)


def test_checkpoint_interval_can_change_between_runs(tmp_path: Path, caplog) -> None:
    caplog.set_level(logging.INFO)
    with pytest.raises(Killed):
        run(
            make_model(),
            killed_after(7, data()),
            replace(OPTIONS, checkpoint_every=3),
            checkpoint=tmp_path / "kept",
        )
    run(make_model(), options=OPTIONS, checkpoint=tmp_path / "kept")
    assert "resuming at step 6" in caplog.text


def test_checkpoint_is_continued_with_a_smaller_device_batch(tmp_path: Path, caplog) -> None:
    """After an error about the GPU's memory."""
    caplog.set_level(logging.INFO)
    model = nn.Linear(5, 3)  # without dropout
    whole, resumed = _copy(model), _copy(model)
    options = replace(OPTIONS, checkpoint_every=3)
    expected = run(whole, options=options)
    with pytest.raises(Killed):
        run(model, killed_after(7, data()), options, checkpoint=tmp_path / "kept")
    smaller = replace(options, device_batch_size=4, gradient_checkpointing=True)
    losses = run(resumed, data(sizes=(4, 4)), smaller, checkpoint=tmp_path / "kept")
    assert "resuming at step 6" in caplog.text
    np.testing.assert_allclose(losses, expected, rtol=1e-4)


def test_truncated_checkpoint_leaves_the_previous_one_usable(tmp_path: Path) -> None:
    options = replace(OPTIONS, checkpoint_every=3)
    uninterrupted, resumed = make_model(), make_model()
    expected = run(uninterrupted, options=options)
    checkpoint = tmp_path / "checkpoint"
    with pytest.raises(Killed):
        run(make_model(), killed_after(7, data()), options=options, checkpoint=checkpoint)
    folders = sorted(path.name for path in checkpoint.iterdir() if path.is_dir())
    assert folders == ["first", "second"]
    for file in (checkpoint / "first").iterdir():  # step 9 would have been written here
        file.write_bytes(b"cut short")
    assert run(resumed, options=options, checkpoint=checkpoint) == expected
    assert have_equal_weights(resumed, uninterrupted)


@pytest.mark.parametrize("part", ["model.safetensors", "optimizer.bin", "scheduler.bin"])
def test_damaged_checkpoint_is_named_in_the_error(tmp_path: Path, part: str) -> None:
    options = replace(OPTIONS, checkpoint_every=3)
    with pytest.raises(Killed):
        run(make_model(), killed_after(4, data()), options=options, checkpoint=tmp_path / "kept")
    state = tmp_path / "kept/first" / part
    state.write_bytes(state.read_bytes()[:100])
    with pytest.raises(InputError, match=r"kept cannot be read .*; delete it"):
        run(make_model(), options=options, checkpoint=tmp_path / "kept")


# The script trains in processes that are killed before their first operation on the disk, before
# their second, and so on until a process finishes. After each kill, another process continues the
# training and must give the result of an uninterrupted training.
KILL_AT_EVERY_OPERATION = """
import os, signal, sys
from dataclasses import replace
import accelerate, torch
from test_training import OPTIONS, make_model, run

root, left_behind = sys.argv[1], sys.argv[2] == "left-behind"
options = replace(OPTIONS, checkpoint_every=2)
torch.set_num_threads(1)


def process(work, killed_at=None):
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    operations = 0

    def count(event, arguments):
        nonlocal operations
        writes = event == "open" and arguments[2] & (os.O_WRONLY | os.O_RDWR)
        if writes or event in ("os.mkdir", "os.rename", "os.remove", "os.rmdir"):
            operations += 1
            if operations == killed_at:
                os.kill(os.getpid(), signal.SIGKILL)

    if killed_at:
        sys.addaudithook(count)
    try:
        work()
    except BaseException as error:
        print(repr(error), flush=True)
        os._exit(1)
    os._exit(0)


def train(steps, folder, options=options, **arguments):
    model = make_model()
    losses = run(model, options=options, steps=steps, checkpoint=folder, **arguments)
    return losses, [value.tolist() for value in model.state_dict().values()]


# This imports all modules before the first fork.
expected = train(5, f"{root}/warm")


def resume():
    assert train(5, folder) == expected and not os.path.exists(folder)


for killed_at in range(1, 1000):
    folder = f"{root}/{killed_at}"
    if left_behind:
        other = replace(options, learning_rate=0.02)
        assert not process(lambda: train(5, folder, other, keep_checkpoint=True))
    ended = process(lambda: train(5, folder), killed_at)
    assert not process(resume), killed_at
    if not ended:
        break
    assert ended == -signal.SIGKILL
print(killed_at)
"""


@pytest.mark.parametrize("before", ["nothing", "left-behind"])
def test_run_can_be_resumed_after_a_kill_at_any_disk_operation(tmp_path: Path, before: str) -> None:
    """Kills happen while a checkpoint of this run or of another one is written or removed."""
    paths = [str(path) for path in (Path(__file__).parents[1], *map(Path, sys.path))]
    process = subprocess.run(
        [sys.executable, "-c", KILL_AT_EVERY_OPERATION, tmp_path, before],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(paths)},
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert process.returncode == 0, process.stdout + process.stderr
    assert int(process.stdout) > 15  # two checkpoints, and their removal


# Several processes


def micro_batches_of(size: int) -> Callable[[], Iterator[list[Batch]]]:
    """The batches of :func:`data`, split into micro-batches of this size."""

    def micro_batches() -> Iterator[list[Batch]]:
        for (batch,) in data()():
            yield [
                {name: tensor[i : i + size] for name, tensor in batch.items()}
                for i in range(0, 8, size)
            ]

    return micro_batches


def train_a_share(size: int, checkpoint: Path | None, steps: int) -> tuple[list[float], Any]:
    """The work of each process. Returns the losses and the weights."""
    model = make_model()
    model[2].p = 0.0
    options = replace(OPTIONS, checkpoint_every=2)
    batches = micro_batches_of(size)
    if steps < STEPS:
        batches = killed_after(steps, batches)
    try:
        losses = run(model, batches, options, checkpoint=checkpoint)
    except Killed:
        losses = []
    return losses, [parameter.detach() for parameter in model.parameters()]


@pytest.mark.parametrize("size", [4, 3, 8])
def test_two_processes_share_a_step(size: int) -> None:
    """Also if one process has fewer micro-batches, or none."""
    expected, single = in_processes(1, train_a_share, size, None, STEPS)
    handler = signal.getsignal(signal.SIGTERM)
    losses, shared = in_processes(2, train_a_share, size, None, STEPS)
    assert signal.getsignal(signal.SIGTERM) == handler
    np.testing.assert_allclose(losses, expected, rtol=1e-4)
    for found, expected_weights in zip(shared, single, strict=True):
        torch.testing.assert_close(found, expected_weights, rtol=1e-4, atol=1e-5)


def test_the_script_that_starts_processes_runs_once(tmp_path: Path) -> None:
    """Snakemake's scripts have no ``__main__`` guard, and a spawned process imports the main
    script."""
    script = tmp_path / "script.py"
    script.write_text(
        "import os\n"
        "from semantic_tokens.jobs.processes import in_processes\n"
        "print(f'script {os.getpid()}', flush=True)\n"
        "print(f'function {in_processes(2, os.getpid)}', flush=True)\n"
    )
    process = subprocess.run(
        [sys.executable, script],
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2] / "workflow")},
        capture_output=True,
        text=True,
        check=True,
    )
    first, second = process.stdout.splitlines()
    assert first.startswith("script ")
    assert second.startswith("function ")
    assert first.split()[1] != second.split()[1]


def test_two_processes_resume_from_their_checkpoint(tmp_path: Path) -> None:
    expected, _ = in_processes(2, train_a_share, 4, None, STEPS)
    in_processes(2, train_a_share, 4, tmp_path / "kept", 7)
    assert (tmp_path / "kept/state.json").exists()
    losses, _ = in_processes(2, train_a_share, 4, tmp_path / "kept", STEPS)
    assert losses == expected
    assert not (tmp_path / "kept").exists()


def raise_input_error(message: str) -> None:
    raise InputError(f"{message} in process {process_count()}")


def test_error_of_a_process_is_reported_once() -> None:
    with pytest.raises(InputError, match="fix it in process 2"):
        in_processes(2, raise_input_error, "fix it")


def killed_in_the_second_process() -> None:
    if os.environ["RANK"] == "1":
        os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(60)


def test_error_about_a_killed_process_names_device_batch_size() -> None:
    """The kernel kills a process if there is too little memory."""
    with pytest.raises(InputError, match=r"one of the processes was killed.*`device_batch_size`"):
        in_processes(2, killed_in_the_second_process)


# Gradients and rates


@pytest.mark.parametrize("sizes", [(4, 4), (3, 3, 2), (7, 1)])
def test_accumulated_gradients_equal_those_of_the_full_batch(sizes: tuple[int, ...]) -> None:
    full, accumulated = make_model().eval(), make_model().eval()
    for model in (full, accumulated):
        model[2].p = 0.0  # dropout draws other masks for other shapes
    expected = run(full, data(sizes=(8,)))
    losses = run(accumulated, data(sizes=sizes))
    np.testing.assert_allclose(losses, expected, rtol=1e-5)
    for found, expected_weights in zip(accumulated.parameters(), full.parameters(), strict=True):
        torch.testing.assert_close(found, expected_weights, rtol=1e-4, atol=1e-5)


def test_micro_batches_are_weighted_by_their_terms() -> None:
    """For example, a loss over tokens, of which a micro-batch may have more than others, or none."""
    keep = torch.tensor([1, 1, 1, 0, 0, 0, 0, 1], dtype=torch.bool)

    def batches(size: int) -> Callable[[], Iterator[list[Batch]]]:
        def micro_batches() -> Iterator[list[Batch]]:
            for (batch,) in data()():
                batch = batch | {"keep": keep}
                yield [
                    {name: tensor[i : i + size] for name, tensor in batch.items()}
                    for i in range(0, 8, size)
                ]

        return micro_batches

    def loss(model: nn.Module, batch: Batch) -> torch.Tensor:
        return functional.mse_loss(model(batch["x"])[batch["keep"]], batch["y"][batch["keep"]])

    trained = []
    for size in (8, 2):
        model = make_model()
        model[2].p = 0.0
        losses = train(
            model,
            batches(size),
            loss,
            steps=3,
            options=OPTIONS,
            seed=1,
            terms=lambda batch: int(batch["keep"].sum()),
        )
        trained.append((losses, model))
    (expected, full), (losses, accumulated) = trained
    np.testing.assert_allclose(losses, expected, rtol=1e-5)
    for found, expected_weights in zip(accumulated.parameters(), full.parameters(), strict=True):
        torch.testing.assert_close(found, expected_weights, rtol=1e-4, atol=1e-5)


def learning_rates(steps: int, options: TrainingOptions) -> list[float]:
    """The learning rates of a run. They equal the updates of one weight, because Adam's step has size
    one with a constant gradient."""
    weight = nn.Linear(1, 1, bias=False)
    weights: list[float] = []

    def loss(model: nn.Module, batch: Batch) -> torch.Tensor:
        weights.append(float(weight.weight.detach().double()))
        return model(batch["x"]).mean()

    train(
        weight,
        lambda: itertools.repeat([{"x": torch.ones(1, 1)}]),
        loss,
        steps=steps,
        options=options,
        seed=0,
    )
    return [-step for step in np.diff([*weights, float(weight.weight.detach())])]


def test_learning_rate_rises_to_its_peak_and_falls_to_zero() -> None:
    options = TrainingOptions(learning_rate=0.08, batch_size=1, warmup_ratio=0.3)
    expected = [0.02, 0.04, 0.06, 0.08, *(0.08 * remaining / 7 for remaining in (6, 5, 4, 3, 2, 1))]
    assert learning_rates(10, options) == pytest.approx(expected, rel=1e-3)


def test_learning_rate_without_warm_up_starts_at_its_peak() -> None:
    options = TrainingOptions(learning_rate=0.04, batch_size=1)
    assert learning_rates(4, options) == pytest.approx([0.04, 0.03, 0.02, 0.01], rel=1e-3)


def test_gradients_are_clipped() -> None:
    """Adam ignores a gradient's scale, unless only some steps are clipped."""

    def train_with(limit: float) -> torch.Tensor:
        model = nn.Linear(1, 1, bias=False)
        model.weight.data.zero_()
        sizes = itertools.cycle([1.0, 1000.0])
        train(
            model,
            lambda: ([{"x": torch.full((1, 1), next(sizes))}] for _ in itertools.count()),
            lambda m, batch: m(batch["x"]).mean(),
            steps=6,
            options=TrainingOptions(learning_rate=0.1, batch_size=1, max_gradient_norm=limit),
            seed=0,
        )
        return model.weight.detach().item()

    # Clipped to the smaller gradient, all are equal, and every update is the full rate.
    assert train_with(1.0) == pytest.approx(-0.1 * sum(range(1, 7)) / 6, rel=1e-3)
    assert train_with(1e9) > -0.9 * 0.1 * sum(range(1, 7)) / 6


def test_weight_decay_applies_only_to_matrices() -> None:
    model = nn.Sequential(nn.Linear(2, 2), nn.LayerNorm(2))
    before = {name: tensor.detach().clone() for name, tensor in model.named_parameters()}
    train(
        model,
        lambda: itertools.repeat([{"x": torch.zeros(1, 2)}]),
        lambda m, batch: 0 * sum(p.sum() for p in m.parameters()),
        steps=2,
        options=TrainingOptions(learning_rate=0.1, batch_size=1, weight_decay=0.5),
        seed=0,
    )
    shrunk = (1 - 0.1 * 0.5) * (1 - 0.05 * 0.5)
    for name, tensor in model.named_parameters():
        factor = shrunk if tensor.ndim == 2 else 1.0
        torch.testing.assert_close(tensor.detach(), factor * before[name])


def test_optimizer_has_the_betas_of_the_options() -> None:
    options = TrainingOptions(learning_rate=0.1, batch_size=1, adam_betas=(0.9, 0.999))
    optimizer = step.make_optimizer(nn.Linear(2, 2), options)
    assert {group["betas"] for group in optimizer.param_groups} == {(0.9, 0.999)}


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_loss_that_is_not_a_number_names_the_fix(value: float) -> None:
    def loss(model: nn.Module, batch: Batch) -> torch.Tensor:
        return squared_error(model, batch) * value

    with pytest.raises(InputError, match=r"at step 1 of 12 \(mine\); lower the learning rate"):
        train(make_model(), data(), loss, steps=STEPS, options=OPTIONS, seed=1, description="mine")


def test_data_of_a_failed_step_are_saved(tmp_path: Path) -> None:
    def loss(model: nn.Module, batch: Batch) -> torch.Tensor:
        steps.append(batch)
        return squared_error(model, batch) * (float("nan") if len(steps) == 6 else 1)

    steps: list[Batch] = []
    with pytest.raises(InputError, match=r"loss became nan at step 3 .*kept\.failed-step-3\."):
        train(
            make_model(),
            data(sizes=(5, 3)),
            loss,
            steps=STEPS,
            options=OPTIONS,
            seed=1,
            checkpoint=tmp_path / "kept",
        )
    saved = load_file(tmp_path / "kept.failed-step-3.safetensors")
    for number, batch in enumerate(steps[4:]):
        assert torch.equal(saved[f"{number}.x"], batch["x"])
    assert sorted(saved) == ["0.x", "0.y", "1.x", "1.y"]


def test_a_gradient_that_is_not_a_number_ends_the_run() -> None:
    def loss(model: nn.Module, batch: Batch) -> torch.Tensor:
        weight = next(model.parameters())
        return squared_error(model, batch) + (weight * 0).sqrt().sum()  # 0, of slope 0/0

    with pytest.raises(InputError, match="the gradient became nan at step 1"):
        train(make_model(), data(), loss, steps=STEPS, options=OPTIONS, seed=1)


@pytest.mark.parametrize("overflows", [20, 21])
def test_repeated_gradient_overflow_ends_the_run(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, overflows: int
) -> None:
    """In fp16, the scaler skips these steps. It needs a GPU, so here nothing is scaled, and no
    steps are made."""
    monkeypatch.setattr(
        accelerate,
        "Accelerator",
        lambda **arguments: Accelerator(**arguments | {"mixed_precision": "no"}),
    )
    monkeypatch.setattr(step, "precision_here", lambda wanted: "fp16")
    monkeypatch.setattr(torch.optim.AdamW, "step", lambda self, closure=None: None)
    calls = []

    def loss(model: nn.Module, batch: Batch) -> torch.Tensor:
        calls.append(batch)
        value = squared_error(model, batch)
        if len(calls) > overflows:
            return value
        return value + (next(model.parameters()) * 0).sqrt().sum()  # 0, of slope 0/0

    def train_with_overflows() -> list[float]:
        return train(
            make_model(), data(), loss, steps=25, options=OPTIONS, seed=1, checkpoint=tmp_path / "c"
        )

    if overflows == 20:
        assert len(train_with_overflows()) == 25
        return
    with pytest.raises(InputError, match="the gradient became nan at step 21 of 25"):
        train_with_overflows()
    assert (tmp_path / "c.failed-step-21.safetensors").is_file()


def test_process_without_a_micro_batch_can_clip_its_gradients() -> None:
    """In fp16, with more processes than micro-batches in the first step."""
    accelerator = Accelerator(cpu=True)
    accelerator.scaler = torch.amp.GradScaler("cpu")
    model = make_model()
    step.Stepper(
        accelerator,
        model,
        OPTIONS,
        steps=STEPS,
        loss=squared_error,
        terms=len,
        loss_is_shared=False,
    )
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    accelerator.scaler.unscale_(optimizer)  # what `clip_grad_norm_` does


def test_precision_depends_on_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    def machine(cuda: bool, bf16: bool) -> None:
        monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
        monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda **arguments: bf16)

    machine(cuda=False, bf16=False)
    assert precision_here("auto") == precision_here("no") == "no"
    assert precision_here("bf16") == "bf16"
    with pytest.raises(InputError, match="`precision: fp16` needs a GPU"):
        precision_here("fp16")
    machine(cuda=True, bf16=True)
    assert precision_here("auto") == "bf16"
    machine(cuda=True, bf16=False)
    assert precision_here("auto") == precision_here("fp16") == "fp16"


def test_encoder_is_compiled_if_a_compiler_is_available(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only with torch's tracer, which needs no GPU and runs the original kernels."""
    files = write_model(tmp_path, torch.arange(12))
    monkeypatch.setattr(device, "compiler_here", lambda: "eager")
    ids = torch.tensor([[2, 6, 7, 3], [2, 8, 3, 0]])
    batch = {"input_ids": ids, "attention_mask": (ids != 0).long()}
    outcomes = []
    for compile_option in ("no", "auto"):
        model = load_model("sequence_classification", files, labels=2, dropout=0.0)
        options = replace(OPTIONS, compile=compile_option, learning_rate=1e-4)

        def loss(model: nn.Module, batch: Batch) -> torch.Tensor:
            return model(**batch).logits.square().mean()

        losses = train(
            model, lambda: iter([[dict(batch)]] * 3), loss, steps=3, options=options, seed=1
        )
        compiled = [m for m in model.modules() if m._compiled_call_impl is not None]
        assert [type(m) for m in compiled] == ([BertModel] if compile_option == "auto" else [])
        outcomes.append((losses, model.state_dict()))
    (plain_losses, plain_weights), (compiled_losses, compiled_weights) = outcomes
    assert plain_losses == pytest.approx(compiled_losses, rel=1e-4)
    assert plain_weights.keys() == compiled_weights.keys()
    for name in plain_weights:
        torch.testing.assert_close(
            plain_weights[name], compiled_weights[name], atol=1e-5, rtol=1e-4
        )


@pytest.mark.parametrize("fails", [False, True])
def test_the_log_tells_if_code_could_not_be_compiled(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    fails: bool,
) -> None:
    def compiler(graph: torch.fx.GraphModule, inputs: list[torch.Tensor]) -> Any:
        if fails:
            raise RuntimeError("no kernel for this device")
        return graph.forward

    monkeypatch.setattr(device, "compiler_here", lambda: compiler)
    torch._dynamo.reset()
    model = load_model(
        "sequence_classification", write_model(tmp_path, torch.arange(12)), labels=2, dropout=0.0
    )
    batch = {"input_ids": torch.tensor([[2, 6, 7, 3]])}
    losses = train(
        model,
        lambda: iter([[dict(batch)]]),
        lambda model, batch: model(**batch).logits.square().mean(),
        steps=1,
        options=replace(OPTIONS, compile="auto"),
        seed=1,
    )
    assert len(losses) == 1
    told = [r.message for r in caplog.records if "torch.compile failed for" in r.message]
    assert len(told) == int(fails)


def test_nothing_is_compiled_without_a_gpu() -> None:
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    assert device.compiler_here() is None


def test_dropout_depends_on_the_seed() -> None:
    models = [make_model() for _ in range(3)]
    losses = [run(model, seed=seed) for model, seed in zip(models, (1, 1, 2), strict=True)]
    assert losses[0] == losses[1] != losses[2]
    assert have_equal_weights(models[0], models[1]) and not have_equal_weights(models[0], models[2])


def test_subwords_that_never_occur_keep_their_embedding() -> None:
    """Without weight decay, because AdamW with zero moments moves nothing."""
    embedding = SemanticTokenEmbedding(torch.tensor([0, 1, 1, 2, 3]), torch.randn(4, 6), 8)
    before = embedding.weight.detach().clone()
    train(
        embedding,
        lambda: itertools.repeat([{"ids": torch.tensor([[0, 2, 3]])}]),
        lambda model, batch: model(batch["ids"]).square().mean(),
        steps=4,
        options=TrainingOptions(learning_rate=0.1, batch_size=1),
        seed=0,
    )
    moved = (embedding.weight.detach() != before).any(dim=1)
    assert moved.tolist() == [True, True, True, False]


# The order of the data


LENGTHS = np.random.default_rng(0).integers(1, 60, size=103).tolist()


def epochs_of(batches: list[np.ndarray], size: int) -> list[np.ndarray]:
    joined = np.concatenate(batches)
    return [joined[i : i + size] for i in range(0, len(joined), size)]


@pytest.mark.parametrize("batch_size", [1, 8, 103, 500])
def test_every_epoch_visits_every_example_once(batch_size: int) -> None:
    steps_per_epoch = -(-103 // batch_size)
    batches = list(shuffled_batches(LENGTHS, batch_size, 3 * steps_per_epoch, seed=1, pool=2))
    assert len(batches) == 3 * steps_per_epoch
    epochs = epochs_of(batches, 103)
    for epoch in epochs:
        assert sorted(epoch) == list(range(103))
    assert epochs[0].tolist() != epochs[1].tolist() != epochs[2].tolist()


def test_last_epoch_ends_at_the_number_of_steps() -> None:
    batches = list(shuffled_batches(LENGTHS, 8, 20, seed=1))
    longer = list(shuffled_batches(LENGTHS, 8, 30, seed=1))
    assert len(batches) == 20
    assert all(np.array_equal(a, b) for a, b in zip(batches, longer, strict=False))


def test_order_of_examples_depends_on_the_seed() -> None:
    first, repeated, other = (
        np.concatenate(list(shuffled_batches(LENGTHS, 8, 13, seed=seed))) for seed in (1, 1, 2)
    )
    assert np.array_equal(first, repeated)
    assert not np.array_equal(first, other)


def test_examples_of_similar_length_share_a_batch() -> None:
    def padding(pool: int) -> int:
        batches = shuffled_batches(LENGTHS, 8, 13, seed=1, pool=pool)
        batch_lengths = [[LENGTHS[i] for i in batch] for batch in batches]
        return sum(max(lengths) * len(lengths) - sum(lengths) for lengths in batch_lengths)

    assert padding(pool=16) < 0.25 * padding(pool=1)


def test_batches_are_not_sorted_by_length() -> None:
    batches = list(shuffled_batches(range(160), 10, 16, seed=3))
    longest = [max(batch) for batch in batches]
    assert longest != sorted(longest)


@pytest.mark.parametrize(
    ("options", "steps"),
    [
        ({}, 13),
        ({"epochs": 3}, 39),
        ({"epochs": 0.5}, 7),
        ({"epochs": 3, "max_steps": 20}, 20),
        ({"epochs": 1, "max_steps": 20}, 13),
        ({"max_steps": 0}, 0),
    ],
)
def test_number_of_steps_follows_epochs_and_max_steps(options: dict, steps: int) -> None:
    assert TrainingOptions(learning_rate=0.1, batch_size=8, **options).steps(103) == steps
