"""A training in several processes on this machine, one per GPU, with torchrun's launcher."""

import contextlib
import logging
import os
import signal
import sys
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from semantic_tokens.errors import InputError
from semantic_tokens.jobs.job import log_to

Result = TypeVar("Result")


def process_count() -> int:
    """The number of processes of this training."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def is_first_process() -> bool:
    """Whether this is the process that writes and evaluates."""
    return os.environ.get("RANK", "0") == "0"


def in_processes(count: int, function: Callable[..., Result], *args: Any, **named: Any) -> Result:
    """Call a function in ``count`` processes that train together. Return the result of the first.

    Args:
        count: the number of processes. 1 calls the function directly; with more, function and
            arguments must be picklable.

    Raises:
        InputError: the function raised one, or a process was killed.
        KeyboardInterrupt, SystemExit: this process received a signal to end; the others have ended.
    """
    if count <= 1:
        return function(*args, **named)
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    config = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=count,
        run_id=str(os.getpid()),
        rdzv_backend="c10d",
        rdzv_endpoint="localhost:0",
        max_restarts=0,
        start_method="spawn",
    )
    files = [
        handler.baseFilename
        for handler in logging.getLogger().handlers
        if isinstance(handler, logging.FileHandler)
    ]
    try:
        with _no_main_script(), _same_signal_handlers():
            results = elastic_launch(config, _call)(files, function, args, named)
    except SignalException as error:  # the processes have ended
        if error.sigval == signal.SIGINT:
            raise KeyboardInterrupt from error
        raise SystemExit(128 + error.sigval) from error
    except ChildFailedError as error:
        _, failure = error.get_first_failure()
        if failure.exitcode != -signal.SIGKILL:
            raise
        raise InputError(
            f"one of the {count} processes was killed from outside (process {failure.pid}), as "
            "happens if there is too little memory; lower `device_batch_size` or raise "
            "`memory_mb.training` in the config, and run the same command again: it continues from its "
            "checkpoint"
        ) from error
    message, result = results[0]
    if message is not None:
        raise InputError(message)
    return result


@contextlib.contextmanager
def _no_main_script() -> Iterator[None]:
    """Hide the main script from processes that are started in the body.

    Otherwise they would import it, and a script of Snakemake does all its work at import.
    """
    main = sys.modules["__main__"].__dict__
    hidden = {"__file__": main.pop("__file__")} if "__file__" in main else {}
    try:
        yield
    finally:
        main.update(hidden)


@contextlib.contextmanager
def _same_signal_handlers() -> Iterator[None]:
    """Restore the signal handlers after the body, because torch's launcher replaces them."""
    numbers = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT)
    before = {number: signal.getsignal(number) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _call(
    log_files: list[str], function: Callable[..., Any], args: tuple[Any, ...], named: dict[str, Any]
) -> tuple[str | None, Any]:
    import torch

    if is_first_process():
        log_to(log_files)
    # All processes share the CPUs of the job.
    torch.set_num_threads(max(1, torch.get_num_threads() // process_count()))
    try:
        result = function(*args, **named)
    except InputError as error:
        return str(error), None
    return None, result if is_first_process() else None
