"""Table 5 (paper, Appendix G): every experiment's scores, and how they compare to the oracle.

An experiment is a row of ``config/experiments.tsv`` as plain values: ``figure``, ``table5``,
``reference``, the parts of its recipe, and ``training``. A record is the JSON of one score
(docs/architecture.md). Numbers stay unrounded in frames; only the writers round.
"""

import functools
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2
import pandas as pd

from semantic_tokens.errors import InputError
from semantic_tokens.evaluation.bootstrap import (
    BASELINES,
    Estimate,
    Experiment,
    Resampling,
    Runs,
    Scores,
    experiment_name,
    scores_in,
)
from semantic_tokens.files import folder_above, read_json, whole
from semantic_tokens.report.pages import TEMPLATES, Section, environment, write_page
from semantic_tokens.report.pages import write_csv as write_plain_csv
from semantic_tokens.study.recipe import PATTERNS, Recipe

Record = Mapping[str, Any]
RecordOf = Callable[[Experiment, str, int], Record]  # of an experiment, a task and a seed

PERC_DECIMALS = 1

#: Endings of columns: standard deviations over seeds and over replicates.
SPREADS = ("_std", "_std_replicates")

#: What a table by language says of an experiment besides its :func:`identity`.
REST_OF_RECIPE = ("alignment", "grouping", "training")

#: Relative performance in percent, as the paper colours it (Table 5's caption).
BANDS = {
    "green": "above 90%",
    "yellow": "70% to 90%",
    "red": "50% to 70%",
    "darkred": "below 50%",
}

#: What the pages call what needs no model.
BASELINE_NAMES = {"chance": "Chance", "bm25": "BM25"}

_NOTHING = Estimate(math.nan, math.nan, math.nan)

#: How the field writes the metrics.
METRIC_NAMES = {"f1": "F1", "accuracy": "Accuracy", "ndcg_at_10": "nDCG@10"}

#: How the LaTeX table prints the columns `clsa` and `pretrain`.
TEX_MARKS = {"yes": r"$\checkmark$", "no": r"$\times$", "": "---"}


@dataclass(frozen=True)
class Task:
    """A pair of columns of the table.

    Attributes:
        name: as in the config, e.g. ``masakhaner``.
        kind: e.g. ``question_answering``.
        metric: e.g. ``f1``.
        collection: what was searched instead of the whole collection (see
            :func:`collection_note`); empty where it was whole, or nothing is searched.
    """

    name: str
    kind: str
    metric: str
    collection: str = ""

    @property
    def column(self) -> str:
        return f"{self.name}_{self.metric}"

    @property
    def metric_name(self) -> str:
        return METRIC_NAMES.get(self.metric, self.metric)

    @property
    def is_percentage(self) -> bool:
        """Whether scores run to 100, as the F1 of question answering does, and not to 1."""
        return self.kind == "question_answering"

    @property
    def decimals(self) -> int:
        """Of a score in the CSV files: a ten-thousandth of the scale."""
        return 2 if self.is_percentage else 4

    @property
    def shown_decimals(self) -> int:
        """Of a score in the typeset tables, as the paper prints it."""
        return self.decimals - 1


def recipe_of(row: Experiment) -> Recipe:
    return Recipe(**{part: row[part] for part in PATTERNS})


def records_in(folder: str | Path) -> RecordOf:
    """How to find an experiment's record among the score files in a folder, read once each.

    The function raises :class:`InputError` where there is no such file.
    """
    folder = Path(folder)

    @functools.cache
    def read(path: Path) -> Record:
        if not path.is_file():
            raise InputError(f"{path}: there is no such score; run the workflow to have it made")
        return read_json(path)

    def record_of(row: Experiment, task: str, seed: int) -> Record:
        return read(folder / recipe_of(row).path / task / row["training"] / f"seed-{seed}.json")

    return record_of


def full_dimensions(configs: Iterable[str | Path]) -> dict[str, int]:
    """Backbone -> D, from the backbones' ``config.json`` in folders of their names."""
    from semantic_tokens.modeling.encoders import embedding_width

    return {Path(path).parent.name: embedding_width(Path(path).parent) for path in configs}


def describe_tasks(
    names: Iterable[str], rows: Sequence[Experiment], seeds: Sequence[int], record_of: RecordOf
) -> list[Task]:
    """The tasks of these names in order, their kinds and metrics as the records state them."""
    records = {name: record_of(rows[0], name, seeds[0]) for name in names}
    return [
        Task(name, record["kind"], record["metric"], collection_note([record]))
        for name, record in records.items()
    ]


def read_scores(
    score_files: Iterable[str | Path],
    baseline_files: Iterable[str | Path],
    names: Sequence[str],
    rows: Sequence[Experiment],
    runs: Runs,
    resampling: Resampling,
) -> tuple[list[Task], Scores]:
    """The tasks of these names, and what these experiments and the baselines score in each.

    Args:
        score_files: in ``results/scores``, as paths below it spell the experiments.
        baseline_files: in ``results/baselines``.
    """
    folder = folder_above(score_files, "scores")
    tasks = describe_tasks(names, rows, runs.seeds, records_in(folder))
    baselines_folder = folder_above(baseline_files, "baselines")
    by_task = dict.fromkeys(names, rows)
    return tasks, scores_in(folder, baselines_folder, by_task, runs, resampling)


def collection_note(records: Iterable[Record]) -> str:
    """What these scores searched instead of the whole collection, in words; empty if all of it.

    >>> collection_note([{"collection": {"distractors": 0.1}}])
    'what is judged and 10% of the other passages'
    """
    notes = [_collection(record.get("collection") or {}) for record in records]
    return "; ".join(dict.fromkeys(note for note in notes if note))


def _collection(collection: Mapping[str, Any]) -> str:
    parts = []
    if pool := collection.get("pool"):
        parts.append(
            f"what is relevant, BM25's first {pool['depth']} and "
            f"{pool['random_per_language']} others a language (seed {pool['seed']})"
        )
    if (share := collection.get("distractors")) is not None:
        parts.append(f"what is judged and {100 * share:.4g}% of the other passages")
    return ", out of ".join(parts)


def table5(
    rows: Sequence[Experiment],
    tasks: Sequence[Task],
    scores: Scores,
    full_dimension: Mapping[str, int],
) -> pd.DataFrame:
    """Table 5: a line for each experiment whose ``table5`` is true, in the order given.

    Args:
        full_dimension: backbone -> D, the dimension of its own word embeddings.

    Returns:
        ``figure, backbone, dim, ratio, clsa, pretrain`` (see :func:`identity`); then for each
        task ``{task}_{metric}`` (mean over seeds), ``…_std`` where seeds are several,
        ``…_std_replicates`` where replicates are, the interval ``…_low`` and ``…_high``, ``…_perc``: 100 · mean / mean of the backbone's
        reference, NaN where the latter is 0; ``…_above_chance``, whether the score can be told
        from chance (``yes`` or ``no``); and ``…_collection`` where a part of a collection was
        searched (:func:`collection_note`).

    Raises:
        InputError: a backbone has no reference, or more than one.
    """
    references = references_of(rows)
    lines = []
    for row in rows:
        if not row["table5"]:  # a reference that is not itself shown
            continue
        line = identity(row, full_dimension)
        for task in tasks:
            score, oracle = (
                scores.of(row, task.name),
                scores.of(references[row["backbone"]], task.name),
            )
            line[task.column] = score.value
            line |= {f"{task.column}_{name}": std for name, std in score.spreads.items()}
            line[f"{task.column}_low"], line[f"{task.column}_high"] = score.low, score.high
            line[f"{task.column}_perc"] = percent(score.value, oracle.value)
            is_above = scores.is_above_chance(row, task.name)
            line[f"{task.column}_above_chance"] = "yes" if is_above else "no"
            if task.collection:
                line[f"{task.column}_collection"] = task.collection
        lines.append(line)
    return pd.DataFrame(lines)


def baselines(tasks: Sequence[Task], scores: Scores, reference: Experiment) -> pd.DataFrame:
    """What needs no model, in the columns of :func:`table5`: a line for chance, and one for BM25.

    Args:
        reference: what ``…_perc`` is relative to.

    Returns:
        ``baseline``; for each task ``{task}_{metric}``, ``…_low``, ``…_high`` and ``…_perc``,
        NaN where the task has no such baseline.
    """
    lines = []
    for baseline in BASELINES:
        line: dict[str, Any] = {"baseline": baseline}
        for task in tasks:
            oracle = scores.of(reference, task.name).value
            found = baseline in scores[task.name]
            score = scores[task.name].estimate(baseline) if found else _NOTHING
            line[task.column] = score.value
            line[f"{task.column}_low"], line[f"{task.column}_high"] = score.low, score.high
            line[f"{task.column}_perc"] = percent(score.value, oracle)
        if not all(math.isnan(line[task.column]) for task in tasks):
            lines.append(line)
    return pd.DataFrame(lines)


def percent(value: float, oracle: float) -> float:
    """A score relative to another in percent; NaN where that is 0."""
    return 100 * value / oracle if oracle else math.nan


def references_of(rows: Sequence[Experiment]) -> dict[str, Experiment]:
    """Backbone -> the experiment that its relative performance is to.

    Raises:
        InputError: a backbone of Table 5 has no reference, or more than one.
    """
    references: dict[str, Experiment] = {}
    for row in rows:
        if row["reference"] and row["backbone"] in references:
            raise InputError(
                f"backbone {row['backbone']} has more than one row with `reference` yes in the "
                "table of experiments; leave it at one"
            )
        if row["reference"]:
            references[row["backbone"]] = row
    missing = {row["backbone"] for row in rows if row["table5"]} - set(references)
    if missing:
        raise InputError(
            f"backbone {min(missing)} has no row with `reference` yes in the table of experiments; "
            "name the one that its relative performance is to"
        )
    return references


def identity(row: Experiment, full_dimension: Mapping[str, int]) -> dict[str, Any]:
    """The paper's columns that tell experiments apart.

    ``dim`` is d; ``ratio`` is r_G, 1.0 where nothing is grouped and None where a lexicon decides
    it; ``clsa`` is ``yes``, ``no``, or empty where nothing is grouped and so nothing aligned to
    group better (the paper's dash); ``pretrain`` is ``yes`` or ``no``.
    """
    recipe = recipe_of(row)
    return {
        "figure": row["figure"],
        "backbone": recipe.backbone,
        "dim": recipe.dimension_number or full_dimension[recipe.backbone],
        "ratio": None if recipe.grouping_method == "lexicon" else recipe.ratio,
        "clsa": _clsa(recipe),
        "pretrain": "yes" if recipe.is_pretrained else "no",
    }


def _clsa(recipe: Recipe) -> str:
    if recipe.is_aligned:
        return "yes"
    return "" if recipe.grouping_method == "ungrouped" else "no"


def by_language(
    rows: Sequence[Experiment],
    tasks: Sequence[Task],
    scores: Scores,
    full_dimension: Mapping[str, int],
) -> pd.DataFrame:
    """Every experiment's score in every language, one a line (the paper leaves these out).

    Returns:
        The columns of :func:`identity`; ``alignment``, ``grouping`` and ``training`` as in the
        table of experiments, which tell First-k from K-Means; ``task``, ``metric``,
        ``language``, ``value``, ``std`` where seeds and
        ``std_replicates`` where replicates are several, its interval ``low`` and
        ``high``, ``count`` of test items, and ``collection`` where a part of one was searched.
    """
    lines = []
    for row in rows:
        who = identity(row, full_dimension)
        who |= {part: row[part] for part in REST_OF_RECIPE}
        for task in tasks:
            found = scores[task.name]
            for language in found.languages:
                score = found.in_language(experiment_name(row), language)
                line = who | {"task": task.name, "metric": task.metric, "language": language}
                line["value"] = score.value
                line |= score.spreads
                line |= {"low": score.low, "high": score.high, "count": found.counts[language]}
                if task.collection:
                    line["collection"] = task.collection
                lines.append(line)
    return pd.DataFrame(lines)


def write_csv(table: pd.DataFrame, tasks: Sequence[Task], path: str | Path) -> None:
    """Write :func:`table5` or :func:`baselines` with fixed decimals, so that equal scores make
    equal bytes."""
    formats: dict[str, str] = {}
    for task in tasks:
        formats |= {
            f"{task.column}{part}": f".{task.decimals}f" for part in ("", *SPREADS, "_low", "_high")
        }
        formats[f"{task.column}_perc"] = f".{PERC_DECIMALS}f"
    write_plain_csv(table, path, formats)


def write_by_language(table: pd.DataFrame, tasks: Sequence[Task], path: str | Path) -> None:
    """Write :func:`by_language` with fixed decimals."""
    decimals = {task.name: task.decimals for task in tasks}
    printed = table.copy()
    for column in {"value", "low", "high", *(part[1:] for part in SPREADS)} & set(table):
        printed[column] = [
            "" if math.isnan(number) else f"{number:.{decimals[task]}f}"
            for task, number in zip(table["task"], table[column], strict=True)
        ]
    write_plain_csv(printed, path)


def write_by_language_page(
    table: pd.DataFrame, tasks: Sequence[Task], path: str | Path, *, title: str
) -> None:
    """Write :func:`by_language` as a page: one table for each task, one column for each language."""
    numbers = ("value", "std", "std_replicates", "low", "high", "count")
    who = [c for c in table if c not in ("task", "metric", "language", *numbers)]
    sections = []
    for task in tasks:
        part = table[table["task"] == task.name].astype({"ratio": object})
        part = part.assign(ratio=[f"{r:.4g}" if pd.notna(r) else "" for r in part["ratio"]])
        told = [c for c in who if c != "dim"]  # a pivot drops lines that lack one
        part = part.assign(**{c: part[c].astype(object).fillna("") for c in told})
        wide = part.pivot_table("value", who, "language", sort=False).reset_index()
        wide = part[who].drop_duplicates().merge(wide, on=who)  # in the table's order
        languages = sorted(set(part["language"]))
        # Long names come last, so that they do not push the scores out of a window.
        first = [column for column in who if column not in REST_OF_RECIPE]
        wide = wide[[*first, *languages, *REST_OF_RECIPE]]
        counts = part.drop_duplicates("language").set_index("language")["count"]
        note = "Test items: " + ", ".join(f"{code} {counts[code]:,}" for code in languages) + "."
        formats = dict.fromkeys(languages, f".{task.shown_decimals}f")
        sections.append(Section(wide, f"{task.name}: {task.metric_name}", note, formats))
    introduction = ["Means over seeds; results/table5_by_language.csv has their intervals."]
    write_page(path, f"Scores by language: {title}", introduction, sections)


def band(perc: float) -> str:
    """The colour of a relative performance, a key of :data:`BANDS`; empty where there is none.

    It is that of the number as printed: 90.04 is printed 90.0 and is not above 90.
    """
    if math.isnan(perc):
        return ""
    printed = round(perc, PERC_DECIMALS)
    if printed > 90:
        return "green"
    if printed >= 70:
        return "yellow"
    return "red" if printed >= 50 else "darkred"


def write_latex(
    table: pd.DataFrame,
    without_model: pd.DataFrame,
    tasks: Sequence[Task],
    path: str | Path,
    **context: Any,
) -> None:
    """Write :func:`table5` as a LaTeX table to ``\\input``; the file names the packages it needs.

    Args:
        without_model: of :func:`baselines`.
        context: ``title``, ``runs`` (:class:`Runs`), ``confidence`` of the intervals, ``backbone``, whose
            reference the baselines are relative to, and on the page ``rules``, the rule that
            chance follows by task.
    """
    tex = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        # TeX is full of braces, percents and hashes: commands mark what jinja2 fills in.
        block_start_string=r"\BLOCK{",
        block_end_string="}",
        variable_start_string=r"\VAR{",
        variable_end_string="}",
        comment_start_string=r"\COMMENT{",
        comment_end_string="}",
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        undefined=jinja2.StrictUndefined,
    )
    tex.filters["tex"] = escape_tex
    tex.globals["marks"] = TEX_MARKS
    _render(tex, "table5.tex.j2", table, without_model, tasks, path, context)


def write_html(
    table: pd.DataFrame,
    without_model: pd.DataFrame,
    tasks: Sequence[Task],
    path: str | Path,
    **context: Any,
) -> None:
    """Write :func:`table5` as one HTML page that needs nothing else; see :func:`write_latex`."""
    _render(environment(), "table5.html.j2", table, without_model, tasks, path, context)


def _render(
    templates: jinja2.Environment,
    template: str,
    table: pd.DataFrame,
    without_model: pd.DataFrame,
    tasks: Sequence[Task],
    path: str | Path,
    context: Mapping[str, Any],
) -> None:
    text = templates.get_template(template).render(
        groups=_groups(table, tasks),
        baselines=[
            {"name": BASELINE_NAMES[line["baseline"]], "cells": [_cell(line, t) for t in tasks]}
            for line in without_model.to_dict("records")
        ],
        tasks=tasks,
        bands=BANDS,
        collections=_collections(table, tasks),
        **context,
    )
    with whole(path) as partial:
        partial.write_text(text, encoding="utf-8")


def _collections(table: pd.DataFrame, tasks: Sequence[Task]) -> dict[str, str]:
    """Task name -> what was searched, of the tasks that searched a part of their collection."""
    columns = {task.name: f"{task.column}_collection" for task in tasks}
    return {
        name: "; ".join(table[column].dropna().unique())
        for name, column in columns.items()
        if column in table
    }


def _groups(table: pd.DataFrame, tasks: Sequence[Task]) -> list[dict[str, Any]]:
    """The table as printed: runs of one figure and backbone, their lines, and cells by task."""
    groups: list[dict[str, Any]] = []
    for line in table.to_dict("records"):
        heading = f"{_figure_name(line['figure'])}: {line['backbone']}"
        if not groups or groups[-1]["heading"] != heading:
            groups.append({"heading": heading, "lines": []})
        groups[-1]["lines"].append(
            {
                "dim": line["dim"],
                "ratio": "" if pd.isna(line["ratio"]) else f"{100 * line['ratio']:.4g}",
                "clsa": line["clsa"],
                "pretrain": line["pretrain"],
                "cells": [_cell(line, task) for task in tasks],
            }
        )
    return groups


def _cell(line: Mapping[Any, Any], task: Task) -> dict[str, Any]:
    """A task's numbers in one line as printed; empty where there are none.

    What cannot be told from chance has no band: a share of a score says nothing there.
    """

    def printed(part: str, decimals: int) -> str:
        number = line.get(f"{task.column}{part}")
        return "" if number is None or math.isnan(number) else f"{number:.{decimals}f}"

    perc = line[f"{task.column}_perc"]
    is_above = line.get(f"{task.column}_above_chance")
    return {
        "value": printed("", task.shown_decimals),
        "stds": [std for part in SPREADS if (std := printed(part, task.shown_decimals))],
        "low": printed("_low", task.shown_decimals),
        "high": printed("_high", task.shown_decimals),
        "perc": printed("_perc", PERC_DECIMALS),
        "band": band(perc) if is_above == "yes" else "",
        "at_chance": is_above == "no",
    }


def _figure_name(figure: str) -> str:
    """``figure3`` -> ``Figure 3``; any other name as it is, with a capital."""
    number = re.fullmatch(r"figure(\d+)(.*)", figure)
    return f"Figure {number[1]}{number[2]}" if number else figure[:1].upper() + figure[1:]


_TEX_ESCAPES = str.maketrans(
    {character: f"\\{character}" for character in "&%$#_{}"}
    | {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
)


def escape_tex(text: str) -> str:
    """The text with TeX's own characters escaped."""
    return text.translate(_TEX_ESCAPES)
