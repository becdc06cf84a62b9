"""Every key of the config and every module of the package makes stale what depends on it, and
nothing else: the table of ``staleness.py`` against dry runs."""

import ast
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml
from staleness import ALWAYS, KEYS, MODULES, OWN, Line, change_of, keys_with_values, page

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
#: One dry run for all changes that should make nothing stale: together they must not, either.
NONE_AT_ALL = "none at all"
#: Keys that are changed under a run's name, too: of a source, a vocabulary, a grouping, a task.
CHANGED_IN_A_RUN = [
    "wheels.*.sha256",
    "lexicons.*.options",
    "bm25.depth",
    "grouping.kmeans.seed",
    "pretraining.measured_steps",
    "tasks.*.dataset",
    "tasks.*.training.learning_rate",
]
#: Shown whenever they are asked for, and kept nowhere.
WITHOUT_OUTPUT = {"all", "download", "plan"}


def modules() -> list[str]:
    """The package's modules, without its own name, and its folders of other files."""
    files = [path for path in PACKAGE.rglob("*.*") if "__pycache__" not in path.parts]
    names = {path.with_suffix("") if path.suffix == ".py" else path.parent for path in files}
    dotted = {".".join(name.relative_to(PACKAGE).parts) for name in names}
    return sorted({name.removesuffix("__init__").rstrip(".") for name in dotted} - {""})


def files_of(package: Path, module: str) -> list[str]:
    """What a module is: one file, or a package's own and what is not Python in its folder."""
    path = package / module.replace(".", "/")
    if not path.is_dir():
        return [str(path.with_suffix(".py"))]
    files = (file for file in sorted(path.glob("*.*")) if file.suffix != ".py")
    return [str(file) for file in [*path.glob("__init__.py"), *files]]


class Answers(NamedTuple):
    """What the dry runs say.

    Attributes:
        stale: by line of the table, the jobs that run again.
        outputs: every file that is made, and its rule.
        rules: all rules.
        folder: of the study.
    """

    stale: Mapping[str, list[dict[str, Any]]]
    outputs: Mapping[str, str]
    rules: set[str]
    folder: Path

    @property
    def made(self) -> set[str]:
        """The rules of which there is a job."""
        return set(self.outputs.values())


def laid_over(config: dict[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """A config with another laid over it, as Snakemake does."""
    for key, value in over.items():
        is_section = isinstance(value, Mapping) and isinstance(config.get(key), dict)
        config[key] = laid_over(config[key], value) if is_section else value
    return config


@pytest.fixture(scope="module")
def config() -> dict[str, Any]:
    """The wide study's."""
    small, wide = (
        yaml.safe_load((HERE / folder / "config.yaml").read_text(encoding="utf-8"))
        for folder in ("config", "wide")
    )
    return laid_over(small, wide)


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory, config: dict[str, Any]) -> Answers:
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
    changes: dict[str, dict[str, Any]] = {"nothing": {}, NONE_AT_ALL: {"config": {}, "files": []}}
    for key, line in KEYS.items():
        if line.stale:
            changes[f"key {key}"] = {"config": change_of(key, line)}
        else:
            laid_over(changes[NONE_AT_ALL]["config"], change_of(key, line))
    for module, line in MODULES.items():
        files = files_of(checkout / "workflow/semantic_tokens", module)
        if line.stale:
            changes[f"module {module}"] = {"files": files}
        else:
            changes[NONE_AT_ALL]["files"] += files
    for key in CHANGED_IN_A_RUN:
        changes[f"run {key}"] = {"config": change_of(key, KEYS[key]) | {"run": "other"}}
    for change in changes.values():
        if run := change.get("config", {}).get("run"):
            change["targets"] = sorted({"all", "download", in_run(EXPORTED, run)})
    answer = subprocess.run(
        [sys.executable, HERE / "dry_runs.py", checkout, folder],
        input=json.dumps({"targets": sorted(TARGETS), "changes": changes}),
        cwd=folder,
        env=os.environ | {"PYTHONPATH": ""},
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert answer.returncode == 0, answer.stderr + answer.stdout
    found = json.loads(answer.stdout)
    return Answers(found["stale"], found["made"], set(found["rules"]), folder)


def test_the_wide_study_has_a_job_for_every_rule(answers: Answers) -> None:
    assert answers.made == answers.rules - WITHOUT_OUTPUT
    assert answers.stale["nothing"] == []


def test_every_key_of_the_schema_has_a_line() -> None:
    assert sorted(KEYS) == keys_with_values()


def test_every_module_has_a_line() -> None:
    assert sorted(MODULES) == modules()


def assert_stale(jobs: list[dict[str, Any]], line: Line) -> None:
    """The jobs are of the rules of this line, and all of what it is about."""
    assert {job["rule"] for job in jobs} == (ALWAYS | set(line.stale) if line.stale else set())
    for wildcard, values in line.only.items():
        met = {job["wildcards"][wildcard] for job in jobs if wildcard in job["wildcards"]}
        assert met and met <= set(values)


@pytest.mark.parametrize("key", KEYS)
def test_a_changed_key(answers: Answers, config: dict[str, Any], key: str) -> None:
    line = KEYS[key]
    before: Any = config
    for part in key.split("."):
        before = (before or {}).get(line.name if part == "*" else part)
    assert before != line.value  # it is a change
    assert_stale(answers.stale[f"key {key}" if line.stale else NONE_AT_ALL], line)


@pytest.mark.parametrize("module", MODULES)
def test_a_changed_module(answers: Answers, module: str) -> None:
    line = MODULES[module]
    assert_stale(answers.stale[f"module {module}" if line.stale else NONE_AT_ALL], line)


@pytest.mark.parametrize("key", KEYS)
def test_runs_share_what_a_key_leaves_the_same(
    answers: Answers, config: dict[str, Any], monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    """File by file: what decides a file for two runs is what makes it stale in one of them."""
    monkeypatch.chdir(answers.folder)
    line = KEYS[key]
    configs = [json.loads(json.dumps(config)) for _ in range(2)]
    laid_over(configs[1], json.loads(json.dumps(change_of(key, line))))
    for one in configs:
        validate_config(one, SCHEMA_FILE)
    before, after = map(Digests, configs)
    shared = {path for path in answers.outputs if before.of(path)}
    assert {answers.outputs[path] for path in shared} == answers.made - OWN - ALWAYS
    jobs = answers.stale[f"key {key}"] if line.stale else []
    stale = {path for job in jobs for path in job["outputs"]}
    assert {path for path in shared if before.of(path) != after.of(path)} == stale & shared


@pytest.mark.parametrize("key", CHANGED_IN_A_RUN)
def test_a_run_touches_nothing_of_the_one_it_is_based_on(answers: Answers, key: str) -> None:
    jobs = answers.stale[f"run {key}"]
    assert {job["rule"] for job in jobs} == OWN | ALWAYS | set(KEYS[key].stale)
    outputs = {path for job in jobs for path in job["outputs"]}
    assert not outputs & set(answers.outputs)
    # What neither has made, and both would make alike, is made for both.
    for_both = {path for path in outputs if split_run(path)[1] != "other"}
    assert bool(for_both) == (key == "tasks.*.dataset")


#: How files are opened and written and jobs are run and end, where what has a pinned hash comes from, what
#: reads the configuration, whose values are parameters, and packages that have but names.
DECIDE_NOTHING = {
    *(
        "errors",
        "files",
        "jobs.job",
        "jobs.processes",
        "jobs.snakemake_run",
        "jobs.gpu_devices",
        "jobs.gpus",
    ),
    *("sources.wheels", "jobs.cluster.gpus"),
    *("sources.downloads", "sources.addresses", "sources.archives", "sources.folder"),
    *("sources.hub", "sources.network"),
    *(
        "study.config_reference",
        "study.configuration",
        "study.recipe",
        "report.figures",
        "tasks",
        "study.runs",
    ),
    "study.ingredients",
    *("data", "embeddings", "evaluation", "jobs", "report", "report.tables", "sources", "study"),
    "tokenization",
}
#: Of no scores.
_NO_SCORES = {
    *("figure_groups", "figure_group_quality", "figure_pipelines", "figure_pretraining"),
    *("table1", "table2", "table3"),
}
#: What a rule's script imports though none of it is in the output: a module -> the rules.
UNUSED = {
    # a tokenizer file is opened by it
    "tokenization.examples": {
        "align",
        "baseline",
        "group_by_lexicon",
        "group_quality",
        "explorer",
        "figure_groups",
    },
    # another function of the same module runs or trains a model
    "training": {"baseline", "table1"},
    "modeling": {"baseline", "figure_pipelines", "table1", "table2"},
    # or names the device for the log
    "jobs.efficiency": {
        *("baseline", "table1", "table2", "table4"),
        *("align", "group_by_lexicon", "group_kmeans", "group_kmeans_weighted", "group_quality"),
    },
    "grouping.groups": {"baseline"},
    "tokenization.special_tokens": {"baseline"},
    "tokenization.tables": {"baseline"},
    "tokenization.vocabulary": {"baseline"},
    # finds the embedding of a model, which must have one
    "modeling.embedding": {
        *("derive_backbone", "extract_embeddings", "figure_groups", "figure_group_quality"),
        *("tokenize_corpus", "tokenize_dataset", "tokenize_ranking"),
    },
    # the same script weighs rows for another rule
    "tokenization.subword_counts": {"group_kmeans"},
    # measures for the log
    "embeddings.alignment_quality": {"align"},
    "tasks": {"baseline"},
    "embeddings.matrix": {"baseline"},
    # a corpus or dataset of another reader takes its words from there
    "data.lexicons.table": {"read_corpus", "read_dataset", "read_ranking_dataset"},
    "data.miniature": {"read_corpus"},
    "data.datasets": {"read_corpus"},
    "data.hub_tables": {"read_corpus"},
    # opens the list of checksums and the table of experiments, whose contents are parameters
    "text_files": {"fetch_download", "figure_pipelines"},
    # how experiments are named; and pages that others write
    "report.tables.table5": {
        "figure_groups",
        "figure_group_quality",
        "figure_pipelines",
        "figure_pretraining",
        "table1",
        "table2",
        "table3",
    },
    # figures and tables of scores are drawn and written by modules that others use too
    "evaluation.bootstrap": _NO_SCORES,
    "study.replicates": _NO_SCORES,
    "tasks.scored_items": _NO_SCORES,
    "report.pages": {rule for line in MODULES.values() for rule in line.stale if "figure" in rule},
}


def imported(path: Path, known: Mapping[str, Path]) -> set[str]:
    """The package's modules that a file imports, and those that they import."""
    found: set[str] = set()
    ahead = [path]
    while ahead:
        for node in ast.walk(ast.parse(ahead.pop().read_text(encoding="utf-8"))):
            if not isinstance(node, ast.ImportFrom):
                continue
            names = [node.module or "", *(f"{node.module}.{alias.name}" for alias in node.names)]
            new = {name.removeprefix("semantic_tokens.") for name in names} & set(known) - found
            found |= new
            # What a job's end needs to know of its device decides nothing either.
            ahead += [known[name] for name in new - {"jobs.job"}]
    return found


def scripts_of_rules() -> dict[str, Path]:
    """Every rule with an output, and its script."""
    found = {}
    for rules in sorted((ROOT / "rules").glob("*.smk")):
        for part in re.split(r"^ *rule ", rules.read_text(encoding="utf-8"), flags=re.MULTILINE)[
            1:
        ]:
            if script := re.search(r"workflow/(scripts/\w+\.py)", part):
                found[part.partition(":")[0]] = ROOT / "workflow" / script[1]
        copies = re.findall(r"^ *use rule (\w+) as (\w+)", rules.read_text(encoding="utf-8"), re.M)
        found |= {copy: found[rule] for rule, copy in copies}
    return {rule: script for rule, script in found.items() if rule not in WITHOUT_OUTPUT}


def test_no_module_that_a_script_imports_is_forgotten(answers: Answers) -> None:
    """By reading the code, which knows nothing of the digests in the rules."""
    known = {name: Path(files_of(PACKAGE, name)[0]) for name in modules()}
    scripts = scripts_of_rules()
    scripts.pop("replicate_backbone")  # links files, and this study has one replicate
    assert set(scripts) == answers.made
    for rule, script in scripts.items():
        for module in imported(script, known) - DECIDE_NOTHING:
            parts = module.split(".")
            packages = [".".join(parts[:end]) for end in range(1, len(parts) + 1)]
            is_unused = any(rule in UNUSED.get(package, set()) for package in packages)
            assert is_unused or rule in ALWAYS | set(MODULES[module].stale), (rule, module)


def test_the_page_is_the_table() -> None:
    assert (ROOT / "docs/staleness.md").read_text(encoding="utf-8") == page()
