"""Tokenizer files of the two families, WordPiece and Unigram: which ids are special, in which
order the subwords were learned, and tokenizers that know only some of them.

A tokenizer is passed as the text of its ``tokenizer.json``.
"""

import functools
import itertools
import json
import re
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from tokenizers import AddedToken, Tokenizer, decoders, normalizers, pre_tokenizers, processors
from tokenizers.models import Unigram
from tqdm import tqdm

from semantic_tokens.errors import InputError

_UNUSED = re.compile(r"\[unused\d+\]")
# No text spells it: a Unigram model sees "▁" wherever text has a space.
_DROPPED = " {}"
_BATCH = 1000


def unigram_tokenizer(pieces: Sequence[tuple[str, float]]) -> str:
    """XLM-R's tokenizer over these pieces.

    Args:
        pieces: text and score in id order: ``<s> <pad> </s> <unk>``, the subwords, ``<mask>``.
    """
    tokenizer = Tokenizer(Unigram(list(pieces), unk_id=3, byte_fallback=False))
    tokenizer.normalizer = normalizers.Sequence(
        # XLM-R's map sends the zero-width joiner to a space; today's nmt_nfkc keeps it.
        [normalizers.Replace("\u200d", " "), normalizers.Precompiled(_nmt_nfkc())]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.WhitespaceSplit(),
            pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always"),
        ]
    )
    tokenizer.decoder = decoders.Metaspace(replacement="▁", prepend_scheme="always")
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>",
        pair="<s> $A </s> </s> $B </s>",
        special_tokens=[("<s>", 0), ("</s>", 2)],
    )
    tokenizer.add_special_tokens(["<s>", "<pad>", "</s>", "<unk>"])
    tokenizer.add_special_tokens([AddedToken("<mask>", lstrip=True, special=True)])
    return tokenizer.to_str()


@functools.cache
def _nmt_nfkc() -> bytes:
    """SentencePiece's compiled map of its nmt_nfkc normalisation, from the library itself."""
    from sentencepiece import SentencePieceNormalizer, sentencepiece_model_pb2

    model: Any = sentencepiece_model_pb2.ModelProto()  # type: ignore[attr-defined]
    model.ParseFromString(SentencePieceNormalizer(rule_name="nmt_nfkc").serialized_model_proto())
    return model.normalizer_spec.precompiled_charsmap


def vocabulary_size(tokenizer_json: str) -> int:
    """The |V| of a tokenizer's embedding matrix: one more than its largest id."""
    return max(Tokenizer.from_str(tokenizer_json).get_vocab().values()) + 1


def special_ids(tokenizer_json: str, *, with_unused: bool = False) -> list[int]:
    """The ids of the special tokens, ascending; ``with_unused`` adds WordPiece's [unusedN]."""
    data = json.loads(tokenizer_json)
    ids = {token["id"] for token in data["added_tokens"] if token["special"]}
    if with_unused and data["model"]["type"] == "WordPiece":
        ids |= {i for token, i in data["model"]["vocab"].items() if _UNUSED.fullmatch(token)}
    return sorted(ids)


def ids_in_order_learned(tokenizer_json: str) -> list[int]:
    """Ids in the order in which training the tokenizer made them, special tokens left out.

    WordPiece grows its vocabulary, so that is the order of the file; its [unusedN] were never
    learned and come last. Unigram prunes one, so what it would have kept longest comes first:
    the order of the scores, ties by id.
    """
    model = _model(tokenizer_json)
    special = set(special_ids(tokenizer_json))
    if model["type"] == "WordPiece":
        unused = set(special_ids(tokenizer_json, with_unused=True)) - special
        order: Iterable[int] = sorted(model["vocab"].values(), key=lambda i: (i in unused, i))
    else:
        order = np.argsort([-score for _, score in model["vocab"]], kind="stable").tolist()
    return [i for i in order if i not in special]


def first_k_ids(tokenizer_json: str, k: int) -> list[int]:
    """The special tokens and the first subwords learned, k ids in all, ascending (section 2.1).

    Raises:
        InputError: k leaves no subword beside the special tokens.
    """
    special = special_ids(tokenizer_json)
    if k <= len(special):
        raise InputError(
            f"First-k would keep {k} subwords, and {len(special)} tokens are special; raise the "
            "ratio in the experiment's `grouping`"
        )
    return sorted([*special, *ids_in_order_learned(tokenizer_json)[: k - len(special)]])


def truncate_tokenizer(tokenizer_json: str, kept_ids: Iterable[int]) -> str:
    """A tokenizer that segments text into the kept subwords alone, under their original ids.

    Ids stay the backbone's, so everything downstream is unaware of the truncation. What no kept
    subword covers becomes unknown as the family has it: the characters themselves under Unigram,
    the whole word around them under WordPiece. mBERT learned its ``##`` characters late (the
    first has id 10,107), so its first 5% leave most words unknown.
    """
    kept = set(kept_ids) | set(special_ids(tokenizer_json))
    data = json.loads(tokenizer_json)
    model = _model(tokenizer_json)
    data["added_tokens"] = [token for token in data["added_tokens"] if token["id"] in kept]
    if model["type"] == "WordPiece":
        data["model"]["vocab"] = {t: i for t, i in model["vocab"].items() if i in kept}
    else:
        # The id of a Unigram piece is its place in the list: the dropped stay there under a
        # name that no text spells. Their scores stay too, so that of the unknown token, which
        # is set by the lowest, does not move.
        data["model"]["vocab"] = [
            [piece if i in kept else _DROPPED.format(i), score]
            for i, (piece, score) in enumerate(model["vocab"])
        ]
    return json.dumps(data, ensure_ascii=False)


def trim_unigram(
    pieces: Sequence[tuple[str, float]],
    size: int,
    texts: Iterable[str],
) -> list[int]:
    """Which ids of a large Unigram vocabulary to keep for some text.

    The special tokens; then the subwords that the whole vocabulary cuts the texts into, most
    frequent first; then the best-scored of the rest, up to ``size``.

    Returns:
        ``size`` ids, ascending, so the special tokens keep their places: first, and the mask last.

    Raises:
        InputError: the vocabulary has no ``size`` subwords, or they would all be special tokens.
    """
    tokenizer_json = unigram_tokenizer(pieces)
    special = special_ids(tokenizer_json)
    if not len(special) < size <= len(pieces):
        raise InputError(
            f"vocabulary_size {size} must lie between {len(special) + 1} and {len(pieces)}; mend "
            "the backbone's entry in the config"
        )
    tokenizer = Tokenizer.from_str(tokenizer_json)
    counts = np.zeros(len(pieces), dtype=np.int64)
    remaining = iter(tqdm(texts, desc="counting subwords", unit=" texts"))
    while batch := list(itertools.islice(remaining, _BATCH)):
        encodings = tokenizer.encode_batch_fast(batch, add_special_tokens=False)
        ids = np.fromiter(itertools.chain.from_iterable(e.ids for e in encodings), dtype=np.int64)
        counts += np.bincount(ids, minlength=len(counts))
    learned = np.asarray(ids_in_order_learned(tokenizer_json))
    frequent = learned[np.argsort(-counts[learned], kind="stable")]
    return sorted([*special, *frequent[: size - len(special)].tolist()])


def _model(tokenizer_json: str) -> dict[str, Any]:
    model = json.loads(tokenizer_json)["model"]
    if model["type"] not in ("WordPiece", "Unigram"):
        raise InputError(
            f"tokenizers of type {model['type']} are not supported; use a WordPiece or Unigram "
            "backbone"
        )
    return model


def unknown_id(tokenizer_json: str) -> int:
    """The id of the unknown token."""
    model = _model(tokenizer_json)
    return model["unk_id"] if model["type"] == "Unigram" else model["vocab"][model["unk_token"]]
