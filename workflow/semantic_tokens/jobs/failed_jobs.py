"""The errors of failed jobs, once more at the end of a run.

Snakemake continues with other jobs after an error, so the message of a job may be thousands of lines
above the end.
"""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

# Snakemake's line about the log of a failed job.
_LOGS = re.compile(r"^ *log: (.+) \(check log file\(s\) for error details\)$", re.MULTILINE)
_TIMESTAMP = re.compile(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d+ ")


def summary_of_failures(snakemake_logs: Iterable[str | Path]) -> str:
    """The last line of the log of each failed job, and the path of this log; empty if no log is known.

    Args:
        snakemake_logs: Snakemake's own logs of the run.
    """
    found = [line for log in snakemake_logs for line in _last_lines(Path(log))]
    if not found:
        return ""
    jobs = "1 job" if len(found) == 1 else f"{len(found)} jobs"
    return "\n".join([f"{jobs} failed. Finished results are kept.", *found])


def _last_lines(snakemake_log: Path) -> Iterator[str]:
    text = snakemake_log.read_text(encoding="utf-8", errors="replace")
    for log in dict.fromkeys(_LOGS.findall(text)):
        path = Path(log)
        lines = (
            path.read_text(encoding="utf-8", errors="replace").split("\n") if path.exists() else []
        )
        said = next((line for line in reversed(lines) if line.strip()), "it wrote nothing")
        yield f"- {_TIMESTAMP.sub('', said)} ({log})"
