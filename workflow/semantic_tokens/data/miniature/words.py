"""Names, nouns and dates by language and split."""

import collections
import datetime
import functools
import hashlib
import random
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from pathlib import Path

from semantic_tokens.data.languages import iso639_1
from semantic_tokens.data.lexicons.package_words import emoji, territories

SPLITS = ("train", "dev", "test")
_SHARES = (0.6, 0.15, 0.25)

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

_UNSPACED = ("jpn", "zho")
# Languages with the family name first -> the separator between the two names.
_FAMILY_FIRST = {"jpn": " ", "kor": "", "zho": ""}
# Languages in which verbs agree with the person's gender (ara), or the two names agree (rus).
_MASCULINE_ONLY = {"ara", "rus"}
# Languages that capitalise nouns. The names of pictures do not.
_CAPITALISED_NOUNS = {"deu"}

# Longer names are left out: shorter texts allow more optimizer steps per minute.
_LONGEST_NAME = 9  # characters
_LONGEST_PLACE = 12
_LONGEST_UNSPACED_PLACE = 6
_LONGEST_NOUN = 20
_LONGEST_NOUN_WORDS = 3

# Kinds of things, as pictures that show one thing each. Similar things are neighbours.
KINDS = {
    "food": "🌰🌶🌽🍄🍅🍆🍇🍈🍉🍊🍋🍌🍍🍎🍐🍑🍒🍓🥐🥑🥒🥔🥕🥜🥝🥥🥦🥬🥭🧄🧅🫐🫑🫒🫘🫚🍔🍕🍖🍗🍘🍙🍚🍛🍜🍝🍞🍟🍠"
    "🍢🍣🍤🥓🥖🥗🥘🥙🥚🥞🥟🥠🥧🥨🥩🥪🥫🥮🥯🧀🧆🧇🧈🫓🫔🍥🍡🍦🍧🍨🍩🍪🍫🍬🍭🍮🍯🍰🍱🍲🍳🍿🧁🧂",
    "animal": "🐀🐁🐂🐃🐄🐅🐆🐇🐈🐉🐊🐋🐌🐍🐎🐏🐐🐑🐒🐓🐔🐕🐖🐗🐘🐙🐛🐜🐝🐞🐟🐠🐡🐢🐤🐦🐧🐨🐩🐪🐫🐬🐸🐻🐼🕊🕷🐿🦀🦁🦂🦃🦄🦅🦆🦇🦈"
    "🦉🦊🦋🦌🦍🦎🦏🦐🦑🦒🦓🦔🦕🦗🦘🦙🦚🦛🦜🦝🦞🦟🦡🦢🦣🦤🦥🦦🦧🦨🦩🦪🦫🦬🦭🪰🪱🪲🪳🪼🪿🫎🫏",
    "plant": "🌱🌲🌳🌴🌵🌷🌸🌹🌺🌻🌼🌾🌿☘🍀🍁🍂💐🪴🪷🪻",
    "clothing": "👑👒👓👔👕👖👗👘👙👛👜👝👞👟👠👡👢🎒🎓🎩🎽🕶🥻🥼🥽🥾🥿🧢🧣🧤🧥🧦🩰🩱🩲🩳🩴💍",
    "vehicle": "🚀🚁🚂🚃🚄🚅🚆🚇🚊🚋🚌🚎🚐🚑🚒🚓🚕🚗🚙🚚🚛🚜🚡🚢🚤🚲🛥🛩🛳🛴🛵🛶🛹🛺🛻🏍🏎⛵⛴✈",
    "tool": "🔨🪓⛏🔧🪛🔩🗜🪚🧰🪝🪜🧲✂🔪🧹🪒🪡🔦🪣",
}


def by_split(concepts: Sequence[str]) -> dict[str, list[str]]:
    """Assign concepts to splits by the order of their hashes.

    So each split has concepts of every kind, and a concept is in the same split in every language.
    """
    ordered = sorted(concepts, key=_fraction)
    first, second = (round(len(ordered) * sum(_SHARES[:n])) for n in (1, 2))
    return dict(
        zip(SPLITS, (ordered[:first], ordered[first:second], ordered[second:]), strict=True)
    )


def split_of(name: str) -> str:
    """The split of a name. It depends only on the hash of the name, not on other names."""
    fraction = _fraction(name)
    for split, share in zip(SPLITS, _SHARES, strict=True):
        if fraction < share:
            return split
        fraction -= share
    return SPLITS[-1]


def _fraction(name: str) -> float:
    return int.from_bytes(hashlib.sha256(name.encode("utf-8")).digest()[:8], "big") / 2**64


@dataclass(frozen=True)
class Words:
    """The words for the templates of one language and split.

    Attributes:
        things: kind -> nouns in the order of :data:`KINDS`, so that neighbours are similar
            (lemon, banana, pineapple).
        company_forms: patterns that make a family name into the name of a company.
    """

    language: str
    given_names: Sequence[str]
    family_names: Sequence[str]
    territories: Sequence[str]
    things: Mapping[str, Sequence[str]]
    company_forms: Sequence[str]

    def full_name(self, rng: random.Random) -> str:
        given, family = rng.choice(self.given_names), rng.choice(self.family_names)
        if self.language in _FAMILY_FIRST:
            return f"{family}{_FAMILY_FIRST[self.language]}{given}"
        return f"{given} {family}"

    def short_name(self, rng: random.Random) -> str:
        """The name by which acquaintances call a person: the given name in most languages."""
        if self.language == "jpn":
            return rng.choice(self.family_names)
        if self.language in _FAMILY_FIRST:
            return self.full_name(rng)
        return rng.choice(self.given_names)

    def company(self, rng: random.Random) -> str:
        return rng.choice(self.company_forms).format(name=rng.choice(self.family_names))

    def thing(self, rng: random.Random, kind: str) -> str:
        return rng.choice(self.things[kind])

    def kind_of(self, thing: str) -> str:
        return next(kind for kind, things in self.things.items() if thing in things)

    def near_thing(self, rng: random.Random, thing: str) -> str:
        """Another noun of the same kind, one of the six nearest in the order of pictures."""
        things = self.things[self.kind_of(thing)]
        place = things.index(thing)
        near = things[max(0, place - 3) : place + 4]
        return rng.choice([other for other in near if other != thing])

    def date(self, rng: random.Random) -> str:
        from babel.dates import format_date

        day = datetime.date(1950, 1, 1) + datetime.timedelta(days=rng.randrange(27000))
        date = " ".join(format_date(day, "long", locale=iso639_1(self.language)).split())
        date = date.removesuffix(" г.")  # the abbreviation of year would give two full stops
        return date.replace(" ", "") if self.language in _UNSPACED else date


@functools.cache
def words_of(language: str, company_forms: tuple[str, ...], emoji_wheel: Path) -> dict[str, Words]:
    """The words of every split of one of :data:`LANGUAGES`."""
    places = _places(language)
    nouns = _nouns(language, emoji_wheel)
    # A word with two meanings could be in two splits.
    given, family = _names(language, others={*places.values(), *nouns.values()})
    return {
        split: Words(
            language=language,
            given_names=[n for n in given if split_of(n) == split],
            family_names=[n for n in family if split_of(n) == split],
            territories=[word for code, word in places.items() if split_of(code) == split],
            things={
                kind: [nouns[p] for p in pictures if p in by_split(pictures)[split] and p in nouns]
                for kind, pictures in KINDS.items()
            },
            company_forms=company_forms,
        )
        for split in SPLITS
    }


def _names(language: str, others: Set[str]) -> list[list[str]]:
    """Given names and family names of a country, in alphabetical order.

    Names that are both, or that are among ``others``, are left out.
    """
    from faker import Faker

    faker = Faker(_FAKER_LOCALES[language])
    faker.seed_instance(0)  # random draws list the provider's names; always the same ones
    if language in _MASCULINE_ONLY:
        first_name, last_name = faker.first_name_male, faker.last_name_male
    else:
        first_name, last_name = faker.first_name, faker.last_name
    given = {first_name() for _ in range(600)}
    family = {last_name() for _ in range(600)}
    return [
        sorted(name for name in names if name.isalpha() and len(name) <= _LONGEST_NAME)
        for names in (given - family - others, family - given - others)
    ]


def _places(language: str) -> dict[str, str]:
    """ISO 3166 code -> name, for countries and territories whose name is a single word. Such names
    need no article and no agreement."""
    import pycountry

    longest = _LONGEST_UNSPACED_PLACE if language in _UNSPACED else _LONGEST_PLACE
    places = {}
    for entry in territories([language]):
        code = entry.concept.removeprefix("territory:")
        if (
            pycountry.countries.get(alpha_2=code)
            and entry.word.isalpha()
            and len(entry.word) <= longest
        ):
            places[code] = entry.word
    return places


def _nouns(language: str, emoji_wheel: Path) -> dict[str, str]:
    """Picture -> noun, for pictures of :data:`KINDS` with a short name that is unique."""
    listed = {entry.concept: entry.word for entry in emoji(emoji_wheel, [language])}
    nouns: dict[str, str] = {}
    for picture in "".join(KINDS.values()):
        point = f"emoji:{ord(picture):X}"
        # Some pictures are only listed with the variation selector for coloured pictures.
        name = listed.get(point) or listed.get(f"{point}-FE0F")
        if not name or len(name) > _LONGEST_NOUN or len(name.split()) > _LONGEST_NOUN_WORDS:
            continue
        if language in _CAPITALISED_NOUNS:
            *modifiers, noun = name.split()
            name = " ".join([*modifiers, noun[0].upper() + noun[1:]])
        nouns[picture] = name
    named = collections.Counter(nouns.values())
    return {picture: noun for picture, noun in nouns.items() if named[noun] == 1}
