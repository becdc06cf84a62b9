"""Language codes: ISO 639-3, with macrolanguages where the field uses them."""

import functools
import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from semantic_tokens.errors import InputError

log = logging.getLogger(__name__)

# The number of languages that a message lists.
_LISTED = 40

# Individual languages in lexicons and datasets for which the field uses the macrolanguage.
_MACROLANGUAGE = {
    "arb": "ara", "cmn": "zho", "pes": "fas", "swh": "swa", "ekk": "est", "lvs": "lav",
    "npi": "nep", "ory": "ori", "uzn": "uzb", "zsm": "msa", "nob": "nor", "khk": "mon",
    "gug": "grn", "quz": "que", "plt": "mlg", "azj": "aze", "als": "sqi", "ydd": "yid",
}  # fmt: skip


@functools.cache
def iso639_3(code: str) -> str:
    """Convert a 2-letter code, a 3-letter code or an English name to ISO 639-3.

    >>> iso639_3("de"), iso639_3("cmn"), iso639_3("swahili"), iso639_3("pcm")
    ('deu', 'zho', 'swa', 'pcm')

    Raises:
        InputError: the language is unknown.
    """
    import pycountry

    key = code.strip().lower()
    if key in _MACROLANGUAGE:
        return _MACROLANGUAGE[key]
    language = None
    if len(key) == 2:
        language = pycountry.languages.get(alpha_2=key)
    elif len(key) == 3:
        language = pycountry.languages.get(alpha_3=key) or pycountry.languages.get(
            bibliographic=key
        )
    if language is None and len(key) > 3:
        try:
            language = pycountry.languages.lookup(key)
        except LookupError:
            language = pycountry.languages.get(name=f"{key.capitalize()} (macrolanguage)")
    if language is None:
        raise InputError(
            f"language {code!r} is not known; use an ISO 639 code (two or three letters) or an English name"
        )
    return _MACROLANGUAGE.get(language.alpha_3, language.alpha_3)


def known_language(code: str) -> str | None:
    """The language of a code or name; None if it is unknown, such as ``art``."""
    try:
        return iso639_3(code)
    except InputError:
        return None


def check_codes(codes: Iterable[str] | None, where: str) -> None:
    """Raise an InputError if a language is not written in ISO 639-3, such as ``de`` or ``German``.

    A code of no known language may be the user's own, or one that was removed from ISO 639-3.

    Args:
        where: the config key, or the file and line, for the message.
    """
    for code in codes or ():
        language = known_language(code)
        if language not in (None, code):
            raise InputError(f"{where} has {code!r} and must use ISO 639-3: {language}")


def language_at(place: str, code: str, languages: Sequence[str] | None) -> str | None:
    """The language of a code or name in the content of a file; None if it is unknown, and only some
    languages are requested.

    Args:
        place: the file and line, for the message.
        languages: the requested languages (ISO 639-3); None for all.

    Raises:
        InputError: all languages are requested, and the language is unknown.
    """
    try:
        return iso639_3(code)
    except InputError as error:
        if languages is None:
            raise InputError(f"{place}: {error}") from error
        return None


def in_languages(
    files: Iterable[Path],
    code_of: Callable[[Path], str],
    languages: Sequence[str] | None,
) -> Iterator[tuple[str, Path]]:
    """The files in the requested languages, each with its language.

    Args:
        code_of: returns the language's code or name in the name of a file or its folder.
        languages: the requested languages (ISO 639-3); None for all. If they are given, files that
            are not named after a language are ignored, since a publisher's folder may contain
            others.

    Raises:
        InputError: all languages are requested, and a file is not named after a language.
    """
    for file in files:
        try:
            language = iso639_3(code_of(file))
        except InputError as error:
            if languages is None:
                raise InputError(
                    f"{file} is named by its language: {error}; or list the `languages` to read, "
                    "and other files are left out"
                ) from error
            log.info("%s is left out: its name is not a language", file)
            continue
        if languages is None or language in languages:
            yield language, file


def languages_of(files: Iterable[Path], code_of: Callable[[Path], str]) -> set[str]:
    """The languages in the names of files; other names are ignored."""
    return {language for file in files if (language := known_language(code_of(file))) is not None}


def require_languages(
    languages: Sequence[str] | None,
    found: Iterable[str],
    where: str,
    option: str = "dataset's `languages`",
    available: Iterable[str] | None = None,
) -> None:
    """Raise an InputError if a requested language was not found.

    Args:
        languages: the requested languages (ISO 639-3); None if no particular language is requested.
        where: the searched files, for the message.
        option: the option that requests them.
        available: what the message lists, except missing languages; None lists what was found.
    """
    found = set(found)
    missing = sorted({str(language) for language in languages or ()} - found)
    if missing:
        listed = sorted((found if available is None else set(available)) - set(missing))
        more = f" and {len(listed) - _LISTED} more" if len(listed) > _LISTED else ""
        raise InputError(
            f"{where}: no data in {', '.join(missing)}; available are "
            f"{', '.join(listed[:_LISTED]) or 'none'}{more}. Correct the {option} in the config"
        )


@functools.cache
def iso639_1(code: str) -> str:
    """The 2-letter code of an ISO 639-3 language; without one, the 3-letter code.

    >>> iso639_1("deu"), iso639_1("luo")
    ('de', 'luo')
    """
    import pycountry

    language = pycountry.languages.get(alpha_3=code)
    return getattr(language, "alpha_2", code)
