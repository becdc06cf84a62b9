"""Search for the files of the requested languages in a publisher's layout."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from semantic_tokens.data.languages import in_languages, languages_of
from semantic_tokens.errors import InputError
from semantic_tokens.text_files import files_in


def files_by_language(
    path: Path,
    pattern: str,
    code_of: Callable[[Path], str],
    languages: Sequence[str] | None,
    other: str | None = None,
) -> dict[str, Path]:
    """The files below ``path`` that match ``pattern``, by language, in the order of the codes.

    Args:
        code_of: the language's code in a file's name.
        languages: the languages to keep (ISO 639-3); None for all.
        other: a pattern of matching files that do not belong to a language.

    Raises:
        InputError: there is no such file, no file for a requested language, or two for one
            language.
    """
    files = [f for f in files_in(path, pattern) if not (other and f.match(other))]
    if not files:
        raise InputError(
            f"{path} contains no {pattern}; correct the dataset's `path` in the config"
        )
    found: dict[str, Path] = {}
    for language, file in in_languages(files, code_of, languages):
        if language in found:
            raise InputError(f"{file} and {found[language]} are both in {language}; remove one")
        found[language] = file
    require_languages(languages, languages_of(files, code_of), f"{path}/{pattern}")
    return dict(sorted(found.items()))


def require_languages(
    languages: Sequence[str] | None,
    found: Iterable[str],
    where: str,
    option: str = "languages",
) -> None:
    """Raise an InputError if a requested language was not found.

    Args:
        option: the option of the dataset that requests them.
    """
    available = set(found)
    missing = sorted(set(languages or ()) - available)
    if missing:
        raise InputError(
            f"{where}: no data in {', '.join(missing)}; available are {', '.join(sorted(available))}. "
            f"Correct the dataset's `{option}` in the config"
        )
