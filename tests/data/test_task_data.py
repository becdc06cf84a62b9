"""Readers of the benchmarks: records, and messages about malformed files."""

import gzip
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from semantic_tokens.components import groups_sharing
from semantic_tokens.data.datasets import read_dataset, validate_examples
from semantic_tokens.data.datasets.canonical import iob2
from semantic_tokens.data.datasets.miracl import read_qrels, read_topics
from semantic_tokens.data.datasets.splitting import part_of, sample
from semantic_tokens.errors import InputError

Splits = dict[str, list[dict[str, Any]]]


def read(
    reader: str, path: Path | list[Path] | None, options: dict[str, Any] | None = None, **more
) -> Splits:
    splits = read_dataset(reader, options or {}, path, **more)
    return {split: list(examples) for split, examples in splits.items()}


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def write_json_lines(path: Path, records: list[dict[str, Any]]) -> Path:
    return write(path, "".join(json.dumps(record) + "\n" for record in records))


# Canonical examples


VALID: dict[str, dict[str, Any]] = {
    "token_classification": {
        "id": "1",
        "language": "swa",
        "tokens": ["Amina", "Juma", "yuko"],
        "tags": ["B-PER", "I-PER", "O"],
    },
    "question_answering": {
        "id": "1",
        "language": "deu",
        "context": "Ein Kürbis wiegt 5 kg.",
        "question": "Wie viel?",
        "answers": [{"text": "5 kg", "start": 17}],
    },
    "pair_classification": {
        "id": "1",
        "language": "eng",
        "first": "It rains.",
        "second": "It is dry.",
        "label": "contradiction",
    },
    "ranking": {"id": "1", "language": "yor", "query": "ta ni?", "relevant": {"p1": 1}},
    "passage": {"id": "p1", "language": "yor", "title": "", "text": "Ọba"},
}


@pytest.mark.parametrize("kind", VALID)
def test_valid_examples_pass_unchanged(kind: str) -> None:
    examples = [VALID[kind], VALID[kind] | {"id": "2"}]
    assert list(validate_examples(kind, examples, "mine.jsonl")) == examples


@pytest.mark.parametrize(
    ("kind", "change", "complaint"),
    [
        ("token_classification", {"tags": ["B-PER", "O"]}, "each token one tag"),
        ("token_classification", {"tags": ["O", "I-PER", "O"]}, r"`tags`\[1\] is I-PER"),
        ("token_classification", {"tags": ["B-PER", "I-LOC", "O"]}, "in IOB2 it is B-LOC"),
        ("token_classification", {"tags": ["B-PER", "PER", "O"]}, "'PER'; a tag must be"),
        ("token_classification", {"tokens": ["Amina", " ", "yuko"]}, "not blank"),
        ("token_classification", {"tokens": "Amina"}, "must be a list"),
        ("question_answering", {"answers": [{"text": "5 kg", "start": 18}]}, "at character 18"),
        ("question_answering", {"answers": [{"text": "5 kg", "start": "17"}]}, "integer"),
        ("question_answering", {"answers": [{}]}, "an answer must be"),
        ("pair_classification", {"label": 2}, "`label` is 2 and must be a string"),
        ("pair_classification", {"second": ""}, "`second` is empty"),
        ("pair_classification", {"language": "en"}, "must be ISO 639-3: eng"),
        ("pair_classification", {"language": "xx"}, "not known"),
        ("ranking", {"relevant": {"p1": 0}}, "positive integer"),
        ("ranking", {"relevant": {}}, "`relevant` is empty"),
        ("ranking", {"irrelevant": "p2"}, "`irrelevant` is 'p2' and must be a list"),
        ("ranking", {"irrelevant": [2]}, "must be a list of ids"),
        ("passage", {"text": ""}, "`text` is empty"),
    ],
)
def test_invalid_example_is_named_by_file_and_record(
    kind: str, change: dict[str, Any], complaint: str
) -> None:
    examples = [VALID[kind], VALID[kind] | {"id": "2"} | change]
    with pytest.raises(InputError, match=rf"mine\.jsonl, record 2: .*{complaint}"):
        list(validate_examples(kind, examples, "mine.jsonl"))


def test_missing_key_is_named_in_the_error() -> None:
    example = {key: VALID["ranking"][key] for key in ("id", "language", "query")}
    with pytest.raises(InputError, match="record 1: key `relevant` is missing"):
        list(validate_examples("ranking", [example], "mine.jsonl"))


def test_duplicate_ids_are_refused() -> None:
    others = [VALID["passage"], VALID["passage"] | {"text": "another"}]
    with pytest.raises(InputError, match="record 2: `id` 'p1' is taken"):
        list(validate_examples("passage", others, "mine.jsonl"))


def test_iob2_keeps_the_entities_that_seqeval_sees() -> None:
    from seqeval.metrics.sequence_labeling import get_entities

    tags = ["I-PER", "I-PER", "O", "I-LOC", "I-ORG", "B-ORG", "I-ORG", "O", "B-PER", "I-DATE"]
    assert iob2(tags) != tags
    assert get_entities(iob2(tags)) == get_entities(tags)
    assert iob2(iob2(tags)) == iob2(tags)


# Splits and samples


def test_split_fractions_are_met_and_depend_on_the_seed() -> None:
    parts = [part_of(f"document {i}", 1, train=0.6, dev=0.1) for i in range(4000)]
    assert parts.count("train") / 4000 == pytest.approx(0.6, abs=0.03)
    assert parts.count("dev") / 4000 == pytest.approx(0.1, abs=0.03)
    assert parts != [part_of(f"document {i}", 2, train=0.6, dev=0.1) for i in range(4000)]


def test_items_are_grouped_transitively() -> None:
    assert groups_sharing(["ab", "c", "bd", "e", "de"]) == [0, 1, 0, 0, 0]
    assert groups_sharing([]) == []


def test_sample_keeps_the_order_and_contains_smaller_samples() -> None:
    examples = [{"id": str(i), "language": "eng" if i % 2 else "deu"} for i in range(100)]
    ten, five = (list(sample(iter(examples), n, seed=3)) for n in (10, 5))
    assert [e["language"] for e in ten].count("eng") == 10 == len(ten) - 10
    assert ten == sorted(ten, key=lambda e: int(e["id"]))
    assert {e["id"] for e in five} < {e["id"] for e in ten}
    assert ten != list(sample(iter(examples), 10, seed=4))
    assert list(sample(iter(examples), 1000, seed=3)) == examples


# Options and paths of all readers


@pytest.mark.parametrize(
    ("reader", "options", "more", "complaint"),
    [
        ("masakhane", {}, {}, "datasets.ner.reader is 'masakhane' .*masakhaner"),
        ("masakhaner", {"language": ["swa"]}, {}, "datasets.ner.options.language is not known"),
        ("masakhaner", {"languages": "swa"}, {}, "options.languages is 'swa' and must be a list"),
        ("masakhaner", {"languages": ["sw"]}, {}, "must use ISO 639-3: swa"),
        ("masakhaner", {"max_test_per_language": 0}, {}, "max_test_per_language is 0"),
        ("masakhaner", {}, {"kind": "ranking"}, "datasets.ner.kind is 'ranking', but"),
        ("jsonl", {}, {}, "datasets.ner.kind is None and must be one of"),
        ("xnli_hub", {}, {}, "datasets.ner.options.languages is missing"),
        ("squad_json", {"dev_fraction": 1}, {}, "`dev_fraction` is 1 "),
        ("miracl", {"distractors": 2}, {}, "`distractors` is 2 "),
        ("xnli", {"dev_fraction": 1.2}, {}, "`dev_fraction` is 1.2"),
        ("xnli", {"train_fraction": 0.95, "dev_fraction": 0.05}, {}, "no test data"),
    ],
)
def test_wrong_option_is_named_in_the_error(
    tmp_path: Path, reader: str, options: dict[str, Any], more: dict[str, Any], complaint: str
) -> None:
    with pytest.raises(InputError, match=complaint):
        read(reader, tmp_path, options, name="ner", **more)


def test_missing_folder_is_named_in_the_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"datasets\.ner\.path: there is no folder"):
        read("masakhaner", tmp_path / "none", name="ner")
    with pytest.raises(InputError, match=r"datasets\.ner\.path is missing"):
        read("masakhaner", None, name="ner")


# MasakhaNER

SENTENCES = "Amina B-PER\nyuko O\nKisumu B-LOC\n\nJumatatu I-DATE\n\n"


@pytest.fixture
def conll(tmp_path: Path) -> Path:
    for split in ("train", "dev", "test"):
        write(tmp_path / f"swa/{split}.txt", SENTENCES)
    for split in ("train", "test"):
        write(tmp_path / f"wol/{split}.txt", SENTENCES.rstrip("\n"))
    return tmp_path


def test_masakhaner_reads_sentences_in_iob2(conll: Path) -> None:
    splits = read("masakhaner", conll)
    assert splits["dev"] == [
        {
            "id": "swa-dev-0",
            "language": "swa",
            "tokens": ["Amina", "yuko", "Kisumu"],
            "tags": ["B-PER", "O", "B-LOC"],
        },
        {"id": "swa-dev-1", "language": "swa", "tokens": ["Jumatatu"], "tags": ["B-DATE"]},
    ]
    assert [example["id"] for example in splits["test"]] == [
        f"{language}-test-{number}" for language in ("swa", "wol") for number in (0, 1)
    ]


def test_languages_and_limits_select_examples(conll: Path) -> None:
    splits = read("masakhaner", conll, {"languages": ["swa"], "max_train_per_language": 1})
    assert {len(splits["train"]), len(splits["dev"]), len(splits["test"])} == {1, 2}
    with pytest.raises(InputError, match=r"no data in hau; available are swa, wol"):
        read("masakhaner", conll, {"languages": ["hau"]})


@pytest.mark.parametrize("line", ["Kisumu", "Kisumu LOC", "Kisumu B-LOC x", "Kisumu\u00a0B-"])
def test_malformed_conll_line_is_named_in_the_error(conll: Path, line: str) -> None:
    write(conll / "swa/test.txt", f"Amina B-PER\n{line}\n")
    with pytest.raises(InputError, match=r"swa/test\.txt, line 2: .*fix or remove"):
        read("masakhaner", conll)


def test_only_the_dev_split_may_be_missing(conll: Path) -> None:
    assert read("masakhaner", conll, {"languages": ["wol"]})["dev"] == []
    (conll / "wol/test.txt").unlink()
    with pytest.raises(InputError, match=r"wol/test\.txt is missing"):
        read("masakhaner", conll)


def test_code_of_norwegian_that_yaml_reads_as_false_is_corrected(tmp_path: Path) -> None:
    for split in ("train", "test"):
        write(tmp_path / f"no/{split}", "a O\n")
    options = {"languages": {"nor": False}, "files": "{language}/{split}"}
    assert [e["language"] for e in read("conll", tmp_path, options)["test"]] == ["nor"]


def test_sentences_of_a_document_are_in_one_cluster(tmp_path: Path) -> None:
    documents = "-DOCSTART- O\n\na O\n\nb O\n\n-DOCSTART- O\n\nc O\n"
    write(tmp_path / "deu/train.txt", "a O\n\nb O\n")
    write(tmp_path / "deu/dev.txt", "-DOCSTART- O\n\na O\n\nb O\n")  # one document, no cluster
    write(tmp_path / "deu/test.txt", documents)
    splits = read("conll", tmp_path, {"languages": ["deu"]})
    clusters = {split: [e.get("cluster") for e in found] for split, found in splits.items()}
    assert clusters == {
        "train": [None, None],
        "dev": [None, None],
        "test": ["deu-test-document-1", "deu-test-document-1", "deu-test-document-2"],
    }


@pytest.mark.parametrize(
    ("reader", "options"),
    [("masakhaner", {}), ("conll", {"languages": ["swa", "wol"], "comments": "#"})],
)
def test_file_without_a_sentence_is_named_in_the_error(
    conll: Path, reader: str, options: dict[str, Any]
) -> None:
    for name, text in (("swa/train", ""), ("wol/test", "\n \n-DOCSTART- O\n\n")):
        before = (conll / f"{name}.txt").read_text(encoding="utf-8")
        file = write(conll / f"{name}.txt", text)
        message = rf"{file} contains no sentence; .* leave {name[:3]} out of .*`languages`"
        with pytest.raises(InputError, match=message):
            read(reader, conll, options)
        write(file, before)
    write(conll / "swa/dev.txt", "")
    write(conll / "wol/dev.txt", SENTENCES)
    assert {e["language"] for e in read(reader, conll, options)["dev"]} == {"wol"}
    if "comments" in options:
        write(conll / "wol/test.txt", "# id 1\n")
        with pytest.raises(InputError, match=r"wol/test\.txt contains no sentence"):
            read(reader, conll, options)


def test_text_that_is_not_utf_8_is_named_in_the_error(conll: Path) -> None:
    (conll / "swa/test.txt").write_bytes("ẹ B-PER\n".encode("utf-16"))
    with pytest.raises(InputError, match=r"swa/test\.txt is not UTF-8"):
        read("masakhaner", conll)


# SQuAD's JSON


def squad_file(path: Path, articles: dict[str, list[str]], prefix: str) -> Path:
    """Write a file with the contexts of each title. Each context has two questions, and its last word
    answers them."""
    data = []
    for title, contexts in articles.items():
        paragraphs = []
        for context in contexts:
            answer = context.split()[-1]
            answers = [{"text": answer, "answer_start": len(context) - len(answer)}]
            names = (f"{prefix}-{title}-{contexts.index(context)}-{i}" for i in range(2))
            qas = [{"id": n, "question": f"{n}?", "answers": answers} for n in names]
            paragraphs.append({"context": context, "qas": qas})
        data.append({"title": title, "paragraphs": paragraphs})
    return write(path, json.dumps({"data": data}))


@pytest.fixture
def tydiqa(tmp_path: Path) -> Path:
    articles = {f"t{i}": [f"passage {i} á", f"other {i} é"] for i in range(40)}
    articles["shared"] = ["passage 0 á"]  # is also in another article
    articles["leaked"] = ["tested ö"]
    squad_file(tmp_path / "english.train.json", articles, "english-train")
    squad_file(tmp_path / "english.dev.json", {"a": ["tested ö"]}, "english-dev")
    squad_file(tmp_path / "arabic.dev.json", {"a": ["كلمة أخيرة"]}, "arabic-dev")
    return tmp_path


def test_dev_split_takes_whole_documents_from_the_training_data(tydiqa: Path) -> None:
    splits = read("squad_json", tydiqa, {"dev_fraction": 0.3})
    assert {e["language"] for e in splits["test"]} == {"ara", "eng"}
    assert {e["language"] for e in splits["train"]} == {"eng"}
    assert len(splits["train"]) + len(splits["dev"]) == 2 * (2 * 40 + 1)
    contexts = {split: {e["context"] for e in splits[split]} for split in splits}
    titles = {s: {e["id"].split("-")[2] for e in splits[s]} - {"shared"} for s in ("train", "dev")}
    assert splits["dev"]
    for parts in (contexts, titles):
        assert not parts["train"] & parts["dev"]
    assert "tested ö" not in contexts["train"] | contexts["dev"]


def test_training_passages_of_the_test_split_can_be_kept(tydiqa: Path) -> None:
    splits = read("squad_json", tydiqa, {"drop_test_contexts": False})
    assert "tested ö" in {e["context"] for e in splits["train"] + splits["dev"]}


def test_the_dev_split_depends_only_on_the_seed(tydiqa: Path) -> None:
    first, repeated, other = (read("squad_json", tydiqa, {"seed": seed}) for seed in (1, 1, 2))
    assert first == repeated
    assert first["dev"] != other["dev"]


def test_languages_without_test_questions_are_named_in_the_log(
    tydiqa: Path, caplog: pytest.LogCaptureFixture
) -> None:
    read("squad_json", tydiqa)
    assert "no test data" not in caplog.text
    squad_file(tydiqa / "german.train.json", {"a": ["deutsch"]}, "german-train")
    for options in ({}, {"train_languages": ["eng"]}):
        caplog.clear()
        read("squad_json", tydiqa, options)
        assert f"{tydiqa}: no test data in deu, so no score" in caplog.text
    caplog.clear()
    read("squad_json", tydiqa, {"languages": ["ara", "eng"]})
    assert "no test data" not in caplog.text


def change_answers(path: Path, change: Callable[[dict[str, Any], int], None]) -> None:
    content = json.loads(path.read_text(encoding="utf-8"))
    paragraphs = [p for article in content["data"] for p in article["paragraphs"]]
    for number, question in enumerate(q for p in paragraphs for q in p["qas"]):
        change(question["answers"][0], number)
    write(path, json.dumps(content))


def test_dev_fraction_of_zero_leaves_the_dev_split_empty(tydiqa: Path) -> None:
    splits = read("squad_json", tydiqa, {"dev_fraction": 0})
    default = read("squad_json", tydiqa)
    assert splits["dev"] == []
    assert len(splits["train"]) == len(default["train"]) + len(default["dev"])


def test_a_few_misplaced_answers_are_dropped(
    tydiqa: Path, caplog: pytest.LogCaptureFixture
) -> None:
    before = len(read("squad_json", tydiqa)["test"])

    def misplace_first(answer: dict[str, Any], number: int) -> None:
        answer["answer_start"] += number == 0

    change_answers(tydiqa / "english.dev.json", misplace_first)
    assert len(read("squad_json", tydiqa)["test"]) == before - 1
    assert "1 questions with misplaced answers dropped" in caplog.text


def test_a_file_whose_offsets_are_in_bytes_is_refused(tydiqa: Path) -> None:
    def count_bytes(answer: dict[str, Any], _: int) -> None:
        answer["answer_start"] += 4

    change_answers(tydiqa / "arabic.dev.json", count_bytes)
    with pytest.raises(InputError, match=r"arabic\.dev\.json: 2 of 2 questions .*not bytes"):
        read("squad_json", tydiqa)


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("{", "not JSON"),
        ("[]", "not of SQuAD"),
        ('{"data": [{"paragraphs": [{"context": "a"}]}]}', "KeyError: 'qas'"),
        ('{"data": [{"paragraphs": [{"context": 1, "qas": []}]}]}', "a context is 1"),
    ],
)
def test_malformed_squad_json_is_named_in_the_error(
    tydiqa: Path, content: str, complaint: str
) -> None:
    write(tydiqa / "english.dev.json", content)
    with pytest.raises(InputError, match=rf"english\.dev\.json.*{complaint}"):
        read("squad_json", tydiqa)


@pytest.mark.parametrize("name", ["xquad.{}.dev.json", "test-context-{0}-question-{0}.json"])
def test_translations_of_a_question_are_in_one_cluster(tmp_path: Path, name: str) -> None:
    squad_file(tmp_path / "english.train.json", {f"t{i}": [f"a {i}"] for i in range(20)}, "train")
    for code in ("ar", "de"):
        squad_file(tmp_path / name.format(code), {"x": [f"{code} 1"], "y": [f"{code} 2"]}, "q")
    squad_file(tmp_path / "test-context-ar-question-de.json", {"x": ["ar 1"]}, "q")
    squad_file(tmp_path / "dev-context-ar-question-ar.json", {"x": ["ar 1"]}, "q")
    options = {"languages": ["eng", "ara", "deu"], "train_languages": ["eng"]}
    splits = read("squad_json", tmp_path, options)
    assert {e["id"] for e in splits["train"] + splits["dev"]} == {
        f"train-t{i}-0-{j}" for i in range(20) for j in range(2)
    }
    clusters = {example["id"]: example["cluster"] for example in splits["test"]}
    assert clusters == {
        f"{code}-q-{title}-0-{i}": f"ara-q-{title}-0-0"
        for code in ("ara", "deu")
        for title in "xy"
        for i in range(2)
    }


def test_translation_of_a_training_question_is_refused(tmp_path: Path) -> None:
    squad_file(tmp_path / "english.train.json", {"x": ["a 1"]}, "q")
    for code in ("ar", "de"):
        squad_file(tmp_path / f"xquad.{code}.dev.json", {"x": [f"{code} 1"]}, "q")
    with pytest.raises(InputError, match=r"'q-x-0-0' is taken by an earlier example"):
        read("squad_json", tmp_path, {"dev_fraction": 0})


# XQuAD as a retrieval corpus


@pytest.fixture
def xquad(tmp_path: Path) -> Path:
    for code in ("de", "zh"):
        contexts = [f"Absatz {code} {i}" for i in range(40)]
        articles = {f"A{part}": contexts[part : part + 5] for part in range(0, 40, 5)}
        squad_file(tmp_path / f"xquad.{code}.json", articles, "q")
    return tmp_path


def test_xquad_paragraphs_are_split_the_same_in_all_languages(xquad: Path) -> None:
    splits = read("xquad_ranking", xquad)
    assert len(splits["passages"]) == 80
    paragraphs = {
        (split, language): {
            next(iter(e["relevant"])).split("-")[1]
            for e in splits[split]
            if e["language"] == language
        }
        for split in ("train", "dev", "test")
        for language in ("deu", "zho")
    }
    for split in ("train", "dev", "test"):
        assert paragraphs[split, "deu"] == paragraphs[split, "zho"] != set()
    by_split = [paragraphs[split, "deu"] for split in ("train", "dev", "test")]
    assert sum(map(len, by_split)) == len(set().union(*by_split)) == 40
    for query in splits["test"]:  # an article has five paragraphs
        paragraph = int(next(iter(query["relevant"])).split("-")[1])
        assert query["cluster"] == f"A{5 * (paragraph // 5)}"
    query = splits["test"][0]
    (passage,) = query["relevant"]
    text = next(p["text"] for p in splits["passages"] if p["id"] == passage)
    assert query["query"] == f"q-{query['cluster']}-{text.split()[-1]}-{query['id'][-1]}?"


def test_xquad_that_is_not_parallel_is_refused(xquad: Path) -> None:
    squad_file(xquad / "xquad.zh.json", {"A": ["only one"]}, "q")
    with pytest.raises(InputError, match=r"xquad\.zh\.json does not ask the questions of .*zho"):
        read("xquad_ranking", xquad)


# XNLI

ORDERS = (
    ("neutral", "contradiction", "entailment"),
    ("entailment", "neutral", "contradiction"),
)


@pytest.fixture
def xnli(tmp_path: Path) -> Path:
    pairs = [(i, label) for i in range(40) for label in ORDERS[i % 2]]
    write(tmp_path / "de.dev.tsv", "".join(f"Satz {i}\t{y}?\t{y}\n" for i, y in pairs))
    # Premises 3 and 30 are the same in Swahili.
    rows = "".join(f"face\t{y}\tSentensi {3 if i == 30 else i}\t{y}?\n" for i, y in pairs)
    write(tmp_path / "sw.dev.tsv", "genre\tlabel\tsentence1_sw\tsentence2_sw\n" + rows)
    write(tmp_path / "sw.test.tsv", "never read")
    return tmp_path


def test_xnli_premises_are_split_the_same_in_all_languages(xnli: Path) -> None:
    splits = read("xnli", xnli, {"train_fraction": 0.5, "dev_fraction": 0.2})
    assert sum(map(len, splits.values())) == 2 * 120
    items = {
        (split, language): {
            int(e["id"].split("-")[1]) for e in splits[split] if e["language"] == language
        }
        for split in splits
        for language in ("deu", "swa")
    }
    for split in splits:
        assert items[split, "deu"] == items[split, "swa"] != set()
    for language in ("deu", "swa"):
        premises = [{e["first"] for e in splits[s] if e["language"] == language} for s in splits]
        assert sum(map(len, premises)) == len(set().union(*premises))
    part = {item: split for split in splits for item in items[split, "deu"]}
    assert part[3 * 3] == part[3 * 30]
    first = next(e for split in splits for e in splits[split] if e["id"] == "swa-0")
    assert first == {
        "id": "swa-0",
        "language": "swa",
        "first": "Sentensi 0",
        "second": "neutral?",
        "label": "neutral",
        "cluster": "0",
    }
    clusters = {e["id"]: e["cluster"] for split in splits for e in splits[split]}
    assert all(clusters[f"deu-{item}"] == clusters[f"swa-{item}"] for item in range(120))
    assert clusters["deu-0"] == clusters["deu-1"] != clusters["deu-3"]


@pytest.mark.parametrize("line", ["Satz 1\tneutral", "Satz 1\t\tneutral", "Satz\tb\tmaybe"])
def test_malformed_pair_is_named_in_the_error(xnli: Path, line: str) -> None:
    lines = (xnli / "de.dev.tsv").read_text(encoding="utf-8").splitlines()
    write(xnli / "de.dev.tsv", "\n".join([*lines[:4], line, *lines[5:]]))
    with pytest.raises(InputError, match=r"de\.dev\.tsv, line 5: "):
        read("xnli", xnli)


@pytest.mark.parametrize("train", [False, True])
def test_missing_xnli_language_is_refused_and_available_ones_are_listed(
    xnli: Path, train: bool
) -> None:
    write(xnli / "sw.test.tsv", "A\tB\tneutral\n")
    if train:
        write(xnli / "multinli.train.de.tsv", "A\tB\tneutral\n")
    with pytest.raises(InputError, match=r"dev\.tsv: no data in tha; available are deu, swa\."):
        read("xnli", xnli, {"languages": ["deu", "tha"]})
    if train:
        with pytest.raises(InputError, match=r"test\.tsv: no data in deu; available are swa\."):
            read("xnli", xnli, {"languages": ["deu", "swa"]})


def test_missing_squad_language_is_refused_and_available_ones_are_listed(tydiqa: Path) -> None:
    with pytest.raises(InputError, match=r"no data in tel; available are ara, eng\."):
        read("squad_json", tydiqa, {"languages": ["eng", "tel"]})


def test_xnli_languages_with_different_pairs_are_refused(xnli: Path) -> None:
    lines = (xnli / "sw.dev.tsv").read_text(encoding="utf-8").splitlines()
    write(xnli / "sw.dev.tsv", "\n".join([*lines[:4], *reversed(lines[4:])]))
    with pytest.raises(InputError, match=r"sw\.dev\.tsv, line \d+, does not list the pairs of"):
        read("xnli", xnli)
    write(xnli / "sw.dev.tsv", "\n".join(lines[:-1]))
    with pytest.raises(InputError, match=r"sw\.dev\.tsv does not .* \(119 and 120 pairs\)"):
        read("xnli", xnli)


# MIRACL


@pytest.fixture
def miracl(tmp_path: Path) -> Path:
    """Two languages in the layout of the hub's two repositories. Yoruba has only dev."""
    for code, splits in (("en", ("train", "dev")), ("yo", ("dev",))):
        folder = tmp_path / f"miracl/miracl-v1.0-{code}"
        for split in splits:
            queries = [f"{split}{i}" for i in range(30)]
            write(
                folder / f"topics/topics.miracl-v1.0-{code}-{split}.tsv",
                "".join(f"{q}\tWhat is {q}?\n" for q in queries) + f"{split}lost\tWho?\n",
            )
            write(
                folder / f"qrels/qrels.miracl-v1.0-{code}-{split}.tsv",
                "".join(f"{q}\tQ0\t{i}#0\t1\n{q}\tQ0\t{i}#1\t0\n" for i, q in enumerate(queries))
                + f"{split}lost\tQ0\t0#1\t0\n",
            )
        for part in range(2):
            corpus = tmp_path / f"corpus/miracl-corpus-v1.0-{code}/docs-{part}.jsonl.gz"
            corpus.parent.mkdir(parents=True, exist_ok=True)
            with gzip.open(corpus, "wt", encoding="utf-8") as file:
                for i in range(20 * part, 20 * part + 20):
                    for j in range(4):
                        passage = {"docid": f"{i}#{j}", "title": f"Ọ {i}", "text": f"text {i} {j}"}
                        file.write(json.dumps(passage, ensure_ascii=False) + "\n")
    return tmp_path


def test_miracl_dev_is_the_test_set(miracl: Path) -> None:
    splits = read("miracl", miracl, {"dev_fraction": 0.3})
    assert {e["language"] for e in splits["train"] + splits["dev"]} == {"eng"}
    assert len(splits["train"]) + len(splits["dev"]) == 30
    assert splits["dev"]
    all_of_train = read("miracl", miracl, {"dev_fraction": 0})
    assert (len(all_of_train["train"]), all_of_train["dev"]) == (30, [])
    assert len(splits["test"]) == 60  # the two without a relevant passage are dropped
    assert splits["test"][0] == {
        "id": "eng-dev0",
        "language": "eng",
        "query": "What is dev0?",
        "relevant": {"eng-0#0": 1},
        "irrelevant": ["eng-0#1"],
    }
    assert len(splits["passages"]) == 2 * 160
    assert splits["passages"][-1] == {
        "id": "yor-39#3",
        "language": "yor",
        "title": "Ọ 39",
        "text": "text 39 3",
    }


def test_miracl_pool_keeps_all_judged_passages(miracl: Path) -> None:
    options = {"languages": ["eng"], "dev_fraction": 0.3, "distractors": 0.2}
    passages = {passage["id"] for passage in read("miracl", miracl, options)["passages"]}
    judged = {f"eng-{i}#{j}" for i in range(30) for j in range(2)}
    assert judged < passages
    assert 0 < len(passages - judged) < 50


def test_missing_miracl_files_are_named_in_the_error(miracl: Path) -> None:
    corpus = miracl / "corpus/miracl-corpus-v1.0-yo"
    (corpus / "docs-0.jsonl.gz").unlink()
    with pytest.raises(InputError, match=r"40 judged passages are not .*'yor-.*' in yor"):
        read("miracl", miracl, {"dev_fraction": 0.3})
    (corpus / "docs-1.jsonl.gz").unlink()
    with pytest.raises(InputError, match=r"docs-\*\.jsonl\.gz for yor"):
        read("miracl", miracl)
    (miracl / "miracl/miracl-v1.0-en/qrels/qrels.miracl-v1.0-en-dev.tsv").unlink()
    with pytest.raises(InputError, match=r"topics\.miracl-v1\.0-en-dev\.tsv has no judgements"):
        read("miracl", miracl, {"languages": ["eng"]})


@pytest.mark.parametrize("line", ["1 Q0 2#3", "1 Q0 2#3 -1", "1 Q0 2#3 yes"])
def test_malformed_judgement_is_named_in_the_error(tmp_path: Path, line: str) -> None:
    file = write(tmp_path / "qrels.tsv", f"1 Q0 2#1 1\n{line}\n")
    with pytest.raises(InputError, match=r"qrels\.tsv, line 2: "):
        read_qrels(file)


@pytest.mark.parametrize("line", ["2 What?", "2\t ", "1\tWhat again?"])
def test_malformed_topic_is_named_in_the_error(tmp_path: Path, line: str) -> None:
    file = write(tmp_path / "topics.tsv", f"1\tWhat?\n{line}\n")
    with pytest.raises(InputError, match=r"topics\.tsv, line 2: "):
        read_topics(file)


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (
            gzip.compress(b'{"docid": "1#0", "title": ""}\n', mtime=0),
            "line 1: key 'text' is missing",
        ),
        (gzip.compress(b'{"docid": "1#0"', mtime=0)[:-8], "breaks off after line 0"),
        (gzip.compress(b"plain", mtime=0), "line 1: not JSON"),
    ],
)
def test_damaged_miracl_corpus_is_named_in_the_error(
    miracl: Path, content: bytes, complaint: str
) -> None:
    (miracl / "corpus/miracl-corpus-v1.0-en/docs-0.jsonl.gz").write_bytes(content)
    with pytest.raises(InputError, match=rf"docs-0\.jsonl\.gz.* {complaint}"):
        read("miracl", miracl, {"dev_fraction": 0.3})


def test_miracl_files_of_other_languages_are_ignored(miracl: Path) -> None:
    options = {"languages": ["eng"], "dev_fraction": 0.3}
    expected = read("miracl", miracl, options)
    topics = write(miracl / "miracl/topics.miracl-v1.0-zz-dev.tsv", "malformed")
    write(miracl / "miracl/qrels.miracl-v1.0-zz-dev.tsv", "malformed")
    write(miracl / "corpus/miracl-corpus-v1.0-zz/docs-0.jsonl", "malformed")
    assert read("miracl", miracl, options) == expected
    with pytest.raises(InputError, match=rf"{topics} is named by its language: language 'zz'"):
        read("miracl", miracl)
    with pytest.raises(InputError, match=r"no data in kor; available are eng, yor\."):
        read("miracl", miracl, {"languages": ["eng", "kor"]})


def test_miracl_language_without_dev_queries_is_named_in_the_log(
    miracl: Path, caplog: pytest.LogCaptureFixture
) -> None:
    read("miracl", miracl, {"dev_fraction": 0.3})
    assert "no test data" not in caplog.text
    for table in ("topics", "qrels"):
        (file,) = miracl.rglob(f"{table}.miracl-v1.0-en-dev.tsv")
        file.unlink()
    read("miracl", miracl, {"dev_fraction": 0.3})
    assert f"{miracl}: no test data in eng, so no score" in caplog.text


def test_miracl_passages_of_an_unknown_language_are_ignored(miracl: Path) -> None:
    expected = read("miracl", miracl, {"dev_fraction": 0.3})
    write(miracl / "corpus/miracl-corpus-v1.0-zz/docs-0.jsonl", "malformed")
    assert read("miracl", miracl, {"dev_fraction": 0.3}) == expected


def test_two_miracl_files_of_one_split_are_refused(miracl: Path) -> None:
    write(miracl / "miracl/copy/topics.miracl-v1.0-yo-dev.tsv", "dev0\tAnother?\n")
    with pytest.raises(InputError, match=r"yo-dev\.tsv and \S+yo-dev\.tsv are both in yor"):
        read("miracl", miracl)


def test_miracl_can_be_in_several_folders(miracl: Path) -> None:
    folders = [miracl / "miracl", miracl / "corpus"]
    separate = read("miracl", folders, {"dev_fraction": 0.3})
    assert separate == read("miracl", miracl, {"dev_fraction": 0.3})
    with pytest.raises(InputError, match=r"datasets\.ner\.download names 2; reader xnli reads one"):
        read("xnli", folders, name="ner")


# MS MARCO


@pytest.fixture
def msmarco(miracl: Path) -> list[Path]:
    """Two queries in Tevatron's format with a common passage, next to MIRACL in English, Yoruba and
    Chinese, which is a copy of the English."""
    for file in sorted(miracl.rglob("*-en*/**/*")):
        if file.is_file():
            target = Path(str(file).replace("-en", "-zh"))
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(file, target)
    passages = {str(i): {"docid": str(i), "title": "-", "text": f"passage {i}"} for i in range(5)}
    records = [
        {
            "query_id": query,
            "query": f"what is {query}",
            "positive_passages": [passages[relevant]],
            "negative_passages": [passages[other] for other in others],
        }
        for query, relevant, others in (("7", "0", "12"), ("8", "3", "14"))
    ]
    (miracl / "msmarco").mkdir()
    with gzip.open(miracl / "msmarco/train.jsonl.gz", "wt", encoding="utf-8") as file:
        file.writelines(json.dumps(record) + "\n" for record in records)
    return [miracl / part for part in ("msmarco", "miracl", "corpus")]


def test_msmarco_gives_the_training_data_and_miracl_the_test_data(msmarco: list[Path]) -> None:
    splits = read("msmarco", msmarco, {"languages": ["zho"]})
    assert splits["train"] == [
        {"id": "msmarco-7", "language": "eng", "query": "what is 7", "relevant": {"msmarco-0": 1}},
        {"id": "msmarco-8", "language": "eng", "query": "what is 8", "relevant": {"msmarco-3": 1}},
    ]
    assert {e["language"] for e in splits["dev"] + splits["test"]} == {"zho"}
    english = [e["id"] for e in splits["passages"] if e["language"] == "eng"]
    assert sorted(english) == [f"msmarco-{i}" for i in range(5)]
    assert {e["language"] for e in splits["passages"]} == {"eng", "zho"}


def test_malformed_msmarco_line_is_named_in_the_error(msmarco: list[Path]) -> None:
    with gzip.open(msmarco[0] / "train.jsonl.gz", "at", encoding="utf-8") as file:
        file.write('{"query_id": "9", "query": "what"}\n')
    with pytest.raises(InputError, match=r"train\.jsonl\.gz, line 3: .*'positive_passages'"):
        read("msmarco", msmarco, {"languages": ["zho"]})


def test_msmarco_refuses_english_test_data_and_a_missing_file(msmarco: list[Path]) -> None:
    with pytest.raises(InputError, match="without eng"):
        read("msmarco", msmarco, {"languages": ["eng", "yor"]})
    with pytest.raises(InputError, match=r"one train\.jsonl\.gz of MS MARCO is expected"):
        read("msmarco", msmarco[1:], {"languages": ["yor"]})


# The hub's Parquet layout


def write_hub_folder(
    folder: Path, configuration: str, tables: dict[str, dict[str, list[Any]]]
) -> Path:
    """Write a dataset repository: the Parquet files of one configuration, and a card that also
    names another configuration, without files."""
    import pyarrow as pa
    import pyarrow.parquet as parquet

    (folder / configuration).mkdir(parents=True)
    card = "---\nconfigs:\n- config_name: other\n  data_files:\n"
    card += "  - split: train\n    path: other/train-*\n"
    card += f"- config_name: {configuration}\n  data_files:\n"
    for split, columns in tables.items():
        card += f"  - split: {split}\n    path: {configuration}/{split}-*\n"
        file = folder / configuration / f"{split}-00000-of-00001.parquet"
        parquet.write_table(pa.table(columns), file)
    write(folder / "README.md", card + "---\n")
    return folder


def xnli_columns(labels: list[int]) -> dict[str, list[Any]]:
    return {
        "premise": [f"Es regnet {i}." for i in range(len(labels))],
        "hypothesis": ["Es ist nass."] * len(labels),
        "label": labels,
    }


def test_xnli_is_read_in_the_layout_of_the_hub(tmp_path: Path) -> None:
    labels = {"train": [0, 1, 2], "validation": [1], "test": [2]}
    tables = {split: xnli_columns(numbers) for split, numbers in labels.items()}
    folder = write_hub_folder(tmp_path / "xnli", "de", tables)
    splits = read("xnli_hub", folder, {"languages": ["deu"]})
    assert {split: [e["label"] for e in splits[split]] for split in splits} == {
        "train": ["entailment", "neutral", "contradiction"],
        "dev": ["neutral"],
        "test": ["contradiction"],
    }
    assert splits["dev"][0] == {
        "id": "deu-dev-0",
        "language": "deu",
        "first": "Es regnet 0.",
        "second": "Es ist nass.",
        "label": "neutral",
        "cluster": "deu-dev-0",
    }
    with pytest.raises(
        InputError, match=r"configuration fr has no split train.*\(fr/train-\*\.parquet"
    ):
        read("xnli_hub", folder, {"languages": ["fra"]})
    (file,) = folder.rglob("test-*.parquet")
    file.write_bytes(file.read_bytes()[:-20])
    with pytest.raises(InputError, match=r"de/test-.* is truncated, damaged"):
        read("xnli_hub", folder, {"languages": ["deu"]})


@pytest.mark.parametrize(("labels", "is_parallel"), [([1, 0, 2], True), ([1, 2, 0], False)])
def test_translations_of_a_pair_are_in_one_cluster(
    tmp_path: Path, labels: list[int], is_parallel: bool
) -> None:
    folder = tmp_path / "xnli"
    for code, numbers in (("de", [1, 0, 2]), ("sw", labels)):
        columns = xnli_columns(numbers)
        columns["premise"][1] = columns["premise"][0]
        write_hub_folder(folder, code, dict.fromkeys(("train", "validation", "test"), columns))
    test = read("xnli_hub", folder, {"languages": ["deu", "swa"]})["test"]
    clusters = {example["id"]: example["cluster"] for example in test}
    assert clusters["deu-test-0"] == clusters["deu-test-1"] != clusters["deu-test-2"]
    assert (clusters["deu-test-2"] == clusters["swa-test-2"]) == is_parallel


def test_xnli_rows_with_a_wrong_label_or_without_a_column_are_refused(tmp_path: Path) -> None:
    tables = {split: xnli_columns([0, 3]) for split in ("train", "validation", "test")}
    folder = write_hub_folder(tmp_path / "unlabelled", "de", tables)
    with pytest.raises(InputError, match="split train, row 1: the label is 3, which"):
        read("xnli_hub", folder, {"languages": ["deu"]})
    for columns in tables.values():
        columns["sentence1"] = columns.pop("premise")
    folder = write_hub_folder(tmp_path / "renamed", "de", tables)
    with pytest.raises(
        InputError, match=r"columns\.first is 'premise', which is not a column .*there are hyp"
    ):
        read("xnli_hub", folder, {"languages": ["deu"]})


def tydiqa_columns(language: str, name: str, count: int) -> dict[str, list[Any]]:
    return {
        "id": [f"{language}-{name}-{i}" for i in range(count)],
        "title": [f"title {i}" for i in range(count)],
        "context": [f"{name} číslo {i}" for i in range(count)],
        "question": ["Kolik?"] * count,
        "answers": [
            {"text": [str(i)], "answer_start": [len(f"{name} číslo ")]} for i in range(count)
        ],
    }


def test_tydiqa_questions_in_other_languages_are_ignored(tmp_path: Path) -> None:
    tables = {name: tydiqa_columns("english", name, 9) for name in ("train", "validation")}
    tables["validation"]["id"][3] = "elvish-validation-3"
    folder = write_hub_folder(tmp_path / "tydiqa", "secondary_task", tables)
    assert len(read("tydiqa_hub", folder, {"languages": ["eng"]})["test"]) == 8
    with pytest.raises(InputError, match=r"split validation, row 3: language 'elvish'"):
        read("tydiqa_hub", folder)


def test_tydiqa_question_with_the_id_of_another_is_refused(tmp_path: Path) -> None:
    test = tydiqa_columns("english", "validation", 5)
    test["id"][3] = test["id"][1]
    tables = {"train": tydiqa_columns("english", "train", 9), "validation": test}
    folder = write_hub_folder(tmp_path / "tydiqa", "secondary_task", tables)
    with pytest.raises(
        InputError, match=r"split validation, row 3: `id` 'english-validation-1' is taken"
    ):
        read("tydiqa_hub", folder)


def test_tydiqa_is_read_in_the_layout_of_the_hub(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    english = tydiqa_columns("english", "train", 40)
    swahili = tydiqa_columns("swahili", "train", 40)
    tables = {
        "train": {key: english[key] + swahili[key] for key in english},
        "validation": tydiqa_columns("swahili", "test", 3),
    }
    folder = write_hub_folder(tmp_path / "tydiqa", "secondary_task", tables)
    splits = read("tydiqa_hub", folder, {"dev_fraction": 0.3})
    assert len(splits["train"]) + len(splits["dev"]) == 80
    assert splits["dev"]
    assert splits["test"][2] == {
        "id": "swahili-test-2",
        "language": "swa",
        "context": "test číslo 2",
        "question": "Kolik?",
        "answers": [{"text": "2", "start": 11}],
        "cluster": "swahili-test-2",
    }
    all_of_train = read("tydiqa_hub", folder, {"dev_fraction": 0})
    assert (len(all_of_train["train"]), all_of_train["dev"]) == (80, [])
    swahili_only = read("tydiqa_hub", folder, {"languages": ["swa"]})
    assert {e["language"] for e in swahili_only["train"]} == {"swa"}
    assert caplog.text.count(f"{folder}: no test data in eng, so no score") == 2
    with pytest.raises(InputError, match="no data in kor; available are eng, swa"):
        read("tydiqa_hub", folder, {"languages": ["kor"]})


# A user's own files


@pytest.fixture
def user_ranking(tmp_path: Path) -> Path:
    for split in ("train", "dev", "test"):
        write_json_lines(tmp_path / f"{split}.jsonl", [VALID["ranking"] | {"id": split}])
    write_json_lines(tmp_path / "passages.jsonl", [VALID["passage"]])
    return tmp_path


def test_user_files_are_read_unchanged(user_ranking: Path) -> None:
    splits = read("jsonl", user_ranking, kind="ranking")
    assert splits["passages"] == [VALID["passage"]]
    assert splits["dev"] == [VALID["ranking"] | {"id": "dev"}]


def test_duplicate_ids_across_user_splits_are_refused(user_ranking: Path) -> None:
    write_json_lines(user_ranking / "dev.jsonl", [VALID["ranking"] | {"id": "train"}])
    with pytest.raises(InputError, match=r"dev\.jsonl, line 1: `id` 'train' is taken"):
        read("jsonl", user_ranking, kind="ranking")


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("{", r"dev\.jsonl, line 2: not JSON"),
        ("[1]", r"dev\.jsonl, line 2: not a JSON object"),
        ('{"id": "x", "language": "yor"}', r"dev\.jsonl, line 2: key `query` is missing"),
    ],
)
def test_malformed_line_of_a_user_file_is_named_in_the_error(
    user_ranking: Path, line: str, complaint: str
) -> None:
    with (user_ranking / "dev.jsonl").open("a", encoding="utf-8") as file:
        file.write(line + "\n")
    with pytest.raises(InputError, match=complaint):
        read("jsonl", user_ranking, kind="ranking")


def test_relevant_passage_in_another_language_is_refused(user_ranking: Path) -> None:
    write_json_lines(user_ranking / "passages.jsonl", [VALID["passage"] | {"language": "eng"}])
    with pytest.raises(InputError, match="first 'p1' in yor"):
        read("jsonl", user_ranking, kind="ranking")


def test_irrelevant_passage_that_does_not_exist_is_refused(user_ranking: Path) -> None:
    query = VALID["ranking"] | {"id": "train", "irrelevant": ["p1", "p2"]}
    write_json_lines(user_ranking / "train.jsonl", [query])
    with pytest.raises(InputError, match=r"1 judged passages .* first 'p2' in yor"):
        read("jsonl", user_ranking, kind="ranking")


def test_user_files_need_no_dev_split(user_ranking: Path) -> None:
    (user_ranking / "dev.jsonl").unlink()
    assert read("jsonl", user_ranking, kind="ranking")["dev"] == []


def test_missing_or_empty_user_file_is_named_in_the_error(user_ranking: Path) -> None:
    write(user_ranking / "test.jsonl", "")
    with pytest.raises(InputError, match=r"datasets\.mine: .*test\.jsonl contains no example"):
        read("jsonl", user_ranking, kind="ranking", name="mine")
    (user_ranking / "passages.jsonl").unlink()
    with pytest.raises(InputError, match=r"passages\.jsonl is missing"):
        read("jsonl", user_ranking, kind="ranking")
