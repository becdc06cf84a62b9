"""Real words from packages: names of pictures, places, languages and months, and numbers.

The names of pictures come from a package archive that is read as data. The others come from the
installed libraries Babel (CLDR) and num2words.
"""

import copy
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from semantic_tokens.data.languages import iso639_1
from semantic_tokens.data.lexicons.entry import Entry
from semantic_tokens.errors import InputError
from semantic_tokens.sources.wheels import members, read_member

# Modifiers that do not change what a picture shows: skin tones, variation selectors.
_MODIFIER = re.compile("[\U0001f3fb-\U0001f3ff\ufe0f]")
_MARKUP = re.compile(r"^:|:$")


def emoji(path: Path, languages: Sequence[str]) -> Iterator[Entry]:
    """Names of pictures by language; a concept is the picture's code points.

    Pictures with a skin tone repeat the plain one's name and are left out.
    """
    named = set(members(path))
    for language in languages:
        code = iso639_1(language)
        member = f"emoji/unicode_codes/emoji{'' if code == 'en' else f'_{code}'}.json"
        if member not in named:
            raise InputError(
                f"{path} has no names of pictures in {language!r}; remove it from `languages`"
            )
        for picture, name in _names(path, member, code).items():
            if _MODIFIER.search(picture):
                continue
            name = _MARKUP.sub("", name).replace("_", " ").replace("“", "").replace("”", "")
            points = "-".join(f"{ord(character):X}" for character in picture)
            if name:
                yield Entry(f"emoji:{points}", language, name, "emoji")


def _names(path: Path, member: str, code: str) -> dict[str, str]:
    """Picture -> name in one language."""
    try:
        pictures = json.loads(read_member(path, member))
        names = {p: value["en"] if code == "en" else value for p, value in pictures.items()}
        if not all(isinstance(name, str) for name in names.values()):
            raise TypeError("a name is not text")
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise InputError(
            f"{path}: {member} is not a table of pictures' names ({error}); name another wheel"
        ) from error
    return names


def territories(languages: Sequence[str]) -> Iterator[Entry]:
    """CLDR's names of countries and regions; a concept is the territory's code."""
    for language, locale in _locales(languages):
        for code, name in locale["territories"].items():
            yield Entry(f"territory:{code}", language, name, "territories")


def languages(languages: Sequence[str]) -> Iterator[Entry]:
    """CLDR's names of languages; a concept is the named language's code."""
    for language, locale in _locales(languages):
        for code, name in locale["languages"].items():
            yield Entry(f"language:{code}", language, name, "languages")


def calendar(languages: Sequence[str]) -> Iterator[Entry]:
    """CLDR's stand-alone names of months and days of the week."""
    for language, locale in _locales(languages):
        for kind, names in (("month", locale["months"]), ("day", locale["days"])):
            for number, name in names["stand-alone"]["wide"].items():
                yield Entry(f"{kind}:{number}", language, name, "calendar")


def numbers(languages: Sequence[str], up_to: int = 100) -> Iterator[Entry]:
    """The numbers from 0 in words."""
    from num2words import CONVERTER_CLASSES, num2words

    if up_to < 0:
        raise InputError(
            f"`up_to` is {up_to} and must be at least 0; correct the lexicon's options"
        )
    for language in languages:
        code = iso639_1(language)
        # For unknown languages, num2words uses the language of the first two letters.
        if code not in CONVERTER_CLASSES:
            raise InputError(
                f"num2words cannot count in {language!r}; remove it from the lexicon's `languages`"
            )
        for number in range(up_to + 1):
            yield Entry(f"number:{number}", language, num2words(number, lang=code), "numbers")


def _locales(languages: Sequence[str]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Each language with its data in CLDR.

    Babel shares dictionaries between languages, and writes the names of the first language into
    them where CLDR refers to other names. So every language gets its own copy.
    """
    from babel import Locale, UnknownLocaleError, localedata

    for language in languages:
        try:
            shared: dict[Any, Any] = localedata.load(str(Locale.parse(iso639_1(language))))
        except UnknownLocaleError as error:
            raise InputError(
                f"CLDR has no locale for {language!r}; remove it from the lexicon's `languages`"
            ) from error
        yield language, localedata.LocaleDataDict(copy.deepcopy(shared))
