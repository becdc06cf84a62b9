"""Results that must agree on a GPU and a CPU: the sections of ``benchmarks/gpu.py`` in small sizes.

    python -m pytest tests/gpu

Without a CUDA device the tests are skipped (docs/performance.md).
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

BENCHMARKS = str(Path(__file__).resolve().parents[2] / "benchmarks")

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")


@pytest.fixture
def measure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[Callable[..., None]], dict[str, Any]]:
    """A function that runs a section after the sections that it needs, and returns its results."""
    monkeypatch.syspath_prepend(BENCHMARKS)
    from on_gpu import machine
    from on_gpu.run import TINY, Run

    sizes = replace(TINY, rows=6_000, columns=128, compared_rows=6_000, layers=2, feed_forward=256)
    run = Run(tmp_path / "gpu.json", sizes, 600)
    run.section("floors", machine.floors)

    def values(section: Callable[..., None]) -> dict[str, Any]:
        run.section("this", section)
        found = run.results["sections"]["this"]
        if found["status"] == "absent":
            pytest.skip(found["why"])
        assert found["status"] == "done", found
        return found["values"]

    return values


def verdicts(found: Any) -> Iterator[tuple[Any, bool]]:
    """All comparisons in the results, and whether they agree."""
    if isinstance(found, dict):
        if "holds" in found:
            yield found, found["holds"]
        for value in found.values():
            yield from verdicts(value)
    elif isinstance(found, list):
        for value in found:
            yield from verdicts(value)


@pytest.mark.parametrize(
    "section",
    [
        "clustering.agreement",
        "pretraining.precision",
        "pretraining.resume",
        "pretraining.processes",
        "retrieval.gradient_caching",
    ],
)
def test_gpu_and_cpu_results_agree(section: str, measure: Callable[..., dict[str, Any]]) -> None:
    import importlib

    module, _, name = section.partition(".")
    found = measure(getattr(importlib.import_module(f"on_gpu.{module}"), name))
    comparisons = list(verdicts(found))
    assert comparisons and all(holds for _, holds in comparisons), comparisons


def test_gpu_search_finds_the_same_passages_as_numpy(
    measure: Callable[..., dict[str, Any]],
) -> None:
    from on_gpu.retrieval import encode_and_search

    assert measure(encode_and_search)["search"]["first_ten_are_numpys"]
