"""The set of digests, compared with a Python set."""

import random
import tracemalloc

import pytest

from semantic_tokens.data.digest_set import DigestSet


@pytest.mark.parametrize("recent", [1, 7, 1000])
def test_membership_equals_that_of_a_python_set(recent: int) -> None:
    generator = random.Random(1)
    seen, expected = DigestSet(recent), set[str]()
    for _ in range(500):
        text = f"ar-{generator.randrange(200)}#{generator.randrange(2)}"
        assert seen.add(text) == (text not in expected)
        expected.add(text)
        assert len(seen) == len(expected)


def test_empty_set_is_false() -> None:
    seen = DigestSet()
    assert not seen
    seen.add("")
    assert seen


def test_each_text_takes_eight_bytes() -> None:
    tracemalloc.start()
    seen = DigestSet(recent=2**12)
    for number in range(2**16):
        seen.add(f"eng-{number}#0")
    memory_bytes, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(seen) == 2**16
    assert memory_bytes < 8 * 2**16 + 2**20  # a Python set of these takes seven million bytes
