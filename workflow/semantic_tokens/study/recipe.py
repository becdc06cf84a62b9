"""The recipe of a model: its operations in the paper's order (section 2).

A recipe is the path of its files, so experiments with the same operations share files. This module
does not read the config.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from semantic_tokens.errors import InputError

#: The patterns of the parts of a path, which are Snakemake's wildcard constraints.
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

#: The names of the grouping methods in figures and tables.
METHOD_NAMES = {
    "ungrouped": "ungrouped",
    "kmeans-cosine": "K-Means",
    "kmeans-euclidean": "K-Means, Euclidean",
    "kmeans-weighted": "K-Means, weighted",
    "random": "random groups",
    "frequency": "groups by frequency",
    "firstk": "First-k",
}
#: The grouping methods in the paper's Table 5.
METHODS_OF_TABLE_5 = ("ungrouped", "kmeans-cosine")


@dataclass(frozen=True)
class Recipe:
    """The operations that make one model. Each field is one folder of its path."""

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
    def groups_path(self) -> str:
        """``backbone/alignment/dimension/grouping``."""
        return "/".join(getattr(self, part) for part in PATTERNS if part != "pretraining")

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
        """The dimension d of the word embeddings, or None for the backbone's dimension."""
        return None if self.dimension == "dfull" else int(self.dimension[1:])

    @property
    def grouping_method(self) -> str:
        """``ungrouped``, ``kmeans``, ``firstk``, ``random``, ``frequency`` or ``lexicon``."""
        return self.grouping.partition("-")[0]

    @property
    def has_ratio(self) -> bool:
        """Whether the grouping has a ratio."""
        return self.grouping_method not in ("ungrouped", "lexicon")

    @property
    def grouping_without_ratio(self) -> str:
        """``kmeans-cosine``, ``kmeans-weighted``, ``firstk``, ``random``, ``ungrouped`` …"""
        return self.grouping.rpartition("-")[0] if self.has_ratio else self.grouping

    @property
    def uses_corpora(self) -> bool:
        """Whether its model depends on the pretraining corpora: it is pretrained, or its grouping
        uses the frequency of subwords."""
        by_frequency = self.grouping_without_ratio in ("kmeans-weighted", "frequency")
        return self.is_pretrained or by_frequency

    @property
    def ratio(self) -> float:
        """The requested grouping ratio r_G = |V'| / |V|; 1.0 without grouping.

        Raises:
            InputError: the grouping is by a lexicon, which determines the ratio.
        """
        if self.grouping_method == "ungrouped":
            return 1.0
        if self.grouping_method == "lexicon":
            raise InputError(f"grouping {self.grouping!r} has no ratio before it is made")
        return ratio_of(self.grouping)


def recipe_of_file(path: str | Path, pretraining: str = "asis") -> Recipe:
    """The recipe of a file ``…/{backbone}/{alignment}/{dimension}/{grouping}.*``.

    >>> recipe_of_file("results/held_out/b/clsa-muse/d16/kmeans-cosine-0.05.json", "mlm").path
    'b/clsa-muse/d16/kmeans-cosine-0.05/mlm'
    """
    path = Path(path)
    backbone, alignment, dimension = path.parts[-4:-1]
    return Recipe(backbone, alignment, dimension, path.stem, pretraining)


def lexicons_of(part: str) -> tuple[str, ...]:
    """The lexicon names in ``clsa-a+b`` or ``lexicon-a+b``; empty for other parts."""
    head, _, names = part.partition("-")
    return tuple(names.split("+")) if head in ("clsa", "lexicon") else ()


def with_members(part: str, sets: Mapping[str, Sequence[str]]) -> str:
    """``clsa-all`` or ``lexicon-all`` with each named set replaced by its members.

    >>> with_members("clsa-all+roundtrip", {"all": ["emoji", "numbers"]})
    'clsa-emoji+numbers+roundtrip'
    >>> with_members("unaligned", {"unaligned": ["emoji"]})
    'unaligned'
    """
    names = [member for name in lexicons_of(part) for member in sets.get(name, [name])]
    return f"{part.partition('-')[0]}-{'+'.join(names)}" if names else part


def segmentation_of(grouping: str, *, resegments: bool) -> str:
    """The tokenizer for the texts of a grouping: ``original``, which is the backbone's, or one that
    is truncated to the first k subwords, such as ``firstk-0.05``.

    Args:
        resegments: whether First-k segments texts again (``grouping.first_k.mode``).
    """
    return grouping if resegments and grouping.startswith("firstk-") else "original"


def ratio_of(grouping: str) -> float:
    """The ratio at the end of ``kmeans-cosine-0.05`` or ``firstk-0.05``."""
    return float(grouping.rpartition("-")[2])
