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
_ROWS_AT_ONCE = 10_000
_AGAIN = "delete its folder to have it fetched again"


def xnli_hub(path: Path, languages: Sequence[str]) -> dict[str, Iterable[Example]]:
    """XNLI with the training sets translated into every language, a configuration a language.

    Args:
        path: a folder laid out like ``facebook/xnli``.

    Raises:
        InputError: a file is missing, damaged or lacks a column, or a row has no known label (on
            reading that row).
    """
    tables = {
        (language, split): _open(path, iso639_1(language), published, _XNLI_COLUMNS)
        for language in languages
        for split, published in (("train", "train"), ("dev", "validation"), ("test", "test"))
    }

    def examples(split: str) -> Iterator[Example]:
        for language in languages:
            rows = _rows(tables[language, split], _XNLI_COLUMNS)
            for number, row in enumerate(tqdm(rows, desc=f"XNLI {split} in {language}")):
                if type(row["label"]) is not int or row["label"] not in range(len(LABELS)):
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
    check_fraction("dev_fraction", dev_fraction, may_be_zero=True)
    questions: dict[str, list[Question]] = {}
    for published in ("train", "validation"):
        files = _open(path, "secondary_task", published, _TYDIQA_COLUMNS)
        titles: dict[str, str] = {}
        examples = []
        rows = _rows(files, _TYDIQA_COLUMNS)
        for number, row in enumerate(tqdm(rows, desc=f"TyDiQA {published}")):
            examples.append(_question(row, f"{path}, {published}, row {number}"))
            titles[row["id"]] = row["title"]
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


def _question(row: dict[str, Any], where: str) -> Example:
    answers = row["answers"] if isinstance(row["answers"], dict) else {}
    texts, starts = answers.get("text"), answers.get("answer_start")
    is_text = all(isinstance(row[key], str) for key in ("id", "title", "context", "question"))
    if (
        not is_text
        or not isinstance(texts, list)
        or not isinstance(starts, list)
        or len(texts) != len(starts)
    ):
        raise InputError(
            f"{where}: a question has text as its id, title, context and question, and as many "
            "texts of answers as places where they start; mend or remove the row"
        )
    return {
        "id": row["id"],
        "language": iso639_3(row["id"].split("-")[0]),
        "context": row["context"],
        "question": row["question"],
        "answers": [
            {"text": text, "start": start} for text, start in zip(texts, starts, strict=True)
        ],
    }


def _open(path: Path, configuration: str, split: str, columns: set[str]) -> list[Any]:
    """The Parquet files of one split, in a folder laid out like a hub repository.

    Not with ``datasets``: for one configuration it asks for the files of all that the card names,
    and of those the workflow fetches what it reads.
    """
    import pyarrow as pa
    import pyarrow.parquet as parquet

    names = sorted((path / configuration).glob(f"{split}-*.parquet"))
    if not names:
        raise InputError(
            f"{path} holds no {configuration}/{split}-*.parquet; mend the dataset's `languages` or "
            "`path`, or the `files` of its download"
        )
    files = []
    for name in names:
        try:
            file = parquet.ParquetFile(name)
        except (pa.ArrowInvalid, OSError) as error:
            raise InputError(
                f"{name} is cut short or no Parquet file ({error}); {_AGAIN}"
            ) from error
        if missing := sorted(columns - set(file.schema_arrow.names)):
            raise InputError(
                f"{name}: column {missing[0]} is missing; it takes {', '.join(sorted(columns))}. "
                "Mend the dataset's `download` or `path`"
            )
        files.append((name, file))
    return files


def _rows(files: list[Any], columns: set[str]) -> Iterator[dict[str, Any]]:
    """Their rows one by one, a batch of them in memory."""
    import pyarrow as pa

    for name, file in files:
        batches = file.iter_batches(_ROWS_AT_ONCE, columns=sorted(columns))
        while True:
            try:
                batch = next(batches, None)
            except (pa.ArrowInvalid, OSError) as error:
                raise InputError(f"{name} is damaged ({error}); {_AGAIN}") from error
            if batch is None:
                break
            yield from batch.to_pylist()
