"""Every key of the config and every module of the package makes only dependent jobs stale: the
table of ``staleness.py`` compared with dry runs."""

import functools
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml
from staleness import ALWAYS, KEYS, MODULES, OWN, Line, change_of, keys_with_values, page

from semantic_tokens.study.code import Code
from semantic_tokens.study.configuration import validate_config
from semantic_tokens.study.ingredients import Digests
from semantic_tokens.study.runs import in_run, split_run

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).parent
SCHEMA_FILE = ROOT / "config/schemas/config.schema.json"
SCHEMA = json.loads(SCHEMA_FILE.read_text(encoding="utf-8"))
PACKAGE = ROOT / "workflow/semantic_tokens"
EXPORTED = "results/exported/unigram/unaligned/dfull/kmeans-cosine-0.05/mlm"
TARGETS = {"all", "download", EXPORTED}
#: One dry run with all changes that should make nothing stale.
NOTHING_STALE = "nothing stale"
#: Keys that are also changed in a named run.
CHANGED_IN_A_RUN = [
    "wheels.*.sha256",
    "lexicons.*.options",
    "bm25.depth",
    "grouping.kmeans.seed",
    "pretraining.measured_steps",
    "tasks.*.dataset",
    "tasks.*.training.learning_rate",
]
#: Rules that always run on request and have no output.
WITHOUT_OUTPUT = {"all", "download", "plan"}


def modules() -> list[str]:
    """The modules of the package, without its name, and its folders of other files."""
    files = [path for path in PACKAGE.rglob("*.*") if "__pycache__" not in path.parts]
    names = {path.with_suffix("") if path.suffix == ".py" else path.parent for path in files}
    dotted = {".".join(name.relative_to(PACKAGE).parts) for name in names}
    return sorted({name.removesuffix("__init__").rstrip(".") for name in dotted} - {""})


def files_of(package: Path, module: str) -> list[str]:
    """The files of a module: one file, or a package's ``__init__`` and files that are not
    Python."""
    path = package / module.replace(".", "/")
    if not path.is_dir():
        return [str(path.with_suffix(".py"))]
    files = (file for file in sorted(path.glob("*.*")) if file.suffix != ".py")
    return [str(file) for file in [*path.glob("__init__.py"), *files]]


class DryRuns(NamedTuple):
    """The results of the dry runs.

    Attributes:
        stale: line of the table -> the jobs that run again.
        outputs: output file -> its rule.
        rules: all rules.
        folder: the folder of the study.
    """

    stale: Mapping[str, list[dict[str, Any]]]
    outputs: Mapping[str, str]
    rules: set[str]
    folder: Path

    @property
    def made(self) -> set[str]:
        """The rules that have a job."""
        return set(self.outputs.values())


@functools.cache
def dry_run_names() -> dict[str, str]:
    """Module -> the name of its dry run. Modules share a dry run if the same scripts import them and
    their lines are equal."""
    code = Code(ROOT / "workflow")
    scripts = sorted(path.stem for path in (ROOT / "workflow/scripts").glob("*.py"))
    imported = {script: frozenset(code.modules(script)) for script in scripts}
    names: dict[Any, str] = {}
    found = {}
    for module, line in MODULES.items():
        by = [script for script in scripts if module in imported[script]]
        only = {wildcard: sorted(values) for wildcard, values in line.only.items()}
        key = repr((by, sorted(line.stale), sorted(only.items())))
        found[module] = names.setdefault(key, f"modules such as {module}")
    return found


def merge(config: dict[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Merge a config over another one, as Snakemake does."""
    for key, value in over.items():
        is_section = isinstance(value, Mapping) and isinstance(config.get(key), dict)
        config[key] = merge(config[key], value) if is_section else value
    return config


@pytest.fixture(scope="module")
def config() -> dict[str, Any]:
    """The config of the wide study."""
    small, wide = (
        yaml.safe_load((HERE / folder / "config.yaml").read_text(encoding="utf-8"))
        for folder in ("config", "wide")
    )
    return merge(small, wide)


@pytest.fixture(scope="module")
def dry_runs(tmp_path_factory: pytest.TempPathFactory, config: dict[str, Any]) -> DryRuns:
    checkout, folder = tmp_path_factory.mktemp("checkout"), tmp_path_factory.mktemp("wide")
    for part in ("rules", "workflow", "profiles", "envs", "config/schemas"):
        shutil.copytree(ROOT / part, checkout / part, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "Snakefile", checkout)
    shutil.copy(ROOT / "config/paper_table5.csv", checkout / "config")
    shutil.copytree(HERE / "config", folder / "config")
    (folder / "config/config.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    rows = (HERE / "wide/experiments.tsv").read_text(encoding="utf-8")
    (folder / "config/experiments.tsv").write_text(rows, encoding="utf-8")
    shorter = [row for row in rows.splitlines(keepends=True) if not row.startswith("figure5")]
    (folder / "config/shorter.tsv").write_text("".join(shorter), encoding="utf-8")
    for name, digit in (("text", "0"), ("other", "1")):
        listed = f"{digit * 64}  deu.txt\n"
        (folder / f"config/{name}.sha256").write_text(listed, encoding="utf-8")
    for name in ("checkpoint", "checkpoint-2", "names", "names-2", "text-2"):
        (folder / "own" / name).mkdir(parents=True)
    for name in ("lexicon.tsv", "lexicon-2.tsv"):
        (folder / "own" / name).touch()
    changes: dict[str, dict[str, Any]] = {"nothing": {}, NOTHING_STALE: {"config": {}, "files": []}}
    for key, line in KEYS.items():
        if line.stale:
            changes[f"key {key}"] = {"config": change_of(key, line)}
        else:
            merge(changes[NOTHING_STALE]["config"], change_of(key, line))
    for module, line in MODULES.items():
        files = files_of(checkout / "workflow/semantic_tokens", module)
        change = dry_run_names()[module] if line.stale else NOTHING_STALE
        changes.setdefault(change, {"files": []})["files"] += files
    for key in CHANGED_IN_A_RUN:
        changes[f"run {key}"] = {"config": change_of(key, KEYS[key]) | {"run": "other"}}
    for change in changes.values():
        if run := change.get("config", {}).get("run"):
            change["targets"] = sorted({"all", "download", in_run(EXPORTED, run)})
    result = subprocess.run(
        [sys.executable, HERE / "dry_runs.py", checkout, folder],
        input=json.dumps({"targets": sorted(TARGETS), "changes": changes}),
        cwd=folder,
        env=os.environ | {"PYTHONPATH": ""},
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert result.returncode == 0, result.stderr + result.stdout
    found = json.loads(result.stdout)
    return DryRuns(found["stale"], found["outputs"], set(found["rules"]), folder)


def test_the_wide_study_has_a_job_for_every_rule(dry_runs: DryRuns) -> None:
    assert dry_runs.made == dry_runs.rules - WITHOUT_OUTPUT
    assert dry_runs.stale["nothing"] == []


def test_every_key_of_the_schema_has_a_line() -> None:
    assert sorted(KEYS) == keys_with_values()


def test_every_module_has_a_line() -> None:
    assert sorted(MODULES) == modules()


def assert_stale(jobs: list[dict[str, Any]], line: Line) -> None:
    """The jobs belong to the rules of this line, and all of them match ``only``."""
    assert {job["rule"] for job in jobs} == (ALWAYS | set(line.stale) if line.stale else set())
    for wildcard, values in line.only.items():
        found = {job["wildcards"][wildcard] for job in jobs if wildcard in job["wildcards"]}
        assert found and found <= set(values)


@pytest.mark.parametrize("key", KEYS)
def test_changed_key_makes_the_listed_rules_stale(
    dry_runs: DryRuns, config: dict[str, Any], key: str
) -> None:
    line = KEYS[key]
    before: Any = config
    for part in key.split("."):
        before = (before or {}).get(line.name if part == "*" else part)
    assert before != line.value  # the value changes
    assert_stale(dry_runs.stale[f"key {key}" if line.stale else NOTHING_STALE], line)


@pytest.mark.parametrize("module", MODULES)
def test_changed_module_makes_the_listed_rules_stale(dry_runs: DryRuns, module: str) -> None:
    line = MODULES[module]
    assert_stale(dry_runs.stale[dry_run_names()[module] if line.stale else NOTHING_STALE], line)


@pytest.mark.parametrize("key", KEYS)
def test_runs_share_the_files_that_a_key_does_not_change(
    dry_runs: DryRuns, config: dict[str, Any], monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    """For each file: two runs share it only if the key does not make it stale in one of them."""
    monkeypatch.chdir(dry_runs.folder)
    line = KEYS[key]
    configs = [json.loads(json.dumps(config)) for _ in range(2)]
    merge(configs[1], json.loads(json.dumps(change_of(key, line))))
    for one in configs:
        validate_config(one, SCHEMA_FILE)
    before, after = map(Digests, configs)
    shared = {path for path in dry_runs.outputs if before.of(path)}
    assert {dry_runs.outputs[path] for path in shared} == dry_runs.made - OWN - ALWAYS
    jobs = dry_runs.stale[f"key {key}"] if line.stale else []
    stale = {path for job in jobs for path in job["outputs"]}
    assert {path for path in shared if before.of(path) != after.of(path)} == stale & shared


@pytest.mark.parametrize("key", CHANGED_IN_A_RUN)
def test_run_changes_no_file_of_its_base_run(dry_runs: DryRuns, key: str) -> None:
    jobs = dry_runs.stale[f"run {key}"]
    assert {job["rule"] for job in jobs} == OWN | ALWAYS | set(KEYS[key].stale)
    outputs = {path for job in jobs for path in job["outputs"]}
    assert not outputs & set(dry_runs.outputs)
    # A file that both runs lack and would make in the same way is made for both.
    shared = {path for path in outputs if split_run(path)[1] != "other"}
    assert bool(shared) == (key == "tasks.*.dataset")


def test_staleness_page_is_up_to_date() -> None:
    assert (ROOT / "docs/staleness.md").read_text(encoding="utf-8") == page()
