"""One run of the measurements: their sizes, their time, and the file that keeps the results."""

import contextlib
import datetime
import gc
import os
import signal
import statistics
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import torch

from semantic_tokens.files import write_json


class Absent(Exception):
    """What a measurement needs is not here; the text says what."""


class OutOfTimeError(BaseException):
    """The time limit is reached. Not an Exception, so that nothing below takes it for an error."""


@dataclass(frozen=True)
class Sizes:
    """How large the measurements are.

    Attributes:
        name: ``full`` or ``tiny``.
        rows, columns: of mBERT's embedding.
        largest: rows and clusters of XLM-V at 40%, with the same columns.
        compared_rows: of K-Means on the GPU and the CPU, at all ratios.
        layers, heads, feed_forward: of mBERT.
        batch, length: sequences and tokens of a pretraining step.
        steps: of pretraining that are measured for each row of Table 3.
        compared_batch, compared_length, compared_steps: of trainings whose losses are compared.
        texts, text_length: that are encoded.
        queries, passages: of the search.
        matrix: rows and columns of the products that give the floor.
        contenders_passes: of each K-Means of another library.
    """

    name: str
    rows: int
    columns: int
    largest: tuple[int, int]
    compared_rows: int
    layers: int
    heads: int
    feed_forward: int
    batch: int
    length: int
    steps: int
    compared_batch: int
    compared_length: int
    compared_steps: int
    texts: int
    text_length: int
    queries: int
    passages: int
    matrix: int
    contenders_passes: int = 25


FULL = Sizes(
    name="full",
    rows=119_547,
    columns=768,
    largest=(901_629, 360_652),
    compared_rows=12_000,
    layers=12,
    heads=12,
    feed_forward=3072,
    batch=128,
    length=256,
    steps=15,
    compared_batch=16,
    compared_length=128,
    compared_steps=12,
    texts=20_000,
    text_length=128,
    queries=1_000,
    passages=200_000,
    matrix=8192,
)
TINY = Sizes(
    name="tiny",
    rows=1_200,
    columns=32,
    largest=(2_000, 800),
    compared_rows=400,
    layers=1,
    heads=2,
    feed_forward=64,
    batch=4,
    length=16,
    steps=7,
    compared_batch=4,
    compared_length=16,
    compared_steps=6,
    texts=24,
    text_length=12,
    queries=6,
    passages=50,
    matrix=128,
    contenders_passes=5,
)


class Run:
    """Runs sections one after another, and keeps what each has measured as soon as it is there.

    Args:
        path: of the JSON file.
        limit: seconds for all of it.
    """

    def __init__(self, path: Path, sizes: Sizes, limit: float) -> None:
        self.path, self.sizes, self.limit = path, sizes, limit
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.began = time.monotonic()
        self.results: dict[str, Any] = {
            "sizes": sizes.name,
            "began": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            "time_limit_seconds": limit,
            "sections": {},
        }
        self._is_over = False

    @property
    def left(self) -> float:
        """Seconds until the limit."""
        return self.limit - (time.monotonic() - self.began)

    def save(self) -> None:
        """Write the results so far, whole or not at all."""
        self.results["seconds"] = round(time.monotonic() - self.began, 1)
        write_json(self.results, self.path)

    def section(self, name: str, function: Callable[["Run", dict[str, Any]], None]) -> None:
        """Run one section, which puts what it measures into a dictionary.

        What is missing, an error, and the end of the time are noted, and the next section follows.
        """
        values: dict[str, Any] = {}
        section: dict[str, Any] = {"status": "cut off", "values": values}
        self.results["sections"][name] = section
        began = time.monotonic()
        print(f"{name} …", file=sys.stderr, flush=True)
        try:
            if self._is_over:
                raise OutOfTimeError
            with self._within_limit():
                free_memory(self.device)
                function(self, values)
            section["status"] = "done"
        except Absent as missing:
            section |= {"status": "absent", "why": str(missing)}
        except OutOfTimeError:
            self._is_over = True
            section |= {"status": "out of time", "why": f"the limit is {self.limit:.0f} s"}
        except Exception as error:
            section |= failure(error)
        section["seconds"] = round(time.monotonic() - began, 2)
        print(
            f"{name}: {section['status']} after {section['seconds']:.1f} s"
            + (f" ({section['why']})" if "why" in section else ""),
            file=sys.stderr,
            flush=True,
        )
        self.save()

    @contextlib.contextmanager
    def _within_limit(self) -> Iterator[None]:
        """Raise OutOfTimeError in the body when the time is over."""

        def stop(_: int, __: FrameType | None) -> None:
            raise OutOfTimeError

        if self.left <= 0:
            raise OutOfTimeError
        before = signal.signal(signal.SIGALRM, stop)
        signal.setitimer(signal.ITIMER_REAL, self.left)
        try:
            yield
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)


def one_line(error: BaseException) -> str:
    """The first line of what an error says."""
    return (str(error).strip().splitlines() or [""])[0][:300]


def failure(error: Exception) -> dict[str, str]:
    """What is kept of an error, whose traceback is printed."""
    traceback.print_exception(error)
    return {"status": "failed", "why": f"{type(error).__name__}: {one_line(error)}"}


def attempt(values: dict[str, Any], measure: Callable[[], dict[str, Any]]) -> None:
    """Add what is measured; or that the memory did not suffice, or that something is absent."""
    try:
        values |= measure()
    except Absent as missing:
        values |= {"status": "absent", "why": str(missing)}
    except Exception as error:
        from semantic_tokens.jobs.gpus import is_out_of_gpu_memory

        caused = error.__cause__ or error
        if is_out_of_gpu_memory(caused):
            values |= {"status": "out of memory", "why": one_line(caused)}
        else:
            values |= failure(error)
    else:
        values.setdefault("status", "done")


def free_memory(device: torch.device) -> None:
    """Give back what earlier measurements left, so that each begins alike."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()


def wait(device: torch.device) -> None:
    """Until the device has done what it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize()


def median_seconds(device: torch.device, work: Callable[[], Any], times: int = 5) -> float:
    """The median time of some work, after a first time that does not count."""
    work()
    taken = []
    for _ in range(times):
        wait(device)
        began = time.perf_counter()
        work()
        wait(device)
        taken.append(time.perf_counter() - began)
    return statistics.median(taken)


class PeakMemory:
    """How far the device's memory rises while the body runs, whichever library takes it.

    It is looked at every few milliseconds: that of the GPU, or without one the process's own.

    Attributes:
        bytes: the rise, once the body has ended.
    """

    def __init__(self, device: torch.device, every: float = 0.005) -> None:
        self.device, self.every, self.bytes = device, every, 0

    def _used(self) -> int:
        if self.device.type == "cuda":
            free, total = torch.cuda.mem_get_info()
            return total - free
        pages = Path("/proc/self/statm").read_text(encoding="ascii").split()[1]
        return int(pages) * os.sysconf("SC_PAGE_SIZE")

    def _watch(self) -> None:
        while not self._ended.wait(self.every):
            self._peak = max(self._peak, self._used())

    def __enter__(self) -> "PeakMemory":
        free_memory(self.device)
        self._before = self._peak = self._used()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        wait(self.device)
        self._ended.set()
        self._thread.join()
        self.bytes = max(self._peak, self._used()) - self._before
