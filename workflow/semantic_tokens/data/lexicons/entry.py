"""A word of a lexicon."""

from typing import NamedTuple


class Entry(NamedTuple):
    """One word for one concept. Entries of one concept are translations of each other.

    Attributes:
        concept: unique within its source.
        language: ISO 639-3.
        word: a word or short phrase, in its usual spelling.
        source: the lexicon it comes from.
    """

    concept: str
    language: str
    word: str
    source: str
