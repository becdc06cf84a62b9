"""Several runs of the small study: shared files, and no changes of another run's files."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from study import OutputFile, Study, job_counts
from test_bad_input import assert_one_message

from semantic_tokens.cli import main

#: One task is enough to see what runs again. Table 4 has another task.
NLI = {"tasks_shown": ["nli"]}
LEARNING_RATE = NLI | {
    "run": "lr1e-4",
    "tasks": {"nli": {"training": {"learning_rate": 0.0001}}},
}
SEED = NLI | {"run": "seed2", "grouping": {"kmeans": {"seed": 2}}}
#: Based on the run with another seed, whose models it uses.
SEED_AND_RATE = LEARNING_RATE | SEED | {"run": "seed2-lr1e-4", "base_run": "seed2"}
# Three experiments of the small study are in Table 5.
TABLE5 = {"fine_tune": 3, "table5": 1}
PATH = "unigram/clsa-emoji+numbers+roundtrip/d64/kmeans-cosine-0.05"


def table5(change: dict[str, Any]) -> str:
    return f"results/runs/{change['run']}/table5.csv"


def new_files(before: dict[str, OutputFile], after: dict[str, OutputFile]) -> set[str]:
    """The new files. Earlier files must be identical."""
    assert {path: after.get(path) for path in before} == before
    return set(after) - set(before)


@pytest.fixture(scope="module")
def study_copy(study: Study, tmp_path_factory: pytest.TempPathFactory) -> Study:
    """A copy of the finished study."""
    folder = tmp_path_factory.mktemp("runs") / "study"
    shutil.copytree(study.folder, folder, symlinks=True)
    return Study(study.checkout, folder)


@pytest.fixture(scope="module")
def learning_rate_files(study_copy: Study) -> set[str]:
    """All new files of the run with another learning rate, after the run without a name."""
    before = study_copy.output_files()
    result = study_copy.run(change=LEARNING_RATE)
    assert result.returncode == 0, result.stdout
    counts = job_counts(result.stdout)
    # Five experiments, and the two of Table 4's task.
    assert counts.pop("fine_tune") == 5 + 2
    expected = {"comparison", "claims", "controls", "explorer", "held_out", "group_quality"}
    expected |= {"significance", "provenance", *(f"table{number}" for number in range(1, 6))}
    assert {rule for rule in counts if not rule.startswith("figure")} == expected
    return new_files(before, study_copy.output_files())


@pytest.fixture(scope="module")
def seed_files(study_copy: Study, learning_rate_files: set[str]) -> set[str]:
    """The new files of the run with another seed of K-Means for Table 5, after both."""
    before = study_copy.output_files()
    result = study_copy.run(table5(SEED), change=SEED)
    assert result.returncode == 0, result.stdout
    assert job_counts(result.stdout) == TABLE5 | {"group_kmeans": 1, "pretrain": 1}
    return new_files(before, study_copy.output_files())


def test_new_learning_rate_repeats_fine_tuning_but_not_pretraining(
    learning_rate_files: set[str],
) -> None:
    assert {Path(path).parts[:3] for path in learning_rate_files} == {("results", "runs", "lr1e-4")}
    parts = {Path(path).parts[3] for path in learning_rate_files}
    assert {"scores", "predictions", "training", "figures", "table5.csv"} <= parts
    assert {"provenance.json", "explorer.html", "table4.csv"} <= parts
    assert not {"groups", "models", "embeddings", "datasets", "lexicons", "baselines"} & parts


def test_named_run_has_its_own_scores_and_configuration(
    study_copy: Study, learning_rate_files: set[str]
) -> None:
    score = f"scores/{PATH}/mlm/nli/all-languages/seed-1.json"
    losses = [
        json.loads((study_copy.folder / folder / score).read_text(encoding="utf-8"))["final_loss"]
        for folder in ("results", "results/runs/lr1e-4")
    ]
    assert losses[0] != losses[1]
    provenance = json.loads(
        (study_copy.folder / "results/runs/lr1e-4/provenance.json").read_text("utf-8")
    )
    assert provenance["configuration"]["run"] == "lr1e-4"
    assert provenance["configuration"]["tasks"]["nli"]["training"]["learning_rate"] == 0.0001


def test_new_kmeans_seed_makes_new_groups_and_models(seed_files: set[str]) -> None:
    assert {Path(path).parts[:3] for path in seed_files} == {("results", "runs", "seed2")}
    kinds = {Path(path).parts[3] for path in seed_files} - {"scores", "predictions", "training"}
    tables = {name for name in kinds if name.startswith("table5")}
    assert kinds - tables == {"groups", "models", "held_out"}
    assert f"results/runs/seed2/groups/{PATH}.safetensors" in seed_files


@pytest.mark.usefixtures("seed_files")
def test_alternating_runs_make_nothing_stale(study_copy: Study) -> None:
    for _ in range(2):
        assert study_copy.stale() == {}
        assert study_copy.stale(change=LEARNING_RATE) == {}
        assert study_copy.stale(table5(SEED), change=SEED) == {}


@pytest.mark.usefixtures("seed_files")
def test_run_based_on_another_run_uses_its_models(study_copy: Study) -> None:
    assert study_copy.stale(table5(SEED_AND_RATE), change=SEED_AND_RATE) == TABLE5
    without_base = {key: value for key, value in SEED_AND_RATE.items() if key != "base_run"}
    assert study_copy.stale(table5(without_base), change=without_base) == TABLE5 | {
        "group_kmeans": 1,
        "pretrain": 1,
    }


@pytest.mark.usefixtures("seed_files")
def test_overwriting_the_unnamed_run_keeps_the_files_of_named_runs(study_copy: Study) -> None:
    """Named runs then make the files themselves that they shared with the unnamed run."""
    folder = study_copy.folder.with_name("overwritten")
    shutil.copytree(study_copy.folder, folder, symlinks=True)
    other = Study(study_copy.checkout, folder)
    before = {path: file for path, file in other.output_files().items() if "/runs/" in path}
    groups = f"results/groups/{PATH}.safetensors"
    result = other.run(groups, change={"grouping": {"kmeans": {"seed": 3}}})
    assert job_counts(result.stdout) == {"group_kmeans": 1}
    assert {path: file for path, file in other.output_files().items() if "/runs/" in path} == before
    assert other.stale(table5(SEED), change=SEED) == {}
    assert other.stale(table5(LEARNING_RATE), change=LEARNING_RATE) == {
        **{"group_kmeans": 1, "pretrain": 1, "fine_tune": 1, "table5": 1}
    }


def test_two_runs_are_compared(
    study_copy: Study,
    learning_rate_files: set[str],
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    table = tmp_path / "compared.csv"
    options = ["--directory", str(study_copy.folder), "--output", str(table)]
    assert main(["compare", "base", "lr1e-4", *options]) == 0
    output = capsys.readouterr().out
    assert "tasks.nli.training.learning_rate 0.0005 0.0001" in " ".join(output.split())
    lines = [line.split(",") for line in table.read_text(encoding="utf-8").splitlines()]
    assert len(lines) == 1 + 5 + 2
    for line in (dict(zip(lines[0], line, strict=True)) for line in lines[1:]):
        recipe, _, training = line["experiment"].rpartition("/")
        score = f"scores/{recipe}/{line['task']}/{training}/seed-1.json"
        values = [
            json.loads((study_copy.folder / folder / score).read_text(encoding="utf-8"))["value"]
            for folder in ("results", "results/runs/lr1e-4")
        ]
        assert float(line["difference"]) == pytest.approx(values[1] - values[0], abs=1e-4)
        assert float(line["low"]) <= float(line["difference"]) <= float(line["high"])


# Refused before any job


@pytest.mark.parametrize(
    ("target", "change", "message"),
    [
        ("all", {"run": ""}, r"config key run: '' does not match .*letters"),
        ("all", {"run": "../up"}, r"config key run: '\.\./up' does not match .*letters"),
        ("all", {"run": "a b"}, r"config key run: 'a b' does not match .*letters"),
        (
            "all",
            {"run": "x", "base_run": "never"},
            r"config key base_run names 'never', which was never started .*base",
        ),
        (
            "results/runs/lr5e-4/table5.csv",
            {},
            r"results/runs/lr5e-4/table5\.csv is of run lr5e-4, .*`--config run=lr5e-4`",
        ),
        (
            "results/table5.csv",
            {"run": "lr5e-4"},
            r"run lr5e-4 .*results/table5\.csv .*results/runs/lr5e-4/table5\.csv, or leave `run` out",
        ),
        (
            "results/figures/figure9.svg",
            {},
            r"results/figures/figure9\.svg shows experiments that .*experiments\.tsv lacks",
        ),
    ],
    ids=["empty", "up", "space", "base", "run", "plain", "figure"],
)  # fmt: skip
def test_invalid_run_or_target_is_refused_in_one_line(
    study: Study, target: str, change: dict[str, Any], message: str
) -> None:
    result = study.run(target, change=change)
    assert result.returncode == 1
    assert_one_message(result.stdout, rf"(?m)^Error: {message}")
    assert "Building DAG" not in result.stdout


def test_unquoted_number_as_run_name_is_refused(study: Study) -> None:
    result = study.run(options=["--dry-run", "--config", "run=1e-4"])
    assert result.returncode == 1
    assert_one_message(
        result.stdout, r"config key run: 0\.0001 is a number to YAML; write it in quotation marks"
    )
