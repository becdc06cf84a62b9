"""The data with which the explorer's page tokenizes words as the backbone does."""

import base64
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from transformers import PreTrainedTokenizerFast

from semantic_tokens.report.explorer.patterns import UnknownSyntax, javascript_pattern
from semantic_tokens.tokenization.vocabulary import special_ids, subword_texts, word_prefix

_MODELS = {"WordPiece", "Unigram", "BPE"}
_NORMALIZERS = {"Sequence", "Replace", "Prepend", "Precompiled", "BertNormalizer", "Lowercase"}
_NORMALIZERS |= {"NFC", "NFD", "NFKC", "NFKD", "StripAccents", "Strip", "ByteLevel"}
_PRE_TOKENIZERS = {"Sequence", "WhitespaceSplit", "Whitespace", "Metaspace", "BertPreTokenizer"}
_PRE_TOKENIZERS |= {"ByteLevel", "Split", "Digits", "Punctuation", "CharDelimiterSplit"}
# The flags of added tokens; the default is false.
_FLAGS = ("normalized", "lstrip", "rstrip", "single_word")


@dataclass(frozen=True)
class Segmenter:
    """The data of a tokenizer.

    Attributes:
        settings: the settings of ``tokenizer.json``, without long tables. If the page cannot follow
            this tokenizer, ``uncut`` is the reason, else it is empty.
        charsmap: SentencePiece's compiled map of characters, or empty.
        scores: [V'] float64, the scores of a Unigram model, or empty.
        merges: [3, M] int64, the merges of BPE: the ids of the left parts, the ids of the right
            parts, and the ranks in the order of learning. Columns are sorted.
        pieces: the subwords as readers spell them, by id.
        spellings: the subwords as the tokenizer spells them, by id; empty if that is the same.
    """

    settings: dict[str, Any]
    charsmap: bytes
    scores: np.ndarray
    merges: np.ndarray
    pieces: list[str]
    spellings: list[str]


def segmenter(tokenizer: PreTrainedTokenizerFast) -> Segmenter:
    """The data of a tokenizer for the page."""
    data = json.loads(tokenizer.backend_tokenizer.to_str())
    model, normalizer, pre_tokenizer = data["model"], data["normalizer"], data["pre_tokenizer"]
    pieces, spellings = _pieces(tokenizer)
    charsmaps = [
        part.pop("precompiled_charsmap")
        for part in _parts(normalizer)
        if part["type"] == "Precompiled"
    ]
    unknown = [
        *([] if model["type"] in _MODELS else [f"a {model['type']} model"]),
        *(["dropout"] if model.get("dropout") else []),
        *_unknown_parts(normalizer, "normalizer", _NORMALIZERS),
        *_unknown_parts(pre_tokenizer, "pre-tokenizer", _PRE_TOKENIZERS),
        *(["several compiled maps of characters"] if len(charsmaps) > 1 else []),
    ]
    settings: dict[str, Any] = {
        "type": model["type"],
        "uncut": " and ".join(unknown),
        "unknown": _unknown_id(model),
        # The prefix of a piece that continues a word, and the suffix of a piece that ends one.
        "prefix": model.get("continuing_subword_prefix") or "",
        "suffix": model.get("end_of_word_suffix") or "",
        "byte_fallback": bool(model.get("byte_fallback")),
        "word_prefix": word_prefix(tokenizer),
        "added": [
            {"id": token["id"]} | {flag: True for flag in _FLAGS if token[flag]}
            for token in data["added_tokens"]
        ],
        "special": special_ids(tokenizer),
        "ungrouped": special_ids(tokenizer, with_unused=True),
    }
    scores = np.empty(0, dtype=np.float64)
    merges = np.empty((3, 0), dtype=np.int64)
    if model["type"] == "Unigram":
        scores = np.array([score for _, score in model["vocab"]], dtype=np.float64)
    elif model["type"] == "WordPiece":
        settings["longest"] = model["max_input_chars_per_word"]
    elif model["type"] == "BPE":
        settings |= {key: bool(model.get(key)) for key in ("fuse_unk", "ignore_merges")}
        merges = _sorted_merges(model)
    if unknown:
        charsmaps, merges = [], merges[:, :0]
    else:
        settings |= {"normalizer": normalizer, "pre_tokenizer": pre_tokenizer}
    charsmap = base64.b64decode(charsmaps[0]) if charsmaps else b""
    return Segmenter(settings, charsmap, scores, merges, pieces, spellings)


def _sorted_merges(model: Mapping[str, Any]) -> np.ndarray:
    """See :class:`Segmenter`. If a merge occurs twice, the library uses the last."""
    ids = model["vocab"]
    place = {(ids[a], ids[b]): number for number, (a, b) in enumerate(model["merges"])}
    rows = [(*pair, number) for pair, number in sorted(place.items())]
    return np.array(rows, dtype=np.int64).reshape(-1, 3).T


def _unknown_id(model: Mapping[str, Any]) -> int | None:
    """The id of a model's unknown token, or None."""
    if model["type"] == "Unigram":
        return model["unk_id"]
    return model["vocab"].get(model.get("unk_token"))


def _pieces(tokenizer: PreTrainedTokenizerFast) -> tuple[list[str], list[str]]:
    """The subwords as readers spell them, and as the tokenizer spells them; the latter are empty if
    they are the same."""
    pieces = subword_texts(tokenizer)
    spellings = [""] * len(pieces)
    for spelling, i in tokenizer.get_vocab().items():
        spellings[i] = spelling
    return pieces, [] if pieces == spellings else spellings


def _parts(component: dict[str, Any] | None) -> Iterator[dict[str, Any]]:
    """A normalizer or pre-tokenizer, and the components in it if it is a sequence."""
    if component is not None:
        yield component
        for part in component.get("normalizers", component.get("pretokenizers", [])):
            yield from _parts(part)


def _unknown_parts(component: dict[str, Any] | None, kind: str, known: set[str]) -> Iterator[str]:
    """The parts of a normalizer or pre-tokenizer that the page does not support.

    Regular expressions are replaced with JavaScript's versions.
    """
    for part in _parts(component):
        if part["type"] not in known:
            yield f"a {kind} of type {part['type']}"
        elif expression := part.get("pattern", {}).get("Regex"):
            try:
                part["pattern"] = {"Regex": javascript_pattern(expression)}
            except UnknownSyntax as error:
                yield f"{error} in the regular expression of its {kind}"
