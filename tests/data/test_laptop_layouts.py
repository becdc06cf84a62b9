"""The real data of the laptop study, in one file of all languages, as their publishers have them,
and in one file per language, as copies have them: the study reads the same from both."""

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
    """A small file of SQuAD's JSON for each language, by its name."""

    def text(language: str, number: int) -> str:
        return f"{language} {number}: the answer is {number}."

    return {
        f"{NAMES[language]}.{split}.json": squad_document(
            language, split, count, f"{NAMES[language]}-", text
        )
        for language in languages
    }


def merged(files: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """One file of SQuAD's JSON that holds all of some."""
    return {"data": [article for file in files.values() for article in file["data"]]}


def write_json(folder: Path, files: Mapping[str, Any]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name).write_text(json.dumps(content), encoding="utf-8")
    return folder


def write_xnli(folder: Path, pairs: Mapping[str, list[tuple[str, str, str]]]) -> None:
    """XNLI's development pairs in their publishers' one table, by ISO 639-3 code."""
    lines = ["language\tgold_label\tsentence1_binary_parse\tsentence1\tsentence2"]
    for language, of_language in pairs.items():
        for premise, hypothesis, label in of_language:
            lines.append(f"{iso639_1(language)}\t{label}\t\t{premise}\t{hypothesis}")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "xnli.dev.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")


@pytest.fixture
def tydiqa(tmp_path: Path) -> tuple[Path, Path]:
    """Small files of the study's languages: one per language, and one of all languages, in which
    there is more than the study trains on."""
    test = questions("dev", NAMES, 4)
    train = questions("train", ["eng", "kor", "swa"], 30)
    apart = write_json(tmp_path / "apart", {**test, **train})
    more = {**train, **questions("train", ["ara", "ben"], 30)}
    together = {
        "tydiqa-goldp-v1.1-train.json": merged(more),
        "tydiqa-goldp-v1.1-dev.json": merged(test),
    }
    return apart, write_json(tmp_path / "together", together)


def test_tydiqa_is_the_same_in_both_layouts(tydiqa: tuple[Path, Path]) -> None:
    apart, together = (read("tydiqa", folder) for folder in tydiqa)
    assert together == apart
    languages = {split: {row["language"] for row in apart[split].values()} for split in apart}
    assert languages["test"] == set(NAMES)
    assert languages["train"] == languages["dev"] == {"eng", "kor", "swa"}


def test_languages_that_are_trained_on_must_be_there(tydiqa: tuple[Path, Path]) -> None:
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
    write_xnli(tmp_path / "together", pairs)
    for language in languages:
        lines = ["\t".join(pair) for pair in pairs[language]]
        path = tmp_path / f"apart/{iso639_1(language)}.dev.tsv"
        path.parent.mkdir(exist_ok=True)
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    both = [read("xnli", tmp_path / name) for name in ("together", "apart")]
    assert both[0] == both[1]
    assert all(both[0].values())
    premises = [{row["first"].split()[-1] for row in rows.values()} for rows in both[0].values()]
    assert sum(map(len, premises)) == len(set().union(*premises)) == 30


def test_of_xnli_s_archive_one_file_is_taken(tmp_path: Path) -> None:
    archive = tmp_path / "data/XNLI-1.0.zip"
    archive.parent.mkdir()
    with zipfile.ZipFile(archive, "w") as opened:
        for name in ("xnli.dev.tsv", "xnli.test.tsv", "xnli.dev.jsonl", "README"):
            opened.writestr(f"XNLI-1.0/{name}", name)
            opened.writestr(f"__MACOSX/XNLI-1.0/._{name}", "not text")
    spec = LAPTOP["downloads"]["xnli"] | {"sha256": None}
    place = {spec["url"].rpartition("/")[0]: str(archive.parent)}
    fetch_download("xnli", tmp_path / "made", tmp_path / "partial", spec, place)
    made = [path for path in (tmp_path / "made").rglob("*") if path.is_file()]
    assert {path.relative_to(tmp_path / "made").as_posix() for path in made} == {
        "XNLI-1.0/xnli.dev.tsv",
        ".provenance.json",
    }


def test_every_place_has_a_mirror() -> None:
    """And no mirror is left of an address that the study has not any more."""
    addresses = [spec["url"] for spec in LAPTOP["downloads"].values()]
    for address in addresses:
        assert any(address.startswith(mirror) for mirror in MIRRORS["mirrors"]), address
    for mirror, folder in MIRRORS["mirrors"].items():
        assert any(address.startswith(mirror) for address in addresses), mirror
        assert folder.startswith("$SEMANTIC_TOKENS_DATA/")


# The copies that lie beside the repository


def test_the_pins_are_of_the_copies(shared_data: Path, tmp_path: Path) -> None:
    for name, folder in (("masakhaner", "masakhaner"), ("xquad", "xquad")):
        spec = LAPTOP["downloads"][name]
        spec = spec | {"checksums": str(ROOT / spec["checksums"])}
        place = {spec["url"]: str(shared_data / folder)}
        fetch_download(name, tmp_path / name, tmp_path / f"{name}-partial", spec, place)


def test_the_copies_are_read_as_the_publishers_files_would_be(
    shared_data: Path, tmp_path: Path
) -> None:
    tydiqa = shared_data / "tydiqa_goldp"
    files = {
        path.name: json.loads(path.read_text("utf-8")) for path in sorted(tydiqa.glob("*.json"))
    }
    together = {
        f"tydiqa-goldp-v1.1-{split}.json": merged(
            {name: content for name, content in files.items() if f".{split}." in name}
        )
        for split in ("train", "dev")
    }
    write_json(tmp_path / "tydiqa", together)
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
        own = {"tydiqa": tydiqa, "xnli": shared_data / "xnli"}[folder]
        texts = [
            {
                (p["language"], p["text"])
                for p in read_corpus(name, spec["reader"], spec["options"], place)
            }
            for place in (tmp_path / folder, own)
        ]
        assert texts[0] == texts[1]


def test_the_sizes_of_the_study(shared_data: Path) -> None:
    """As docs/real_study.md gives them."""
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
