"""Benchmarks in the layout of the Hugging Face hub (paper, section 3.1)."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from semantic_tokens.data.datasets.canonical import Example, Placed
from semantic_tokens.data.datasets.hf import answers_of, hf
from semantic_tokens.data.datasets.sources import warn_untested
from semantic_tokens.data.datasets.splitting import check_fraction
from semantic_tokens.data.datasets.squad import Question, carve_dev, questions_in_place
from semantic_tokens.data.datasets.xnli import LABELS
from semantic_tokens.data.hub_tables import open_tables, repository_of
from semantic_tokens.data.languages import iso639_1, language_at, require_languages

_TYDIQA = {name: name for name in ("id", "title", "context", "question", "answers")}


def xnli_hub(
    path: Path | None,
    key: str,
    languages: Sequence[str],
    mirror: str | None = None,
    id: str = "facebook/xnli",
    revision: str | None = None,
) -> dict[str, Iterable[Example]]:
    """XNLI with machine-translated training sets, with one configuration per language.

    Args:
        path: a folder in the layout of ``facebook/xnli``; None reads it from the hub.
        key, mirror, id, revision: see :func:`semantic_tokens.data.datasets.hf.hf`.

    Raises:
        InputError: a file is missing, damaged or lacks a column, or (during reading) a row has an
            unknown label.
    """
    return hf(
        path,
        "pair_classification",
        key,
        mirror,
        id=id,
        revision=revision,
        configurations={language: iso639_1(language) for language in languages},
        files="{configuration}/{split}-*.parquet",
        labels=LABELS,
    )


def tydiqa_hub(
    path: Path | None,
    key: str,
    languages: Sequence[str] | None = None,
    mirror: str | None = None,
    id: str = "google-research-datasets/tydiqa",
    revision: str | None = None,
    dev_fraction: float = 0.1,
    drop_test_contexts: bool = True,
    seed: int = 0,
) -> dict[str, list[Example]]:
    """TyDiQA-GoldP, the configuration ``secondary_task``; ids begin with the language's name.

    The publishers' validation split is the test split, and dev is split from train, as in
    :func:`semantic_tokens.data.datasets.squad.squad_json`.

    Args:
        path: a folder in the layout of ``google-research-datasets/tydiqa``; None reads it from the
            hub.
        key, mirror, id, revision: see :func:`semantic_tokens.data.datasets.hf.hf`.
        drop_test_contexts: False trains on the benchmark as published.

    Raises:
        InputError: a file is missing, damaged or lacks a column, a requested language is missing,
            or a row is malformed.
    """
    from tqdm import tqdm

    check_fraction("dev_fraction", dev_fraction, may_be_zero=True)
    where = f"{key}.options"
    tables = open_tables(
        repository_of(where, id, revision, path, mirror),
        {"train": "train", "test": "validation"},
        files="secondary_task/{split}-*.parquet",
        need_all=True,
    )
    rows = {split: table.rows(_TYDIQA, where) for split, table in tables.items()}
    questions: dict[str, list[Question]] = {}
    for split, table in tables.items():
        read = tqdm(rows[split], desc=f"TyDiQA {split}", mininterval=2)
        found = list(_questions(read, table.where, languages))
        questions[split] = questions_in_place(found, table.where)
    languages_found = {q.example["language"] for of_split in questions.values() for q in of_split}
    require_languages(languages, languages_found, str(path or id))
    for split, of_split in questions.items():
        questions[split] = [
            q for q in of_split if languages is None or q.example["language"] in languages
        ]
    read_languages = languages_found if languages is None else languages_found & set(languages)
    warn_untested(read_languages, (q.example for q in questions["test"]), str(path or id))
    return carve_dev(
        questions["train"],
        questions["test"],
        dev_fraction=dev_fraction,
        drop_test_contexts=drop_test_contexts,
        seed=seed,
    )


def _questions(
    rows: Iterable[dict[str, Any]], where: str, languages: Sequence[str] | None
) -> Iterator[Question]:
    for number, row in enumerate(rows):
        place = f"{where}, row {number}"
        answers = answers_of(row, place)
        language = language_at(place, row["id"].split("-")[0], languages)
        if language is None:
            continue
        example = {
            "id": row["id"],
            "language": language,
            "context": row["context"],
            "question": row["question"],
            "answers": answers,
        }
        yield Question(row["title"], Placed(example, where, number, "row"))
