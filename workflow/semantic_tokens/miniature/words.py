"""Names, nouns and dates by language and split."""

import datetime
import functools
import hashlib
import random
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from semantic_tokens.errors import InputError
from semantic_tokens.languages import iso639_1
from semantic_tokens.lexicons.package_words import emoji, territories

SPLITS = ("train", "dev", "test")
_SHARES = (0.6, 0.15, 0.25)

# Where family names stand first, and where nothing stands between the two.
_FAMILY_FIRST = {"jpn": " ", "kor": "", "zho": ""}
_FAKER_LOCALES = {
    "ara": "ar_AA",
    "deu": "de_DE",
    "eng": "en_US",
    "ind": "id_ID",
    "jpn": "ja_JP",
    "kor": "ko_KR",
    "rus": "ru_RU",
    "spa": "es_ES",
    "tur": "tr_TR",
    "zho": "zh_CN",
}
LANGUAGES = tuple(_FAKER_LOCALES)

# Pictures of concrete things: plants and food, animals, clothes and tools, instruments, vehicles.
_THINGS = [
    (0x1F330, 0x1F37F), (0x1F400, 0x1F43E), (0x1F451, 0x1F462), (0x1F3B7, 0x1F3BB),
    (0x1F526, 0x1F52C), (0x1F680, 0x1F6A2), (0x1F950, 0x1F96F), (0x1F980, 0x1F9AE),
]  # fmt: skip


def split_of(name: str) -> str:
    """The split that a name belongs to, by its hash alone: it does not move when others come."""
    share = int.from_bytes(hashlib.sha256(name.encode("utf-8")).digest()[:8], "big") / 2**64
    for split, width in zip(SPLITS, _SHARES, strict=True):
        if share < width:
            return split
        share -= width
    return SPLITS[-1]


@dataclass(frozen=True)
class Words:
    """What one split's sentences of one language are filled with.

    Attributes:
        things: nouns in the order of Unicode's pictures, so that neighbours are alike
            (lemon, banana, pineapple; trumpet, violin).
    """

    language: str
    given_names: Sequence[str]
    family_names: Sequence[str]
    territories: Sequence[str]
    things: Sequence[str]
    company_forms: Sequence[str]

    def person(self, rng: random.Random) -> str:
        given, family = rng.choice(self.given_names), rng.choice(self.family_names)
        if self.language in _FAMILY_FIRST:
            return f"{family}{_FAMILY_FIRST[self.language]}{given}"
        return f"{given} {family}"

    def company(self, rng: random.Random) -> str:
        return rng.choice(self.company_forms).format(name=rng.choice(self.family_names))

    def territory(self, rng: random.Random) -> str:
        return rng.choice(self.territories)

    def thing(self, rng: random.Random) -> str:
        return rng.choice(self.things)

    def near_thing(self, rng: random.Random, thing: str) -> str:
        """A noun of the same kind: one of the six nearest in the order of pictures."""
        place = self.things.index(thing)
        near = self.things[max(0, place - 3) : place + 4]
        return rng.choice([other for other in near if other != thing])

    def date(self, rng: random.Random) -> str:
        from babel.dates import format_date

        day = datetime.date(1950, 1, 1) + datetime.timedelta(days=rng.randrange(27000))
        date = format_date(day, "long", locale=iso639_1(self.language))
        return date.replace(" ", "") if self.language in ("jpn", "zho") else date


@functools.cache
def words_of(language: str, company_forms: tuple[str, ...], emoji_wheel: Path) -> dict[str, Words]:
    """The words of every split of a language.

    Raises:
        InputError: the language has no names.
    """
    if language not in _FAKER_LOCALES:
        raise InputError(
            f"the miniature tasks are written in {', '.join(LANGUAGES)}, not in {language!r}; mend "
            "the dataset's `languages`"
        )
    given, family = _names(language)
    nouns = _nouns(language, emoji_wheel)
    places = {
        entry.concept: entry.word
        for entry in territories([language])
        if not entry.concept.removeprefix("territory:").isdigit()
        and not re.search(r"[(),，（&]|\d", entry.word)
        and len(entry.word.split()) <= 2
    }
    return {
        split: Words(
            language=language,
            given_names=[n for n in given if split_of(n) == split],
            family_names=[n for n in family if split_of(n) == split],
            territories=[w for c, w in places.items() if split_of(c) == split],
            things=[w for c, w in nouns.items() if split_of(c) == split],
            company_forms=company_forms,
        )
        for split in SPLITS
    }


def _names(language: str) -> tuple[list[str], list[str]]:
    """Given and family names of a country, alphabetically, without those that are both."""
    from faker import Faker

    faker = Faker(_FAKER_LOCALES[language])
    faker.seed_instance(0)  # the draw is a way to list the provider's names, the same for all
    given = {faker.first_name() for _ in range(600)}
    family = {faker.last_name() for _ in range(600)}
    return sorted(given - family), sorted(family - given)


def _nouns(language: str, emoji_wheel: Path) -> dict[str, str]:
    """concept -> noun, for pictures of things that are named by one or two words."""
    nouns: dict[str, str] = {}
    for entry in emoji(emoji_wheel, [language]):
        points = entry.concept.removeprefix("emoji:").split("-")
        if len(points) == 1 and any(a <= int(points[0], 16) <= b for a, b in _THINGS):
            word = entry.word
            if len(word.split()) <= 2 and word not in nouns.values():
                nouns[entry.concept] = word
    return dict(sorted(nouns.items(), key=lambda item: int(item[0].removeprefix("emoji:"), 16)))
