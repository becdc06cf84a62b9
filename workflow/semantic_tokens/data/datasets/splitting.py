"""Random splits and samples of datasets.

They depend only on an example's name and the seed. So they do not depend on other examples,
languages or files, or on the order of reading.
"""

import hashlib
import heapq
from collections.abc import Hashable, Iterable, Iterator, Sequence

from semantic_tokens.components import groups_sharing
from semantic_tokens.data.datasets.canonical import Example
from semantic_tokens.errors import InputError


def uniform(name: str, seed: int, purpose: str) -> float:
    """A number in [0, 1) for a name, independent between seeds and between purposes."""
    digest = hashlib.sha256(f"{purpose}\t{seed}\t{name}".encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


def part_of(name: str, seed: int, *, train: float, dev: float) -> str:
    """The split of a document, premise or query: train or dev with these probabilities, else
    test."""
    number = uniform(name, seed, "split")
    if number < train:
        return "train"
    return "dev" if number < train + dev else "test"


def check_fraction(key: str, value: float, *, may_be_zero: bool = False) -> None:
    """Raise an InputError if an option of a dataset is not a fraction."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not (0 < value < 1 or (may_be_zero and value == 0)):
        raise InputError(
            f"the dataset's `{key}` is {value!r} and must be between 0 and 1"
            f"{', or be 0' if may_be_zero else ''}; correct it in the config"
        )


def check_fractions(train_fraction: float, dev_fraction: float) -> None:
    """Raise an InputError if one is not a fraction, or if they leave no test data."""
    check_fraction("train_fraction", train_fraction)
    check_fraction("dev_fraction", dev_fraction, may_be_zero=True)
    if train_fraction + dev_fraction >= 1:
        raise InputError(
            f"the dataset's `train_fraction` ({train_fraction}) and `dev_fraction` ({dev_fraction}) "
            "leave no test data; lower one in the config"
        )


def in_clusters(
    examples: Sequence[Example], features: Sequence[Iterable[Hashable]]
) -> list[Example]:
    """The examples with a ``cluster``, which those that share a feature have in common.

    Args:
        features: the features of each example, such as its passage.
    """
    for example, first in zip(examples, groups_sharing(features), strict=True):
        example["cluster"] = examples[first]["id"]
    return list(examples)


def sample(examples: Iterable[Example], per_language: int, seed: int) -> Iterator[Example]:
    """Keep a random sample of each language's examples, in their order.

    A larger sample with the same seed contains the smaller one.
    """
    kept: dict[
        str, list[tuple[float, int, Example]]
    ] = {}  # heaps; the first to be replaced is on top
    for position, example in enumerate(examples):
        heap = kept.setdefault(example["language"], [])
        entry = (-uniform(example["id"], seed, "sample"), position, example)
        if len(heap) < per_language:
            heapq.heappush(heap, entry)
        else:
            heapq.heappushpop(heap, entry)
    everything = [entry for heap in kept.values() for entry in heap]
    for _, _, example in sorted(everything, key=lambda entry: entry[1]):
        yield example
