"""The plan as a page of text."""

import math
import textwrap
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from semantic_tokens.plan.budget import Budget, SubStudy
from semantic_tokens.plan.costs import Cost
from semantic_tokens.plan.finished_trainings import FinishedTrainings
from semantic_tokens.plan.throughput import Throughput


def report(
    costs: Mapping[str, Cost],
    downloads: Mapping[str, Mapping[str, Any]],
    throughput: Throughput,
    *,
    full_lengths: Sequence[str] = (),
    finished: FinishedTrainings | None = None,
    bought: Sequence[str] = (),
) -> str:
    """The page.

    Args:
        costs: the cost of every kind of job.
        downloads: name -> its entry, with ``size_mb`` if known.
        throughput: the assumed speed.
        full_lengths: datasets whose texts count with their maximum length.
        finished: finished trainings.
        bought: the lines about the budget (:func:`budget_lines`).
    """
    is_part = any(cost.uncounted for cost in costs.values())
    speed = _hour_lines(throughput, full_lengths, is_part=is_part)
    sections = {
        "Jobs": [*_job_lines(costs, throughput), "", *speed],
        "Time": _time_lines(costs, throughput, finished),
        "Budget": bought,
        "Disk": _disk_lines(costs, downloads),
        "Not counted": _unknown_lines(costs),
        "Downloads": list(_download_lines(downloads)),
    }
    shown = ["\n".join([title, *lines]) for title, lines in sections.items() if lines]
    return "\n\n".join(shown) + "\n"


def budget_lines(
    budget: Budget,
    found: SubStudy | None,
    throughput: Throughput,
    command: str,
    written: Sequence[str],
) -> list[str]:
    """The lines about the part of a study that fits into a budget.

    Args:
        budget: the budget.
        found: the largest sub-study; None if nothing fits.
        command: the last options of a command that runs it.
        written: the files with the sub-study.
    """
    asked = _priced(budget.hours, throughput)
    if found is None:
        least = budget.cheapest()
        if not math.isfinite(least.hours):
            return [f"  budget: {asked} do not cover any row that can be counted; see below."]
        row = least.rows[-1]  # after its reference
        return [
            f"  budget: {asked} are too few. The cheapest row is {_name(row)} with {least.tasks[0]}: "
            f"{_priced(least.hours, throughput)}."
        ]
    rows, tasks = budget.rows, list(budget.study.tasks)
    taken = _priced(found.hours, throughput)
    if budget.is_complete(found):
        return [f"  budget: {asked} cover the entire study, which needs {taken}."]
    lines = [
        f"  budget: {asked} cover {len(found.rows)} of {len(rows)} experiments with "
        f"{len(found.tasks)} of {len(tasks)} tasks: {taken}.",
        f"  Tasks: {', '.join(found.tasks)}.",
    ]
    if left_out := [task for task in tasks if task not in found.tasks]:
        lines.append(f"  Tasks left out: {', '.join(left_out)}.")
    for name, pool in found.pools.items():
        options = ", ".join(f"{key} {value}" for key, value in sorted(pool.items()))
        lines.append(f"  {name} is searched in a pool ({options}).")
    by_figure, of_figure = (Counter(row["figure"] for row in some) for some in (found.rows, rows))
    shares = [f"{figure} {by_figure[figure]} of {count}" for figure, count in of_figure.items()]
    lines.append(f"  Experiments: {', '.join(shares)}.")
    if further := budget.next_row(found):
        (row,) = [row for row in further.rows if row not in found.rows][-1:]
        lines.append(f"  With {_name(row)} it would be {_priced(further.hours, throughput)}.")
    lines += [
        f"  Written to {' and '.join(written)}.",
        "  The command that runs it ends in",
        f"    {command}",
    ]
    return lines


def _job_lines(costs: Mapping[str, Cost], throughput: Throughput) -> list[str]:
    lines = [f"  {'kind':22}{'jobs':>7} {throughput.unit:>11} {'writes':>11}"]
    for rule, cost in costs.items():
        hours = throughput.of_rule(rule, cost)
        shown = "-" if hours is None else _hours(hours)
        written = _bytes(cost.bytes) if cost.bytes else "-"
        lines.append(f"  {rule:22}{cost.jobs:>7} {shown:>11} {written:>11}")
    jobs = sum(cost.jobs for cost in costs.values())
    written = _bytes(sum(cost.bytes for cost in costs.values()))
    total = _hours(throughput.hours(costs))
    return [*lines, f"  {'total':22}{jobs:>7} {total:>11} {written:>11}"]


def _hour_lines(throughput: Throughput, full_lengths: Sequence[str], *, is_part: bool) -> list[str]:
    said = (
        f"{throughput.rate / 1e12:.3g} TFLOP/s ({throughput.origin}), of which "
        f"{throughput.utilisation:.0%} is assumed, and "
        f"{throughput.seconds_per_job:.1f} s to start each job."
    )
    if full_lengths and not is_part:
        said += (
            f" The texts of {', '.join(full_lengths)} count with their maximum length, so their hours are an upper "
            "bound."
        )
    if throughput.gpus_per_job:
        said += " Jobs without hours use no GPU (reading, tokenising, BM25)."
    return _wrapped(said)


def _time_lines(
    costs: Mapping[str, Cost], throughput: Throughput, finished: FinishedTrainings | None
) -> list[str]:
    hours, count = throughput.hours(costs), throughput.at_once
    uncounted = sum(cost.uncounted for cost in costs.values())
    lines = [
        f"  {'at least' if uncounted else 'about'} {_hours(throughput.wall_hours(costs))} hours in "
        f"total with {count} job{'s' if count > 1 else ''} at a time"
    ]
    if uncounted:
        lines.append(f"  without {uncounted} job{'s' * (uncounted > 1)} (see Not counted, below)")
    if (price := throughput.price(hours)) is not None:
        lines.append(
            f"  price: {price:,.2f}, {_hours(hours)} {throughput.unit} at throughput."
            f"price_per_gpu_hour {throughput.price_per_gpu_hour:g}"
        )
    if finished:
        said = (
            f"{finished.jobs} trainings are finished and took {_hours(finished.seconds / 3600)} hours; "
            f"the plan says {_hours(finished.planned_seconds(throughput) / 3600)}."
        )
        if utilisation := finished.utilisation(throughput):
            said += f" With `throughput.utilisation: {utilisation:.2g}` it would be right."
        lines += _wrapped(said)
    return lines


def _disk_lines(costs: Mapping[str, Cost], downloads: Mapping[str, Mapping[str, Any]]) -> list[str]:
    fetched = 1e6 * sum(spec.get("size_mb") or 0 for spec in downloads.values())
    kept = sum(cost.bytes for cost in costs.values())
    scratch = max((cost.scratch for cost in costs.values()), default=0.0)
    lines = [
        f"  {_bytes(fetched)} of downloads and {_bytes(kept)} written, {_bytes(fetched + kept)} in "
        "total"
    ]
    if scratch:
        lines += [
            f"  and up to {_bytes(scratch)} for a job while it runs: checkpoints, BM25's index."
        ]
    return [
        *lines,
        "  Text that is not read yet is assumed to be three times as large as its compressed files.",
    ]


def _unknown_lines(costs: Mapping[str, Cost]) -> list[str]:
    unknown = +sum((cost.unknown for cost in costs.values()), Counter())
    return [f"  {count} jobs: {reason}" for reason, count in sorted(unknown.items())]


def _download_lines(downloads: Mapping[str, Mapping[str, Any]]) -> Iterable[str]:
    for name, spec in downloads.items():
        source = spec.get("hub") or spec.get("url") or spec.get("package")
        source = source or f"Zenodo {spec['zenodo']}"
        size = _rounded(spec["size_mb"]) if spec.get("size_mb") else "not known"
        yield f"  {name:22}{size:>12}  {source} ({spec.get('licence', 'licence: see the README')})"
    known = sum(spec.get("size_mb") or 0 for spec in downloads.values())
    missing = sum(not spec.get("size_mb") for spec in downloads.values())
    rest = f"  and {missing} of unknown size" if missing else ""
    yield f"  {'total':22}{_rounded(known):>12}{rest}"


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(
        text, 96, initial_indent="  ", subsequent_indent="  ", break_on_hyphens=False
    )


def _name(row: Mapping[str, Any]) -> str:
    parts = ("backbone", "alignment", "dimension", "grouping", "pretraining")
    return "/".join(row[part] for part in parts)


def _priced(hours: float, throughput: Throughput) -> str:
    """Hours, with their price if it is known."""
    price = throughput.price(hours)
    cost = "" if price is None else f" (price_per_gpu_hour: {price:,.2f})"
    return f"{_hours(hours)} {throughput.unit}{cost}"


def _hours(hours: float) -> str:
    """Hours, with more digits for small numbers."""
    return f"{hours:,.1f}" if hours >= 10 else f"{hours:.2f}" if hours >= 0.1 else f"{hours:.2g}"


def _rounded(megabytes: float) -> str:
    """A size, rounded to the digits that its source can have."""
    return f"{megabytes / 1e3:,.1f} GB" if megabytes >= 999.5 else f"{megabytes:.3g} MB"


def _bytes(size: float) -> str:
    return f"{size / 1e9:,.1f} GB" if size >= 1e9 else f"{size / 1e6:,.1f} MB"
