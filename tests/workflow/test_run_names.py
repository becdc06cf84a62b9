"""Several runs of the small study: shared files, and no changes of another run's files."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from study import Made, Study, job_counts
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


def new(before: dict[str, Made], after: dict[str, Made]) -> set[str]:
    """The new files. Earlier files must be identical."""
    assert {path: after.get(path) for path in before} == before
    return set(after) - set(before)


@pytest.fixture(scope="module")
def own(study: Study, tmp_path_factory: pytest.TempPathFactory) -> Study:
    """A copy of the finished study."""
    folder = tmp_path_factory.mktemp("runs") / "study"
    shutil.copytree(study.folder, folder, symlinks=True)
    return Study(study.checkout, folder)


@pytest.fixture(scope="module")
def learning_rate(own: Study) -> set[str]:
    """All new files of the run with another learning rate, after the run without a name."""
    before = own.made()
    answer = own.run(change=LEARNING_RATE)
    assert answer.returncode == 0, answer.stdout
    counts = job_counts(answer.stdout)
    # Five experiments, and the two of Table 4's task.
    assert counts.pop("fine_tune") == 5 + 2
    follows = {"comparison", "claims", "controls", "explorer", "held_out", "group_quality"}
    follows |= {"significance", "provenance", *(f"table{number}" for number in range(1, 6))}
    assert {rule for rule in counts if not rule.startswith("figure")} == follows
    return new(before, own.made())


@pytest.fixture(scope="module")
def seed(own: Study, learning_rate: set[str]) -> set[str]:
    """The new files of the run with another seed of K-Means for Table 5, after both."""
    before = own.made()
    answer = own.run(table5(SEED), change=SEED)
    assert answer.returncode == 0, answer.stdout
    assert job_counts(answer.stdout) == TABLE5 | {"group_kmeans": 1, "pretrain": 1}
    return new(before, own.made())


def test_another_learning_rate_makes_again_what_is_fine_tuned(learning_rate: set[str]) -> None:
    assert {Path(path).parts[:3] for path in learning_rate} == {("results", "runs", "lr1e-4")}
    parts = {Path(path).parts[3] for path in learning_rate}
    assert {"scores", "predictions", "training", "figures", "table5.csv"} <= parts
    assert {"provenance.json", "explorer.html", "table4.csv"} <= parts
    assert not {"groups", "models", "embeddings", "datasets", "lexicons", "baselines"} & parts


def test_a_run_has_its_own_numbers(own: Study, learning_rate: set[str]) -> None:
    score = f"scores/{PATH}/mlm/nli/all-languages/seed-1.json"
    losses = [
        json.loads((own.folder / folder / score).read_text(encoding="utf-8"))["final_loss"]
        for folder in ("results", "results/runs/lr1e-4")
    ]
    assert losses[0] != losses[1]
    made_by = json.loads((own.folder / "results/runs/lr1e-4/provenance.json").read_text("utf-8"))
    assert made_by["configuration"]["run"] == "lr1e-4"
    assert made_by["configuration"]["tasks"]["nli"]["training"]["learning_rate"] == 0.0001


def test_another_seed_of_k_means_makes_its_own_groups(seed: set[str]) -> None:
    assert {Path(path).parts[:3] for path in seed} == {("results", "runs", "seed2")}
    kinds = {Path(path).parts[3] for path in seed} - {"scores", "predictions", "training"}
    tables = {name for name in kinds if name.startswith("table5")}
    assert kinds - tables == {"groups", "models", "efficiency", "held_out"}
    assert f"results/runs/seed2/groups/{PATH}.safetensors" in seed


@pytest.mark.usefixtures("seed")
def test_runs_in_turn_leave_each_other_alone(own: Study) -> None:
    for _ in range(2):
        assert own.stale() == {}
        assert own.stale(change=LEARNING_RATE) == {}
        assert own.stale(table5(SEED), change=SEED) == {}


@pytest.mark.usefixtures("seed")
def test_a_run_may_be_based_on_another_one(own: Study) -> None:
    assert own.stale(table5(SEED_AND_RATE), change=SEED_AND_RATE) == TABLE5
    alone = {key: value for key, value in SEED_AND_RATE.items() if key != "base_run"}
    assert own.stale(table5(alone), change=alone) == TABLE5 | {"group_kmeans": 1, "pretrain": 1}


@pytest.mark.usefixtures("seed")
def test_another_study_without_a_name_takes_nothing_from_the_named(own: Study) -> None:
    """It overwrites the run without a name. Named runs then make the files that they shared."""
    folder = own.folder.with_name("overwritten")
    shutil.copytree(own.folder, folder, symlinks=True)
    other = Study(own.checkout, folder)
    before = {path: made for path, made in other.made().items() if "/runs/" in path}
    groups = f"results/groups/{PATH}.safetensors"
    answer = other.run(groups, change={"grouping": {"kmeans": {"seed": 3}}})
    assert job_counts(answer.stdout) == {"group_kmeans": 1}
    assert {path: made for path, made in other.made().items() if "/runs/" in path} == before
    assert other.stale(table5(SEED), change=SEED) == {}
    assert other.stale(table5(LEARNING_RATE), change=LEARNING_RATE) == {
        **{"group_kmeans": 1, "pretrain": 1, "fine_tune": 1, "table5": 1}
    }


def test_two_runs_are_compared(
    own: Study, learning_rate: set[str], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    table = tmp_path / "compared.csv"
    options = ["--directory", str(own.folder), "--output", str(table)]
    assert main(["compare", "base", "lr1e-4", *options]) == 0
    shown = capsys.readouterr().out
    assert "tasks.nli.training.learning_rate 0.0005 0.0001" in " ".join(shown.split())
    lines = [line.split(",") for line in table.read_text(encoding="utf-8").splitlines()]
    assert len(lines) == 1 + 5 + 2
    for line in (dict(zip(lines[0], line, strict=True)) for line in lines[1:]):
        recipe, _, training = line["experiment"].rpartition("/")
        score = f"scores/{recipe}/{line['task']}/{training}/seed-1.json"
        values = [
            json.loads((own.folder / folder / score).read_text(encoding="utf-8"))["value"]
            for folder in ("results", "results/runs/lr1e-4")
        ]
        assert float(line["difference"]) == pytest.approx(values[1] - values[0], abs=1e-4)
        assert float(line["low"]) <= float(line["difference"]) <= float(line["high"])


# Refused before any job


@pytest.mark.parametrize(
    ("target", "change", "message"),
    [
        ("all", {"run": ""}, r"config key run: '' does not match .*; The name of this run: letters"),
        ("all", {"run": "../up"}, r"config key run: '\.\./up' does not match .*; The name of this run: letters"),
        ("all", {"run": "a b"}, r"config key run: 'a b' does not match .*; The name of this run: letters"),
        (
            "all",
            {"run": "x", "base_run": "never"},
            r"config key base_run names 'never', which was never started here; started were base",
        ),
        (
            "results/runs/lr5e-4/table5.csv",
            {},
            r"results/runs/lr5e-4/table5\.csv is of run lr5e-4, and this configuration is of run "
            r"base: add `--config run=lr5e-4`, or the --configfile that names it",
        ),
        (
            "results/table5.csv",
            {"run": "lr5e-4"},
            r"run lr5e-4 has the file results/table5\.csv elsewhere: request "
            r"results/runs/lr5e-4/table5\.csv, or leave `run` out",
        ),
    ],
    ids=["empty", "up", "space", "base", "run", "plain"],
)  # fmt: skip
def test_a_run_that_cannot_be_is_refused_in_one_line(
    study: Study, target: str, change: dict[str, Any], message: str
) -> None:
    answer = study.run(target, change=change)
    assert answer.returncode == 1
    assert_one_message(answer.stdout, rf"(?m)^Error: {message}")
    assert "Building DAG" not in answer.stdout


def test_a_number_is_not_a_name_where_it_is_not_quoted(study: Study) -> None:
    answer = study.run(options=["--dry-run", "--config", "run=1e-4"])
    assert answer.returncode == 1
    assert_one_message(
        answer.stdout, r"config key run: 0\.0001 is not of type 'string'; The name of"
    )
