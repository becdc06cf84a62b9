"""Text of the Hugging Face hub, or of a copy of a repository's folder: any dataset with a column of
text, and Wikipedia as ``wikimedia/wikipedia`` publishes it (paper, section 2.4)."""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from semantic_tokens.data.hub_tables import open_tables, parts_of, pattern_of, repository_of
from semantic_tokens.data.languages import in_languages, iso639_1
from semantic_tokens.errors import InputError


def hf(
    path: Path | None,
    key: str,
    mirror: str | None = None,
    id: str | None = None,
    revision: str | None = None,
    configurations: Mapping[str, str] | str | None = None,
    files: str | None = None,
    split: str = "train",
    column: str = "text",
    language: str | None = None,
    languages: Sequence[str] | None = None,
    max_texts_per_language: int | None = None,
    streaming: bool = False,
) -> Iterator[dict[str, str]]:
    """The texts of a dataset.

    Args:
        path: a copy of the repository; None reads it from the hub, by way of its cache.
        key: the config key of the corpus, for messages.
        mirror: what stands in for the hub.
        id, revision: the repository, ``owner/name``, and its commit.
        configurations: the one of every language (ISO 639-3), or one of all with ``language``.
        files: a pattern of the files, with ``{language}``, ``{configuration}`` and ``{split}``.
        column: of the text; ``a.b`` is a field of a column.
        max_texts_per_language: the first so many; None is all.
        streaming: read from the hub as the texts go by, and keep nothing.

    Raises:
        InputError: something is not there, or a file is damaged.
    """
    where = f"{key}.options"
    repository = repository_of(where, id, revision, path, mirror)
    parts = parts_of(configurations, language, languages, where)
    if any(part.language is None for part in parts):
        raise InputError(
            f"{where}: give the `language` of the texts, or `configurations` by language"
        )
    tables = [
        (
            str(part.language),
            open_tables(
                repository,
                {"text": split},
                configuration=part.configuration,
                files=pattern_of(files, part),
                streaming=streaming,
            )["text"],
        )
        for part in parts
    ]
    texts = [(spoken, table.rows({"text": column}, where), table.where) for spoken, table in tables]
    for spoken, rows, place in texts:
        for row in itertools.islice(rows, max_texts_per_language):
            if not isinstance(row["text"] or "", str):
                raise InputError(f"{place}: column {column} holds no text but {row['text']!r:.60}")
            yield {"language": spoken, "text": row["text"] or ""}


def wikipedia(
    path: Path | None,
    key: str,
    languages: Sequence[str] | None = None,
    max_articles: int | None = None,
    mirror: str | None = None,
    id: str = "wikimedia/wikipedia",
    revision: str | None = None,
) -> Iterator[dict[str, str]]:
    """The articles of ``{dump}.{language}/*.parquet``, streamed: some of them are in memory.

    Args:
        path: a folder laid out like ``wikimedia/wikipedia``; None reads it from the hub, and of its
            files no more than ``max_articles`` need.
        languages: keep these (ISO 639-3); None keeps all of the folder.
        max_articles: the first so many of every language; None is all.
        key, mirror, id, revision: as of :func:`hf`.

    Raises:
        InputError: a language has no files, or a file is damaged or lacks the column ``text``, or
            that holds no text.
    """
    if languages is None:
        if path is None:
            raise InputError(f"{key}.options: name the `languages` to read")
        of_dump = sorted(folder for folder in Path(path).glob("[!.]*.*") if folder.is_dir())
        found = in_languages(of_dump, lambda folder: folder.name.partition(".")[2], None)
        languages = [language for language, _ in found]
    return hf(
        path,
        key,
        mirror,
        id=id,
        revision=revision,
        configurations={language: iso639_1(language) for language in languages},
        files="*.{configuration}/*.parquet",
        max_texts_per_language=max_articles,
        streaming=max_articles is not None,
    )
