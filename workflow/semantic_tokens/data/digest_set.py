"""Detection of repeated ids or texts, if there are too many to keep in memory."""

from hashlib import blake2b
from typing import Any


class DigestSet:
    """A set of texts that stores eight bytes per text, so MIRACL's 106 million ids take one
    gigabyte instead of thirteen.

    The probability that any two of n different texts are confused is n² / 2**65, which is 0.0003
    for MIRACL.

    Args:
        recent: the maximum number of texts in a Python set (about 80 bytes each) before they are
            added to the sorted array.
    """

    def __init__(self, recent: int = 2**20) -> None:
        self._room = recent
        self._recent: set[int] = set()
        self._older: Any = None  # sorted, [n] uint64

    def __len__(self) -> int:
        return len(self._recent) + (0 if self._older is None else len(self._older))

    def add(self, text: str) -> bool:
        """Add a text. Return whether it is new."""
        digest = blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()
        number = int.from_bytes(digest, "little")
        if number in self._recent or self._is_older(number):
            return False
        self._recent.add(number)
        if len(self._recent) == self._room:
            self._join()
        return True

    def _is_older(self, number: int) -> bool:
        if self._older is None:
            return False
        place = self._older.searchsorted(self._older.dtype.type(number))
        return place < len(self._older) and int(self._older[place]) == number

    def _join(self) -> None:
        import numpy as np

        new = np.fromiter(self._recent, dtype=np.uint64, count=len(self._recent))
        new.sort()
        if self._older is not None:
            new = np.concatenate([self._older, new])
            new.sort(kind="stable")  # two sorted runs: linear time
        self._older = new
        self._recent.clear()
