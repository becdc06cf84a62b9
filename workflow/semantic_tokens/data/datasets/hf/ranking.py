"""Ranking datasets of the hub in MTEB's form: tables of queries, passages and judgements."""

import logging
import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from semantic_tokens.data.datasets.canonical import (
    SPLITS,
    Example,
    Placed,
    add_grade,
    is_blank,
    texts_by_id,
)
from semantic_tokens.data.datasets.hf.splits import check_rows_apart, mapping_option, open_splits
from semantic_tokens.data.datasets.sources import warn_untested
from semantic_tokens.data.hub_tables import (
    Part,
    Repository,
    names_in,
    pattern_of,
    repository_of,
    sliced,
)
from semantic_tokens.errors import InputError

log = logging.getLogger(__name__)

#: The tables of a ranking dataset in MTEB: configuration, split and columns.
RANKING: dict[str, dict[str, str]] = {
    "queries": {"configuration": "queries", "split": "queries", "id": "_id", "text": "text"},
    "corpus": {"configuration": "corpus", "split": "corpus", "id": "_id", "title": "title", "text": "text"},
    "qrels": {"configuration": "default", "query": "query-id", "passage": "corpus-id", "grade": "score"},
}  # fmt: skip

_Grades = dict[str, dict[str, int]]  # query -> passage -> grade


def ranking(
    repository: Repository,
    parts: list[Part],
    tables: Mapping[str, Mapping[str, str] | None],
    splits: Mapping[str, str],
    files: str | None,
    mirror: str | None,
    streaming: bool,
) -> dict[str, Iterable[Example]]:
    """Queries with their judgements, and passages, from three tables in every language.

    Args:
        tables: the sources and columns of ``queries``, ``corpus`` and ``qrels``, if they differ from
            :data:`RANKING`.
        splits: the publisher's names of our splits.

    Returns:
        Queries by split, and ``passages``, which are read during the iteration.

    Raises:
        InputError: an option, a table or a row is wrong.
    """
    key = repository.key
    if any(part.language is None for part in parts):
        raise InputError(
            f"{key}: give the `language` of the texts, or `configurations` by language"
        )
    extra = ("repository", "revision", "files")
    chosen = {
        name: mapping_option(given, RANKING[name], f"{key}.{name}", only=(*RANKING[name], *extra))
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
        there = open_splits(places[name], own, of_splits, pattern, streaming, key, kept.values())
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
        check_rows_apart({name: len(of_name) for name, of_name in grades.items()}, splits, key)
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
