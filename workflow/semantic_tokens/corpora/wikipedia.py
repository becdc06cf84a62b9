"""Wikipedia as ``wikimedia/wikipedia`` publishes it: Parquet files by dump and language (paper,
section 2.4)."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from semantic_tokens.errors import InputError
from semantic_tokens.languages import in_languages, iso639_1

_ARTICLES_AT_ONCE = 1000


def wikipedia(
    path: Path, languages: Sequence[str] | None = None, max_articles: int | None = None
) -> Iterator[dict[str, str]]:
    """The articles of ``{dump}.{language}/*.parquet``, streamed: a batch of them is in memory.

    Args:
        languages: keep these (ISO 639-3); None keeps all.
        max_articles: the first so many of every language; None is all.

    Raises:
        InputError: a language has no files, or a file is damaged or lacks the column ``text``, or
            that holds no text.
    """
    import pyarrow as pa
    import pyarrow.parquet as parquet

    of_dump = (
        folder
        for folder in sorted(Path(path).glob("*.*"))
        if folder.is_dir() and not folder.name.startswith(".")
    )
    folders = dict(in_languages(of_dump, lambda folder: folder.name.partition(".")[2], languages))
    for language in languages if languages is not None else folders:
        files = sorted(folders[language].glob("*.parquet")) if language in folders else []
        if not files:
            raise InputError(
                f"{path} holds no Parquet file of Wikipedia in {language} (20231101."
                f"{iso639_1(language)}/*.parquet); mend the corpus's `languages` or its download's "
                "`files`"
            )
        left = max_articles
        for file in files:
            try:
                table = parquet.ParquetFile(file)
                if "text" not in table.schema_arrow.names:
                    raise InputError(f"{file} has no column `text`; fetch it again")
                kind = table.schema_arrow.field("text").type
                if not (pa.types.is_string(kind) or pa.types.is_large_string(kind)):
                    raise InputError(f"{file}: column `text` is {kind} and no text; fetch it again")
                for batch in table.iter_batches(_ARTICLES_AT_ONCE, columns=["text"]):
                    for text in batch.column(0).to_pylist():
                        if left == 0:
                            break
                        left = None if left is None else left - 1
                        yield {"language": language, "text": text or ""}
            except (pa.ArrowInvalid, OSError) as error:
                raise InputError(
                    f"{file} is cut short or no Parquet file ({error}); delete its folder to have it "
                    "fetched again"
                ) from error
