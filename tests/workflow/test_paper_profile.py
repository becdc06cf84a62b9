"""The paper's profile: dry runs, since a full run is too large for a test."""

import re
import shutil
from pathlib import Path

import pytest
import yaml
from study import command_output, job_counts

ROOT = Path(__file__).resolve().parents[2]


def resolve(folder: Path, *arguments: str | Path) -> str:
    """The output of a dry run in a folder with the configuration."""
    shutil.copytree(ROOT / "config", folder / "config")
    command = ["snakemake", "--snakefile", ROOT / "Snakefile", "--dry-run"]
    return command_output([*command, "--directory", folder, *arguments], folder)


@pytest.fixture(scope="module", params=["results/table5.csv", "all"])
def dry_run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The jobs for Table 5, and for all figures and experiments."""
    folder = tmp_path_factory.mktemp("paper")
    return resolve(folder, request.param, "--configfile", folder / "config/paper.yaml")


def test_paper_profile_trains_on_all_data_with_the_papers_optimizers() -> None:
    paper = yaml.safe_load((ROOT / "config/paper.yaml").read_text(encoding="utf-8"))
    assert paper["data_of_the_paper"] is True
    for name in ("tydiqa", "miracl"):
        assert paper["datasets"][name]["options"]["dev_fraction"] == 0
    # 16 languages with training queries, and German and Yoruba
    assert paper["datasets"]["miracl"]["counts"]["test"] == 13_071 + 305 + 119
    pretraining = paper["pretraining"]["training"]
    assert (pretraining["adam_betas"], pretraining["weight_decay"]) == ([0.9, 0.999], 0.01)
    for name in paper["tasks_shown"]:
        training = paper["tasks"][name]["training"]
        assert training["adam_betas"] == [0.9, 0.99] and not training.get("weight_decay")


def test_target_may_follow_the_profile_option(tmp_path: Path) -> None:
    output = resolve(tmp_path, "--profile", ROOT / "profiles/paper", "results/table5.csv")
    assert job_counts(output)["fine_tune"] == 45 * 5
    assert "profiles/default" in output  # the other profile does not replace it


@pytest.mark.parametrize("dry_run", ["results/table5.csv"], indirect=True)
def test_table_5_of_the_paper_resolves(dry_run: str) -> None:
    counts = job_counts(dry_run)
    assert counts["fine_tune"] == 45 * 5
    assert counts["derive_backbone"] == counts["align"] == 4
    assert counts["group_kmeans"] == 4 + 4 + 8 + 3 * 4
    assert counts["pretrain"] == 1 + 4 + 4 + 8 + 4
    assert counts["read_corpus"] == counts["tokenize_corpus"] == 28
    # Four backbones, four lexicons, Wikipedia and five of the tasks' sources.
    assert counts["fetch_download"] == 4 + 4 + 1 + 5
    assert "fetch_wheel" not in counts


@pytest.mark.parametrize("dry_run", ["all"], indirect=True)
def test_every_figure_of_the_paper_resolves(dry_run: str) -> None:
    figures = set(re.findall(r"results/figures/(figure\d+)\.pdf", dry_run))
    assert figures == {f"figure{number}" for number in range(2, 14)}
    scores = re.findall(r"output: .*?results/scores/(.+?)/seed-1\.json", dry_run)
    table4_scores = [score for score in scores if "/msmarco_zho/" in score]
    assert len(table4_scores) == 5  # Table 4
    assert sum(score.endswith("/eng") for score in scores) == 5 * 4  # Figure 9
    # First-k, Figure 11's three other alignments, and three dimensions with Euclidean distance.
    other_rows = 8 + 3 + 3 * 4
    # The aligned oracles; weighted, random and frequency at four ratios.
    control_rows = 2 + 3 * 4
    assert len(scores) == 45 * 5 + 5 + 5 * 4 + (other_rows + control_rows) * 5


def resources_by_rule(output: str) -> dict[str, list[dict[str, str]]]:
    """Rule -> the resources of its jobs, in a dry run."""
    jobs: dict[str, list[dict[str, str]]] = {}
    for rule, block in re.findall(
        r"^ *(?:local)?rule (\w+):\n(.*?^ +resources: [^\n]*)", output, re.MULTILINE | re.DOTALL
    ):
        listed = block.rpartition("resources: ")[2].split(", ")
        jobs.setdefault(rule, []).append(dict(part.split("=", 1) for part in listed))
    return jobs


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkout for commands."""
    folder = tmp_path_factory.mktemp("checkout")
    for part in ("Snakefile", "rules", "workflow", "profiles", "envs", "config"):
        (folder / part).symlink_to(ROOT / part)
    return folder


def commands_of_the_cluster_page() -> list[list[str]]:
    """Snakemake's commands on the page on clusters, as words."""
    page = (ROOT / "docs/cluster.md").read_text(encoding="utf-8")
    lines = re.findall(r"^    (snakemake .+)", page, re.MULTILINE)
    return [line.partition("#")[0].split() for line in lines]


def dry_run_in(checkout: Path, command: list[str]) -> str:
    return command_output([*command, "--dry-run"], checkout)


def test_commands_of_the_cluster_page_work(checkout: Path) -> None:
    """Long fine-tunings are not grouped, and no job requests more time than a partition allows,
    even in its last attempt."""
    commands = commands_of_the_cluster_page()
    targets = ["download", "plan", "results/table5.csv"]
    assert [command[1] for command in commands[:3]] == targets
    for command in commands:
        assert command[-2:] == ["--configfile", "config/paper.yaml"]
        assert "Building DAG" in dry_run_in(checkout, command)
    for attempt in ("1", "3"):
        output = dry_run_in(checkout, [*commands[2], "--attempt", attempt])
        assert "Group job" not in output
        jobs = resources_by_rule(output)
        assert len(jobs["fine_tune"]) == 45 * 5
        assert {job["runtime"] for job in jobs["fine_tune"]} == {"4320"}
        assert max(int(job["runtime"]) for rule in jobs.values() for job in rule) == 4320
        assert {job["nodes"] for rule in jobs.values() for job in rule} == {"1"}


def test_short_fine_tunings_share_jobs_within_the_longest_time_limit(checkout: Path) -> None:
    command = ["snakemake", "results/table5.csv", "--profile", "profiles/slurm"]
    for attempt, minutes in (("1", 120), ("2", 240), ("3", 1440 // 5)):
        output = dry_run_in(checkout, [*command, "--attempt", attempt])
        jobs = resources_by_rule(output)
        groups = output.count("Group job fine_tunings")
        assert groups == -(-len(jobs["fine_tune"]) // 5)
        assert {int(job["runtime"]) for job in jobs["fine_tune"]} == {minutes}
        assert {int(job["runtime"]) for job in jobs["group_kmeans"]} == {240 * int(attempt)}
    output = dry_run_in(checkout, [*command, "--config", "group_fine_tunings=False"])
    assert "Group job" not in output
    assert {job["runtime"] for job in resources_by_rule(output)["fine_tune"]} == {"120"}


@pytest.mark.parametrize(("maximum", "requested"), [(None, 9000), (7000, 7000), (2000, 3000)])
def test_attempts_request_memory_up_to_the_maximum(
    checkout: Path, tmp_path: Path, maximum: int | None, requested: int
) -> None:
    """The first request is never lowered."""
    keys = tmp_path / "keys.yaml"
    keys.write_text(yaml.safe_dump({"memory_mb": {"training": 3000, "maximum": maximum}}), "utf-8")
    command = ["snakemake", "results/table5.csv", "--profile", "profiles/slurm"]
    command += ["--configfile", str(keys), "--attempt"]
    for attempt, memory in (("1", 3000), ("3", requested)):
        jobs = resources_by_rule(dry_run_in(checkout, [*command, attempt]))
        assert {int(job["mem_mb"]) for job in jobs["fine_tune"]} == {memory}


def test_every_job_names_its_resources(dry_run: str) -> None:
    jobs = re.findall(r"^(?:local)?rule (\w+):\n((?: {4}.+\n)+)", dry_run, re.MULTILINE)
    jobs = [job for job in jobs if job[0] != "all"]
    assert len(jobs) == sum(job_counts(dry_run).values())
    for rule, block in jobs:
        (resources,) = re.findall(r"resources: (.*)", block)
        for name in ("mem_mb", "runtime", "gpu"):
            assert re.search(rf"\b{name}=\d+", resources), (rule, resources)


@pytest.mark.parametrize("profile", ["config", "paper"])
def test_download_fetches_exactly_the_files_of_the_study(tmp_path: Path, profile: str) -> None:
    """For a login node, because the compute nodes have no network."""
    fetched = {}
    for target in ("download", "all"):
        folder = tmp_path / target
        folder.mkdir()
        fetched[target] = resolve(folder, target, "--configfile", f"config/{profile}.yaml")
    rules = set(job_counts(fetched["download"])) - {"download"}
    assert rules and rules <= {"fetch_wheel", "fetch_download"}
    files = {
        target: set(re.findall(r"output: (resources/\S+)", output))
        for target, output in fetched.items()
    }
    assert files["download"] == files["all"]
    assert len(files["all"]) == sum(job_counts(fetched["all"]).get(rule, 0) for rule in rules)
