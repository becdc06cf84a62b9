"""What every job does around its work."""

import contextlib
import errno
import logging
import os
import sys
from collections.abc import Iterator
from typing import Any

from semantic_tokens.errors import InputError


@contextlib.contextmanager
def job(snakemake: Any) -> Iterator[logging.Logger]:
    """Run a script's work: log to the rule's log file and to the terminal, use the
    threads that the rule was given, and end an :class:`InputError` in one line.

    So ends a full disk. Any other exception keeps its traceback, in the log file: it is our
    defect.
    """
    for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ[variable] = str(snakemake.threads)
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    handlers: list[logging.Handler] = [logging.StreamHandler(sys.stderr)]
    handlers += [logging.FileHandler(path, encoding="utf-8") for path in snakemake.log]
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(message)s", handlers=handlers, force=True
    )
    log = logging.getLogger(snakemake.rule)
    try:
        yield log
    except InputError as error:
        log.error("%s: %s", snakemake.rule, error)
        sys.exit(1)
    except Exception as error:
        if _tells_of_a_full_disk(error):
            log.error(
                "%s: a disk that it writes to is full (%s); free some room and run the same command "
                "again: what is finished is kept",
                snakemake.rule,
                " ".join(str(error).split()),
            )
            sys.exit(1)
        log.exception("%s failed; this is a defect, please report it with this log", snakemake.rule)
        raise


def _tells_of_a_full_disk(error: BaseException | None) -> bool:
    """Whether an exception, or what it was raised from, is one of a disk without room.

    Libraries raise it as their own: safetensors as text, torch as a writer that is not where it
    should be."""
    signs = (
        "No space left on device",
        "Disk quota exceeded",
        "PytorchStreamWriter failed",
        "fail at inline_container.cc",
    )
    while error is not None:
        number = error.errno if isinstance(error, OSError) else None
        if number in (errno.ENOSPC, errno.EDQUOT) or any(sign in str(error) for sign in signs):
            return True
        error = error.__cause__ or error.__context__
    return False
