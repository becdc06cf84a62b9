"""Benchmarks in the Parquet layout of the Hugging Face hub, fetched from there or laid out alike
(paper, section 3.1)."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from tqdm import tqdm

from semantic_tokens.errors import InputError
from semantic_tokens.languages import iso639_1, iso639_3
from semantic_tokens.task_data.canonical import Example
from semantic_tokens.task_data.sources import require_languages
from semantic_tokens.task_data.splitting import check_fraction
from semantic_tokens.task_data.squad import Question, carve_dev, drop_misplaced
from semantic_tokens.task_data.xnli import LABELS

_XNLI_COLUMNS = {"premise", "hypothesis", "label"}
_TYDIQA_COLUMNS = {"id", "title", "context", "question", "answers"}


def xnli_hub(path: Path, languages: Sequence[str]) -> dict[str, Iterable[Example]]:
    """XNLI with the training sets translated into every language, a configuration a language.

    Args:
        path: a folder laid out like ``facebook/xnli``.

    Raises:
        InputError: it cannot be loaded, or a row has no known label (on reading that row).
    """
    tables = {
        (language, split): _load(path, iso639_1(language), published, _XNLI_COLUMNS)
        for language in languages
        for split, published in (("train", "train"), ("dev", "validation"), ("test", "test"))
    }

    def examples(split: str) -> Iterator[Example]:
        for language in languages:
            rows = tables[language, split]
            for number, row in enumerate(tqdm(rows, desc=f"XNLI {split} in {language}")):
                if row["label"] not in range(len(LABELS)):
                    raise InputError(
                        f"{path}, {split} in {language}, row {number}: the label is "
                        f"{row['label']!r} and must be 0, 1 or 2; mend or remove the row"
                    )
                yield {
                    "id": f"{language}-{split}-{number}",
                    "language": language,
                    "first": row["premise"],
                    "second": row["hypothesis"],
                    "label": LABELS[row["label"]],
                }

    return {split: examples(split) for split in ("train", "dev", "test")}


def tydiqa_hub(
    path: Path,
    languages: Sequence[str] | None = None,
    dev_fraction: float = 0.1,
    drop_test_contexts: bool = True,
    seed: int = 0,
) -> dict[str, list[Example]]:
    """TyDiQA-GoldP, the configuration ``secondary_task``; ids begin with the language's name.

    The publishers' validation is the test set, and dev is carved out of train, as
    :func:`semantic_tokens.task_data.squad.squad_json` does.

    Args:
        path: a folder laid out like ``google-research-datasets/tydiqa``.
        drop_test_contexts: False trains on the benchmark as published.
    """
    check_fraction("dev_fraction", dev_fraction)
    questions: dict[str, list[Question]] = {}
    for published in ("train", "validation"):
        rows = _load(path, "secondary_task", published, _TYDIQA_COLUMNS)
        titles: dict[str, str] = {}
        examples = []
        for row in tqdm(rows, desc=f"TyDiQA {published}"):
            titles[row["id"]] = row["title"]
            examples.append(_question(row))
        questions[published] = [
            Question(titles[example["id"]], example)
            for example in drop_misplaced(examples, f"{path}, {published}")
        ]
    found = {q.example["language"] for of_split in questions.values() for q in of_split}
    require_languages(languages, found, str(path))
    for published, of_split in questions.items():
        questions[published] = [
            q for q in of_split if languages is None or q.example["language"] in languages
        ]
    return carve_dev(
        questions["train"],
        questions["validation"],
        dev_fraction=dev_fraction,
        drop_test_contexts=drop_test_contexts,
        seed=seed,
    )


def _question(row: dict[str, Any]) -> Example:
    answers = row["answers"]
    return {
        "id": row["id"],
        "language": iso639_3(row["id"].split("-")[0]),
        "context": row["context"],
        "question": row["question"],
        "answers": [
            {"text": text, "start": start}
            for text, start in zip(answers["text"], answers["answer_start"], strict=True)
        ],
    }


def _load(path: Path, configuration: str, split: str, columns: set[str]) -> Any:
    """One split's rows, memory-mapped, from a folder laid out like a hub repository."""
    from datasets import load_dataset
    from datasets.exceptions import DatasetsError

    where = f"{path}, {configuration}, {split}"
    try:
        rows = load_dataset(str(path), configuration, split=split)
    except (DatasetsError, ValueError, OSError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise InputError(
            f"{where} could not be loaded ({type(error).__name__}: {reason}); check the dataset's "
            "`languages`, and its `path` or the `files` of its download: the repository's README.md "
            "names the configurations"
        ) from error
    if missing := sorted(columns - set(rows.column_names)):
        raise InputError(
            f"{where}: column {missing[0]} is missing; it takes {', '.join(sorted(columns))}. Mend "
            "the dataset's `download` or `path`"
        )
    return rows
