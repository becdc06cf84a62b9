"""Failures of machines and disks, and killed jobs: each ends with the result of an uninterrupted run,
or with one message that says what to do. Finished results are kept."""

import os
import random
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from math import nan
from pathlib import Path
from typing import Any, NamedTuple

import psutil
import pytest
from safetensors.torch import load_file, save_file
from study import OutputFile, Study
from test_bad_input import assert_one_message

RECIPE = "unigram/unaligned/dfull/ungrouped"
FIRST_K = "unigram/unaligned/dfull/firstk-0.4"
STEPS, CHECKPOINT_EVERY = 48, 10
LONG = {"max_steps": STEPS, "checkpoint_every": CHECKPOINT_EVERY}
EPOCHS = 100  # many epochs of few examples, for enough steps
FINE_TUNE = f"results/scores/{RECIPE}/asis/ner/all-languages/seed-7.json"
KMEANS = "unigram/unaligned/dfull/kmeans-cosine-0.05"
PRETRAIN = f"results/models/{KMEANS}/mlm"
CHECKPOINTS = {
    FINE_TUNE: f"results/checkpoints/fine_tune/{RECIPE}/asis/ner/all-languages/seed-7",
    PRETRAIN: f"results/checkpoints/pretrain/{KMEANS}",
}
LOGS = {
    FINE_TUNE: f"results/logs/fine_tune/{RECIPE}/asis/ner/all-languages/seed-7.log",
    PRETRAIN: f"results/logs/pretrain/{KMEANS}.log",
}
#: This folder in the PYTHONPATH of a run injects faults into a training.
INJECTED = Path(__file__).parent / "injected"
CHANGE = {
    "seeds": [7],
    "tasks": {"ner": {"training": LONG | {"epochs": EPOCHS}}},
    "pretraining": {"training": LONG},
}


def wait_until(condition: Callable[[], Any], seconds: float = 300) -> Any:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := condition():
            return found
        time.sleep(0.05)
    raise TimeoutError


class StoppedRun(NamedTuple):
    """A run, its stopped training process, and the step at which the training continues after it
    was killed."""

    run: subprocess.Popen[str]
    training: psutil.Process
    resumes_at: int


def result_bytes(study: Study, target: str) -> bytes:
    """The result of a training: its scores, or the weights of its model."""
    path = study.folder / target
    return (path / "model.safetensors" if path.is_dir() else path).read_bytes()


def remove(study: Study, target: str) -> None:
    path = study.folder / target
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def start(study: Study, target: str, fault: str, **location: Any) -> tuple[Path, Any]:
    """Start a run with a fault at a ``step`` or the ``opening`` of a file. Return the file that the
    fault writes, and the run."""
    remove(study, target)
    (study.folder / LOGS[target]).unlink(missing_ok=True)
    mark = study.folder / "fault"
    mark.unlink(missing_ok=True)
    environment = {f"FAULT_{name.upper()}": str(value) for name, value in location.items()}
    environment |= {"FAULT": fault, "FAULT_MARK": str(mark), "PYTHONPATH": str(INJECTED)}
    return mark, study.start(target, change=CHANGE, environment=environment)


def random_step() -> int:
    """A random step after a training's first checkpoint and before its last step."""
    step = random.randint(CHECKPOINT_EVERY + 1, STEPS - 1)
    print(f"the fault is at step {step}")
    return step


def start_and_stop(study: Study, target: str, opening: str | None = None) -> StoppedRun:
    """Start a run, and stop its training after a random step or before it opens a file."""
    step = random_step()
    location = {"step": step} if opening is None else {"opening": opening}
    mark, run = start(study, target, "stop", **location)
    wait_until(lambda: mark.exists() or run.poll() is not None)
    assert mark.exists(), run.communicate()  # the training ended before the fault
    training = psutil.Process(int(mark.read_text()))
    wait_until(lambda: training.status() == psutil.STATUS_STOPPED)
    # The step's checkpoint is written after it.
    return StoppedRun(
        run,
        training,
        (step - 1) // CHECKPOINT_EVERY * CHECKPOINT_EVERY if opening is None else STEPS,
    )


def has_ended(process: psutil.Process) -> bool:
    try:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def resumed_at(study: Study, target: str) -> list[int]:
    """The steps at which the last run continued, from its output."""
    log = (study.folder / LOGS[target]).read_text("utf-8")
    return [int(step) for step in re.findall(r"resuming at step (\d+) ", log)]


def kill_all(process: subprocess.Popen[str], number: int = signal.SIGKILL) -> None:
    """Signal a run and all its jobs at once, like a machine that is switched off."""
    os.killpg(process.pid, number)
    process.communicate()


def copy_of(study: Study, folder: Path) -> Study:
    """A copy of a finished study, whose files are links to it."""
    for part in ("results", "resources"):
        shutil.copytree(study.folder / part, folder / part, copy_function=os.link)
    for part in ("config", ".snakemake"):
        shutil.copytree(study.folder / part, folder / part)
    return Study(study.checkout, folder)


@pytest.fixture(scope="module", name="study")
def shared_study_copy(study: Study, tmp_path_factory: pytest.TempPathFactory) -> Study:
    """A copy of the finished study that these tests may change."""
    return copy_of(study, tmp_path_factory.mktemp("faults") / "study")


@pytest.fixture
def study_copy(study: Study, tmp_path: Path) -> Study:
    """A copy of the finished study that one test may damage."""
    return copy_of(study, tmp_path / "study")


@pytest.fixture(scope="module")
def expected_results(study: Study) -> dict[str, bytes]:
    """The results of trainings without a fault."""
    targets = (FINE_TUNE, PRETRAIN)
    result = study.run(*targets, change=CHANGE)
    assert result.returncode == 0, result.stdout
    return {target: result_bytes(study, target) for target in targets}


def finished_files(files: dict[str, OutputFile]) -> dict[str, str]:
    """The finished files: no checkpoints, no temporary files, and no files with a run's speed."""
    excluded = ("/checkpoints/", "/training/")
    return {p: file.sha256 for p, file in files.items() if not any(part in p for part in excluded)}


@pytest.mark.parametrize("target", [FINE_TUNE, PRETRAIN], ids=["fine_tune", "pretrain"])
def test_a_killed_training_continues_from_its_checkpoint(
    study: Study, expected_results: dict[str, bytes], target: str
) -> None:
    before = study.output_files()
    run, training, step = start_and_stop(study, target)
    training.kill()
    output, _ = run.communicate()
    assert run.returncode == 1
    assert "SIGKILL" in output and "Traceback" not in output, output
    assert not (study.folder / target).exists()
    result = study.run(target, change=CHANGE)
    assert result.returncode == 0, result.stdout
    assert resumed_at(study, target) == [step]
    assert result_bytes(study, target) == expected_results[target]
    assert finished_files(study.output_files()) == finished_files(before)
    assert not (study.folder / CHECKPOINTS[target]).exists()


@pytest.mark.parametrize(
    ("target", "opening"),
    [
        (FINE_TUNE, ".seed-7.items.parquet.partial"),
        (FINE_TUNE, ".seed-7.json.partial"),
        (PRETRAIN, ".mlm.partial/.config.json.partial"),
        (PRETRAIN, ".kmeans-cosine-0.05.json.partial"),
    ],
    ids=["items", "scores", "model", "held_out"],
)
def test_training_killed_after_its_last_step_is_not_repeated(
    study: Study, expected_results: dict[str, bytes], target: str, opening: str
) -> None:
    run, training, _ = start_and_stop(study, target, opening)
    training.kill()
    run.communicate()
    assert run.returncode == 1
    result = study.run(target, change=CHANGE)
    assert result.returncode == 0, result.stdout
    assert resumed_at(study, target) == [STEPS]
    assert result_bytes(study, target) == expected_results[target]


@pytest.mark.parametrize("target", [FINE_TUNE, PRETRAIN], ids=["fine_tune", "pretrain"])
@pytest.mark.parametrize(
    "interruption", ["snakemake killed", "machine off", "terminal closed", "Ctrl-C"]
)
def test_the_same_command_continues_after_an_interruption(
    study: Study, expected_results: dict[str, bytes], target: str, interruption: str
) -> None:
    step = random_step()
    mark, run = start(study, target, "wait", step=step)
    wait_until(lambda: mark.exists() or run.poll() is not None)
    training = psutil.Process(int(mark.read_text()))
    if interruption == "snakemake killed":
        run.kill()
    else:
        number = {"machine off": "SIGKILL", "terminal closed": "SIGHUP", "Ctrl-C": "SIGINT"}[
            interruption
        ]
        os.killpg(run.pid, signal.Signals[number])
    output, _ = run.communicate(timeout=30)  # the job also has this pipe
    wait_until(lambda: has_ended(training), seconds=5)
    log_text = (study.folder / LOGS[target]).read_text("utf-8")
    if interruption == "snakemake killed":
        assert (
            f"Snakemake (process {run.pid}), which started this job, no longer exists" in log_text
        )
    if interruption == "Ctrl-C":
        assert "was interrupted; run the same command again" in log_text
        assert "Traceback" not in log_text and "Traceback" not in output, output
    result = study.run(target, change=CHANGE)
    assert result.returncode == 0, result.stdout
    assert resumed_at(study, target) == [(step - 1) // CHECKPOINT_EVERY * CHECKPOINT_EVERY]
    assert result_bytes(study, target) == expected_results[target]


def test_sigterm_lets_the_running_job_end(study: Study, expected_results: dict[str, bytes]) -> None:
    run, training, _ = start_and_stop(study, FINE_TUNE)
    run.terminate()
    time.sleep(2)
    training.resume()
    output, _ = run.communicate()
    assert "Will exit after finishing currently running jobs" in output
    assert (study.folder / FINE_TUNE).read_bytes() == expected_results[FINE_TUNE]
    assert study.run(FINE_TUNE, change=CHANGE).returncode == 0


def test_run_waits_for_a_job_left_by_an_earlier_run(
    study: Study, expected_results: dict[str, bytes]
) -> None:
    """The job is stopped, so it cannot end with its Snakemake."""
    run, training, _ = start_and_stop(study, FINE_TUNE)
    run.kill()
    second = study.start(FINE_TUNE, change=CHANGE)
    log = study.folder / LOGS[FINE_TUNE]
    message = f"waiting for {CHECKPOINTS[FINE_TUNE]}, which process {training.pid} of"
    wait_until(lambda: log.exists() and message in log.read_text("utf-8"))
    kill_all(run)
    output, _ = second.communicate()
    assert second.returncode == 0, output
    assert (study.folder / FINE_TUNE).read_bytes() == expected_results[FINE_TUNE]


def test_second_snakemake_reports_the_locked_folder(
    study: Study, expected_results: dict[str, bytes]
) -> None:
    first, training, _ = start_and_stop(study, FINE_TUNE)
    second = study.run(FINE_TUNE, change=CHANGE)
    training.resume()
    output, _ = first.communicate()
    assert second.returncode == 1
    assert_one_message(second.stdout, "Directory cannot be locked")
    assert first.returncode == 0, output
    assert (study.folder / FINE_TUNE).read_bytes() == expected_results[FINE_TUNE]


@pytest.mark.parametrize("target", [FINE_TUNE, PRETRAIN], ids=["fine_tune", "pretrain"])
def test_out_of_memory_names_the_fix_and_the_next_run_continues(
    study: Study, expected_results: dict[str, bytes], target: str
) -> None:
    before, step = study.output_files(), random_step()
    _, run = start(study, target, "memory", step=step)
    output, _ = run.communicate()
    assert run.returncode == 1
    assert_one_message(
        output, r"\w+: there is too little memory .*lower `device_batch_size`.*again"
    )
    result = study.run(target, change=CHANGE)
    assert result.returncode == 0, result.stdout
    assert resumed_at(study, target) == [(step - 1) // CHECKPOINT_EVERY * CHECKPOINT_EVERY]
    assert result_bytes(study, target) == expected_results[target]
    assert finished_files(study.output_files()) == finished_files(before)


def test_nan_loss_names_the_fix(study_copy: Study) -> None:
    path = study_copy.folder / "results/backbones/unigram/model.safetensors"
    tensors, times = load_file(path), path.stat()
    next(value for name, value in tensors.items() if name.endswith("LayerNorm.weight"))[0] = nan
    path.unlink()
    save_file(tensors, path, metadata={"format": "pt"})
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    before = finished_files(study_copy.output_files())
    target = f"results/scores/{RECIPE}/asis/nli/all-languages/seed-7.json"
    result = study_copy.run(target, change={"seeds": [7]})
    assert result.returncode == 1
    message = r"fine_tune: the loss became nan at step 1 .*; lower the learning rate"
    assert_one_message(result.stdout, message)
    saved = re.findall(r"The step's data are in (\S+)", result.stdout)[0]
    assert (study_copy.folder / saved).stat().st_size > 0
    assert finished_files(study_copy.output_files()) == before


@pytest.mark.parametrize(
    ("damaged", "rule", "target"),
    [
        ("results/embeddings/unigram/unaligned/dfull.safetensors", "group_first_k", f"results/groups/{FIRST_K}.safetensors"),
        (f"results/groups/{FIRST_K}.safetensors", "fine_tune", f"results/scores/{FIRST_K}/asis/ner/all-languages/seed-1.json"),
        ("results/backbones/unigram/model.safetensors", "extract_embeddings", "results/embeddings/unigram/unaligned/dfull.safetensors"),
        ("results/backbones/unigram/model.safetensors", "fine_tune", FINE_TUNE),
        (f"results/models/{RECIPE}/mlm/model.safetensors", "fine_tune", f"results/scores/{RECIPE}/mlm/ner/all-languages/seed-1.json"),
        ("results/tokenized/unigram/original/mini_names/train.parquet", "fine_tune", FINE_TUNE),
        ("results/tokenized/unigram/original/corpora/text.safetensors", "pretrain", PRETRAIN),
        ("results/datasets/mini_names/train.jsonl", "tokenize_dataset", "results/tokenized/unigram/original/mini_names/train.parquet"),
        ("results/backbones/unigram/tokenizer.json", "tokenize_dataset", "results/tokenized/unigram/original/mini_names/train.parquet"),
        (f"results/scores/{RECIPE}/asis/ner/all-languages/seed-1.json", "table5", "results/table5.csv"),
    ],
)  # fmt: skip
def test_truncated_file_is_named_in_the_error(
    study_copy: Study, damaged: str, rule: str, target: str
) -> None:
    path = study_copy.folder / damaged
    full_content, times = path.read_bytes(), path.stat()
    path.unlink()
    path.write_bytes(full_content[: len(full_content) // 2])
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    change = CHANGE if target in LOGS else None
    result = study_copy.run(target, change=change, options=["--forcerun", rule, "--nocolor"])
    assert result.returncode == 1
    assert_one_message(
        result.stdout, rf"{rule}: {re.escape(damaged)}.*delete (it|the file) and it will"
    )


@pytest.fixture
def small_disk(study: Study) -> Iterator[Path]:
    """Put the checkpoints of pretraining on a separate disk of two megabytes."""
    mount_point = study.folder / "results/checkpoints/pretrain"
    mount_point.mkdir(parents=True, exist_ok=True)
    options = ["-t", "tmpfs", "-o", "size=2m", "tmpfs", str(mount_point)]
    if os.geteuid() or subprocess.run(["mount", *options], check=False).returncode:
        pytest.skip("needs root, to mount a small disk")
    yield mount_point
    subprocess.run(["umount", str(mount_point)], check=True)


def test_full_disk_is_named_in_the_error(
    study: Study, expected_results: dict[str, bytes], small_disk: Path
) -> None:
    before = study.output_files()
    remove(study, PRETRAIN)
    result = study.run(PRETRAIN, change=CHANGE)
    assert result.returncode == 1
    assert_one_message(result.stdout, r"pretrain: a disk .* is full .*; free some")
    subprocess.run(["mount", "-o", "remount,size=500m", str(small_disk)], check=True)
    result = study.run(PRETRAIN, change=CHANGE)
    assert result.returncode == 0, result.stdout
    assert result_bytes(study, PRETRAIN) == expected_results[PRETRAIN]
    assert finished_files(study.output_files()) == finished_files(before)
