"""Templates, and the sentences that they make."""

import functools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

_SLOT = re.compile(r"(.*?)\{([A-Z])\}(.*)")
_CLOSES = ".,:;?!؟،。，？、"
_OPENS = "¿¡"


@dataclass(frozen=True)
class Sentence:
    """A filled template.

    Attributes:
        tokens: words and punctuation marks.
        spans: slot -> first token and token after the last.
        text: the running text.
        characters: slot -> first character and character after the last, in ``text``.
    """

    tokens: tuple[str, ...]
    spans: Mapping[str, tuple[int, int]]
    text: str
    characters: Mapping[str, tuple[int, int]]


@functools.cache
def templates(language: str) -> dict[str, Any]:
    """The templates of a language, as its YAML file has them."""
    path = Path(__file__).parent / "templates" / f"{language}.yaml"
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def fill(template: str, fillers: Mapping[str, str], spaced: bool) -> Sentence:
    """Put words into a template.

    Args:
        template: words and punctuation separated by spaces, ``{P}`` a slot, to which a prefix
            or suffix may be joined.
        fillers: slot -> its words, separated by spaces.
        spaced: whether the running text has spaces between words.
    """
    tokens: list[str] = []
    spans: dict[str, tuple[int, int]] = {}
    affixes: dict[str, tuple[int, int]] = {}
    for word in template.split():
        match = _SLOT.fullmatch(word)
        if match is None:
            tokens.append(word)
            continue
        before, slot, after = match.groups()
        filler = fillers[slot].split()
        spans[slot] = (len(tokens), len(tokens) + len(filler))
        affixes[slot] = (len(before), len(after))
        filler[0] = before + filler[0]
        filler[-1] = filler[-1] + after
        tokens += filler
    text, edges = running_text(tokens, spaced)
    characters = {
        slot: (edges[first][0] + affixes[slot][0], edges[end - 1][1] - affixes[slot][1])
        for slot, (first, end) in spans.items()
    }
    return Sentence(tuple(tokens), spans, text, characters)


def running_text(tokens: Sequence[str], spaced: bool) -> tuple[str, list[tuple[int, int]]]:
    """Join tokens into text. Also return each token's first character, and the character after its
    last.

    >>> running_text(["¿", "Qué", "compró", "Ana", "?"], spaced=True)[0]
    '¿Qué compró Ana?'
    """
    text = ""
    edges = []
    glued = True
    for token in tokens:
        if spaced and not glued and token not in _CLOSES:
            text += " "
        edges.append((len(text), len(text) + len(token)))
        text += token
        glued = token in _OPENS
    return text, edges
