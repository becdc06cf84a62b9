"""Check of the lexicons, corpora, datasets and training languages of a study, before any job."""

from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

from semantic_tokens.data.corpora import check_corpus
from semantic_tokens.data.datasets import check_dataset
from semantic_tokens.data.languages import check_codes, known_language
from semantic_tokens.data.lexicons import check_lexicon
from semantic_tokens.data.miniature.options import Options
from semantic_tokens.data.reader_options import check_source
from semantic_tokens.errors import InputError
from semantic_tokens.study.experiments import ALL_LANGUAGES, Experiment, trained_tasks
from semantic_tokens.study.ingredients import fetched_files


def check_readers(config: dict[str, Any]) -> None:
    """Check the reader, the source and the options of every lexicon, corpus and dataset.

    Args:
        config: the valid configuration.

    Raises:
        InputError: names the key, says what is wrong, and how to fix it.
    """
    for name, spec in config["lexicons"].items():
        check_lexicon(name, spec["reader"], spec["options"], _source(spec))
    for name, spec in config["corpora"].items():
        check_corpus(name, spec["reader"], spec["options"], _source(spec))
    for name, spec in config["datasets"].items():
        if spec["reader"] == "miniature":
            _check_miniature(name, spec)
        else:
            has_source = _source(spec) is not None
            check_dataset(
                name, spec["reader"], spec["options"], spec["kind"], has_source=has_source
            )


def check_trainings(rows: Iterable[Experiment], config: Mapping[str, Any]) -> None:
    """Check the languages on which experiments are trained.

    Args:
        config: the valid configuration.

    Raises:
        InputError: one is unknown, not in ISO 639-3, or not among the languages that the config gives
            for the training data of one of the experiment's tasks.
    """
    for row in rows:
        if row.training == ALL_LANGUAGES:
            continue
        where = f"{config['experiments']}, line {row.line}: `training`"
        if known_language(row.training) is None:
            raise InputError(f"{where} is {row.training!r}, which is not a language")
        check_codes([row.training], where)
        for task in trained_tasks(row, config):
            dataset = config["tasks"][task]["dataset"]
            languages = _training_languages(config["datasets"][dataset]["options"])
            if languages is not None and row.training not in languages:
                raise InputError(
                    f"{where} is {row.training}, but task {task} is trained on dataset {dataset}, "
                    f"which has {', '.join(sorted(languages))}. Correct the row or the languages in "
                    f"`datasets.{dataset}.options`, or name the tasks of {row.figure} in "
                    "`tasks_by_figure`"
                )


def _training_languages(options: Mapping[str, Any]) -> Collection[str] | None:
    """The languages of the training data; None if the options name none."""
    named = (options.get(key) for key in ("train_languages", "languages", "configurations"))
    return next((languages for languages in named if languages is not None), None)


def _source(spec: dict[str, Any]) -> Path | None:
    """The archive, file or folder that an entry is read from; None if it names none."""
    files = [spec["path"]] if spec.get("path") else fetched_files(spec)
    return Path(files[0]) if files else None


def _check_miniature(name: str, spec: dict[str, Any]) -> None:
    key = f"config key datasets.{name}"
    check_source(_source(spec), "miniature", key, reads_file=True)
    try:
        Options.checked(spec["options"])
    except InputError as error:
        raise InputError(f"{key}: {error}") from error
