"""The common set-up of all jobs: logging, threads, GPUs, and error messages."""

import contextlib
import errno
import gc
import logging
import os
import signal
import sys
from collections.abc import Iterable, Iterator
from typing import Any

from semantic_tokens.errors import InputError, full_disk, message_with
from semantic_tokens.jobs.cluster.gpus import gpu_count


@contextlib.contextmanager
def job(snakemake: Any) -> Iterator[logging.Logger]:
    """Run a script's work.

    It logs to the rule's log file and to the terminal, uses the rule's number of threads and GPUs,
    and ends if Snakemake has ended. An :class:`InputError`, a full disk, too little memory, an
    unusable GPU and an interruption end in a one-line message. Any other exception is a bug, and
    its traceback is in the log.
    """
    from semantic_tokens.jobs.snakemake_run import end_with_snakemake

    # The threads of torch and numpy, and of tokenizers.
    for variable in (
        *("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"),
        "RAYON_NUM_THREADS",
    ):
        os.environ[variable] = str(snakemake.threads)
    os.environ.setdefault("TOKENIZERS_PARALLELISM", str(snakemake.threads > 1).lower())
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    # Otherwise every job would print a table of newly initialised weights.
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    log_to(snakemake.log)
    end_with_snakemake()
    log = logging.getLogger(snakemake.rule)
    try:
        with _gpus_of(snakemake, log):
            yield log
        # Otherwise Python collects all objects of the libraries before it ends, which takes nearly
        # a second in each of about 300 jobs.
        gc.freeze()
    except InputError as error:
        log.error("%s: %s", snakemake.rule, error)
        sys.exit(1)
    except KeyboardInterrupt:
        log.error(
            "%s was interrupted; run the same command again: finished results are kept, and a training "
            "continues from its checkpoint",
            snakemake.rule,
        )
        sys.exit(128 + signal.SIGINT)
    except Exception as error:
        if full := full_disk(error):
            log.error(
                "%s: a disk that it writes to is full (%s); free some space and run the same command "
                "again: finished results are kept",
                snakemake.rule,
                full,
            )
            sys.exit(1)
        if short := message_with(error, _TOO_LITTLE_MEMORY, errno.ENOMEM):
            log.error(
                "%s: there is too little memory (%s); end other programs, lower `device_batch_size` "
                "if it trains, or raise its `memory_mb` on a cluster, and run the same command "
                "again: finished results are kept, and a training continues from its checkpoint",
                snakemake.rule,
                short,
            )
            sys.exit(1)
        for signs, remedy in _UNUSABLE_GPU:
            if said := message_with(error, signs):
                log.error("%s: the GPU cannot be used (%s); %s", snakemake.rule, said, remedy)
                sys.exit(1)
        log.exception("%s failed; this is a bug; please report it with this log", snakemake.rule)
        raise


@contextlib.contextmanager
def _gpus_of(snakemake: Any, log: logging.Logger) -> Iterator[None]:
    """Reserve the GPUs that a rule requests, and check that torch finds them.

    Raises:
        InputError: torch does not find them.
    """
    count = gpu_count(getattr(snakemake, "resources", {}))
    if not count:
        yield
        return
    from semantic_tokens.jobs.gpu_devices import reserved_gpus

    with reserved_gpus(count) as names:
        from semantic_tokens.jobs.gpus import require_gpus

        require_gpus(count)
        if names:
            log.info("uses GPU %s of this machine", ", ".join(names))
        else:
            log.warning(
                "no GPU is reserved for this job, because nvidia-smi is missing and "
                "CUDA_VISIBLE_DEVICES is not set; jobs that run at the same time share the first GPU "
                "unless you set the variable"
            )
        yield


def log_to(files: Iterable[str]) -> None:
    """Log to the terminal and to these files."""
    handlers: list[logging.Handler] = [logging.StreamHandler(sys.stderr)]
    handlers += [logging.FileHandler(path, encoding="utf-8") for path in files]
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(message)s", handlers=handlers, force=True
    )
    # accelerate logs five lines per checkpoint, and a warning about tied weights.
    logging.getLogger("accelerate").setLevel(logging.ERROR)


# Signs of too little memory of the machine or a GPU, in this process or in another process of the
# same training.
_TOO_LITTLE_MEMORY = (
    "can't allocate memory",
    "not enough memory",
    "out of memory",
    "CUBLAS_STATUS_ALLOC_FAILED",
    "std::bad_alloc",
    "MemoryError",
)

# CUDA's errors for an unusable GPU, and what to do.
_UNUSABLE_GPU = (
    (
        ("busy or unavailable",),
        "another process has it to itself: wait until that ends, or name another GPU in "
        "CUDA_VISIBLE_DEVICES, and run the same command again: finished results are kept",
    ),
    (
        ("driver on your system is too old", "driver version is insufficient"),
        "update the NVIDIA driver, or set `gpus_per_job: 0` and CUDA_VISIBLE_DEVICES to nothing to "
        "compute on the CPU",
    ),
    (
        ("no kernel image is available",),
        "this build of torch has no code for it: name a newer GPU in CUDA_VISIBLE_DEVICES, or set "
        "`gpus_per_job: 0` and CUDA_VISIBLE_DEVICES to nothing to compute on the CPU",
    ),
)
