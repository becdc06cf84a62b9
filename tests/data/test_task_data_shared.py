"""The readers with the publishers' files: known counts, known sentences, and no shared contexts
between splits."""

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml

from semantic_tokens.data.datasets import read_dataset
from semantic_tokens.data.datasets.miracl import read_qrels, read_topics
from semantic_tokens.errors import InputError
from semantic_tokens.sources.downloads import fetch_download
from semantic_tokens.sources.folder import read_checksums

ROOT = Path(__file__).resolve().parents[2]
Splits = dict[str, list[dict[str, Any]]]


def read(reader: str, path: Path, **options: Any) -> Splits:
    return {split: list(rows) for split, rows in read_dataset(reader, options, path).items()}


def by_language(examples: list[dict[str, Any]]) -> dict[str, int]:
    return dict(Counter(example["language"] for example in examples))


def test_masakhaner_has_the_published_counts_and_types(shared_data: Path) -> None:
    splits = read("masakhaner", shared_data / "masakhaner")
    assert by_language(splits["test"]) == {
        "amh": 500, "hau": 552, "ibo": 638, "kin": 605, "lug": 407,
        "luo": 186, "pcm": 600, "swa": 604, "wol": 539, "yor": 645,
    }  # fmt: skip
    assert (len(splits["train"]), len(splits["dev"])) == (18360, 2618)
    types = {tag[2:] for example in splits["train"] for tag in example["tags"]} - {""}
    assert types == {"DATE", "LOC", "ORG", "PER"}
    sentence = next(e for e in splits["dev"] if e["id"] == "pcm-dev-0")
    assert " ".join(sentence["tokens"]).startswith(
        "As a result , di record and book shop na one of"
    )


def test_tydiqa_has_the_published_counts_and_no_shared_contexts(shared_data: Path) -> None:
    splits = read("squad_json", shared_data / "tydiqa_goldp")
    assert by_language(splits["test"]) == {
        "ara": 921, "ben": 113, "eng": 440, "kor": 276, "swa": 499,
    }  # fmt: skip
    train_and_dev = Counter(by_language(splits["train"])) + Counter(by_language(splits["dev"]))
    # 9 Korean and 142 Swahili training questions are about test passages.
    assert train_and_dev == {"eng": 3696, "kor": 1625 - 9, "swa": 2755 - 142}
    contexts = [{example["context"] for example in splits[split]} for split in splits]
    assert sum(map(len, contexts)) == len(set().union(*contexts))
    wound = next(e for e in splits["test"] if e["id"] == "english--3215621880858840488-2")
    assert wound["question"] == "What is a way to increase your wound healing speed?"
    assert {"text": "Wound care", "start": 0} in wound["answers"]


def test_limits_per_language_are_applied(shared_data: Path) -> None:
    splits = read(
        "squad_json",
        shared_data / "tydiqa_goldp",
        max_train_per_language=200,
        max_test_per_language=120,
    )
    assert by_language(splits["train"]) == {"eng": 200, "kor": 200, "swa": 200}
    assert by_language(splits["test"]) == dict.fromkeys(("ara", "eng", "kor", "swa"), 120) | {
        "ben": 113
    }


def test_xnli_has_balanced_splits_without_shared_premises(shared_data: Path) -> None:
    splits = read("xnli", shared_data / "xnli")
    languages = {"ara", "deu", "eng", "fra", "hin", "rus", "spa", "swa", "urd", "zho"}
    counts = Counter(e["language"] for rows in splits.values() for e in rows)
    assert counts == dict.fromkeys(languages, 2490)
    for rows in splits.values():
        assert len(set(by_language(rows).values())) == 1
        assert set(by_language(rows)) == languages
        assert len(set(Counter(e["label"] for e in rows).values())) == 1
    premises = [{(e["language"], e["first"]) for e in rows} for rows in splits.values()]
    assert sum(map(len, premises)) == len(set().union(*premises)) == 10 * 830 - 1
    by_id = {e["id"]: e for rows in splits.values() for e in rows}
    assert by_id["eng-2"]["second"] == "He told his mom he had gotten home."
    assert by_id["swa-2"]["first"] == "Naye akasema, Mama, niko nyumbani."
    assert {by_id[f"{code}-2"]["label"] for code in languages} == {"entailment"}


def test_xquad_gives_balanced_ranking_splits(shared_data: Path) -> None:
    splits = read("xquad_ranking", shared_data / "xquad")
    languages = ("ara", "deu", "eng", "hin", "spa", "zho")
    assert by_language(splits["passages"]) == dict.fromkeys(languages, 240)
    queries = Counter(e["language"] for s in ("train", "dev", "test") for e in splits[s])
    assert queries == dict.fromkeys(languages, 1190)
    for split in ("train", "dev", "test"):
        assert len(set(by_language(splits[split]).values())) == 1
    defence = next(
        e
        for split in ("train", "dev", "test")
        for e in splits[split]
        if e["query"] == "How many points did the Panthers defense surrender?"
    )
    assert defence["relevant"] == {"eng-0": 1}
    text = next(p["text"] for p in splits["passages"] if p["id"] == "eng-0")
    assert text.startswith("The Panthers defense gave up just 308 points")


def test_miracl_has_the_published_topics_and_judgements(shared_data: Path) -> None:
    folder = shared_data / "miracl"
    topics = read_topics(folder / "topics.miracl-v1.0-en-dev.tsv")
    qrels = read_qrels(folder / "qrels.miracl-v1.0-en-dev.tsv")
    assert topics["0"] == "Is Creole a pidgin of French?"
    assert topics.keys() == qrels.keys()
    assert len(topics) == 799
    grades = Counter(grade for query_grades in qrels.values() for grade in query_grades.values())
    assert grades == {0: 6024, 1: 2326}


def test_miracl_without_passages_names_the_languages(shared_data: Path) -> None:
    with pytest.raises(InputError, match=r"docs-\*\.jsonl\.gz for ben, eng, swa, tel, yor, zho"):
        read_dataset("miracl", {}, shared_data / "miracl")


@pytest.mark.parametrize(
    ("name", "folder"), [("masakhaner", "masakhaner"), ("concepticon", "lexicons/concepticon")]
)
def test_pinned_checksums_of_the_paper_match_the_real_files(
    shared_data: Path, tmp_path: Path, name: str, folder: str
) -> None:
    """A mirror serves the real files, and their checksums equal the pinned ones."""
    paper = yaml.safe_load((ROOT / "config/paper.yaml").read_text(encoding="utf-8"))
    spec = paper["downloads"][name]
    pins = ROOT / spec["checksums"]
    fetch_download(
        name,
        tmp_path / "made",
        tmp_path / "partial",
        spec | {"checksums": str(pins)},
        {spec["url"]: str(shared_data / folder)},
    )
    extracted = {
        p.relative_to(tmp_path / "made").as_posix() for p in (tmp_path / "made").rglob("*.t*")
    }
    assert extracted == read_checksums(pins).keys()
