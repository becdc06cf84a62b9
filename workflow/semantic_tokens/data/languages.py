"""Language codes: ISO 639-3, with macrolanguages where the field uses them."""

import contextlib
import functools
import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from semantic_tokens.errors import InputError

log = logging.getLogger(__name__)

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
    found = set()
    for file in files:
        with contextlib.suppress(InputError):
            found.add(iso639_3(code_of(file)))
    return found


@functools.cache
def iso639_1(code: str) -> str:
    """The 2-letter code of an ISO 639-3 language; without one, the 3-letter code.

    >>> iso639_1("deu"), iso639_1("luo")
    ('de', 'luo')
    """
    import pycountry

    language = pycountry.languages.get(alpha_3=code)
    return getattr(language, "alpha_2", code)
