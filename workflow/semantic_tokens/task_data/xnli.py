"""XNLI as tables in many languages: does one sentence follow from another? (paper, section 3.1)"""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from semantic_tokens.errors import InputError
from semantic_tokens.languages import iso639_3
from semantic_tokens.task_data.canonical import SPLITS, Example
from semantic_tokens.task_data.sources import files_by_language, numbered_lines
from semantic_tokens.task_data.splitting import check_fractions, groups_sharing, part_of

#: In the order of the numbers that the hub's files have in their place.
LABELS = ("entailment", "neutral", "contradiction")


class Pair(NamedTuple):
    """A premise, a hypothesis and how they stand to each other, and their line in the file."""

    premise: str
    hypothesis: str
    label: str
    line: int


def xnli(
    path: Path,
    languages: Sequence[str] | None = None,
    train_fraction: float = 0.7,
    dev_fraction: float = 0.1,
    seed: int = 0,
) -> dict[str, list[Example]]:
    """XNLI's development pairs, ``{language}.dev.tsv``, split three ways.

    Item i is the same pair in every language, so pairs are split by premise over all languages
    at once: a premise that is trained on in one is tested on in none. The official test set is
    left out where it lies beside them: only two languages have it here, which would make the
    mean over languages one over different items, and in Urdu 12 of its premises stand in dev.

    Raises:
        InputError: names file and line if a line is malformed, or if the files do not list the
            same pairs.
    """
    check_fractions(train_fraction, dev_fraction)
    files = files_by_language(path, "*.dev.tsv", _language_of_file, languages)
    pairs = {language: read_pairs(file) for language, file in files.items()}
    _check_parallel(files, pairs)
    items = list(zip(*pairs.values(), strict=True))
    premises = groups_sharing(
        [[(language, p.premise) for language, p in zip(pairs, item, strict=True)] for item in items]
    )
    splits: dict[str, list[Example]] = {split: [] for split in SPLITS}
    for language, of_language in pairs.items():
        for number, (pair, premise) in enumerate(zip(of_language, premises, strict=True)):
            part = part_of(str(premise), seed, train=train_fraction, dev=dev_fraction)
            splits[part].append(
                {
                    "id": f"{language}-{number}",
                    "language": language,
                    "first": pair.premise,
                    "second": pair.hypothesis,
                    "label": pair.label,
                }
            )
    return splits


def read_pairs(path: Path) -> list[Pair]:
    """The pairs of one language's table: sentence1, sentence2, label; or, under a header, genre,
    label, sentence1_xx, sentence2_xx.

    Raises:
        InputError: names file and line of the first malformed line.
    """
    pairs: list[Pair] = []
    has_genre = False
    for number, line in numbered_lines(path):
        fields = line.split("\t")
        if number == 1 and fields[:2] == ["genre", "label"]:
            has_genre = True
            continue
        columns = 4 if has_genre else 3
        if len(fields) != columns or not all(field.strip() for field in fields):
            raise InputError(
                f"{path}, line {number}: {columns} filled columns separated by tabs are expected, "
                f"not {line[:80]!r}; mend or remove the line"
            )
        premise, hypothesis, label = (
            (fields[2], fields[3], fields[1]) if has_genre else (fields[0], fields[1], fields[2])
        )
        if label not in LABELS:
            raise InputError(
                f"{path}, line {number}: the label is {label!r} and must be one of "
                f"{', '.join(LABELS)}; mend or remove the line"
            )
        pairs.append(Pair(premise, hypothesis, label, number))
    return pairs


def _check_parallel(files: dict[str, Path], pairs: dict[str, list[Pair]]) -> None:
    """Check that all languages list the same pairs, which their sequence of labels tells: each
    premise has its three in an order of its own."""
    reference = next(iter(pairs))
    for language in pairs:
        ours, theirs = pairs[language], pairs[reference]
        paired = zip(ours, theirs, strict=False)
        lines = [pair.line for pair, other in paired if pair.label != other.label]
        if lines or len(ours) != len(theirs):
            place = f", line {lines[0]}," if lines else ""
            raise InputError(
                f"{files[language]}{place} does not list the pairs of {files[reference]} in the "
                f"same order ({len(ours)} and {len(theirs)} pairs), so a premise could be trained "
                "on in one language and tested on in the other; leave one out of the dataset's "
                "`languages`"
            )


def _language_of_file(path: Path) -> str:
    return iso639_3(path.name.split(".")[0])
