"""The requested and used resources of a study's jobs, by rule, and a proposal for later requests.

There are two sources: Snakemake's benchmark files, and the efficiency report that the SLURM plugin
writes at the end of a run if SLURM has accounting.
"""

import ast
import math
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from semantic_tokens.errors import InputError, one_line
from semantic_tokens.jobs.cluster.keys import MEMORY_KEY, TIME_KEY

#: The memory of a SLURM job in MB that a benchmark file does not include: two processes of
#: Snakemake, and srun, as measured with SLURM 22.05. An efficiency report lacks only the first
#: process.
SNAKEMAKE_MB = 450
_BATCH_MB = 180
#: The start of the names of grouped fine-tunings in an efficiency report.
_SHARED = "fine_tunings_"
_REPORT_COLUMNS = ["Elapsed_sec", "TotalCPU_sec", "NCPUS", "MaxRSS_MB", "RequestedMem_MB"]
_BENCHMARK_COLUMNS = ["s", "max_rss", "cpu_time"]

COLUMNS = [
    "rule", "jobs", "memory_mb_asked", "memory_mb_used", "minutes_asked", "minutes_used",
    "cpus_asked", "cpus_used",
]  # fmt: skip


def read_benchmarks(folder: str | Path) -> pd.DataFrame:
    """One row per job, from Snakemake's benchmark files.

    Requested resources are known if Snakemake ran with ``--benchmark-extended``, as in
    ``profiles/slurm``.

    Args:
        folder: ``results/benchmarks``, with one folder per rule.

    Returns:
        the columns of :data:`COLUMNS` without ``jobs``; unknown values are NaN. Memory is that of a
        SLURM job: :data:`SNAKEMAKE_MB` are added to the memory of the rule's processes.

    Raises:
        InputError: a file is not a benchmark file.
    """
    rows = []
    for path in sorted(Path(folder).rglob("*.tsv")):
        table = _read(path, "benchmark file", "move it elsewhere", sep="\t", na_values=["-"])
        if table.empty or not set(_BENCHMARK_COLUMNS) <= set(table):
            raise InputError(f"{path} is not a benchmark file of Snakemake; move it elsewhere")
        last = table.iloc[-1]
        asked = _literal(last.get("resources"))
        seconds, memory, cpu_seconds = pd.to_numeric(last[_BENCHMARK_COLUMNS], errors="coerce")
        rows.append(
            {
                "rule": path.relative_to(folder).parts[0],
                "memory_mb_asked": asked.get("mem_mb"),
                "memory_mb_used": memory + SNAKEMAKE_MB,
                "minutes_asked": asked.get("runtime"),
                "minutes_used": seconds / 60,
                "cpus_asked": _threads(last.get("threads")),
                "cpus_used": cpu_seconds / max(seconds, 1e-9),
            }
        )
    return _table(rows)


def read_reports(paths: Iterable[str | Path]) -> pd.DataFrame:
    """One row per job, from the SLURM plugin's efficiency reports.

    For grouped jobs, only memory is used, not time.

    Returns:
        the columns of :func:`read_benchmarks`; reports do not have the requested time limit.

    Raises:
        InputError: a file is not such a report, or SLURM stores no comments, which name the rules.
    """
    rows = []
    for path in paths:
        table = _read(path, "efficiency report", "leave reports out with `--no-report`")
        if missing := sorted(set(_REPORT_COLUMNS) - set(table)):
            raise InputError(
                f"{path} is not an efficiency report of the SLURM plugin: it has no column "
                f"{', '.join(missing)}"
            )
        if "RuleName" not in table:
            raise InputError(
                f"{path} does not say which rule a job is of, because SLURM stores no comments of jobs "
                "here (its administrators set `AccountingStoreFlags=job_comment`); leave the "
                "report out with `--no-report`"
            )
        table[_REPORT_COLUMNS] = table[_REPORT_COLUMNS].apply(pd.to_numeric, errors="coerce")
        for _, row in table.iterrows():
            named = re.match(r"(?:rule_)?(.+?)(?:_wildcards_.*)?$", str(row["RuleName"]))
            rule = named[1] if named else ""
            shares = rule.startswith(_SHARED)
            seconds = row["Elapsed_sec"]
            rows.append(
                {
                    "rule": rule.removeprefix(_SHARED),
                    "memory_mb_asked": row["RequestedMem_MB"] or math.nan,
                    "memory_mb_used": (row["MaxRSS_MB"] or math.nan) + _BATCH_MB,
                    "minutes_asked": math.nan,
                    "minutes_used": math.nan if shares else seconds / 60,
                    "cpus_asked": row["NCPUS"],
                    "cpus_used": row["TotalCPU_sec"] / max(seconds, 1.0),
                }
            )
    return _table(rows)


def by_rule(benchmarks: pd.DataFrame, reports: pd.DataFrame) -> pd.DataFrame:
    """The maximum requested and used resources, with one row per rule, :data:`COLUMNS`.

    ``jobs`` is the number of jobs in the benchmark files, or in the reports if they have more.
    """
    both = pd.concat([part for part in (benchmarks, reports) if len(part)], ignore_index=True)
    table = both.groupby("rule").max(numeric_only=True)
    counts = pd.DataFrame(
        {"benchmarks": benchmarks["rule"].value_counts(), "reports": reports["rule"].value_counts()}
    )
    table.insert(0, "jobs", counts.max(axis=1).astype(int).reindex(table.index))
    return table.reset_index()[COLUMNS]


def proposal(table: pd.DataFrame, margin: float = 1.3) -> dict[str, dict[str, int]]:
    """Proposed requests by section and key of the configuration, for measured jobs.

    Args:
        table: from :func:`by_rule`.
        margin: a factor for the maximum use. Memory is rounded up to multiples of 100 MB, and time
            to multiples of ten minutes.
    """
    found: dict[str, dict[str, int]] = {"memory_mb": {}, "runtime_minutes": {}}
    for section, keys, column, step in (
        ("memory_mb", MEMORY_KEY, "memory_mb_used", 100),
        ("runtime_minutes", TIME_KEY, "minutes_used", 10),
    ):
        used = table.assign(key=table["rule"].map(keys)).groupby("key")[column].max().dropna()
        for key, most in used.items():
            found[section][str(key)] = max(step, math.ceil(most * margin / step) * step)
    return {section: values for section, values in found.items() if values}


def measured_usage(results: Path, reports: Sequence[Path] | None) -> tuple[pd.DataFrame, str]:
    """The table of a study, and a sentence about its sources.

    Args:
        results: the folder of results, with those of all named runs, or of one named run.
        reports: efficiency reports; None takes those in the folder of ``profiles/slurm``, and an
            empty list takes none.

    Raises:
        InputError: there are no measurements, or a file has the wrong format.
    """
    # The profile writes the reports of all runs into one folder.
    shared = results.parent.parent if results.parent.name == "runs" else results
    found = sorted(shared.glob("logs/slurm/efficiency_report_*.csv"))
    paths = found if reports is None else list(reports)
    folders = [results / "benchmarks", *sorted(results.glob("runs/*/benchmarks"))]
    used = pd.concat(map(read_benchmarks, folders), ignore_index=True)
    reported = read_reports(paths)
    if not len(used) and not len(reported):
        raise InputError(
            f"{results / 'benchmarks'} contains no benchmark files, and there is no efficiency report "
            f"in {shared / 'logs/slurm'}: run a part of the study first, or name another folder "
            "of results"
        )
    if len(reported):
        origin = f"By {len(used)} benchmark files and {len(paths)} efficiency reports of SLURM."
    else:
        origin = (
            f"By {len(used)} benchmark files only, with {SNAKEMAKE_MB} MB added for Snakemake's own "
            "processes: there is no efficiency report of SLURM, which is written at the end of a "
            "run with `profiles/slurm` if SLURM has accounting (`sacct` shows some)."
        )
    return by_rule(used, reported), origin


def check_margin(margin: float) -> None:
    """Check the factor of :func:`proposal`.

    Raises:
        InputError: it is not a number above 0 and at most 100.
    """
    if not 0 < margin <= 100:
        raise InputError(f"--margin is {margin:g} and must be above 0 and at most 100")


def page(table: pd.DataFrame, origin: str, margin: float) -> str:
    """The table and the proposal as text. The proposal is part of a configuration file."""
    shown = table.copy()
    for column in shown.columns[2:]:
        digits = 1 if column in ("minutes_used", "cpus_used") else 0
        shown[column] = [
            "-" if pd.isna(value) else f"{value:,.{digits}f}" for value in shown[column]
        ]
    text = yaml.safe_dump(proposal(table, margin), sort_keys=False)
    return (
        f"{shown.to_string(index=False)}\n\n# {origin}\n# The maximum use, times {margin:g}; "
        "values that no job has shown are left out. Memory is measured every 30 seconds, so short peaks may "
        f"be missed.\n{text}"
    )


def _read(path: str | Path, kind: str, remedy: str, **options: Any) -> pd.DataFrame:
    """The table in a text file, with the options of :func:`pandas.read_csv`."""
    try:
        return pd.read_csv(path, **options)
    except (OSError, ValueError) as error:  # includes pandas' and UnicodeDecodeError
        raise InputError(
            f"the {kind} {path} cannot be read ({one_line(error)}); {remedy}"
        ) from error


def _table(rows: list[dict[str, object]]) -> pd.DataFrame:
    columns = [column for column in COLUMNS if column != "jobs"]
    table = pd.DataFrame(rows, columns=columns)
    numbers = columns[1:]
    table[numbers] = table[numbers].apply(pd.to_numeric, errors="coerce")
    return table


def _literal(text: object) -> dict[str, object]:
    try:
        found = ast.literal_eval(str(text))
    except (SyntaxError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _threads(text: object) -> float:
    found = re.search(r"\d+", str(text))
    return float(found[0]) if found else math.nan
