"""MIRACL: questions, and Wikipedia passages with answers (paper, section 3.1; Appendix F)."""

import logging
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from semantic_tokens.data.datasets.canonical import (
    SPLITS,
    Example,
    Placed,
    add_grade,
    texts_by_id,
)
from semantic_tokens.data.datasets.sources import warn_untested
from semantic_tokens.data.datasets.splitting import check_fraction, part_of, uniform
from semantic_tokens.data.languages import in_languages, languages_of, require_languages
from semantic_tokens.errors import InputError
from semantic_tokens.text_files import at_spaces, files_in, filled_lines, json_lines, plain_name

log = logging.getLogger(__name__)

Qrels = dict[str, dict[str, int]]

_TABLE = re.compile(r"(topics|qrels)\.miracl-v[\d.]+-([a-z]{2})-(train|dev)\.tsv")
_CORPUS = re.compile(r"miracl-corpus-v[\d.]+-([a-z]{2})")


def miracl(
    path: Path | Sequence[Path],
    languages: Sequence[str] | None = None,
    dev_fraction: float = 0.05,
    distractors: float = 1.0,
    seed: int = 0,
) -> dict[str, Iterable[Example]]:
    """MIRACL's topics, judgements and passages, in the files of its two repositories.

    The publishers' dev split is our test split, because the judgements of their test split are not
    published. Our dev split is a fraction of their training queries. A language may have no
    training queries. A language without dev queries is not tested, and the log names it. Queries
    without a relevant passage are left out.

    Args:
        path: a folder, or several, with ``topics.miracl-v1.0-{xx}-{train,dev}.tsv``, the qrels of the
            same names and ``miracl-corpus-v1.0-{xx}/docs-{i}.jsonl.gz``, at any depth.
        distractors: the fraction of unjudged passages to keep. 1 is the benchmark; less gives a
            smaller pool with all judged passages and a random sample of the others.

    Raises:
        InputError: a line is malformed, or files are missing.
    """
    check_fraction("dev_fraction", dev_fraction, may_be_zero=True)
    if distractors != 1:
        check_fraction("distractors", distractors)
    folders = [path] if isinstance(path, Path) else list(path)
    topics, qrels = (_tables(folders, name, languages) for name in ("topics", "qrels"))
    corpora = _corpora(folders, sorted({language for language, _ in topics}))
    judged: dict[str, set[str]] = {language: set() for language in corpora}
    queries: dict[str, list[Example]] = {split: [] for split in SPLITS}
    for (language, published), file in sorted(topics.items()):
        if (language, published) not in qrels:
            raise InputError(f"{file} has no judgements next to it; download its qrels")
        grades = read_qrels(qrels[language, published])
        judged[language].update(passage for of_query in grades.values() for passage in of_query)
        for example in _queries(file, language, grades):
            if published == "dev":
                queries["test"].append(example)
            else:
                part = part_of(example["id"], seed, train=1 - dev_fraction, dev=dev_fraction)
                queries[part].append(example)
    warn_untested(corpora, queries["test"], ", ".join(map(str, folders)))
    splits: dict[str, Iterable[Example]] = {**queries}
    splits["passages"] = _passages(corpora, judged, distractors, seed)
    return splits


def read_topics(path: Path) -> dict[str, str]:
    """Query id -> text, from a table ``id, text``.

    Raises:
        InputError: a line has another form, or repeats an id with another text.
    """
    return texts_by_id(_topics(path), path)


def _topics(path: Path) -> Iterator[tuple[str, str, str]]:
    """The place, id and text of every query."""
    for number, line in filled_lines(path):
        query, tab, text = line.partition("\t")
        query, text = query.strip(), text.strip()
        if not tab or not query or not text:
            raise InputError(
                f"{path}, line {number}: a query's id and its text separated by a tab are expected, "
                f"not {line[:80]!r}; fix or remove the line"
            )
        yield f"{path}, line {number}", query, text


def read_qrels(path: Path) -> Qrels:
    """Query id -> passage id -> grade, from TREC's ``query Q0 passage grade``.

    Raises:
        InputError: a line has another form, or contradicts an earlier grade.
    """
    qrels: Qrels = {}
    for number, line in filled_lines(path):
        fields = at_spaces(line)
        if len(fields) != 4 or not fields[3].isdecimal():
            raise InputError(
                f"{path}, line {number}: query, Q0, passage and grade (0 or more) are expected, "
                f"not {line[:80]!r}; fix or remove the line"
            )
        query, _, passage, grade = fields
        add_grade(qrels, query, passage, int(grade), f"{path}, line {number}")
    return qrels


def read_passages(path: Path, language: str) -> Iterator[Example]:
    """The passages of a file of ``{"docid", "title", "text"}``, which may be gzipped.

    Raises:
        InputError: a line lacks a key.
    """
    for number, record in json_lines(path):
        try:
            passage = {
                "id": f"{language}-{record['docid']}",
                "language": language,
                "title": record["title"],
                "text": record["text"],
            }
        except KeyError as error:
            raise InputError(
                f"{path}, line {number}: key {error} is missing; a passage has docid, title and text"
            ) from error
        yield Placed(passage, path, number)


def _queries(topics: Path, language: str, qrels: Qrels) -> Iterator[Example]:
    unanswered = 0
    for query, text in read_topics(topics).items():
        grades = qrels.get(query, {})
        relevant = {f"{language}-{p}": grade for p, grade in grades.items() if grade > 0}
        if relevant:
            irrelevant = [f"{language}-{p}" for p, grade in sorted(grades.items()) if grade == 0]
            example = {
                "id": f"{language}-{query}",
                "language": language,
                "query": text,
                "relevant": relevant,
                "irrelevant": irrelevant,
            }
            yield Placed(example, topics)
        unanswered += not relevant
    if unanswered:
        log.info("%s: %d queries without a relevant passage dropped", topics, unanswered)


def _passages(
    corpora: dict[str, list[Path]], judged: dict[str, set[str]], distractors: float, seed: int
) -> Iterator[Example]:
    """Yield all judged passages, and the given fraction of the others."""
    from tqdm import tqdm

    for language, files in corpora.items():
        names = {f"{language}-{passage}" for passage in judged[language]}
        for file in tqdm(files, desc=f"passages in {language}", unit="file"):
            for passage in read_passages(file, language):
                name = passage["id"]
                if name in names or uniform(name, seed, "distractor") < distractors:
                    yield passage


def _tables(
    folders: Sequence[Path], name: str, languages: Sequence[str] | None
) -> dict[tuple[str, str], Path]:
    """The files of topics or qrels by language and published split, in the requested languages."""
    codes, splits = {}, {}
    for folder in folders:
        for file in files_in(folder, f"**/{name}.miracl-*.tsv"):
            if match := _TABLE.fullmatch(plain_name(file)):
                codes[file], splits[file] = match[2], match[3]
    where = ", ".join(map(str, folders))
    if not codes:
        raise InputError(
            f"{where}: no {name}.miracl-v1.0-xx-train.tsv or -dev.tsv; correct the dataset's `path` "
            "or `download` in the config"
        )
    found: dict[tuple[str, str], Path] = {}
    for language, file in in_languages(codes, codes.__getitem__, languages):
        key = (language, splits[file])
        if key in found:
            raise InputError(f"{file} and {found[key]} are both in {language}; remove one")
        found[key] = file
    if name == "topics":  # topics without judgements have another message
        require_languages(languages, languages_of(codes, codes.__getitem__), where)
    return found


def _corpora(folders: Sequence[Path], languages: Sequence[str]) -> dict[str, list[Path]]:
    """The files of every language's passages, sorted by number."""
    codes = {
        file: match[1]
        for folder in folders
        for file in files_in(folder, "**/docs-*.jsonl")
        if (match := _CORPUS.fullmatch(file.parent.name))
    }
    found: dict[str, list[Path]] = {}
    for language, file in in_languages(codes, codes.__getitem__, languages):
        found.setdefault(language, []).append(file)
    missing = sorted(set(languages) - set(found))
    if missing:
        raise InputError(
            f"{', '.join(map(str, folders))}: no miracl-corpus-v1.0-xx/docs-*.jsonl.gz for "
            f"{', '.join(missing)}; put the passages there or correct the dataset's `languages`"
        )
    return {code: sorted(found[code], key=_document_number) for code in languages}


def _document_number(path: Path) -> tuple[int, str]:
    number = path.name.split(".")[0].removeprefix("docs-")
    return (int(number) if number.isdecimal() else -1, path.name)
