"""The real data of the laptop study. The publishers put all languages into one file, and the copies
have one file per language. The study must read the same data from both."""

import json
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from small_squad import squad_document

from semantic_tokens.data.corpora import read_corpus
from semantic_tokens.data.datasets import read_dataset
from semantic_tokens.data.datasets.xnli import read_pairs
from semantic_tokens.data.languages import iso639_1, iso639_3
from semantic_tokens.errors import InputError
from semantic_tokens.sources.downloads import fetch_download

ROOT = Path(__file__).resolve().parents[2]
LAPTOP = yaml.safe_load((ROOT / "config/laptop.yaml").read_text(encoding="utf-8"))
MIRRORS = yaml.safe_load((ROOT / "profiles/offline/mirrors.yaml").read_text(encoding="utf-8"))
#: TyDiQA's files are named by languages' English names.
NAMES = {"ara": "arabic", "ben": "bengali", "eng": "english", "kor": "korean", "swa": "swahili"}


def read(name: str, folder: Path, **options: Any) -> dict[str, dict[str, Any]]:
    """The examples of a dataset of the study by split and id."""
    spec = LAPTOP["datasets"][name]
    splits = read_dataset(spec["reader"], spec["options"] | options, folder, name=name)
    return {split: {row["id"]: row for row in rows} for split, rows in splits.items()}


def questions(split: str, languages: Iterable[str], count: int) -> dict[str, dict[str, Any]]:
    """A small file of SQuAD's JSON for each language, by file name."""

    def text(language: str, number: int) -> str:
        return f"{language} {number}: the answer is {number}."

    return {
        f"{NAMES[language]}.{split}.json": squad_document(
            language, split, count, f"{NAMES[language]}-", text
        )
        for language in languages
    }


def merged(files: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """The articles of several files in one file of SQuAD's JSON."""
    return {"data": [article for file in files.values() for article in file["data"]]}


def write_json(folder: Path, files: Mapping[str, Any]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name).write_text(json.dumps(content), encoding="utf-8")
    return folder


def write_xnli(folder: Path, pairs: Mapping[str, list[tuple[str, str, str]]]) -> None:
    """Write the development pairs, by ISO 639-3 code, into one table like XNLI's publishers."""
    lines = ["language\tgold_label\tsentence1_binary_parse\tsentence1\tsentence2"]
    for language, language_pairs in pairs.items():
        for premise, hypothesis, label in language_pairs:
            lines.append(f"{iso639_1(language)}\t{label}\t\t{premise}\t{hypothesis}")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "xnli.dev.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")


@pytest.fixture
def tydiqa(tmp_path: Path) -> tuple[Path, Path]:
    """Folders with one small file per language, and with one file for all languages. The second one
    also has training data in languages that the study does not train on."""
    test = questions("dev", NAMES, 4)
    train = questions("train", ["eng", "kor", "swa"], 30)
    per_language = write_json(tmp_path / "per_language", {**test, **train})
    more_than_the_study_uses = {**train, **questions("train", ["ara", "ben"], 30)}
    combined = {
        "tydiqa-goldp-v1.1-train.json": merged(more_than_the_study_uses),
        "tydiqa-goldp-v1.1-dev.json": merged(test),
    }
    return per_language, write_json(tmp_path / "combined", combined)


def test_tydiqa_is_the_same_in_both_layouts(tydiqa: tuple[Path, Path]) -> None:
    per_language, combined = (read("tydiqa", folder) for folder in tydiqa)
    assert combined == per_language
    languages = {
        split: {row["language"] for row in per_language[split].values()} for split in per_language
    }
    assert languages["test"] == set(NAMES)
    assert languages["train"] == languages["dev"] == {"eng", "kor", "swa"}


def test_train_languages_without_data_are_refused(tydiqa: tuple[Path, Path]) -> None:
    with pytest.raises(InputError, match=r"train: no data in tel; .*`train_languages`"):
        read("tydiqa", tydiqa[1], train_languages=["eng", "tel"])
    with pytest.raises(InputError, match=r"options\.train_languages has 'en' and must .*: eng"):
        read("tydiqa", tydiqa[1], train_languages=["en"])


def test_xnli_is_the_same_in_both_layouts(tmp_path: Path) -> None:
    languages = LAPTOP["datasets"]["xnli"]["options"]["languages"]
    labels = ("neutral", "contradiction", "entailment")
    pairs = {
        language: [
            (
                f"{language} premise {number // 3}",
                f"{language} hypothesis {number}",
                labels[number % 3],
            )
            for number in range(90)
        ]
        for language in [*languages, "tha"]
    }
    write_xnli(tmp_path / "combined", pairs)
    for language in languages:
        lines = ["\t".join(pair) for pair in pairs[language]]
        path = tmp_path / f"per_language/{iso639_1(language)}.dev.tsv"
        path.parent.mkdir(exist_ok=True)
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    layouts = [read("xnli", tmp_path / name) for name in ("combined", "per_language")]
    assert layouts[0] == layouts[1]
    assert all(layouts[0].values())
    premises = [{row["first"].split()[-1] for row in rows.values()} for rows in layouts[0].values()]
    assert sum(map(len, premises)) == len(set().union(*premises)) == 30


def test_only_the_dev_file_is_extracted_from_the_xnli_archive(tmp_path: Path) -> None:
    archive = tmp_path / "data/XNLI-1.0.zip"
    archive.parent.mkdir()
    with zipfile.ZipFile(archive, "w") as archive_file:
        for name in ("xnli.dev.tsv", "xnli.test.tsv", "xnli.dev.jsonl", "README"):
            archive_file.writestr(f"XNLI-1.0/{name}", name)
            archive_file.writestr(f"__MACOSX/XNLI-1.0/._{name}", "not text")
    spec = LAPTOP["downloads"]["xnli"] | {"sha256": None}
    mirrors = {spec["url"].rpartition("/")[0]: str(archive.parent)}
    fetch_download("xnli", tmp_path / "extracted", tmp_path / "partial", spec, mirrors)
    extracted = [path for path in (tmp_path / "extracted").rglob("*") if path.is_file()]
    assert {path.relative_to(tmp_path / "extracted").as_posix() for path in extracted} == {
        "XNLI-1.0/xnli.dev.tsv",
        ".provenance.json",
    }


def test_every_download_address_has_a_mirror() -> None:
    """Every mirror also belongs to an address that the study uses."""
    addresses = [spec["url"] for spec in LAPTOP["downloads"].values()]
    for address in addresses:
        assert any(address.startswith(mirror) for mirror in MIRRORS["mirrors"]), address
    for mirror, folder in MIRRORS["mirrors"].items():
        assert any(address.startswith(mirror) for address in addresses), mirror
        assert folder.startswith("$SEMANTIC_TOKENS_DATA/")


# The shared copies of the real data


def test_pinned_checksums_match_the_shared_copies(shared_data: Path, tmp_path: Path) -> None:
    for name, folder in (("masakhaner", "masakhaner"), ("xquad", "xquad")):
        spec = LAPTOP["downloads"][name]
        spec = spec | {"checksums": str(ROOT / spec["checksums"])}
        mirrors = {spec["url"]: str(shared_data / folder)}
        fetch_download(name, tmp_path / name, tmp_path / f"{name}-partial", spec, mirrors)


def test_shared_copies_give_the_same_data_as_the_publishers_files(
    shared_data: Path, tmp_path: Path
) -> None:
    tydiqa = shared_data / "tydiqa_goldp"
    files = {
        path.name: json.loads(path.read_text("utf-8")) for path in sorted(tydiqa.glob("*.json"))
    }
    combined = {
        f"tydiqa-goldp-v1.1-{split}.json": merged(
            {name: content for name, content in files.items() if f".{split}." in name}
        )
        for split in ("train", "dev")
    }
    write_json(tmp_path / "tydiqa", combined)
    assert read("tydiqa", tmp_path / "tydiqa") == read("tydiqa", tydiqa)
    languages = LAPTOP["datasets"]["xnli"]["options"]["languages"]
    pairs = {
        language: [
            (pair.premise, pair.hypothesis, pair.label)
            for pair in read_pairs(shared_data / f"xnli/{iso639_1(language)}.dev.tsv")
        ]
        for language in languages
    }
    write_xnli(tmp_path / "xnli", pairs)
    assert read("xnli", tmp_path / "xnli") == read("xnli", shared_data / "xnli")
    for name, folder in (("tydiqa_contexts", "tydiqa"), ("xnli_sentences", "xnli")):
        spec = LAPTOP["corpora"][name]
        copies = {"tydiqa": tydiqa, "xnli": shared_data / "xnli"}[folder]
        texts = [
            {
                (p["language"], p["text"])
                for p in read_corpus(name, spec["reader"], spec["options"], source)
            }
            for source in (tmp_path / folder, copies)
        ]
        assert texts[0] == texts[1]


def test_split_sizes_equal_those_in_the_docs(shared_data: Path) -> None:
    page = (ROOT / "docs/real_study.md").read_text(encoding="utf-8")
    for name, folder in (
        ("masakhaner", "masakhaner"), ("tydiqa", "tydiqa_goldp"), ("xnli", "xnli"), ("xquad", "xquad"),
        ("xquad_rerank", "xquad"),
    ):  # fmt: skip
        splits = read(name, shared_data / folder)
        sizes = " | ".join(f"{len(splits[split]):,}" for split in ("train", "dev", "test"))
        assert f"| {sizes} |" in page, (name, sizes)
        assert {iso639_3(row["language"]) for row in splits["test"].values()} == set(
            LAPTOP["datasets"][name]["options"]["languages"]
        )
