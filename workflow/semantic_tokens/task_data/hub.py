"""Benchmarks in the Parquet layout of the Hugging Face hub, from there or from a folder laid out
alike (paper, section 3.1)."""

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


def xnli_hub(
    path: Path | None,
    languages: Sequence[str],
    repository: str = "facebook/xnli",
    revision: str | None = None,
) -> dict[str, Iterable[Example]]:
    """XNLI with the training sets translated into every language, a configuration a language.

    Args:
        path: a folder laid out like the repository; None loads the repository.
        revision: of the repository, a commit; None is the newest.

    Raises:
        InputError: it cannot be loaded, or a row has no known label (on reading that row).
    """
    tables = {
        (language, split): _load(
            path or repository, iso639_1(language), published, revision, _XNLI_COLUMNS
        )
        for language in languages
        for split, published in (("train", "train"), ("dev", "validation"), ("test", "test"))
    }

    def examples(split: str) -> Iterator[Example]:
        for language in languages:
            rows = tables[language, split]
            for number, row in enumerate(tqdm(rows, desc=f"XNLI {split} in {language}")):
                if row["label"] not in range(len(LABELS)):
                    raise InputError(
                        f"{path or repository}, {split} in {language}, row {number}: the label is "
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
    path: Path | None,
    languages: Sequence[str] | None = None,
    repository: str = "google-research-datasets/tydiqa",
    revision: str | None = None,
    dev_fraction: float = 0.1,
    drop_test_contexts: bool = True,
    seed: int = 0,
) -> dict[str, list[Example]]:
    """TyDiQA-GoldP, the configuration ``secondary_task``; ids begin with the language's name.

    The publishers' validation is the test set, and dev is carved out of train, as
    :func:`semantic_tokens.task_data.squad.squad_json` does.

    Args:
        path: a folder laid out like the repository; None loads the repository.
        drop_test_contexts: False trains on the benchmark as published.
    """
    check_fraction("dev_fraction", dev_fraction)
    source = path or repository
    questions: dict[str, list[Question]] = {}
    for published in ("train", "validation"):
        rows = _load(source, "secondary_task", published, revision, _TYDIQA_COLUMNS)
        titles: dict[str, str] = {}
        examples = []
        for row in tqdm(rows, desc=f"TyDiQA {published}"):
            titles[row["id"]] = row["title"]
            examples.append(_question(row))
        questions[published] = [
            Question(titles[example["id"]], example)
            for example in drop_misplaced(examples, f"{source}, {published}")
        ]
    found = {q.example["language"] for of_split in questions.values() for q in of_split}
    require_languages(languages, found, str(source))
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


def download_repository(
    repository: str, revision: str | None, patterns: Sequence[str] | None
) -> Path:
    """Fetch a dataset repository's files into the hub's cache; return their folder.

    Args:
        patterns: fetch the files whose paths match one of these; None fetches all.

    Raises:
        InputError: the repository cannot be reached, or not without permission.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    try:
        return Path(
            snapshot_download(
                repository,
                repo_type="dataset",
                revision=revision,
                allow_patterns=list(patterns) if patterns is not None else None,
            )
        )
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        raise _unreachable(repository, error) from error


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


def _load(
    source: str | Path, configuration: str, split: str, revision: str | None, columns: set[str]
) -> Any:
    """One split's rows, memory-mapped, from a hub repository or a folder laid out like one."""
    from datasets import load_dataset
    from datasets.exceptions import DatasetsError

    where = f"{source}, {configuration}, {split}"
    try:
        rows = load_dataset(str(source), configuration, split=split, revision=revision)
    except (DatasetsError, ValueError, OSError) as error:
        raise _unreachable(where, error) from error
    if missing := sorted(columns - set(rows.column_names)):
        raise InputError(
            f"{where}: column {missing[0]} is missing; it takes {', '.join(sorted(columns))}. Mend "
            "the dataset's `repository` or `path`"
        )
    return rows


def _unreachable(what: str, error: Exception) -> InputError:
    reason = str(error).strip().partition("\n")[0]
    return InputError(
        f"{what} could not be loaded ({type(error).__name__}: {reason}); check the dataset's "
        "`repository`, `revision`, `path` and `languages`, the network, and, for a gated "
        "repository, that HF_TOKEN holds a token with access"
    )
