"""Users' text files: byte order marks, line endings, white space, quotation marks, broken
characters, other files in a publisher's folder. Every reader accepts them, or names the file."""

import gzip
import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from semantic_tokens.data.corpora import read_corpus
from semantic_tokens.data.datasets import read_dataset
from semantic_tokens.data.lexicons import read_source
from semantic_tokens.data.lexicons.entry import Entry
from semantic_tokens.data.lexicons.table import read_lexicon, write_lexicon
from semantic_tokens.errors import InputError
from semantic_tokens.sources.folder import read_checksums
from semantic_tokens.study.configuration import validate_config
from semantic_tokens.study.experiments import read_experiments
from semantic_tokens.text_files import (
    at_spaces,
    at_tabs_or_spaces,
    check_utf8,
    files_in,
    json_document,
    json_lines,
    numbered_lines,
    table_rows,
)

BOM = b"\xef\xbb\xbf"


def write(path: Path, content: str | bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8"))
    return path


# Functions that read text


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("bom", [b"", BOM])
@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
def test_lines_are_read_without_line_endings_and_byte_order_mark(
    tmp_path: Path, packed: bool, bom: bytes, end: bytes
) -> None:
    content = bom + end.join(["Käse\u2028a\x0bb\x0cc\x85d".encode(), b"", b"two\tthree", b""])
    file = write(tmp_path / "any.txt", gzip.compress(content) if packed else content)
    assert list(numbered_lines(file)) == [
        (1, "Käse\u2028a\x0bb\x0cc\x85d"),
        (2, ""),
        (3, "two\tthree"),
    ]


def test_byte_order_marks_at_the_beginning_of_lines_are_dropped(tmp_path: Path) -> None:
    content = BOM + BOM + b"a" + BOM + b"\n" + BOM + b"b\n" + BOM + b"\n"
    file = write(tmp_path / "any.txt", content)
    assert [line for _, line in numbered_lines(file)] == ["a\ufeff", "b", ""]
    document = write(tmp_path / "any.json", BOM + BOM + b'"\xef\xbb\xbfa"')
    assert json_document(document) == "\ufeffa"


def test_words_of_joined_files_have_no_byte_order_mark(tmp_path: Path) -> None:
    joined = BOM + b"Ada B-PER\n" + BOM + b"sees O\n\n" + BOM + b"Rome B-LOC\n"
    for split in SPLITS:
        write(tmp_path / f"ner/eng/{split}.txt", joined)
    assert [e["tokens"] for e in ner(tmp_path / "ner")] == [["Ada", "sees"], ["Rome"]]
    write(tmp_path / "muse/en-de.txt", BOM + b"red rot\n" + BOM + b"house haus\n")
    words = [e.word for e in lexicon("muse")(tmp_path / "muse")]
    assert words == ["red", "rot", "house", "haus"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a\nb".encode("utf-16"), "is not UTF-8 but UTF-16; .*iconv -f UTF-16"),
        ("a\nb".encode("utf-16-be"), "is not UTF-8 but UTF-16"),
        ("a\nb".encode("utf-16-le"), "is not UTF-8 but UTF-16"),
        ("a\nb".encode("utf-32"), "is not UTF-8 but UTF-32"),
        (b"a\nb\nK\xe4se\n", "is not UTF-8, line 3: .*iconv"),
        (b"a\n\xed\xa0\xbd\n", "is not UTF-8, line 2"),  # half of a surrogate pair
        (gzip.compress(b"a\nb\nK\xe4se\n", mtime=0), "is not UTF-8, line 3"),
        (gzip.compress(b"a\nb\n" * 99999, mtime=0)[:-9], r"breaks off after line \d+"),
        (b"a\rb\rc", ".*carriage returns"),
    ],
)
def test_unreadable_text_is_named_with_file_and_line(
    tmp_path: Path, content: bytes, message: str
) -> None:
    file = write(tmp_path / "any.txt", content)
    with pytest.raises(InputError, match=rf"any\.txt {message}"):
        list(numbered_lines(file))


def test_named_encoding_is_used(tmp_path: Path) -> None:
    file = write(tmp_path / "any.txt", "coruñés".encode("latin-1"))
    assert list(numbered_lines(file, "latin-1")) == [(1, "coruñés")]


def test_columns_are_split_only_at_tabs_and_spaces() -> None:
    assert at_spaces("10\xa0000\u3000x\u2003y\x0bz \t O") == ["10\xa0000\u3000x\u2003y\x0bz", "O"]
    assert at_tabs_or_spaces("New York \t B-LOC\t") == ["New York", "B-LOC"]
    assert at_tabs_or_spaces("\tO") == ["", "O"]
    assert at_tabs_or_spaces('" O') == ['"', "O"]


def test_tables_with_tabs_have_no_quotation_and_csv_has(tmp_path: Path) -> None:
    text = '\na\tb\n"\tx\n\n"y"\t"z\n'
    table = write(tmp_path / "a.tsv", BOM + text.encode())
    assert list(table_rows(table)) == [(2, ["a", "b"]), (3, ['"', "x"]), (5, ['"y"', '"z'])]
    text = '\r\na,b\r\n"x\r\n\r\n""y"", z",NA\r\n \r\n"",a"b\r\n'
    table = write(tmp_path / "a.csv", gzip.compress(BOM + text.encode()))
    assert list(table_rows(table, ",")) == [
        (2, ["a", "b"]),
        (3, ['x\n\n"y", z', "NA"]),
        (7, ["", 'a"b']),
    ]
    write(table, f"a;b\n{'long ' * 100_000};c\n")
    assert [len(row[0]) for _, row in table_rows(table, ";")] == [1, 500_000]


@pytest.mark.parametrize(
    ("content", "separator", "message"),
    [
        ("a\tb\n\nc\n", "\t", r", line 3: 2 columns separated by tabs are expected, not 'c'; fix"),
        ("a,b\n1,2\n\n3,4,5\n", ",", r", line 4: 2 columns separated by ',' .* '3,4,5'; fix"),
        ('a,b\n1,2\n3,"\n5,6\n7,8\n', ",", r", line 3: not a row of CSV .*unexpected end"),
        ('a,b\n"x"y,2\n', ",", r", line 2: not a row of CSV"),
        ("a,b\n1,2\n\nK\xe4se,4\n".encode("latin-1"), ",", " is not UTF-8, line 4"),
        ("\n \n", ",", " is empty; its first line names the columns"),
        ("", "\t", " is empty; its first line names the columns"),
    ],
)
def test_malformed_table_is_named_with_file_and_line(
    tmp_path: Path, content: str | bytes, separator: str, message: str
) -> None:
    table = write(tmp_path / "a.table", content)
    with pytest.raises(InputError, match=rf"a\.table{message}"):
        list(table_rows(table, separator))


def test_json_is_read_without_bom_and_with_surrogates_replaced(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    text = r'{"sad \ud83d": ["\uDE00 x", "whole \ud83d\ude00", 1]}'
    expected = {"sad \ufffd": ["\ufffd x", "whole 😀", 1]}
    assert json_document(write(tmp_path / "a.json", BOM + text.encode())) == expected
    assert "a.json: 2 halves of surrogate pairs replaced with U+FFFD" in caplog.text
    lines = write(tmp_path / "a.jsonl", BOM + f"{text}\r\n \n\n{text}".encode())
    assert list(json_lines(lines)) == [(1, expected), (4, expected)]
    assert "a.jsonl: 4 halves of surrogate pairs replaced with U+FFFD" in caplog.text


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'{\n"a": 1,\n"b": \xff}', r"is not UTF-8, line 3"),
        (b'{"a": [1}', r"not JSON"),
        (b"[" * 100_000, r"not JSON"),
        (b"1" * 5000, r"not JSON"),
        ("{}".encode("utf-16"), "is not UTF-8 but UTF-16"),
        (gzip.compress(b"{}", mtime=0)[:-4], "breaks off"),
    ],
)
def test_invalid_json_is_named_in_the_error(tmp_path: Path, content: bytes, message: str) -> None:
    file = write(tmp_path / "a.json", content)
    with pytest.raises(InputError, match=rf"a\.json.* ?{message}"):
        json_document(file)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (BOM + b"a\n", "begins with a byte order mark, .*; remove it: tail -c"),
        ("a\n".encode("utf-16"), "is not UTF-8 but UTF-16"),
        (b"a\nK\xe4se\n", "is not UTF-8, line 2"),
    ],
)
def test_file_for_a_library_is_utf8_without_a_byte_order_mark(
    tmp_path: Path, content: bytes, message: str
) -> None:
    check_utf8(write(tmp_path / "right.txt", "Käse\r\n\ufeff"))
    check_utf8(write(tmp_path / "empty.txt", b""))
    with pytest.raises(InputError, match=rf"a\.txt {message}"):
        check_utf8(write(tmp_path / "a.txt", content))


def test_hidden_files_and_archive_leftovers_are_ignored(tmp_path: Path) -> None:
    for name in ("en.txt", "._en.txt", ".hidden.txt", "__MACOSX/._en.txt", "__MACOSX/en.txt",
                 "de.txt.gz", "fr.txt", "fr.txt.gz", "README", ".git/x.txt"):  # fmt: skip
        write(tmp_path / name, "x")
    (tmp_path / "folder.txt").mkdir()
    names = [file.name for file in files_in(tmp_path, "**/*.txt")]
    assert names == ["de.txt.gz", "en.txt", "fr.txt"]


# Every reader

HEADER = "concept\tlanguage\tword\tsource\n"
PAIRS = "".join(f"P{i}\tH{i}\tneutral\n" for i in range(40))
SPLITS = ("train", "dev", "test")
HUB_SPLITS = ("train", "validation", "test")
HUB_TABLE = "premise\thypothesis\tlabel\nNA\tnull\tyes\nTrue\t007\tno\n"
PAIR = {"language": "eng", "first": "x", "second": "y", "label": "yes"}


def ner(folder: Path) -> list[Any]:
    return list(read_dataset("masakhaner", {}, folder)["train"])


def conll(folder: Path) -> list[Any]:
    return list(read_dataset("conll", {"languages": ["eng"]}, folder)["train"])


def squad(folder: Path) -> list[Any]:
    splits = read_dataset("squad_json", {"dev_fraction": 0.5}, folder)
    return [*splits["train"], *splits["dev"], *splits["test"]]


def xnli(folder: Path) -> list[Any]:
    splits = read_dataset("xnli", {}, folder)
    return sorted((e for split in splits.values() for e in split), key=lambda e: e["first"])


def jsonl(folder: Path) -> list[Any]:
    return list(read_dataset("jsonl", {}, folder, kind="pair_classification")["train"])


def hub_table(folder: Path) -> list[Any]:
    splits = read_dataset("hf", {"language": "eng"}, folder, kind="pair_classification")
    return [list(examples) for examples in splits.values()]


def miracl(folder: Path) -> list[Any]:
    splits = read_dataset("miracl", {"dev_fraction": 0.5, "seed": 3}, folder)
    return [list(examples) for examples in splits.values()]


def corpus(reader: str) -> Callable[[Path], list[Any]]:
    return lambda folder: list(read_corpus("mine", reader, {}, folder))


def lexicon(reader: str, name: str = "") -> Callable[[Path], list[Any]]:
    return lambda folder: list(read_source(reader, {}, folder / name))


def squad_text(prefix: str, contexts: int = 12) -> str:
    paragraphs = [
        {
            "context": f"Ada {i} lived in Rome.",
            "qas": [
                {
                    "id": f"{prefix}-{i}",
                    "question": "Where?",
                    "answers": [{"text": "Rome", "answer_start": 14 + len(str(i))}],
                }
            ],
        }
        for i in range(contexts)
    ]
    data = [{"title": f"{prefix} {i}", "paragraphs": [p]} for i, p in enumerate(paragraphs)]
    return json.dumps({"data": data})


_NER = {f"eng/{split}.txt": "Ada B-PER\nsees O\n\nRome B-LOC\n" for split in SPLITS}
_JSONL = {f"{s}.jsonl": json.dumps(PAIR | {"id": s}) + "\n" for s in SPLITS}
_MIRACL = {
    **{f"topics.miracl-v1.0-ko-{s}.tsv": "".join(f"{s}{i}\tq {i}\n" for i in range(12)) for s in ("train", "dev")},
    **{f"qrels.miracl-v1.0-ko-{s}.tsv": "".join(f"{s}{i} Q0 1#0 1\n" for i in range(12)) for s in ("train", "dev")},
    "miracl-corpus-v1.0-ko/docs-0.jsonl": '{"docid": "1#0", "title": "", "text": "x"}\n',
}  # fmt: skip
#: Files of a folder, and its reader.
READERS: dict[str, tuple[dict[str, str], Callable[[Path], list[Any]]]] = {
    "masakhaner": (_NER, ner),
    "conll": (_NER, conll),
    "squad_json": (
        {f"english.{s}.json": squad_text(s).replace("Ada", f"A{s[0]}a") for s in ("train", "dev")},
        squad,
    ),
    "xnli": ({"en.dev.tsv": PAIRS}, xnli),
    "xnli with a header": ({"en.dev.tsv": "sentence1\tsentence2\tlabel\n" + PAIRS}, xnli),
    "jsonl": (_JSONL, jsonl),
    "miracl": (_MIRACL, miracl),
    "text": ({"eng.txt": "Ada sees Rome.\nAnother line.\n"}, corpus("text")),
    "conll_sentences": (_NER, corpus("conll_sentences")),
    "squad_contexts": ({"xquad.en.json": squad_text("q")}, corpus("squad_contexts")),
    "xnli_sentences": ({"en.dev.tsv": PAIRS}, corpus("xnli_sentences")),
    "muse": ({"en-de.txt": "house haus\nred rot\n"}, lexicon("muse")),
    "panlex": ({"deu.tsv": "id\ttxt\tmeaning\n1\tHaus\t7\n"}, lexicon("panlex")),
    "panlex's tables": (
        {
            "langvar.csv": "id,lang_code\n1,deu\n",
            "expr.csv": 'id,langvar,txt\n5,1,Haus\n6,1,"Maß"\n',
            "denotation.csv": "id,meaning,expr\n1,7,5\n2,8,6\n",
        },
        lexicon("panlex"),
    ),
    "hf of tabs": ({f"{s}.tsv": HUB_TABLE for s in HUB_SPLITS}, hub_table),
    "hf of CSV": ({f"{s}.csv": HUB_TABLE.replace("\t", ",") for s in HUB_SPLITS}, hub_table),
    "panlex_swadesh": ({"deu-000.txt": "ich\nwir\tuns\n"}, lexicon("panlex_swadesh")),
    "concepticon": ({"map-de.tsv": "ID\tGLOSS\n1\tSUN///Sonne\n"}, lexicon("concepticon")),
    "colexnet": ({"net.tsv": "red\tdeu:$rot$\n"}, lexicon("colexnet")),
    "table": ({"mine.tsv": HEADER + "c1\teng\thouse\tmine\n"}, lexicon("table", "mine.tsv")),
}


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize(
    "change", ["byte order mark", "carriage returns", "blank line at the end", "gzip"]
)
def test_reader_accepts_bom_crlf_blank_last_line_and_gzip(
    tmp_path: Path, reader: str, change: str
) -> None:
    files, read = READERS[reader]
    for name, content in files.items():
        write(tmp_path / "plain/list" / name, content)
        raw = content.encode()
        altered = {
            "byte order mark": BOM + raw,
            "carriage returns": raw.replace(b"\n", b"\r\n"),
            "blank line at the end": raw + b"\n \n",
            "gzip": gzip.compress(raw),
        }[change]
        packed = ".gz" if change == "gzip" and reader != "table" else ""
        write(tmp_path / "altered/list" / f"{name}{packed}", altered)
    expected = read(tmp_path / "plain/list")
    assert expected and read(tmp_path / "altered/list") == expected


@pytest.mark.parametrize("reader", sorted(READERS.keys() - {"muse", "panlex_swadesh"}))
def test_blank_lines_at_the_beginning_are_skipped(tmp_path: Path, reader: str) -> None:
    """MUSE and Swadesh lists are left out, because their line numbers name concepts."""
    files, read = READERS[reader]
    for name, content in files.items():
        write(tmp_path / "plain" / name, content)
        blank = "\n \n" if not name.endswith(".csv") else "\n\n"
        write(tmp_path / "blank" / name, blank + content)
    assert read(tmp_path / "blank") == read(tmp_path / "plain") != []


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("encoding", ["utf-16", "latin-1"])
def test_file_in_another_encoding_is_named_in_the_error(
    tmp_path: Path, reader: str, encoding: str
) -> None:
    files, read = READERS[reader]
    for name, content in files.items():
        write(tmp_path / name, f"{content}ä\n".encode(encoding))
    with pytest.raises(InputError) as refused:
        read(tmp_path)
    assert any(str(tmp_path / name) in str(refused.value) for name in files)
    if encoding == "latin-1":
        lines = {content.count("\n") + 1 for content in files.values()}
        assert any(f"is not UTF-8, line {line}: " in str(refused.value) for line in lines)


def test_experiment_table_and_checksum_list_accept_bom_and_crlf(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    root = Path(__file__).resolve().parents[1]
    yaml = pytest.importorskip("yaml")
    config = yaml.safe_load((root / "config/config.yaml").read_text(encoding="utf-8"))
    validate_config(config, root / "config/schemas/config.schema.json")
    rows = root / "config/schemas/experiments.schema.json"
    table = (root / "config/experiments.tsv").read_bytes()
    expected = read_experiments(root / "config/experiments.tsv", config, rows)
    altered = BOM + table.replace(b"\n", b"\r\n") + b"\r\n\r\n"
    assert read_experiments(write(tmp_path / "e.tsv", altered), config, rows) == expected
    sums = f"{'A' * 64} *a b.txt\r\n{'b' * 64}  c\u2028d.txt\r\n\r\n"
    assert read_checksums(write(tmp_path / "s.sha256", BOM + sums.encode())) == {
        "a b.txt": "a" * 64,
        "c\u2028d.txt": "b" * 64,
    }
    for file, read in (
        ("e.tsv", lambda f: read_experiments(f, config, rows)),
        ("s", read_checksums),
    ):
        with pytest.raises(InputError, match="is not UTF-8 but UTF-16"):
            read(write(tmp_path / file, "x\n".encode("utf-16")))


# White space within a token, and quotation marks


@pytest.mark.parametrize("space", ["\xa0", "\u3000", "\u2009", "\x0b", "\x0c", "\x85", "\u2028"])
def test_white_space_inside_a_token_is_kept(tmp_path: Path, space: str) -> None:
    token = f"10{space}000"
    ner_text = f"{token} O\nnaira\tO\n{space}\nAda B-PER\n"
    for split in SPLITS:
        write(tmp_path / f"ner/pcm/{split}.txt", ner_text)
    assert [e["tokens"] for e in ner(tmp_path / "ner")] == [[token, "naira"], ["Ada"]]
    sentences = [p["text"] for p in corpus("conll_sentences")(tmp_path / "ner")]
    assert sentences == ["10 000 naira", "Ada"]
    write(tmp_path / "muse/en-de.txt", f"a{space}b ab\n")
    assert [e.word for e in lexicon("muse")(tmp_path / "muse")] == [f"a{space}b", "ab"]
    write(tmp_path / "swadesh/deu-000.txt", f"a{space}b\tc\n")
    words = [e.word for e in lexicon("panlex_swadesh")(tmp_path / "swadesh")]
    assert words == [f"a{space}b", "c"]
    write(tmp_path / "panlex/deu.tsv", f"txt\tmeaning\na{space}b\t1\n")
    assert [e.word for e in lexicon("panlex")(tmp_path / "panlex")] == [f"a{space}b"]
    write(tmp_path / "table.tsv", f"{HEADER}c\tdeu\ta{space}b\tmine\n")
    assert read_lexicon(tmp_path / "table.tsv") == [Entry("c", "deu", f"a{space}b", "mine")]
    write(tmp_path / "xnli/en.dev.tsv", PAIRS + f"a{space}b\tH\tneutral\n")
    assert xnli(tmp_path / "xnli")[-1]["first"] == f"a{space}b"


@pytest.mark.parametrize("text", ["Ada\xa0B-PER\nsees O\n", "sees O\n\nAda\xa0B-PER\nx O\n"])
def test_word_and_tag_without_a_separator_are_refused(tmp_path: Path, text: str) -> None:
    for split in SPLITS:
        write(tmp_path / f"eng/{split}.txt", text)
    line = 1 if text.startswith("Ada") else 3
    for read in (ner, conll, corpus("conll_sentences")):
        with pytest.raises(InputError, match=rf"train\.txt, line {line}: .*tag .*; fix or remove"):
            read(tmp_path)


def test_word_or_tag_alone_is_refused(tmp_path: Path) -> None:
    for split in SPLITS:
        write(tmp_path / f"eng/{split}.txt", "Ada B-PER\nO\n")
    for read in (ner, conll, corpus("conll_sentences")):
        with pytest.raises(InputError, match=r"train\.txt, line 2: .*, not 'O'"):
            read(tmp_path)


def test_sentences_of_a_file_of_words_alone_are_read(tmp_path: Path) -> None:
    write(tmp_path / "eng/train.txt", "Ada\nsees\n\nNew\xa0York\n")
    texts = [p["text"] for p in corpus("conll_sentences")(tmp_path)]
    assert texts == ["Ada sees", "New York"]


def test_ideographic_space_is_kept_as_a_word(tmp_path: Path) -> None:
    for split in SPLITS:
        write(tmp_path / f"zho/{split}.txt", "\u3000 O\n北 B-LOC\n")
    assert [e["tokens"] for e in ner(tmp_path)] == [["\u3000", "北"]]


def test_quotation_marks_are_ordinary_characters(tmp_path: Path) -> None:
    rows = '1\tHaus\t7\n2\t"\t8\n3\tBaum\t9\n4\t"Rot"\t10\n5\ta"b\t11\n'
    write(tmp_path / "panlex/deu.tsv", "id\ttxt\tmeaning\n" + rows)
    words = [(e.concept, e.word) for e in lexicon("panlex")(tmp_path / "panlex")]
    assert words == [
        ("panlex:7", "Haus"),
        ("panlex:8", '"'),
        ("panlex:9", "Baum"),
        ("panlex:10", '"Rot"'),
        ("panlex:11", 'a"b'),
    ]
    for split in SPLITS:
        write(tmp_path / f"ner/eng/{split}.txt", '" O\nAda B-PER\n" O\n')
    assert [e["tokens"] for e in ner(tmp_path / "ner")] == [['"', "Ada", '"']]
    write(tmp_path / "xnli/en.dev.tsv", PAIRS + '"Q\tH\tneutral\n"R\tH\tneutral\n')
    assert [e["first"] for e in xnli(tmp_path / "xnli")][:2] == ['"Q', '"R']
    write(tmp_path / "muse/en-de.txt", '" "\nred rot\n')
    assert [e.word for e in lexicon("muse")(tmp_path / "muse")] == ['"', '"', "red", "rot"]


def test_short_panlex_row_is_named_in_the_error(tmp_path: Path) -> None:
    write(tmp_path / "deu.tsv", "id\ttxt\tmeaning\n1\tHaus\t7\n2\tMaus\n")
    with pytest.raises(InputError, match=r"deu\.tsv, line 3: 3 columns"):
        lexicon("panlex")(tmp_path)


def test_written_lexicon_is_read_back(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    entries = [
        Entry("c", "eng", "a\tb\nc\rd", "mine"),
        Entry("c", "deu", "sad \ud83d", "mine"),
        Entry("c", "fra", " \t ", "mine"),
        Entry("c", "spa", "x\u2028y", "mine"),
    ]
    assert write_lexicon(entries, tmp_path / "x.tsv") == 3
    assert [e.word for e in read_lexicon(tmp_path / "x.tsv")] == [
        "sad \ufffd",
        "a b c d",
        "x\u2028y",
    ]
    assert "x.tsv: 1 halves of surrogate pairs" in caplog.text


# Lone surrogates


def test_lone_surrogates_in_datasets_are_replaced(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for split in SPLITS:
        record = PAIR | {"id": split, "first": "so sad \ud83d"}
        write(tmp_path / f"jsonl/{split}.jsonl", json.dumps(record))
    assert jsonl(tmp_path / "jsonl")[0]["first"] == "so sad \ufffd"
    assert "train.jsonl: 1 halves" in caplog.text
    for split in ("train", "dev"):
        text = (
            squad_text(split)
            .replace("Ada", r"A\ud83d" + split[0])
            .replace("Where", r"\ude00 Where")
        )
        write(tmp_path / f"squad/english.{split}.json", text)
    example = squad(tmp_path / "squad")[-1]
    assert example["context"] == "A\ufffdd 11 lived in Rome."
    assert example["question"] == "\ufffd Where?"
    assert example["answers"] == [{"text": "Rome", "start": 16}]
    assert "english.dev.json: 24 halves" in caplog.text
    contexts = corpus("squad_contexts")(tmp_path / "squad")
    assert contexts[0]["text"] == "A\ufffdd 0 lived in Rome."


def test_lone_surrogates_in_yaml_are_replaced(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    import zipfile

    with zipfile.ZipFile(tmp_path / "data.whl", "w") as archive:
        text = 'conversations:\n- - "sad \\ud83d"\n  - "why?"\n'
        archive.writestr("chatterbot_corpus/data/german/any.yml", text)
    passages = read_corpus("mine", "chatterbot", {"languages": ["deu"]}, tmp_path / "data.whl")
    assert [p["text"] for p in passages] == ["sad \ufffd why?"]
    assert "1 halves of surrogate pairs" in caplog.text


# Folders in their publishers' layout


def test_muse_splits_do_not_repeat_the_full_dictionary(tmp_path: Path) -> None:
    write(tmp_path / "en-de.txt", "red rot\nhouse haus\nwater wasser\n")
    write(tmp_path / "en-de.0-5000.txt", "red rot\nhouse haus\n")
    write(tmp_path / "en-de.5000-6500.txt", "water wasser\n")
    write(tmp_path / "en-fr.0-5000.txt", "red rouge\n")
    write(tmp_path / "en-fr.5000-6500.txt", "water eau\n")
    write(tmp_path / "._en-de.txt", b"\0\x05\x16\x07")
    write(tmp_path / "README.txt", "x")
    entries = lexicon("muse")(tmp_path)
    german = [e for e in entries if "eng-deu" in e.concept]
    assert [e.word for e in german] == ["red", "rot", "house", "haus", "water", "wasser"]
    french = [(e.concept, e.word) for e in entries if "eng-fra" in e.concept]
    assert [word for _, word in french] == ["red", "rouge", "water", "eau"]
    assert len({concept for concept, _ in french}) == 2


def test_masakhaner_ignores_files_that_are_no_language(tmp_path: Path) -> None:
    for folder in ("pcm", "conll_2003_en", "._pcm"):
        for split in SPLITS:
            write(tmp_path / folder / f"{split}.txt", "a O\n")
    write(tmp_path / "README.md", "x")
    assert {e["language"] for e in ner(tmp_path)} == {"pcm"}
    write(tmp_path / "elvish/train.txt", "a O\n")
    with pytest.raises(InputError, match=r"elvish/train\.txt is named by its language"):
        ner(tmp_path)
    kept = read_dataset("masakhaner", {"languages": ["pcm"]}, tmp_path)
    assert {e["language"] for e in kept["train"]} == {"pcm"}


PUBLISHED = "language\tgold_label\tsentence1_binary_parse\tsentence1\tsentence2\tpairID\tsentence1_tokenized\n"


def publish_xnli(folder: Path) -> None:
    """Write the unpacked XNLI-1.0, and the training sets of XNLI-MT-1.0 next to it."""
    for split, count in (("dev", 40), ("test", 6)):
        rows = [(code, i) for code in ("en", "de", "zh") for i in range(count)]
        text = "".join(f"{c}\tneutral\t\t{split} {c} {i}\tH\t{i}\tx\n" for c, i in rows)
        write(folder / f"XNLI-1.0/xnli.{split}.tsv", PUBLISHED + text)
        records = [{"language": c, "gold_label": "neutral", "sentence1": f"{split} {c} {i}",
                    "sentence2": "H", "sentence1_tokenized": "x"} for c, i in rows]  # fmt: skip
        lines = "".join(json.dumps(record) + "\n" for record in records)
        write(folder / f"XNLI-1.0/xnli.{split}.jsonl", lines)
        write(folder / f"__MACOSX/XNLI-1.0/._xnli.{split}.tsv", b"\0\x05")
    write(folder / "XNLI-1.0/README.md", "XNLI")
    for code in ("en", "de", "zh"):
        rows = "".join(f"train {code} {i}\tH\tcontradictory\n" for i in range(3))
        write(
            folder / f"XNLI-MT-1.0/multinli/multinli.train.{code}.tsv",
            f"premise\thypo\tlabel\n{rows}",
        )
    write(folder / "XNLI-MT-1.0/xnli/xnli.test.de.en.tsv", "translated")


def test_published_layout_of_xnli_is_read(tmp_path: Path) -> None:
    publish_xnli(tmp_path)
    options = {"languages": ["deu", "eng"]}
    splits = {s: list(e) for s, e in read_dataset("xnli", options, tmp_path).items()}
    assert {s: len(e) for s, e in splits.items()} == {"train": 6, "dev": 80, "test": 12}
    assert splits["train"][0] == {
        "id": "deu-train-0",
        "language": "deu",
        "first": "train de 0",
        "second": "H",
        "label": "contradiction",
    }
    assert {e["language"] for e in splits["test"]} == {"deu", "eng"}
    assert splits["test"][0]["first"].startswith("test ")


@pytest.mark.parametrize("ending", ["tsv", "jsonl"])
def test_xnli_file_of_all_languages_is_read(tmp_path: Path, ending: str) -> None:
    publish_xnli(tmp_path / "all")
    name = f"xnli.dev.{ending}"
    write(tmp_path / "one" / name, (tmp_path / "all/XNLI-1.0" / name).read_bytes())
    examples = xnli(tmp_path / "one")
    assert len(examples) == 120
    assert {(e["language"], e["first"]) for e in examples} >= {("zho", "dev zh 7")}


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"xnli.dev.tsv": PAIRS}, r"language .* \S*xnli\.dev\.tsv is unknown.*gold_label"),
        ({"xnli.dev.tsv": "language\tgold_label\tsentence1\tsentence2\nelvish\tneutral\ta\tb\n"},
         r"xnli\.dev\.tsv, line 2: language 'elvish' is not known"),
        ({"xnli.dev.tsv": "a\tb\n"}, r"xnli\.dev\.tsv, line 1: 3 columns .*header"),
        ({"elvish.dev.tsv": PAIRS}, r"elvish\.dev\.tsv is named by its language"),
        ({"en.dev.tsv": PAIRS, "eng.dev.tsv": PAIRS}, r"eng\.dev\.tsv and \S+en\.dev\.tsv are both in eng"),
        ({"multinli.train.en.tsv": PAIRS, "en.dev.tsv": PAIRS}, r"no \*\.test\.tsv"),
        ({"xnli.txt": PAIRS}, r"contains no \*\.dev\.tsv"),
    ],
)  # fmt: skip
def test_unusable_xnli_file_is_named_in_the_error(
    tmp_path: Path, files: dict[str, str], message: str
) -> None:
    for name, content in files.items():
        write(tmp_path / name, content)
    with pytest.raises(InputError, match=message):
        xnli(tmp_path)


def test_pairs_without_a_decided_label_are_dropped(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write(tmp_path / "en.dev.tsv", PAIRS + "a\tb\t-\n")
    assert len(xnli(tmp_path)) == 40
    assert "1 pairs without a decided label dropped" in caplog.text


def test_tydiqa_files_of_all_languages_are_read(tmp_path: Path) -> None:
    for split in ("train", "dev"):
        both = json.loads(squad_text("english"))
        other = json.loads(squad_text("swahili"))
        both["data"] += other["data"]
        text = (
            json.dumps(both).replace("lish-", f"lish-{split}-").replace("hili-", f"hili-{split}-")
        )
        write(tmp_path / f"tydiqa-goldp-v1.1-{split}.json", text.replace("Ada", f"A{split[0]}a"))
    examples = squad(tmp_path)
    assert {e["language"] for e in examples} == {"eng", "swa"}
    splits = read_dataset("squad_json", {"languages": ["swa"]}, tmp_path)
    assert {e["language"] for split in splits.values() for e in split} == {"swa"}
    contexts = read_corpus("mine", "squad_contexts", {"languages": ["swa"]}, tmp_path)
    assert {p["language"] for p in contexts} == {"swa"}
    with pytest.raises(InputError, match=r"no data in fin; available are eng, swa"):
        read_dataset("squad_json", {"languages": ["fin", "swa"]}, tmp_path)


def test_tydiqa_files_by_language_are_read(tmp_path: Path) -> None:
    names = {"train": "tydiqa-goldp-v1.1-train/tydiqa.goldp.{}.train.json",
             "dev": "tydiqa-goldp-v1.1-dev/tydiqa-goldp-dev-{}.json"}  # fmt: skip
    for split, code in (("train", "sw"), ("train", "fi"), ("dev", "swahili"), ("dev", "finnish")):
        text = squad_text(f"{code}-{split}").replace("Ada", f"A{split[0]}a")
        write(tmp_path / names[split].format(code), text)
    assert {e["language"] for e in squad(tmp_path)} == {"swa", "fin"}


def test_file_without_a_language_has_the_configured_language(tmp_path: Path) -> None:
    for split in ("train", "dev"):
        text = squad_text(f"{split}56be85").replace("Ada", f"A{split[0]}a").replace("-", "")
        write(tmp_path / f"{split}-v2.0.json", text)
    splits = read_dataset("squad_json", {"languages": ["eng"]}, tmp_path)
    assert len(list(splits["test"])) == 12
    with pytest.raises(InputError, match=r"train-v2\.0\.json: neither its name nor the id"):
        read_dataset("squad_json", {}, tmp_path)


@pytest.mark.parametrize("name", ["dev-{}", "id-{}", "doc-{}"])
def test_start_of_an_id_that_is_a_code_by_chance_is_no_language(tmp_path: Path, name: str) -> None:
    for split in ("train", "dev"):
        text = squad_text(name.format(split)).replace("Ada", f"A{split[0]}a")
        write(tmp_path / f"{split}-v2.0.json", text)
    splits = read_dataset("squad_json", {"languages": ["eng"]}, tmp_path)
    assert {example["language"] for example in splits["test"]} == {"eng"}
    with pytest.raises(InputError, match=rf"neither its name nor the id '{name.format('train')}"):
        read_dataset("squad_json", {"languages": ["eng", "deu"]}, tmp_path)


def test_ids_without_a_requested_language_are_counted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    for split in ("train", "dev"):
        content = json.loads(squad_text(split))
        for number, article in enumerate(content["data"]):
            start = ("de", "english", "dev", "nothing")[number % 4]
            article["paragraphs"][0]["qas"][0]["id"] = f"{start}-{split}-{number}"
        text = json.dumps(content).replace("Ada", f"A{split[0]}a")
        write(tmp_path / f"{split}.json", text)
    options = {"languages": ["eng", "deu"], "dev_fraction": 0}
    splits = read_dataset("squad_json", options, tmp_path)
    assert Counter(e["language"] for e in splits["test"]) == {"deu": 3, "eng": 3}
    assert "dev.json: 6 ids begin with no language in `languages`" in caplog.text


# Questions without an answer


def squad2(folder: Path, impossible: int, answered: int) -> None:
    for split in ("train", "dev"):
        content = json.loads(squad_text(split, answered))
        for i in range(impossible):
            question = {"id": f"{split}-none-{i}", "question": "Why?", "answers": [],
                        "is_impossible": True, "plausible_answers": [{"text": "no", "answer_start": 0}]}  # fmt: skip
            paragraph = {"context": f"{split} {i}.", "qas": [question]}
            content["data"].append({"title": f"none {i}", "paragraphs": [paragraph]})
        text = json.dumps(content).replace("Ada", f"A{split[0]}a")
        write(folder / f"english.{split}.json", text)


@pytest.mark.parametrize(("impossible", "answered"), [(4, 20), (30, 20)])
def test_questions_without_an_answer_are_dropped_or_kept(
    tmp_path: Path, impossible: int, answered: int, caplog: pytest.LogCaptureFixture
) -> None:
    squad2(tmp_path, impossible, answered)
    dropped = read_dataset("squad_json", {}, tmp_path)
    assert len(list(dropped["test"])) == answered
    assert f"{impossible} unanswerable questions dropped" in caplog.text
    assert "misplaced" not in caplog.text
    kept = list(read_dataset("squad_json", {"unanswerable": "keep"}, tmp_path)["test"])
    assert len(kept) == answered + impossible
    assert next(e for e in kept if not e["answers"]) == {
        "id": "dev-none-0",
        "language": "eng",
        "context": "dev 0.",
        "question": "Why?",
        "answers": [],
        "cluster": "dev-none-0",
    }


def test_unanswerable_questions_in_jsonl_are_dropped_or_kept(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    question = {"language": "eng", "context": "Rome.", "question": "Where?"}
    for split in SPLITS:
        records = [
            question | {"id": f"{split}1", "answers": []},
            question | {"id": f"{split}2", "answers": [{"text": "Rome", "start": 0}]},
        ]
        write(tmp_path / f"{split}.jsonl", "\n".join(map(json.dumps, records)))
    splits = read_dataset("jsonl", {}, tmp_path, kind="question_answering")
    assert [e["id"] for e in splits["test"]] == ["test2"]
    assert "test.jsonl: 1 unanswerable questions dropped" in caplog.text
    options = {"unanswerable": "keep"}
    splits = read_dataset("jsonl", options, tmp_path, kind="question_answering")
    assert [e["id"] for e in splits["test"]] == ["test1", "test2"]


@pytest.mark.parametrize(
    ("options", "kind"),
    [({"unanswerable": "yes"}, "question_answering"), ({"unanswerable": "drop"}, "ranking")],
)
def test_invalid_unanswerable_option_is_refused(
    tmp_path: Path, options: dict[str, str], kind: str
) -> None:
    with pytest.raises(InputError, match=r"options\.unanswerable is .* must be drop or keep"):
        read_dataset("jsonl", options, tmp_path, kind=kind)


# Repeated examples


def test_repeated_passage_is_dropped_and_another_text_is_refused(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for name, content in _MIRACL.items():
        write(tmp_path / name, content)
    docs = tmp_path / "miracl-corpus-v1.0-ko/docs-1.jsonl"
    write(
        docs,
        '{"docid": "2#0", "title": "", "text": "y"}\n\n'
        + _MIRACL["miracl-corpus-v1.0-ko/docs-0.jsonl"],
    )
    assert [p["id"] for p in miracl(tmp_path)[-1]] == ["kor-1#0", "kor-2#0"]
    assert "1 examples dropped that repeat an earlier one" in caplog.text
    write(docs, '\n{"docid": "1#0", "title": "", "text": "another"}\n')
    with pytest.raises(InputError, match=r"docs-1\.jsonl, line 2: `id` 'kor-1#0' is taken"):
        miracl(tmp_path)


def test_repeated_judgements_and_topics_are_dropped(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    from semantic_tokens.data.datasets.miracl import read_qrels, read_topics

    qrels = write(tmp_path / "qrels.tsv", "1 Q0 a 1\n1\tQ0\ta\t1\n\n")
    assert read_qrels(qrels) == {"1": {"a": 1}}
    write(qrels, "1 Q0 a 1\n1 Q0 a 0\n")
    with pytest.raises(InputError, match=r"qrels\.tsv, line 2: passage a has the grade 0, and 1"):
        read_qrels(qrels)
    topics = write(tmp_path / "topics.tsv", "1\tWhy?\n1\tWhy?\n")
    assert read_topics(topics) == {"1": "Why?"}
    assert "topics.tsv: 1 texts dropped that repeat an earlier one" in caplog.text
    write(topics, "1\tWhy?\n\n1\tWhere?\n")
    with pytest.raises(InputError, match=r"topics\.tsv, line 3: the id '1' is taken .*; give it"):
        read_topics(topics)


@pytest.mark.parametrize("name", ["english.{}.json", "tydiqa-goldp-v1.1-{}.json"])
def test_repeated_question_is_dropped_and_another_with_its_id_is_refused(
    tmp_path: Path, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    contents = {split: json.loads(squad_text(f"english-{split}")) for split in ("train", "dev")}

    def store(split: str, *articles: Any) -> None:
        changed = {"data": [*contents[split]["data"], *articles]}
        text = json.dumps(changed).replace("Ada", f"A{split[0]}a")
        write(tmp_path / name.format(split), text)

    for split in contents:
        store(split, contents[split]["data"][3])
    assert len(squad(tmp_path)) == 24
    assert caplog.text.count("1 examples dropped that repeat an earlier one") == 2
    for key, value in (("question", "Who?"), ("context", "Ada 3 lived in Rome, Italy.")):
        article = json.loads(json.dumps(contents["dev"]["data"][3]))
        paragraph = article["paragraphs"][0]
        (paragraph if key == "context" else paragraph["qas"][0])[key] = value
        store("dev", article)
        file = name.format("dev").replace(".", r"\.")
        with pytest.raises(InputError, match=rf"{file}: `id` 'english-dev-3' is taken .*; give it"):
            squad(tmp_path)


def test_question_with_the_id_of_another_is_refused_in_a_ranking_dataset(tmp_path: Path) -> None:
    content = json.loads(squad_text("q", 40))
    content["data"][5]["paragraphs"][0]["qas"][0]["id"] = "q-2"
    write(tmp_path / "xquad.en.json", json.dumps(content))
    with pytest.raises(InputError, match=r"xquad\.en\.json: `id` 'eng-q-2' is taken"):
        splits = read_dataset("xquad_ranking", {}, tmp_path)
        list(splits["train"])


def test_repeated_id_in_another_split_is_refused(tmp_path: Path) -> None:
    for split in SPLITS:
        write(tmp_path / f"{split}.jsonl", json.dumps(PAIR | {"id": "same"}))
    splits = read_dataset("jsonl", {}, tmp_path, kind="pair_classification")
    list(splits["train"])
    with pytest.raises(InputError, match=r"dev\.jsonl, line 1: `id` 'same' is taken"):
        list(splits["dev"])


# CoNLL columns


def test_published_conll_2002_and_2003_are_read(tmp_path: Path) -> None:
    text = "-DOCSTART- -X- O O\n\nEU NNP I-NP I-ORG\nrejects VBZ I-VP O\n\n-DOCSTART- -X- O O\nA X Y I-PER\nB X Y B-PER\n"
    for part in ("train", "testa", "testb"):
        write(tmp_path / f"eng.{part}", text)
        write(tmp_path / f"esp.{part}", "Coruñés NC B-MISC\n".encode("latin-1"))
    options = {
        "languages": ["eng"],
        "files": "{language}.{split}",
        "splits": {"train": "train", "dev": "testa", "test": "testb"},
    }
    examples = list(read_dataset("conll", options, tmp_path)["dev"])
    assert [(e["tokens"], e["tags"]) for e in examples] == [
        (["EU", "rejects"], ["B-ORG", "O"]),
        (["A", "B"], ["B-PER", "B-PER"]),
    ]
    options |= {"languages": {"spa": "esp"}, "encoding": "latin-1"}
    (example,) = read_dataset("conll", options, tmp_path)["test"]
    assert (example["language"], example["tokens"], example["tags"]) == (
        "spa",
        ["Coruñés"],
        ["B-MISC"],
    )
    del options["encoding"]
    with pytest.raises(InputError, match=r"esp\.train is not UTF-8, line 1"):
        read_dataset("conll", options, tmp_path)


def test_published_wikiann_is_read(tmp_path: Path) -> None:
    for split in SPLITS:
        write(tmp_path / f"sw/{split}", "sw:Dar\tB-LOC\nsw:es\tI-LOC\n\nsw:New York\tB-LOC\n")
    options = {
        "languages": {"swa": "sw"},
        "files": "{language}/{split}",
        "word_prefix": "{language}:",
    }
    examples = list(read_dataset("conll", options, tmp_path)["train"])
    assert [e["tokens"] for e in examples] == [["Dar", "es"], ["New York"]]
    write(tmp_path / "sw/test", "sw:Dar\tB-LOC\nes\tI-LOC\n")
    with pytest.raises(InputError, match=r"sw/test, line 2: .*column 1 .*'sw:'"):
        read_dataset("conll", options, tmp_path)


def test_conll_columns_comments_and_tag_schemes_are_read(tmp_path: Path) -> None:
    text = "# id 1\nB-LOC _ Dar\nE-LOC _ es\nS-PER _ Ada\nE-PER _ B\nO _ #\n"
    for split in ("train", "test"):
        write(tmp_path / f"swa/{split}.txt.gz", gzip.compress(text.encode()))
    write(tmp_path / "swa/dev.txt", text)
    options = {"languages": ["swa"], "columns": {"word": -1, "tag": 1}, "comments": "# id"}
    (example,) = read_dataset("conll", options, tmp_path)["train"]
    assert example["tokens"] == ["Dar", "es", "Ada", "B", "#"]
    assert example["tags"] == ["B-LOC", "I-LOC", "B-PER", "B-PER", "O"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"columns": {"word": 0}}, "`columns`"),
        ({"columns": {"words": 1}}, "`columns`"),
        ({"columns": {"word": 1, "tag": 9}}, r"train\.txt, line 1: .*column 9"),
        ({"splits": {"train": "train"}}, "`splits`"),
        ({"files": "{code}.txt"}, "`files`"),
        ({"encoding": "utf-16"}, "`encoding`"),
        ({"encoding": "martian"}, "`encoding`"),
        ({"languages": ["deu"]}, r"deu/train\.txt is missing"),
    ],
)
def test_wrong_conll_option_is_named_in_the_error(
    tmp_path: Path, options: dict[str, Any], message: str
) -> None:
    for split in SPLITS:
        write(tmp_path / f"eng/{split}.txt", "a O\n")
    with pytest.raises(InputError, match=message):
        read_dataset("conll", {"languages": ["eng"]} | options, tmp_path)


# Words that YAML reads as true and false


def test_yaml_no_becomes_a_word_if_the_schema_allows_it() -> None:
    root = Path(__file__).resolve().parents[1]
    yaml = pytest.importorskip("yaml")
    config = yaml.safe_load((root / "config/config.yaml").read_text(encoding="utf-8"))
    training = yaml.safe_load("{precision: no, compile: off}")
    task = next(iter(config["tasks"].values()))
    task["training"] |= {"precision": training["precision"], "compile": False}
    config["pretraining"]["training"]["precision"] = False
    validate_config(config, root / "config/schemas/config.schema.json")
    assert task["training"]["precision"] == task["training"]["compile"] == "no"
    assert config["pretraining"]["training"]["precision"] == "no"
    assert config["grouping"]["cluster_unused"] is False
    next(iter(config["tasks"].values()))["training"]["precision"] = True
    with pytest.raises(InputError, match="precision: True is not one of"):
        validate_config(config, root / "config/schemas/config.schema.json")


@pytest.mark.parametrize(
    "options",
    [
        {"languages": ["eng"], "files": "all.txt"},
        {"languages": ["deu", "eng"], "files": "{split}.txt"},
        {
            "languages": ["eng"],
            "files": "{split}.txt",
            "splits": {"train": "train", "test": "train"},
        },
    ],
)
def test_one_conll_file_for_two_splits_or_languages_is_refused(
    tmp_path: Path, options: dict[str, Any]
) -> None:
    for name in ("all", "train", "test"):
        write(tmp_path / f"{name}.txt", "Ada B-PER\nsees O\n")
    with pytest.raises(InputError, match=r"\.txt would be \w+ train and \w+ t(est|rain)|dev; put"):
        read_dataset("conll", options, tmp_path)
