"""The study on real data, ``config/laptop.yaml``, with a mirror in place of its hosts. The mirror has
small files of the same layout, or the real data if an environment variable names their folder."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from small_squad import squad_document
from study import job_counts
from test_bad_input import assert_one_message

from semantic_tokens.data.languages import iso639_1
from semantic_tokens.json_files import read_jsonl

ROOT = Path(__file__).resolve().parents[2]
LAPTOP = yaml.safe_load((ROOT / "config/laptop.yaml").read_text(encoding="utf-8"))
VARIABLE = "SEMANTIC_TOKENS_DATA"
TYDIQA = {"ara": "arabic", "ben": "bengali", "eng": "english", "kor": "korean", "swa": "swahili"}
TRAINED = LAPTOP["datasets"]["tydiqa"]["options"]["train_languages"]
MAIN_ROWS, TASKS = 15, 5


def languages(section: str, name: str) -> list[str]:
    return LAPTOP[section][name]["options"]["languages"]


def sentence(language: str, number: int) -> str:
    """A unique text."""
    return f"{language} says thing {number} in its own way"


def squad(language: str, split: str, paragraphs: int, prefix: str) -> dict[str, Any]:
    """A document in SQuAD's JSON."""
    return squad_document(language, split, paragraphs, prefix, sentence)


def small_copies(folder: Path) -> Path:
    """Write small versions of all files of the study, in the layout of
    ``profiles/offline/mirrors.yaml``."""

    def write(path: str, text: str) -> None:
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")

    for language in languages("datasets", "masakhaner"):
        for split in ("train", "dev", "test"):
            words = [f"{language}{split}{n} B-PER\nsays O\nit{n} O\n" for n in range(6)]
            write(f"masakhaner/{language}/{split}.txt", "\n".join(words))
    for language, name in TYDIQA.items():
        write(f"tydiqa_goldp/{name}.dev.json", json.dumps(squad(language, "dev", 5, f"{name}-")))
        if language in TRAINED:
            train = squad(language, "train", 40, f"{name}-")
            write(f"tydiqa_goldp/{name}.train.json", json.dumps(train))
    labels = ("neutral", "contradiction", "entailment")
    for language in languages("datasets", "xnli"):
        pairs = (
            f"{sentence(language, n // 3)}\tanswer {n} in {language}\t{labels[n % 3]}\n"
            for n in range(150)
        )
        write(f"xnli/{iso639_1(language)}.dev.tsv", "".join(pairs))
    for language in languages("datasets", "xquad"):
        write(f"xquad/xquad.{iso639_1(language)}.json", json.dumps(squad(language, "x", 40, "")))
    for name in LAPTOP["downloads"]["muse"]["files"]:
        write(f"lexicons/muse/{name}", f"tomato tomate\nwater {name[3:5]}\n")
    for language in languages("lexicons", "concepticon"):
        mapping = f"ID\tGLOSS\tPRIORITY\n1\tWATER///{language}water\t1\n"
        write(f"lexicons/concepticon/map-{iso639_1(language)}.tsv", mapping)
    return folder


#: The files of downloads with pinned checksums, which the small files do not have.
UNPINNED: dict[str, Any] = {
    "masakhaner": [
        f"{language}/{split}.txt"
        for language in languages("datasets", "masakhaner")
        for split in ("train", "dev", "test")
    ],
    "xquad": [f"xquad.{iso639_1(language)}.json" for language in languages("datasets", "xquad")],
    "concepticon": [f"map-{iso639_1(code)}.tsv" for code in languages("lexicons", "concepticon")],
}

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """``run(target, …, data=FOLDER)``: run the study with its offline profile, in a separate folder."""
    folder = tmp_path / "study"
    folder.mkdir()
    for part in ("Snakefile", "rules", "workflow", "envs", "config"):
        (folder / part).symlink_to(ROOT / part)
    shutil.copytree(ROOT / "profiles", folder / "profiles")

    def run_study(
        *arguments: str, data: Path | None, change: dict[str, Any] | None = None
    ) -> subprocess.CompletedProcess[str]:
        files = ["config/laptop.yaml", "profiles/offline/mirrors.yaml"]
        if change is not None:
            (folder / "change.yaml").write_text(yaml.safe_dump(change), encoding="utf-8")
            files.append("change.yaml")
        environment = {name: value for name, value in os.environ.items() if name != VARIABLE}
        if data is not None:
            environment[VARIABLE] = str(data)
        command = [sys.executable, "-m", "snakemake", "--profile", "profiles/offline"]
        command += ["--cores", "2", *arguments, "--configfile", *files]
        return subprocess.run(
            command,
            cwd=folder,
            env=environment | {"OMP_NUM_THREADS": "1", "PYTHONPATH": ""},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            check=False,
        )

    return run_study


def small_files_change(**change: Any) -> dict[str, Any]:
    """Changes of the config with which the study accepts the small files."""
    downloads = {name: {"checksums": None, "files": files} for name, files in UNPINNED.items()}
    return {"downloads": downloads, **change}


def test_main_curves_resolve_without_a_network(run: Run, tmp_path: Path) -> None:
    main = {"experiments": "config/laptop_main_experiments.tsv"}
    targets = ("results/runs/laptop/table5.csv", "results/runs/laptop/controls.csv")
    result = run(*targets, "--dry-run", data=tmp_path, change=main)
    assert result.returncode == 0, result.stdout
    counts = job_counts(result.stdout)
    assert counts["fine_tune"] == MAIN_ROWS * TASKS
    assert counts["fetch_download"] == len(LAPTOP["downloads"])
    assert "pretrain" not in counts


def test_full_study_adds_jobs_to_the_main_curves(run: Run, tmp_path: Path) -> None:
    result = run("all", "--dry-run", data=tmp_path)
    assert result.returncode == 0, result.stdout
    counts = job_counts(result.stdout)
    with_english = TASKS - 1  # MasakhaNER has no English
    pretrained = 2 + 4 + 4 + 2 * 4 + 2  # oracles, K-Means, aligned, two dimensions, ungrouped
    rows = MAIN_ROWS + pretrained + 1 + 4  # the aligned oracle, weighted K-Means
    assert counts["fine_tune"] == rows * TASKS + 5 * with_english
    assert counts["pretrain"] == pretrained
    assert counts["group_kmeans_weighted"] == counts["group_first_k"] == 4


def test_replicates_are_a_separate_run(run: Run, tmp_path: Path) -> None:
    profile = yaml.safe_load((ROOT / "profiles/laptop-replicates/config.yaml").read_text("utf-8"))
    laptop, replicates = profile["configfile"]
    assert laptop == "config/laptop.yaml"
    keys = yaml.safe_load((ROOT / replicates).read_text("utf-8"))
    # The base run has not been started, so it has no files to share.
    assert keys.pop("base_run") == "laptop"
    options = [
        f"{key}={json.dumps(keys[key]) if key == 'tasks_shown' else keys[key]}" for key in keys
    ]
    result = run(
        *("results/runs/laptop-replicates/table5.csv", "--dry-run", "--config", *options),
        data=tmp_path,
    )
    assert result.returncode == 0, result.stdout
    # The rows of Table 5 without First-k and the controls.
    assert job_counts(result.stdout)["fine_tune"] == 9 * 4 * 3


def test_every_source_is_read_through_the_mirror(run: Run, tmp_path: Path) -> None:
    """Every download and reader of the study, on small files."""
    results = "results/runs/laptop"
    targets = [f"{results}/datasets/{name}/test.jsonl" for name in LAPTOP["datasets"]]
    targets += [f"{results}/corpora/{name}.jsonl" for name in LAPTOP["corpora"]]
    targets += [f"{results}/lexicons/{name}.tsv" for name in LAPTOP["lexicons"]]
    result = run(*targets, data=small_copies(tmp_path / "data"), change=small_files_change())
    assert result.returncode == 0, result.stdout
    for name, spec in LAPTOP["datasets"].items():
        rows = read_jsonl(tmp_path / f"study/{results}/datasets/{name}/test.jsonl")
        assert {row["language"] for row in rows} == set(spec["options"]["languages"]), name
    for name, spec in LAPTOP["corpora"].items():
        rows = read_jsonl(tmp_path / f"study/{results}/corpora/{name}.jsonl")
        assert {row["language"] for row in rows} == set(spec["options"]["languages"]), name
    provenance = tmp_path / "study/resources/runs/laptop/downloads/xquad/.provenance.json"
    assert json.loads(provenance.read_text("utf-8"))["from"] == LAPTOP["downloads"]["xquad"]["url"]


def test_unset_data_folder_variable_is_named_in_the_error(run: Run) -> None:
    result = run("all", "--dry-run", data=None)
    assert result.returncode != 0
    assert f"the environment variable {VARIABLE} is not set" in result.stdout
    assert "Traceback" not in result.stdout


def test_missing_or_changed_mirror_file_is_named_in_the_error(run: Run, tmp_path: Path) -> None:
    data = small_copies(tmp_path / "data")
    (data / "xnli/ur.dev.tsv").unlink()
    target = "resources/runs/laptop/downloads/{}".format
    result = run(target("xnli"), data=data)
    assert_one_message(result.stdout, r"'xnli': there is no file \S+ur\.dev\.tsv; put it there")
    result = run(target("xquad"), data=data)
    assert_one_message(
        result.stdout, r"'xquad': xquad\.ar\.json from \S+ has sha256 \S+ and should have"
    )


@pytest.mark.parametrize(
    ("dataset", "language", "message"),
    [
        ("masakhaner", "zul", r"no data in zul; available are amh, hau, .*`languages`"),
        ("tydiqa", "fin", r"no data in fin; available are ara, ben, .*`languages`"),
        ("xnli", "tha", r"no data in tha; available are ara, deu, .*`languages`"),
        ("xquad", "tur", r"no data in tur; available are ara, deu, .*`languages`"),
    ],
)
def test_missing_language_is_named_in_the_error(
    run: Run, tmp_path: Path, dataset: str, language: str, message: str
) -> None:
    options = {"languages": [*languages("datasets", dataset), language]}
    change = small_files_change(datasets={dataset: {"options": options}})
    target = f"results/runs/laptop/datasets/{dataset}/test.jsonl"
    result = run(target, data=small_copies(tmp_path / "data"), change=change)
    assert_one_message(result.stdout, message)


def test_real_data_are_read_and_tokenized(run: Run) -> None:
    """On the copies of the real data, tokenised with the study's own vocabulary."""
    if not os.environ.get(VARIABLE):
        pytest.skip(f"needs {VARIABLE}, which names the folder of the real data")
    target = "results/runs/laptop/tokenized/me5-4x32k/original/tydiqa/test.parquet"
    result = run(target, data=Path(os.environ[VARIABLE]))
    assert result.returncode == 0, result.stdout
