"""What is in a semantic token: its subwords by script, and what they mean (paper, section 4.4)."""

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
from semantic_tokens.data.lexicons.table import Entry, read_lexicon
from semantic_tokens.embeddings.matrix import load_embeddings
from semantic_tokens.errors import InputError
from semantic_tokens.grouping.groups import Groups
from semantic_tokens.tokenization.vocabulary import load_tokenizer, single_subword_id, subword_texts

_BOUNDARY = "▁"
_CONTINUATION = "##"
_BYTE = re.compile(r"<0x[0-9A-F]{2}>")  # one that is no character

#: What the first word of a character's Unicode name says of its script, where it is not so.
_SCRIPTS = {
    "CJK": "Han",
    "IDEOGRAPHIC": "Han",
    "HIRAGANA": "Kana",
    "KATAKANA": "Kana",
    "KATAKANA-HIRAGANA": "Kana",
    "HALFWIDTH": "Kana",
    "FULLWIDTH": "Latin",
}
#: Scripts that put no spaces between words, so that nothing marks where a word begins.
UNSPACED = {"Han", "Kana", "Thai", "Lao", "Khmer", "Myanmar"}

SYMBOLS = "symbols"

#: Keywords of Figure 8; numbers and punctuation come besides.
FEW = 6

LONGEST_GLOSS = 20  # characters


@dataclass(frozen=True)
class Member:
    """A subword of a group, as it is shown.

    Attributes:
        text: without the tokenizer's mark of a word's begin; a piece from inside a word begins
            with a hyphen, in scripts that have spaces.
        script: as :func:`script_of` has it.
        gloss: as :func:`english_glosses` has it, or empty.
        similarity: cosine to the group's keyword, or to its mean.
    """

    text: str
    script: str
    gloss: str
    similarity: float


@dataclass(frozen=True)
class Inspected:
    """A group and why it is looked at.

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
    """The script of a text's first letter, ``digits`` where it has only those, or ``symbols``.

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
    """Whether a subword is digits and nothing else."""
    return bare(piece).isdecimal()


def is_punctuation(piece: str) -> bool:
    """Whether a subword is punctuation marks and nothing else."""
    text = bare(piece)
    return text != _BOUNDARY and all(unicodedata.category(c).startswith("P") for c in text)


def shown(piece: str, *, marks_words: bool) -> str:
    """A subword as a reader sees it, with a hyphen where it is from inside a word.

    Args:
        marks_words: the vocabulary marks where a word begins, as SentencePiece does, and not
            where it goes on, as WordPiece does.

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
    """The group with the most subwords of a kind, where they are half of it or more.

    Args:
        pieces: [V] the subwords.
        token_to_group: [V] int64.

    Returns:
        None where no group of two or more is so.
    """
    matching = np.array([belongs(piece) for piece in pieces])
    sizes = np.bincount(token_to_group)
    found = np.bincount(token_to_group[matching], minlength=len(sizes))
    found[(2 * found < sizes) | (sizes < 2)] = 0
    best = int(found.argmax())
    return best if found[best] else None


def english_glosses(
    entries: Iterable[Entry], token_id_of: Callable[[str], int | None]
) -> dict[int, str]:
    """Token id -> a language that it is a word of, and the English for it: ``es: tomato``.

    The language is named because a subword may be a word of several (``at`` is a horse in
    Turkish). A word of several concepts has the shortest English word: names of pictures are
    often longer descriptions, and those too long for a gloss are left out.
    """
    concepts: dict[tuple[str, str], list[Entry]] = {}
    for entry in entries:
        concepts.setdefault((entry.source, entry.concept), []).append(entry)
    glosses: dict[int, str] = {}
    for members in concepts.values():
        english = min(
            (entry.word for entry in members if entry.language == "eng"), key=len, default=None
        )
        if english is None or len(english) > LONGEST_GLOSS:
            continue
        for entry in members:
            token = token_id_of(entry.word) if entry.language != "eng" else None
            if token is not None and entry.word.casefold() != english.casefold():
                gloss = f"{iso639_1(entry.language)}: {english}"
                glosses[token] = min(glosses.get(token, gloss), gloss, key=len)
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
    """A group's members, the nearest to the keyword (or to their mean) first.

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
    """The groups of some keywords, and the keywords that are no single subword of the backbone
    or stand alone. Of keywords in one group, the first has it."""
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
class Vocabulary:
    """The groups that the paper shows: few in Figure 8, and more in Figure 13."""

    few: list[Inspected]
    more: list[Inspected]


def inspect_vocabulary(
    groups: str | Path,
    embeddings: str | Path,
    tokenizer: str | Path,
    lexicons: Iterable[str | Path],
    keywords: Sequence[str],
) -> tuple[Vocabulary, list[str]]:
    """Look at the groups of keywords, of numbers and of punctuation.

    Args:
        groups, embeddings, tokenizer, lexicons: files of the workflow.
        keywords: English words; the first :data:`FEW` that are grouped go to Figure 8, with
            numbers and punctuation, and the others to Figure 13.

    Returns:
        the groups, and the keywords that have none.

    Raises:
        InputError: no group is found at all.
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
    few = [*found[:FEW], *kinds]
    more = found[FEW:] or found
    if not few:
        raise InputError(
            f"{groups}: none of the keywords {', '.join(keywords)} is in a group of two subwords "
            "or more; name others in the config key `inspection.keywords`"
        )
    return Vocabulary(few, more or few), missing
