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


def table(path: Path, columns: dict[str, list[Any]], **features: Any) -> None:
    """Write a table in the format of ``datasets``, with the features of some columns."""
    path.parent.mkdir(parents=True, exist_ok=True)
    made = datasets.Dataset.from_dict(columns)
    for name, feature in features.items():
        made = made.cast_column(name, feature)
    if path.suffix == ".parquet":
        made.to_parquet(path)
    elif path.suffix == ".jsonl":
        made.to_json(path)
    else:
        made.to_csv(path, sep="\t" if path.suffix == ".tsv" else ",")


def card(folder: Path, configurations: dict[str, dict[str, str]]) -> None:
    """Write a README.md with the files of all configurations and splits."""
    lines = ["---", "configs:"]
    for name, splits in configurations.items():
        lines += [f'- config_name: "{name}"', "  data_files:"]
        for split, files in splits.items():
            lines += [f"  - split: {split}", f"    path: {files}"]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "README.md").write_text("\n".join([*lines, "---", ""]), encoding="utf-8")


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
            table(folder / f"{code}/{split}-00000-of-00001.parquet", columns, ner_tags=names)
    card(folder, {c: {s: f"{c}/{s}-*" for s in splits} for c in ("de", "no")})
    (tmp_path / "hub/o/gated").mkdir()
    (tmp_path / "hub/o/gated/gated").touch()
    (tmp_path / "hub/o/script").mkdir()
    (tmp_path / "hub/o/script/script.py").write_text("raise SystemExit", encoding="utf-8")
    return tmp_path / "hub"


#: The value of ``{deu: de, nor: no}`` in YAML.
NAMES: dict[str, Any] = {"configurations": {"deu": "de", "nor": False}}


# From a folder


def test_names_in_two_languages(repositories: Path) -> None:
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
    one = read(NAMES | {"languages": ["nor"]}, repositories / "o/names", "token_classification")
    assert {e["language"] for e in one["train"]} == {"nor"}


def test_files_are_named_where_a_folder_has_no_card(repositories: Path) -> None:
    (repositories / "o/names/README.md").unlink()
    files = "{configuration}/{split}-*.parquet"
    splits = read(NAMES | {"files": files}, repositories / "o/names", "token_classification")
    assert [len(examples) for examples in splits.values()] == [4, 4, 4]


def test_slices_and_a_dev_set_of_one_s_own(repositories: Path) -> None:
    folder = repositories / "o/names"
    options = NAMES | {"splits": {"train": "train[:50%]", "dev": "train[50%:]", "test": "test"}}
    splits = read(options, folder, "token_classification")
    assert [e["tokens"] for e in splits["train"]] == [["Ada", "de"], ["Ada", "no"]]
    assert [e["tokens"] for e in splits["dev"]] == [["train"], ["train"]]
    options = NAMES | {"splits": {"train": "train", "test": "test"}, "dev_fraction": 0.4, "seed": 2}
    splits = read(options, folder, "token_classification")
    assert len(splits["train"]) + len(splits["dev"]) == 4 and splits["dev"]


QUESTIONS = {
    "qid": ["a", "b"],
    "passage": ["Ada lived in Rome.", "Ada lived in Paris."],
    "question": ["Where?", "Why?"],
    "lang": ["en", "swahili"],
}


@pytest.mark.parametrize("form", ["lists", "records", "flat"])
def test_questions_with_their_language_in_a_column(tmp_path: Path, form: str) -> None:
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
    }
    expected = [{"text": "Paris", "start": 13}] if form == "flat" else []
    assert (splits["test"][1]["language"], splits["test"][1]["answers"]) == ("swa", expected)


@pytest.mark.parametrize("ending", ["parquet", "jsonl", "csv", "tsv"])
def test_pairs_in_every_format(tmp_path: Path, ending: str) -> None:
    columns = {"premise": ["a", "c"], "hypothesis": ["b", "d"], "label": [1, 0]}
    for split in ("train", "validation", "test"):
        table(tmp_path / f"{split}.{ending}", columns)
    options = {"language": "eng", "labels": ["yes", False]}  # YAML's [yes, no]
    splits = read(options, tmp_path, "pair_classification")
    assert splits["test"][0] == {
        "id": "eng-test-0",
        "language": "eng",
        "first": "a",
        "second": "b",
        "label": "no",
    }


@pytest.fixture
def ranking(tmp_path: Path) -> Path:
    """A retrieval dataset in MTEB's format."""
    folder = tmp_path / "ranking"
    table(folder / "queries.jsonl", {"_id": ["q1", "q2", "q3"], "text": ["red", "blue", "green"]})
    passages = {"_id": ["p1", "p2"], "title": ["", "Sky"], "text": ["roses", "the sky"]}
    table(folder / "corpus.jsonl", passages)
    judged = {
        "train": {"query-id": ["q1", "q1"], "corpus-id": ["p1", "p2"], "score": [2.0, 0.0]},
        "dev": {"query-id": ["q2"], "corpus-id": ["p2"], "score": [1]},
        "test": {"query-id": ["q3", "q9"], "corpus-id": ["p2", "p2"], "score": [1, 1]},
    }
    for split, columns in judged.items():
        table(folder / f"qrels/{split}.jsonl", columns)
    configurations = {"default": {s: f"qrels/{s}.jsonl" for s in judged}}
    configurations |= {n: {n: f"{n}.jsonl"} for n in ("queries", "corpus")}
    card(folder, configurations)
    return folder


def test_ranking_in_mteb_s_form(ranking: Path, caplog: pytest.LogCaptureFixture) -> None:
    splits = read({"language": "eng"}, ranking, "ranking")
    assert splits["train"] == [
        {"id": "eng-q1", "language": "eng", "query": "red", "relevant": {"eng-p1": 2}}
    ]
    assert [e["id"] for e in splits["test"]] == ["eng-q3"]
    assert splits["passages"] == [
        {"id": "eng-p1", "language": "eng", "title": "", "text": "roses"},
        {"id": "eng-p2", "language": "eng", "title": "Sky", "text": "the sky"},
    ]
    assert "1 judgements of unknown queries dropped" in caplog.text


def test_ranking_with_tables_and_columns_of_other_names(ranking: Path) -> None:
    table(ranking / "de/topics.csv", {"n": [1, 2, 3], "words": ["rot", "blau", "grün"]})
    table(ranking / "de/docs.csv", {"n": ["p1", "p2"], "body": ["Rosen", "Himmel"]})
    options = {
        "configurations": {"deu": "de"},
        "queries": {"files": "{configuration}/topics.csv", "id": "n", "text": "words"},
        "corpus": {"files": "{configuration}/docs.csv", "id": "n", "text": "body"},
        "qrels": {"files": "de/{split}.tsv", "query": "q", "passage": "d", "grade": "g"},
        "splits": {"train": "a", "dev": "b", "test": "c"},
    }
    for number, split in enumerate("abc", start=1):
        table(ranking / f"de/{split}.tsv", {"q": [number], "d": ["p1"], "g": [1]})
    splits = read(options, ranking, "ranking")
    assert splits["dev"] == [
        {"id": "deu-2", "language": "deu", "query": "blau", "relevant": {"deu-p1": 1}}
    ]
    assert [p["title"] for p in splits["passages"]] == ["", ""]


def test_texts_of_a_dataset_as_a_corpus(repositories: Path) -> None:
    folder = repositories / "o/texts"
    for code in ("de", "sw"):
        table(folder / f"{code}.jsonl", {"doc": [{"body": f"{code} {i}"} for i in range(5)]})
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
        ({"columns": {"tokens": "token"}}, r"options\.columns\.tokens is 'token', which is not a column of \S+o/names, configuration de, split train; did you mean 'tokens'\? there are tokens, ner_tags"),
        ({"columns": {"tags": "ner_tags.x"}}, r"options\.columns\.tags is 'ner_tags\.x', which is not"),
        ({"columns": {"token": "x"}}, r"options\.columns\.token is not known; it takes tokens, tags"),
        ({"columns": "tokens"}, r"options\.columns is 'tokens' and must be a mapping"),
        ({"configurations": {"deu": "it"}}, r"BuilderConfig 'it' not found.*'de', 'no'.*`configurations`"),
        ({"configurations": {"de": "de"}}, r"options\.configurations has 'de' and must name languages"),
        ({"configurations": None}, r"Config name is missing.*; name one in `configurations`"),
        ({"configurations": "de"}, r"the language of the rows is unknown; give `configurations` by"),
        ({"splits": {"train": "train", "test": "tset"}}, r"de has no split to test on; correct"),
        ({"splits": {"trian": "train"}}, r"options\.splits\.trian is not known; it takes train, dev"),
        ({"files": "{configuration}/none-*"}, r"configuration de has no split .*\(de/none-\*"),
        ({"files": "{code}/x"}, r"`files` is '\{code\}/x' and must be a pattern"),
        ({"languages": ["fra"]}, r"options\.configurations: no data in fra; available are deu, nor"),
        ({"language": "de"}, r"options\.language is 'de' and must be ISO 639-3: deu"),
        ({"queries": {}}, r"options\.queries is of a dataset of kind ranking"),
        ({"dev_fraction": 2}, r"`dev_fraction` is 2"),
        ({"column": "x"}, r"options\.column is not known to reader hf"),
    ],
)  # fmt: skip
def test_what_is_not_there_is_named_before_any_work(
    repositories: Path, change: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        read_dataset(
            "hf", NAMES | change, repositories / "o/names", kind="token_classification", name="mine"
        )


def test_nothing_to_read_is_named() -> None:
    with pytest.raises(
        InputError, match=r"datasets\.mine\.options: the location of the data is missing.*`id`"
    ):
        read(NAMES, None, "token_classification")


def test_numbers_that_nothing_names_are_refused(tmp_path: Path) -> None:
    for split in ("train", "validation", "test"):
        table(tmp_path / f"{split}.jsonl", {"tokens": [["a"]], "ner_tags": [[3]]})
    with pytest.raises(InputError, match=r"row 0: the label is 3, which has no name; list"):
        read({"language": "eng"}, tmp_path, "token_classification")
    with pytest.raises(InputError, match=r"the label is 3, which `labels` does not name"):
        read({"language": "eng", "labels": ["O"]}, tmp_path, "token_classification")


# Over the network

_SCRIPT = """
import json, sys
from semantic_tokens.data.corpora import read_corpus
from semantic_tokens.errors import InputError
from semantic_tokens.data.datasets import read_dataset

def answer(reader, options, kind, mirror):
    if kind == "corpus":
        return list(read_corpus("mine", reader, options, None, mirror=mirror))
    splits = read_dataset(reader, options, None, kind=kind, name="mine", mirror=mirror)
    return {split: list(examples) for split, examples in splits.items()}

answers = []
for asked in json.loads(sys.argv[1]):
    try:
        answers.append(answer(**asked))
    except InputError as error:
        answers.append(str(error))
print(json.dumps(answers))
"""


class Hub:
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
        asked = {"options": options, "kind": kind, "reader": reader, "mirror": mirror}
        return self.answers([asked], **environment)[0]

    def answers(self, asked: list[dict[str, Any]], **environment: str) -> list[Any]:
        """The records, or the message of an InputError."""
        answer = subprocess.run(
            [sys.executable, "-c", _SCRIPT, json.dumps(asked)],
            env=self.environment | environment,
            capture_output=True,
            encoding="utf-8",
            check=False,
        )
        assert answer.returncode == 0, answer.stderr
        return json.loads(answer.stdout.splitlines()[-1])


@pytest.fixture
def own_hub(tmp_path: Path) -> Hub:
    return Hub(tmp_path / "home")


PINNED = NAMES | {"id": "o/names", "revision": REVISION}


def test_a_dataset_of_the_hub_by_its_card_and_from_the_cache(
    repositories: Path, own_hub: Hub
) -> None:
    with serving(hub(repositories, REVISION)) as (address, requests):
        online = own_hub.read(PINNED | {"languages": ["deu"]}, HF_ENDPOINT=address)
        paths = [path for _, path, _ in requests]
        assert not any("no/" in path for path in paths if "resolve" in path)
        assert any(f"resolve/{REVISION}/de/train-" in path for path in paths)
        asked = len(requests)
        assert own_hub.read(PINNED | {"languages": ["deu"]}, HF_ENDPOINT=address) == online
        again = [path for method, path, _ in requests[asked:] if method == "GET"]
        assert not any(path.endswith(".parquet") for path in again)
    assert [e["tokens"] for e in online["train"]] == [["Ada", "de"], ["train"]]
    offline = own_hub.read(PINNED | {"languages": ["deu"]}, HF_HUB_OFFLINE="1")
    assert offline == online


def test_only_the_files_that_are_named_are_fetched(repositories: Path, own_hub: Hub) -> None:
    options = PINNED | {"files": "{configuration}/{split}-*.parquet", "languages": ["nor"]}
    options |= {"splits": {"train": "train", "test": "test"}, "dev_fraction": 0}
    with serving(hub(repositories, REVISION)) as (address, requests):
        online = own_hub.read(options, HF_ENDPOINT=address)
        fetched = {path.rpartition("/")[2] for _, path, _ in requests if path.endswith(".parquet")}
    assert fetched == {"train-00000-of-00001.parquet", "test-00000-of-00001.parquet"}
    assert [e["tokens"] for e in online["test"]] == [["Ada", "no"], ["test"]]
    assert own_hub.read(options, HF_HUB_OFFLINE="1") == online


def test_a_mirror_s_address_and_its_folder(repositories: Path, own_hub: Hub) -> None:
    with serving(hub(repositories, REVISION)) as (address, _):
        served = own_hub.read(PINNED, mirror=address)
    assert served["train"][0]["tokens"] == ["Ada", "de"]
    assert own_hub.read(PINNED, mirror=str(repositories), HF_HUB_OFFLINE="1") == served
    missing = own_hub.read(PINNED | {"id": "o/none"}, mirror=str(repositories))
    assert "there is no folder" in missing and "o/none" in missing


def test_streaming_keeps_nothing(repositories: Path, own_hub: Hub, tmp_path: Path) -> None:
    options = PINNED | {"streaming": True, "files": "{configuration}/{split}-*.parquet"}
    with serving(hub(repositories, REVISION)) as (address, _):
        found = own_hub.read(options, HF_ENDPOINT=address)
    assert found["test"][0]["tokens"] == ["Ada", "de"]
    assert not list((tmp_path / "home").rglob("*.parquet"))
    offline = own_hub.read(options, HF_HUB_OFFLINE="1")
    assert "HF_HUB_OFFLINE is set" in offline or "ffline" in offline


def test_a_few_articles_of_wikipedia(repositories: Path, own_hub: Hub) -> None:
    for code in ("de", "sw"):
        texts = {"text": [f"{code} {i}" for i in range(9)]}
        table(repositories / f"o/wiki/20231101.{code}/train-00000-of-00001.parquet", texts)
    options = {"id": "o/wiki", "revision": REVISION, "languages": ["swa"], "max_articles": 2}
    with serving(hub(repositories, REVISION)) as (address, requests):
        found = own_hub.read(options, "corpus", "wikipedia", HF_ENDPOINT=address)
    assert found == [{"language": "swa", "text": "sw 0"}, {"language": "swa", "text": "sw 1"}]
    assert not any("20231101.de/" in path for _, path, _ in requests)


def test_xnli_and_tydiqa_of_the_hub(repositories: Path, own_hub: Hub) -> None:
    for split in ("train", "validation", "test"):
        columns = {"premise": [split], "hypothesis": ["b"], "label": [2]}
        for code in ("de", "fr"):
            table(repositories / f"o/xnli/{code}/{split}-00000-of-00001.parquet", columns)
    for split in ("train", "validation"):
        rows = [(language, i) for language in ("english", "swahili") for i in range(9)]
        columns = {
            "id": [f"{language}-{split}-{i}" for language, i in rows],
            "title": [f"{language} {split} {i}" for language, i in rows],
            "context": [f"Ada {split} {i} in Rome, {language}." for language, i in rows],
            "question": ["Where?"] * len(rows),
            "answers": [{"text": ["Ada"], "answer_start": [0]} for _ in rows],
        }
        table(repositories / f"o/tydiqa/secondary_task/{split}-00000-of-00001.parquet", columns)
    pins = {"revision": REVISION}
    with serving(hub(repositories, REVISION)) as (address, requests):
        xnli = own_hub.read(
            pins | {"id": "o/xnli", "languages": ["deu"]}, "pair_classification", "xnli_hub",
            HF_ENDPOINT=address,
        )  # fmt: skip
        tydiqa = own_hub.read(
            pins | {"id": "o/tydiqa", "languages": ["swa"]}, "question_answering", "tydiqa_hub",
            HF_ENDPOINT=address,
        )  # fmt: skip
        assert not any("/fr/" in path for _, path, _ in requests)
    assert [e["label"] for e in xnli["test"]] == ["contradiction"]
    assert [e["id"] for e in tydiqa["test"]] == [f"swahili-validation-{i}" for i in range(9)]


REFUSALS: list[tuple[dict[str, Any], str]] = [
    ({"revision": "b" * 40}, f"o/names has no revision {'b' * 40} (any more); correct its `revi"),
    ({"id": "o/none"}, "the hub has no dataset o/none, or you have no access; correct its name"),
    ({"id": "o/gated"}, "o/gated is gated; accept its terms on the hub with your account, and"),
    ({"id": "o/script"}, "Dataset scripts are no longer supported, but found script.py; take a"),
    ({"configurations": {"deu": "it"}}, "BuilderConfig 'it' not found. Available: ['de', 'no']"),
    ({"columns": {"tokens": "words"}}, "columns.tokens is 'words', which is not a column of"),
]


@pytest.mark.parametrize("streaming", [False, True])
def test_the_hub_s_refusals_are_one_line(repositories: Path, own_hub: Hub, streaming: bool) -> None:
    asked = [
        {
            "reader": "hf",
            "kind": "token_classification",
            "mirror": None,
            "options": PINNED | change | {"streaming": streaming},
        }
        for change, _ in REFUSALS
    ]
    with serving(hub(repositories, REVISION)) as (address, _):
        answers = own_hub.answers(asked, HF_ENDPOINT=address)
    for said, (_, message) in zip(answers, REFUSALS, strict=True):
        assert said.startswith("config key datasets.mine.options") and message in said
        assert "\n" not in said


def test_a_hub_without_a_network_is_one_line(own_hub: Hub) -> None:
    said = own_hub.read(PINNED, HF_ENDPOINT="http://127.0.0.1:9", HF_HUB_OFFLINE="1")
    assert "o/names is on the hub and not in its cache, and HF_HUB_OFFLINE is set" in said
    with serving(lambda handler: send(handler, 401)) as (address, _):
        said = own_hub.read(PINNED, HF_ENDPOINT=address)
    assert "o/names" in said and "HF_TOKEN" in said


# Results of our readers


def test_what_is_made_opens_with_datasets(repositories: Path, tmp_path: Path) -> None:
    from semantic_tokens.files import write_jsonl

    splits = read(NAMES, repositories / "o/names", "token_classification")
    files = {}
    for split, examples in splits.items():
        files[split] = str(tmp_path / f"made/{split}.jsonl")
        write_jsonl(examples, files[split])
    opened = datasets.load_dataset("json", data_files=files, cache_dir=str(tmp_path / "cache"))
    assert {split: list(rows) for split, rows in opened.items()} == splits
    lengths = opened["test"].map(lambda row: {"length": len(row["tokens"])})
    assert lengths["length"] == [2, 1, 2, 1]


def test_json_of_the_hub_is_read_as_people_s_json_is(
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
