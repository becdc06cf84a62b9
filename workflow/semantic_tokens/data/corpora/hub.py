"""Text from the Hugging Face hub, or from a copy of a repository: any dataset with a text column,
and Wikipedia in the form of ``wikimedia/wikipedia`` (paper, section 2.4)."""

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
        path: a copy of the repository; None reads it from the hub, with its cache.
        key: the config key of the corpus, for messages.
        mirror: the mirror of the hub.
        id, revision: the repository, ``owner/name``, and its commit.
        configurations: the configuration of each language (ISO 639-3), or one for all with
            ``language``.
        files: a pattern of the files, with ``{language}``, ``{configuration}`` and ``{split}``.
        column: the column of the text; ``a.b`` is a field of a column.
        max_texts_per_language: the maximum number of texts; None for all.
        streaming: stream texts from the hub without storing files.

    Raises:
        InputError: something is missing, or a file is damaged.
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
    texts = [
        (text_language, table.rows({"column": column}, where), table.where)
        for text_language, table in tables
    ]
    for text_language, rows, place in texts:
        for row in itertools.islice(rows, max_texts_per_language):
            if not isinstance(row["column"] or "", str):
                raise InputError(
                    f"{place}: column {column} contains no text but {row['column']!r:.60}"
                )
            yield {"language": text_language, "text": row["column"] or ""}


def wikipedia(
    path: Path | None,
    key: str,
    languages: Sequence[str] | None = None,
    max_articles: int | None = None,
    mirror: str | None = None,
    id: str = "wikimedia/wikipedia",
    revision: str | None = None,
) -> Iterator[dict[str, str]]:
    """The articles of ``{dump}.{language}/*.parquet``, streamed.

    Args:
        path: a folder in the layout of ``wikimedia/wikipedia``; None reads it from the hub, and
            only the files that ``max_articles`` need.
        languages: the languages to keep (ISO 639-3); None for all in the folder.
        max_articles: the maximum number of articles per language; None for all.
        key, mirror, id, revision: see :func:`hf`.

    Raises:
        InputError: a language has no files, a file is damaged, or it has no column ``text`` with
            text.
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
