"""Any dataset of the Hugging Face hub, or a local copy. The config maps its configurations to
languages, and names its splits and columns."""

import itertools
import logging
import math
from collections import Counter
from collections.abc import Callable, Collection, Hashable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from semantic_tokens.components import groups_sharing
from semantic_tokens.data.datasets.canonical import (
    SPLITS,
    Example,
    Placed,
    add_grade,
    is_blank,
    texts_by_id,
)
from semantic_tokens.data.datasets.conll import to_iob2
from semantic_tokens.data.datasets.sources import warn_untested
from semantic_tokens.data.datasets.splitting import check_fraction, in_clusters, part_of
from semantic_tokens.data.datasets.squad import drop_misplaced
from semantic_tokens.data.datasets.xnli import UNDECIDED, pair_features
from semantic_tokens.data.hub_tables import (
    WITHHELD,
    Part,
    Repository,
    Table,
    as_written,
    is_slice,
    names_in,
    open_tables,
    parts_of,
    pattern_of,
    repository_of,
    share_rows,
    sliced,
)
from semantic_tokens.data.languages import language_at, require_languages
from semantic_tokens.errors import InputError

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
#: The tables of a ranking dataset in MTEB: configuration, split and columns.
RANKING: dict[str, dict[str, str]] = {
    "queries": {"configuration": "queries", "split": "queries", "id": "_id", "text": "text"},
    "corpus": {"configuration": "corpus", "split": "corpus", "id": "_id", "title": "title", "text": "text"},
    "qrels": {"configuration": "default", "query": "query-id", "passage": "corpus-id", "grade": "score"},
}  # fmt: skip
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
            if they differ from :data:`RANKING`. Each may have its own ``repository`` and
            ``revision``.

    Raises:
        InputError: something is missing or an option is invalid (at once), or a row is malformed
            (during reading).
    """
    where = f"{key}.options"
    repository = repository_of(where, id, revision, path, mirror)
    published = _JUDGED if kind == "ranking" else _PUBLISHED
    named = _mapping(splits, {} if splits else published, f"{where}.splits", only=SPLITS)
    if dev_fraction is not None:
        check_fraction("dev_fraction", dev_fraction, may_be_zero=True)
        named = {split: name for split, name in named.items() if split != "dev"}
    _check_apart(named, None if kind == "ranking" else files, where)
    parts = parts_of(configurations, language, languages, where)
    if kind == "ranking":
        if columns or labels:
            raise InputError(
                f"{where}: the columns of a ranking dataset are named under `queries`, `corpus` and "
                "`qrels`"
            )
        tables = {"queries": queries, "corpus": corpus, "qrels": qrels}
        found = _ranking(repository, parts, tables, named, files, mirror, streaming)
    else:
        for option, value in (("queries", queries), ("corpus", corpus), ("qrels", qrels)):
            if value is not None:
                raise InputError(f"{where}.{option} is of a dataset of kind ranking, not {kind}")
        known = (*COLUMNS[kind], *OPTIONAL, *_TITLE.get(kind, ()))
        chosen = _mapping(columns, COLUMNS[kind], f"{where}.columns", only=known)
        read = chosen.values()
        opened = [
            (part, _open(repository, part, named, files, streaming, where, read)) for part in parts
        ]
        found = _examples(opened, kind, chosen, labels, languages, where)
    if dev_fraction is not None:
        found = _with_dev(found, kind, dev_fraction, seed)
    has_ids = kind == "ranking" or "id" in (columns or ())
    if not has_ids and kind not in _TOGETHER and "cluster" not in (columns or ()):
        return found
    return found | {split: _in_clusters(found[split], kind, has_ids) for split in ("dev", "test")}


def _check_apart(splits: Mapping[str, str], files: str | None, where: str) -> None:
    """Raise an InputError if two of our splits are the same rows of the publisher's, as far as their
    names tell."""
    for split, name in splits.items():
        _check_slice(name, f"{where}.splits.{split}")
    for (first, one), (second, other) in itertools.combinations(splits.items(), 2):
        same_split = bool(names_in(one) & names_in(other))
        both_sliced = is_slice(one) and is_slice(other)
        if one == other or (same_split and not both_sliced) or _share_percents(one, other):
            raise _sharing(splits, first, second, where)
        if files is not None and "{split}" not in files and not same_split:
            raise InputError(
                f"{where}.files is {files!r}, so {first} and {second} would be the same files; put "
                "{split} into it"
            )


def _check_slice(name: str, key: str) -> None:
    """Raise an InputError if the name of a split has a slice of no known form."""
    if not is_slice(name):
        return
    try:
        share_rows(name, name, dict.fromkeys(names_in(name), 100))
    except ValueError as error:
        raise InputError(
            f"{key} is {name!r}, which is not a slice ({error}); write whole percents, as "
            "train[:80%], or numbers of rows, as train[:5000]"
        ) from error


def _share_percents(one: str, other: str) -> bool:
    """Whether two slices in percent share rows. The number of rows is not needed for them."""
    if not ("%" in one and "%" in other):
        return False
    parts = [part for name in (one, other) for part in name.split("+")]
    in_percent = all("%" in part for part in parts)
    return in_percent and share_rows(
        one, other, dict.fromkeys(names_in(one) | names_in(other), 100)
    )


def _check_rows_apart(counts: Mapping[str, int], splits: Mapping[str, str], where: str) -> None:
    """Raise an InputError if two slices share rows, now that the number of rows is known.

    Args:
        counts: the number of rows of the publisher's splits.
    """
    for first, second in itertools.combinations(splits, 2):
        known = names_in(splits[first]) | names_in(splits[second]) <= set(counts)
        are_slices = is_slice(splits[first]) and is_slice(splits[second])
        if known and are_slices and share_rows(splits[first], splits[second], counts):
            raise _sharing(splits, first, second, where)


def _sharing(splits: Mapping[str, str], first: str, second: str, where: str) -> InputError:
    return InputError(
        f"{where}.splits: {first} is {splits[first]!r} and {second} is {splits[second]!r}, which "
        "share rows; name other splits, or slices such as train[:80%] and train[80%:]"
    )


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


def _mapping(
    given: Mapping[str, str] | None, default: Mapping[str, str], key: str, only: Sequence[str]
) -> dict[str, str]:
    """The default, updated with the given mapping."""
    if given is not None and not isinstance(given, Mapping):
        raise InputError(f"{key} is {given!r} and must be a mapping of {', '.join(only)}")
    unknown = sorted(set(given or ()) - set(only))
    if unknown:
        raise InputError(f"{key}.{unknown[0]} is not known; it takes {', '.join(only)}")
    return {**default, **{name: str(value) for name, value in (given or {}).items()}}


def _open(
    repository: Repository,
    part: Part,
    splits: Mapping[str, str],
    files: str | None,
    streaming: bool,
    where: str,
    columns: Collection[str],
) -> dict[str, Table]:
    """The tables of our splits in a configuration.

    Args:
        columns: the columns to read.
        where: the config key of ``splits``' parent, for messages.
    """
    tables = open_tables(
        repository,
        splits,
        configuration=part.configuration,
        files=pattern_of(files, part),
        streaming=streaming,
        columns=columns,
    )
    counts = {name: n for table in tables.values() for name, n in table.counts.items()}
    _check_rows_apart(counts, splits, where)
    return tables


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
            examples = _canonical(progress, kind, part, split, labels, languages, where)
            if kind == "question_answering":
                examples = iter(drop_misplaced(examples, where))
            for example in examples:
                if languages is None or example["language"] in languages:
                    there.add(example["language"])
                    yield example
        if split == "test":
            require_languages(languages, there, f"{key}, split {split}")

    return {split: of_split(split) for split in SPLITS}


def _canonical(
    rows: Iterable[dict[str, Any]],
    kind: str,
    part: Part,
    split: str,
    labels: Sequence[str] | None,
    languages: Sequence[str] | None,
    where: str,
) -> Iterator[Example]:
    """Canonical examples of a table's rows, without rows in unknown languages if only some are
    requested, and without rows that have nothing to learn or to test. The log counts the latter.

    Raises:
        InputError: a row is malformed, or no row can be used.
    """
    dropped: Counter[str] = Counter()
    kept = 0
    for number, row in enumerate(rows):
        place = f"{where}, row {number}"
        found = row.pop("language", None)
        language = part.language
        if found not in (None, ""):
            language = language_at(place, as_written(found), languages)
            if language is None:
                continue
        if language is None:
            raise InputError(f"{place}: the language is missing; fill it or remove the row")
        name = row.pop("id", None)
        shared = _shared(row, language)
        content = _KINDS[kind](row, labels, place, dropped)
        if content is None:
            continue
        kept += 1
        # Row numbers start again in every configuration and split.
        own = f"{language}-{split}-{number if name is None else name}"
        yield Placed({"id": own, "language": language, **content}, where, number, "row", shared)
    counts = ", ".join(f"{count} {what}" for what, count in sorted((+dropped).items()))
    if counts and not kept:
        raise InputError(
            f"{where}: no row can be used ({counts}); name another split in `splits`, or leave its "
            "configuration out"
        )
    if counts:
        log.warning("%s: %s dropped", where, counts)


def _shared(row: dict[str, Any], language: str) -> list[Hashable]:
    """The title and the cluster of a row, which are removed from it. A title is of one language."""
    title, cluster = row.pop("title", None), row.pop("cluster", None)
    shared: list[Hashable] = []
    if title not in (None, ""):
        shared.append(("title", language, str(title)))
    if cluster not in (None, ""):
        shared.append(("cluster", str(cluster)))
    return shared


def _tagged(
    row: dict[str, Any], labels: Sequence[str] | None, place: str, dropped: Counter[str]
) -> Example | None:
    """A sentence without blank tokens that are outside entities; None if no other token is in it."""
    tokens, tags = row["tokens"], row["tags"]
    if not isinstance(tokens, list) or not isinstance(tags, list):
        raise InputError(f"{place}: tokens and tags must be lists, not {tokens!r} and {tags!r}")
    named = to_iob2([_label(tag, labels, place) for tag in tags])
    if len(tokens) != len(named) or not any(map(is_blank, tokens)):
        return {"tokens": tokens, "tags": named}
    kept = [
        (token, tag)
        for token, tag in zip(tokens, named, strict=True)
        if tag != "O" or not is_blank(token)
    ]
    if not kept:
        dropped["sentences of blank tokens"] += 1
        return None
    dropped["blank tokens"] += len(tokens) - len(kept)
    return {"tokens": [token for token, _ in kept], "tags": [tag for _, tag in kept]}


def _answered(
    row: dict[str, Any], labels: Sequence[str] | None, place: str, dropped: Counter[str]
) -> Example:
    answers = answers_of(row, place)
    return {"context": row["context"], "question": row["question"], "answers": answers}


def answers_of(row: Mapping[str, Any], place: str) -> list[dict[str, Any]]:
    """The canonical answers from a column ``answers`` in SQuAD's form: a mapping with the lists
    ``text`` and ``answer_start``, or a list of mappings.

    Raises:
        InputError: they have another form, or another column of the question is not text.
    """
    answers = row["answers"]
    if isinstance(answers, Mapping):
        texts, starts = answers.get("text"), answers.get("answer_start")
        if isinstance(texts, list) and isinstance(starts, list) and len(texts) == len(starts):
            pairs = zip(texts, starts, strict=True)
            answers = [{"text": text, "answer_start": start} for text, start in pairs]
        else:
            answers = [answers]
    is_sound = isinstance(answers, list) and all(
        isinstance(answer, Mapping)
        and isinstance(answer.get("text"), str)
        and type(answer.get("answer_start")) is int
        for answer in answers
    )
    others = [value for name, value in row.items() if name != "answers"]
    if not is_sound or not all(isinstance(value, str) for value in others):
        raise InputError(
            f"{place}: a question has text in its columns, and in `answers` as many `text` as "
            f"`answer_start`, not {str(row['answers'])[:80]}; fix or remove the row"
        )
    return [{"text": answer["text"], "start": answer["answer_start"]} for answer in answers]


def _paired(
    row: dict[str, Any], labels: Sequence[str] | None, place: str, dropped: Counter[str]
) -> Example | None:
    """A pair; None if its label is withheld or undecided, or a sentence is empty."""
    if _is_withheld(row["label"], labels):
        dropped["pairs without a label"] += 1
        return None
    if row["first"] in (None, "") or row["second"] in (None, ""):
        dropped["pairs with an empty sentence"] += 1
        return None
    label = _label(row["label"], labels, place)
    return {"first": row["first"], "second": row["second"], "label": label}


# Reads a row of the columns of its kind. It counts what is dropped; None if this is the entire row.
_Reader = Callable[[dict[str, Any], Sequence[str] | None, str, Counter[str]], Example | None]
_KINDS: dict[str, _Reader] = {
    "token_classification": _tagged,
    "question_answering": _answered,
    "pair_classification": _paired,
}


def _is_withheld(value: Any, labels: Sequence[str] | None) -> bool:
    """Whether a pair has no label: it is empty or -1, or ``-``, the mark of undecided annotators.
    In a table of text, -1 is a label unless the ``labels`` are given."""
    if value in (None, "") or (type(value) is int and value == WITHHELD):
        return True
    named = list(map(as_written, labels or ()))
    marks = (UNDECIDED, str(WITHHELD)) if labels is not None else (UNDECIDED,)
    return isinstance(value, str) and value in marks and value not in named


def _label(value: Any, labels: Sequence[str] | None, place: str) -> str:
    """The name of a tag or label, from its name or its number in ``labels``, which is text in a table
    of text."""
    is_number = isinstance(value, str) and value.isdecimal() and len(value) < 10
    if is_number and labels is not None and value not in map(as_written, labels):
        value = int(value)
    if type(value) is int and labels is not None and 0 <= value < len(labels):
        return as_written(labels[value])
    if not isinstance(value, str):
        remedy = (
            "which `labels` does not name; correct it, or remove the row"
            if labels is not None
            else "which has no name; list the names of the numbers, from 0, under `labels`"
        )
        raise InputError(f"{place}: the label is {value!r}, {remedy}")
    return value


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


# Ranking

_Grades = dict[str, dict[str, int]]  # query -> passage -> grade


def _ranking(
    repository: Repository,
    parts: list[Part],
    tables: Mapping[str, Mapping[str, str] | None],
    splits: Mapping[str, str],
    files: str | None,
    mirror: str | None,
    streaming: bool,
) -> dict[str, Iterable[Example]]:
    """Queries, passages and judgements, which are three tables in every language."""
    key = repository.key
    if any(part.language is None for part in parts):
        raise InputError(
            f"{key}: give the `language` of the texts, or `configurations` by language"
        )
    extra = ("repository", "revision", "files")
    chosen = {
        name: _mapping(given, RANKING[name], f"{key}.{name}", only=(*RANKING[name], *extra))
        for name, given in tables.items()
    }
    places = {
        name: repository_of(
            f"{key}.{name}", table["repository"], table.get("revision"), None, mirror
        )
        if "repository" in table
        else repository
        for name, table in chosen.items()
    }

    def opened(name: str, part: Part, of_splits: Mapping[str, str]) -> dict[str, Any]:
        table = chosen[name]
        configuration = table["configuration"].replace("{configuration}", part.configuration or "")
        own = Part(part.language, configuration)
        pattern = pattern_of(table.get("files", files), part)
        may_lack_title = name == "corpus" and "title" not in (tables["corpus"] or {})
        kept = {
            column: theirs
            for column, theirs in table.items()
            if column not in ("configuration", "split", *extra)
            and not (may_lack_title and column == "title")
        }
        there = _open(places[name], own, of_splits, pattern, streaming, key, kept.values())
        if may_lack_title and table["title"] in next(iter(there.values())).features:
            kept["title"] = table["title"]
        return {split: table.rows(kept, f"{key}.{name}") for split, table in there.items()}

    found: dict[str, list[Example]] = {split: [] for split in SPLITS}
    passages = []
    for part in parts:
        language = str(part.language)
        texts = opened("queries", part, {"all": chosen["queries"]["split"]})["all"]
        # Read twice, because queries are complete before the passages are written.
        corpus, again = (
            opened("corpus", part, {"all": chosen["corpus"]["split"]})["all"] for _ in range(2)
        )
        passages.append((language, again))
        names = sorted(set().union(*map(names_in, splits.values())))
        judged = opened("qrels", part, dict(zip(names, names, strict=True)))
        where = f"{key}.queries, {language}"
        asked = texts_by_id(
            (
                (f"{where}, row {number}", str(row["id"]), row["text"])
                for number, row in enumerate(texts)
            ),
            where,
        )
        where = f"{key}.qrels, {language}"
        grades = {name: _grades(rows, asked, f"{where}, {name}") for name, rows in judged.items()}
        _check_rows_apart({name: len(of_name) for name, of_name in grades.items()}, splits, key)
        judged_passages = _judged_passages(corpus, grades.values(), language)
        for split, published in splits.items():
            if names_in(published) <= set(grades):
                of_split = _grades_in(grades, published)
                place = f"{where}, {published}"
                found[split] += _queries(of_split, asked, judged_passages, language, place)
    warn_untested((str(part.language) for part in parts), found["test"], f"{key}.qrels")
    return {**found, "passages": _passages(passages, f"{key}.corpus")}


def _grades(rows: Iterable[dict[str, Any]], asked: Mapping[str, str], where: str) -> _Grades:
    """The judgements of the queries in ``asked``."""
    grades: _Grades = {}
    unknown = 0
    for number, row in enumerate(rows):
        place = f"{where}, row {number}"
        query, passage = str(row["query"]), str(row["passage"])
        if query in asked:
            add_grade(grades, query, passage, _grade(row["grade"], place), place)
        unknown += query not in asked
    if unknown:
        log.warning("%s: %d judgements of unknown queries dropped", where, unknown)
    return grades


def _grades_in(grades: Mapping[str, _Grades], split: str) -> _Grades:
    """The judgements of a split. A slice counts queries, in the order of their first judgements, so
    that it does not cut through the judgements of a query."""
    pairs, _ = sliced({name: of_name.items() for name, of_name in grades.items()}, split)
    found: _Grades = {}
    for query, of_query in pairs:
        found.setdefault(query, {}).update(of_query)
    return found


class _JudgedPassages(NamedTuple):
    """The ids of judged passages of the corpus: those that have a text, and those without any."""

    filled: set[str]
    empty: set[str]


def _judged_passages(
    corpus: Iterable[dict[str, Any]], grades: Iterable[_Grades], language: str
) -> _JudgedPassages:
    from tqdm import tqdm

    judged = {
        passage for of_split in grades for of_query in of_split.values() for passage in of_query
    }
    found = _JudgedPassages(set(), set())
    for row in tqdm(corpus, desc=f"judged passages in {language}", mininterval=2):
        if (passage := str(row["id"])) in judged:
            _, text = _title_and_text(row)
            (found.empty if text == "" else found.filled).add(passage)
    return found._replace(empty=found.empty - found.filled)


def _queries(
    grades: _Grades,
    asked: Mapping[str, str],
    passages: _JudgedPassages,
    language: str,
    where: str,
) -> Iterator[Example]:
    """The queries that have a relevant passage.

    Judgements of empty passages are left out, and those of grade 0 whose passages are missing. A
    missing relevant passage is an error later, because the query could not be scored.
    """
    missing = empty = unanswered = 0
    for query, of_query in grades.items():
        empty += len(passages.empty & set(of_query))
        relevant = {
            f"{language}-{p}": grade
            for p, grade in of_query.items()
            if grade > 0 and p not in passages.empty
        }
        if not relevant:
            unanswered += 1
            continue
        zeros = {passage for passage, grade in of_query.items() if grade == 0} - passages.empty
        missing += len(zeros - passages.filled)
        example = {
            "id": f"{language}-{query}",
            "language": language,
            "query": asked[query],
            "relevant": relevant,
            "irrelevant": [f"{language}-{p}" for p in sorted(zeros & passages.filled)],
        }
        yield Placed(example, where)
    if unanswered:
        log.info("%s: %d queries without a relevant passage dropped", where, unanswered)
    for count, which in ((missing, "not in the corpus"), (empty, "empty")):
        if count:
            log.warning("%s: %d judgements dropped whose passages are %s", where, count, which)


def _grade(value: Any, place: str) -> int:
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not number.is_integer():
        raise InputError(f"{place}: the grade is {value!r} and must be an integer; correct it")
    return int(number)


def _passages(tables: list[tuple[str, Iterable[dict[str, Any]]]], where: str) -> Iterator[Example]:
    """The passages that have a text or a title. A title without a text is the text."""
    from tqdm import tqdm

    for language, rows in tables:
        place = f"{where}, {language}"
        empty = title_only = 0
        read = tqdm(rows, desc=f"passages in {language}", mininterval=2)
        for number, row in enumerate(read):
            title, text = _title_and_text(row)
            if text == "":
                empty += 1
                continue
            title_only += text is not row["text"]
            passage = {
                "id": f"{language}-{row['id']}",
                "language": language,
                "title": title,
                "text": text,
            }
            yield Placed(passage, place, number, "row")
        if title_only:
            log.info("%s: the text of %d passages is their title", place, title_only)
        if empty:
            log.warning("%s: %d empty passages dropped", place, empty)


def _title_and_text(row: Mapping[str, Any]) -> tuple[Any, Any]:
    """The title and the text of a passage. If only the text is empty, the title is the text."""
    title, text = row.get("title") or "", row["text"]
    if text is not None and not is_blank(text):
        return title, text
    return "", "" if is_blank(title) else title
