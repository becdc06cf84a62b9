"""The local files of a corpus."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from semantic_tokens.data.languages import in_languages, languages_of, require_languages
from semantic_tokens.errors import InputError
from semantic_tokens.text_files import files_in

#: The option that requests languages, for messages.
LANGUAGES = "corpus's `languages`"


def corpus_files(path: Path, pattern: str) -> list[Path]:
    """The files of a folder that match a pattern.

    Raises:
        InputError: there is none, or ``path`` is a file.
    """
    if path.is_file():
        raise InputError(
            f"{path} is a file; write the name of a folder with {pattern} in the corpus's `path` in "
            "the config"
        )
    files = files_in(path, pattern)
    if not files:
        raise InputError(f"{path} contains no {pattern}; correct the corpus's `path` in the config")
    return files


def files_in_languages(
    path: Path, pattern: str, code_of: Callable[[Path], str], languages: Sequence[str] | None
) -> Iterator[tuple[str, Path]]:
    """The files of a folder in the requested languages, each with its language.

    Args:
        code_of: returns the language's code or name in the name of a file or its folder.
        languages: the requested languages (ISO 639-3); None for all.

    Raises:
        InputError: there is no such file, a requested language has none, or all languages are
            requested and a file is not named after a language.
    """
    files = corpus_files(path, pattern)
    there = languages_of(files, code_of)
    require_languages(languages, there, f"{path}/{pattern}", LANGUAGES)
    yield from in_languages(files, code_of, languages)
