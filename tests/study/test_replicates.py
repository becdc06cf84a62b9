import re

import pytest

from semantic_tokens.study.recipe import PATTERNS, Recipe
from semantic_tokens.study.replicates import in_replicate, reseeded, seed_in, split_replicate


@pytest.mark.parametrize("replicate", [1, 2, 31])
def test_a_name_is_split_as_it_was_put_together(replicate: int) -> None:
    name = in_replicate("me5-2x12k", replicate)
    assert split_replicate(name) == ("me5-2x12k", replicate)
    assert re.fullmatch(PATTERNS["backbone"], name)
    assert Recipe(name).path.startswith(f"{name}/unaligned/")


def test_the_first_replicate_changes_nothing() -> None:
    options = {"seed": 3, "training": {"seed": 1, "adam_betas": [0.9, 0.99]}}
    assert reseeded(options, 1) == options
    assert in_replicate("b", 1) == "b"


def test_every_seed_of_a_replicate_is_its_own_and_nothing_else_changes() -> None:
    options = {"seed": 3, "training": {"seed": 1, "learning_rate": 0.1}, "seeds": [1]}
    changed = reseeded(options, 2)
    assert changed == {"seed": 1003, "training": {"seed": 1001, "learning_rate": 0.1}, "seeds": [1]}
    assert len({seed_in(seed, r) for seed in range(100) for r in range(1, 20)}) == 100 * 19
