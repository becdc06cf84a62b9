"""The recorded steps of a training, its log about the machine, and errors about missing GPUs."""

import importlib.util
import logging
import math
import os
import sqlite3
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import torch
from test_training import (
    OPTIONS,
    STEPS,
    Killed,
    data,
    killed_after,
    make_model,
    run,
    squared_error,
)
from torch import nn

from semantic_tokens.errors import InputError
from semantic_tokens.jobs import gpus
from semantic_tokens.jobs.gpus import require_gpus
from semantic_tokens.jobs.processes import in_processes
from semantic_tokens.training import Tracking, TrainingOptions, device, train

REPRODUCIBLE_COLUMNS = ["step", "loss", "learning_rate", "gradient_norm"]


def steps_in(path: Path) -> pd.DataFrame:
    return pd.read_csv(path, sep="\t")


def test_every_step_has_a_line(tmp_path: Path) -> None:
    path = tmp_path / "new/ner.steps.tsv"
    losses = run(make_model(), tracking=Tracking(path, "ner"))
    steps = steps_in(path)
    assert steps.columns.tolist() == [*REPRODUCIBLE_COLUMNS, "examples_per_second"]
    assert steps["step"].tolist() == list(range(1, STEPS + 1))
    assert steps["loss"].tolist() == pytest.approx(losses, rel=1e-8)
    peak = OPTIONS.learning_rate
    rates = [peak * n / 4 for n in (1, 2, 3)] + [peak * n / 9 for n in range(9, 0, -1)]
    assert steps["learning_rate"].tolist() == pytest.approx(rates, rel=1e-8)
    assert (steps["examples_per_second"] > 0).all()


def test_gradient_norm_is_recorded_before_clipping(tmp_path: Path) -> None:
    model = nn.Linear(2, 1, bias=False)
    path = tmp_path / "steps.tsv"
    train(
        model,
        lambda: iter([[{"x": torch.tensor([[3.0, 4.0]])}]] * 2),
        lambda wrapped, batch: wrapped(batch["x"]).sum(),
        steps=2,
        options=TrainingOptions(learning_rate=0.1, batch_size=1, max_gradient_norm=1.0),
        seed=1,
        tracking=Tracking(path, "linear"),
    )
    assert steps_in(path)["gradient_norm"].tolist() == pytest.approx([5.0, 5.0])


def test_a_resumed_run_has_each_step_once(tmp_path: Path) -> None:
    options = replace(OPTIONS, checkpoint_every=3)
    uninterrupted, path = tmp_path / "uninterrupted.tsv", tmp_path / "resumed.tsv"
    run(make_model(), options=options, tracking=Tracking(uninterrupted, "uninterrupted"))
    for killed_at in (4, 8):
        with pytest.raises(Killed):
            run(
                make_model(),
                killed_after(killed_at, data()),
                options,
                checkpoint=tmp_path / "c",
                tracking=Tracking(path, "resumed"),
            )
        assert path.read_text().endswith("\n")
        assert steps_in(path)["step"].tolist() == list(range(1, killed_at + 1))
    path.unlink()  # like Snakemake before a job starts again
    run(
        make_model(), options=options, checkpoint=tmp_path / "c", tracking=Tracking(path, "resumed")
    )
    pd.testing.assert_frame_equal(
        steps_in(path)[REPRODUCIBLE_COLUMNS], steps_in(uninterrupted)[REPRODUCIBLE_COLUMNS]
    )


def test_steps_of_a_finished_training_are_written_again(tmp_path: Path) -> None:
    options = replace(OPTIONS, checkpoint_every=5)
    path = tmp_path / "steps.tsv"
    settings = {"checkpoint": tmp_path / "c", "keep_checkpoint": True}
    run(make_model(), options=options, tracking=Tracking(path, "a"), **settings)
    before = path.read_text()
    path.unlink()
    run(make_model(), options=options, tracking=Tracking(path, "a"), **settings)
    assert path.read_text() == before


def train_recorded(path: str) -> None:
    run(make_model(), data(sizes=(4, 4)), tracking=Tracking(path, "two"))


def test_only_one_of_two_processes_writes_steps(tmp_path: Path) -> None:
    path = tmp_path / "steps.tsv"
    in_processes(2, train_recorded, str(path))
    assert steps_in(path)["step"].tolist() == list(range(1, STEPS + 1))


# Trackers


def run_with_interruption(tmp_path: Path, report_to: list[str]) -> list[float]:
    """A run that reports, is killed after a step without a checkpoint, and continues."""
    options = replace(OPTIONS, checkpoint_every=3)
    tracking = Tracking(tmp_path / "steps.tsv", "fine_tune/ner", report_to, tmp_path / "tracking")
    settings = {"options": options, "checkpoint": tmp_path / "c", "tracking": tracking}
    with pytest.raises(Killed):
        run(make_model(), killed_after(5, data()), **settings)
    return run(make_model(), **settings)


def test_tensorboard_shows_each_step_once(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard", reason="needs the package tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    losses = run_with_interruption(tmp_path, ["tensorboard"])
    events = EventAccumulator(str(tmp_path / "tracking/fine_tune/ner/semantic-tokens"))
    events.Reload()
    assert sorted(events.Tags()["scalars"]) == sorted(
        [*REPRODUCIBLE_COLUMNS[1:], "examples_per_second"]
    )
    shown = events.Scalars("loss")
    assert [event.step for event in shown] == list(range(1, STEPS + 1))
    assert [event.value for event in shown] == pytest.approx(losses, rel=1e-6)


def test_wandb_works_without_a_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("wandb", reason="needs the package wandb")
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    run_with_interruption(tmp_path, ["wandb"])
    runs = list((tmp_path / "tracking/fine_tune/ner/wandb").glob("offline-run-*"))
    assert len({path.name.rpartition("-")[2] for path in runs}) == 1  # one run, in two parts


TRACKIO = """
import sys
from pathlib import Path
from test_tracking import run_with_interruption
print(len(run_with_interruption(Path(sys.argv[1]), ["trackio"])))
"""


def test_trackio_works_without_a_network(tmp_path: Path) -> None:
    """In a separate process, because the package reads the folder of its data only once."""
    pytest.importorskip("trackio", reason="needs the package trackio")
    path = os.pathsep.join([str(Path(__file__).parents[1]), *sys.path])
    environment = os.environ | {"TRACKIO_DIR": str(tmp_path / "trackio"), "PYTHONPATH": path}
    subprocess.run([sys.executable, "-c", TRACKIO, tmp_path], env=environment, check=True)
    (path,) = (tmp_path / "trackio").glob("*.db")
    with sqlite3.connect(path) as database:
        rows = database.execute("SELECT step, run_name FROM metrics ORDER BY step").fetchall()
    assert {name for _, name in rows} == {"fine_tune/ner"}
    assert {step for step, _ in rows} == set(range(1, STEPS + 1))


@pytest.mark.parametrize("tracker", ["tensorboard", "wandb", "trackio"])
def test_missing_tracker_package_is_named_before_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tracker: str
) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *rest: None if name == tracker else find(name)
    )
    tracking = Tracking(tmp_path / "steps.tsv", "ner", [tracker])
    with pytest.raises(InputError, match=rf"report_to names {tracker}.*`pip install {tracker}`"):
        run(make_model(), tracking=tracking)
    assert not list(tmp_path.iterdir())


def test_tracker_that_cannot_start_is_named_in_the_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("tensorboard", reason="needs the package tensorboard")
    (tmp_path / "tracking/ner").mkdir(parents=True)
    (tmp_path / "tracking/ner/semantic-tokens").write_text("a file where a folder should be")
    tracking = Tracking(tmp_path / "steps.tsv", "ner", ["tensorboard"], tmp_path / "tracking")
    with pytest.raises(InputError, match=r"report_to names tensorboard, .*cannot be started"):
        run(make_model(), tracking=tracking)


# The log about the machine


def test_training_logs_its_device_and_precision(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    run(make_model(), description="ner on a")
    lines = [line for line in caplog.messages if line.startswith("ner on a: ")]
    assert len(lines) == 2  # at the start and at the end
    if not torch.cuda.is_available():
        expected = r"thread.*, float32, attention of the model, not compiled$"
        assert pd.Series(lines[:1]).str.contains(expected).all(), lines


class Attentive(nn.Module):
    """A model with a configuration, like those of transformers."""

    class config:
        _attn_implementation = "sdpa"


@pytest.mark.parametrize("cuda", [True, False])
def test_setup_line_names_device_precision_attention_and_compiler(
    monkeypatch: pytest.MonkeyPatch, cuda: bool
) -> None:
    monkeypatch.setattr(device, "device_name", lambda: "A card")
    monkeypatch.setattr(device, "precision_here", lambda wanted: "bf16" if cuda else "no")
    options = replace(OPTIONS, precision="auto", gradient_checkpointing=cuda)
    line = device.describe_setup(nn.Sequential(Attentive()), options, is_compiled=cuda)
    assert line == (
        "A card, bf16, attention sdpa, compiled, gradient checkpointing"
        if cuda
        else "A card, float32, attention sdpa, not compiled"
    )


def test_false_from_a_yaml_no_means_no() -> None:
    settings = {"learning_rate": 0.1, "batch_size": 1}
    options = TrainingOptions(**settings, precision=False, compile=False)  # type: ignore[arg-type]
    assert options == TrainingOptions(**settings, precision="no", compile="no")


# Missing GPUs


def test_torch_build_without_cuda_is_named_in_the_error(monkeypatch: pytest.MonkeyPatch) -> None:
    if torch.version.cuda:
        pytest.skip("this torch is built for CUDA")
    with pytest.raises(InputError) as raised:
        require_gpus(1)
    message = str(raised.value)
    assert message.startswith("`gpus_per_job: 1`") and "torch finds 0 (Torch not" in message
    assert f"torch {torch.__version__} is built for no GPU" in message
    assert "remove `.venv` and run `python3 envs/set_up.py --torch cuda`" in message
    assert message.endswith(", or set `gpus_per_job: 0`")
    assert "\n" not in message


def test_outdated_nvidia_driver_is_named_in_the_error(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def init() -> None:
        raise RuntimeError(
            "The NVIDIA driver on your system is too old (found version 11040).\nPlease update"
        )

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.cuda, "init", init)
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    version = tmp_path / "version"
    version.write_text("NVRM version: NVIDIA UNIX x86_64 Kernel Module  470.57.02  Tue Jul 13\nGCC")
    monkeypatch.setattr(gpus, "DRIVER_VERSION", version)
    with pytest.raises(InputError) as raised:
        require_gpus(2)
    message = str(raised.value)
    assert (
        "torch finds 0 (The NVIDIA driver on your system is too old (found version 11040))"
        in message
    )
    assert "is built for CUDA 13.0; the NVIDIA driver here is 470.57.02" in message
    assert "update the driver" in message and "\n" not in message


def test_fewer_gpus_than_configured_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    require_gpus(1)
    with pytest.raises(
        InputError, match=r"`gpus_per_job: 2` .* finds 1\. .*give the job more GPUs"
    ):
        require_gpus(2)


def test_failed_step_is_not_recorded(tmp_path: Path) -> None:
    def loss(model: nn.Module, batch: dict[str, torch.Tensor]) -> torch.Tensor:
        return squared_error(model, batch) * math.nan

    path = tmp_path / "steps.tsv"
    with pytest.raises(InputError, match="the loss became nan"):
        train(
            make_model(), data(), loss, steps=STEPS, options=OPTIONS, seed=1,
            tracking=Tracking(path, "a"),
        )  # fmt: skip
    assert not len(steps_in(path))
