"""Datasets of the Hugging Face hub, from a folder, and over the network from a test server at a
pinned revision, in a separate process with the hub's settings."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from servers import hub, send, serving

from semantic_tokens.data.corpora import read_corpus
from semantic_tokens.data.datasets import read_dataset
from semantic_tokens.errors import InputError

datasets = pytest.importorskip("datasets")
REVISION = "a" * 40
ROOT = Path(__file__).resolve().parents[2]

Splits = dict[str, list[dict[str, Any]]]


def read(options: dict[str, Any], path: Path | None, kind: str, reader: str = "hf") -> Splits:
    splits = read_dataset(reader, options, path, kind=kind, name="mine")
    return {split: list(examples) for split, examples in splits.items()}


def write_table(path: Path, columns: dict[str, list[Any]], **features: Any) -> None:
    """Write a table in the format of ``datasets``, with the features of some columns."""
    path.parent.mkdir(parents=True, exist_ok=True)
    dataset = datasets.Dataset.from_dict(columns)
    for name, feature in features.items():
        dataset = dataset.cast_column(name, feature)
    if path.suffix == ".parquet":
        dataset.to_parquet(path)
    elif path.suffix == ".jsonl":
        dataset.to_json(path)
    else:
        dataset.to_csv(path, sep="\t" if path.suffix == ".tsv" else ",")


def write_card(folder: Path, configurations: dict[str, dict[str, str]]) -> None:
    """Write a README.md with the files of all configurations and splits."""
    lines = ["---", "configs:"]
    for name, splits in configurations.items():
        lines += [f'- config_name: "{name}"', "  data_files:"]
        for split, files in splits.items():
            lines += [f"  - split: {split}", f"    path: {files}"]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "README.md").write_text("\n".join([*lines, "---", ""]), encoding="utf-8")


PAIRS = "pair_classification"
TAGS = ["O", "B-PER", "I-PER", "B-LOC"]


@pytest.fixture
def repositories(tmp_path: Path) -> Path:
    """``o/names`` with two configurations by language and numbered tags, and a gated repository."""
    folder = tmp_path / "hub/o/names"
    names = datasets.List(datasets.ClassLabel(names=TAGS))
    splits = ("train", "validation", "test")
    for code in ("de", "no"):
        for split in splits:
            columns = {"tokens": [["Ada", code], [split]], "ner_tags": [[1, 2], [0]]}
            write_table(folder / f"{code}/{split}-00000-of-00001.parquet", columns, ner_tags=names)
    write_card(folder, {c: {s: f"{c}/{s}-*" for s in splits} for c in ("de", "no")})
    (tmp_path / "hub/o/gated").mkdir()
    (tmp_path / "hub/o/gated/gated").touch()
    (tmp_path / "hub/o/script").mkdir()
    (tmp_path / "hub/o/script/script.py").write_text("raise SystemExit", encoding="utf-8")
    return tmp_path / "hub"


#: The value of ``{deu: de, nor: no}`` in YAML.
NAMES: dict[str, Any] = {"configurations": {"deu": "de", "nor": False}}


# From a folder


def test_tags_of_two_languages_are_read(repositories: Path) -> None:
    splits = read(NAMES, repositories / "o/names", "token_classification")
    assert splits["test"] == [
        {
            "id": "deu-test-0",
            "language": "deu",
            "tokens": ["Ada", "de"],
            "tags": ["B-PER", "I-PER"],
        },
        {"id": "deu-test-1", "language": "deu", "tokens": ["test"], "tags": ["O"]},
        {
            "id": "nor-test-0",
            "language": "nor",
            "tokens": ["Ada", "no"],
            "tags": ["B-PER", "I-PER"],
        },
        {"id": "nor-test-1", "language": "nor", "tokens": ["test"], "tags": ["O"]},
    ]
    assert [e["tokens"] for e in splits["dev"]][1] == ["validation"]
    norwegian_only = read(
        NAMES | {"languages": ["nor"]}, repositories / "o/names", "token_classification"
    )
    assert {e["language"] for e in norwegian_only["train"]} == {"nor"}


def test_file_pattern_replaces_a_missing_dataset_card(repositories: Path) -> None:
    (repositories / "o/names/README.md").unlink()
    files = "{configuration}/{split}-*.parquet"
    splits = read(NAMES | {"files": files}, repositories / "o/names", "token_classification")
    assert [len(examples) for examples in splits.values()] == [4, 4, 4]


def test_split_slices_and_a_dev_fraction_are_applied(repositories: Path) -> None:
    folder = repositories / "o/names"
    options = NAMES | {"splits": {"train": "train[:50%]", "dev": "train[50%:]", "test": "test"}}
    splits = read(options, folder, "token_classification")
    assert [e["tokens"] for e in splits["train"]] == [["Ada", "de"], ["Ada", "no"]]
    assert [e["tokens"] for e in splits["dev"]] == [["train"], ["train"]]
    options = NAMES | {"splits": {"train": "train", "test": "test"}, "dev_fraction": 0.4, "seed": 2}
    splits = read(options, folder, "token_classification")
    assert len(splits["train"]) + len(splits["dev"]) == 4 and splits["dev"]


@pytest.mark.parametrize("ending", ["parquet", "jsonl", "csv"])
def test_slices_are_compared_by_their_rows(tmp_path: Path, ending: str) -> None:
    columns = {"premise": [f"row {i}" for i in range(15)]}
    columns |= {"hypothesis": ["b"] * 15, "label": ["x"] * 15}
    for split in ("train", "test"):
        write_table(tmp_path / f"{split}.{ending}", columns)
    options: dict[str, Any] = {"language": "eng", "dev_fraction": 0}
    for train, test in (("train[:90%]", "train[90%:]"), ("train[:-2]", "train[13:]")):
        splits = read(options | {"splits": {"train": train, "test": test}}, tmp_path, PAIRS)
        assert len(splits["train"]) + len(splits["test"]) == 15
    for train, test in (
        ("train[:90%]", "train[-10%:]"),  # both round to the row 13
        ("train[:10]", "train[60%:]"),
        ("train[:-2]", "train[12:]"),
    ):
        with pytest.raises(InputError, match=r"options\.splits: train is .*, which share rows"):
            read(options | {"splits": {"train": train, "test": test}}, tmp_path, PAIRS)


@pytest.mark.parametrize("ending", ["parquet", "jsonl", "csv"])
@pytest.mark.parametrize("files", [None, "{split}.*"])
def test_split_can_have_several_parts(tmp_path: Path, ending: str, files: str | None) -> None:
    for split in ("train", "validation", "test"):
        rows = [f"{split} {i}" for i in range(4)]
        columns = {"premise": rows, "hypothesis": ["b"] * 4, "label": ["x"] * 4}
        write_table(tmp_path / f"{split}.{ending}", columns)
    options: dict[str, Any] = {"language": "eng", "dev_fraction": 0, "files": files}

    def train_of(name: str) -> list[str]:
        splits = read(options | {"splits": {"train": name, "test": "test"}}, tmp_path, PAIRS)
        return [example["first"] for example in splits["train"]]

    whole = [f"{split} {i}" for split in ("train", "validation") for i in range(4)]
    assert train_of("train+validation") == whole
    assert train_of("validation[:50%]+train[-1:]") == ["validation 0", "validation 1", "train 3"]
    with pytest.raises(InputError, match=r"split train\+more: there is no more; correct `splits`"):
        train_of("train+more")
    with pytest.raises(InputError, match=r"has no split more|contains no example"):
        train_of("more[:50%]")


@pytest.mark.parametrize("split", ["texts[:80", "texts[:200%]"])
@pytest.mark.parametrize("ending", ["parquet", "jsonl"])
def test_wrong_slice_is_not_called_a_damaged_file(tmp_path: Path, split: str, ending: str) -> None:
    write_table(tmp_path / f"texts.{ending}", {"text": ["a"]})
    options = {"language": "eng", "split": split, "files": f"{{split}}.{ending}"}
    with pytest.raises(InputError, match=r"split texts\[:\S+: .*; correct `splits`") as error:
        list(read_corpus("mine", "hf", options, tmp_path))
    assert "damaged" not in str(error.value)


@pytest.mark.parametrize(("labels", "are_joined"), [([0, 1, 2], True), ([0, 2, 1], False)])
def test_translations_of_a_pair_are_joined_by_their_row(
    tmp_path: Path, labels: list[int], are_joined: bool
) -> None:
    for code, numbers in (("de", [0, 1, 2]), ("sw", labels)):
        columns = {"premise": list("abc"), "hypothesis": list("xyz"), "label": numbers}
        for split in ("train", "validation", "test"):
            write_table(tmp_path / f"{code}/{split}.parquet", columns)
    options = {
        "configurations": {"deu": "de", "swa": "sw"},
        "files": "{configuration}/{split}.parquet",
        "labels": ["yes", "maybe", "no"],
    }
    splits = read(options, tmp_path, PAIRS)
    for split in ("dev", "test"):
        clusters = [example["cluster"] for example in splits[split]]
        assert len(set(clusters)) == (3 if are_joined else 6)
        assert (clusters[:3] == clusters[3:]) == are_joined


def test_title_and_cluster_join_dependent_rows(tmp_path: Path) -> None:
    answer = {"text": ["a"], "answer_start": [0]}
    columns = {
        "heading": ["T", "T", "U", None, "V"] * 4,
        "story": [None, None, "s", "s", None] * 4,
        "context": [f"a {i}" for i in range(20)],
        "question": ["Who?"] * 20,
        "answers": [answer] * 20,
    }
    for split in ("train", "test"):
        write_table(tmp_path / f"{split}.jsonl", columns)
    names = {"title": "heading", "cluster": "story"}
    options = {"language": "eng", "columns": names, "dev_fraction": 0.5}
    splits = read(options, tmp_path, "question_answering")
    joined = [{0, 1}, {2, 3}, {4}]  # rows of each five: by title; by story; alone
    for rows in joined:
        test = [e["cluster"] for e in splits["test"] if int(e["id"].split("-")[2]) % 5 in rows]
        assert len(test) == 4 * len(rows) and len(set(test)) == 1
        parts = {
            split
            for split in ("train", "dev")
            for e in splits[split]
            if int(e["id"].split("-")[2]) % 5 in rows
        }
        assert len(parts) == 1
    assert len({e["cluster"] for e in splits["test"]}) == 3
    with pytest.raises(InputError, match=r"columns\.title is not known"):
        read({"language": "eng", "columns": {"title": "heading"}}, tmp_path, PAIRS)


QUESTIONS = {
    "qid": ["a", "b"],
    "passage": ["Ada lived in Rome.", "Ada lived in Paris."],
    "question": ["Where?", "Why?"],
    "lang": ["en", "swahili"],
}


@pytest.mark.parametrize("start", [-1, 0])
def test_empty_answer_is_no_answer(tmp_path: Path, start: int) -> None:
    columns = {
        "context": ["Ada lived in Rome."] * 3,
        "question": ["Where?", "Why?", "When?"],
        "answers": [{"text": ["Rome"], "answer_start": [13]}]
        + [{"text": [""], "answer_start": [start]}] * 2,
    }
    for split in ("train", "test"):
        write_table(tmp_path / f"{split}.jsonl", columns)
    options = {"language": "eng", "dev_fraction": 0, "unanswerable": "keep"}
    test = read(options, tmp_path, "question_answering")["test"]
    assert [example["answers"] for example in test] == [[{"text": "Rome", "start": 13}], [], []]


@pytest.mark.parametrize("form", ["lists", "records", "flat"])
def test_questions_take_their_language_from_a_column(tmp_path: Path, form: str) -> None:
    answers = {
        "lists": [{"text": ["Rome"], "answer_start": [13]}, {"text": [], "answer_start": []}],
        "records": [[{"text": "Rome", "answer_start": 13}], []],
        "flat": [{"text": "Rome", "answer_start": 13}, {"text": "Paris", "answer_start": 13}],
    }[form]
    for split in ("train", "validation", "test"):
        lines = [
            dict(zip([*QUESTIONS, "given"], row, strict=True))
            for row in zip(*QUESTIONS.values(), [{"answers": a} for a in answers], strict=True)
        ]
        (tmp_path / f"{split}.jsonl").write_text(
            "\n".join(map(json.dumps, lines)), encoding="utf-8"
        )
    columns = {"id": "qid", "context": "passage", "answers": "given.answers", "language": "lang"}
    options = {"columns": columns, "unanswerable": "keep"}
    splits = read(options, tmp_path, "question_answering")
    assert splits["test"][0] == {
        "id": "eng-test-a",
        "language": "eng",
        "context": "Ada lived in Rome.",
        "question": "Where?",
        "answers": [{"text": "Rome", "start": 13}],
        "cluster": "eng-test-a",
    }
    expected = [{"text": "Paris", "start": 13}] if form == "flat" else []
    assert (splits["test"][1]["language"], splits["test"][1]["answers"]) == ("swa", expected)


def test_rows_in_an_unknown_language_are_ignored_if_some_are_requested(tmp_path: Path) -> None:
    for split in ("train", "validation", "test"):
        columns = {"premise": ["a", "b"], "hypothesis": ["c", "d"], "label": ["x", "y"]}
        write_table(tmp_path / f"{split}.jsonl", columns | {"lang": ["en", "elvish"]})
    options: dict[str, Any] = {"columns": {"language": "lang"}}
    splits = read(options | {"languages": ["eng"]}, tmp_path, "pair_classification")
    assert [e["first"] for e in splits["test"]] == ["a"]
    with pytest.raises(InputError, match=r"split train, row 1: language 'elvish' is not known"):
        read(options, tmp_path, "pair_classification")
    for split in ("train", "validation", "test"):
        write_table(tmp_path / f"{split}.jsonl", columns | {"lang": ["en", None]})
    with pytest.raises(InputError, match=r"split train, row 1: the language is missing"):
        read(options | {"languages": ["eng"]}, tmp_path, "pair_classification")


@pytest.mark.parametrize("ending", ["parquet", "jsonl", "csv", "tsv"])
def test_pairs_are_read_in_every_file_format(tmp_path: Path, ending: str) -> None:
    columns = {"premise": ["a", "c"], "hypothesis": ["b", "d"], "label": [1, 0]}
    for split in ("train", "validation", "test"):
        write_table(tmp_path / f"{split}.{ending}", columns)
    options = {"language": "eng", "labels": ["yes", False]}  # YAML's [yes, no]
    splits = read(options, tmp_path, "pair_classification")
    assert splits["test"][0] == {
        "id": "eng-test-0",
        "language": "eng",
        "first": "a",
        "second": "b",
        "label": "no",
        "cluster": "eng-test-0",
    }


def test_quotation_marks_are_ordinary_characters_in_text_with_tabs(tmp_path: Path) -> None:
    text = 'premise\thypothesis\tlabel\n"\tc\tyes\nd\te\tyes\nf"\t"g"\tyes\n'
    for split in ("train", "validation", "test"):
        (tmp_path / f"{split}.tsv").write_text(text, encoding="utf-8")
    for options in ({}, {"files": "{split}.tsv"}):
        splits = read({"language": "eng", **options}, tmp_path, "pair_classification")
        assert [(e["first"], e["second"]) for e in splits["train"]] == [
            ('"', "c"),
            ("d", "e"),
            ('f"', '"g"'),
        ]


@pytest.mark.parametrize("ending", ["csv", "tsv"])
def test_every_value_in_a_table_of_text_is_a_word(tmp_path: Path, ending: str) -> None:
    words = ["NA", "null", "nan", "None", "True", "1e5", "007", "N/A"]
    separator = "\t" if ending == "tsv" else ","
    rows = [("premise", "hypothesis", "label", "lang", "id")]
    rows += [(word, word, word, "en", word) for word in words]
    text = "\n".join(separator.join(row) for row in rows)
    for split in ("train", "validation", "test"):
        (tmp_path / f"{split}.{ending}").write_text(text, encoding="utf-8")
    options = {"columns": {"language": "lang", "id": "id"}}
    examples = read(options, tmp_path, "pair_classification")["test"]
    assert [e["first"] for e in examples] == [e["label"] for e in examples] == words
    assert examples[6]["id"] == "eng-test-007"
    options = {"language": "eng", "files": f"test.{ending}", "column": "premise"}
    passages = read_corpus("mine", "hf", options, tmp_path)
    assert [passage["text"] for passage in passages] == words


def test_number_in_a_table_of_text_that_labels_do_not_name_is_refused(tmp_path: Path) -> None:
    for split in ("train", "validation", "test"):
        (tmp_path / f"{split}.csv").write_text("premise,hypothesis,label\na,b,2\n", "utf-8")
    options = {"language": "eng", "labels": ["yes", "no"]}
    with pytest.raises(InputError, match=r"row 0: the label is 2, which `labels` does not name"):
        read(options, tmp_path, "pair_classification")
    options["labels"] = ["1", "2"]  # the name has priority over the number
    assert read(options, tmp_path, "pair_classification")["test"][0]["label"] == "2"


def test_malformed_table_of_text_is_named_with_file_and_line(tmp_path: Path) -> None:
    for split in ("train", "validation", "test"):
        (tmp_path / f"{split}.csv").write_text("premise,hypothesis,label\na,b,c\n", "utf-8")
    for text, message in (
        (b"a,b,c\n\nK\xe4se,b,c\n", r"test\.csv is not UTF-8, line 4"),
        (b'a,b,c\nd,",e\nf,g,h\n', r"test\.csv, line 3: not a row of CSV"),
        (b"a,b\n", r"test\.csv, line 2: 3 columns"),
    ):
        (tmp_path / "test.csv").write_bytes(b"premise,hypothesis,label\n" + text)
        with pytest.raises(InputError, match=message):
            read({"language": "eng"}, tmp_path, "pair_classification")


def test_all_files_of_a_split_have_the_same_columns(tmp_path: Path) -> None:
    for name, text in (
        ("train-0.csv", "premise,hypothesis,label,x\na,b,c,\n"),
        ("train-1.csv", "x,label,hypothesis,premise\n,c,b,a2\n"),
        ("test-0.csv", "premise,hypothesis,label\na,b,c\n"),
        ("test-1.csv", "premise,hypothesis\na,b\n"),
    ):
        (tmp_path / name).write_text(text, encoding="utf-8")
    options = {"language": "eng", "files": "{split}-*.csv", "dev_fraction": 0}
    options["splits"] = {"train": "train[:1]", "test": "train[1:]"}
    splits = read(options, tmp_path, "pair_classification")
    assert [splits[split][0]["first"] for split in ("train", "test")] == ["a", "a2"]
    options["splits"] = {"train": "train", "test": "test"}
    with pytest.raises(InputError, match=r"test-1\.csv, line 1: the columns are .* in \S+test-0"):
        read(options, tmp_path, "pair_classification")


@pytest.mark.parametrize(
    ("option", "text"),
    [
        ('sep: ";"', "premise;hypothesis;label\nNA;b, c;yes\n"),
        ('sep: "\\t"', 'premise\thypothesis\tlabel\nNA\tb, c\tyes\n"\tb\tno\n'),
        ("skiprows: 1", 'a comment\npremise,hypothesis,label\nNA,"b, c",yes\n'),
    ],
)
def test_options_of_the_card_are_applied_to_tables_of_text(
    tmp_path: Path, option: str, text: str
) -> None:
    write_card(tmp_path, {"mine": {s: f"{s}.csv" for s in ("train", "validation", "test")}})
    card = (tmp_path / "README.md").read_text(encoding="utf-8")
    card = card.replace("  data_files:", f"  {option}\n  data_files:")
    (tmp_path / "README.md").write_text(card, encoding="utf-8")
    for split in ("train", "validation", "test"):
        (tmp_path / f"{split}.csv").write_text(text, encoding="utf-8")
    options = {"configurations": {"eng": "mine"}}
    examples = read(options, tmp_path, "pair_classification")["test"]
    assert (examples[0]["first"], examples[0]["second"]) == ("NA", "b, c")
    assert len(examples) == text.count("\n") - 1 - ("comment" in text)


@pytest.fixture
def ranking(tmp_path: Path) -> Path:
    """A retrieval dataset in MTEB's format."""
    folder = tmp_path / "ranking"
    write_table(
        folder / "queries.jsonl", {"_id": ["q1", "q2", "q3"], "text": ["red", "blue", "green"]}
    )
    passages = {"_id": ["p1", "p2"], "title": ["", "Sky"], "text": ["roses", "the sky"]}
    write_table(folder / "corpus.jsonl", passages)
    # p9 is not in the corpus, and neither is p3, whose negative grade says nothing.
    judged = {
        "train": {
            "query-id": ["q1", "q1", "q1", "q1", "q2"],
            "corpus-id": ["p1", "p2", "p9", "p3", "p2"],
            "score": [2.0, 0.0, 0.0, -1.0, 0.0],
        },
        "dev": {"query-id": ["q2"], "corpus-id": ["p2"], "score": [1]},
        "test": {"query-id": ["q3", "q9"], "corpus-id": ["p2", "p2"], "score": [1, 1]},
    }
    for split, columns in judged.items():
        write_table(folder / f"qrels/{split}.jsonl", columns)
    configurations = {"default": {s: f"qrels/{s}.jsonl" for s in judged}}
    configurations |= {n: {n: f"{n}.jsonl"} for n in ("queries", "corpus")}
    write_card(folder, configurations)
    return folder


def test_ranking_dataset_in_mteb_format_is_read(
    ranking: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    splits = read({"language": "eng"}, ranking, "ranking")
    assert splits["train"] == [
        {
            "id": "eng-q1",
            "language": "eng",
            "query": "red",
            "relevant": {"eng-p1": 2},
            "irrelevant": ["eng-p2"],
        }
    ]
    assert [e["id"] for e in splits["test"]] == ["eng-q3"]
    assert splits["passages"] == [
        {"id": "eng-p1", "language": "eng", "title": "", "text": "roses"},
        {"id": "eng-p2", "language": "eng", "title": "Sky", "text": "the sky"},
    ]
    assert "eng, test: 1 judgements of unknown queries dropped" in caplog.text
    assert "eng, train: 1 queries without a relevant passage dropped" in caplog.text
    assert "eng, train: 1 judgements dropped whose passages are not in" in caplog.text


def test_ranking_dataset_without_a_dev_split_is_read(ranking: Path) -> None:
    (ranking / "qrels/dev.jsonl").unlink()
    configurations = {"default": {s: f"qrels/{s}.jsonl" for s in ("train", "test")}}
    configurations |= {n: {n: f"{n}.jsonl"} for n in ("queries", "corpus")}
    write_card(ranking, configurations)
    splits = read({"language": "eng"}, ranking, "ranking")
    assert {split: len(examples) for split, examples in splits.items()} == {
        "train": 1, "dev": 0, "test": 1, "passages": 2,
    }  # fmt: skip


def test_columns_of_a_table_without_a_header_have_numbers(ranking: Path) -> None:
    expected = read({"language": "eng"}, ranking, "ranking")
    (ranking / "collection.tsv").write_text("p1\troses\np2\tthe sky\n", encoding="utf-8")
    (ranking / "questions.tsv").write_text("1\tred\n2\tblue\n3\tgreen\n", encoding="utf-8")
    for split, judgements in {"train": "1\t0\tp1\t2", "test": "3\t0\tp2\t1"}.items():
        (ranking / f"{split}.tsv").write_text(judgements, encoding="utf-8")
    options = {
        "language": "eng",
        "corpus": {"files": "collection.tsv", "id": 1, "text": 2},
        "queries": {"files": "questions.tsv", "id": 1, "text": 2},
        "qrels": {"files": "{split}.tsv", "query": 1, "passage": 3, "grade": 4},
    }
    splits = read(options, ranking, "ranking")
    assert [p["text"] for p in splits["passages"]] == ["roses", "the sky"]
    for split in ("train", "test"):
        keys = ("query", "relevant")
        assert [[e[k] for k in keys] for e in splits[split]] == [
            [e[k] for k in keys] for e in expected[split]
        ]
    options["queries"]["id"] = "qid"
    with pytest.raises(InputError, match=r"queries\.id is 'qid', which is not a column"):
        read(options, ranking, "ranking")


def test_slices_of_judgements_count_queries(ranking: Path) -> None:
    judged = {
        "query-id": ["q1", "q2", "q1", "q3", "q1"],
        "corpus-id": ["p1", "p1", "p2", "p2", "p9"],
        "score": [1, 1, 1, 1, 0],
    }
    write_table(ranking / "qrels/dev.jsonl", judged)
    options = {
        "language": "eng",
        "splits": {"train": "dev[:34%]", "dev": "dev[1:2]", "test": "dev[-1:]"},
    }
    splits = read(options, ranking, "ranking")
    assert {
        split: [(e["query"], list(e["relevant"])) for e in splits[split]]
        for split in options["splits"]
    } == {
        "train": [("red", ["eng-p1", "eng-p2"])],
        "dev": [("blue", ["eng-p1"])],
        "test": [("green", ["eng-p2"])],
    }
    options["splits"]["dev"] = "dev[:2]"
    with pytest.raises(InputError, match=r"train is 'dev\[:34%\]' and dev is .*share rows"):
        read(options, ranking, "ranking")


def test_repeated_queries_and_judgements_are_dropped_and_others_are_refused(
    ranking: Path, caplog: pytest.LogCaptureFixture
) -> None:
    expected = read({"language": "eng"}, ranking, "ranking")
    queries, judged = ranking / "queries.jsonl", ranking / "qrels/test.jsonl"
    columns = {"query-id": ["q3", "q3"], "corpus-id": ["p2", "p2"], "score": [1, 1]}
    write_table(judged, columns)
    write_table(
        queries,
        {"_id": ["q1", "q2", "q3", "q1"], "text": ["red", "blue", "green", "red"]},
    )
    assert read({"language": "eng"}, ranking, "ranking") == expected
    assert "queries, eng: 1 texts dropped that repeat an earlier one" in caplog.text
    write_table(judged, columns | {"score": [1, 0]})
    with pytest.raises(InputError, match=r"qrels, eng, test, row 1: passage p2 has the grade 0"):
        read({"language": "eng"}, ranking, "ranking")
    write_table(queries, {"_id": ["q1", "q2", "q1"], "text": ["red", "blue", "green"]})
    with pytest.raises(InputError, match=r"queries, eng, row 2: the id 'q1' is taken"):
        read({"language": "eng"}, ranking, "ranking")


def test_relevant_passage_that_is_not_in_the_corpus_is_refused(ranking: Path) -> None:
    columns = {"query-id": ["q3"], "corpus-id": ["p9"], "score": [1]}
    write_table(ranking / "qrels/test.jsonl", columns)
    with pytest.raises(InputError, match=r"1 judged passages are not among .*'eng-p9' in eng"):
        read({"language": "eng"}, ranking, "ranking")


def test_title_replaces_an_empty_text_and_empty_passages_are_dropped(
    ranking: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    passages = {
        "_id": ["p1", "p2", "p3", "p4"],
        "title": ["", "Sky", "", None],
        "text": ["roses", "", " ", None],
    }
    write_table(ranking / "corpus.jsonl", passages)
    columns = {
        "query-id": ["q3", "q3", "q3", "q1"],
        "corpus-id": ["p2", "p3", "p4", "p3"],
        "score": [1, 1, 0, 1],
    }
    write_table(ranking / "qrels/test.jsonl", columns)
    splits = read({"language": "eng"}, ranking, "ranking")
    assert splits["passages"] == [
        {"id": "eng-p1", "language": "eng", "title": "", "text": "roses"},
        {"id": "eng-p2", "language": "eng", "title": "", "text": "Sky"},
    ]
    (query,) = splits["test"]
    assert (query["relevant"], query["irrelevant"]) == ({"eng-p2": 1}, [])
    for message in (
        "corpus, eng: the text of 1 passages is their title",
        "corpus, eng: 2 empty passages dropped",
        "qrels, eng, test: 3 judgements dropped whose passages are empty",
        "qrels, eng, test: 1 queries without a relevant passage dropped",
    ):
        assert message in caplog.text


def test_passage_with_the_id_of_another_is_refused(ranking: Path) -> None:
    passages = {"_id": ["p1", "p2", "p1"], "title": ["", "", ""], "text": ["a", "b", "c"]}
    write_table(ranking / "corpus.jsonl", passages)
    with pytest.raises(InputError, match=r"corpus, eng, row 2: `id` 'eng-p1' is taken"):
        read({"language": "eng"}, ranking, "ranking")


@pytest.mark.parametrize("score", [1.5, "high", None])
def test_grade_that_is_no_integer_is_refused(ranking: Path, score: Any) -> None:
    columns = {"query-id": ["q3"], "corpus-id": ["p2"], "score": [score]}
    write_table(ranking / "qrels/test.jsonl", columns)
    with pytest.raises(InputError, match=r"test, row 0: the grade is .* must be an integer"):
        read({"language": "eng"}, ranking, "ranking")


def test_tables_and_columns_of_a_ranking_dataset_can_be_configured(ranking: Path) -> None:
    write_table(ranking / "de/topics.csv", {"n": [1, 2, 3], "words": ["rot", "blau", "grün"]})
    write_table(ranking / "de/docs.csv", {"n": ["p1", "p2"], "body": ["Rosen", "Himmel"]})
    options = {
        "configurations": {"deu": "de"},
        "queries": {"files": "{configuration}/topics.csv", "id": "n", "text": "words"},
        "corpus": {"files": "{configuration}/docs.csv", "id": "n", "text": "body"},
        "qrels": {"files": "de/{split}.tsv", "query": "q", "passage": "d", "grade": "g"},
        "splits": {"train": "a", "dev": "b", "test": "c"},
    }
    for number, split in enumerate("abc", start=1):
        write_table(ranking / f"de/{split}.tsv", {"q": [number], "d": ["p1"], "g": [1]})
    splits = read(options, ranking, "ranking")
    blue = {"id": "deu-2", "language": "deu", "query": "blau", "relevant": {"deu-p1": 1}}
    blue["irrelevant"] = []
    assert splits["dev"] == [blue | {"cluster": "deu-2"}]
    assert [p["title"] for p in splits["passages"]] == ["", ""]


def test_column_of_a_dataset_is_read_as_a_corpus(repositories: Path) -> None:
    folder = repositories / "o/texts"
    for code in ("de", "sw"):
        write_table(folder / f"{code}.jsonl", {"doc": [{"body": f"{code} {i}"} for i in range(5)]})
    options = {
        "configurations": {"deu": "de", "swa": "sw"},
        "files": "{configuration}.jsonl",
        "column": "doc.body",
        "max_texts_per_language": 2,
    }
    passages = list(read_corpus("mine", "hf", options, folder))
    assert [(p["language"], p["text"]) for p in passages] == [
        ("deu", "de 0"), ("deu", "de 1"), ("swa", "sw 0"), ("swa", "sw 1")
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"columns": {"tokens": "token"}}, r"options\.columns\.tokens is 'token', .* \S+o/names, configuration de, split train; .*'tokens'\?.* tokens, ner_tags"),
        ({"columns": {"tags": "ner_tags.x"}}, r"options\.columns\.tags is 'ner_tags\.x'"),
        ({"columns": {"token": "x"}}, r"options\.columns\.token is not known; .*tokens, tags"),
        ({"columns": "tokens"}, r"options\.columns is 'tokens' and must be a mapping"),
        ({"configurations": {"deu": "it"}}, r"BuilderConfig 'it' not found.*'de', 'no'.*`configurations`"),
        ({"configurations": {"de": "de"}}, r"options\.configurations has 'de' and must name languages"),
        ({"configurations": None}, r"Config name is missing.*; name one in `configurations`"),
        ({"configurations": "de"}, r"language of the rows is unknown; .*`configurations`"),
        ({"splits": {"train": "train", "test": "tset"}}, r"de has no split to test on"),
        ({"splits": {"trian": "train"}}, r"options\.splits\.trian is not known; .*train, dev"),
        ({"files": "{configuration}/none-{split}-*"}, r"configuration de has no split .*\(de/none-"),
        ({"files": "{code}/{split}"}, r"`files` is '\{code\}/\{split\}' and must be a pattern"),
        ({"languages": ["fra"]}, r"options\.configurations: no data in fra; .*deu, nor"),
        ({"configurations": "de", "language": "deu", "languages": ["fra"]}, r"options\.language: no data in fra; available are deu"),
        ({"language": "de"}, r"options\.language is 'de' and must be ISO 639-3: deu"),
        ({"queries": {}}, r"options\.queries is of .*kind ranking"),
        ({"dev_fraction": 2}, r"`dev_fraction` is 2"),
        ({"splits": {"train": "train", "dev": "test", "test": "test"}}, r"splits: dev is 'test' and test is 'test', which share rows"),
        ({"splits": {"train": "train", "dev": "train[:9%]", "test": "test"}}, r"train is 'train' and dev is 'train\[:9%\]', which share"),
        ({"splits": {"train": "train[:90%]", "dev": "train[80%:]", "test": "test"}}, r"train is 'train\[:90%\]' and dev is 'train\[80%:\]', which share rows"),
        ({"splits": {"train": "train", "test": "test[:9%]+train[9%:]"}}, r"train is 'train' and test is 'test\[:9%\]\+train\[9%:\]', which share"),
        ({"splits": {"train": "train[:2]", "dev": "train[1:]", "test": "test"}}, r"train is 'train\[:2\]' and dev is 'train\[1:\]', which share"),
        ({"splits": {"train": "train[:2]", "dev": "train[-50%:]", "test": "test"}}, r"dev is 'train\[-50%:\]', which share"),
        ({"splits": {"train": "train[:x]", "test": "test"}}, r"options\.splits\.train is 'train\[:x\]', which is not a slice .*; write whole percents"),
        ({"splits": {"train": "train", "test": "test[:110%]"}}, r"options\.splits\.test is 'test\[:110%\]', which is not a slice"),
        ({"files": "train.json"}, r"files is 'train\.json', so train and dev would be the same files"),
        ({"column": "x"}, r"options\.column is not known to reader hf"),
    ],
)  # fmt: skip
def test_wrong_option_is_named_in_the_error(
    repositories: Path, change: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        read_dataset(
            "hf", NAMES | change, repositories / "o/names", kind="token_classification", name="mine"
        )


def test_missing_location_of_the_data_is_refused() -> None:
    with pytest.raises(
        InputError, match=r"datasets\.mine\.options: the location of the data is missing.*`id`"
    ):
        read(NAMES, None, "token_classification")


def test_label_numbers_without_a_name_are_refused(tmp_path: Path) -> None:
    for split in ("train", "validation", "test"):
        write_table(tmp_path / f"{split}.jsonl", {"tokens": [["a"]], "ner_tags": [[3]]})
    with pytest.raises(InputError, match=r"row 0: the label is 3, which has no name; list"):
        read({"language": "eng"}, tmp_path, "token_classification")
    with pytest.raises(InputError, match=r"the label is 3, which `labels` does not name"):
        read({"language": "eng", "labels": ["O"]}, tmp_path, "token_classification")


def test_blank_tokens_outside_entities_are_dropped_and_counted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    columns = {
        "tokens": [["", "Ada", " ", "Rome", "\t"], [" ", ""], ["Ada", "lived"]],
        "ner_tags": [["O", "B-PER", "O", "I-PER", "O"], ["O", "O"], ["B-PER", "O"]],
    }
    for split in ("train", "validation", "test"):
        write_table(tmp_path / f"{split}.jsonl", columns)
    splits = read({"language": "eng"}, tmp_path, "token_classification")
    assert [(e["id"], e["tokens"], e["tags"]) for e in splits["test"]] == [
        ("eng-test-0", ["Ada", "Rome"], ["B-PER", "B-PER"]),
        ("eng-test-2", ["Ada", "lived"], ["B-PER", "O"]),
    ]
    assert "split test: 3 blank tokens, 1 sentences of blank tokens dropped" in caplog.text
    columns["ner_tags"][0][2] = "I-PER"
    write_table(tmp_path / "test.jsonl", columns)
    with pytest.raises(InputError, match=r"split test, row 0: `tokens` contains ' '; a token"):
        read({"language": "eng"}, tmp_path, "token_classification")


@pytest.mark.parametrize(
    ("ending", "labels", "options"),
    [
        ("parquet", [0, -1, 1, 1, 0], {}),  # a ClassLabel, as in SNLI
        ("parquet", [0, -1, 1, 1, 0], {"labels": ["yes", "no"]}),
        ("csv", [0, -1, 1, 1, 0], {"labels": ["yes", "no"]}),
        ("jsonl", ["yes", "-", "no", "no", "yes"], {}),
        ("jsonl", ["yes", None, "no", "no", "yes"], {}),
    ],
)
def test_pairs_without_a_label_or_a_sentence_are_dropped_and_counted(
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    ending: str,
    labels: list[Any],
    options: dict[str, Any],
) -> None:
    columns = {"premise": list("abcde"), "hypothesis": ["f", "g", "", "i", "j"], "label": labels}
    names = {} if options else {"label": datasets.ClassLabel(names=["yes", "no"])}
    features = names if ending == "parquet" else {}
    for split in ("train", "validation", "test"):
        write_table(tmp_path / f"{split}.{ending}", columns, **features)
    options = {"language": "eng", **options}
    splits = read(options, tmp_path, PAIRS)
    kept = [(e["id"], e["first"], e["label"]) for e in splits["test"]]
    assert kept == [
        ("eng-test-0", "a", "yes"),
        ("eng-test-3", "d", "no"),
        ("eng-test-4", "e", "yes"),
    ]
    counts = "1 pairs with an empty sentence, 1 pairs without a label dropped"
    assert caplog.text.count(counts) == 3
    withheld = columns | {"label": [labels[1]] * 5}
    write_table(tmp_path / f"test.{ending}", withheld, **features)
    with pytest.raises(
        InputError,
        match=r"split test: no row can be used \(5 pairs without a label\); name another split",
    ):
        read(options, tmp_path, PAIRS)


def test_minus_one_is_a_label_in_text_and_other_numbers_are_not_withheld(tmp_path: Path) -> None:
    for split in ("train", "validation", "test"):
        (tmp_path / f"{split}.csv").write_text("premise,hypothesis,label\na,b,-1\n", "utf-8")
    assert read({"language": "eng"}, tmp_path, PAIRS)["test"][0]["label"] == "-1"
    for split in ("train", "validation", "test"):
        (tmp_path / f"{split}.csv").unlink()
        columns = {"premise": ["a"], "hypothesis": ["b"], "label": [-2]}
        write_table(tmp_path / f"{split}.jsonl", columns)
    with pytest.raises(InputError, match=r"row 0: the label is -2, which `labels` does not name"):
        read({"language": "eng", "labels": ["yes", "no"]}, tmp_path, PAIRS)


# Over the network

READING_SCRIPT = """
import json, sys
from semantic_tokens.data.corpora import read_corpus
from semantic_tokens.errors import InputError
from semantic_tokens.data.datasets import read_dataset

def read(reader, options, kind, mirror):
    if kind == "corpus":
        return list(read_corpus("mine", reader, options, None, mirror=mirror))
    splits = read_dataset(reader, options, None, kind=kind, name="mine", mirror=mirror)
    return {split: list(examples) for split, examples in splits.items()}

results = []
for request in json.loads(sys.argv[1]):
    try:
        results.append(read(**request))
    except InputError as error:
        results.append(str(error))
print(json.dumps(results))
"""


class HubReader:
    """Reads datasets in a separate process, with the hub's settings in its environment."""

    def __init__(self, home: Path) -> None:
        self.environment = os.environ | {
            "HF_HOME": str(home),
            "PYTHONPATH": str(ROOT / "workflow"),
            "OMP_NUM_THREADS": "1",
        }
        for name in ("HF_TOKEN", "HF_HUB_CACHE", "HF_DATASETS_CACHE", "HF_ENDPOINT"):
            self.environment.pop(name, None)

    def read(
        self,
        options: dict[str, Any],
        kind: str = "token_classification",
        reader: str = "hf",
        mirror: str | None = None,
        **environment: str,
    ) -> Any:
        request = {"options": options, "kind": kind, "reader": reader, "mirror": mirror}
        return self.read_all([request], **environment)[0]

    def read_all(self, requests: list[dict[str, Any]], **environment: str) -> list[Any]:
        """For each request, the records or the message of an InputError."""
        process = subprocess.run(
            [sys.executable, "-c", READING_SCRIPT, json.dumps(requests)],
            env=self.environment | environment,
            capture_output=True,
            encoding="utf-8",
            check=False,
        )
        assert process.returncode == 0, process.stderr
        return json.loads(process.stdout.splitlines()[-1])


@pytest.fixture
def hub_reader(tmp_path: Path) -> HubReader:
    return HubReader(tmp_path / "home")


PINNED = NAMES | {"id": "o/names", "revision": REVISION}


def test_hub_dataset_is_read_by_its_card_and_then_from_the_cache(
    repositories: Path, hub_reader: HubReader
) -> None:
    with serving(hub(repositories, REVISION)) as (address, requests):
        online = hub_reader.read(PINNED | {"languages": ["deu"]}, HF_ENDPOINT=address)
        paths = [path for _, path, _ in requests]
        assert not any("no/" in path for path in paths if "resolve" in path)
        assert any(f"resolve/{REVISION}/de/train-" in path for path in paths)
        earlier_requests = len(requests)
        assert hub_reader.read(PINNED | {"languages": ["deu"]}, HF_ENDPOINT=address) == online
        repeated = [path for method, path, _ in requests[earlier_requests:] if method == "GET"]
        assert not any(path.endswith(".parquet") for path in repeated)
    assert [e["tokens"] for e in online["train"]] == [["Ada", "de"], ["train"]]
    offline = hub_reader.read(PINNED | {"languages": ["deu"]}, HF_HUB_OFFLINE="1")
    assert offline == online


def test_only_files_that_match_the_pattern_are_fetched(
    repositories: Path, hub_reader: HubReader
) -> None:
    options = PINNED | {"files": "{configuration}/{split}-*.parquet", "languages": ["nor"]}
    options |= {"splits": {"train": "train", "test": "test"}, "dev_fraction": 0}
    with serving(hub(repositories, REVISION)) as (address, requests):
        online = hub_reader.read(options, HF_ENDPOINT=address)
        fetched = {path.rpartition("/")[2] for _, path, _ in requests if path.endswith(".parquet")}
    assert fetched == {"train-00000-of-00001.parquet", "test-00000-of-00001.parquet"}
    assert [e["tokens"] for e in online["test"]] == [["Ada", "no"], ["test"]]
    assert hub_reader.read(options, HF_HUB_OFFLINE="1") == online


def test_mirror_can_be_an_address_or_a_folder(repositories: Path, hub_reader: HubReader) -> None:
    with serving(hub(repositories, REVISION)) as (address, _):
        served = hub_reader.read(PINNED, mirror=address)
    assert served["train"][0]["tokens"] == ["Ada", "de"]
    assert hub_reader.read(PINNED, mirror=str(repositories), HF_HUB_OFFLINE="1") == served
    missing = hub_reader.read(PINNED | {"id": "o/none"}, mirror=str(repositories))
    assert "there is no folder" in missing and "o/none" in missing


def test_a_dev_split_that_is_named_and_does_not_exist_is_refused(repositories: Path) -> None:
    options = NAMES | {"splits": {"train": "train", "dev": "dev", "test": "test"}}
    with pytest.raises(InputError, match=r"options\.splits: dev is 'dev', and there is no such"):
        read(options, repositories / "o/names", "token_classification")


def test_streaming_leaves_no_files_in_the_cache(
    repositories: Path, hub_reader: HubReader, tmp_path: Path
) -> None:
    options = PINNED | {"streaming": True, "files": "{configuration}/{split}-*.parquet"}
    with serving(hub(repositories, REVISION)) as (address, _):
        found = hub_reader.read(options, HF_ENDPOINT=address)
    assert found["test"][0]["tokens"] == ["Ada", "de"]
    assert not list((tmp_path / "home").rglob("*.parquet"))
    offline = hub_reader.read(options, HF_HUB_OFFLINE="1")
    assert "HF_HUB_OFFLINE is set: unset it" in offline


def test_words_in_streamed_tables_of_text_are_kept(
    repositories: Path, hub_reader: HubReader
) -> None:
    rows = "premise{0}hypothesis{0}label\nNA{0}null{0}yes\n"
    for split in ("train", "validation", "test"):
        for ending, separator, more in (("csv", ",", ""), ("tsv", "\t", '"\tb\tno\nc\td\tno\n')):
            file = repositories / f"o/pairs/{ending}/{split}.{ending}"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(rows.format(separator) + more, encoding="utf-8")
    options = {"id": "o/pairs", "revision": REVISION, "streaming": True, "language": "eng"}
    with serving(hub(repositories, REVISION)) as (address, _):
        for ending, expected in (("csv", ["NA"]), ("tsv", ["NA", '"', "c"])):
            found = hub_reader.read(
                options | {"files": f"{ending}/{{split}}.{ending}"},
                "pair_classification",
                HF_ENDPOINT=address,
            )
            assert [e["first"] for e in found["test"]] == expected, found


def test_only_the_requested_wikipedia_articles_are_read(
    repositories: Path, hub_reader: HubReader
) -> None:
    for code in ("de", "sw"):
        texts = {"text": [f"{code} {i}" for i in range(9)]}
        write_table(repositories / f"o/wiki/20231101.{code}/train-00000-of-00001.parquet", texts)
    options = {"id": "o/wiki", "revision": REVISION, "languages": ["swa"], "max_articles": 2}
    with serving(hub(repositories, REVISION)) as (address, requests):
        found = hub_reader.read(options, "corpus", "wikipedia", HF_ENDPOINT=address)
    assert found == [{"language": "swa", "text": "sw 0"}, {"language": "swa", "text": "sw 1"}]
    assert not any("20231101.de/" in path for _, path, _ in requests)


def test_xnli_and_tydiqa_are_read_from_the_hub(repositories: Path, hub_reader: HubReader) -> None:
    for split in ("train", "validation", "test"):
        columns = {"premise": [split], "hypothesis": ["b"], "label": [2]}
        for code in ("de", "fr"):
            write_table(repositories / f"o/xnli/{code}/{split}-00000-of-00001.parquet", columns)
    for split in ("train", "validation"):
        rows = [(language, i) for language in ("english", "swahili") for i in range(9)]
        columns = {
            "id": [f"{language}-{split}-{i}" for language, i in rows],
            "title": [f"{language} {split} {i}" for language, i in rows],
            "context": [f"Ada {split} {i} in Rome, {language}." for language, i in rows],
            "question": ["Where?"] * len(rows),
            "answers": [{"text": ["Ada"], "answer_start": [0]} for _ in rows],
        }
        write_table(
            repositories / f"o/tydiqa/secondary_task/{split}-00000-of-00001.parquet", columns
        )
    pins = {"revision": REVISION}
    with serving(hub(repositories, REVISION)) as (address, requests):
        xnli = hub_reader.read(
            pins | {"id": "o/xnli", "languages": ["deu"]}, "pair_classification", "xnli_hub",
            HF_ENDPOINT=address,
        )  # fmt: skip
        tydiqa = hub_reader.read(
            pins | {"id": "o/tydiqa", "languages": ["swa"]}, "question_answering", "tydiqa_hub",
            HF_ENDPOINT=address,
        )  # fmt: skip
        assert not any("/fr/" in path for _, path, _ in requests)
    assert [e["label"] for e in xnli["test"]] == ["contradiction"]
    assert [e["id"] for e in tydiqa["test"]] == [f"swahili-validation-{i}" for i in range(9)]


HUB_ERRORS: list[tuple[dict[str, Any], str]] = [
    ({"revision": "b" * 40}, f"o/names has no revision {'b' * 40}"),
    ({"id": "o/none"}, "the hub has no dataset o/none"),
    ({"id": "o/gated"}, "o/gated is gated; accept its terms"),
    ({"id": "o/script"}, "Dataset scripts are no longer supported, but found script.py"),
    ({"configurations": {"deu": "it"}}, "BuilderConfig 'it' not found. Available: ['de', 'no']"),
    ({"columns": {"tokens": "words"}}, "columns.tokens is 'words', which is not a column"),
]


@pytest.mark.parametrize("streaming", [False, True])
def test_hub_errors_are_one_line(
    repositories: Path, hub_reader: HubReader, streaming: bool
) -> None:
    read_requests = [
        {
            "reader": "hf",
            "kind": "token_classification",
            "mirror": None,
            "options": PINNED | change | {"streaming": streaming},
        }
        for change, _ in HUB_ERRORS
    ]
    with serving(hub(repositories, REVISION)) as (address, _):
        messages = hub_reader.read_all(read_requests, HF_ENDPOINT=address)
    for message, (_, expected) in zip(messages, HUB_ERRORS, strict=True):
        assert message.startswith("config key datasets.mine.options") and expected in message
        assert "\n" not in message


def test_offline_and_unauthorized_errors_name_the_environment_variable(
    hub_reader: HubReader,
) -> None:
    message = hub_reader.read(PINNED, HF_ENDPOINT="http://127.0.0.1:9", HF_HUB_OFFLINE="1")
    assert "o/names" in message and "not in its cache, and HF_HUB_OFFLINE is set" in message
    with serving(lambda handler: send(handler, 401)) as (address, _):
        message = hub_reader.read(PINNED, HF_ENDPOINT=address)
    assert "o/names" in message and "HF_TOKEN" in message


# Records that the readers return


def test_written_splits_open_with_the_datasets_library(repositories: Path, tmp_path: Path) -> None:
    from semantic_tokens.json_files import write_jsonl

    splits = read(NAMES, repositories / "o/names", "token_classification")
    files = {}
    for split, examples in splits.items():
        files[split] = str(tmp_path / f"made/{split}.jsonl")
        write_jsonl(examples, files[split])
    opened = datasets.load_dataset("json", data_files=files, cache_dir=str(tmp_path / "cache"))
    assert {split: list(rows) for split, rows in opened.items()} == splits
    lengths = opened["test"].map(lambda row: {"length": len(row["tokens"])})
    assert lengths["length"] == [2, 1, 2, 1]


def test_hub_json_with_bom_crlf_and_lone_surrogates_is_read(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rows = [{"premise": "sad \ud83d", "hypothesis": "b", "label": "x"}] * 4
    lines = "\ufeff" + "\r\n\r\n".join(map(json.dumps, rows))
    for split in ("train", "validation"):
        (tmp_path / f"{split}.jsonl").write_bytes(lines.encode())
    (tmp_path / "test.json").write_text(json.dumps(rows), encoding="utf-8")
    options: dict[str, Any] = {"language": "eng", "files": "{split}.json*"}
    splits = read(options, tmp_path, "pair_classification")
    assert (
        [e["first"] for e in splits["train"]]
        == ["sad \ufffd"] * 4
        == [e["first"] for e in splits["test"]]
    )
    assert "train.jsonl: 4 halves of surrogate pairs" in caplog.text
    options["splits"] = {"train": "train[:75%]", "dev": "train[-1:]", "test": "test"}
    splits = read(options, tmp_path, "pair_classification")
    assert [len(examples) for examples in splits.values()] == [3, 1, 4]
    (tmp_path / "train.jsonl").write_text("null\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"train\.jsonl, line 1: not a JSON object but 'null'"):
        read(options, tmp_path, "pair_classification")
