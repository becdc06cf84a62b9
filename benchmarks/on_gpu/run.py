"""One run of the measurements: sizes, time limit, and the file of results."""

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

from semantic_tokens.json_files import write_json


class Absent(Exception):
    """A requirement of a measurement is missing; the text names it."""


class OutOfTimeError(BaseException):
    """The time limit is reached.

    It is not an Exception, so other code does not handle it as an error.
    """


@dataclass(frozen=True)
class Sizes:
    """The sizes of the measurements.

    Attributes:
        name: ``full`` or ``tiny``.
        rows, columns: the shape of mBERT's embedding.
        largest: rows and clusters of XLM-V at 40%, with the same columns.
        compared_rows: rows of K-Means on the GPU and the CPU, at all ratios.
        layers, heads, feed_forward: mBERT's sizes.
        batch, length: sequences and tokens of a pretraining step.
        steps: measured pretraining steps for each row of Table 3.
        compared_batch, compared_length, compared_steps: sizes of trainings whose losses are
            compared.
        texts, text_length: number and length of encoded texts.
        queries, passages: sizes of the search.
        matrix: rows and columns of the products for the floor.
        contenders_passes: passes of the K-Means of other libraries.
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
    """Runs sections one after another, and saves the results of each immediately.

    Args:
        path: the JSON file.
        limit: the time limit in seconds.
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
        """Write the results so far atomically."""
        self.results["seconds"] = round(time.monotonic() - self.began, 1)
        write_json(self.results, self.path)

    def section(self, name: str, function: Callable[["Run", dict[str, Any]], None]) -> None:
        """Run one section, which writes its results into a dictionary.

        Missing requirements, errors and the time limit are recorded, and the next section follows.
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
        """Raise OutOfTimeError in the body when the time limit is reached."""

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
    """The first line of an error's message."""
    return (str(error).strip().splitlines() or [""])[0][:300]


def failure(error: Exception) -> dict[str, str]:
    """The record of an error. Its traceback is printed."""
    traceback.print_exception(error)
    return {"status": "failed", "why": f"{type(error).__name__}: {one_line(error)}"}


def attempt(values: dict[str, Any], measure: Callable[[], dict[str, Any]]) -> None:
    """Add the measured values, or a record of insufficient memory or of a missing requirement."""
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
    """Free the memory of earlier measurements, so that all start in the same way."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()


def wait(device: torch.device) -> None:
    """Wait until the device has finished."""
    if device.type == "cuda":
        torch.cuda.synchronize()


def median_seconds(device: torch.device, work: Callable[[], Any], times: int = 5) -> float:
    """The median time of some work, after a warm-up."""
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
    """The rise of the device's memory in the body, for all libraries together.

    It is read every few milliseconds: the memory of the GPU, or without one of the process.

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
