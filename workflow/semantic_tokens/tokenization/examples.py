"""Text to token ids. This runs once per backbone and segmentation, for all variants.

Tables are Parquet files with one row per example (or per window of one) and ragged columns of
int32. :func:`read_table` reads them.
"""

import contextlib
import json
import os
import shutil
import tempfile
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from datasets import Dataset, Features, List, Value
from datasets.exceptions import DatasetGenerationError
from tqdm import tqdm
from transformers import PreTrainedTokenizerFast

from semantic_tokens.errors import InputError
from semantic_tokens.files import atomic_file
from semantic_tokens.json_files import read_jsonl
from semantic_tokens.tokenization.special_tokens import SpecialTokens, fit_pair
from semantic_tokens.tokenization.vocabulary import load_tokenizer, word_prefix

_AT_ONCE = 4096  # examples per call of the tokenizer: enough to use all its threads
_CHARACTERS_AT_ONCE = 2**20  # and characters per call, which need about 200 bytes each


# Control characters except tabs and line breaks, which are spaces.
_CONTROLS = "".join(c for c in map(chr, [*range(0x20), *range(0x7F, 0xA0)]) if c not in "\t\n\r")
_IDS = pa.list_(pa.int32())

TOKEN_CLASSIFICATION_SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("language", pa.string()),
        ("input_ids", _IDS),
        ("word_starts", _IDS),
        ("tags", pa.list_(pa.string())),
    ]
)


def tokenize_token_classification(
    examples: Iterable[dict[str, Any]], tokenizer: PreTrainedTokenizerFast, *, max_length: int
) -> Iterable[dict[str, Any]]:
    """One row per sentence. ``word_starts[i]`` is the position of word i's first subword, or -1 if
    the word was truncated or has no subword; ``tags`` are the words' gold tags."""
    frame = SpecialTokens.of(tokenizer)
    prefix = word_prefix(tokenizer)
    room = max_length - frame.single_overhead
    for batch in _in_batches(examples):
        encodings = tokenizer.backend_tokenizer.encode_batch(
            [[prefix + word for word in example["tokens"]] for example in batch],
            is_pretokenized=True,
            add_special_tokens=False,
        )
        for example, encoding in zip(batch, encodings, strict=True):
            starts = [-1] * len(example["tokens"])
            for position, word in enumerate(encoding.word_ids[:room]):
                if word is not None and starts[word] == -1:
                    starts[word] = position + len(frame.prefix)
            yield {
                "id": example["id"],
                "language": example["language"],
                "input_ids": frame.single(encoding.ids[:room]),
                "word_starts": starts,
                "tags": example["tags"],
            }


QUESTION_ANSWERING_SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("language", pa.string()),
        ("input_ids", _IDS),
        ("token_type_ids", _IDS),
        ("context_start", pa.int32()),
        ("offsets", _IDS),
        ("start_position", pa.int32()),
        ("end_position", pa.int32()),
    ]
)


def tokenize_question_answering(
    examples: Iterable[dict[str, Any]],
    tokenizer: PreTrainedTokenizerFast,
    *,
    max_length: int,
    stride: int,
    max_question_length: int,
) -> Iterable[dict[str, Any]]:
    """One row per window of a context, which may be longer than ``max_length``.

    Consecutive windows of an example overlap by ``stride`` tokens. ``offsets`` has the start and
    the end of every context token, in characters of the context, including the marks of its
    letters. The first context token is at the position ``context_start``. The answer's positions
    are those of its first and last token, or 0 (the classification token) if it is not in the
    window.
    """
    frame = SpecialTokens.of(tokenizer)
    for batch in _in_batches(examples):
        questions = tokenizer.backend_tokenizer.encode_batch(
            [example["question"] for example in batch], add_special_tokens=False
        )
        contexts = tokenizer.backend_tokenizer.encode_batch(
            [_without_leading_controls(example["context"]) for example in batch],
            add_special_tokens=False,
        )
        for example, question, context in zip(batch, questions, contexts, strict=True):
            question_ids = question.ids[:max_question_length]
            room = max_length - frame.pair_overhead - len(question_ids)
            if room <= stride:
                raise InputError(
                    f"max_length {max_length} leaves {room} tokens for the context, and windows "
                    f"overlap by {stride}; raise the dataset's `max_length` or lower its `stride`"
                )
            offsets = _with_marks(example["context"], context.offsets)
            answer = _answer_tokens(example, offsets)
            before = len(frame.prefix) + len(question_ids) + len(frame.middle)
            start = 0
            while True:
                end = min(start + room, len(context.ids))
                ids, types = frame.pair(question_ids, context.ids[start:end])
                inside = answer is not None and start <= answer[0] and answer[1] < end
                yield {
                    "id": example["id"],
                    "language": example["language"],
                    "input_ids": ids,
                    "token_type_ids": types,
                    "context_start": before,
                    "offsets": [edge for pair in offsets[start:end] for edge in pair],
                    "start_position": before + answer[0] - start if answer and inside else 0,
                    "end_position": before + answer[1] - start if answer and inside else 0,
                }
                if end == len(context.ids):
                    break
                start = end - stride


PAIR_CLASSIFICATION_SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("language", pa.string()),
        ("input_ids", _IDS),
        ("token_type_ids", _IDS),
        ("label", pa.string()),
    ]
)


def tokenize_pair_classification(
    examples: Iterable[dict[str, Any]], tokenizer: PreTrainedTokenizerFast, *, max_length: int
) -> Iterable[dict[str, Any]]:
    """One row per pair of sentences. If they are too long, the longer one is truncated first."""
    frame = SpecialTokens.of(tokenizer)
    room = max_length - frame.pair_overhead
    for batch in _in_batches(examples):
        encodings = [
            tokenizer.backend_tokenizer.encode_batch(
                [example[side] for example in batch], add_special_tokens=False
            )
            for side in ("first", "second")
        ]
        for example, first, second in zip(batch, *encodings, strict=True):
            ids, types = frame.pair(*fit_pair(first.ids, second.ids, room))
            yield {
                "id": example["id"],
                "language": example["language"],
                "input_ids": ids,
                "token_type_ids": types,
                "label": example["label"],
            }


TEXT_SCHEMA = pa.schema([("id", pa.string()), ("language", pa.string()), ("input_ids", _IDS)])


def tokenize_texts(
    texts: Iterable[dict[str, Any]], tokenizer: PreTrainedTokenizerFast, *, max_length: int
) -> Iterable[dict[str, Any]]:
    """One row per query or passage (``id``, ``language``, ``text``), without special tokens: a
    bi-encoder adds them to one text, and a cross-encoder to a pair."""
    for batch in _in_batches(texts):
        encodings = tokenizer.backend_tokenizer.encode_batch(
            [text["text"] for text in batch], add_special_tokens=False
        )
        for text, encoding in zip(batch, encodings, strict=True):
            yield {
                "id": text["id"],
                "language": text["language"],
                "input_ids": encoding.ids[:max_length],
            }


def pack_corpus(
    passages: Iterable[dict[str, Any]],
    tokenizer: PreTrainedTokenizerFast,
    target: str | Path,
    *,
    sequence_length: int,
) -> dict[str, int]:
    """Pack a corpus into full sequences, so that pretraining needs no padding. Write them as
    safetensors: [n, sequence_length] int32 for every language, with special tokens.

    The passages of a language are concatenated with separators and cut into sequences. The
    incomplete last sequence of a language is dropped. Complete sequences are written to disk at
    once, so memory use does not grow with the corpus.

    Returns:
        the number of sequences of every language.

    Raises:
        InputError: no language has enough text for one sequence.
    """
    frame = SpecialTokens.of(tokenizer)
    room = sequence_length - frame.single_overhead
    target = Path(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    counts: dict[str, int] = {}
    with tempfile.TemporaryDirectory(prefix=".packing-", dir=target.parent) as folder:
        rests: dict[str, list[int]] = {}
        with contextlib.ExitStack() as opened:
            files: dict[str, IO[bytes]] = {}
            for batch in _in_batches(
                tqdm(passages, desc="tokenising", unit="passage", mininterval=2)
            ):
                encodings = tokenizer.backend_tokenizer.encode_batch(
                    [passage["text"] for passage in batch], add_special_tokens=False
                )
                for passage, encoding in zip(batch, encodings, strict=True):
                    rest = rests.setdefault(passage["language"], [])
                    rest.extend(encoding.ids)
                    rest.extend(frame.suffix)
                for language, rest in rests.items():
                    count = len(rest) // room
                    if not count:
                        continue
                    if language not in files:
                        files[language] = opened.enter_context((Path(folder) / language).open("wb"))
                    body = np.asarray(rest[: count * room], dtype="<i4").reshape(count, room)
                    prefix, suffix = (
                        np.tile(np.asarray(ids, dtype="<i4"), (count, 1))
                        for ids in (frame.prefix, frame.suffix)
                    )
                    files[language].write(np.concatenate([prefix, body, suffix], axis=1).tobytes())
                    counts[language] = counts.get(language, 0) + count
                    del rest[: count * room]
        if not counts:
            raise InputError(
                f"the corpus has no language with {sequence_length} tokens of text; lower "
                "`pretraining.sequence_length` or add a corpus"
            )
        _join_tensors(
            Path(folder), {n: (counts[n], sequence_length) for n in sorted(counts)}, target
        )
    return counts


def _join_tensors(folder: Path, shapes: dict[str, tuple[int, int]], target: Path) -> None:
    """Join files of int32 tensors into one safetensors file, without loading them. The format is
    the header's length in 8 bytes, the header as JSON, and the tensors one after another."""
    header, end = {}, 0
    for name, shape in shapes.items():
        size = 4 * shape[0] * shape[1]
        header[name] = {"dtype": "I32", "shape": shape, "data_offsets": [end, end + size]}
        end += size
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # to align the tensors
    with atomic_file(target) as partial, partial.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for name in shapes:
            with (folder / name).open("rb") as part:
                shutil.copyfileobj(part, file, 2**24)


def tokenize_dataset(
    kind: str,
    splits: Sequence[Path],
    tokenizer_path: str | Path,
    targets: Sequence[Path],
    options: dict[str, Any],
    *,
    processes: int = 1,
) -> None:
    """Tokenise the files of one dataset, each into a table.

    Args:
        kind: ``token_classification``, ``question_answering``, ``pair_classification`` or
            ``ranking``.
        splits: canonical JSON-lines files; for ranking, queries and ``passages.jsonl``.
        targets: one Parquet file for each.
        options: the options of the kind's function above; for ranking, ``max_query_length`` and
            ``max_passage_length``.
        processes: the number of parallel processes, each with one thread.
    """
    if processes > 1:
        os.environ["TOKENIZERS_PARALLELISM"] = "false"
    tokenizer = load_tokenizer(tokenizer_path)
    for split, target in zip(splits, targets, strict=True):
        options_of_split = options
        if kind == "ranking":
            side = "passage" if split.stem == "passages" else "query"
            options_of_split = {"max_length": options[f"max_{side}_length"]}
        function, schema, features = _KINDS[kind]
        if next(read_jsonl(split), None) is None:  # a dev split that the config leaves empty
            with atomic_file(target) as partial:
                pq.write_table(schema.empty_table(), partial)
            continue
        with tempfile.TemporaryDirectory(prefix=".tokenising-", dir=target.parent) as folder:
            try:
                examples = Dataset.from_generator(
                    _examples,
                    features=features,
                    gen_kwargs={"path": split, "features": features},
                    cache_dir=folder,
                )
            except DatasetGenerationError as error:
                if isinstance(error.__cause__, InputError):
                    raise error.__cause__ from None
                raise
            rows = examples.map(
                _tokenised,
                batched=True,
                batch_size=_AT_ONCE,
                remove_columns=examples.column_names,
                fn_kwargs={
                    "function": function,
                    "tokenizer": tokenizer,
                    "options": options_of_split,
                },
                features=Features.from_arrow_schema(schema),
                num_proc=processes if processes > 1 else None,
                desc=f"tokenising {split.stem}",
            )
            with atomic_file(target) as partial:
                rows.to_parquet(partial)


def longest_row(options: Mapping[str, int], tokenizer_path: str | Path) -> int:
    """The maximum number of tokens in a row of a dataset, including special tokens.

    Args:
        options: the dataset's ``tokenization``.
    """
    if "max_length" in options:
        return options["max_length"]
    frame = SpecialTokens.of(load_tokenizer(tokenizer_path))
    longest = max(options["max_query_length"], options["max_passage_length"])
    return longest + frame.single_overhead


_TEXT = Value("string")
# Kind of dataset -> its function, the table's schema, and the fields that are used.
_KINDS: dict[str, tuple[Callable[..., Iterable[dict[str, Any]]], pa.Schema, Features]] = {
    "token_classification": (
        tokenize_token_classification,
        TOKEN_CLASSIFICATION_SCHEMA,
        Features(id=_TEXT, language=_TEXT, tokens=List(_TEXT), tags=List(_TEXT)),
    ),
    "question_answering": (
        tokenize_question_answering,
        QUESTION_ANSWERING_SCHEMA,
        Features(
            id=_TEXT,
            language=_TEXT,
            question=_TEXT,
            context=_TEXT,
            answers=List({"text": _TEXT, "start": Value("int64")}),
        ),
    ),
    "pair_classification": (
        tokenize_pair_classification,
        PAIR_CLASSIFICATION_SCHEMA,
        Features(id=_TEXT, language=_TEXT, first=_TEXT, second=_TEXT, label=_TEXT),
    ),
    "ranking": (tokenize_texts, TEXT_SCHEMA, Features(id=_TEXT, language=_TEXT, text=_TEXT)),
}


def _examples(path: Path, features: Features) -> Iterator[dict[str, Any]]:
    """The examples of a dataset's file, with the fields that tokenising uses."""
    for row in read_jsonl(path):
        if "text" in features:
            row = row | {"text": _text_of(row)}
        yield {name: row[name] for name in features}


def _tokenised(
    batch: Mapping[str, Sequence[Any]],
    function: Callable[..., Iterable[dict[str, Any]]],
    tokenizer: PreTrainedTokenizerFast,
    options: Mapping[str, int],
) -> dict[str, list[Any]]:
    """The rows of a batch of examples, as columns."""
    examples = [
        dict(zip(batch, values, strict=True)) for values in zip(*batch.values(), strict=True)
    ]
    rows = list(function(examples, tokenizer, **options))
    return {name: [row[name] for row in rows] for name in rows[0]} if rows else {}


def _text_of(row: dict[str, Any]) -> str:
    """A query's text, or a passage's title and text."""
    return row["query"] if "query" in row else f"{row['title']} {row['text']}".strip()


def _without_leading_controls(context: str) -> str:
    """The context with spaces in place of control characters at its beginning.

    If a normaliser deletes the first character, all offsets of ``tokenizers`` are too small by one.
    """
    rest = context.lstrip(_CONTROLS)
    return " " * (len(context) - len(rest)) + rest


def _with_marks(context: str, offsets: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """The offsets of tokens, whose ends include the following marks that no token has.

    A tokenizer that composes ``e`` and its accent to one letter, or removes accents, returns the
    offsets of ``e`` alone.
    """
    marks = [] if context.isascii() else [p for p, c in enumerate(context) if _is_mark(c)]
    if not marks:
        return offsets
    owned = {place for left, right in offsets for place in range(left, right)}
    ends: dict[int, int] = {}  # the start of marks without a token -> their end
    for place in reversed(marks):
        if place not in owned:
            ends[place] = ends.get(place + 1, place + 1)
    return [(left, ends.get(right, right) if left < right else right) for left, right in offsets]


def _is_mark(character: str) -> bool:
    """Whether this belongs to the letter before it: a mark, or a vowel or final of Hangul."""
    return unicodedata.category(character).startswith("M") or "\u1160" <= character <= "\u11ff"


def _answer_tokens(
    example: dict[str, Any], offsets: list[tuple[int, int]]
) -> tuple[int, int] | None:
    """The first and the last context token that overlap the first answer."""
    if not example["answers"]:
        return None
    begin = example["answers"][0]["start"]
    end = begin + len(example["answers"][0]["text"])
    covered = [i for i, (left, right) in enumerate(offsets) if left < end and right > begin]
    return (covered[0], covered[-1]) if covered else None


def _in_batches(items: Iterable[dict[str, Any]]) -> Iterable[list[dict[str, Any]]]:
    batch: list[dict[str, Any]] = []
    characters = 0
    for item in items:
        batch.append(item)
        characters += sum(len(value) for value in item.values() if isinstance(value, str))
        if len(batch) == _AT_ONCE or characters >= _CHARACTERS_AT_ONCE:
            yield batch
            batch, characters = [], 0
    if batch:
        yield batch
