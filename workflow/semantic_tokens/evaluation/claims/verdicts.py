"""A verdict on every claim: whether it holds, is contradicted, or is undecided."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from semantic_tokens.evaluation.bootstrap import ROUNDING, Resampling
from semantic_tokens.evaluation.claims.paper import CLAIMS, Claim
from semantic_tokens.evaluation.claims.shares import ALL, Value
from semantic_tokens.evaluation.claims.study import MeasuredStudy

HOLDS, CONTRADICTED, UNDECIDED, NOT_MEASURED = (
    "holds", "contradicted", "undecided", "not measured",
)  # fmt: skip


COLUMNS = (
    "topic",
    "section",
    "claim",
    "task",
    "statistic",
    "value",
    "low",
    "high",
    "holds_if",
    "verdict",
    "published",
    "detail",
)


def verdict(interval: tuple[float, float], holds: tuple[float, float]) -> str:
    """The verdict on a claim from the interval of its statistic.

    Args:
        holds: the range of the statistic in which the claim holds.

    >>> above_zero = (0.0, math.inf)
    >>> verdict((0.1, 2.0), above_zero), verdict((-2.0, -0.1), above_zero)
    ('holds', 'contradicted')
    >>> verdict((-1.0, 1.0), above_zero), verdict((5.1, 9.0), (-5.0, 5.0))
    ('undecided', 'contradicted')
    """
    (low, high), (least, most) = interval, holds
    if low > least + ROUNDING and high < most - ROUNDING:
        return HOLDS
    if high < least - ROUNDING or low > most + ROUNDING:
        return CONTRADICTED
    return UNDECIDED


def _in_words(holds: tuple[float, float]) -> str:
    least, most = holds
    if math.isinf(most):
        return f"above {least:g}"
    return f"below {most:g}" if math.isinf(least) else f"between {least:g} and {most:g}"


def judge(
    study: MeasuredStudy, resampling: Resampling, published: MeasuredStudy | None = None
) -> pd.DataFrame:
    """Test every claim on a study: one row over all its tasks, then one row per task.

    Args:
        published: the paper's numbers as a study, for the column ``published``; it is NaN if the
            paper prints no numbers.

    Returns:
        :data:`COLUMNS`; ``verdict`` is ``holds``, ``contradicted``, ``undecided``, or ``not
        measured`` if experiments are missing, which ``detail`` then names.
    """
    lines = []
    for claim in CLAIMS:
        theirs = {} if published is None else _by_kind(claim.measure(published), published)
        lines += _lines(claim, study, resampling, theirs)
    return pd.DataFrame(lines)[list(COLUMNS)]


def _lines(
    claim: Claim, study: MeasuredStudy, resampling: Resampling, theirs: Mapping[str, Value]
) -> list[dict[str, Any]]:
    """The rows of one claim.

    Args:
        theirs: kind of task -> the statistic on the paper's numbers.
    """
    found = claim.measure(study)
    holds = claim.range_in(study)
    start: dict[str, Any] = {"topic": claim.topic, "section": claim.section, "claim": claim.text}
    start |= {"statistic": claim.statistic, "holds_if": _in_words(holds)}
    if not found:
        start |= dict.fromkeys(("value", "low", "high"), math.nan)
        start |= {"task": ALL, "verdict": NOT_MEASURED, "published": _first(_mean(theirs.values()))}
        return [start | {"detail": f"needs {claim.needs}"}]

    def line(task: str, value: Value, printed: Value | None) -> dict[str, Any]:
        low, high = resampling.interval(value.draws)
        decided, doubt = verdict((low, high), holds), value.doubt
        if doubt or math.isnan(low):
            decided = UNDECIDED
        elif value.is_of_chance and decided == HOLDS:
            decided, doubt = UNDECIDED, "it cannot be distinguished from chance"
        numbers = {"value": _first(value), "low": low, "high": high, "published": _first(printed)}
        return start | numbers | {"task": task, "verdict": decided, "detail": doubt}

    if ALL in found:
        return [line(ALL, found[ALL], theirs.get(ALL))]
    kinds = {task: study.tasks[task].kind for task in found}
    by_task = [line(task, value, theirs.get(kinds[task])) for task, value in found.items()]
    # Values in doubt are not used, unless there are no others.
    used = [task for task, value in found.items() if not value.doubt] or list(found)
    overall = _mean(found[task] for task in used)
    printed = _mean(theirs[kind] for kind in {kinds[task] for task in used} & set(theirs))
    assert overall is not None
    said = [(of_task["task"], of_task["verdict"]) for of_task in by_task]
    return [line(ALL, overall, printed) | {"detail": _tally(said)}, *by_task]


def _first(value: Value | None) -> float:
    return math.nan if value is None else float(value.draws[0])


def _tally(said: Sequence[tuple[str, str]]) -> str:
    """``holds in ner, nli; undecided in qa``."""
    parts = []
    for decided in (HOLDS, CONTRADICTED, UNDECIDED):
        tasks = [task for task, of_task in said if of_task == decided]
        if tasks:
            parts.append(f"{decided} in {', '.join(tasks)}")
    return "; ".join(parts)


def _mean(values: Iterable[Value]) -> Value | None:
    """The mean of statistics: in doubt if all are, and of chance if one is."""
    found = list(values)
    if not found:
        return None
    doubt = found[0].doubt if all(value.doubt for value in found) else ""
    is_of_chance = any(value.is_of_chance for value in found)
    return Value(np.mean([value.draws for value in found], axis=0), doubt, is_of_chance)


def _by_kind(found: Mapping[str, Value], study: MeasuredStudy) -> dict[str, Value]:
    return {task if task == ALL else study.tasks[task].kind: value for task, value in found.items()}


def summary(table: pd.DataFrame) -> pd.DataFrame:
    """The rows of :func:`judge` over all tasks: one per claim."""
    columns = [c for c in table if c != "task"]
    return table.loc[table["task"] == ALL, columns].reset_index(drop=True)
