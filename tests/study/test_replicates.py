import re

import pytest

from semantic_tokens.study.recipe import PATTERNS, Recipe
from semantic_tokens.study.replicates import in_replicate, reseeded, seed_in, split_replicate


@pytest.mark.parametrize("replicate", [1, 2, 31])
def test_replicate_name_is_split_into_backbone_and_number(replicate: int) -> None:
    name = in_replicate("me5-2x12k", replicate)
    assert split_replicate(name) == ("me5-2x12k", replicate)
    assert re.fullmatch(PATTERNS["backbone"], name)
    assert Recipe(name).path.startswith(f"{name}/unaligned/")


def test_the_first_replicate_changes_nothing() -> None:
    options = {"seed": 3, "training": {"seed": 1, "adam_betas": [0.9, 0.99]}}
    assert reseeded(options, 1) == options
    assert in_replicate("b", 1) == "b"


def test_replicate_changes_every_seed_and_nothing_else() -> None:
    options = {"seed": 3, "training": {"seed": 1, "learning_rate": 0.1}, "seeds": [1]}
    changed = reseeded(options, 2)
    assert changed == {"seed": 1003, "training": {"seed": 1001, "learning_rate": 0.1}, "seeds": [1]}
    assert len({seed_in(seed, r) for seed in range(100) for r in range(1, 20)}) == 100 * 19
