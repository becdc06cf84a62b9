"""The contents of semantic tokens: subwords with their scripts and meanings (paper, section
4.4)."""

import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional
from transformers import PreTrainedTokenizerFast

from semantic_tokens.data.languages import iso639_1
from semantic_tokens.data.lexicons.entry import Entry
from semantic_tokens.data.lexicons.table import read_lexicon
from semantic_tokens.embeddings.matrix import load_embeddings
from semantic_tokens.errors import InputError
from semantic_tokens.grouping.groups import Groups
from semantic_tokens.tokenization.vocabulary import load_tokenizer, single_subword_id, subword_texts

_BOUNDARY = "▁"
_CONTINUATION = "##"
_BYTE = re.compile(r"<0x[0-9A-F]{2}>")  # a byte of an incomplete character

#: The script, if it differs from the first word of a character's Unicode name.
_SCRIPTS = {
    "CJK": "Han",
    "IDEOGRAPHIC": "Han",
    "HIRAGANA": "Kana",
    "KATAKANA": "Kana",
    "KATAKANA-HIRAGANA": "Kana",
    "HALFWIDTH": "Kana",
    "FULLWIDTH": "Latin",
}
#: Scripts without spaces between words, in which the start of a word is not marked.
UNSPACED = {"Han", "Kana", "Thai", "Lao", "Khmer", "Myanmar"}

SYMBOLS = "symbols"

#: The number of keywords in Figure 8, which also shows numbers and punctuation.
FEW = 6

LONGEST_GLOSS = 20  # characters


@dataclass(frozen=True)
class Member:
    """A subword of a group, for figures.

    Attributes:
        text: the subword without the tokenizer's mark for the start of a word. In scripts with
            spaces, a subword that continues a word starts with a hyphen.
        script: from :func:`script_of`.
        gloss: from :func:`english_glosses`, or empty.
        similarity: the cosine to the group's keyword, or to its mean.
    """

    text: str
    script: str
    gloss: str
    similarity: float


@dataclass(frozen=True)
class Inspected:
    """A group to show.

    Attributes:
        title: the keyword, ``NUMBERS`` or ``PUNCTUATION``.
        members: the most similar first.
    """

    title: str
    members: tuple[Member, ...]


def bare(piece: str) -> str:
    """A subword without the tokenizer's marks.

    >>> bare("▁tomato"), bare("##ato"), bare("▁")
    ('tomato', 'ato', '▁')
    """
    return piece.removeprefix(_CONTINUATION).removeprefix(_BOUNDARY) or piece


def script_of(text: str) -> str:
    """The script of a text's first letter; without letters, ``digits`` or ``symbols``.

    >>> [script_of(text) for text in ("▁mère", "помидор", "番茄", "トマト", "1990", "...", "<0xE0>")]
    ['Latin', 'Cyrillic', 'Han', 'Kana', 'digits', 'symbols', 'symbols']
    """
    text = _BYTE.sub("", text)
    for character in text:
        if character.isalpha() and character != _BOUNDARY:
            name = unicodedata.name(character, SYMBOLS).split()[0]
            return _SCRIPTS.get(name, name.capitalize())
    return "digits" if any(character.isnumeric() for character in text) else SYMBOLS


def is_number(piece: str) -> bool:
    """Whether a subword consists of digits only."""
    return bare(piece).isdecimal()


def is_punctuation(piece: str) -> bool:
    """Whether a subword consists of punctuation only."""
    text = bare(piece)
    is_text = text not in ("", _BOUNDARY)
    return is_text and all(unicodedata.category(c).startswith("P") for c in text)


def shown(piece: str, *, marks_words: bool) -> str:
    """A subword for readers; one that continues a word starts with a hyphen.

    Args:
        marks_words: whether the vocabulary marks the start of words, as SentencePiece does, and not
            their continuation, as WordPiece does.

    >>> [shown(piece, marks_words=True) for piece in ("▁mother", "ing", "番茄", "..")]
    ['mother', '-ing', '番茄', '..']
    >>> [shown(piece, marks_words=False) for piece in ("mother", "##ing", "##茄")]
    ['mother', '-ing', '茄']
    """
    text = bare(piece)
    begins = piece.startswith(_BOUNDARY) if marks_words else not piece.startswith(_CONTINUATION)
    is_word = begins or script_of(piece) in UNSPACED | {SYMBOLS, "digits"}
    return text if is_word else f"-{text}"


def richest_group(
    pieces: Sequence[str], token_to_group: np.ndarray, belongs: Callable[[str], bool]
) -> int | None:
    """The group with the most subwords of a kind, if they are at least half of the group.

    Args:
        pieces: [V] the subwords.
        token_to_group: [V] int64.

    Returns:
        None if there is no such group with two or more members.
    """
    matching = np.array([belongs(piece) for piece in pieces])
    sizes = np.bincount(token_to_group)
    found = np.bincount(token_to_group[matching], minlength=len(sizes))
    found[(2 * found < sizes) | (sizes < 2)] = 0
    best = int(found.argmax())
    return best if found[best] else None


def word_senses(
    entries: Iterable[Entry], token_id_of: Callable[[str], int | None]
) -> dict[tuple[int, str], str]:
    """(token id, language) -> the English translation, for all words that are single subwords.

    The translation is empty for English words, if it is the same word, and if the lexicon has none
    of up to :data:`LONGEST_GLOSS` characters. A word of several concepts gets the shortest English
    word, since names of pictures are often descriptions.
    """
    concepts: dict[tuple[str, str], list[Entry]] = {}
    for entry in entries:
        concepts.setdefault((entry.source, entry.concept), []).append(entry)
    senses: dict[tuple[int, str], str] = {}
    for members in concepts.values():
        english = [e.word for e in members if e.language == "eng" and len(e.word) <= LONGEST_GLOSS]
        gloss = min(english, key=lambda word: (len(word), word), default="")
        for entry in members:
            token = token_id_of(entry.word)
            if token is None:
                continue
            is_same = entry.language == "eng" or entry.word.casefold() == gloss.casefold()
            own = "" if is_same else gloss
            known = senses.get((token, entry.language), "")
            shortest = sorted(filter(None, (own, known)), key=lambda word: (len(word), word))
            senses[token, entry.language] = shortest[0] if shortest else ""
    return senses


def english_glosses(
    entries: Iterable[Entry], token_id_of: Callable[[str], int | None]
) -> dict[int, str]:
    """Token id -> the language of the word and its English translation: ``es: tomato``.

    The gloss names the language because a subword may be a word in several languages (``at`` is a
    horse in Turkish). The shortest gloss is kept.
    """
    glosses: dict[int, str] = {}
    for (token, language), english in word_senses(entries, token_id_of).items():
        if english:
            gloss = f"{iso639_1(language)}: {english}"
            glosses[token] = min(glosses.get(token, gloss), gloss, key=lambda g: (len(g), g))
    return glosses


def inspect_group(
    title: str,
    group: int,
    pieces: Sequence[str],
    token_to_group: np.ndarray,
    embeddings: torch.Tensor,
    glosses: Mapping[int, str],
    keyword: int | None = None,
) -> Inspected:
    """A group's members, sorted by similarity to the keyword (or to their mean).

    Args:
        pieces: [V].
        token_to_group: [V] int64.
        embeddings: [V, d] float32.
        keyword: a token id of the group.
    """
    ids = np.flatnonzero(token_to_group == group)
    rows = functional.normalize(embeddings[torch.from_numpy(ids)])
    centre = (
        rows.mean(dim=0) if keyword is None else functional.normalize(embeddings[keyword], dim=0)
    )
    similarity = functional.cosine_similarity(rows, centre[None]).numpy()
    order = np.argsort(-similarity, kind="stable")
    begun, continued = (
        sum(piece.startswith(mark) for piece in pieces) for mark in (_BOUNDARY, _CONTINUATION)
    )
    members = [
        Member(
            shown(pieces[ids[i]], marks_words=begun > continued),
            script_of(pieces[ids[i]]),
            glosses.get(int(ids[i]), ""),
            float(similarity[i]),
        )
        for i in order
    ]
    return Inspected(title, tuple(members))


def keyword_groups(
    keywords: Iterable[str],
    tokenizer: PreTrainedTokenizerFast,
    pieces: Sequence[str],
    token_to_group: np.ndarray,
    embeddings: torch.Tensor,
    glosses: Mapping[int, str],
) -> tuple[list[Inspected], list[str]]:
    """The groups of some keywords, and the keywords that are not single subwords of the backbone or
    do not share a group. If several keywords are in one group, the first one represents it."""
    found, missing, taken = [], [], set()
    sizes = np.bincount(token_to_group)
    for keyword in keywords:
        token = single_subword_id(tokenizer, keyword)
        if token is None or sizes[token_to_group[token]] < 2:
            missing.append(keyword)
            continue
        group = int(token_to_group[token])
        if group not in taken:
            taken.add(group)
            found.append(
                inspect_group(keyword, group, pieces, token_to_group, embeddings, glosses, token)
            )
    return found, missing


@dataclass(frozen=True)
class FigureGroups:
    """The groups in the paper's figures: a few in Figure 8, and more in Figure 13."""

    figure_8: list[Inspected]
    figure_13: list[Inspected]


def groups_of_figures(
    groups: str | Path,
    embeddings: str | Path,
    tokenizer: str | Path,
    lexicons: Iterable[str | Path],
    keywords: Sequence[str],
) -> tuple[FigureGroups, list[str]]:
    """The groups of keywords, numbers and punctuation.

    Args:
        groups, embeddings, tokenizer, lexicons: files of the workflow.
        keywords: English words. Figure 8 shows the first :data:`FEW` that share a group, with
            numbers and punctuation. Figure 13 shows the other keywords, or the same groups if there
            are no others.

    Returns:
        the groups, and the keywords without a group.

    Raises:
        InputError: there is no group to show.
    """
    known = load_tokenizer(tokenizer)
    pieces = subword_texts(known)
    token_to_group = Groups.load(groups).token_to_group.numpy()
    matrix = load_embeddings(embeddings)
    entries = [entry for path in lexicons for entry in read_lexicon(path)]
    glosses = english_glosses(entries, lambda word: single_subword_id(known, word))
    found, missing = keyword_groups(keywords, known, pieces, token_to_group, matrix, glosses)
    kinds = []
    for title, belongs in (("NUMBERS", is_number), ("PUNCTUATION", is_punctuation)):
        group = richest_group(pieces, token_to_group, belongs)
        if group is not None:
            kinds.append(inspect_group(title, group, pieces, token_to_group, matrix, glosses))
    if not found and not kinds:
        raise InputError(
            f"{groups}: none of the keywords {', '.join(keywords)} is in a group of two subwords "
            "or more; name others in the config key `inspection.keywords`"
        )
    return FigureGroups([*found[:FEW], *kinds], found[FEW:] or found or kinds), missing
