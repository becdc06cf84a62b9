"""The schemas describe every key, and the page of keys is generated from them."""

import dataclasses
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from semantic_tokens.errors import InputError
from semantic_tokens.study.config_reference import keys_of, shown, table, updated, values_of
from semantic_tokens.tasks.pair_classification import PairClassification
from semantic_tokens.tasks.question_answering import QuestionAnswering
from semantic_tokens.tasks.reranking import Reranking
from semantic_tokens.tasks.retrieval import Retrieval
from semantic_tokens.tasks.token_classification import TokenClassification
from semantic_tokens.training import TrainingOptions

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "config/README.md"
SCHEMAS = {
    name: json.loads((ROOT / f"config/schemas/{name}.schema.json").read_text(encoding="utf-8"))
    for name in ("config", "experiments")
}


@pytest.mark.parametrize("name", SCHEMAS)
def test_every_key_is_described(name: str) -> None:
    undescribed = [key.path for key in keys_of(SCHEMAS[name]) if not key.schema.get("description")]
    assert not undescribed
    for key in keys_of(SCHEMAS[name]):
        assert key.schema["description"][0].isupper() or key.schema["description"][0] in "`0123"
        assert key.schema["description"].endswith((".", "…"))


def test_config_page_is_up_to_date() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert text == updated(text, PAGE.parent), "the schemas have changed: run `make pages`"


def test_config_page_lists_every_key_once() -> None:
    """Trainings of tasks and of pretraining share one table."""
    lines = PAGE.read_text(encoding="utf-8").splitlines()
    listed = [line.split("schema.json: ")[1] for line in lines if "config.schema.json: " in line]
    found = [
        (key.path, key.only)
        for names in listed
        for key in shown(names.removesuffix(" -->"), SCHEMAS["config"])[0]
    ]
    assert len(found) == len(set(found))
    sections = {"pretraining", "tasks", "tasks.*", "tasks.*.options", "tasks.*.training"}
    expected = {
        (key.path, key.only)
        for key in keys_of(SCHEMAS["config"])
        if key.path not in sections and not key.path.startswith("pretraining.training")
    }
    assert set(found) == expected


def test_training_options_match_the_schema() -> None:
    options = SCHEMAS["config"]["$defs"]["training"]["properties"]
    fields = {field.name: field for field in dataclasses.fields(TrainingOptions)}
    assert options.keys() == fields.keys()
    assert {name for name in options if "default" not in options[name]} == {
        *("learning_rate", "batch_size"),
        "epochs",  # which pretraining does not have
    }
    for name, part in options.items():
        if "default" in part:
            default = fields[name].default
            assert part["default"] == (list(default) if isinstance(default, tuple) else default)


@pytest.mark.parametrize(
    ("kind", "task"),
    [
        ("token_classification", TokenClassification),
        ("question_answering", QuestionAnswering),
        ("pair_classification", PairClassification),
        ("reranking", Reranking),
        ("retrieval", Retrieval),
    ],
)
def test_task_options_match_the_schema(kind: str, task: type) -> None:
    import inspect

    files = {"tokenized", "tokenizer", "dataset", "candidates", "languages", "evaluation_split"}
    taken = inspect.signature(task).parameters
    options = SCHEMAS["config"]["$defs"][f"options_of_{kind}"]["properties"]
    assert {name: part["default"] for name, part in options.items()} == {
        name: parameter.default for name, parameter in taken.items() if name not in files
    }


SCHEMA: dict[str, Any] = {
    "required": ["first"],
    "properties": {
        "first": {"type": "string", "description": "A | B."},
        "named": {
            "description": "By name.",
            "additionalProperties": {"description": "One.", "$ref": "#/$defs/one"},
        },
    },
    "$defs": {
        "one": {
            "properties": {
                "kind": {"enum": ["a", "b", False]},
                "options": {"type": "object", "default": {}},
            },
            "allOf": [
                {
                    "if": {"properties": {"kind": {"const": kind}}},
                    "then": {"properties": {"options": {"$ref": f"#/$defs/{kind}"}}},
                }
                for kind in ("a", "b")
            ],
        },
        "a": {"properties": {"depth": {"type": "integer", "default": 3}}},
        "b": {"properties": {"depth": {"type": "integer", "default": 3}}},
    },
}


def test_keys_are_found_in_entries_references_and_kinds() -> None:
    assert [(key.path, key.only, key.is_required) for key in keys_of(SCHEMA)] == [
        ("first", "", True),
        ("named", "", False),
        ("named.*", "", False),
        ("named.*.kind", "", False),
        ("named.*.options", "", False),
        ("named.*.options.depth", "a", False),
        ("named.*.options.depth", "b", False),
    ]


def test_table_has_one_row_for_an_option_of_two_kinds() -> None:
    keys, hidden = shown("named.*.options.", SCHEMA)
    assert table(keys, hidden) == (
        "| key | kind | values | description | default |\n"
        "| --- | --- | --- | --- | --- |\n"
        "| `depth` | a, b | integer | | `3` |\n"
    )
    assert table(keys_of(SCHEMA)[:1]).endswith("| `first` | text | A \\| B. | required |\n")


@pytest.mark.parametrize(
    ("part", "expected"),
    [
        ({"type": "number", "exclusiveMinimum": 0, "maximum": 0.1}, "number above 0 and at most 0.1"),
        ({"type": "number", "minimum": -1, "exclusiveMaximum": 1}, "number from -1 to below 1"),
        ({"type": "integer", "minimum": 8, "maximum": 99}, "integer from 8 to 99"),
        ({"type": ["number", "null"], "exclusiveMinimum": 0}, "number above 0; or null"),
        ({"type": "array", "items": {"type": "integer", "minimum": 0}, "minItems": 1},
         "list of integers, 0 or more; not empty"),
        ({"type": "array", "items": {"type": "number"}, "minItems": 2, "maxItems": 2},
         "list of 2: numbers"),
        ({"enum": ["no", False, "auto"]}, "`no`, `auto`"),
        ({"type": "object"}, ""),
    ],
)  # fmt: skip
def test_allowed_values_are_written_in_words(part: dict[str, Any], expected: str) -> None:
    assert values_of(part) == expected


def test_comment_with_an_unknown_schema_or_key_is_refused(tmp_path: Path) -> None:
    comment = "<!-- keys of s.json{} -->\n<!-- end of keys -->\n"
    with pytest.raises(InputError, match="no schema"):
        updated(comment.format(""), tmp_path)
    (tmp_path / "s.json").write_text(json.dumps(SCHEMA), encoding="utf-8")
    assert "| `first` | | text |" in updated(comment.format(""), tmp_path)
    with pytest.raises(InputError, match="has no key second; correct"):
        updated(comment.format(": second"), tmp_path)


def test_defaults_are_those_of_the_configuration_that_is_always_read(tmp_path: Path) -> None:
    comment = "<!-- keys of s.json -->\n<!-- end of keys -->\n"
    (tmp_path / "s.json").write_text(json.dumps(SCHEMA), encoding="utf-8")
    (tmp_path / "config.yaml").write_text(
        "first: set\nnamed: {mine: {kind: a, options: {depth: 7}}}\n", encoding="utf-8"
    )
    page = updated(comment, tmp_path)
    assert "| `first` | | text | A \\| B. | `set` |" in page
    assert "| a, b | integer | | `3` |" in page


def test_command_writes_the_page_and_repeating_it_changes_nothing(tmp_path: Path) -> None:
    page = tmp_path / "README.md"
    page.write_text(
        "Keys:\n<!-- keys of s.json: first -->\n<!-- end of keys -->\n", encoding="utf-8"
    )
    (tmp_path / "s.json").write_text(json.dumps(SCHEMA), encoding="utf-8")
    command = [sys.executable, "-m", "semantic_tokens.study.config_reference", str(page)]
    for _ in range(2):
        subprocess.run(command, check=True, cwd=ROOT / "workflow")
        once = page.read_text(encoding="utf-8")
        assert once.count("| `first` |") == 1 and once.startswith("Keys:")
