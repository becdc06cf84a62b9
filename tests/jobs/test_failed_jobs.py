"""The errors of failed jobs, once more at the end of a run."""

from pathlib import Path

from semantic_tokens.jobs.failed_jobs import summary_of_failures

SNAKEMAKE = """[Mon Nov 30 18:16:15 2026]
Error in rule read_corpus:
    message: None
    jobid: 26
    log: {folder}/corpus.log (check log file(s) for error details)
Error in rule align:
    log: {folder}/align.log (check log file(s) for error details)
Error in rule align:
    log: {folder}/align.log (check log file(s) for error details)
Error in rule pretrain:
    log: {folder}/missing.log (check log file(s) for error details)
rule table1:
    log: {folder}/fine.log
"""


def test_last_line_of_each_failed_job_is_told(tmp_path: Path) -> None:
    (tmp_path / "corpus.log").write_text(
        "2026-11-30 18:16:15,123 started\n2026-11-30 18:16:16,123 read_corpus: a.txt is empty\n",
        encoding="utf-8",
    )
    (tmp_path / "align.log").write_text("Traceback\n  line\nValueError: x\n\n", encoding="utf-8")
    log = tmp_path / "snakemake.log"
    log.write_text(SNAKEMAKE.format(folder=tmp_path), encoding="utf-8")
    assert summary_of_failures([log]).splitlines() == [
        "3 jobs failed. Finished results are kept.",
        f"- read_corpus: a.txt is empty ({tmp_path}/corpus.log)",
        f"- ValueError: x ({tmp_path}/align.log)",
        f"- it wrote nothing ({tmp_path}/missing.log)",
    ]


def test_nothing_is_told_without_a_failed_job(tmp_path: Path) -> None:
    log = tmp_path / "snakemake.log"
    log.write_text("Finished jobid: 1 (Rule: table1)\n", encoding="utf-8")
    assert summary_of_failures([log]) == ""
    assert summary_of_failures([]) == ""
