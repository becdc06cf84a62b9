"""Failures of machines and disks, and killed jobs: each ends with the result of an undisturbed run,
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
from study import Made, Study
from test_bad_input import assert_one_message

RECIPE = "unigram/unaligned/dfull/ungrouped"
FIRST_K = "unigram/unaligned/dfull/firstk-0.4"
STEPS, EVERY = 48, 10
LONG = {"max_steps": STEPS, "checkpoint_every": EVERY}
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
#: In the PYTHONPATH of a run: faults in a training at a given place.
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


class Halted(NamedTuple):
    """A run, its stopped training process, and the step at which the training continues after it
    was killed."""

    run: subprocess.Popen[str]
    training: psutil.Process
    resumes_at: int


def content_of(study: Study, target: str) -> bytes:
    """The result of a training: its scores, or the weights of its model."""
    path = study.folder / target
    return (path / "model.safetensors" if path.is_dir() else path).read_bytes()


def remove(study: Study, target: str) -> None:
    path = study.folder / target
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def start(study: Study, target: str, fault: str, **place: Any) -> tuple[Path, Any]:
    """Start a run with a fault at a place (``step`` or ``opening``). Return a file that marks the
    fault, and the run."""
    remove(study, target)
    (study.folder / LOGS[target]).unlink(missing_ok=True)
    mark = study.folder / "fault"
    mark.unlink(missing_ok=True)
    environment = {f"FAULT_{name.upper()}": str(value) for name, value in place.items()}
    environment |= {"FAULT": fault, "FAULT_MARK": str(mark), "PYTHONPATH": str(INJECTED)}
    return mark, study.start(target, change=CHANGE, environment=environment)


def some_step() -> int:
    """A random step after a training's first checkpoint and before its last step."""
    step = random.randint(EVERY + 1, STEPS - 1)
    print(f"the fault is at step {step}")
    return step


def halted(study: Study, target: str, opening: str | None = None) -> Halted:
    """A run whose training is stopped after some step, or before it opens a file."""
    step = some_step()
    place = {"step": step} if opening is None else {"opening": opening}
    mark, run = start(study, target, "stop", **place)
    wait_until(lambda: mark.exists() or run.poll() is not None)
    assert mark.exists(), run.communicate()  # it ended before this place
    training = psutil.Process(int(mark.read_text()))
    wait_until(lambda: training.status() == psutil.STATUS_STOPPED)
    # The step's checkpoint is written after it.
    return Halted(run, training, (step - 1) // EVERY * EVERY if opening is None else STEPS)


def has_ended(process: psutil.Process) -> bool:
    try:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def resumed_at(study: Study, target: str) -> list[int]:
    """The steps at which the last run continued, from its output."""
    log = (study.folder / LOGS[target]).read_text("utf-8")
    return [int(step) for step in re.findall(r"resuming at step (\d+) ", log)]


def end_all(process: subprocess.Popen[str], number: int = signal.SIGKILL) -> None:
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
def study_of_its_own(study: Study, tmp_path_factory: pytest.TempPathFactory) -> Study:
    """A copy of the finished study that these tests may change."""
    return copy_of(study, tmp_path_factory.mktemp("faults") / "study")


@pytest.fixture
def spoilt(study: Study, tmp_path: Path) -> Study:
    """A copy of the finished study that one test may damage."""
    return copy_of(study, tmp_path / "study")


@pytest.fixture(scope="module")
def undisturbed(study: Study) -> dict[str, bytes]:
    """The results of undisturbed trainings."""
    targets = (FINE_TUNE, PRETRAIN)
    answer = study.run(*targets, change=CHANGE)
    assert answer.returncode == 0, answer.stdout
    return {target: content_of(study, target) for target in targets}


def content(made: dict[str, Made]) -> dict[str, str]:
    """The finished files: no checkpoints, no temporary files, and no files with a run's speed."""
    apart = ("/checkpoints/", "/efficiency/", "/training/")
    return {p: file.sha256 for p, file in made.items() if not any(part in p for part in apart)}


@pytest.mark.parametrize("target", [FINE_TUNE, PRETRAIN], ids=["fine_tune", "pretrain"])
def test_a_killed_training_continues_from_its_checkpoint(
    study: Study, undisturbed: dict[str, bytes], target: str
) -> None:
    before = study.made()
    run, training, step = halted(study, target)
    training.kill()
    output, _ = run.communicate()
    assert run.returncode == 1
    assert "SIGKILL" in output and "Traceback" not in output, output
    assert not (study.folder / target).exists()
    answer = study.run(target, change=CHANGE)
    assert answer.returncode == 0, answer.stdout
    assert resumed_at(study, target) == [step]
    assert content_of(study, target) == undisturbed[target]
    assert content(study.made()) == content(before)
    assert not (study.folder / CHECKPOINTS[target]).exists()


@pytest.mark.parametrize(
    ("target", "opening"),
    [
        (FINE_TUNE, ".seed-7.items.parquet.partial"),
        (FINE_TUNE, ".seed-7.json.partial"),
        (PRETRAIN, ".mlm.partial/.config.json.partial"),
        (PRETRAIN, ".kmeans-cosine-0.05.json.partial"),
    ],
    ids=["items", "scores", "model", "efficiency"],
)
def test_who_is_killed_after_the_last_step_does_not_train_again(
    study: Study, undisturbed: dict[str, bytes], target: str, opening: str
) -> None:
    run, training, _ = halted(study, target, opening)
    training.kill()
    run.communicate()
    assert run.returncode == 1
    answer = study.run(target, change=CHANGE)
    assert answer.returncode == 0, answer.stdout
    assert resumed_at(study, target) == [STEPS]
    assert content_of(study, target) == undisturbed[target]


@pytest.mark.parametrize("target", [FINE_TUNE, PRETRAIN], ids=["fine_tune", "pretrain"])
@pytest.mark.parametrize("how", ["snakemake killed", "machine off", "terminal closed", "Ctrl-C"])
def test_the_same_command_continues_after_an_interruption(
    study: Study, undisturbed: dict[str, bytes], target: str, how: str
) -> None:
    step = some_step()
    mark, run = start(study, target, "wait", step=step)
    wait_until(lambda: mark.exists() or run.poll() is not None)
    training = psutil.Process(int(mark.read_text()))
    if how == "snakemake killed":
        run.kill()
    else:
        number = {"machine off": "SIGKILL", "terminal closed": "SIGHUP", "Ctrl-C": "SIGINT"}[how]
        os.killpg(run.pid, signal.Signals[number])
    output, _ = run.communicate(timeout=30)  # the job also has this pipe
    wait_until(lambda: has_ended(training), seconds=5)
    said = (study.folder / LOGS[target]).read_text("utf-8")
    if how == "snakemake killed":
        assert f"Snakemake (process {run.pid}), which started this job, no longer exists" in said
    if how == "Ctrl-C":
        assert "was interrupted; run the same command again" in said
        assert "Traceback" not in said and "Traceback" not in output, output
    answer = study.run(target, change=CHANGE)
    assert answer.returncode == 0, answer.stdout
    assert resumed_at(study, target) == [(step - 1) // EVERY * EVERY]
    assert content_of(study, target) == undisturbed[target]


def test_sigterm_lets_the_running_job_end(study: Study, undisturbed: dict[str, bytes]) -> None:
    run, training, _ = halted(study, FINE_TUNE)
    run.terminate()
    time.sleep(2)
    training.resume()
    output, _ = run.communicate()
    assert "Will exit after finishing currently running jobs" in output
    assert (study.folder / FINE_TUNE).read_bytes() == undisturbed[FINE_TUNE]
    assert study.run(FINE_TUNE, change=CHANGE).returncode == 0


def test_a_job_that_an_earlier_run_left_is_waited_for(
    study: Study, undisturbed: dict[str, bytes]
) -> None:
    """A job that could not end with its Snakemake because it was stopped."""
    run, training, _ = halted(study, FINE_TUNE)
    run.kill()
    second = study.start(FINE_TUNE, change=CHANGE)
    log = study.folder / LOGS[FINE_TUNE]
    message = f"waiting for {CHECKPOINTS[FINE_TUNE]}, which process {training.pid} of"
    wait_until(lambda: log.exists() and message in log.read_text("utf-8"))
    end_all(run)
    output, _ = second.communicate()
    assert second.returncode == 0, output
    assert (study.folder / FINE_TUNE).read_bytes() == undisturbed[FINE_TUNE]


def test_a_second_snakemake_is_told_of_the_first(
    study: Study, undisturbed: dict[str, bytes]
) -> None:
    first, training, _ = halted(study, FINE_TUNE)
    second = study.run(FINE_TUNE, change=CHANGE)
    training.resume()
    output, _ = first.communicate()
    assert second.returncode == 1
    assert_one_message(second.stdout, "Directory cannot be locked")
    assert first.returncode == 0, output
    assert (study.folder / FINE_TUNE).read_bytes() == undisturbed[FINE_TUNE]


@pytest.mark.parametrize("target", [FINE_TUNE, PRETRAIN], ids=["fine_tune", "pretrain"])
def test_a_training_out_of_memory_names_the_fix_and_continues(
    study: Study, undisturbed: dict[str, bytes], target: str
) -> None:
    before, step = study.made(), some_step()
    _, run = start(study, target, "memory", step=step)
    output, _ = run.communicate()
    assert run.returncode == 1
    assert_one_message(
        output, r"\w+: there is too little memory \(.*\); .*lower `device_batch_size`.*again"
    )
    answer = study.run(target, change=CHANGE)
    assert answer.returncode == 0, answer.stdout
    assert resumed_at(study, target) == [(step - 1) // EVERY * EVERY]
    assert content_of(study, target) == undisturbed[target]
    assert content(study.made()) == content(before)


def test_a_loss_that_is_not_a_number_names_the_fix(spoilt: Study) -> None:
    path = spoilt.folder / "results/backbones/unigram/model.safetensors"
    tensors, times = load_file(path), path.stat()
    next(value for name, value in tensors.items() if name.endswith("LayerNorm.weight"))[0] = nan
    path.unlink()
    save_file(tensors, path, metadata={"format": "pt"})
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    before = content(spoilt.made())
    target = f"results/scores/{RECIPE}/asis/nli/all-languages/seed-7.json"
    answer = spoilt.run(target, change={"seeds": [7]})
    assert answer.returncode == 1
    message = r"fine_tune: the loss became nan at step 1 of 2 .*; lower the learning rate or set"
    assert_one_message(answer.stdout, message)
    saved = re.findall(r"The step's data are in (\S+)", answer.stdout)[0]
    assert (spoilt.folder / saved).stat().st_size > 0
    assert content(spoilt.made()) == before


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
def test_a_file_that_was_cut_short_is_named(
    spoilt: Study, damaged: str, rule: str, target: str
) -> None:
    path = spoilt.folder / damaged
    whole, times = path.read_bytes(), path.stat()
    path.unlink()
    path.write_bytes(whole[: len(whole) // 2])
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    change = CHANGE if target in LOGS else None
    answer = spoilt.run(target, change=change, options=["--forcerun", rule, "--nocolor"])
    assert answer.returncode == 1
    assert_one_message(
        answer.stdout, rf"{rule}: {re.escape(damaged)}.*delete (it|the file) and it will"
    )


@pytest.fixture
def small_disk(study: Study) -> Iterator[Path]:
    """Put the checkpoints of pretraining on a separate disk of two megabytes."""
    place = study.folder / "results/checkpoints/pretrain"
    place.mkdir(parents=True, exist_ok=True)
    options = ["-t", "tmpfs", "-o", "size=2m", "tmpfs", str(place)]
    if os.geteuid() or subprocess.run(["mount", *options], check=False).returncode:
        pytest.skip("needs root, to mount a small disk")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def test_a_disk_that_fills_is_named(
    study: Study, undisturbed: dict[str, bytes], small_disk: Path
) -> None:
    before = study.made()
    remove(study, PRETRAIN)
    answer = study.run(PRETRAIN, change=CHANGE)
    assert answer.returncode == 1
    assert_one_message(answer.stdout, r"pretrain: a disk that it writes to is full .*; free some")
    subprocess.run(["mount", "-o", "remount,size=500m", str(small_disk)], check=True)
    answer = study.run(PRETRAIN, change=CHANGE)
    assert answer.returncode == 0, answer.stdout
    assert content_of(study, PRETRAIN) == undisturbed[PRETRAIN]
    assert content(study.made()) == content(before)
