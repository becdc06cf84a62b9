"""What every job does around its work."""

import contextlib
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

    Any other exception keeps its traceback, in the log file: it is our defect.
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
    except Exception:
        log.exception("%s failed; this is a defect, please report it with this log", snakemake.rule)
        raise
