"""Conversion of codes and names of languages to ISO 639-3."""

from pathlib import Path

import pytest

from semantic_tokens.data.languages import (
    in_languages,
    iso639_1,
    iso639_3,
    language_at,
    require_languages,
)
from semantic_tokens.errors import InputError


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("de", "deu"),
        ("deu", "deu"),
        ("ger", "deu"),  # the bibliographic code
        ("German", "deu"),
        (" DE ", "deu"),
        ("pcm", "pcm"),
        ("cmn", "zho"),  # varieties for which the field uses the macrolanguage
        ("chinese", "zho"),
        ("arb", "ara"),
        ("pes", "fas"),
        ("fa", "fas"),
        ("swh", "swa"),
        ("swahili", "swa"),
        ("nob", "nor"),
        ("yue", "yue"),  # but Cantonese is not converted
    ],
)
def test_codes_and_names_become_iso_639_3(name: str, code: str) -> None:
    assert iso639_3(name) == code


@pytest.mark.parametrize("name", ["xx", "qqq", "elvish", "", "d"])
def test_unknown_language_is_named_in_the_error(name: str) -> None:
    with pytest.raises(InputError, match=f"language '{name}' is not known"):
        iso639_3(name)


def test_files_are_paired_with_their_language() -> None:
    files = [Path(f"texts/{name}.txt") for name in ("de", "en", "xx")]
    german = in_languages(files, lambda file: file.stem, ["deu"])
    assert list(german) == [("deu", files[0])]
    assert [code for code, _ in in_languages(files[:2], lambda file: file.stem, None)] == [
        "deu",
        "eng",
    ]


def test_file_without_a_language_is_refused_only_if_all_languages_are_read() -> None:
    files = [Path("texts/xx.txt")]
    with pytest.raises(InputError, match=r"texts/xx\.txt .*language 'xx' is not known"):
        list(in_languages(files, lambda file: file.stem, None))
    assert list(in_languages(files, lambda file: file.stem, ["deu"])) == []


def test_missing_languages_are_refused_and_at_most_forty_are_listed() -> None:
    require_languages(None, [], "folder")
    require_languages(["deu"], ["deu", "eng"], "folder")
    with pytest.raises(
        InputError,
        match=r"^folder: no data in fra; available are deu\. Correct the dataset's `languages` in",
    ):
        require_languages(["fra", "deu"], ["deu"], "folder")
    with pytest.raises(InputError, match=r"no data in fra; available are none\. Correct the x in"):
        require_languages(["fra"], [], "folder", "x")
    many = [f"a{number:02}" for number in range(100)]
    with pytest.raises(InputError, match=r"available are a00, .*, a39 and 60 more\."):
        require_languages(["fra"], many, "folder")


def test_unknown_language_in_a_file_is_refused_only_if_all_are_requested() -> None:
    assert language_at("a.tsv, line 2", "de", None) == "deu"
    assert language_at("a.tsv, line 2", "elvish", ["deu"]) is None
    with pytest.raises(InputError, match=r"^a\.tsv, line 2: language 'elvish' is not known"):
        language_at("a.tsv, line 2", "elvish", None)


@pytest.mark.parametrize(
    ("code", "short"), [("deu", "de"), ("zho", "zh"), ("swa", "sw"), ("luo", "luo"), ("qqq", "qqq")]
)
def test_iso_639_1_code_is_used_if_there_is_one(code: str, short: str) -> None:
    assert iso639_1(code) == short


@pytest.mark.parametrize(
    "short", ["ar", "bn", "en", "fa", "ha", "ig", "rw", "sw", "wo", "yo", "zh"]
)
def test_iso_639_1_codes_round_trip(short: str) -> None:
    assert iso639_1(iso639_3(short)) == short
