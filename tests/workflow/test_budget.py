"""The part of the paper's study within a budget: it can be run, and its plan fits the budget."""

import shlex
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from study import command_output, job_counts

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("budget")
    shutil.copytree(ROOT / "config", folder / "config")
    return folder


def snakemake(folder: Path, *arguments: str) -> str:
    """The output of a run, which must succeed."""
    command = ["snakemake", "--snakefile", ROOT / "Snakefile", "--cores", "2"]
    return command_output([*command, *arguments], folder)


def plan(folder: Path, *configfiles: str, results: str = "results", **keys: Any) -> str:
    """The page of a plan with some changed keys of the configuration.

    Args:
        results: the folder of the run's files.
    """
    (folder / "config/keys.yaml").write_text(yaml.safe_dump(keys), encoding="utf-8")
    files = ["config/paper.yaml", "config/keys.yaml", *configfiles]
    snakemake(folder, "plan", "--configfile", *files)
    return (folder / results / "plan.txt").read_text(encoding="utf-8")


def command_of(page: str) -> list[str]:
    """The words of the command that runs the part within the budget."""
    (command,) = [line for line in page.splitlines() if line.startswith("    --configfile")]
    return command.split()


def hours_of(page: str) -> float:
    """Total GPU hours."""
    (line,) = [line for line in page.splitlines() if line.split()[:1] == ["total"]][:1]
    return float(line.split()[2].replace(",", ""))


def test_part_within_a_budget_can_be_run_as_a_study(folder: Path) -> None:
    price = {"throughput": {"price_per_gpu_hour": 2.0, "seconds_per_job": 5.0}}
    total_hours = hours_of(plan(folder, **price))
    budget_hours = round(0.1 * total_hours)
    page = plan(folder, budget=budget_hours, **price)
    assert hours_of(page) == total_hours
    assert (
        f"  budget: {budget_hours:,.1f} GPU-hours (price_per_gpu_hour: {2 * budget_hours:,.2f}) cover "
        in page
    )
    # The page shows the command of the part.
    _, *files, _, target = command_of(page)
    assert files == ["config/paper.yaml", "config/keys.yaml", "results/budget/config.yaml"]
    part_page = plan(folder, "results/budget/config.yaml", budget=budget_hours, **price)
    assert 0.5 * budget_hours < hours_of(part_page) <= budget_hours
    assert "cover the entire study" in part_page
    overlay = yaml.safe_load((folder / files[-1]).read_text(encoding="utf-8"))
    table = (folder / overlay["experiments"]).read_text(encoding="utf-8")
    rows = [line.split("\t") for line in table.splitlines()[2:]]
    output = snakemake(folder, "--dry-run", "--configfile", *files, "--", target)
    trainings = len({tuple(row[3:]) for row in rows}) * len(overlay["tasks_shown"])
    assert job_counts(output)["fine_tune"] == trainings


@pytest.mark.parametrize("planned", ["table5", "all"])
def test_command_for_a_part_of_a_named_run_has_the_paths_of_the_run(
    folder: Path, planned: str
) -> None:
    results = "results/runs/few"
    hours = {"throughput": {"seconds_per_job": 5.0}, "budget": 100}
    page = plan(folder, results=results, run="few", planned=planned, **hours)
    command = command_of(page)
    files = ["config/paper.yaml", "config/keys.yaml", f"{results}/budget/config.yaml"]
    target = ["--", f"{results}/table5.csv"] if planned == "table5" else []
    assert command == ["--configfile", *files, *target]
    assert f"Written to {results}/budget/experiments.tsv and {files[-1]}." in page
    assert all((folder / file).is_file() for file in files)
    # Without the name in another file, the part is still one of this run.
    del command[2]
    counts = job_counts(snakemake(folder, "--dry-run", *command))
    assert counts["fine_tune"] and ("figure_pipelines" in counts) == (planned == "all")


def test_command_for_a_part_works_from_another_folder_with_other_options(tmp_path: Path) -> None:
    """Options of the command line belong to it, since the part does not have them."""
    shutil.copytree(ROOT / "config", tmp_path / "study/config")
    keys = tmp_path / "keys.yaml"
    keys.write_text("throughput: {tflops: 0.05, seconds_per_job: 1.0}", encoding="utf-8")
    options = ["--directory", "study"]
    given = ["--config", "run=few", "replicates=2", "title='A b'", "budget=1"]
    snakemake(tmp_path, "plan", *options, *given, "--configfile", "keys.yaml")
    results = "results/runs/few"
    page = (tmp_path / "study" / results / "plan.txt").read_text(encoding="utf-8")
    command = shlex.split(" ".join(command_of(page)))
    part = tmp_path / "study" / results / "budget/config.yaml"
    assert command == [
        *("--configfile", str(keys), str(part), "--config", "replicates=2", "title='A b'"),
        *("--", f"{results}/table5.csv"),
    ]
    output = snakemake(tmp_path, "--dry-run", *options, *command)
    assert job_counts(output)["replicate_backbone"] == 1


def test_plan_keeps_the_recorded_configuration_of_the_results(folder: Path) -> None:
    snakemake(folder, "results/table2.csv")
    record = folder / "results/configuration.json"
    before = record.read_text(encoding="utf-8")
    plan(folder, title="Another study")
    assert record.read_text(encoding="utf-8") == before
    snakemake(folder, "results/table2.csv", "--config", "title=Another study")
    assert "Another study" in record.read_text(encoding="utf-8")


def test_plan_of_a_named_run_counts_only_the_files_that_it_shares(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "config", tmp_path / "config")
    made = tmp_path / "results/datasets/mini_names/train.jsonl"
    made.parent.mkdir(parents=True)
    made.write_text("{}\n" * 10, encoding="utf-8")
    hours = {}
    for seed in (1, 2):  # 1 is the seed of the run without a name
        keys = {"run": f"seed{seed}", "throughput": {"tflops": 0.01, "seconds_per_job": 1.0}}
        keys |= {"datasets": {"mini_names": {"options": {"seed": seed}}}}
        (tmp_path / "keys.yaml").write_text(yaml.safe_dump(keys), encoding="utf-8")
        snakemake(tmp_path, "plan", "--configfile", "keys.yaml")
        page = tmp_path / f"results/runs/seed{seed}/plan.txt"
        hours[seed] = hours_of(page.read_text(encoding="utf-8"))
    assert hours[1] < hours[2]


def test_too_small_budget_names_the_cheapest_row(folder: Path) -> None:
    page = plan(folder, budget=0.001)
    (line,) = [line for line in page.splitlines() if line.startswith("  budget: ")]
    assert line.startswith("  budget: 0.001 GPU-hours ") and "The cheapest row is " in line
