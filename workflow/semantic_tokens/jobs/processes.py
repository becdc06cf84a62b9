"""A training in several processes on this machine, one per GPU, with torchrun's launcher."""

import contextlib
import logging
import os
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
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
    with tempfile.TemporaryDirectory(prefix="processes-") as folder:
        return _launched(
            lambda: elastic_launch(config, _call)(files, folder, function, args, named), folder
        )


def _launched(launch: Callable[[], dict[int, Any]], folder: str) -> Any:
    """Launch processes, and turn their end into a result or an exception of :func:`in_processes`.

    Args:
        folder: where a process with an InputError writes its message before it ends. The launcher
            then ends the others, which may be waiting for it.
    """
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError

    launcher = logging.getLogger("torch.distributed.elastic")
    level = launcher.level
    # The launcher logs what it also raises.
    launcher.setLevel(logging.CRITICAL)
    try:
        with _no_main_script(), _same_signal_handlers():
            results = launch()
    except SignalException as error:  # the processes have ended
        if error.sigval == signal.SIGINT:
            raise KeyboardInterrupt from error
        raise SystemExit(128 + error.sigval) from error
    except ChildFailedError as error:
        if messages := sorted(Path(folder).iterdir()):
            raise InputError(messages[0].read_text(encoding="utf-8")) from None
        _, failure = error.get_first_failure()
        if failure.exitcode != -signal.SIGKILL:
            raise
        raise InputError(
            f"one of the processes was killed from outside (process {failure.pid}), as "
            "happens if there is too little memory; lower `device_batch_size` or raise "
            "`memory_mb.training` in the config, and run the same command again: it continues from its "
            "checkpoint"
        ) from error
    finally:
        launcher.setLevel(level)
    return results[0]


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
    log_files: list[str],
    folder: str,
    function: Callable[..., Any],
    args: tuple[Any, ...],
    named: dict[str, Any],
) -> Any:
    import torch

    if is_first_process():
        log_to(log_files)
    # All processes share the CPUs of the job.
    torch.set_num_threads(max(1, torch.get_num_threads() // process_count()))
    try:
        result = function(*args, **named)
    except InputError as error:
        (Path(folder) / os.environ["RANK"]).write_text(str(error), encoding="utf-8")
        raise SystemExit(1) from None
    return result if is_first_process() else None
