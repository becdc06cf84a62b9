"""Repetitions of the entire pipeline, to measure the variation between them.

A replicate has its own seeds in every step: alignment, grouping, pretraining and fine-tuning. Its
files are in folders like those of another backbone, ``{backbone}.replicate-2`` and so on. The first
replicate has the backbone's name.
"""

import re
from collections.abc import Mapping
from typing import Any

#: The difference between the seeds of two replicates, larger than the number of seeds in a study.
SEEDS_APART = 1000

_NAME = re.compile(r"(.+)\.replicate-(\d+)")


def in_replicate(backbone: str, replicate: int) -> str:
    """The name of a backbone in a replicate, from 1 on.

    >>> in_replicate("mbert", 1), in_replicate("mbert", 2)
    ('mbert', 'mbert.replicate-2')
    """
    return backbone if replicate == 1 else f"{backbone}.replicate-{replicate}"


def split_replicate(name: str) -> tuple[str, int]:
    """The backbone and the replicate of :func:`in_replicate`'s name."""
    parts = _NAME.fullmatch(name)
    return (parts[1], int(parts[2])) if parts else (name, 1)


def seed_in(seed: int, replicate: int) -> int:
    """A seed of the configuration, changed for a replicate."""
    return seed + SEEDS_APART * (replicate - 1)


def reseeded(options: Mapping[str, Any], replicate: int) -> dict[str, Any]:
    """Options with every ``seed``, at any depth, changed for a replicate.

    >>> reseeded({"training": {"seed": 1, "epochs": 2}}, 3)
    {'training': {'seed': 2001, 'epochs': 2}}
    """
    changed: dict[str, Any] = {}
    for key, value in options.items():
        if isinstance(value, Mapping):
            changed[key] = reseeded(value, replicate)
        else:
            changed[key] = seed_in(value, replicate) if key == "seed" else value
    return changed
