"""The recipe of a model: which operations made it, in the paper's order (section 2).

A recipe is the path of every artefact it makes, so two experiments that share operations
share files. Nothing here reads the config.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from semantic_tokens.errors import InputError

#: What each part of a path may look like; Snakemake's wildcard constraints are these.
PATTERNS = {
    "backbone": r"[A-Za-z0-9][A-Za-z0-9_.-]*",
    "alignment": r"unaligned|clsa-[A-Za-z0-9_]+(\+[A-Za-z0-9_]+)*",
    "dimension": r"dfull|d[1-9][0-9]*",
    "grouping": (
        r"ungrouped|(kmeans-(cosine|euclidean|weighted)|firstk|random|frequency)-(0\.\d*[1-9]|1)"
        r"|lexicon-[A-Za-z0-9_]+(\+[A-Za-z0-9_]+)*"
    ),
    "pretraining": r"asis|mlm",
}

#: How figures and tables call the methods of grouping.
METHOD_NAMES = {
    "ungrouped": "ungrouped",
    "kmeans-cosine": "K-Means",
    "kmeans-euclidean": "K-Means, Euclidean",
    "kmeans-weighted": "K-Means, weighted",
    "random": "random groups",
    "frequency": "groups by frequency",
    "firstk": "First-k",
}


@dataclass(frozen=True)
class Recipe:
    """The operations that make one model; every field is one folder of its path."""

    backbone: str
    alignment: str = "unaligned"
    dimension: str = "dfull"
    grouping: str = "ungrouped"
    pretraining: str = "asis"

    def __post_init__(self) -> None:
        for part, pattern in PATTERNS.items():
            value = getattr(self, part)
            if not re.fullmatch(pattern, value):
                raise InputError(f"{part} {value!r} is not of the form {pattern}")
            if part == "alignment" and set(lexicons_of(value)) == {"roundtrip"}:
                raise InputError(
                    f"{part} {value!r} names no lexicon: round-trip pairs are found among the words "
                    "of the others; write clsa-<lexicon>+roundtrip"
                )

    @property
    def path(self) -> str:
        """``backbone/alignment/dimension/grouping/pretraining``."""
        return "/".join(getattr(self, part) for part in PATTERNS)

    @property
    def is_aligned(self) -> bool:
        return self.alignment != "unaligned"

    @property
    def is_pretrained(self) -> bool:
        return self.pretraining != "asis"

    @property
    def alignment_lexicons(self) -> tuple[str, ...]:
        """The lexicons that cross-lingual subword alignment trains on (section 2.2)."""
        return lexicons_of(self.alignment)

    @property
    def dimension_number(self) -> int | None:
        """The word embeddings' dimension d, or None where it is the backbone's own."""
        return None if self.dimension == "dfull" else int(self.dimension[1:])

    @property
    def grouping_method(self) -> str:
        """``ungrouped``, ``kmeans``, ``firstk``, ``random``, ``frequency`` or ``lexicon``."""
        return self.grouping.partition("-")[0]

    @property
    def has_ratio(self) -> bool:
        """Whether the grouping is asked for by its ratio."""
        return self.grouping_method not in ("ungrouped", "lexicon")

    @property
    def grouping_without_ratio(self) -> str:
        """``kmeans-cosine``, ``kmeans-weighted``, ``firstk``, ``random``, ``ungrouped`` …"""
        return self.grouping.rpartition("-")[0] if self.has_ratio else self.grouping

    @property
    def ratio(self) -> float:
        """The grouping ratio r_G = |V'| / |V| that was asked for; 1.0 where nothing is grouped.

        Raises:
            InputError: the grouping is by a lexicon, where the ratio follows from the lexicon.
        """
        if self.grouping_method == "ungrouped":
            return 1.0
        if self.grouping_method == "lexicon":
            raise InputError(f"grouping {self.grouping!r} has no ratio before it is made")
        return ratio_of(self.grouping)

    @property
    def segmentation(self) -> str:
        """Which tokenizer cuts the text: the original, or one truncated to the first k."""
        return self.grouping if self.grouping_method == "firstk" else "original"


def lexicons_of(part: str) -> tuple[str, ...]:
    """The lexicon names in ``clsa-a+b`` or ``lexicon-a+b``; none in a neutral part."""
    head, _, names = part.partition("-")
    return tuple(names.split("+")) if head in ("clsa", "lexicon") else ()


def with_members(part: str, sets: Mapping[str, Sequence[str]]) -> str:
    """``clsa-all`` or ``lexicon-all`` with the members of each named set in its place.

    >>> with_members("clsa-all+roundtrip", {"all": ["emoji", "numbers"]})
    'clsa-emoji+numbers+roundtrip'
    >>> with_members("unaligned", {"unaligned": ["emoji"]})
    'unaligned'
    """
    names = [member for name in lexicons_of(part) for member in sets.get(name, [name])]
    return f"{part.partition('-')[0]}-{'+'.join(names)}" if names else part


def ratio_of(grouping: str) -> float:
    """The ratio at the end of ``kmeans-cosine-0.05`` or ``firstk-0.05``."""
    return float(grouping.rpartition("-")[2])
