"""What a budget buys of the paper's study: it can be run, and its own plan is within the budget."""

import shutil
from pathlib import Path

import pytest
import yaml
from study import job_counts, shown_by

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("budget")
    shutil.copytree(ROOT / "config", folder / "config")
    return folder


def snakemake(folder: Path, *arguments: str) -> str:
    """All that is shown of a run with the paper's configuration."""
    command = ["snakemake", "--snakefile", ROOT / "Snakefile", "--cores", "2"]
    return shown_by([*command, "--directory", folder, *arguments], folder)


def plan(folder: Path, *configfiles: str, **keys: float) -> str:
    """The page of a plan with some changed keys of the configuration."""
    (folder / "config/asked.yaml").write_text(yaml.safe_dump(keys), encoding="utf-8")
    files = ["config/paper.yaml", "config/asked.yaml", *configfiles]
    snakemake(folder, "plan", "--configfile", *files)
    return (folder / "results/plan.txt").read_text(encoding="utf-8")


def hours_of(page: str) -> float:
    """Total GPU hours."""
    (line,) = [line for line in page.splitlines() if line.split()[:1] == ["total"]][:1]
    return float(line.split()[2].replace(",", ""))


def test_a_part_within_a_budget_is_a_study_of_its_own(folder: Path) -> None:
    price = {"throughput": {"price_per_gpu_hour": 2.0, "seconds_per_job": 5.0}}
    whole = hours_of(plan(folder, **price))
    asked = round(0.1 * whole)
    page = plan(folder, budget=asked, **price)
    assert hours_of(page) == whole
    assert f"  budget: {asked:,.1f} GPU-hours (price_per_gpu_hour: {2 * asked:,.2f}) cover " in page
    # The end of the command that is shown.
    (command,) = [line for line in page.splitlines() if line.startswith("    --configfile")]
    _, *files, _, target = command.split()
    assert files == ["config/paper.yaml", "config/asked.yaml", "results/budget/config.yaml"]
    part = plan(folder, "results/budget/config.yaml", budget=asked, **price)
    assert 0.5 * asked < hours_of(part) <= asked
    assert "cover the entire study" in part
    laid_over = yaml.safe_load((folder / files[-1]).read_text(encoding="utf-8"))
    table = (folder / laid_over["experiments"]).read_text(encoding="utf-8")
    rows = [line.split("\t") for line in table.splitlines()[2:]]
    shown = snakemake(folder, "--dry-run", "--configfile", *files, "--", target)
    trainings = len({tuple(row[3:]) for row in rows}) * len(laid_over["tasks_shown"])
    assert job_counts(shown)["fine_tune"] == trainings


def test_a_budget_that_is_too_small_names_the_cheapest_row(folder: Path) -> None:
    page = plan(folder, budget=0.001)
    (line,) = [line for line in page.splitlines() if line.startswith("  budget: ")]
    assert line.startswith("  budget: 0.001 GPU-hours are too few. The cheapest row is ")
