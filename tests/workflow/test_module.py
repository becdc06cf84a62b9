"""The workflow as a module of another workflow, and in the workflow catalog."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import git
import pytest
import yaml
from study import job_counts

ROOT = Path(__file__).resolve().parents[2]
OTHER_SNAKEFILE = """
module semantic:
    snakefile: "{root}/Snakefile"
    config: config["semantic"]
    prefix: "semantic"

use rule * from semantic as semantic_*

rule count_words:
    default_target: True
    input: "semantic/results/lexicons/mine.tsv"
    output: "words.txt"
    shell: "grep -c mine {{input}} > {{output}}"
"""


DEPLOYED_SNAKEFILE = """
configfile: "config/config.yaml"

module semantic_tokens:
    snakefile: github("owner/semantic-tokens", path="workflow/Snakefile", tag="v1.0")
    config: config

use rule * from semantic_tokens
"""


def snakemake(folder: Path, *arguments: str | Path, **environment: str) -> str:
    """The output of a run, which must succeed."""
    result = subprocess.run(
        [sys.executable, "-m", "snakemake", "--cores", "1", *arguments],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": ""} | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        check=False,
    )
    assert result.returncode == 0, result.stdout
    return result.stdout


@pytest.fixture(scope="module")
def other_project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Another project with its own workflow, lexicon and configuration."""
    folder = tmp_path_factory.mktemp("other-project")
    (folder / "Snakefile").write_text(
        'configfile: "config.yaml"\n' + OTHER_SNAKEFILE.format(root=ROOT), encoding="utf-8"
    )
    (folder / "mine.tsv").write_text(
        "concept\tlanguage\tword\tsource\n1\teng\tred\tmine\n1\tdeu\trot\tmine\n", encoding="utf-8"
    )
    config = {
        "title": "Another study",
        "seeds": [1, 2],
        "lexicons": {"mine": {"reader": "table", "path": "mine.tsv"}},
    }
    (folder / "config.yaml").write_text(yaml.safe_dump({"semantic": config}), encoding="utf-8")
    return folder


def test_another_workflow_uses_a_file_of_the_module(other_project: Path) -> None:
    before = {path for path in other_project.rglob("*") if ".snakemake" not in path.parts}
    snakemake(other_project)
    assert (other_project / "words.txt").read_text(encoding="utf-8").strip() == "2"
    new_files = {
        path for path in other_project.rglob("*") if ".snakemake" not in path.parts
    } - before
    assert {path.relative_to(other_project).parts[0] for path in new_files} == {
        "semantic",
        "words.txt",
    }
    assert "Nothing to be done" in snakemake(other_project)


def test_module_config_is_merged_into_the_default_profile(other_project: Path) -> None:
    counts = job_counts(snakemake(other_project, "--dry-run", "semantic/results/table5.csv"))
    assert counts["semantic_fine_tune"] == 45 * 5 * 2  # two seeds
    assert counts["semantic_table5"] == 1
    assert all(rule.startswith("semantic_") for rule in counts)


def test_repository_has_the_layout_of_the_workflow_catalog(tmp_path: Path) -> None:
    """Its rules for standardized usage require workflow/Snakefile, config/README.md, and a
    description that names the deployment of software."""
    catalog_entry = yaml.safe_load(
        (ROOT / ".snakemake-workflow-catalog.yml").read_text(encoding="utf-8")
    )
    assert catalog_entry["usage"]["software-stack-deployment"] == {"conda": True}
    assert (ROOT / "config/README.md").is_file() and (ROOT / "README.md").is_file()
    readme = (ROOT / "README.md").read_text(encoding="utf-8").lower()
    assert "snakemake" in readme and "workflow" in readme
    (tmp_path / "config").symlink_to(ROOT / "config")
    options = ("--snakefile", ROOT / "workflow/Snakefile", "--dry-run")
    output = snakemake(tmp_path, *options, "results/table5.csv")
    assert job_counts(output)["fine_tune"] == 45 * 5
    # The catalog's command names no target.
    counts = job_counts(snakemake(tmp_path, *options))
    assert counts["table5"] == counts["explorer"] == counts["provenance"] == 1


@pytest.fixture
def repository(tmp_path: Path) -> git.Repo:
    """The workflow as a repository with one commit. Its package prints a line when it is used."""
    folder = tmp_path / "repository"
    for part in ("rules", "workflow", "config", "envs"):
        ignored = shutil.ignore_patterns("__pycache__", "*.egg-info")
        shutil.copytree(ROOT / part, folder / part, ignore=ignored)
    shutil.copy(ROOT / "Snakefile", folder)
    with (folder / "workflow/semantic_tokens/errors.py").open("a", encoding="utf-8") as file:
        file.write('import sys; sys.stderr.write("the repository has this package\\n")\n')
    repo = git.Repo.init(folder)
    repo.git.add("--all")
    author = git.Actor("A", "a@example.org")
    repo.index.commit("All", author=author, committer=author)
    repo.create_tag("v1.0")
    return repo


def test_workflow_is_deployed_from_its_repository(repository: git.Repo, tmp_path: Path) -> None:
    """Like snakedeploy for the catalog: the user's folder contains a copy of config, and a
    Snakefile that names the repository. The package and the scripts come from the repository."""
    # Snakemake does not clone the repository again.
    cache = "snakemake/snakemake/source-cache/snakemake-git-cache/github.com/owner/semantic-tokens"
    repository.clone(str(tmp_path / "cache" / cache), bare=True)
    folder = tmp_path / "study"
    (folder / "workflow").mkdir(parents=True)
    (folder / "workflow/Snakefile").write_text(DEPLOYED_SNAKEFILE, encoding="utf-8")
    shutil.copytree(Path(repository.working_dir) / "config", folder / "config")
    (folder / "mine.tsv").write_text(
        "concept\tlanguage\tword\tsource\n1\teng\tred\tmine\n", encoding="utf-8"
    )
    (folder / "mine.yaml").write_text(
        yaml.safe_dump({"lexicons": {"mine": {"reader": "table", "path": "mine.tsv"}}}), "utf-8"
    )
    environment = {"XDG_CACHE_HOME": str(tmp_path / "cache")}
    # With conda, Snakemake's environment does not contain the packages of jobs.
    missing_packages = tmp_path / "missing-packages"
    missing_packages.mkdir()
    for name in ("pyarrow", "safetensors", "tokenizers", "torch", "tqdm"):
        (missing_packages / f"{name}.py").write_text(
            "raise ImportError(__name__)\n", encoding="utf-8"
        )
    output = snakemake(folder, "--dry-run", **environment, PYTHONPATH=str(missing_packages))
    counts = job_counts(output)  # the full study
    assert counts["table5"] == 1 and counts["fine_tune"] > 45 * 5
    target = "results/lexicons/mine.tsv"
    output = snakemake(folder, target, "--configfile", "mine.yaml", **environment)
    assert (folder / target).read_text(encoding="utf-8").count("mine") == 1
    assert output.count("the repository has this package") == 2  # Snakemake's process, the script's
    commit = folder / ".snakemake/semantic_tokens" / repository.head.commit.hexsha / "commit"
    assert commit.read_text(encoding="utf-8") == repository.head.commit.hexsha
    assert {path.name for path in commit.parent.parent.iterdir()} == {repository.head.commit.hexsha}


def test_provenance_lists_config_seeds_inputs_packages_and_commit(tmp_path: Path) -> None:
    from semantic_tokens.files import sha256_of
    from semantic_tokens.report.provenance import provenance

    folder = tmp_path / "text"
    folder.mkdir()
    (folder / "deu.txt").write_text("Tomate\n", encoding="utf-8")
    config = {"seeds": [4], "alignment": {"training": {"seed": 5}}}
    record = json.loads(json.dumps(provenance(config, [folder, folder / "deu.txt"])))
    assert record["configuration"] == config
    assert record["seeds"] == {"seeds": [4], "alignment.training.seed": 5}
    path = folder / "deu.txt"
    assert record["inputs"] == {path.as_posix(): sha256_of(path)}
    assert record["packages"]["torch"].split("+")[0] == "2.13.0"
    if (ROOT / ".git").exists():
        head = subprocess.run(
            ["git", "-C", ROOT, "rev-parse", "HEAD"], capture_output=True, text=True, check=True
        )
        assert record["code"]["commit"] == head.stdout.strip()
        assert isinstance(record["code"]["changed_since"], bool)
