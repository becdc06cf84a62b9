"""The special tokens that a tokenizer adds to one text or a pair."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from transformers import PreTrainedTokenizerFast

from semantic_tokens.errors import InputError


@dataclass(frozen=True)
class SpecialTokens:
    """The ids of the special tokens around one text or a pair.

    One text is ``prefix + ids + suffix``. A pair is ``prefix + first + middle + second + suffix``.
    If the family has token types, they are 1 from the second text on.
    """

    prefix: tuple[int, ...]
    middle: tuple[int, ...]
    suffix: tuple[int, ...]
    second_type: int
    pad: int
    mask: int | None

    @classmethod
    def of(cls, tokenizer: PreTrainedTokenizerFast) -> "SpecialTokens":
        """Get the special tokens from the tokenizer's output for a pair of plain texts."""
        pair = tokenizer.backend_tokenizer.encode("a", "a")
        special = np.asarray(pair.special_tokens_mask, dtype=bool)
        sequence = np.asarray([-1 if s is None else s for s in pair.sequence_ids])
        first, second = np.flatnonzero(sequence == 0), np.flatnonzero(sequence == 1)
        if not len(first) or not len(second) or not special[0] or not special[-1]:
            raise InputError(
                "the tokenizer does not put special tokens around pairs of texts; give the "
                "backbone's tokenizer.json a post-processor"
            )
        ids = pair.ids
        return cls(
            prefix=tuple(ids[: first[0]]),
            middle=tuple(ids[first[-1] + 1 : second[0]]),
            suffix=tuple(ids[second[-1] + 1 :]),
            second_type=int(pair.type_ids[second[0]]),
            pad=tokenizer.pad_token_id or 0,
            mask=tokenizer.mask_token_id,
        )

    def single(self, ids: Sequence[int]) -> list[int]:
        return [*self.prefix, *ids, *self.suffix]

    def pair(self, first: Sequence[int], second: Sequence[int]) -> tuple[list[int], list[int]]:
        """Token ids and token types of a pair."""
        ids = [*self.prefix, *first, *self.middle, *second, *self.suffix]
        second_part = len(second) + len(self.suffix)
        types = [0] * (len(ids) - second_part) + [self.second_type] * second_part
        return ids, types

    @property
    def pair_overhead(self) -> int:
        return len(self.prefix) + len(self.middle) + len(self.suffix)

    @property
    def single_overhead(self) -> int:
        return len(self.prefix) + len(self.suffix)


def fit_pair(
    first: Sequence[int], second: Sequence[int], room: int
) -> tuple[Sequence[int], Sequence[int]]:
    """Truncate a pair to ``room`` tokens in total, the longer text first."""
    excess = len(first) + len(second) - room
    if excess > 0:
        keep_first = max(len(first) - excess, min(len(first), room // 2))
        first = first[:keep_first]
        second = second[: room - len(first)]
    return first, second
