"""Corpora: each reader with valid and with invalid input."""

import json
import zipfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from semantic_tokens.data.corpora import read_corpus
from semantic_tokens.errors import InputError


def write(path: Path, text: str | bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode("utf-8") if isinstance(text, str) else text)
    return path


def write_wheel(path: Path, files: dict[str, str]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return path


def read(
    reader: str, path: Path, minimum_characters: int = 2, **options: Any
) -> list[tuple[str, str]]:
    """Language and text of every passage."""
    passages = list(read_corpus("mine", reader, options, path, minimum_characters))
    assert all(list(passage) == ["language", "text"] for passage in passages)
    return [(passage["language"], passage["text"]) for passage in passages]


# Common to all corpora


@pytest.fixture
def text_folder(tmp_path: Path) -> Path:
    write(tmp_path / "texts/deu.txt", "  Eine  rote\tTomate. \n\nja\nEine rote Tomate.\nä\n")
    write(tmp_path / "texts/swa.txt", "Nyanya nyekundu.\r\nEine rote Tomate.")
    return tmp_path / "texts"


def test_repeated_texts_are_dropped_per_language_and_whitespace_is_collapsed(
    text_folder: Path,
) -> None:
    assert read("text", text_folder) == [
        ("deu", "Eine rote Tomate."),
        ("deu", "ja"),
        ("swa", "Nyanya nyekundu."),
        ("swa", "Eine rote Tomate."),
    ]


def test_short_texts_and_other_languages_are_left_out(text_folder: Path) -> None:
    assert ("deu", "ja") not in read("text", text_folder, minimum_characters=3)
    assert ("deu", "ä") in read("text", text_folder, minimum_characters=1)
    assert {language for language, _ in read("text", text_folder, languages=["swa"])} == {"swa"}


def test_only_line_feeds_end_a_passage(tmp_path: Path) -> None:
    write(tmp_path / "eng.txt", "one\u2028passage\nanother")
    assert read("text", tmp_path) == [("eng", "one passage"), ("eng", "another")]


def test_corpus_without_text_is_named_in_the_error(text_folder: Path) -> None:
    with pytest.raises(InputError, match=r"'mine' has no text: .*correct .* corpora\.mine"):
        read("text", text_folder, minimum_characters=100)
    write(text_folder / "yor.txt", "\n\n")
    with pytest.raises(InputError, match=r"'mine' has no text in yor: .*correct .* corpora\.mine"):
        read("text", text_folder, languages=["swa", "yor"])


#: The files of a language in the layout of every reader of folders.
LAYOUTS = {
    "text": lambda code: {f"{code}.txt": "Ada 1\n"},
    "conll_sentences": lambda code: {f"{code}/train.txt": "Ada O\n1 O\n"},
    "squad_contexts": lambda code: {f"xquad.{code}.json": squad("Ada 1")},
    "xnli_sentences": lambda code: {f"{code}.dev.tsv": "Ada 1\tAda 2\tneutral\n"},
}


@pytest.mark.parametrize("reader", LAYOUTS)
def test_missing_language_is_refused_and_available_ones_are_listed(
    tmp_path: Path, reader: str
) -> None:
    for code in ("en", "de"):
        for name, content in LAYOUTS[reader](code).items():
            write(tmp_path / name, content)
    assert ("eng", "Ada 1") in read(reader, tmp_path, languages=["eng"])
    with pytest.raises(
        InputError, match=r"no data in fra, tel; available are deu, eng\. Correct the corpus's"
    ):
        read(reader, tmp_path, languages=["eng", "fra", "tel"])


def test_missing_language_of_a_file_of_all_languages_is_refused(tmp_path: Path) -> None:
    document = {"data": []}
    for name in ("english-1", "swahili-1"):
        (article,) = json.loads(squad(f"Ada {name}"))["data"]
        article["paragraphs"][0]["qas"] = [{"id": name}]
        document["data"].append(article)
    write(tmp_path / "tydiqa/tydiqa-goldp-v1.1-train.json", json.dumps(document))
    header = "language\tgold_label\tsentence1\tsentence2\n"
    rows = "en\tneutral\tAda 1\tx\nsw\tneutral\ty\tz\nelvish\tneutral\ty\tz\n"
    write(tmp_path / "xnli/xnli.dev.tsv", header + rows)
    for reader, folder in (("squad_contexts", "tydiqa"), ("xnli_sentences", "xnli")):
        texts = read(reader, tmp_path / folder, languages=["eng"])
        assert texts[0][1].startswith("Ada") and {language for language, _ in texts} == {"eng"}
        with pytest.raises(InputError, match=r"no data in tel; available are eng, swa\."):
            read(reader, tmp_path / folder, languages=["eng", "tel"])
    with pytest.raises(InputError, match=r"xnli\.dev\.tsv, line 4: language 'elvish'"):
        read("xnli_sentences", tmp_path / "xnli")


def test_unknown_reader_is_named_in_the_error(text_folder: Path) -> None:
    with pytest.raises(InputError, match=r"corpora\.mine\.reader is 'texts' and must be one of"):
        read("texts", text_folder)


@pytest.mark.parametrize("reader", ["text", "squad_contexts", "conll_sentences"])
def test_folder_without_files_is_refused(tmp_path: Path, reader: str) -> None:
    with pytest.raises(InputError, match=r"contains no .*corpus's `path`"):
        read(reader, tmp_path)


def test_file_in_place_of_a_folder_is_refused(tmp_path: Path) -> None:
    file = write(tmp_path / "corpus.txt", "One line.\n")
    with pytest.raises(InputError, match=r"corpus\.txt is a file; .* a folder with \*\.txt"):
        read("text", file)


FILES = {"text": "de.txt", "squad_contexts": "xquad.de.json", "conll_sentences": "de/train.txt"}


@pytest.mark.parametrize("reader", FILES)
def test_file_that_is_not_utf_8_is_named_in_the_error(tmp_path: Path, reader: str) -> None:
    file = write(tmp_path / FILES[reader], b"eins O\nK\xe4se O\n")
    with pytest.raises(InputError, match=f"{file} is not UTF-8, line 2: "):
        read(reader, tmp_path)


@pytest.mark.parametrize("reader", FILES)
def test_file_name_without_a_known_language_is_named_in_the_error(
    tmp_path: Path, reader: str
) -> None:
    file = write(tmp_path / FILES[reader].replace("de", "elvish", 1), "x O\n")
    with pytest.raises(InputError, match=rf"{file} is named .*'elvish' is not known; use"):
        read(reader, tmp_path)


# Annotated data in local files


def squad(*contexts: str) -> str:
    return json.dumps({"data": [{"paragraphs": [{"context": context}]} for context in contexts]})


def test_contexts_of_question_answering_files_are_read(tmp_path: Path) -> None:
    write(tmp_path / "xquad.de.json", squad("Ein Absatz.", "Noch einer.", "Ein Absatz."))
    write(tmp_path / "korean.train.json", squad("문단"))
    assert read("squad_contexts", tmp_path) == [
        ("kor", "문단"), ("deu", "Ein Absatz."), ("deu", "Noch einer.")
    ]  # fmt: skip
    assert read("squad_contexts", tmp_path, languages=["kor"]) == [("kor", "문단")]


@pytest.mark.parametrize("text", ['{"data": [{"text": "x"}]}', "[]", '{"data": [1]}', "{", ""])
def test_file_that_is_not_squad_json_is_named_in_the_error(tmp_path: Path, text: str) -> None:
    write(tmp_path / "xquad.de.json", text)
    with pytest.raises(InputError, match=r"xquad\.de\.json(: not JSON| is not of SQuAD's form)"):
        read("squad_contexts", tmp_path)


def test_sentences_of_conll_files_are_read(tmp_path: Path) -> None:
    write(tmp_path / "swa/train.txt", "Amina B-PER\nyuko O\n\n\nNairobi B-LOC\nleo\tO")
    write(tmp_path / "swa/test.txt", "siri O\n")
    write(tmp_path / "hau/train.txt", "Sannu O\n\n")
    assert read("conll_sentences", tmp_path) == [
        ("hau", "Sannu"), ("swa", "Amina yuko"), ("swa", "Nairobi leo")
    ]  # fmt: skip


def test_sentences_of_xnli_are_read(tmp_path: Path) -> None:
    write(tmp_path / "de.dev.tsv", "Er kam.\tEr ging.\tneutral\nEr kam.\tEr war da.\tentailment\n")
    write(tmp_path / "de.test.tsv", "Nie.\tDoch.\tneutral\n")
    write(tmp_path / "fr.dev.tsv", "Il vint.\tOui.\tneutral\n")
    german = [("deu", "Er kam."), ("deu", "Er ging."), ("deu", "Er war da.")]
    assert read("xnli_sentences", tmp_path, languages=["deu"]) == german
    assert read("xnli_sentences", tmp_path) == [*german, ("fra", "Il vint."), ("fra", "Oui.")]


def test_folder_without_xnli_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no \*\.dev\.tsv of XNLI.*corpus's `path`"):
        read("xnli_sentences", tmp_path)


def test_real_datasets_are_read_as_corpora(shared_data: Path) -> None:
    contexts = Counter(language for language, _ in read("squad_contexts", shared_data / "xquad"))
    assert contexts == dict.fromkeys(["ara", "deu", "eng", "hin", "spa", "zho"], 240)
    sentences = read("conll_sentences", shared_data / "masakhaner", languages=["swa", "yor"])
    assert {language for language, _ in sentences} == {"swa", "yor"}
    # MasakhaNER's paper, Table 1: 2,109 and 2,124 training sentences; a few repeat others.
    assert 4000 < len(sentences) < 2109 + 2124 + 20
    assert len(read("squad_contexts", shared_data / "tydiqa_goldp", languages=["swa"])) > 1000


# Package archives


PO = 'msgid ""\nmsgstr "Content-Type: text/plain; charset=UTF-8\\n"\n\n'
CATALOGUE = (
    PO
    + 'msgid "Hello, %(name)s!"\nmsgstr "Hallo, %(name)s!"\n\n'
    + 'msgid "one day"\nmsgid_plural "%d days"\nmsgstr[0] "ein Tag"\nmsgstr[1] "%d Tage"\n\n'
    + '#, fuzzy\nmsgid "guess"\nmsgstr "geraten"\n\n'
    + 'msgid "<b>bold</b> &amp; plain"\nmsgstr "<b>fett</b> &amp; schlicht"\n\n'
    + 'msgid "%(value).1f millions of %(what)r"\nmsgstr "%(value).1f Millionen %(what)r"\n\n'
    + 'msgid "untranslated"\nmsgstr ""\n'
)


def catalogue(locale: str) -> str:
    return f"django/conf/locale/{locale}/LC_MESSAGES/django.po"


def test_translated_messages_lose_their_placeholders(tmp_path: Path) -> None:
    archive = write_wheel(tmp_path / "django.whl", {catalogue("de"): CATALOGUE})
    assert read("django", archive, languages=["deu"]) == [
        ("deu", "Hallo, !"), ("deu", "ein Tag"), ("deu", "Tage"), ("deu", "fett schlicht"),
        ("deu", "Millionen"),
    ]  # fmt: skip


def test_english_text_comes_from_the_message_ids(tmp_path: Path) -> None:
    archive = write_wheel(
        tmp_path / "django.whl",
        {catalogue("en"): CATALOGUE, catalogue("zh_Hans"): PO, catalogue("de"): CATALOGUE},
    )
    texts = read("django", archive, languages=["eng"])
    assert ("eng", "untranslated") in texts and ("eng", "days") in texts
    assert {language for language, _ in texts} == {"eng"}
    with pytest.raises(InputError, match="'mine' has no text in swa, zho: "):  # no file, and empty
        read("django", archive, languages=["eng", "swa", "zho"])


def test_damaged_gettext_catalogue_is_named_in_the_error(tmp_path: Path) -> None:
    archive = write_wheel(
        tmp_path / "django.whl", {catalogue("de"): PO + 'msgid "a"\nmsgstr[x] "b"\n'}
    )
    with pytest.raises(InputError, match=r"django\.whl: .*locale/de/.* is not a gettext catalogue"):
        read("django", archive, languages=["deu"])


def test_each_dialogue_becomes_one_passage(tmp_path: Path) -> None:
    folder = "chatterbot_corpus/data"
    archive = write_wheel(
        tmp_path / "chatterbot.whl",
        {
            f"{folder}/german/food.yml": "conversations:\n- - Magst du Obst?\n  - Ja, Tomaten.\n",
            f"{folder}/oriya/food.yml": "conversations:\n- - ନମସ୍କାର\n  - 5\n",
            f"{folder}/hinglish/food.yml": "conversations:\n- - kya haal\n",
            f"{folder}/elvish/food.yml": "conversations:\n- - aiya\n",
            f"{folder}/german/none.yml": "categories: [x]\nconversations:\n",
            f"{folder}/notes.yml": "[",
        },
    )
    assert read("chatterbot", archive, languages=["deu", "ori"]) == [
        ("deu", "Magst du Obst? Ja, Tomaten."), ("ori", "ନମସ୍କାର")
    ]  # fmt: skip
    with pytest.raises(InputError, match="'mine' has no text in hin: "):
        read("chatterbot", archive, languages=["deu", "hin"])


def test_damaged_dialogue_file_is_named_in_the_error(tmp_path: Path) -> None:
    name = "chatterbot_corpus/data/german/food.yml"
    archive = write_wheel(tmp_path / "chatterbot.whl", {name: "conversations: ["})
    with pytest.raises(InputError, match=r"chatterbot\.whl: .*food\.yml is not YAML"):
        read("chatterbot", archive, languages=["deu"])


@pytest.mark.parametrize("reader", ["django", "chatterbot", "emoji_names"])
def test_file_that_is_not_an_archive_is_named_in_the_error(tmp_path: Path, reader: str) -> None:
    file = write(tmp_path / "data.whl", "no zip")
    with pytest.raises(InputError, match=r"data\.whl is not a complete archive .*delete it"):
        read(reader, file, languages=["deu"])


@pytest.mark.parametrize(
    ("reader", "name", "languages", "minimum"),
    [
        ("django", "django", ["ara", "deu", "eng", "rus", "swa", "zho"], 300),
        ("chatterbot", "chatterbot", ["deu", "eng", "rus", "zho"], 40),
        ("emoji_names", "emoji", ["ara", "deu", "eng", "jpn", "zho"], 1800),
    ],
)
def test_the_real_archives_hold_text_in_each_language(
    wheel: Callable[[str], Path], reader: str, name: str, languages: list[str], minimum: int
) -> None:
    texts = read(reader, wheel(name), languages=languages)
    counts = Counter(language for language, _ in texts)
    assert sorted(counts) == languages
    assert min(counts.values()) >= minimum
    if reader == "django":
        assert not any(mark in text for _, text in texts for mark in ("%(", "%s", "{", "</"))


# Wikipedia


def write_wikipedia(folder: Path, language: str, parts: list[list[str]]) -> None:
    """Write articles in the layout of the hub's ``wikimedia/wikipedia``."""
    import pyarrow as pa
    import pyarrow.parquet as parquet

    for number, texts in enumerate(parts):
        file = folder / f"20231101.{language}/train-{number:05}-of-{len(parts):05}.parquet"
        file.parent.mkdir(parents=True, exist_ok=True)
        columns = {"id": [str(i) for i in range(len(texts))], "url": [""] * len(texts)}
        table = pa.table({**columns, "title": [""] * len(texts), "text": texts})
        parquet.write_table(table, file)


def test_articles_are_read_language_by_language(tmp_path: Path) -> None:
    write_wikipedia(tmp_path, "zh", [["番茄。", "红色。"], ["马铃薯。"]])
    write_wikipedia(tmp_path, "lg", [["Ennyaanya."]])
    write_wikipedia(tmp_path, "de", [["Nicht gefragt."]])
    assert read("wikipedia", tmp_path, languages=["zho", "lug"]) == [
        ("zho", "番茄。"),
        ("zho", "红色。"),
        ("zho", "马铃薯。"),
        ("lug", "Ennyaanya."),
    ]
    first_two = read("wikipedia", tmp_path, languages=["zho"], max_articles=2)
    assert [text for _, text in first_two] == ["番茄。", "红色。"]


def test_language_without_articles_is_named_in_the_error(tmp_path: Path) -> None:
    write_wikipedia(tmp_path, "de", [["Ein Satz."]])
    with pytest.raises(InputError, match=r"configuration yo has no split train \(\*\.yo/\*"):
        read("wikipedia", tmp_path, languages=["deu", "yor"])


def test_truncated_wikipedia_file_is_named_in_the_error(tmp_path: Path) -> None:
    write_wikipedia(tmp_path, "de", [["Ein Satz."]])
    (file,) = tmp_path.rglob("*.parquet")
    file.write_bytes(file.read_bytes()[:-20])
    with pytest.raises(InputError, match=r"train-00000.*is truncated, damaged"):
        read("wikipedia", tmp_path, languages=["deu"])
