"""GPUs: one per job, batches that fit into memory, and one-line messages if they cannot be used."""

import logging
import os
import re
import runpy
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from semantic_tokens.embeddings import alignment
from semantic_tokens.embeddings.alignment import TranslationPairs, align
from semantic_tokens.errors import InputError
from semantic_tokens.grouping.kmeans import kmeans
from semantic_tokens.grouping.kmeans import run as kmeans_module
from semantic_tokens.jobs import gpu_devices, gpus
from semantic_tokens.jobs.gpu_devices import gpu_limit, reserved_gpus, visible_gpus
from semantic_tokens.jobs.gpus import batch_that_fits, within_gpu_memory
from semantic_tokens.jobs.job import job
from semantic_tokens.training import Batch, TrainingOptions, train

ROOT = Path(__file__).resolve().parents[2]
GIB = 2**30


@pytest.fixture(autouse=True)
def own_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    # A job changes the log handlers and these environment variables.
    monkeypatch.setattr(logging.getLogger(), "handlers", list(logging.getLogger().handlers))
    for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        monkeypatch.setenv(variable, "1")
    monkeypatch.setenv("TRANSFORMERS_VERBOSITY", "error")


# List of GPUs


@pytest.mark.parametrize(
    ("variable", "expected"),
    [
        ("0,1", ["0", "1"]),
        (" 2 , GPU-8f0a ", ["2", "GPU-8f0a"]),
        ("MIG-11,MIG-12", ["MIG-11", "MIG-12"]),
        ("", []),
        ("-1", []),
        ("3,-1,4", ["3"]),
        ("1,1", ["1"]),
        ("NoDevFiles", []),
    ],
)
def test_visible_gpus_follow_cuda_visible_devices(
    variable: str, expected: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", variable)
    assert visible_gpus() == expected


TWO_CARDS = """\
GPU 0: NVIDIA H100 80GB HBM3 (UUID: GPU-11111111-0000-0000-0000-000000000000)
GPU 1: NVIDIA H100 80GB HBM3 (UUID: GPU-22222222-0000-0000-0000-000000000000)
"""
ONE_IN_PARTS = """\
GPU 0: NVIDIA A100-SXM4-40GB (UUID: GPU-11111111-0000-0000-0000-000000000000)
  MIG 3g.20gb     Device  0: (UUID: MIG-33333333-0000-0000-0000-000000000000)
  MIG 3g.20gb     Device  1: (UUID: MIG-44444444-0000-0000-0000-000000000000)
GPU 1: NVIDIA A100-SXM4-40GB (UUID: GPU-22222222-0000-0000-0000-000000000000)
"""


@pytest.mark.parametrize(
    ("listing", "expected"),
    [
        (TWO_CARDS, ["0", "1"]),
        (
            ONE_IN_PARTS,
            [
                "MIG-33333333-0000-0000-0000-000000000000",
                "MIG-44444444-0000-0000-0000-000000000000",
                "GPU-22222222-0000-0000-0000-000000000000",
            ],
        ),
        ("No devices found.\n", []),
    ],
)
def test_visible_gpus_are_read_from_nvidia_smi(
    listing: str, expected: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "nvidia-smi"
    program.write_text(f"#!/bin/sh\n[ \"$1\" = -L ] && cat <<'END'\n{listing}END\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    assert visible_gpus() == expected


def test_no_gpu_is_visible_without_a_driver(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert visible_gpus() == []
    assert gpu_limit(1) is None


def test_gpu_limit_is_at_least_the_request_of_one_job(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1,2")
    assert (gpu_limit(1), gpu_limit(2), gpu_limit(4)) == (3, 3, 4)


# One GPU per job


def test_parallel_jobs_reserve_different_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,5,7")
    with reserved_gpus(1) as first:
        assert first == ["0"] and os.environ["CUDA_VISIBLE_DEVICES"] == "0"
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,5,7")
        with reserved_gpus(2) as others:
            assert others == ["5", "7"] and os.environ["CUDA_VISIBLE_DEVICES"] == "5,7"
        assert os.environ["CUDA_VISIBLE_DEVICES"] == "0,5,7"
    with reserved_gpus(3) as again:
        assert again == ["0", "5", "7"]


def test_unset_cuda_visible_devices_is_unset_afterwards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu_devices, "_nvidia_smi", lambda: TWO_CARDS)
    with reserved_gpus(1) as names:
        assert names == ["0"] and os.environ["CUDA_VISIBLE_DEVICES"] == "0"
    assert "CUDA_VISIBLE_DEVICES" not in os.environ


def test_no_gpu_is_reserved_if_there_are_too_few(monkeypatch: pytest.MonkeyPatch) -> None:
    """The check of torch's devices reports the error."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    with reserved_gpus(2) as names:
        assert names == [] and os.environ["CUDA_VISIBLE_DEVICES"] == "0"


def test_slurm_jobs_do_not_wait_for_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """SLURM gives each job a different GPU, and each job sees it as number 0."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    monkeypatch.setenv("SLURM_JOB_ID", "17")
    with reserved_gpus(1) as first:
        monkeypatch.setenv("SLURM_JOB_ID", "18")
        with reserved_gpus(1) as second:
            assert first == second == ["0"]


def start_holder(seconds: float, record: Path, count: int = 1) -> "subprocess.Popen[bytes]":
    """Start a process that reserves GPUs, and records them with start and end."""
    program = (
        "import sys, time\n"
        "from semantic_tokens.jobs.gpu_devices import reserved_gpus\n"
        "seconds, record, count = float(sys.argv[1]), sys.argv[2], int(sys.argv[3])\n"
        "with reserved_gpus(count, retry_every=0.05) as names:\n"
        "    began = time.monotonic()\n"
        "    open(record + '.began', 'a').write(','.join(names) + '\\n')\n"
        "    time.sleep(seconds)\n"
        "    line = f\"{','.join(names)} {began} {time.monotonic()}\\n\"\n"
        "    open(record, 'a').write(line)\n"
    )
    paths = os.pathsep.join([str(ROOT / "workflow"), os.environ.get("PYTHONPATH", "")])
    return subprocess.Popen(
        [sys.executable, "-c", program, str(seconds), str(record), str(count)],
        env=os.environ | {"PYTHONPATH": paths},
    )


@pytest.mark.parametrize("counts", [[1] * 6, [2] * 4, [1, 2, 1, 2, 2, 1]])
def test_no_gpu_is_used_by_two_jobs_at_once(
    counts: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1,2")
    record = tmp_path / "record"
    jobs = [start_holder(0.3, record, count) for count in counts]
    assert [process.wait(60) for process in jobs] == [0] * len(jobs)
    lines = [line.split() for line in record.read_text().splitlines()]
    assert sorted(len(names.split(",")) for names, _, _ in lines) == sorted(counts)
    spans = [
        (name, float(began), float(ended))
        for names, began, ended in lines
        for name in names.split(",")
    ]
    for i, (name, began, ended) in enumerate(spans):
        for other, other_began, other_ended in spans[i + 1 :]:
            assert name != other or ended <= other_began or other_ended <= began
    assert {name for name, _, _ in spans} <= {"0", "1", "2"}


def test_gpu_of_a_killed_job_is_free(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    record = tmp_path / "record"
    killed = start_holder(600, record)
    while not record.with_suffix(".began").exists():
        time.sleep(0.05)
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    with reserved_gpus(1) as names:
        assert names == ["0"]


def test_waiting_for_a_gpu_is_logged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    record = tmp_path / "record"
    other = start_holder(1.0, record)
    while not record.with_suffix(".began").exists():
        time.sleep(0.05)
    with caplog.at_level(logging.WARNING), reserved_gpus(1, retry_every=0.05):
        pass
    assert f"waiting for a GPU, for 0 s so far; in use by process {other.pid} of" in caplog.text
    assert other.wait() == 0


# All rules that request GPUs


def rules_with_gpus() -> dict[str, str]:
    """Rule -> script, for rules that request ``gpus_per_job``."""
    found = {}
    for path in sorted((ROOT / "rules").glob("*.smk")):
        for part in re.split(r"^rule ", path.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]:
            if 'gpu=config["gpus_per_job"]' in part:
                script = re.search(r"workflow/(scripts/\w+\.py)", part)
                assert script is not None
                found[part.partition(":")[0]] = script[1]
    return found


def test_only_compute_rules_request_gpus() -> None:
    assert set(rules_with_gpus()) == {
        "align",
        "fine_tune",
        "group_kmeans",
        "measure_pretraining",
        "pretrain",
    }


@pytest.mark.parametrize("page", ["profiles/slurm/config.yaml", "docs/cluster.md"])
def test_the_settings_for_slurm_name_all_rules_with_gpus(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    named = set(re.findall(r"^#?\s+(\w+): \{(?:slurm_partition|gpu)\b", text, re.MULTILINE))
    assert named == {*rules_with_gpus(), "group_kmeans_weighted"}


@pytest.mark.parametrize("rule", rules_with_gpus())
def test_gpu_rule_fails_immediately_without_cuda(
    rule: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The input is missing, so a job that starts to work fails with another error."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    snakemake = SimpleNamespace(
        rule=rule, threads=1, log=[str(tmp_path / "log")], resources={"gpu": 1}
    )
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(
            str(ROOT / "workflow" / rules_with_gpus()[rule]), init_globals={"snakemake": snakemake}
        )
    assert ended.value.code == 1
    (line,) = (tmp_path / "log").read_text(encoding="utf-8").splitlines()
    assert f"{rule}: `gpus_per_job: 1` needs as many GPUs, and torch finds 0" in line


# Memory


@pytest.fixture
def small_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """A GPU with 24 GiB. Other processes use 8, and this process 14."""
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda: (2 * GIB, 24 * GIB))
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda: 14 * GIB)
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda: 13 * GIB)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "NVIDIA L4")


GPU_MEMORY = "(NVIDIA L4 has 24.0 GiB: 14.0 GiB are this process's, 8.0 GiB the CUDA context's and other processes', and 2.0 GiB are free)"
OUT_OF_MEMORY = torch.OutOfMemoryError(
    "CUDA out of memory. Tried to allocate 2.00 GiB.\nGPU 0 has …"
)


@pytest.mark.usefixtures("small_gpu")
def test_estimated_batch_fits_into_gpu_memory() -> None:
    # 1 GiB is kept, the pass needed 12, and 15 are available.
    assert batch_that_fits(128, GIB) == 64
    # A power of two, and no more than half of the rows.
    assert batch_that_fits(100, GIB) == 32
    # 9 GiB are kept, 4 were for 4 rows, and 7 are available.
    assert batch_that_fits(4, 9 * GIB) == 2
    # 12 GiB are kept, 1 was for 64 rows, and 4 are available.
    assert batch_that_fits(64, 12 * GIB) == 32
    # 15 GiB are kept, more than the pass needed, and 1 is available.
    assert batch_that_fits(16, 12 * GIB) == 8
    # Not even one row.
    assert batch_that_fits(1, GIB) == 0
    assert batch_that_fits(8, 17 * GIB) == 0


@pytest.mark.usefixtures("small_gpu")
@pytest.mark.parametrize(
    "error",
    [
        OUT_OF_MEMORY,
        RuntimeError("CUDA error: out of memory\nCUDA kernel errors might be …"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    ],
    ids=["torch", "driver", "cublas"],
)
def test_gpu_out_of_memory_is_explained_in_one_line(error: Exception) -> None:
    with (
        pytest.raises(InputError) as raised,
        within_gpu_memory("scoring", lambda: "lower `evaluation_batch_size`, which is 64 here"),
    ):
        raise error
    message = str(raised.value)
    assert message.startswith(
        f"scoring needs more GPU memory than there is {GPU_MEMORY}; lower `evaluation_batch_size`"
    )
    assert "run the same command again" in message and "\n" not in message


def test_other_errors_are_not_changed() -> None:
    with pytest.raises(RuntimeError, match="shapes"), within_gpu_memory("a", lambda: "b"):
        raise RuntimeError("shapes cannot be multiplied")


def batches(rows: int) -> Callable[[], Any]:
    return lambda: iter([[{"x": torch.ones(rows, 1) * i}] for i in range(1, 5)])


def model() -> nn.Module:
    torch.manual_seed(1)
    return nn.Linear(1, 1)


@pytest.mark.usefixtures("small_gpu")
@pytest.mark.parametrize(
    ("size", "advice"),
    [
        (None, "`device_batch_size` is 32 here, and by an estimate 16 would fit"),
        (8, "`device_batch_size` is 8 here, and by an estimate 4 would fit"),
        (1, "not even one row would fit: set `gradient_checkpointing: true`"),
    ],
)
def test_out_of_memory_training_names_a_batch_size_and_continues(
    size: int | None, advice: str, tmp_path: Path
) -> None:
    calls = 0

    def loss(model: nn.Module, batch: Batch) -> torch.Tensor:
        nonlocal calls
        calls += 1
        if calls == 3:
            raise OUT_OF_MEMORY
        return model(batch["x"]).square().mean()

    options = TrainingOptions(
        learning_rate=0.1, batch_size=32, device_batch_size=size, checkpoint_every=1
    )
    arguments: dict[str, Any] = {
        "steps": 4,
        "options": options,
        "seed": 1,
        "description": "ner on a",
    }
    with pytest.raises(InputError) as raised:
        train(model(), batches(32), loss, checkpoint=tmp_path / "checkpoint", **arguments)
    message = str(raised.value)
    assert message.startswith("step 3 of 4 (ner on a) needs more GPU memory than there is (NVIDIA")
    assert advice in message and "\n" not in message
    resumed = train(model(), batches(32), loss, checkpoint=tmp_path / "checkpoint", **arguments)
    assert calls == 5  # steps one and two were not repeated
    assert resumed == pytest.approx(train(model(), batches(32), loss, **arguments))


@pytest.mark.usefixtures("small_gpu")
def test_out_of_memory_alignment_names_the_key_to_lower(monkeypatch: pytest.MonkeyPatch) -> None:
    def raise_out_of_memory(*_: Any) -> torch.Tensor:
        raise OUT_OF_MEMORY

    monkeypatch.setattr(alignment, "info_nce", raise_out_of_memory)
    pairs = TranslationPairs(np.array([[0, 1], [2, 3]]), np.array([0, 1]))
    with pytest.raises(InputError) as raised:
        align(torch.randn(4, 3), pairs, seed=1, batch_size=2, steps=2)
    message = str(raised.value)
    assert message.startswith("CLSA needs more GPU memory")
    assert "lower `alignment.training.batch_size`, which is 2" in message


@pytest.mark.usefixtures("small_gpu")
def test_out_of_memory_kmeans_names_the_needed_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    def raise_out_of_memory(*_: Any, **__: Any) -> None:
        raise OUT_OF_MEMORY

    monkeypatch.setattr(kmeans_module, "_cluster", raise_out_of_memory)
    with pytest.raises(InputError, match=r"K-Means .* takes some 0\.0 GiB"):
        kmeans(torch.randn(40, 3), 4, metric="cosine", seed=1)


def test_memory_of_the_largest_kmeans_matches_the_docstring() -> None:
    """6 GB in total, as in the docstring of the module."""
    assert 5e9 < kmeans_module._device_bytes(901_629, 360_652, 768) < 6.5e9


# Unusable GPUs


@pytest.mark.parametrize(
    ("error", "remedy"),
    [
        (
            RuntimeError("CUDA error: CUDA-capable device(s) is/are busy or unavailable\nCUDA …"),
            "another process has it to itself",
        ),
        (
            RuntimeError(
                "The NVIDIA driver on your system is too old (found version 11040). Please update"
            ),
            "update the NVIDIA driver",
        ),
        (
            RuntimeError("cudaErrorInsufficientDriver: CUDA driver version is insufficient for …"),
            "update the NVIDIA driver",
        ),
        (
            RuntimeError("CUDA error: no kernel image is available for execution on the device"),
            "this build of torch has no code for it",
        ),
    ],
    ids=["busy", "torch's driver", "cupy's driver", "old card"],
)
def test_unusable_gpu_is_reported_in_one_line(
    error: Exception, remedy: str, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    snakemake = SimpleNamespace(rule="pretrain", threads=1, log=[str(log)], resources={"gpu": 0})
    with pytest.raises(SystemExit) as ended, job(snakemake):
        raise error
    assert ended.value.code == 1
    (line,) = log.read_text(encoding="utf-8").splitlines()
    assert "pretrain: the GPU cannot be used (RuntimeError: " in line and remedy in line


def test_job_log_names_its_gpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,6")
    monkeypatch.setattr(gpus, "require_gpus", lambda count: None)
    log = tmp_path / "log"
    snakemake = SimpleNamespace(rule="align", threads=1, log=[str(log)], resources={"gpu": 1})
    with job(snakemake):
        assert os.environ["CUDA_VISIBLE_DEVICES"] == "4"
    assert log.read_text(encoding="utf-8").rstrip().endswith("uses GPU 4 of this machine")


def test_job_log_says_that_no_gpu_is_reserved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """torch finds a GPU that nvidia-smi does not list."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(gpus, "require_gpus", lambda count: None)
    log = tmp_path / "log"
    snakemake = SimpleNamespace(rule="align", threads=1, log=[str(log)], resources={"gpu": 1})
    with job(snakemake):
        pass
    assert "nvidia-smi is missing and CUDA_VISIBLE_DEVICES is not set" in log.read_text("utf-8")
