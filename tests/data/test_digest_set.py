"""The set of digests, compared with a set of Python."""

import random
import tracemalloc

import pytest

from semantic_tokens.data.digest_set import DigestSet


@pytest.mark.parametrize("recent", [1, 7, 1000])
def test_it_says_what_a_set_says(recent: int) -> None:
    draw = random.Random(1)
    seen, expected = DigestSet(recent), set[str]()
    for _ in range(500):
        text = f"ar-{draw.randrange(200)}#{draw.randrange(2)}"
        assert seen.add(text) == (text not in expected)
        expected.add(text)
        assert len(seen) == len(expected)


def test_what_is_empty_is_false() -> None:
    seen = DigestSet()
    assert not seen
    seen.add("")
    assert seen


def test_texts_take_eight_bytes_each() -> None:
    tracemalloc.start()
    seen = DigestSet(recent=2**12)
    for number in range(2**16):
        seen.add(f"eng-{number}#0")
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(seen) == 2**16
    assert held < 8 * 2**16 + 2**20  # a Python set of these takes seven million bytes
