"""Common parts of the benchmarks: contenders in turn, each in a separate process, and rates.

Each run is a new process, so contenders do not share memory and caches. Contenders alternate
(A B A B …), so changes of the machine's speed affect both.
"""

import argparse
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

MIB = 2**20


@dataclass
class Measurement:
    """One run of one contender.

    Attributes:
        seconds: wall time of the measured part.
        peak_bytes: the rise of the process's memory during this part.
        quality: the value for comparing results: loss, objective, score or ids.
    """

    seconds: float = 0.0
    peak_bytes: int = 0
    quality: dict[str, Any] = field(default_factory=dict)


@contextmanager
def measured() -> Iterator[Measurement]:
    """Measure the time and the rise of memory in the body."""
    found = Measurement()
    _forget_peak()
    before = _status("VmRSS")
    began = time.perf_counter()
    yield found
    found.seconds = time.perf_counter() - began
    found.peak_bytes = _status("VmHWM") - before


def _forget_peak() -> None:
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


def _status(key: str) -> int:
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith(f"{key}:"))) * 1024


def parser(description: str | None, rounds: int) -> argparse.ArgumentParser:
    """The common options of benchmarks."""
    first = (description or "").strip().partition("\n")[0]
    made = argparse.ArgumentParser(description=first)
    made.add_argument("--rounds", type=int, default=rounds, help="turns of each contender")
    made.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    made.add_argument("--run", help=argparse.SUPPRESS)  # the contender of this process
    made.add_argument("--round", type=int, default=1, help=argparse.SUPPRESS)
    return made


def report(found: Measurement) -> None:
    """Print the result of a contender's process."""
    print(json.dumps(asdict(found)), flush=True)


def in_turn(
    contenders: Mapping[str, Sequence[str]],
    *,
    rounds: int,
    threads: int,
    environment: Mapping[str, Mapping[str, str]] | None = None,
) -> dict[str, list[Measurement]]:
    """Run the calling script once per contender and round, with ``--run``, ``--round`` (from 1) and
    these arguments.

    Args:
        contenders: name -> further arguments of the script.
        environment: name -> environment variables for this contender.

    Raises:
        SystemExit: a contender failed.
    """
    measurements: dict[str, list[Measurement]] = {name: [] for name in contenders}
    for number in range(rounds):
        for name, arguments in contenders.items():
            variables = dict.fromkeys(
                ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), str(threads)
            )
            variables |= (environment or {}).get(name, {})
            command = [sys.executable, sys.argv[0], "--run", name, "--threads", str(threads)]
            command += ["--round", str(number + 1)]
            answer = subprocess.run(
                [*command, *arguments],
                env=os.environ | variables,
                capture_output=True,
                encoding="utf-8",
                check=False,
            )
            if answer.returncode:
                sys.exit(f"{name} failed:\n{answer.stderr}")
            found = Measurement(**json.loads(answer.stdout.splitlines()[-1]))
            measurements[name].append(found)
            print(
                f"  round {number + 1}, {name}: {found.seconds:.2f} s, "
                f"{found.peak_bytes / MIB:,.0f} MiB, {_short(found.quality)}",
                flush=True,
            )
    return measurements


def ratio(slower: Sequence[Measurement], faster: Sequence[Measurement]) -> str:
    """The ratio of the times by round: the median, and the range."""
    values = [s.seconds / f.seconds for s, f in zip(slower, faster, strict=True)]
    return f"{statistics.median(values):.2f} ({min(values):.2f} to {max(values):.2f})"


def median_seconds(measurements: Sequence[Measurement]) -> float:
    return statistics.median(found.seconds for found in measurements)


def peak_bytes(measurements: Sequence[Measurement]) -> int:
    return max(found.peak_bytes for found in measurements)


def demand(holds: bool, what: str) -> None:
    """End the benchmark if the compared results differ."""
    if not holds:
        sys.exit(f"NOT COMPARABLE: {what}")


def matmul_rate(rows: int, inner: int, columns: int, seconds: float = 2.0) -> float:
    """Floating point operations per second of torch's float32 matrix product of this shape: the
    best rate during these seconds. The floor uses this rate."""
    import torch

    left, right = torch.randn(rows, inner), torch.randn(columns, inner)
    out = torch.empty(rows, columns)
    best, deadline = float("inf"), time.perf_counter() + seconds
    while time.perf_counter() < deadline:
        began = time.perf_counter()
        torch.mm(left, right.T, out=out)
        best = min(best, time.perf_counter() - began)
    return 2 * rows * inner * columns / best


def bandwidth(megabytes: float = 1024, seconds: float = 2.0) -> float:
    """Bytes per second that memory reads and writes: the best rate during these seconds, of a copy
    or of changes in place."""
    import torch

    source = torch.ones(int(megabytes * MIB) // 4)
    target = source.clone()  # so that its pages exist before the first copy
    best, deadline = float("inf"), time.perf_counter() + seconds
    while time.perf_counter() < deadline:
        for change in (lambda: target.copy_(source), lambda: source.neg_()):
            began = time.perf_counter()
            change()
            best = min(best, time.perf_counter() - began)
    return 2 * source.nbytes / best


def step_clock(seconds: list[float]) -> Any:
    """A callback of transformers' ``Trainer`` that appends the time of each step."""
    from transformers import TrainerCallback

    class Clock(TrainerCallback):
        def on_step_begin(self, *_: Any, **__: Any) -> None:
            self.began = time.perf_counter()

        def on_step_end(self, *_: Any, **__: Any) -> None:
            seconds.append(time.perf_counter() - self.began)

    return Clock()


def machine(threads: int) -> str:
    """One line that describes the machine."""
    import torch

    model = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text("utf-8").splitlines()
            if line.startswith("model name")
        ),
        platform.processor(),
    )
    return (
        f"{model}, {threads} threads; Python {platform.python_version()}, torch {torch.__version__}"
    )


def children_seconds() -> float:
    """Processor time of all finished child processes."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _short(quality: Mapping[str, Any]) -> str:
    parts = []
    for name, value in quality.items():
        if isinstance(value, float):
            parts.append(f"{name} {value:.6g}")
        elif isinstance(value, int | str):
            parts.append(f"{name} {value}")
    return ", ".join(parts)
