"""The paper's Table 1: tasks and datasets, with counts from the files."""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from semantic_tokens.json_files import read_jsonl
from semantic_tokens.report.pages import Section, write_csv, write_page

#: The name, type and granularity of each kind of task in the paper's Table 1.
KINDS = {
    "token_classification": ("named entity recognition", "classification", "word-level"),
    "question_answering": ("question answering", "classification", "sentence-level"),
    "pair_classification": ("natural language inference", "classification", "sentence-level"),
    "reranking": ("passage reranking", "classification", "passage-level"),
    "retrieval": ("passage retrieval", "embedding", "passage-level"),
}


def count_by_language(path: str | Path) -> Counter[str]:
    """The number of lines per language of a JSON-lines file, which is streamed."""
    return Counter(row["language"] for row in read_jsonl(path))


def dataset_counts(files: Mapping[str, Mapping[str, str | Path]]) -> pd.DataFrame:
    """Examples by dataset and language, as loaded.

    Args:
        files: dataset -> ``train``, ``dev``, ``test`` and optionally ``passages`` -> its file.

    Returns:
        ``dataset, language, train, dev, test, passages``; the last is NA without passages.
    """
    lines = []
    for dataset, parts in files.items():
        counts = {part: count_by_language(path) for part, path in parts.items()}
        for language in sorted(set().union(*counts.values())):
            line: dict[str, Any] = {"dataset": dataset, "language": language}
            for part in ("train", "dev", "test", "passages"):
                line[part] = counts[part][language] if part in counts else pd.NA
            lines.append(line)
    table = pd.DataFrame(lines)
    return table.astype({part: "Int64" for part in ("train", "dev", "test", "passages")})


def table1(
    tasks: Mapping[str, Mapping[str, str]], counts: pd.DataFrame, evaluation_split: str
) -> pd.DataFrame:
    """Table 1: the tasks with their languages and sizes.

    Args:
        tasks: task -> ``kind`` and ``dataset``.
        counts: from :func:`dataset_counts`.
        evaluation_split: the split whose languages are counted.

    Returns:
        ``task, dataset, is, type, granularity, languages, train, dev, test, passages,
        language_codes``.
    """
    lines = []
    for task, spec in tasks.items():
        part = counts[counts["dataset"] == spec["dataset"]]
        codes = part.loc[part[evaluation_split] > 0, "language"]
        what, form, granularity = KINDS[spec["kind"]]
        line = {
            "task": task,
            "dataset": spec["dataset"],
            "is": what,
            "type": form,
            "granularity": granularity,
            "languages": len(codes),
        }
        sums = part[["train", "dev", "test", "passages"]].sum(min_count=1)
        lines.append(line | sums.to_dict() | {"language_codes": " ".join(codes)})
    return pd.DataFrame(lines).astype(dict.fromkeys(("train", "dev", "test", "passages"), "Int64"))


def write_table1(
    table: pd.DataFrame,
    counts: pd.DataFrame,
    csv: str | Path,
    html: str | Path,
    counts_csv: str | Path,
    *,
    title: str,
    evaluation_split: str,
) -> None:
    """Write :func:`table1` and :func:`dataset_counts` as CSV, and both as a page."""
    write_csv(table, csv)
    write_csv(counts, counts_csv)
    numbers = dict.fromkeys(["train", "dev", "test", "passages"], ",")
    write_page(
        html,
        f"Tasks and datasets: {title}",
        [
            "The numbers of loaded examples; for ranking, of queries and passages. Languages are "
            f"those of the {evaluation_split} split."
        ],
        [
            Section(table, "By task", formats=numbers),
            Section(counts, "By dataset and language", formats=numbers),
        ],
    )
