"""The check of lexicons, corpora and datasets before any job."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from semantic_tokens.data.lexicons import read_source
from semantic_tokens.data.readers import check_readers, check_trainings
from semantic_tokens.errors import InputError
from semantic_tokens.study.experiments import Experiment
from semantic_tokens.study.ingredients import fetched_files
from semantic_tokens.study.recipe import Recipe

FILE, FOLDER = "mine.tsv", "mine"
CONLL = {"reader": "conll", "kind": "token_classification", "path": FOLDER}
MINIATURE = {"reader": "miniature", "kind": "ranking", "wheel": "emoji"}
MADE = {"languages": ["deu"], "examples": {"train": 1, "dev": 1, "test": 1}, "seed": 1}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a file and a folder, in which the test runs."""
    (tmp_path / FILE).touch()
    (tmp_path / FOLDER).mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


#: An experiment that is trained on English alone.
ROW = Experiment("figure9", False, False, Recipe("mbert", "unaligned"), "eng", line=2)


def trained_on(**options: Any) -> dict[str, Any]:
    """A configuration with names, and with questions from a dataset with these options."""
    return {
        "experiments": "e.tsv",
        "tasks_shown": ["ner", "qa"],
        "tasks_by_figure": {},
        "tasks": {
            "ner": {"kind": "token_classification", "dataset": "names"},
            "qa": {"kind": "question_answering", "dataset": "squad"},
        },
        "datasets": {"names": {"options": {}}, "squad": {"options": options}},
    }


def configuration(section: str, entry: dict[str, Any]) -> dict[str, Any]:
    """A configuration with one entry, which is called ``mine``."""
    sections: dict[str, Any] = {"lexicons": {}, "corpora": {}, "datasets": {}}
    return sections | {section: {"mine": {"options": {}} | entry}}


@pytest.mark.parametrize(
    ("section", "entry", "message"),
    [
        ("lexicons", {"reader": "table", "path": FILE, "options": {"language": ["eng"]}}, r"\.options\.language is not known to reader table; it takes languages$"),
        ("lexicons", {"reader": "table", "path": FILE, "options": {"languages": 5}}, r"\.options\.languages is 5 and must be a list of codes"),
        ("lexicons", {"reader": "table", "path": FILE, "options": {"languages": "eng"}}, r"\.options\.languages is 'eng' and must be a list"),
        ("lexicons", {"reader": "table"}, r" has no data to read, which reader table needs; give it a `path`"),
        ("lexicons", {"reader": "table", "path": FOLDER}, r"\.path: mine is a folder, .*name the file"),
        ("lexicons", {"reader": "territories"}, r"\.options\.languages is missing; reader territories needs it"),
        ("lexicons", {"reader": "numbers", "path": FILE}, r" names mine\.tsv, and reader numbers reads no file"),
        ("lexicons", {"reader": "numbers", "options": {"languages": ["eng"], "up_to": "ten"}}, r"\.options\.up_to is 'ten' and must be a whole number"),
        ("lexicons", {"reader": "numbers", "options": {"languages": ["de"]}}, r"\.options\.languages has 'de' and must use ISO 639-3: deu"),
        ("corpora", {"reader": "text", "path": FOLDER, "options": {"languages": ["German"]}}, r"\.options\.languages has 'German' and must use ISO 639-3: deu"),
        ("datasets", CONLL | {"options": {"languages": ["xyz"]}}, r"\.options\.languages has 'xyz', which is not a language"),
        ("corpora", {"reader": "text", "path": FOLDER, "options": {"language": "eng"}}, r"\.options\.language is not known to reader text; it takes languages$"),
        ("corpora", {"reader": "text"}, r" has no data to read, which reader text needs"),
        ("corpora", {"reader": "django", "path": FOLDER}, r"\.path: mine is a folder, and reader django reads a file"),
        ("corpora", {"reader": "hf", "options": {"max_texts_per_language": "x"}}, r"\.options\.max_texts_per_language is 'x' and must be a whole number, 1 or more"),
        ("corpora", {"reader": "hf", "options": {"streaming": 1}}, r"\.options\.streaming is 1 and must be true or false"),
        ("datasets", CONLL | {"reader": "jason"}, r"\.reader is 'jason' and must be one of masakhaner, .*, miniature$"),
        ("datasets", CONLL | {"kind": "ranking"}, r"\.kind is 'ranking', but reader conll yields token"),
        ("datasets", CONLL, r"\.options\.languages is missing; reader conll needs it"),
        ("datasets", CONLL | {"path": None}, r"\.path is missing; reader conll reads a folder"),
        ("datasets", CONLL | {"options": {"languages": ["deu"], "splits": ["train", "test"]}}, r"\.options\.splits is \['train', 'test'\] and must be a mapping"),
        ("datasets", CONLL | {"options": {"languages": ["deu"], "columns": 5}}, r"\.options\.columns is 5 and must be a mapping"),
        ("datasets", CONLL | {"options": {"languages": ["deu"], "seed": "x"}}, r"\.options\.seed is 'x' and must be a whole number"),
        ("datasets", MINIATURE | {"options": {"langages": ["deu"]}}, r": `options` of a miniature dataset: .*langages"),
        ("datasets", MINIATURE | {"options": MADE | {"distractors": 2.0}}, r": `options\.distractors` of .* 2\.0 is not a whole number; write 2$"),
        ("datasets", MINIATURE | {"options": MADE | {"examples": {"train": 3, "dev": 1.0, "test": 1}}}, r": `options\.examples\.dev` of .* 1\.0 is not a whole number; write 1$"),
        ("datasets", MINIATURE | {"wheel": None}, r" has no data to read, which reader miniature needs"),
    ],
)  # fmt: skip
def test_unusable_entry_is_named(section: str, entry: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=rf"^config key {section}\.mine{message}"):
        check_readers(configuration(section, entry))


@pytest.mark.parametrize(
    ("section", "entry"),
    [
        ("lexicons", {"reader": "table", "path": FILE, "options": {"languages": None}}),
        ("lexicons", {"reader": "emoji", "wheel": "emoji", "options": {"languages": ["eng"]}}),
        ("corpora", {"reader": "wikipedia", "options": {"languages": ["deu"]}}),
        ("datasets", CONLL | {"options": {"languages": {"deu": "de"}, "max_train_per_language": 5}}),
    ],
)  # fmt: skip
def test_usable_entry_is_accepted(section: str, entry: dict[str, Any]) -> None:
    check_readers(configuration(section, entry))


def test_job_of_a_lexicon_checks_its_options_again() -> None:
    with pytest.raises(
        InputError, match=r"^config key lexicons\.mine\.options\.language is not known"
    ):
        read_source("table", {"language": ["eng"]}, Path(FILE), name="mine")


def test_check_needs_none_of_the_libraries_of_jobs() -> None:
    """Snakemake may run without them, in an environment of its own."""
    code = "import sys, semantic_tokens.data.readers; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", code],
        cwd=Path(__file__).resolve().parents[2] / "workflow",
        capture_output=True,
        text=True,
        check=True,
    )
    assert set(loaded.stdout.split()).isdisjoint({"tqdm", "numpy", "pyarrow", "datasets", "torch"})


def test_path_has_priority_over_the_archive_of_a_merged_entry() -> None:
    """A user's file gives an entry of config.yaml a ``path``, and its ``wheel`` stays."""
    entry = {"wheel": "emoji", "path": FILE, "reader": "table", "options": {}}
    assert fetched_files(entry) == []
    check_readers(configuration("lexicons", entry))


@pytest.mark.parametrize(
    ("language", "message"),
    [("ger", r"`training` has 'ger' and must use ISO 639-3: deu"), ("xyz", r"'xyz', which is not")],
)
def test_language_of_training_is_checked(language: str, message: str) -> None:
    rows = [
        replace(ROW, training=training, line=line)
        for line, training in enumerate(("all-languages", "eng", language), start=2)
    ]
    config = trained_on(languages=["eng", "deu"])
    check_trainings(rows[:2], config)
    with pytest.raises(InputError, match=rf"^e\.tsv, line 4: .*{message}"):
        check_trainings(rows, config)


@pytest.mark.parametrize(
    "options",
    [
        {"languages": ["deu", "spa"]},
        {"languages": {"deu": "de", "spa": "es"}},
        {"languages": ["deu", "eng", "spa"], "train_languages": ["deu", "spa"]},
        {"configurations": {"deu": "de", "spa": "es"}},
    ],
)
def test_training_needs_a_language_of_the_data_of_each_task(options: dict[str, Any]) -> None:
    config = trained_on(**options)
    check_trainings([replace(ROW, training="deu")], config)
    message = (
        r"^e\.tsv, line 2: `training` is eng, but task qa is trained on dataset squad, which has "
        r"deu, spa\. Correct .*`datasets\.squad\.options`, or name the tasks of figure9 in "
        r"`tasks_by_figure`$"
    )
    with pytest.raises(InputError, match=message):
        check_trainings([ROW], config)


def test_training_is_not_checked_for_a_task_that_the_figure_leaves_out() -> None:
    """Figure 9 has no names, and a dataset without named languages may have any."""
    config = trained_on()
    config["datasets"]["names"] = {"options": {"languages": ["hau"]}}
    check_trainings([ROW], config)
    with pytest.raises(InputError, match="task ner is trained on dataset names, which has hau"):
        check_trainings([replace(ROW, table5=True)], config)
    config["tasks_by_figure"] = {"figure9": ["ner"]}
    with pytest.raises(InputError, match="task ner is trained on dataset names, which has hau"):
        check_trainings([ROW], config)
