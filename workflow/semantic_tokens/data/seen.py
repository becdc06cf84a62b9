"""Which ids or texts have gone by, where they are too many to be kept."""

from hashlib import blake2b
from typing import Any


class Seen:
    """A set of texts that keeps eight bytes of each, so that MIRACL's 106 million ids take a
    gigabyte and not thirteen.

    Two different texts pass for the same with probability n² / 2**65, which is 0.0003 there.

    Args:
        recent: how many are in a Python set (some 80 bytes each) before they join the others.
    """

    def __init__(self, recent: int = 2**20) -> None:
        self._room = recent
        self._recent: set[int] = set()
        self._older: Any = None  # sorted, [n] uint64

    def __len__(self) -> int:
        return len(self._recent) + (0 if self._older is None else len(self._older))

    def add(self, text: str) -> bool:
        """Take a text up; return whether it is new."""
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
