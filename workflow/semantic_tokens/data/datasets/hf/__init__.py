"""Any dataset of the Hugging Face hub, or a local copy. The config maps its configurations to
languages, and names its splits and columns."""

import logging
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from semantic_tokens.components import groups_sharing
from semantic_tokens.data.datasets.canonical import SPLITS, Example, Placed
from semantic_tokens.data.datasets.hf.ranking import ranking
from semantic_tokens.data.datasets.hf.rows import answers_of, canonical_rows
from semantic_tokens.data.datasets.hf.splits import check_apart, mapping_option, open_splits
from semantic_tokens.data.datasets.splitting import check_fraction, in_clusters, part_of
from semantic_tokens.data.datasets.squad import drop_misplaced
from semantic_tokens.data.datasets.xnli import pair_features
from semantic_tokens.data.hub_tables import Part, Table, parts_of, repository_of
from semantic_tokens.data.languages import require_languages
from semantic_tokens.errors import InputError

__all__ = ["answers_of", "hf"]

log = logging.getLogger(__name__)

#: Kind of dataset -> our names of the columns -> their default names.
COLUMNS: dict[str, dict[str, str]] = {
    "token_classification": {"tokens": "tokens", "tags": "ner_tags"},
    "question_answering": {"context": "context", "question": "question", "answers": "answers"},
    "pair_classification": {"first": "premise", "second": "hypothesis", "label": "label"},
}
#: Optional columns; questions may also have the ``title`` of their document.
OPTIONAL = ("id", "language", "cluster")
_TITLE = {"question_answering": ("title",)}
_PUBLISHED = {"train": "train", "dev": "validation", "test": "test"}
_JUDGED = {"train": "train", "dev": "dev", "test": "test"}  # the splits of qrels
# What dependent examples share: questions a passage, pairs a premise. Dev does not share it with train.
_TOGETHER = {"question_answering": "context", "pair_classification": "first"}


def hf(
    path: Path | None,
    kind: str,
    key: str,
    mirror: str | None = None,
    id: str | None = None,
    revision: str | None = None,
    configurations: Mapping[str, str] | str | None = None,
    files: str | None = None,
    splits: Mapping[str, str] | None = None,
    columns: Mapping[str, str] | None = None,
    language: str | None = None,
    languages: Sequence[str] | None = None,
    labels: Sequence[str] | None = None,
    dev_fraction: float | None = None,
    streaming: bool = False,
    queries: Mapping[str, str] | None = None,
    corpus: Mapping[str, str] | None = None,
    qrels: Mapping[str, str] | None = None,
    seed: int = 0,
) -> dict[str, Iterable[Example]]:
    """Read a dataset of any kind.

    Args:
        path: a copy of the repository; None reads it from the hub, with its cache.
        kind: the kind of dataset in the config.
        key: the config key of the dataset, for messages.
        mirror: the mirror of the hub.
        id, revision: the repository, ``owner/name``, and its commit.
        configurations: the configuration of each language (ISO 639-3), or one for all.
        files: a pattern of the files, with ``{language}``, ``{configuration}`` and ``{split}``; the
            default is the files on the repository's card.
        splits: the names of ``train``, ``dev`` and ``test``; slices such as ``train[:80%]``, and
            parts joined by ``+``, are allowed.
        columns: the names of columns that differ from :data:`COLUMNS`, and of :data:`OPTIONAL`
            columns and ``title`` if there are such; ``a.b`` is a field of a column, and the
            columns of text without a header have numbers.
        language: the language of all rows.
        languages: the languages to keep (ISO 639-3).
        labels: the names of numeric tags or labels, if the table does not have them.
        dev_fraction: the fraction of train to use as dev.
        streaming: stream rows from the hub without storing files.
        queries, corpus, qrels: for a ranking dataset, the sources and columns of its three tables,
            if they differ from :data:`~semantic_tokens.data.datasets.hf.ranking.RANKING`. Each may
            have its own ``repository`` and ``revision``.

    Raises:
        InputError: something is missing or an option is invalid (at once), or a row is malformed
            (during reading).
    """
    where = f"{key}.options"
    repository = repository_of(where, id, revision, path, mirror)
    published = _JUDGED if kind == "ranking" else _PUBLISHED
    named = mapping_option(splits, {} if splits else published, f"{where}.splits", only=SPLITS)
    if dev_fraction is not None:
        check_fraction("dev_fraction", dev_fraction, may_be_zero=True)
        named = {split: name for split, name in named.items() if split != "dev"}
    check_apart(named, None if kind == "ranking" else files, where)
    parts = parts_of(configurations, language, languages, where)
    if kind == "ranking":
        if columns or labels:
            raise InputError(
                f"{where}: the columns of a ranking dataset are named under `queries`, `corpus` and "
                "`qrels`"
            )
        tables = {"queries": queries, "corpus": corpus, "qrels": qrels}
        found = ranking(repository, parts, tables, named, files, mirror, streaming)
    else:
        for option, value in (("queries", queries), ("corpus", corpus), ("qrels", qrels)):
            if value is not None:
                raise InputError(f"{where}.{option} is of a dataset of kind ranking, not {kind}")
        known = (*COLUMNS[kind], *OPTIONAL, *_TITLE.get(kind, ()))
        chosen = mapping_option(columns, COLUMNS[kind], f"{where}.columns", only=known)
        read = chosen.values()
        opened = [
            (part, open_splits(repository, part, named, files, streaming, where, read))
            for part in parts
        ]
        if splits and "dev" in named and not any("dev" in tables for _, tables in opened):
            raise InputError(
                f"{where}.splits: dev is {named['dev']!r}, and there is no such split; correct its "
                "name, or remove it to work without a dev split"
            )
        found = _examples(opened, kind, chosen, labels, languages, where)
    if dev_fraction is not None:
        found = _with_dev(found, kind, dev_fraction, seed)
    has_ids = kind == "ranking" or "id" in (columns or ())
    if not has_ids and kind not in _TOGETHER and "cluster" not in (columns or ()):
        return found
    return found | {split: _in_clusters(found[split], kind, has_ids) for split in ("dev", "test")}


def _in_clusters(examples: Iterable[Example], kind: str, has_ids: bool) -> Iterator[Example]:
    """The examples with their clusters, read when they are used."""
    found = list(examples)
    features = pair_features(found) if kind == "pair_classification" else [[] for _ in found]
    for example, of_example in zip(found, features, strict=True):
        of_example += _features(example, kind, has_ids)
    yield from in_clusters(found, features)


def _features(example: Example, kind: str, has_ids: bool) -> Iterator[Hashable]:
    """What dependent examples share: an id, as translations have, a passage or a premise, and what
    the columns ``title`` and ``cluster`` say."""
    if has_ids:
        yield ("id", example["id"].removeprefix(f"{example['language']}-"))
    if kind in _TOGETHER:
        yield (_TOGETHER[kind], example["language"], example[_TOGETHER[kind]])
    if isinstance(example, Placed):
        yield from example.shared


def _examples(
    opened: list[tuple[Part, dict[str, Table]]],
    kind: str,
    columns: Mapping[str, str],
    labels: Sequence[str] | None,
    languages: Sequence[str] | None,
    key: str,
) -> dict[str, Iterable[Example]]:
    # Open all tables first, so that a missing column is reported before any work.
    rows = {
        (number, split): table.rows(columns, f"{key}.columns")
        for number, (_, tables) in enumerate(opened)
        for split, table in tables.items()
    }
    if "language" not in columns and any(part.language is None for part, _ in opened):
        raise InputError(
            f"{key}: the language of the rows is unknown; give `configurations` by language, "
            "`language`, or the column under `columns.language`"
        )

    for part, tables in opened:
        if "test" not in tables:
            raise InputError(
                f"{key}: {part.configuration or 'the dataset'} has no split to test on; correct "
                "`splits` or `files`, or leave its language out"
            )

    def of_split(split: str) -> Iterator[Example]:
        from tqdm import tqdm

        there = set()
        for number, (part, tables) in enumerate(opened):
            if split not in tables:
                log.info("%s: no split %s of %s", key, split, part.configuration)
                continue
            where = tables[split].where
            progress = tqdm(
                rows[number, split], desc=f"{split} {part.language or ''}", mininterval=2
            )
            examples = canonical_rows(progress, kind, part, split, labels, languages, where)
            if kind == "question_answering":
                examples = iter(drop_misplaced(examples, where))
            for example in examples:
                if languages is None or example["language"] in languages:
                    there.add(example["language"])
                    yield example
        if split == "test":
            require_languages(languages, there, f"{key}, split {split}")

    return {split: of_split(split) for split in SPLITS}


def _with_dev(
    found: dict[str, Iterable[Example]], kind: str, dev_fraction: float, seed: int
) -> dict[str, Iterable[Example]]:
    """Split dev from train. Dependent examples of a language stay together."""
    train = list(found["train"])
    together = groups_sharing([list(_features(example, kind, has_ids=False)) for example in train])
    parts: dict[str, list[Example]] = {"train": [], "dev": []}
    for example, first in zip(train, together, strict=True):
        name = f"{example['language']}\t{train[first][_TOGETHER.get(kind, 'id')]}"
        parts[part_of(name, seed, train=1 - dev_fraction, dev=dev_fraction)].append(example)
    return {**found, **parts}
