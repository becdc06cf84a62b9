"""Messages at the end of a job."""

import errno
import itertools
import logging
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pyarrow
import pytest
import torch

from semantic_tokens.errors import InputError
from semantic_tokens.jobs.job import job
from semantic_tokens.jobs.processes import in_processes
from semantic_tokens.training import TrainingOptions, train


@pytest.fixture
def snakemake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """The ``snakemake`` object of a script. Log handlers and environment are restored."""
    root = logging.getLogger()
    monkeypatch.setattr(root, "handlers", list(root.handlers))
    for variable in ("OMP", "MKL", "OPENBLAS", "RAYON"):
        monkeypatch.setenv(f"{variable}_NUM_THREADS", "1")
    monkeypatch.setenv("TRANSFORMERS_VERBOSITY", "error")
    return SimpleNamespace(rule="align", threads=1, log=[str(tmp_path / "align.log")])


def log_text(snakemake: SimpleNamespace) -> str:
    return Path(snakemake.log[0]).read_text(encoding="utf-8")


def chained_disk_error() -> Exception:
    try:
        try:
            raise OSError(errno.ENOSPC, "No space left on device")
        except OSError as error:
            raise ValueError("while writing") from error
    except ValueError as error:
        return error


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device", "results/a"),
        OSError(errno.EDQUOT, "Disk quota exceeded"),
        RuntimeError("Error while serializing: I/O error: No space left on device (os error 28)"),
        RuntimeError("[enforce fail] PytorchStreamWriter failed writing file data/3"),
        RuntimeError("[enforce fail at inline_container.cc:672] . unexpected pos 576 vs 534"),
        chained_disk_error(),
    ],
    ids=["disk", "quota", "safetensors", "torch", "torch-end", "cause"],
)
def test_a_full_disk_ends_in_one_line(snakemake: SimpleNamespace, error: Exception) -> None:
    with pytest.raises(SystemExit) as ended, job(snakemake):
        raise error
    assert ended.value.code == 1
    (line,) = log_text(snakemake).splitlines()
    assert "align: a disk that it writes to is full" in line and "free some space" in line


def memory_error_of(library: str) -> Exception:
    """The exception of a library without enough memory."""
    try:
        if library == "torch":
            torch.empty(2**60, dtype=torch.uint8)
        elif library == "numpy":
            np.empty(2**60, dtype=np.uint8)
        elif library == "pyarrow":
            pyarrow.allocate_buffer(2**60)
        else:
            bytearray(2**60)
    except Exception as error:
        return error
    raise AssertionError(library)


@pytest.mark.parametrize(
    "error",
    [
        *(memory_error_of(library) for library in ("torch", "numpy", "pyarrow", "python")),
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has …"),
        OSError(errno.ENOMEM, "Cannot allocate memory"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    ],
    ids=["torch", "numpy", "pyarrow", "python", "cuda", "system", "cublas"],
)
def test_too_little_memory_ends_in_one_line(snakemake: SimpleNamespace, error: Exception) -> None:
    with pytest.raises(SystemExit) as ended, job(snakemake):
        raise error
    assert ended.value.code == 1
    (line,) = log_text(snakemake).splitlines()
    assert "align: there is too little memory (" in line and "`device_batch_size`" in line


@pytest.mark.parametrize("threads", [1, 2])
def test_libraries_use_the_threads_of_the_rule(tmp_path: Path, threads: int) -> None:
    """In a separate process, since a library reads the number when it starts."""
    script = f"""
from types import SimpleNamespace
from semantic_tokens.jobs.job import job

with job(SimpleNamespace(rule="align", threads={threads}, log=[], resources={{}})):
    import os
    import torch
    from threadpoolctl import threadpool_info
    import numpy
    pools = {{pool["num_threads"] for pool in threadpool_info()}}
    print(torch.get_num_threads(), pools, os.environ["RAYON_NUM_THREADS"],
          os.environ["TOKENIZERS_PARALLELISM"])
"""
    environment = {k: v for k, v in os.environ.items() if k != "TOKENIZERS_PARALLELISM"}
    result = subprocess.run(
        [sys.executable, "-c", script],
        env=environment | {"PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        encoding="utf-8",
        check=True,
    )
    parallel = "true" if threads > 1 else "false"
    assert result.stdout.split() == [str(threads), f"{{{threads}}}", str(threads), parallel]


def test_memory_error_in_one_of_several_processes_is_reported(snakemake: SimpleNamespace) -> None:
    with pytest.raises(SystemExit), job(snakemake):
        in_processes(2, raise_memory_error)
    (line,) = log_text(snakemake).splitlines()
    assert "align: there is too little memory (" in line and "allocate" in line


def raise_memory_error() -> None:
    raise memory_error_of("torch")


def test_input_error_of_one_process_ends_those_that_wait_for_it(
    snakemake: SimpleNamespace,
) -> None:
    with pytest.raises(SystemExit), job(snakemake):
        in_processes(2, fail_in_the_second_process)
    (line,) = log_text(snakemake).splitlines()
    assert line.endswith("align: lexicon.tsv, line 2: fix it")


def fail_in_the_second_process() -> None:
    import torch

    torch.distributed.init_process_group("gloo")
    if os.environ["RANK"] == "1":
        raise InputError("lexicon.tsv, line 2: fix it")
    torch.distributed.barrier()


def test_input_error_ends_in_one_line(snakemake: SimpleNamespace) -> None:
    with pytest.raises(SystemExit), job(snakemake):
        raise InputError("lexicon.tsv, line 2: fix it")
    (line,) = log_text(snakemake).splitlines()
    assert line.endswith("align: lexicon.tsv, line 2: fix it")


def test_unexpected_error_keeps_its_traceback(snakemake: SimpleNamespace) -> None:
    with pytest.raises(OSError, match="an error other than a full disk"), job(snakemake):
        raise OSError(errno.EIO, "an error other than a full disk")
    assert "this is a bug" in log_text(snakemake) and "Traceback" in log_text(snakemake)


def test_a_job_without_its_gpus_ends_in_one_line(
    snakemake: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    snakemake.resources = {"gpu": 1}
    with pytest.raises(SystemExit), job(snakemake):
        raise AssertionError("the job has started")
    (line,) = log_text(snakemake).splitlines()
    assert "align: `gpus_per_job: 1` needs as many GPUs, and torch finds 0" in line


def test_a_job_that_uses_no_gpu_needs_none(snakemake: SimpleNamespace) -> None:
    snakemake.resources = {"gpu": 0, "mem_mb": 100}
    with job(snakemake) as log:
        log.info("done")
    assert log_text(snakemake).endswith("done\n")


def test_an_interrupted_job_ends_in_one_line(snakemake: SimpleNamespace) -> None:
    with pytest.raises(SystemExit) as ended, job(snakemake):
        raise KeyboardInterrupt
    assert ended.value.code == 130
    (line,) = log_text(snakemake).splitlines()
    assert "align was interrupted; run the same command again" in line


def test_accelerate_logs_nothing_about_checkpoints(
    snakemake: SimpleNamespace, tmp_path: Path
) -> None:
    model = torch.nn.Sequential(torch.nn.Linear(1, 1), torch.nn.Linear(1, 1))
    model[1].weight = model[0].weight  # tied, as an embedding and its decoder are
    with job(snakemake):
        train(
            model,
            lambda: itertools.repeat([{"x": torch.ones(1, 1)}]),
            lambda model, batch: model(batch["x"]).mean(),
            steps=4,
            options=TrainingOptions(learning_rate=0.1, batch_size=1, checkpoint_every=1),
            seed=1,
            checkpoint=tmp_path / "checkpoint",
            description="ner on a",
        )
    setup, end = log_text(snakemake).splitlines()
    assert "ner on a: " in setup and "ner on a: 4 steps, loss" in end
