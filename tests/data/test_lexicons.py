"""Lexicons: each reader with valid and with invalid input."""

import itertools
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from semantic_tokens.data.lexicons import read_source
from semantic_tokens.data.lexicons.entry import Entry
from semantic_tokens.data.lexicons.table import (
    HEADER,
    is_held_out,
    read_lexicon,
    write_lexicon,
)
from semantic_tokens.errors import InputError

ROOT = Path(__file__).resolve().parents[2]


def write(path: Path, text: str | bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode("utf-8") if isinstance(text, str) else text)
    return path


def read(reader: str, path: Path | None = None, **options: Any) -> list[Entry]:
    return list(read_source(reader, options, path))


def words(entries: list[Entry], concept: str) -> dict[str, list[str]]:
    """The words of a concept by language."""
    found: dict[str, list[str]] = {}
    for entry in entries:
        if entry.concept == concept:
            found.setdefault(entry.language, []).append(entry.word)
    return found


def by_concept(entries: list[Entry]) -> dict[str, list[Entry]]:
    """The entries of every concept, in order."""
    concepts: dict[str, list[Entry]] = {}
    for entry in entries:
        concepts.setdefault(entry.concept, []).append(entry)
    return concepts


# Words from packages


def test_emoji_names_are_read_in_every_language(wheel: Callable[[str], Path]) -> None:
    languages = ["ara", "deu", "eng", "jpn", "rus", "spa", "zho"]
    entries = read("emoji", wheel("emoji"), languages=languages)
    assert words(entries, "emoji:1F345") == {
        "ara": ["طماطم"], "deu": ["tomate"], "eng": ["tomato"], "jpn": ["トマト"],
        "rus": ["помидор"], "spa": ["tomate"], "zho": ["西红柿"],
    }  # fmt: skip
    assert words(entries, "emoji:1F947")["eng"] == ["1st place medal"]
    assert {entry.language for entry in entries} == set(languages)
    assert len(by_concept(entries)) > 1800
    assert not any(set(entry.word) & set(":_“”") for entry in entries)


def test_a_skin_tone_is_not_a_separate_concept(wheel: Callable[[str], Path]) -> None:
    concepts = by_concept(read("emoji", wheel("emoji"), languages=["eng"]))
    assert "emoji:1F44B" in concepts  # the waving hand
    assert not any("1F3FD" in concept or "FE0F" in concept for concept in concepts)


def test_language_without_emoji_names_is_named_in_the_error(wheel: Callable[[str], Path]) -> None:
    with pytest.raises(InputError, match="has no names of pictures in 'yor'; remove it"):
        read("emoji", wheel("emoji"), languages=["yor"])


@pytest.mark.parametrize(
    ("reader", "concept", "expected"),
    [
        ("territories", "territory:DE", {"deu": "Deutschland", "swa": "Ujerumani", "zho": "德国"}),
        ("languages", "language:sw", {"deu": "Suaheli", "swa": "Kiswahili", "zho": "斯瓦希里语"}),
        ("calendar", "month:3", {"deu": "März", "swa": "Machi", "zho": "三月"}),
        ("calendar", "day:0", {"deu": "Montag", "swa": "Jumatatu", "zho": "星期一"}),
    ],
)
def test_cldr_names_are_read_in_every_language(
    reader: str, concept: str, expected: dict[str, str]
) -> None:
    entries = read(reader, languages=list(expected))
    assert words(entries, concept) == {code: [word] for code, word in expected.items()}
    assert {entry.source for entry in entries} == {reader}


@pytest.mark.parametrize("order", [1, -1])
def test_names_of_the_calendar_do_not_depend_on_other_languages(order: int) -> None:
    codes = ["ara", "deu", "eng", "ind", "jpn", "kor", "rus", "spa", "tur", "zho"][::order]
    together = read("calendar", languages=codes)
    assert words(together, "month:1") == {
        "ara": ["يناير"], "deu": ["Januar"], "eng": ["January"], "ind": ["Januari"], "jpn": ["1月"],
        "kor": ["1월"], "rus": ["январь"], "spa": ["enero"], "tur": ["Ocak"], "zho": ["一月"],
    }  # fmt: skip
    assert together == [entry for code in codes for entry in read("calendar", languages=[code])]


def test_numbers_are_spelled_in_words() -> None:
    entries = read("numbers", languages=["deu", "spa", "jpn"], up_to=21)
    assert len(entries) == 3 * 22
    assert words(entries, "number:21") == {
        "deu": ["einundzwanzig"], "spa": ["veintiuno"], "jpn": ["二十一"]
    }  # fmt: skip
    assert "number:0" in by_concept(entries)


@pytest.mark.parametrize("reader", ["territories", "languages", "calendar"])
def test_language_without_a_locale_is_named_in_the_error(reader: str) -> None:
    with pytest.raises(InputError, match="no locale for 'qqq'; remove it"):
        read(reader, languages=["deu", "qqq"])


@pytest.mark.parametrize("language", ["swa", "kok"])  # `kok` starts like Korean's code
def test_language_without_number_words_is_named_in_the_error(language: str) -> None:
    with pytest.raises(InputError, match=f"cannot count in '{language}'; remove it"):
        read("numbers", languages=["deu", language])


def test_unknown_reader_error_lists_the_known_readers() -> None:
    with pytest.raises(InputError, match=r"reader is 'emojis' and must be one of emoji, .*table"):
        read("emojis", languages=["deu"])


# Published lexicons


def translation_pairs(entries: list[Entry]) -> list[tuple[Entry, Entry]]:
    """All pairs of different words of one concept."""
    return [
        (first, second)
        for members in by_concept(entries).values()
        for first, second in itertools.combinations(members, 2)
        if first.word != second.word
    ]


@pytest.fixture
def muse(tmp_path: Path) -> Path:
    write(tmp_path / "en-de.txt", "tomato tomate\nbank\tbank\nbank ufer\n\n")
    write(tmp_path / "en-zh.txt", "tomato\t番茄\r\n")
    return tmp_path


def test_every_line_of_muse_becomes_a_concept(muse: Path) -> None:
    entries = read("muse", muse)
    pairs = [(first[1:3], second[1:3]) for first, second in translation_pairs(entries)]
    assert pairs == [
        (("eng", "tomato"), ("deu", "tomate")),
        (("eng", "bank"), ("deu", "ufer")),
        (("eng", "tomato"), ("zho", "番茄")),
    ]
    assert len(by_concept(entries)) == 4


def test_pairs_per_dictionary_can_be_limited(muse: Path) -> None:
    all_entries = read("muse", muse)
    limited = read("muse", muse, max_pairs_per_dictionary=1)
    pairs = {entry.concept for entry in all_entries}
    dictionaries = {concept.rpartition(":")[0] for concept in pairs}
    assert len(pairs) > len(dictionaries)
    assert {entry.concept for entry in limited} == {f"{name}:1" for name in dictionaries}
    for wrong in (0, "5", 1.5, True):
        with pytest.raises(InputError, match=r"max_pairs_per_dictionary is .*1 or more"):
            read("muse", muse, max_pairs_per_dictionary=wrong)


def test_dictionaries_of_other_languages_are_left_out(muse: Path) -> None:
    assert {e.language for e in read("muse", muse, languages=["eng", "zho"])} == {"eng", "zho"}


#: Readers of lexicons with files in German and English.
LAYOUTS: dict[str, dict[str, str]] = {
    "panlex_swadesh": {"deu-000.txt": "ich\n", "eng-000.txt": "I\n"},
    "concepticon": {
        "map-de.tsv": "ID\tGLOSS\n1\tSUN///Sonne\n",
        "map-en.tsv": "ID\tGLOSS\n1\tSUN///sun\n",
    },
    "panlex": {"deu.tsv": "txt\tmeaning\nHaus\t7\n", "eng.tsv": "txt\tmeaning\nhouse\t7\n"},
    "panlex's tables": {
        "langvar.csv": "id,lang_code\n1,deu\n2,eng\n3,art\n",
        "expr.csv": "id,langvar,txt\n5,1,Haus\n6,2,house\n",
        "denotation.csv": "id,meaning,expr\n1,7,5\n2,7,6\n",
    },
    "colexnet": {"net.tsv": "red\tdeu:$rot$\n"},
    "table": {"mine.tsv": "\t".join(HEADER) + "\n1\tdeu\trot\tx\n1\teng\tred\tx\n"},
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_missing_language_is_logged_and_a_lexicon_without_any_is_refused(
    tmp_path: Path, layout: str, caplog: pytest.LogCaptureFixture
) -> None:
    for name, content in LAYOUTS[layout].items():
        write(tmp_path / name, content)
    reader = layout.partition("'")[0]
    path = tmp_path / "mine.tsv" if reader == "table" else tmp_path
    assert {e.language for e in read(reader, path, languages=["deu"])} == {"deu"}
    assert "no word in" not in caplog.text
    assert {e.language for e in read(reader, path, languages=["deu", "fra"])} == {"deu"}
    assert f"{path}: no word in fra" in caplog.text
    with pytest.raises(InputError, match=r"no data in fra; available are none\. Correct the lex"):
        read(reader, path, languages=["fra"])


@pytest.mark.parametrize("line", ["tomato", "a red tomato"])
def test_muse_line_that_is_not_a_pair_is_named_in_the_error(muse: Path, line: str) -> None:
    write(muse / "en-fr.txt", f"tomato tomate\n{line}\n")
    with pytest.raises(InputError, match=rf"en-fr\.txt, line 2: two words .*'{line}'; fix"):
        read("muse", muse)


@pytest.mark.parametrize("name", ["en-xx.txt", "read-me-first.txt"])
def test_file_name_without_two_known_languages_is_named_in_the_error(muse: Path, name: str) -> None:
    expected = read("muse", muse, languages=["eng", "deu", "zho"])
    write(muse / name, "tomato tomate\n")
    with pytest.raises(InputError, match=rf"{name} is named by its two languages"):
        read("muse", muse)
    assert read("muse", muse, languages=["eng", "deu", "zho"]) == expected


@pytest.mark.parametrize("reader", ["muse", "panlex_swadesh", "concepticon"])
def test_folder_without_a_lexicon_is_refused(tmp_path: Path, reader: str) -> None:
    with pytest.raises(InputError, match=r"contains no .*lexicon's `path`"):
        read(reader, tmp_path)


def test_every_line_of_a_swadesh_list_becomes_a_concept(tmp_path: Path) -> None:
    folder = tmp_path / "swadesh110"
    write(folder / "deu-000.txt", "ich\n\nwir\tuns \n")
    write(folder / "cmn-000.txt", "我\n你\n我们\n")
    write(folder / "xqx-000.txt", "na\n")  # a code without a current language
    entries = read("panlex_swadesh", folder)
    assert words(entries, "swadesh110:1") == {"deu": ["ich"], "zho": ["我"], "xqx": ["na"]}
    assert words(entries, "swadesh110:2") == {"zho": ["你"]}
    assert words(entries, "swadesh110:3") == {"deu": ["wir", "uns"], "zho": ["我们"]}
    assert {e.language for e in read("panlex_swadesh", folder, languages=["zho"])} == {"zho"}


CONCEPTICON_HEADER = "ID\tGLOSS\tPRIORITY\n"


def test_words_of_concepticon_are_cleaned(tmp_path: Path) -> None:
    write(
        tmp_path / "map-de.tsv",
        CONCEPTICON_HEADER
        + "587\tANT///Ameise, Emse (alt)\t1\n12\tHE OR SHE///er/sie; es（n）\t2\n"
        "3\tJAW///Kiefer[Anatomie], Kinn (das, Backe\t1\n",
    )
    write(tmp_path / "map-zh.tsv", CONCEPTICON_HEADER + "587\tANT///蚂蚁、蟻\t1\n")
    write(tmp_path / "map-fa.tsv", CONCEPTICON_HEADER + "587\tANT///مور، مورچه؛ مورچگان\t1\n")
    entries = read("concepticon", tmp_path)
    assert words(entries, "concepticon:587") == {
        "deu": ["Ameise", "Emse"], "fas": ["مور", "مورچه", "مورچگان"], "zho": ["蚂蚁", "蟻"]
    }  # fmt: skip
    assert words(entries, "concepticon:12") == {"deu": ["er", "sie", "es"]}
    assert words(entries, "concepticon:3") == {"deu": ["Kiefer", "Backe"]}
    assert {e.language for e in read("concepticon", tmp_path, languages=["deu"])} == {"deu"}


@pytest.mark.parametrize("line", ["587", "587\tant\t1", "x\tANT///Ameise\t1"])
def test_malformed_concepticon_line_is_named_in_the_error(tmp_path: Path, line: str) -> None:
    write(tmp_path / "map-de.tsv", f"{CONCEPTICON_HEADER}1\tSUN///Sonne\t1\n{line}\n")
    with pytest.raises(InputError, match=r"map-de\.tsv, line 3: an id and GLOSS///word"):
        read("concepticon", tmp_path)


def test_concepticon_without_a_header_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "map-de.tsv", "\n1\tSUN///Sonne\t1\n2\tMOON///Mond\t1\n")
    with pytest.raises(InputError, match=r"map-de\.tsv, line 2: the header .*; add it"):
        read("concepticon", tmp_path)


@pytest.mark.parametrize(
    ("reader", "name"),
    [
        ("muse", "en-de.txt"),
        ("panlex_swadesh", "deu-000.txt"),
        ("concepticon", "map-de.tsv"),
        ("table", "mine.tsv"),
    ],
)
def test_file_that_is_not_utf_8_is_named_in_the_error(
    tmp_path: Path, reader: str, name: str
) -> None:
    file = write(tmp_path / name, b"cheese k\xe4se\n" * 2)
    with pytest.raises(InputError, match=rf"{name} is not UTF-8, line 1: .*; convert it"):
        read(reader, file if reader == "table" else tmp_path)


def test_real_muse_dictionaries_are_read(shared_data: Path) -> None:
    entries = read("muse", shared_data / "lexicons/muse", languages=["eng", "deu"])
    assert len(entries) == 2 * 20_000
    pairs = {(first.word, second.word) for first, second in translation_pairs(entries)}
    assert {("water", "wasser"), ("mother", "mutter"), ("bank", "banken")} <= pairs


def test_real_swadesh_lists_agree_on_the_concepts(shared_data: Path) -> None:
    folder = shared_data / "lexicons/panlex_swadesh/swadesh110"
    entries = read("panlex_swadesh", folder, languages=["deu", "eng", "spa"])
    concepts = by_concept(entries)
    assert 100 <= len(concepts) <= 110
    for translations in (("ich", "I", "yo"), ("Hund", "dog", "perro"), ("Nase", "nose", "nariz")):
        assert any(
            set(translations) <= {entry.word for entry in members} for members in concepts.values()
        )


def test_real_concepticon_mappings_share_their_ids(shared_data: Path) -> None:
    folder = shared_data / "lexicons/concepticon"
    entries = read("concepticon", folder, languages=["deu", "eng", "zho"])
    ant = words(entries, "concepticon:587")
    assert "Ameise" in ant["deu"] and "ant" in ant["eng"]
    assert {entry.language for entry in entries} == {"deu", "eng", "zho"}
    assert not any(set(entry.word) & set("(),;[]") for entry in entries)


ENTRIES = [
    Entry("x:1", "deu", "Tomate", "x"),
    Entry("x:1", "zho", "番茄", "x"),
    Entry("x:2", "deu", "Käse", "x"),
]


# PanLex


@pytest.fixture
def panlex_release(tmp_path: Path) -> Path:
    """The tables of the database's CSV release, with quoted text, a word that looks like a missing
    value, and a variety without a current language."""
    folder = tmp_path / "panlex-20190901-csv"
    write(
        folder / "langvar.csv",
        "id,lang_code,var_code,mutable,name_expr,name_expr_txt\n"
        "187,eng,0,t,1,English\n157,deu,0,t,1,Deutsch\n1627,cmn,0,t,1,中文\n9,art,5,t,1,x\n",
    )
    write(
        folder / "expr.csv",
        "id,langvar,txt,txt_degr\n"
        "10,187,tomato,tomato\n11,157,Tomate,tomate\n12,1627,番茄,番茄\n13,187,null,null\n"
        '14,157,"Null, die",nulldie\n15,157,Null,null\n16,9,X,x\n17,187,red tomato,redtomato\n',
    )
    write(
        folder / "denotation.csv",
        "id,meaning,expr\n1,500,10\n2,500,11\n3,500,12\n4,500,16\n5,501,13\n6,501,15\n"
        "7,501,14\n8,500,17\n",
    )
    return tmp_path


def test_panlex_expressions_of_one_meaning_share_a_concept(panlex_release: Path) -> None:
    entries = read("panlex", panlex_release, languages=["eng", "deu", "zho"])
    assert words(entries, "panlex:500") == {"eng": ["tomato"], "deu": ["Tomate"], "zho": ["番茄"]}
    assert words(entries, "panlex:501") == {"eng": ["null"], "deu": ["Null"]}
    phrases = read("panlex", panlex_release, languages=["eng"], single_words=False)
    assert sorted(words(phrases, "panlex:500")["eng"]) == ["red tomato", "tomato"]


def test_panlex_mirror_tables_give_the_same_entries(panlex_release: Path, tmp_path: Path) -> None:
    header = "id\tlangvar\ttxt\ttxt_degr\tmeaning\tlangvar_uid\n"
    folder = tmp_path / "mirror/data"
    write(
        folder / "eng.tsv",
        header + "10\t187\ttomato\ttomato\t500\teng-000\n"
        "13\t187\tnull\tnull\t501\teng-000\n17\t187\tred tomato\tredtomato\t500\teng-000\n",
    )
    write(
        folder / "deu.tsv",
        header + "11\t157\tTomate\ttomate\t500\tdeu-000\n"
        '14\t157\t"Null, die"\tnulldie\t501\tdeu-000\n15\t157\tNull\tnull\t501\tdeu-000\n',
    )
    write(folder / "cmn.tsv", header + "12\t1627\t番茄\t番茄\t500\tcmn-000\n")
    options = {"languages": ["eng", "deu", "zho"]}
    release = panlex_release / "panlex-20190901-csv"
    assert sorted(read("panlex", folder, **options)) == sorted(read("panlex", release, **options))


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("12,x,Tomate", r"expr\.csv, line 3: langvar is a number, not 'x'"),
        ("1 2,7,Tomate", r"expr\.csv, line 3: id is a number, not '1 2'"),
    ],
)
def test_damaged_line_of_a_panlex_table_is_named(
    panlex_release: Path, line: str, message: str
) -> None:
    table = panlex_release / "panlex-20190901-csv/expr.csv"
    table.write_text(f"id,langvar,txt\n1,2,tomato\n{line}\n13,2,tomatoes\n", encoding="utf-8")
    with pytest.raises(InputError, match=message):
        read("panlex", panlex_release, languages=["eng"])


def test_damaged_panlex_table_is_named_in_the_error(panlex_release: Path) -> None:
    (panlex_release / "panlex-20190901-csv/expr.csv").write_text("id,langvar\n1,2\n")
    with pytest.raises(InputError, match=r"expr\.csv is not PanLex's table with the columns id"):
        read("panlex", panlex_release, languages=["eng"])
    with pytest.raises(InputError, match=r"contains neither PanLex's langvar\.csv"):
        read("panlex", panlex_release / "none", languages=["eng"])


# ColexNet+


def colexnet_graph() -> Any:
    """A graph like the authors': lemmas, and n-grams with marked word boundaries."""
    import networkx

    graph = networkx.Graph()
    graph.add_node("$tree$", ctype="focal", lang={"deu", "zho"})
    for ngram in ("deu:$baum$", "deu:baum", "zho:树", "swh:$mti$", "xxx:$abc$"):
        graph.add_edge("$tree$", ngram, weight="3/4")
    graph.add_edge("$wood$", "deu:$holz$", weight="1/1")
    graph.add_edge("$wood$", "$tree$", weight="1/2")
    return graph


def test_pickled_colexnet_graph_is_read(tmp_path: Path) -> None:
    import pickle

    write(tmp_path / "net.pickle", pickle.dumps(colexnet_graph()))
    entries = read("colexnet", tmp_path)
    tree = {"eng": ["tree"], "deu": ["baum"], "zho": ["树"], "swa": ["mti"]}
    assert words(entries, "colexnet:$tree$") == tree
    assert words(entries, "colexnet:$wood$") == {"eng": ["wood"], "deu": ["holz"]}
    assert {e.language for e in read("colexnet", tmp_path, languages=["deu"])} == {"deu"}


def test_table_of_edges_gives_the_same_entries_as_the_graph(tmp_path: Path) -> None:
    import pickle

    graph = colexnet_graph()
    write(tmp_path / "pickled/net.gpickle", pickle.dumps(graph))
    edges = [sorted(edge, key=lambda node: ":" in node) for edge in graph.edges if ":" in str(edge)]
    write(tmp_path / "table/net.tsv", "".join(f"{a}\t{b}\n" for a, b in edges))
    assert sorted(read("colexnet", tmp_path / "table")) == sorted(
        read("colexnet", tmp_path / "pickled")
    )


class _Harmful:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return (os.mkdir, (str(self.path),))


def test_code_in_a_pickle_is_never_run(tmp_path: Path) -> None:
    import pickle

    write(tmp_path / "net.pickle", pickle.dumps({"graph": _Harmful(tmp_path / "made")}))
    with pytest.raises(
        InputError, match=r"net\.pickle: it contains posix\.mkdir.*none of its code was run"
    ):
        read("colexnet", tmp_path)
    assert not (tmp_path / "made").exists()


def test_missing_or_truncated_colexnet_network_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "vectors.wv", b"")
    with pytest.raises(InputError, match=r"no network of ColexNet\+.*expand_graph"):
        read("colexnet", tmp_path)
    write(tmp_path / "net.pickle", b"\x80\x04\x95")
    with pytest.raises(InputError, match=r"net\.pickle is truncated or not a pickle file"):
        read("colexnet", tmp_path)


# The table of a user


def test_table_is_written_sorted_and_without_duplicates(tmp_path: Path) -> None:
    decomposed = ENTRIES[2]._replace(word="Ka\u0308se")
    assert write_lexicon([*ENTRIES[::-1], ENTRIES[0], decomposed], tmp_path / "x.tsv") == 3
    assert read_lexicon(tmp_path / "x.tsv") == ENTRIES
    assert read("table", tmp_path / "x.tsv", languages=["zho"]) == ENTRIES[1:2]


def test_empty_lexicon_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no entry .*x\.tsv; correct the lexicon"):
        write_lexicon([], tmp_path / "x.tsv")
    assert not (tmp_path / "x.tsv").exists()


def test_unknown_languages_of_a_user_table_are_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rows = ["\t".join(HEADER), "1\teng\tred\tx", "1\tEnglisch\trot\tx", "1\tegn\tred\tx"]
    file = write(tmp_path / "mine.tsv", "\n".join(rows) + "\n")
    assert len(read("table", file)) == 3
    assert "mine.tsv: Englisch, egn: not in ISO 639-3; each counts as a language" in caplog.text


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("concept,language,word,source\n", "line 1: the columns are"),
        ("\na\tdeu\tTomate\tmine\n", "line 2: the columns are"),
        ("{header}a\tdeu\tTomate\tmine\na\tdeu\tParadeiser\n", "line 3: 4 filled columns"),
        ("{header}a\tdeu\t \tmine\n", "line 2: 4 filled columns"),
        ("{header}\n", "no entry below its header"),
        ("{header}", "no entry below its header"),
        ("", "no entry below its header"),
    ],
)
def test_malformed_user_table_is_refused(tmp_path: Path, text: str, complaint: str) -> None:
    file = write(tmp_path / "mine.tsv", text.format(header="\t".join(HEADER) + "\n"))
    with pytest.raises(InputError, match=rf"mine\.tsv,? .*{complaint}"):
        read("table", file)


# Held-out concepts


CONCEPTS = [f"emoji:{number:X}" for number in range(0x1F300, 0x1F300 + 4000)]


@pytest.mark.parametrize("fraction", [0.1, 0.5])
def test_the_held_out_fraction_is_as_configured(fraction: float) -> None:
    held_out = sum(is_held_out(concept, fraction) for concept in CONCEPTS)
    assert held_out / len(CONCEPTS) == pytest.approx(fraction, abs=0.02)


def test_nothing_or_everything_may_be_held_out() -> None:
    assert not any(is_held_out(concept, 0.0) for concept in CONCEPTS)
    assert all(is_held_out(concept, 1.0) for concept in CONCEPTS)


def test_larger_held_out_fraction_contains_the_smaller_one() -> None:
    assert all(is_held_out(c, 0.2) for c in CONCEPTS if is_held_out(c, 0.1))


def test_held_out_concepts_do_not_depend_on_the_hash_seed() -> None:
    """The name of a concept alone decides whether it is held out."""
    script = (
        "import sys; from semantic_tokens.data.lexicons.table import is_held_out;"
        "print(*[concept for concept in sys.argv[1:] if is_held_out(concept, 0.1)])"
    )
    concepts = CONCEPTS[:400]
    for seed in ("1", "2"):
        environment = os.environ | {"PYTHONHASHSEED": seed, "PYTHONPATH": "workflow"}
        result = subprocess.run(
            [sys.executable, "-c", script, *concepts],
            capture_output=True, check=True, cwd=ROOT, env=environment, text=True,
        )  # fmt: skip
        assert result.stdout.split() == [c for c in concepts if is_held_out(c, 0.1)]
