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
        arguments: they end in `--configfile`, and files before that of the study.
        keys: changed keys of the configuration.
    """
    table = [COLUMNS, *(row.replace(" ", "\t") for row in rows)]
    (folder / "mine.tsv").write_text("\n".join(table) + "\n", encoding="utf-8")
    config = {"experiments": "mine.tsv", **keys}
    (folder / "mine.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    command = ["snakemake", "--snakefile", ROOT / "Snakefile", "--cores", "1", "--dry-run"]
    return command_output([*command, *arguments, "mine.yaml"], folder)


def test_figure_9_is_not_drawn_if_all_tasks_are_token_classification(folder: Path) -> None:
    rows = [
        f"oracle yes yes {MAIN} ungrouped asis all-languages",
        f"figure3 yes no {MAIN} kmeans-cosine-0.05 asis all-languages",
        f"figure9 no no {MAIN} ungrouped asis eng",
        f"figure9 no no {MAIN} kmeans-cosine-0.05 asis eng",
    ]
    output = dry_run(folder, rows, "all", "--configfile", tasks_shown=["ner"])
    assert "results/figures/figure3.pdf" in output and "figure9" not in output


@pytest.mark.parametrize(
    ("grouping", "pretraining", "uses_wikipedia"),
    [
        ("kmeans-cosine-0.05", "asis", False),
        ("kmeans-cosine-0.05", "mlm", True),
        ("kmeans-weighted-0.05", "asis", True),
    ],
)
def test_corpora_and_fonts_are_fetched_only_if_they_are_used(
    folder: Path, grouping: str, pretraining: str, uses_wikipedia: bool
) -> None:
    main = "mbert unaligned dfull"
    rows = [
        f"oracle yes yes {main} ungrouped asis all-languages",
        f"figure3 yes no {main} {grouping} {pretraining} all-languages",
    ]
    for target in ("download", "all"):
        paper = (target, "--configfile", "config/paper.yaml")
        output = dry_run(folder, rows, *paper, tasks_shown=["xnli"])
        assert "resources/downloads/mbert" in output
        assert ("resources/downloads/wikipedia" in output) == uses_wikipedia
        assert "resources/wheels" not in output


def test_table_5_uses_a_reference_that_it_does_not_show(folder: Path) -> None:
    rows = [
        f"oracle no yes {MAIN} ungrouped asis all-languages",
        f"figure3 yes no {MAIN} kmeans-cosine-0.05 asis all-languages",
    ]
    output = dry_run(folder, rows, "results/table5.csv", "--configfile", tasks_shown=["ner"])
    scores = re.findall(r"results/scores/me5-2x12k/unaligned/dfull/([^/]+)/asis/ner", output)
    assert set(scores) == {"kmeans-cosine-0.05", "ungrouped"}
