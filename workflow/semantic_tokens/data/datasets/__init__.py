"""Readers of the tasks' data, which convert publishers' formats to canonical examples (paper,
section 3; docs/architecture.md describes the form)."""

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from semantic_tokens.data.datasets import (
    conll,
    hf,
    hub,
    jsonl,
    masakhaner,
    miracl,
    msmarco,
    squad,
    xnli,
)
from semantic_tokens.data.datasets.canonical import KEYS, SPLITS, Example, validate_examples
from semantic_tokens.data.datasets.splitting import sample
from semantic_tokens.data.digest_set import DigestSet
from semantic_tokens.data.languages import check_codes, known_language
from semantic_tokens.data.reader_options import (
    check_option,
    check_reader,
    checked_options,
    takes,
)
from semantic_tokens.errors import InputError

__all__ = ["READERS", "check_dataset", "read_dataset", "validate_examples"]

log = logging.getLogger(__name__)


class Reader(NamedTuple):
    """The reader of one format.

    Attributes:
        read: the function, with the path and the format's options as arguments.
        kind: the kind of its examples.
        many_folders: whether the input may be in several folders.
        needs_folder: whether it needs a `path` or `download`; otherwise it reads the hub without
            one.
    """

    read: Callable[..., Any]
    kind: str
    many_folders: bool = False
    needs_folder: bool = True


#: All readers, by their names in the config key ``reader``; ``jsonl`` and ``hf`` read any kind.
READERS: dict[str, Reader] = {
    "masakhaner": Reader(masakhaner.masakhaner, "token_classification"),
    "conll": Reader(conll.conll, "token_classification"),
    "squad_json": Reader(squad.squad_json, "question_answering"),
    "tydiqa_hub": Reader(hub.tydiqa_hub, "question_answering", needs_folder=False),
    "xnli": Reader(xnli.xnli, "pair_classification"),
    "xnli_hub": Reader(hub.xnli_hub, "pair_classification", needs_folder=False),
    "xquad_ranking": Reader(squad.xquad_ranking, "ranking"),
    "miracl": Reader(miracl.miracl, "ranking", many_folders=True),
    "msmarco": Reader(msmarco.msmarco, "ranking", many_folders=True),
    "jsonl": Reader(jsonl.jsonl, "any"),
    "hf": Reader(hf.hf, "any", needs_folder=False),
}

# Options of every reader: the number of examples to keep per language, sampled with `seed`.
_LIMITS = {split: f"max_{split}_per_language" for split in SPLITS}
# The option of all question readers for questions without an answer (SQuAD 2).
_UNANSWERABLE = "unanswerable"


def check_dataset(
    name: str,
    reader: str,
    options: Mapping[str, Any],
    kind: str | None,
    *,
    has_source: bool,
) -> dict[str, Any]:
    """Check a dataset of the config, and return the options to pass to its reader.

    Args:
        name, reader, options, kind: see :func:`read_dataset`.
        has_source: whether there is a folder to read.

    Raises:
        InputError: there is no such reader, or its kind, source or options are wrong.
    """
    key = f"config key datasets.{name}"
    check_reader(reader, [*READERS, "miniature"], key)
    kind = _kind(reader, kind, key)
    if not has_source and READERS[reader].needs_folder:
        raise InputError(f"{key}.path is missing; reader {reader} reads a folder, or a `download`")
    _keeps_unanswerable(options, kind, key)
    return _own_options(reader, options, kind, key)


def read_dataset(
    reader: str,
    options: Mapping[str, Any],
    path: Path | Sequence[Path] | None,
    *,
    kind: str | None = None,
    name: str = "<name>",
    mirror: str | None = None,
) -> dict[str, Iterable[Example]]:
    """Read one dataset.

    Args:
        reader: a key of :data:`READERS`.
        options: the options of this reader, and for all readers ``max_train_per_language``,
            ``max_dev_per_language``, ``max_test_per_language`` and ``seed``.
        path: the folder or folders to read.
        kind: the config's ``datasets.<name>.kind``; ``jsonl`` needs it, the others check it.
        name: the dataset's key in the config, for messages.
        mirror: the mirror of the hub: an address, or a folder.

    Returns:
        ``train``, ``dev``, ``test``, and ``passages`` for ranking. Each can be iterated once, and
        is checked during the iteration. Only ``dev`` may be empty; a task that is scored on it then
        has an error.

    Raises:
        InputError: the input is wrong; raised here or during the iteration.
    """
    key = f"config key datasets.{name}"
    given = check_dataset(name, reader, options, kind, has_source=path is not None)
    kind = _kind(reader, kind, key)
    folders = [path] if isinstance(path, Path) else list(path or ())
    if len(folders) > 1 and not READERS[reader].many_folders:
        raise InputError(f"{key}.download names {len(folders)}; reader {reader} reads one")
    for folder in folders:
        if not folder.is_dir():
            raise InputError(
                f"{key}.path: there is no folder {folder}; put the data there or correct it"
            )
    if len(folders) == 1:
        path = folders[0]
    limits = {split: options.get(option) for split, option in _LIMITS.items()}
    keeps_unanswerable = _keeps_unanswerable(options, kind, key)
    context = {"has_passages": kind == "ranking", "kind": kind, "key": key, "mirror": mirror}
    read = READERS[reader].read
    raw = read(path, **given, **{name: context[name] for name in context if takes(read, name)})
    origin = ", ".join(map(str, folders)) or str(options.get("id", reader))

    def checked(split: str, kind: str, seen: DigestSet) -> Iterator[Example]:
        where = f"{path}/{split}.jsonl" if reader == "jsonl" else f"{origin}, {split}"
        empty = f"{key}: {where} contains no example; correct the dataset's `path` or options in the config"
        otherwise = None if split == "dev" else empty
        found = _filled(raw[split], otherwise)
        examples = validate_examples(kind, found, where, seen=seen)
        if kind != "question_answering" or keeps_unanswerable:
            return examples
        return _filled(_answerable(examples, where), otherwise)

    ids = DigestSet()
    splits: dict[str, Iterable[Example]] = {}
    for split, limit in limits.items():
        splits[split] = checked(split, kind, ids)
        if limit is not None:
            splits[split] = sample(splits[split], limit, options.get("seed") or 0)
    if kind == "ranking":  # the needed passages must be known before the iteration over passages
        queries = {split: list(examples) for split, examples in splits.items()}
        passages = _with_judged(checked("passages", "passage", DigestSet()), queries, origin)
        return {**queries, "passages": passages}
    return splits


def _filled(examples: Iterable[Example], otherwise: str | None) -> Iterator[Example]:
    """Yield the examples. Raise an InputError with this message if there are none; with None, there
    may be none."""
    is_empty = True
    for example in examples:
        is_empty = False
        yield example
    if is_empty and otherwise is not None:
        raise InputError(otherwise)


def _answerable(examples: Iterable[Example], where: str) -> Iterator[Example]:
    """Leave out questions without an answer, and log their number."""
    dropped = 0
    for example in examples:
        if example["answers"]:
            yield example
        dropped += not example["answers"]
    if dropped:
        log.warning(
            "%s: %d unanswerable questions dropped; option `unanswerable: keep` keeps them",
            where,
            dropped,
        )


def _keeps_unanswerable(options: Mapping[str, Any], kind: str, key: str) -> bool:
    choice = options.get(_UNANSWERABLE, "drop")
    if choice not in ("drop", "keep") or (
        _UNANSWERABLE in options and kind != "question_answering"
    ):
        raise InputError(
            f"{key}.options.{_UNANSWERABLE} is {choice!r} and must be drop or keep, of a dataset of "
            "question answering"
        )
    return choice == "keep"


def _with_judged(
    passages: Iterable[Example], queries: dict[str, list[Example]], origin: str
) -> Iterator[Example]:
    """Yield the passages. Raise an InputError if a passage that is judged for a query is not in its
    language."""
    missing = {
        (passage, query["language"])
        for of_split in queries.values()
        for query in of_split
        for passage in (*query["relevant"], *query.get("irrelevant", ()))
    }
    for passage in passages:
        missing.discard((passage["id"], passage["language"]))
        yield passage
    if missing:
        passage, language = min(missing)
        raise InputError(
            f"{origin}: {len(missing)} judged passages are not among the passages of their "
            f"query's language, first {passage!r} in {language}; add them or leave them out of "
            "`relevant` and `irrelevant`"
        )


def _kind(reader: str, kind: str | None, key: str) -> str:
    own = READERS[reader].kind
    if own != "any":
        if kind not in (None, own):
            raise InputError(
                f"{key}.kind is {kind!r}, but reader {reader} yields {own}; correct one"
            )
        return own
    kinds = [name for name in KEYS if name != "passage"]
    if kind not in kinds:
        raise InputError(f"{key}.kind is {kind!r} and must be one of {', '.join(kinds)}")
    return kind


def _own_options(reader: str, options: Mapping[str, Any], kind: str, key: str) -> dict[str, Any]:
    general: dict[str, type] = {**dict.fromkeys(_LIMITS.values(), int), "seed": int}
    if kind == "question_answering":
        general[_UNANSWERABLE] = str
    given = checked_options(READERS[reader].read, options, reader, key, general)
    for option in general:
        if options.get(option) is not None:
            check_option(options[option], general[option], f"{key}.options.{option}")
    for option in ("languages", "train_languages"):
        _check_languages(given.get(option), f"{key}.options.{option}")
    return given


def _check_languages(languages: Iterable[str] | None, option: str) -> None:
    for code in languages or ():
        if known_language(code) is None:
            raise InputError(f"{option} has {code!r}, which is not a language in ISO 639-3")
    check_codes(languages, option)
