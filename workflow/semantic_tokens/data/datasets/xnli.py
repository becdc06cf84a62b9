"""XNLI as tables in many languages: does one sentence follow from another? (paper, section 3.1)"""

import logging
import re
from collections.abc import Hashable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from semantic_tokens.components import groups_sharing
from semantic_tokens.data.datasets.canonical import SPLITS, Example, Placed
from semantic_tokens.data.datasets.sources import SplitFiles, files_of_split
from semantic_tokens.data.datasets.splitting import (
    check_fractions,
    in_clusters,
    part_of,
)
from semantic_tokens.data.languages import language_at, require_languages
from semantic_tokens.errors import InputError
from semantic_tokens.text_files import files_in, filled_lines, json_lines, plain_name

log = logging.getLogger(__name__)

#: In the order of the numbers that the hub's files have in their place.
LABELS = ("entailment", "neutral", "contradiction")

#: The mark of a pair on whose label the annotators did not agree.
UNDECIDED = "-"

# The machine-translated training sets use another word.
_SPELLED = {"contradictory": "contradiction"}
# `de.dev.tsv`, `dev-de.tsv`, `multinli.train.de.tsv`; without a code, the file of all languages.
_NAMES = [
    re.compile(r"(?P<code>[^.]+)\.(?P<split>train|dev|test)\.(?:tsv|jsonl)"),
    re.compile(r"(?P<split>train|dev|test)-(?P<code>[^.]+)\.(?:tsv|jsonl)"),
    re.compile(r"multinli\.(?P<split>train)\.(?P<code>[^.]+)\.(?:tsv|jsonl)"),
]
_ALL_LANGUAGES = "xnli"
# The names of the columns, the most specific name first.
_PREMISE = ("sentence1", "premise")
_HYPOTHESIS = ("sentence2", "hypothesis", "hypo")
_LABEL = ("gold_label", "label")
_FORMS = (
    "a header that names language, gold_label, sentence1 and sentence2 (the publisher's), premise, "
    "hypo and label, or genre, label, sentence1_xx and sentence2_xx; or no header and the columns "
    "sentence1, sentence2, label"
)


class Pair(NamedTuple):
    """A premise, a hypothesis and their label, with the file's name for the language (if it has
    one), the file and the line."""

    premise: str
    hypothesis: str
    label: str
    language: str | None
    file: Path
    line: int


class Columns(NamedTuple):
    """The numbers of the columns of a table, from 0."""

    premise: int
    hypothesis: int
    label: int
    language: int | None


def xnli(
    path: Path,
    languages: Sequence[str] | None = None,
    train_fraction: float = 0.7,
    dev_fraction: float = 0.1,
    seed: int = 0,
) -> dict[str, Iterable[Example]]:
    """XNLI in its publishers' files, or in one file per language.

    The file of a split and a language is ``{language}.dev.tsv`` or ``dev-{language}.tsv``, the file
    of all languages is ``xnli.dev.tsv``, and training files are ``multinli.train.{language}.tsv``.
    JSON lines with these names, and files in subfolders, are read too.

    With training files, the publishers' splits are used. Without them, the development pairs are
    split in three. Item i is the same pair in every language, so pairs are split by premise over
    all languages: no premise is in the training data of one language and the test data of another.
    The official test set is then not used: if only some languages had it, the mean over languages
    would be over different items. In Urdu, 12 of its premises are also in dev.

    Args:
        train_fraction, dev_fraction: the fractions of the development pairs, if they are split.

    Raises:
        InputError: a line is malformed, or the files do not list the same pairs.
    """
    check_fractions(train_fraction, dev_fraction)
    files = {split: _files_of(path, split, languages) for split in SPLITS}
    option = "dataset's `languages`"
    for split in ("dev", "test") if files["train"].chosen else ("dev",):
        _require_files(files[split], languages, option)
    if not files["dev"].chosen:
        raise InputError(
            f"{path} contains no *.dev.tsv of XNLI; its files are named xnli.dev.tsv, "
            "{language}.dev.tsv or dev-{language}.tsv: correct the dataset's `path` in the config"
        )
    if files["train"].chosen and not files["test"].chosen:
        raise InputError(
            f"{path} contains training files of XNLI, but no *.test.tsv; fetch xnli.test.tsv, or remove "
            f"{files['train'].chosen[0][1]} to split the development pairs three ways"
        )
    if files["train"].chosen:
        published = {split: _examples(files[split], split, languages) for split in SPLITS}
        return {**published, **{split: by_pair(published[split]) for split in ("dev", "test")}}
    for _, file in files["test"].chosen:
        log.info("%s is left out: without training files, the development pairs are split", file)
    pairs: dict[str, list[Pair]] = {}
    for language, pair in _pairs(files["dev"], languages, option):
        pairs.setdefault(language, []).append(pair)
    if not pairs:
        raise InputError(f"{files['dev'].chosen[0][1]} contains no pair; fetch it again")
    pairs = dict(sorted(pairs.items()))
    _check_parallel(pairs)
    return _split(pairs, train_fraction, dev_fraction, seed)


def read_pairs(path: Path) -> Iterator[Pair]:
    """The pairs of a table, with or without a header, or of JSON lines. Pairs without a label are
    left out, and the log has their number.

    Raises:
        InputError: a line is malformed.
    """
    undecided = 0
    for pair in _json_pairs(path) if ".jsonl" in path.name else _table_pairs(path):
        label = _SPELLED.get(pair.label, pair.label)
        if label == UNDECIDED:
            undecided += 1
            continue
        if label not in LABELS:
            raise InputError(
                f"{path}, line {pair.line}: the label is {label!r} and must be one of "
                f"{', '.join(LABELS)}; fix or remove the line. Expected is {_FORMS}"
            )
        yield pair._replace(label=label)
    if undecided:
        log.warning("%s: %d pairs without a decided label dropped", path, undecided)


def read_sentences(path: Path, languages: Sequence[str] | None = None) -> Iterator[tuple[str, str]]:
    """Language and text of the premises and hypotheses of XNLI's development pairs.

    Raises:
        InputError: the folder contains no such pairs, or none in a requested language, or a line is
            malformed.
    """
    files = _files_of(path, "dev", languages)
    option = "corpus's `languages`"
    _require_files(files, languages, option)
    if not files.chosen:
        raise InputError(f"{path} contains no *.dev.tsv of XNLI; correct the corpus's `path`")
    for language, pair in _pairs(files, languages, option):
        yield language, pair.premise
        yield language, pair.hypothesis


def _table_pairs(path: Path) -> Iterator[Pair]:
    columns, width = Columns(0, 1, 2, None), 3
    is_first = True
    for number, line in filled_lines(path):
        fields = line.split("\t")
        if is_first and (named := _columns(fields)) is not None:
            columns, width = named, len(fields)
            is_first = False
            continue
        is_first = False
        wanted = [fields[c] for c in columns if c is not None] if len(fields) == width else []
        if not wanted or not all(field.strip() for field in wanted):
            raise InputError(
                f"{path}, line {number}: {width} columns separated by tabs are expected, those of "
                f"the sentences and the label filled, not {line[:80]!r}; fix or remove the line. "
                f"Expected is {_FORMS}"
            )
        yield _pair(wanted, path, number)


def _json_pairs(path: Path) -> Iterator[Pair]:
    for number, record in json_lines(path):
        columns, fields = _columns(list(record)), list(record.values())
        values = [fields[c] for c in columns or () if c is not None]
        if not values or not all(isinstance(value, str) and value.strip() for value in values):
            raise InputError(
                f"{path}, line {number}: sentence1, sentence2 and gold_label (or premise, "
                "hypothesis and label) are expected as text; fix or remove the line"
            )
        yield _pair(values, path, number)


def _pair(fields: list[str], file: Path, line: int) -> Pair:
    """A pair from premise, hypothesis, label and, if the file has it, language."""
    language = fields[3].strip() if len(fields) == 4 else None
    return Pair(fields[0], fields[1], fields[2].strip(), language, file, line)


def _columns(names: list[str]) -> Columns | None:
    """The columns by their names; None if these are not names of columns."""
    places = {name.strip().lower(): place for place, name in reversed(list(enumerate(names)))}

    def place_of(*known: str) -> int | None:
        for name in known:
            if name in places:
                return places[name]
            in_language = [n for n in places if re.fullmatch(rf"{name}_[a-z]{{2,3}}", n)]
            if len(in_language) == 1:
                return places[in_language[0]]
        return None

    premise, hypothesis, label = place_of(*_PREMISE), place_of(*_HYPOTHESIS), place_of(*_LABEL)
    if premise is None or hypothesis is None or label is None:
        return None
    return Columns(premise, hypothesis, label, places.get("language"))


def _files_of(path: Path, split: str, languages: Sequence[str] | None) -> SplitFiles:
    coded: dict[Path, str | None] = {}
    for file in files_in(path, "**/*.tsv", "**/*.jsonl"):
        matches = (name.fullmatch(plain_name(file)) for name in _NAMES)
        match = next(filter(None, matches), None)
        if match and match["split"] == split:
            coded[file] = None if match["code"] == _ALL_LANGUAGES else match["code"]
    tables = {plain_name(file) for file in coded if ".tsv" in file.name}
    coded = {  # the publisher has both files with the same content
        file: code
        for file, code in coded.items()
        if plain_name(file) in tables or plain_name(file).replace(".jsonl", ".tsv") not in tables
    }
    return files_of_split(f"{path}/*.{split}.tsv", coded, languages)


def _require_files(files: SplitFiles, languages: Sequence[str] | None, option: str) -> None:
    """Raise an InputError if there is one file per language, and a requested language has none."""
    if files.languages:
        require_languages(languages, files.languages, files.where, option)


def _pairs(
    files: SplitFiles, languages: Sequence[str] | None, option: str | None
) -> Iterator[tuple[str, Pair]]:
    """The pairs of a split's files in the requested languages, each with its language.

    Args:
        option: the option that requests the languages, for the message about a missing one; None
            if they may be missing.
    """
    found, available = set(), set(files.languages)
    for language, file in files.chosen:
        for pair in read_pairs(file):
            pair_language = language
            if pair_language is None:
                if pair.language is None:
                    raise InputError(
                        f"the language of the pairs in {file} is unknown; give it a column `language`, "
                        f"or name it by its language, as de.dev.tsv. Expected is {_FORMS}"
                    )
                pair_language = language_at(f"{file}, line {pair.line}", pair.language, languages)
            if pair_language is None:
                continue
            available.add(pair_language)
            if languages is None or pair_language in languages:
                found.add(pair_language)
                yield pair_language, pair
    if option is not None:
        require_languages(languages, found, files.where, option, available)


def _examples(files: SplitFiles, split: str, languages: Sequence[str] | None) -> Iterator[Example]:
    """A split of the publishers. A language may be tested without its own training data."""
    counts: dict[str, int] = {}
    option = None if split == "train" else "dataset's `languages`"
    for language, pair in _pairs(files, languages, option):
        number = counts.get(language, 0)
        counts[language] = number + 1
        yield _example(f"{language}-{split}-{number}", language, pair)


def _example(name: str, language: str, pair: Pair) -> Example:
    example = {
        "id": name,
        "language": language,
        "first": pair.premise,
        "second": pair.hypothesis,
        "label": pair.label,
    }
    return Placed(example, pair.file, pair.line)


def by_pair(examples: Iterable[Example]) -> Iterator[Example]:
    """The pairs with their clusters (:func:`pair_features`)."""
    found = list(examples)
    yield from in_clusters(found, pair_features(found))


def pair_features(examples: Sequence[Example]) -> list[list[Hashable]]:
    """What dependent pairs share: the premise, and the number of translations of a pair if all
    languages have the same labels in the same order."""
    labels: dict[str, list[str]] = {}
    features: list[list[Hashable]] = []
    for example in examples:
        of_language = labels.setdefault(example["language"], [])
        features.append([(example["language"], example["first"]), len(of_language)])
        of_language.append(example["label"])
    if len(set(map(tuple, labels.values()))) > 1:  # not parallel: the number says nothing
        features = [of_example[:1] for of_example in features]
    return features


def _split(
    pairs: dict[str, list[Pair]], train_fraction: float, dev_fraction: float, seed: int
) -> dict[str, Iterable[Example]]:
    items = list(zip(*pairs.values(), strict=True))
    premises = groups_sharing(
        [[(language, p.premise) for language, p in zip(pairs, item, strict=True)] for item in items]
    )
    splits: dict[str, list[Example]] = {split: [] for split in SPLITS}
    for language, of_language in pairs.items():
        for number, (pair, premise) in enumerate(zip(of_language, premises, strict=True)):
            part = part_of(str(premise), seed, train=train_fraction, dev=dev_fraction)
            example = _example(f"{language}-{number}", language, pair)
            example["cluster"] = str(premise)
            splits[part].append(example)
    return {**splits}


def _check_parallel(pairs: dict[str, list[Pair]]) -> None:
    """Check that all languages list the same pairs, by their sequence of labels, since the order of
    the three labels differs between premises."""
    reference = next(iter(pairs))
    for language in pairs:
        ours, theirs = pairs[language], pairs[reference]
        paired = zip(ours, theirs, strict=False)
        lines = [pair.line for pair, other in paired if pair.label != other.label]
        if lines or len(ours) != len(theirs):
            place = f", line {lines[0]}," if lines else ""
            raise InputError(
                f"{ours[0].file}{place} does not list the pairs of {theirs[0].file} in the "
                f"same order ({len(ours)} and {len(theirs)} pairs), so a premise could be trained "
                f"on in one language and tested on in the other; leave {language} or {reference} "
                "out of the dataset's `languages`"
            )
