"""Tokenizers: loading, special ids, words in running text, the order in which subwords were
learned, and truncated tokenizers.
"""

import functools
import itertools
import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tokenizers import AddedToken, Tokenizer, decoders, normalizers, pre_tokenizers, processors
from tokenizers.models import Unigram
from tqdm import tqdm
from transformers import AutoTokenizer, PreTrainedTokenizerFast
from transformers.convert_slow_tokenizer import bytes_to_unicode

from semantic_tokens.errors import InputError, one_line
from semantic_tokens.json_files import read_json
from semantic_tokens.text_files import check_utf8, json_document

_UNUSED = re.compile(r"\[unused_?\d+\]|<unused_?\d+>")
# Never occurs in text, because a Unigram model sees "▁" in place of a space.
_DROPPED = " {}"
_BATCH = 1000
# The bytes of the characters of byte-level tokenizers.
_BYTE_OF = {character: byte for byte, character in bytes_to_unicode().items()}
#: The files of a tokenizer in the folder of a checkpoint.
TOKENIZER_FILES = (
    "tokenizer*",
    "tokenization*.py",
    "special_tokens_map.json",
    "added_tokens.json",
)
#: The mark for the start of a word in SentencePiece and byte-level models.
WORD_BOUNDARIES = ("▁", "Ġ")


def open_tokenizer(
    source: str | Path, *, trust_remote_code: bool = False
) -> PreTrainedTokenizerFast:
    """The tokenizer of a checkpoint, from ``AutoTokenizer``, as a fast tokenizer.

    ``save_pretrained`` of the result always writes a ``tokenizer.json``, which
    :func:`load_tokenizer` opens for any family.

    Args:
        source: a folder in the layout of the hub.

    Raises:
        InputError: there is no tokenizer, one of its files cannot be read or has a byte order mark,
            or it cannot be converted to a fast one.
    """
    folder = Path(source)
    try:
        tokenizer = AutoTokenizer.from_pretrained(source, trust_remote_code=trust_remote_code)
    except Exception as error:  # each kind of tokenizer raises other errors
        raise InputError(_reason(folder, error)) from error
    if not (folder / "tokenizer.json").is_file():
        _check_vocabulary_files(folder)
    if set(tokenizer.get_vocab().values()) <= set(tokenizer.all_special_ids):
        # The library creates an empty tokenizer if there is no file.
        raise InputError(
            f"the tokenizer of {source} has no subword; save one there with "
            "AutoTokenizer.from_pretrained(…).save_pretrained(…)"
        )
    if not tokenizer.is_fast:
        raise InputError(
            f"the tokenizer of {source} ({type(tokenizer).__name__}) has no fast version, which "
            "reports the positions of subwords in the text; use another backbone"
        )
    added_mask = _added_mask(tokenizer, folder)
    try:
        return _wrapped(tokenizer.backend_tokenizer, tokenizer, added_mask)
    except Exception as error:  # the library raises a bare Exception
        raise InputError(
            f"the tokenizer of {source} ({type(tokenizer).__name__}) cannot be saved as a "
            f"tokenizer.json ({one_line(error)}); use another backbone"
        ) from error


def _added_mask(tokenizer: Any, folder: Path) -> str | None:
    """The mask token, if only the tokenizer's class adds it, and no file gives it an id. Then the
    model has no trained embedding for it. SentencePiece's models never list it."""
    mask = tokenizer.mask_token
    listed: set[str] = set()
    if (folder / "tokenizer.json").is_file():
        data = read_json(folder / "tokenizer.json")
        listed |= dict(data["model"]["vocab"]).keys()
        listed |= {token["content"] for token in data.get("added_tokens") or ()}
    elif (folder / "vocab.txt").is_file():
        listed |= set((folder / "vocab.txt").read_text(encoding="utf-8").split("\n"))
    else:
        return None
    for name in ("added_tokens.json", "tokenizer_config.json"):
        if (folder / name).is_file():
            found = read_json(folder / name)
            listed |= found.keys()
            listed |= {t["content"] for t in (found.get("added_tokens_decoder") or {}).values()}
    return None if mask in listed else mask


def _reason(folder: Path, error: Exception) -> str:
    """The reason why a tokenizer cannot be opened. The library's error does not name the file."""
    try:
        for file in sorted(folder.glob("*.json")):
            if not file.exists():
                raise InputError(f"{file} is a link to a file that does not exist; get it again")
            check_utf8(file)
            json_document(file)
        _check_vocabulary_files(folder)
    except InputError as broken:
        return str(broken)
    said = one_line(error)
    if isinstance(error, ImportError):
        return (
            f"the tokenizer of {folder} needs a package that is not installed ({said}); install it "
            "into .venv, or use another backbone"
        )
    lacks = "" if (folder / "tokenizer.json").is_file() else "there is no tokenizer.json; "
    return (
        f"the tokenizer of {folder} cannot be opened ({lacks}{said}); save one there with "
        "AutoTokenizer.from_pretrained(…).save_pretrained(…)"
    )


def _check_vocabulary_files(folder: Path) -> None:
    """Check the encoding of a tokenizer's files of lines. The library keeps a byte order mark as a
    part of the first subword, such as the padding token."""
    for name in ("vocab.txt", "merges.txt"):
        if (folder / name).is_file():
            check_utf8(folder / name)


def load_tokenizer(path: str | Path) -> PreTrainedTokenizerFast:
    """Open a tokenizer of this workflow, without truncation and padding.

    Args:
        path: the folder, or the ``tokenizer.json`` in it.

    Raises:
        InputError: the file is not a tokenizer.
    """
    path = Path(path)
    folder = path if path.is_dir() else path.parent
    try:
        tokenizer = PreTrainedTokenizerFast.from_pretrained(folder)
    except Exception as error:  # the library raises a bare Exception
        raise InputError(
            f"{folder / 'tokenizer.json'} is not a tokenizer file ({error}); delete it and it will "
            "be made again"
        ) from error
    tokenizer.backend_tokenizer.no_truncation()
    tokenizer.backend_tokenizer.no_padding()
    return tokenizer


def _wrapped(backend: Tokenizer, like: Any, removed: str | None = None) -> PreTrainedTokenizerFast:
    """A fast tokenizer with the special tokens (except one), the inputs and the limit of another
    tokenizer."""
    by_text = {token.content: token for token in like.added_tokens_decoder.values()}
    special: dict[str, Any] = {
        name: by_text.get(str(token), token)
        for name, token in like.special_tokens_map.items()
        if str(token) != removed
    }
    backend = Tokenizer.from_str(backend.to_str())
    if removed is not None:
        data = json.loads(backend.to_str())
        data["added_tokens"] = [t for t in data["added_tokens"] if t["content"] != removed]
        backend = Tokenizer.from_str(json.dumps(data, ensure_ascii=False))
    if "unk_token" not in special and (unknown := _unknown_of_model(backend)) is not None:
        special["unk_token"] = unknown
    named = {removed, *map(str, special.values())}
    extra = [token for token in like.all_special_tokens if token not in named]
    if extra:
        special["extra_special_tokens"] = extra
    if like.model_input_names != PreTrainedTokenizerFast.model_input_names:
        special["model_input_names"] = like.model_input_names
    backend.no_truncation()
    backend.no_padding()
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        padding_side="right",
        model_max_length=like.model_max_length,
        **special,
    )


def _unknown_of_model(backend: Tokenizer) -> str | None:
    """The unknown token of a tokenizer's model, for configurations that do not name it."""
    model = json.loads(backend.to_str())["model"]
    if model["type"] == "Unigram" and model.get("unk_id") is not None:
        return model["vocab"][model["unk_id"]][0]
    return model.get("unk_token")


def vocabulary_size(tokenizer: PreTrainedTokenizerFast) -> int:
    """|V|: one more than the largest id."""
    return max(tokenizer.get_vocab().values()) + 1


def ids_without_subword(tokenizer: PreTrainedTokenizerFast) -> list[int]:
    """The ids of 0..V-1 that the tokenizer never gives, ascending. Most vocabularies have none."""
    return sorted(set(range(vocabulary_size(tokenizer))) - set(tokenizer.get_vocab().values()))


def number_of_subwords(tokenizer: PreTrainedTokenizerFast) -> int:
    """The number of ids with a subword, special tokens included."""
    return vocabulary_size(tokenizer) - len(ids_without_subword(tokenizer))


def subword_texts(tokenizer: PreTrainedTokenizerFast) -> list[str]:
    """The readable text of every subword, by id; empty for ids without a subword.

    Byte-level tokenizers write bytes as other characters: their ``ĠÃ¶l`` becomes ``▁öl``, with
    SentencePiece's mark for the start of a word. Bytes of incomplete characters are written as in
    SentencePiece's byte fallback: ``<0xE0>``.
    """
    texts = [""] * vocabulary_size(tokenizer)
    decoder = json.loads(tokenizer.backend_tokenizer.to_str())["decoder"]
    is_byte_level = any(part["type"] == "ByteLevel" for part in _decoders(decoder))
    for token, i in tokenizer.get_vocab().items():
        is_bytes = is_byte_level and i not in tokenizer.added_tokens_decoder
        texts[i] = _with_bytes(token) if is_bytes else token
    return texts


def _decoders(decoder: Mapping[str, Any] | None) -> Iterator[Mapping[str, Any]]:
    """A decoder, and the decoders in it if it is a sequence."""
    if decoder is not None:
        yield decoder
        for part in decoder.get("decoders", ()):
            yield from _decoders(part)


def _with_bytes(spelling: str) -> str:
    r"""The text of a subword of a byte-level tokenizer; incomplete characters become byte names.

    >>> _with_bytes("ĠÃ¶l"), _with_bytes("Ġà¤"), _with_bytes("à¤ķà")
    ('▁öl', '▁<0xE0><0xA4>', 'क<0xE0>')
    """
    if not set(spelling) <= _BYTE_OF.keys():
        return spelling
    text = bytes(_BYTE_OF[c] for c in spelling).decode("utf-8", "surrogateescape")
    text = re.sub("[\udc80-\udcff]", lambda found: f"<0x{ord(found[0]) - 0xDC00:02X}>", text)
    return "▁" + text[1:] if text.startswith(" ") else text


def special_ids(tokenizer: PreTrainedTokenizerFast, *, with_unused: bool = False) -> list[int]:
    """The ids of special tokens, ascending; ``with_unused`` adds those of ``[unusedN]``."""
    ids = set(tokenizer.all_special_ids)
    ids |= {i for i, token in tokenizer.added_tokens_decoder.items() if token.special}
    if with_unused:
        ids |= {i for token, i in tokenizer.get_vocab().items() if _UNUSED.fullmatch(token)}
    return sorted(ids)


def unknown_id(tokenizer: PreTrainedTokenizerFast) -> int:
    """The id of the unknown token.

    Raises:
        InputError: the tokenizer has none.
    """
    if tokenizer.unk_token_id is None:
        raise InputError(
            "the tokenizer has no unknown token, which First-k needs for dropped subwords; leave "
            "First-k out for this backbone"
        )
    return tokenizer.unk_token_id


@functools.lru_cache(maxsize=8)
def word_prefix(tokenizer: PreTrainedTokenizerFast) -> str:
    """The prefix with which a word is tokenized as in running text: a space for byte-level
    tokenizers, whose words start with it, and nothing for others."""
    encode = tokenizer.backend_tokenizer.encode
    within = encode("a a", add_special_tokens=False)
    # The second word, with the space if that is a separate subword.
    wanted = [i for i, (_, end) in zip(within.ids, within.offsets, strict=True) if end > len("a")]
    for prefix in ("", " "):
        found = encode([prefix + "a"] * 2, is_pretokenized=True, add_special_tokens=False)
        second = [i for i, w in zip(found.ids, found.word_ids, strict=True) if w == 1]
        if second == wanted:
            return prefix
    return ""


@functools.lru_cache(maxsize=8)
def _special(tokenizer: PreTrainedTokenizerFast) -> frozenset[int]:
    return frozenset(special_ids(tokenizer))


def single_subword_id(tokenizer: PreTrainedTokenizerFast, word: str) -> int | None:
    """The id of a word that is a single subword in running text, else None. A special token is no
    word, even if it is spelt like one.

    In scripts without spaces, SentencePiece often splits a word into a word boundary and the piece
    (``▁``, ``番茄``). The boundary is ignored.
    """
    text = word_prefix(tokenizer) + word
    encoding = tokenizer.backend_tokenizer.encode(text, add_special_tokens=False)
    ids, tokens = encoding.ids, encoding.tokens
    if len(ids) == 2 and tokens[0] in WORD_BOUNDARIES:
        ids, tokens = ids[1:], tokens[1:]
    if len(ids) != 1 or ids[0] in _special(tokenizer) or tokens[0] in WORD_BOUNDARIES:
        return None
    return ids[0]


def ids_in_order_learned(tokenizer: PreTrainedTokenizerFast) -> list[int]:
    """Ids in the order in which the tokenizer learned them, without special tokens.

    WordPiece adds subwords one by one, so this is the order of the file. BPE starts with its
    alphabet, and adds merges in their order. Unigram prunes a vocabulary, so subwords are sorted by
    score, then by id. ``[unusedN]`` were never learned and come last.
    """
    model = _model(tokenizer)
    if model["type"] == "Unigram":
        order = np.argsort([-score for _, score in model["vocab"]], kind="stable").tolist()
    elif model["type"] == "BPE":
        rank: dict[str, int] = {}
        for number, merge in enumerate(model["merges"]):
            rank.setdefault(_product(merge, model), number)
        order = sorted(
            model["vocab"].values(),
            key={i: (rank.get(t, -1), i) for t, i in model["vocab"].items()}.__getitem__,
        )
    else:
        order = sorted(model["vocab"].values())
    special = set(special_ids(tokenizer))
    unused = set(special_ids(tokenizer, with_unused=True)) - special
    learned = [i for i in order if i not in special and i not in unused]
    return learned + sorted(unused)


def first_k_ids(tokenizer: PreTrainedTokenizerFast, k: int) -> list[int]:
    """The special tokens and the first learned subwords, k ids in total, ascending (section 2.1).

    Raises:
        InputError: k is too small for the special tokens and one subword, or for BPE's alphabet.
    """
    special = special_ids(tokenizer)
    model = _model(tokenizer)
    least, what = len(special), f"{len(special)} tokens are special"
    if model["type"] == "BPE":
        products = {_product(merge, model) for merge in model["merges"]}
        alphabet = {i for t, i in model["vocab"].items() if t not in products}
        least = len(alphabet | set(special)) - 1
        what = f"the alphabet and the special tokens are {least + 1}"
    if k <= least:
        raise InputError(
            f"First-k would keep {k} subwords, and {what}; raise the ratio in the experiment's "
            "`grouping`"
        )
    return sorted([*special, *ids_in_order_learned(tokenizer)[: k - len(special)]])


def truncate_tokenizer(
    tokenizer: PreTrainedTokenizerFast, kept_ids: Iterable[int]
) -> PreTrainedTokenizerFast:
    """A tokenizer that uses only the kept subwords, with their original ids.

    Ids do not change, so later steps need not know about the truncation. Text that no kept subword
    covers becomes unknown, depending on the family: only these characters with Unigram, and the
    entire word with WordPiece. mBERT learned its ``##`` characters late (the first has id 10,107),
    so with its first 5%, most words are unknown.

    Raises:
        InputError: the id of an added token would change.
    """
    kept = set(kept_ids) | set(special_ids(tokenizer))
    data = json.loads(tokenizer.backend_tokenizer.to_str())
    model = data["model"]
    data["added_tokens"] = [token for token in data["added_tokens"] if token["id"] in kept]
    # The library gives a new id to an added token that the model's vocabulary lacks.
    added = {token["content"]: token["id"] for token in data["added_tokens"]}
    if model["type"] == "Unigram":
        after = range(len(model["vocab"]), max(added.values(), default=-1) + 1)
        lowest = min(score for _, score in model["vocab"])
        texts = {i: token for token, i in added.items()}
        model["vocab"] += [[texts.get(i, _DROPPED.format(i)), lowest] for i in after]
        # The id of a Unigram piece is its position in the list. Removed pieces stay in the list
        # with a name that never occurs in text. They keep their scores, because the lowest score
        # determines the score of the unknown token.
        model["vocab"] = [
            [piece if i in kept else _DROPPED.format(i), score]
            for i, (piece, score) in enumerate(model["vocab"])
        ]
    else:
        model["vocab"] = {t: i for t, i in model["vocab"].items() if i in kept} | added
    if model["type"] == "BPE":
        model["merges"] = [
            merge
            for merge in model["merges"]
            if _product(merge, model) in model["vocab"] and set(merge) <= model["vocab"].keys()
        ]
    truncated = _wrapped(Tokenizer.from_str(json.dumps(data, ensure_ascii=False)), tokenizer)
    ids = truncated.get_vocab()
    if moved := [token for token, i in added.items() if ids.get(token) != i]:
        raise InputError(
            f"First-k would change the id of the added token {moved[0]!r}; leave First-k out for "
            "this backbone"
        )
    return truncated


def unigram_tokenizer(pieces: Sequence[tuple[str, float]]) -> PreTrainedTokenizerFast:
    """XLM-R's tokenizer over these pieces.

    Args:
        pieces: text and score in id order: ``<s> <pad> </s> <unk>``, the subwords, ``<mask>``.
    """
    tokenizer = Tokenizer(Unigram(list(pieces), unk_id=3, byte_fallback=False))
    tokenizer.normalizer = normalizers.Sequence(
        # XLM-R's map replaces the zero-width joiner with a space; the current nmt_nfkc keeps it.
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
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token="<s>",
        eos_token="</s>",
        cls_token="<s>",
        sep_token="</s>",
        pad_token="<pad>",
        unk_token="<unk>",
        mask_token=AddedToken("<mask>", lstrip=True, special=True),
    )


@functools.cache
def _nmt_nfkc() -> bytes:
    """SentencePiece's compiled map of its nmt_nfkc normalisation, from the library."""
    from sentencepiece import SentencePieceNormalizer, sentencepiece_model_pb2

    model: Any = sentencepiece_model_pb2.ModelProto()  # type: ignore[attr-defined]
    model.ParseFromString(SentencePieceNormalizer(rule_name="nmt_nfkc").serialized_model_proto())
    return model.normalizer_spec.precompiled_charsmap


def trim_unigram(
    pieces: Sequence[tuple[str, float]],
    size: int,
    texts: Iterable[str],
    *,
    with_characters: bool = False,
) -> list[int]:
    """The ids of a large Unigram vocabulary to keep for some text.

    They are the special tokens, then the most frequent subwords of the texts, then the subwords
    with the highest scores, up to ``size``.

    Args:
        with_characters: before these, keep the subwords of one character that the texts need, the
            most frequent first. A word whose subword is not kept is split into smaller ones, and
            becomes unknown if a character of it has none.

    Returns:
        ``size`` ids, ascending. So the special tokens stay first, and the mask stays last.

    Raises:
        InputError: the vocabulary has fewer than ``size`` subwords, or only special tokens would
            fit.
    """
    tokenizer = unigram_tokenizer(pieces)
    special = special_ids(tokenizer)
    if not len(special) < size <= len(pieces):
        raise InputError(
            f"vocabulary_size {size} must be between {len(special) + 1} and {len(pieces)}; fix "
            "the backbone's entry in the config"
        )
    counts = np.zeros(len(pieces), dtype=np.int64)
    remaining = iter(tqdm(texts, desc="counting subwords", unit=" texts"))
    while batch := list(itertools.islice(remaining, _BATCH)):
        encodings = tokenizer.backend_tokenizer.encode_batch_fast(batch, add_special_tokens=False)
        ids = np.fromiter(itertools.chain.from_iterable(e.ids for e in encodings), dtype=np.int64)
        counts += np.bincount(ids, minlength=len(counts))
    learned = np.asarray(ids_in_order_learned(tokenizer))
    frequent = learned[np.argsort(-counts[learned], kind="stable")]
    wanted = frequent.tolist()
    if with_characters:
        wanted = [*_characters(pieces, counts, learned), *wanted]
    return sorted([*special, *list(dict.fromkeys(wanted))[: size - len(special)]])


def _characters(
    pieces: Sequence[tuple[str, float]], counts: np.ndarray, learned: np.ndarray
) -> list[int]:
    """The subwords of one character that occur in counted subwords, the most frequent first."""
    frequency: Counter[str] = Counter()
    for number in np.flatnonzero(counts).tolist():
        for character in pieces[number][0]:
            frequency[character] += int(counts[number])
    single = [number for number in learned.tolist() if pieces[number][0] in frequency]
    return sorted(single, key=lambda number: -frequency[pieces[number][0]])


def _model(tokenizer: PreTrainedTokenizerFast) -> dict[str, Any]:
    """The model of a tokenizer, as the library writes it."""
    model = json.loads(tokenizer.backend_tokenizer.to_str())["model"]
    if model["type"] not in ("WordPiece", "Unigram", "BPE"):
        raise InputError(
            f"the order in which a tokenizer of type {model['type']} learned its subwords is not "
            "known; leave First-k out for this backbone"
        )
    return model


def _product(merge: Sequence[str], model: dict[str, Any]) -> str:
    """The subword that a merge of BPE produces from two subwords."""
    first, second = merge
    return first + second.removeprefix(model.get("continuing_subword_prefix") or "")
