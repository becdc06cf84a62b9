"""Language codes: ISO 639-3, macrolanguage where the field speaks of the macrolanguage."""

import functools
from pathlib import Path

from semantic_tokens.errors import InputError

# Individual languages that lexicons and datasets name where the field names the macrolanguage.
_MACROLANGUAGE = {
    "arb": "ara", "cmn": "zho", "pes": "fas", "swh": "swa", "ekk": "est", "lvs": "lav",
    "npi": "nep", "ory": "ori", "uzn": "uzb", "zsm": "msa", "nob": "nor", "khk": "mon",
    "gug": "grn", "quz": "que", "plt": "mlg", "azj": "aze", "als": "sqi", "ydd": "yid",
}  # fmt: skip


@functools.cache
def iso639_3(code: str) -> str:
    """Turn a 2-letter code, a 3-letter code or an English name into ISO 639-3.

    >>> iso639_3("de"), iso639_3("cmn"), iso639_3("swahili"), iso639_3("pcm")
    ('deu', 'zho', 'swa', 'pcm')

    Raises:
        InputError: no such language is known.
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


def language_of_file(path: Path, code: str) -> str:
    """:func:`iso639_3` of the code that a file or its folder is named by.

    Raises:
        InputError: names the file.
    """
    try:
        return iso639_3(code)
    except InputError as error:
        raise InputError(f"{path} is named by its language: {error}") from error


@functools.cache
def iso639_1(code: str) -> str:
    """The 2-letter code of an ISO 639-3 language, or the code itself where there is none.

    >>> iso639_1("deu"), iso639_1("luo")
    ('de', 'luo')
    """
    import pycountry

    language = pycountry.languages.get(alpha_3=code)
    return getattr(language, "alpha_2", code)
