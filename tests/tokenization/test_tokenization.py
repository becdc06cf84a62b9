"""Text to token ids: special tokens, labels of words, windows over contexts, packed corpora."""

import itertools
import json
import logging
import unicodedata
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet
from safetensors.numpy import load_file
from tiny import (
    CLS,
    MASK,
    PAD,
    SEP,
    byte_level_tokenizer,
    character_tokenizer,
    sentencepiece_tokenizer,
)
from tokenizers import Tokenizer, normalizers
from transformers import PreTrainedTokenizerFast

from semantic_tokens.errors import InputError
from semantic_tokens.json_files import write_jsonl
from semantic_tokens.tokenization.examples import (
    PAIR_CLASSIFICATION_SCHEMA,
    pack_corpus,
    tokenize_dataset,
    tokenize_pair_classification,
    tokenize_question_answering,
    tokenize_token_classification,
)
from semantic_tokens.tokenization.special_tokens import SpecialTokens, fit_pair
from semantic_tokens.tokenization.tables import (
    log_unknown_tokens,
    read_table,
    token_ids_in,
    unknown_by_language,
)
from semantic_tokens.tokenization.vocabulary import load_tokenizer, word_prefix

TOKENIZERS = {
    "wordpiece": character_tokenizer,
    "sentencepiece": sentencepiece_tokenizer,
    "byte_level": byte_level_tokenizer,
}


@pytest.fixture(params=TOKENIZERS)
def tokenizer(request: pytest.FixtureRequest) -> PreTrainedTokenizerFast:
    return TOKENIZERS[request.param]()


# Special tokens


def test_special_tokens_of_bert() -> None:
    frame = SpecialTokens.of(character_tokenizer())
    assert (frame.pad, frame.mask, frame.second_type) == (PAD, MASK, 1)
    assert frame.single([7, 8]) == [CLS, 7, 8, SEP]
    assert frame.pair([7, 8], [9]) == ([CLS, 7, 8, SEP, 9, SEP], [0, 0, 0, 0, 1, 1])
    assert (frame.single_overhead, frame.pair_overhead) == (2, 3)


def test_special_tokens_of_xlm_r() -> None:
    frame = SpecialTokens.of(sentencepiece_tokenizer())
    assert frame.pair([7, 8], [9]) == ([0, 7, 8, 2, 2, 9, 2], [0] * 7)
    assert (frame.pad, frame.single_overhead, frame.pair_overhead) == (1, 2, 4)


def test_special_tokens_equal_those_added_by_the_tokenizer(
    tokenizer: PreTrainedTokenizerFast,
) -> None:
    frame = SpecialTokens.of(tokenizer)
    first, second = "a red tomato", "of 番茄."
    ids = [
        tokenizer.backend_tokenizer.encode(text, add_special_tokens=False).ids
        for text in (first, second)
    ]
    assert frame.single(ids[0]) == tokenizer.backend_tokenizer.encode(first).ids
    expected = tokenizer.backend_tokenizer.encode(first, second)
    assert frame.pair(*ids) == (expected.ids, expected.type_ids)


def test_tokenizer_without_a_post_processor_is_refused() -> None:
    backend = json.loads(character_tokenizer().backend_tokenizer.to_str()) | {
        "post_processor": None
    }
    bare = PreTrainedTokenizerFast(tokenizer_object=Tokenizer.from_str(json.dumps(backend)))
    with pytest.raises(InputError, match=r"tokenizer\.json a post-processor"):
        SpecialTokens.of(bare)


def test_invalid_tokenizer_file_is_named_in_the_error(tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_text("{}", encoding="utf-8")
    with pytest.raises(InputError, match=r"tokenizer\.json is not a tokenizer file .*delete it"):
        load_tokenizer(tmp_path / "tokenizer.json")


def test_truncation_and_padding_of_a_tokenizer_file_are_disabled(tmp_path: Path) -> None:
    tokenizer = character_tokenizer()
    tokenizer.backend_tokenizer.enable_truncation(4)
    tokenizer.backend_tokenizer.enable_padding(length=20)
    tokenizer.save_pretrained(tmp_path)
    opened = load_tokenizer(tmp_path / "tokenizer.json")
    assert len(opened.backend_tokenizer.encode("a tomato").ids) == 9


# Words and their tags


SENTENCE = {
    "id": "1",
    "language": "eng",
    "tokens": ["Tom", "ate", "a", "番茄", "."],
    "tags": ["B-PER", "O", "O", "O", "O"],
}


def tag_table(tokenizer: PreTrainedTokenizerFast, max_length: int, **change: Any) -> dict[str, Any]:
    (row,) = tokenize_token_classification([SENTENCE | change], tokenizer, max_length=max_length)
    return row


def test_words_start_at_their_first_subword() -> None:
    row = tag_table(character_tokenizer(), 64)
    #      [CLS] t ##o ##m a ##t ##e a 番 茄 . [SEP]
    assert row["word_starts"] == [1, 4, 7, 8, 10]
    assert row["tags"] == SENTENCE["tags"]
    assert len(row["input_ids"]) == 12
    assert row["input_ids"][0] == CLS and row["input_ids"][-1] == SEP


def test_subwords_between_word_starts_encode_the_words(tokenizer: PreTrainedTokenizerFast) -> None:
    words = ["red", "tomatoes", "of", "番茄", "."]
    row = tag_table(tokenizer, 64, tokens=words, tags=["O"] * 5)
    edges = [*row["word_starts"], len(row["input_ids"]) - 1]
    for word, begin, end in zip(words, edges[:-1], edges[1:], strict=True):
        expected = tokenizer.backend_tokenizer.encode(
            [word_prefix(tokenizer) + word], is_pretokenized=True, add_special_tokens=False
        )
        assert row["input_ids"][begin:end] == expected.ids


def test_truncated_words_have_no_start() -> None:
    row = tag_table(character_tokenizer(), 8)
    assert len(row["input_ids"]) == 8 and row["input_ids"][-1] == SEP
    assert row["word_starts"] == [1, 4, -1, -1, -1]
    assert len(row["tags"]) == 5  # they are still scored


def test_a_word_without_a_subword_has_no_start() -> None:
    row = tag_table(character_tokenizer(), 64, tokens=["Tom", "\u200b", "ate", "a", "."])
    assert row["word_starts"] == [1, -1, 4, 7, 8]


# Questions and windows


CONTEXT = "In May a red tomato fell on Rome, and the people of Rome ate 12 of them in 3 days."


def question(answer: str = "12 of them", context: str = CONTEXT, **more: Any) -> dict[str, Any]:
    gold = {"text": answer, "start": context.index(answer)}
    query = {"id": "q", "language": "eng", "context": context, "question": "how many?"}
    return query | {"answers": [gold]} | more


def windows(
    tokenizer: PreTrainedTokenizerFast, example: dict[str, Any], **options: int
) -> list[dict[str, Any]]:
    options = {"max_length": 40, "stride": 12, "max_question_length": 16} | options
    return list(tokenize_question_answering([example], tokenizer, **options))


def spans(window: dict[str, Any]) -> list[tuple[int, int]]:
    return list(zip(window["offsets"][::2], window["offsets"][1::2], strict=True))


def marked(window: dict[str, Any], context: str = CONTEXT) -> str:
    """The text between the start and end positions of the window."""
    first = window["start_position"] - window["context_start"]
    last = window["end_position"] - window["context_start"]
    return context[spans(window)[first][0] : spans(window)[last][1]].strip()


@pytest.mark.parametrize("answer", ["In", "12 of them", "3 days", "days.", "Rome", "tomato"])
def test_windows_with_the_answer_mark_its_position(
    tokenizer: PreTrainedTokenizerFast, answer: str
) -> None:
    all_windows = windows(tokenizer, question(answer))
    assert len(all_windows) > 1
    holding = [window for window in all_windows if window["start_position"]]
    assert holding
    assert {marked(window) for window in holding} == {answer}
    first, last = CONTEXT.index(answer), CONTEXT.index(answer) + len(answer)
    for window in all_windows:  # other windows do not contain the entire answer
        has_answer = spans(window)[0][0] <= first and spans(window)[-1][1] >= last
        assert has_answer == bool(window["start_position"]) == bool(window["end_position"])


@pytest.mark.parametrize("max_length", range(28, 44))
def test_window_that_cuts_the_answer_does_not_mark_it(max_length: int) -> None:
    example = question("ate 12 of them")
    for window in windows(character_tokenizer(), example, max_length=max_length):
        if window["start_position"]:
            assert marked(window) == "ate 12 of them"
            assert window["end_position"] < len(window["input_ids"]) - 1  # before [SEP]


def test_an_answer_in_a_script_without_spaces_is_found(tokenizer: PreTrainedTokenizerFast) -> None:
    context = "红色的番茄."
    (window,) = windows(tokenizer, question("番茄", context, question="色?"))
    assert marked(window, context) == "番茄"


@pytest.mark.parametrize("answer", ["Café", "ế", "한국"])
def test_answer_includes_its_last_combining_character(
    tokenizer: PreTrainedTokenizerFast, answer: str
) -> None:
    """XLM-R's tokenizer composes letters, BERT's removes accents, and a byte-level one keeps all."""
    decomposed = unicodedata.normalize("NFD", answer)
    for context in (f"a {decomposed} on", f"a {decomposed}."):
        (window,) = windows(tokenizer, question(decomposed, context))
        assert marked(window, context) == decomposed
        ends = [end for _, end in spans(window)]
        assert ends == sorted(ends) and ends[-1] == len(context)


def test_a_composing_byte_level_tokenizer_keeps_combining_characters() -> None:
    tokenizer = byte_level_tokenizer()
    tokenizer.backend_tokenizer.normalizer = normalizers.NFC()
    for answer in ("Café", "한국"):
        decomposed = unicodedata.normalize("NFD", answer)
        context = f"{decomposed} on"
        (window,) = windows(tokenizer, question(decomposed, context))
        assert marked(window, context) == decomposed


@pytest.mark.parametrize("start", ["\x01", "\x1f\x01 \x7f", "\n\x01", "\x01\n"])
def test_control_characters_at_the_beginning_do_not_shift_the_offsets(
    tokenizer: PreTrainedTokenizerFast, start: str
) -> None:
    context = f"{start}a red tomato"
    (window,) = windows(tokenizer, question("red", context))
    assert marked(window, context) == "red"
    assert spans(window)[-1][1] == len(context)


def test_offsets_of_the_library_are_shifted_by_a_deleted_first_character() -> None:
    """When this fails, the replacement of leading control characters is not needed any more."""
    backend = sentencepiece_tokenizer().backend_tokenizer
    assert backend.encode("\x01ab", add_special_tokens=False).offsets[-1] == (1, 2)
    assert backend.encode(" ab", add_special_tokens=False).offsets[-1] == (2, 3)


def test_windows_cover_the_context_and_overlap_by_the_stride(
    tokenizer: PreTrainedTokenizerFast,
) -> None:
    all_windows = windows(tokenizer, question())
    full_encoding = tokenizer.backend_tokenizer.encode(CONTEXT, add_special_tokens=False)
    window_tokens = []
    for window in all_windows:
        assert len(window["input_ids"]) <= 40
        assert len(window["input_ids"]) == len(window["token_type_ids"])
        begin = window["context_start"]
        ids = window["input_ids"][begin : begin + len(spans(window))]
        window_tokens.append(list(zip(ids, spans(window), strict=True)))
    joined = list(window_tokens[0])
    for before, after in itertools.pairwise(window_tokens):
        assert before[-12:] == after[:12]
        joined += after[12:]
    assert joined == list(zip(full_encoding.ids, full_encoding.offsets, strict=True))


def test_windows_equal_the_overflow_of_the_tokenizer() -> None:
    """With complete questions."""
    all_windows = windows(character_tokenizer(), question())
    reference = character_tokenizer().backend_tokenizer
    reference.enable_truncation(40, stride=12, strategy="only_second")
    first = reference.encode("how many?", CONTEXT)
    expected = [first.ids, *(encoding.ids for encoding in first.overflowing)]
    assert [window["input_ids"] for window in all_windows] == expected


def test_a_short_context_is_one_window(tokenizer: PreTrainedTokenizerFast) -> None:
    (window,) = windows(tokenizer, question("red", "a red tomato"))
    assert marked(window, "a red tomato") == "red"


def test_long_questions_are_truncated(tokenizer: PreTrainedTokenizerFast) -> None:
    with_long_question = windows(tokenizer, question(question="how many tomatoes did people eat?"))
    with_longer_question = windows(
        tokenizer, question(question="how many tomatoes did people eat?" * 9)
    )
    assert [w["input_ids"] for w in with_long_question] == [
        w["input_ids"] for w in with_longer_question
    ]


def test_window_too_short_for_its_stride_is_refused() -> None:
    with pytest.raises(InputError, match=r"`max_length` or .*`stride`"):
        windows(character_tokenizer(), question(), max_length=23)


# Pairs


@pytest.mark.parametrize(
    ("lengths", "room", "kept"),
    [
        ((3, 4), 7, (3, 4)),
        ((10, 2), 6, (4, 2)),
        ((2, 10), 6, (2, 4)),
        ((10, 10), 6, (3, 3)),
        ((10, 10), 7, (3, 4)),
        ((4, 10), 6, (3, 3)),
        ((10, 4), 9, (5, 4)),
        ((0, 9), 4, (0, 4)),
    ],
)
def test_the_longer_text_of_a_pair_is_shortened_first(
    lengths: tuple[int, int], room: int, kept: tuple[int, int]
) -> None:
    first, second = list(range(lengths[0])), list(range(lengths[1]))
    assert fit_pair(first, second, room) == (first[: kept[0]], second[: kept[1]])


def test_pairs_are_truncated_and_keep_their_label(tokenizer: PreTrainedTokenizerFast) -> None:
    pair = {"id": "1", "language": "eng", "first": "a red tomato", "second": "it is red " * 9}
    (row,) = tokenize_pair_classification(
        [pair | {"label": "entailment"}], tokenizer, max_length=24
    )
    full_encoding = tokenizer.backend_tokenizer.encode("a red tomato", "it is red " * 9)
    frame = SpecialTokens.of(tokenizer)
    kept = 24 - len(frame.suffix)
    assert row["label"] == "entailment"
    assert row["input_ids"] == [*full_encoding.ids[:kept], *frame.suffix]
    assert row["token_type_ids"] == full_encoding.type_ids[:24]


# Tables


def test_tables_round_trip_unchanged(tmp_path: Path) -> None:
    rows = [
        {
            "id": str(i),
            "language": "eng",
            "input_ids": list(range(i % 7)),
            "token_type_ids": [0] * (i % 7),
            "label": "neutral",
        }
        for i in range(5000)
    ]
    table = tmp_path / "test.parquet"
    parquet.write_table(pa.Table.from_pylist(rows, PAIR_CLASSIFICATION_SCHEMA), table)
    assert read_table(table) == rows
    frame = SpecialTokens.of(sentencepiece_tokenizer())
    assert token_ids_in([table], frame).tolist() == [0, 1, 2, 3, 4, 5]
    assert token_ids_in([], frame).tolist() == [0, 1, 2]


@pytest.mark.parametrize("processes", [1, 2])
def test_failed_tokenization_leaves_no_table(tmp_path: Path, processes: int) -> None:
    character_tokenizer().save_pretrained(tmp_path / "tokenizer")
    write_jsonl([question() | {"id": str(i)} for i in range(4)], tmp_path / "test.jsonl")
    (tmp_path / "tables").mkdir()
    with pytest.raises(InputError, match=r"raise .*`max_length`"):
        tokenize_dataset(
            "question_answering",
            [tmp_path / "test.jsonl"],
            tmp_path / "tokenizer",
            [tmp_path / "tables/test.parquet"],
            {"max_length": 8, "stride": 4, "max_question_length": 9},
            processes=processes,
        )
    assert list((tmp_path / "tables").iterdir()) == []


def test_tables_do_not_depend_on_the_number_of_processes(tmp_path: Path) -> None:
    character_tokenizer().save_pretrained(tmp_path / "tokenizer")
    rows = [SENTENCE | {"id": str(i), "tokens": ["ab"] * (i % 9 + 1), "tags": ["O"] * (i % 9 + 1)}
            for i in range(10_000)]  # fmt: skip
    write_jsonl(rows, tmp_path / "test.jsonl")
    tables = []
    for processes in (1, 2, 3):
        table = tmp_path / f"{processes}.parquet"
        tokenize_dataset(
            "token_classification",
            [tmp_path / "test.jsonl"],
            tmp_path / "tokenizer",
            [table],
            {"max_length": 12},
            processes=processes,
        )
        tables.append(table.read_bytes())
    assert tables[1:] == [tables[0]] * 2


def test_unknown_tokens_are_logged_by_language(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rows = [
        {"id": "1", "language": "ben", "input_ids": [3, 3, 9, 9]},
        {"id": "2", "language": "ben", "input_ids": [3, 9, 9, 9]},
        {"id": "3", "language": "eng", "input_ids": [9] * 99 + [3]},
    ]
    table = tmp_path / "test.parquet"
    parquet.write_table(pa.Table.from_pylist(rows), table)
    assert unknown_by_language(table, 3) == {"ben": 3 / 8, "eng": 0.01}
    assert unknown_by_language(table, None) == {"ben": 0, "eng": 0}
    log_unknown_tokens(table, 3, logging.getLogger("tokenize"))
    assert "test.parquet: unknown tokens: ben 37.5%. A model" in caplog.text
    caplog.clear()
    log_unknown_tokens(table, 4, logging.getLogger("tokenize"))
    assert not caplog.text


EXAMPLES: dict[str, tuple[dict[str, Any], dict[str, int]]] = {
    "token_classification": (SENTENCE, {"max_length": 32}),
    "question_answering": (
        question(),
        {"max_length": 40, "stride": 12, "max_question_length": 16},
    ),
    "pair_classification": (
        {"id": "1", "language": "eng", "first": "a", "second": "b", "label": "neutral"},
        {"max_length": 32},
    ),
    "ranking": (
        {"id": "1", "language": "eng", "query": "red tomato", "relevant": {"p": 1}},
        {"max_query_length": 5, "max_passage_length": 8},
    ),
}


@pytest.mark.parametrize("kind", EXAMPLES)
def test_dataset_of_every_kind_is_tokenized(tmp_path: Path, kind: str) -> None:
    example, options = EXAMPLES[kind]
    tokenizer = character_tokenizer()
    tokenizer.save_pretrained(tmp_path)
    names = ["train", "test"]
    records = {name: example for name in names}
    if kind == "ranking":
        names.append("passages")
        records["passages"] = {"id": "p", "language": "eng", "title": "red", "text": "tomatoes"}
    for name in names:
        (tmp_path / f"{name}.jsonl").write_text(json.dumps(records[name]) + "\n", encoding="utf-8")
    tokenize_dataset(
        kind,
        [tmp_path / f"{name}.jsonl" for name in names],
        tmp_path / "tokenizer.json",
        [tmp_path / f"{name}.parquet" for name in names],
        options,
    )
    for name in names:
        rows = read_table(tmp_path / f"{name}.parquet")
        assert {row["id"] for row in rows} == {records[name]["id"]}
        assert all(row["language"] == "eng" for row in rows)
    if kind == "ranking":
        query, passage = (
            read_table(tmp_path / f"{name}.parquet")[0]["input_ids"]
            for name in ("test", "passages")
        )
        encoded = [
            tokenizer.backend_tokenizer.encode(t, add_special_tokens=False).ids
            for t in ("redto", "red tomat")
        ]
        assert len(query) == 5 and len(passage) == 8
        assert query[:3] == encoded[0][:3] and passage == encoded[1]


@pytest.mark.parametrize("kind", EXAMPLES)
def test_an_empty_dev_split_becomes_an_empty_table(tmp_path: Path, kind: str) -> None:
    """``dev_fraction: 0`` leaves it empty."""
    character_tokenizer().save_pretrained(tmp_path)
    (tmp_path / "dev.jsonl").touch()
    table = tmp_path / "dev.parquet"
    arguments = (kind, [tmp_path / "dev.jsonl"], tmp_path / "tokenizer.json", [table])
    tokenize_dataset(*arguments, EXAMPLES[kind][1])
    assert list(read_table(table)) == []
    assert "input_ids" in parquet.read_schema(table).names
    assert list(token_ids_in([table], SpecialTokens.of(character_tokenizer()))) != []


# Packed corpora


def test_packed_sequences_are_full_and_drop_only_the_end(tmp_path: Path) -> None:
    tokenizer = character_tokenizer()
    texts = {"eng": ["a red tomato", "he ate it", "in may"] * 3, "zho": ["红色的番茄"] * 5}
    passages = [{"language": code, "text": text} for code in texts for text in texts[code]]
    counts = pack_corpus(passages, tokenizer, tmp_path / "packed", sequence_length=10)
    packed = load_file(tmp_path / "packed")
    assert sorted(packed) == ["eng", "zho"]
    assert counts == {language: len(rows) for language, rows in packed.items()}
    assert list(tmp_path.iterdir()) == [tmp_path / "packed"]
    for language, rows in packed.items():
        assert rows.dtype == np.int32 and rows.shape[1] == 10
        assert set(rows[:, 0].tolist()) == {CLS} and set(rows[:, -1].tolist()) == {SEP}
        stream: list[int] = []
        for text in texts[language]:
            stream += [*tokenizer.backend_tokenizer.encode(text, add_special_tokens=False).ids, SEP]
        body = rows[:, 1:-1].ravel().tolist()
        assert body == stream[: len(body)]
        assert len(stream) - len(body) < 8


def test_packing_does_not_depend_on_the_batch_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The remaining tokens of a batch start the next sequence, in every language."""
    tokenizer = character_tokenizer()
    passages = [
        {"language": language, "text": f"{word} {i}"}
        for i in range(40)
        for language, word in (("eng", "a red tomato"), ("zho", "番茄"), ("deu", "tomate"))
    ]
    for at_once in (4096, 7, 1):
        monkeypatch.setattr("semantic_tokens.tokenization.examples._AT_ONCE", at_once)
        pack_corpus(passages, tokenizer, tmp_path / str(at_once), sequence_length=12)
    one_batch, batches_of_seven, single_passages = (
        (tmp_path / name).read_bytes() for name in ("4096", "7", "1")
    )
    assert one_batch == batches_of_seven == single_passages
    monkeypatch.undo()
    monkeypatch.setattr("semantic_tokens.tokenization.examples._CHARACTERS_AT_ONCE", 50)
    calls = []

    class Counting:
        """A tokenizer that records the number of characters per call."""

        def __init__(self, counted: Any) -> None:
            self.counted = counted

        def __getattr__(self, name: str) -> Any:
            found = getattr(self.counted, name)
            return Counting(found) if name == "backend_tokenizer" else found

        def encode_batch(self, texts: list[str], **options: Any) -> Any:
            calls.append(sum(map(len, texts)))
            return self.counted.encode_batch(texts, **options)

    pack_corpus(passages, Counting(tokenizer), tmp_path / "small", sequence_length=12)
    assert (tmp_path / "small").read_bytes() == one_batch
    assert max(calls) < 50 + len("a red tomato 39")


def test_a_language_with_too_little_text_is_left_out(tmp_path: Path) -> None:
    passages = [{"language": "eng", "text": "tomato " * 9}, {"language": "deu", "text": "tomate"}]
    counts = pack_corpus(passages, character_tokenizer(), tmp_path / "packed", sequence_length=12)
    assert list(counts) == list(load_file(tmp_path / "packed")) == ["eng"]


def test_corpus_shorter_than_one_sequence_is_refused(tmp_path: Path) -> None:
    passages = [{"language": "eng", "text": "red"}]
    with pytest.raises(InputError, match=r"lower `pretraining\.sequence_length`"):
        pack_corpus(passages, character_tokenizer(), tmp_path / "packed", sequence_length=12)
    assert not list(tmp_path.iterdir())
