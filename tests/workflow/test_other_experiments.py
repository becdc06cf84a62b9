"""Dry runs of studies whose tables of experiments differ from those of the profiles."""

import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from study import command_output

ROOT = Path(__file__).resolve().parents[2]
COLUMNS = (ROOT / "config/experiments.tsv").read_text(encoding="utf-8").splitlines()[0]
MAIN = "me5-2x12k unaligned dfull"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    shutil.copytree(ROOT / "config", tmp_path / "config")
    return tmp_path


def dry_run(folder: Path, rows: list[str], *arguments: str, **keys: Any) -> str:
    """The output of a dry run.

    Args:
        rows: the experiments, with spaces between the columns.
        keys: changed keys of the configuration.
    """
    table = [COLUMNS, *(row.replace(" ", "\t") for row in rows)]
    (folder / "mine.tsv").write_text("\n".join(table) + "\n", encoding="utf-8")
    config = {"experiments": "mine.tsv", **keys}
    (folder / "mine.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    command = ["snakemake", "--snakefile", ROOT / "Snakefile", "--cores", "1", "--dry-run"]
    return command_output([*command, *arguments, "--configfile", "mine.yaml"], folder)


def test_figure_9_is_not_drawn_if_all_tasks_are_token_classification(folder: Path) -> None:
    rows = [
        f"oracle yes yes {MAIN} ungrouped asis all-languages",
        f"figure3 yes no {MAIN} kmeans-cosine-0.05 asis all-languages",
        f"figure9 no no {MAIN} ungrouped asis eng",
        f"figure9 no no {MAIN} kmeans-cosine-0.05 asis eng",
    ]
    output = dry_run(folder, rows, "all", tasks_shown=["ner"])
    assert "results/figures/figure3.pdf" in output and "figure9" not in output


def test_table_5_uses_a_reference_that_it_does_not_show(folder: Path) -> None:
    rows = [
        f"oracle no yes {MAIN} ungrouped asis all-languages",
        f"figure3 yes no {MAIN} kmeans-cosine-0.05 asis all-languages",
    ]
    output = dry_run(folder, rows, "results/table5.csv", tasks_shown=["ner"])
    scores = re.findall(r"results/scores/me5-2x12k/unaligned/dfull/([^/]+)/asis/ner", output)
    assert set(scores) == {"kmeans-cosine-0.05", "ungrouped"}
