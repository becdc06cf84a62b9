"""The table of experiments: its rows, read and checked."""

import difflib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from semantic_tokens.errors import InputError
from semantic_tokens.study.configuration import violations
from semantic_tokens.study.recipe import PATTERNS, Recipe, lexicons_of, with_members
from semantic_tokens.study.replicates import split_replicate
from semantic_tokens.study.runs import split_run
from semantic_tokens.text_files import filled_lines

#: An experiment as plain values, as rules pass it to tables: what :meth:`Experiment.as_dict` returns.
ExperimentRow = Mapping[str, Any]

COLUMNS = ("figure", "table5", "reference", *PATTERNS, "training")

_RECIPE_IN_PATH = re.compile(
    rf"/(?P<backbone>{PATTERNS['backbone']})/(?P<alignment>{PATTERNS['alignment']})"
    r"(/[^/]+/(?P<grouping>lexicon-[^/.]+))?(?=[/.])"
)
# Section of the config -> the paths of files that are made from one of its entries.
_PATHS = {
    "lexicons": (r"results/lexicons/(?P<name>[^/]+)\.tsv",),
    "corpora": (
        r"results/corpora/(?P<name>[^/]+)\.jsonl",
        r"results/tokenized/[^/]+/[^/]+/corpora/(?P<name>[^/]+)\.safetensors",
    ),
    "downloads": (r"resources/downloads/(?P<name>[^/]+)",),
    "wheels": (r"resources/wheels/(?P<name>[^/]+)\.whl",),
    "datasets": (
        r"results/(datasets|candidates|pools)/(?P<name>[^/]+)/[^/]+\.jsonl",
        r"results/tokenized/[^/]+/[^/]+/(?P<name>[^/]+)/[^/]+\.parquet",
    ),
    "tasks": (
        r"results/baselines/[^/]+/(?P<name>[^/.]+)\.[^/]+",
        rf"results/.+/({PATTERNS['pretraining']})/(?P<name>[^/]+)/[^/]+/seed-.+",
    ),
}
_SINGULAR = {"corpora": "corpus"}

#: The value of ``training`` for all languages of the training data.
ALL_LANGUAGES = "all-languages"


@dataclass(frozen=True)
class Experiment:
    """A row of the table of experiments.

    Attributes:
        figure: the figure of the paper that shows it (``oracle``, ``figure3`` …).
        table5: whether it is a row of Table 5.
        reference: whether the backbone's relative scores are relative to this row.
        recipe: the operations that make its model.
        training: the training languages: ``all-languages``, or one language code (zero-shot).
        line: its line in the table, for messages.
    """

    figure: str
    table5: bool
    reference: bool
    recipe: Recipe
    training: str
    line: int = field(default=0, compare=False)

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for tables."""
        return {
            "figure": self.figure,
            "table5": self.table5,
            "reference": self.reference,
            **{part: getattr(self.recipe, part) for part in PATTERNS},
            "training": self.training,
        }


def recipe_of(row: ExperimentRow) -> Recipe:
    """The recipe of an experiment as plain values."""
    return Recipe(**{part: row[part] for part in PATTERNS})


def experiment_of(row: ExperimentRow) -> Experiment:
    """The experiment of plain values, the inverse of :meth:`Experiment.as_dict`."""
    named = {name: row[name] for name in ("figure", "table5", "reference", "training")}
    return Experiment(recipe=recipe_of(row), **named)


def read_experiments(
    path: str | Path, config: dict[str, Any], schema_path: str | Path
) -> list[Experiment]:
    """Read the table of experiments, and check every row against the schema and the configuration.

    A set of lexicons in a row is replaced by its members, which the paths then list.

    Raises:
        InputError: names the file, line and column, and says how to fix it.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such table of experiments; fix the config key `experiments`")
    schema = json.loads(Path(schema_path).read_text(encoding="utf-8"))
    experiments: list[Experiment] = []
    seen: dict[tuple, int] = {}
    lines = [(number, line) for number, line in filled_lines(path) if line[0] != "#"]
    if not lines:
        raise InputError(f"{path} is empty; its first line names the columns {', '.join(COLUMNS)}")
    header = lines[0][1].split("\t")
    if tuple(header) != COLUMNS:
        raise InputError(
            f"{path}, line {lines[0][0]}: the columns are {header} and must be {list(COLUMNS)}, "
            "separated by tabs"
        )
    for number, line in lines[1:]:
        where = f"{path}, line {number}"
        values = line.split("\t")
        if len(values) != len(COLUMNS):
            raise InputError(
                f"{where}: {len(values)} columns instead of {len(COLUMNS)}; separate them by tabs"
            )
        row = dict(zip(COLUMNS, values, strict=True))
        _check_row(row, where, schema)
        experiment = _experiment(row, where, config)
        identity = (experiment.recipe, experiment.training, experiment.figure)
        if identity in seen:
            raise InputError(f"{where}: the same experiment as line {seen[identity]}; remove one")
        seen[identity] = number
        experiments.append(replace(experiment, line=number))
    if not experiments:
        raise InputError(f"{path} has no experiment below its header; add a row")
    _check_references(experiments, path)
    return experiments


def _check_row(row: dict[str, str], where: str, schema: dict[str, Any]) -> None:
    """Raise an InputError for the first cell of a row that violates the schema."""
    refused = {error.absolute_path[0]: error.schema for error in violations(row, schema)}
    for column in filter(refused.get, COLUMNS):
        part = refused[column]
        if "enum" in part:
            raise InputError(
                f"{where}: `{column}` is {row[column]!r} and must be {' or '.join(part['enum'])}"
            )
        close = _with_plain_ratio(row[column]) if column == "grouping" else ""
        meant = f"Did you mean {close}? " if re.fullmatch(PATTERNS["grouping"], close) else ""
        raise InputError(
            f"{where}: `{column}` is {row[column]!r}, which is not an allowed form. {meant}"
            f"{part['description']}"
        )


def _with_plain_ratio(grouping: str) -> str:
    """A grouping with its ratio in the allowed form, if it ends in a number.

    >>> _with_plain_ratio("kmeans-cosine-.30"), _with_plain_ratio("firstk-0,05")
    ('kmeans-cosine-0.3', 'firstk-0.05')
    """
    method, _, ratio = grouping.rpartition("-")
    try:
        return f"{method}-{float(ratio.replace(',', '.')):g}"
    except ValueError:
        return grouping


def _experiment(row: dict[str, str], where: str, config: dict[str, Any]) -> Experiment:
    sets = config.get("lexicon_sets", {})
    named = {part: with_members(row[part], sets) for part in PATTERNS}
    try:
        recipe = Recipe(**named)
    except InputError as error:
        raise InputError(f"{where}: {error}") from error
    _check_names(recipe, where, config, sets)
    if recipe.has_ratio and not 0 < recipe.ratio < 1:
        raise InputError(f"{where}: a grouping ratio is between 0 and 1, not {recipe.ratio}")
    return Experiment(
        row["figure"], row["table5"] == "yes", row["reference"] == "yes", recipe, row["training"]
    )


def tasks_of_figure(figure: str, config: Mapping[str, Any]) -> list[str]:
    """The tasks of a figure: those in the config, or all shown tasks. Figure 9 leaves out names, as in
    the paper, since the benchmark has no English."""
    shown = config["tasks_shown"]
    if figure in config["tasks_by_figure"]:
        return config["tasks_by_figure"][figure]
    if figure != "figure9":
        return shown
    return [task for task in shown if config["tasks"][task]["kind"] != "token_classification"]


def trained_tasks(experiment: Experiment, config: Mapping[str, Any]) -> list[str]:
    """The tasks of an experiment: those of its figure, and all shown tasks for Table 5."""
    tasks = tasks_of_figure(experiment.figure, config)
    return list(dict.fromkeys([*tasks, *(config["tasks_shown"] if experiment.table5 else [])]))


def rows_of_table5(experiments: Sequence[Experiment]) -> list[Experiment]:
    """The rows of Table 5, and the references of their backbones, which the table may not show."""
    backbones = {row.recipe.backbone for row in experiments if row.table5}
    return [
        row
        for row in experiments
        if row.table5 or (row.reference and row.recipe.backbone in backbones)
    ]


def check_target(path: str, config: dict[str, Any]) -> None:
    """Check the names in the path of a requested file: of its recipe, and of its task, dataset,
    corpus, lexicon, download or wheel.

    Args:
        path: the path, for example ``results/groups/mbert/clsa-muse/dfull/firstk-0.1.safetensors``;
            paths without such names are not checked.

    Raises:
        InputError: the config has no such entry, or a lexicon is a set, which stands
            for its members in the table of experiments only.
    """
    plain, _ = split_run(path)
    for section, patterns in _PATHS.items():
        for pattern in patterns:
            entry = re.fullmatch(pattern, plain)
            if entry and entry["name"] not in config[section]:
                _unknown(path, section, entry["name"], config[section])
    found = _RECIPE_IN_PATH.search(path)
    if not found:
        return
    backbone, replicate = split_replicate(found["backbone"])
    if not 1 <= replicate <= config["replicates"]:
        raise InputError(
            f"{path}: there is no replicate {replicate} of {backbone}; set `replicates` of the config "
            f"to at least {replicate}, which is {config['replicates']}"
        )
    parts = (found["alignment"], found["grouping"] or "ungrouped")
    for part in parts:
        named = with_members(part, config.get("lexicon_sets", {}))
        if named != part:
            raise InputError(
                f"{path}: a path names every lexicon of a set; request {path.replace(part, named)}"
            )
    alignment, grouping = parts
    _check_names(Recipe(backbone, alignment, grouping=grouping), path, config, {})


def _check_names(
    recipe: Recipe, where: str, config: dict[str, Any], sets: Mapping[str, Any]
) -> None:
    """Check that the config has the backbone and the lexicons, each named once."""
    if recipe.backbone not in config["backbones"]:
        _unknown(where, "backbones", recipe.backbone, config["backbones"])
    for part in ("alignment", "grouping"):
        lexicons = lexicons_of(getattr(recipe, part))
        if repeated := [name for name in dict.fromkeys(lexicons) if lexicons.count(name) > 1]:
            raise InputError(
                f"{where}: `{part}` names lexicon {repeated[0]!r} twice, by itself or in a set; "
                "remove one"
            )
        for lexicon in lexicons:
            if lexicon not in config["lexicons"] and not (
                part == "alignment" and lexicon == "roundtrip"
            ):
                _unknown(where, "lexicons", lexicon, {**config["lexicons"], **sets})


def _unknown(where: str, section: str, name: str, known: dict[str, Any]) -> None:
    what = _SINGULAR.get(section, section.removesuffix("s"))
    close = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean {close[0]}?" if close else f"known: {', '.join(known) or 'none'}"
    raise InputError(f"{where}: {what} {name!r} is not in the config's `{section}`; {hint}")


def _check_references(experiments: list[Experiment], path: Path) -> None:
    """Check that each backbone has exactly one reference row for relative scores."""
    for backbone in {row.recipe.backbone for row in experiments if row.table5}:
        references = [
            row for row in experiments if row.reference and row.recipe.backbone == backbone
        ]
        if len(references) != 1:
            raise InputError(
                f"{path}: backbone {backbone} has {len(references)} rows with `reference` yes; its "
                "relative scores need exactly one"
            )
