import pytest
import torch
from torch import nn

from semantic_tokens.jobs.device import device_name
from semantic_tokens.jobs.efficiency import parameter_count, peak_memory, steps_per_second


def test_tied_parameters_count_once() -> None:
    first, second = nn.Linear(3, 5), nn.Linear(3, 5, bias=False)
    second.weight = first.weight
    assert parameter_count(nn.Sequential(first, second)) == 3 * 5 + 5


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        ([9.0] * 5 + [0.5, 0.25, 7.0], 2.0),  # neither the first steps nor a pause
        ([0.5, 0.25, 7.0], 2.0),  # no others are left
        ([], None),
    ],
)
def test_speed_is_the_median_of_the_steps(seconds: list[float], expected: float | None) -> None:
    assert steps_per_second(seconds) == expected


def test_peak_memory_includes_allocated_tensors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)  # the process is measured
    before = peak_memory()["peak_memory_bytes"]
    used = torch.ones(before // 4 + 50_000_000)  # more than there was, in float32
    after = peak_memory()
    assert after["memory_of"] == "process"
    assert after["peak_memory_bytes"] > used.numel() * used.element_size()
    assert f"{torch.get_num_threads()} thread" in device_name()
