"""The JSON and JSON-lines files of the workflow."""

from pathlib import Path

import pytest

from semantic_tokens.errors import InputError
from semantic_tokens.json_files import read_json, read_jsonl, write_json, write_jsonl


def test_jsonl_records_of_any_script_are_read_back(tmp_path: Path) -> None:
    records = [{"text": "番茄\u2028\n"}, {"text": "ቲማቲም", "relevant": {"a": 1}}, {}]
    assert write_jsonl(iter(records), tmp_path / "x.jsonl") == 3
    assert list(read_jsonl(tmp_path / "x.jsonl")) == records
    assert "番茄" in (tmp_path / "x.jsonl").read_text(encoding="utf-8")


def test_failed_jsonl_write_leaves_no_file(tmp_path: Path) -> None:
    with pytest.raises(TypeError):
        write_jsonl([{"fine": 1}, {"not JSON": {1}}], tmp_path / "x.jsonl")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("line", ["{", "", "[1]", "7"])
def test_damaged_jsonl_line_is_named_in_the_error(tmp_path: Path, line: str) -> None:
    (tmp_path / "x.jsonl").write_text(f'{{"a": 1}}\n{line}\n', encoding="utf-8")
    with pytest.raises(InputError, match=r"x\.jsonl, line 2: not (a )?JSON.*delete the file"):
        list(read_jsonl(tmp_path / "x.jsonl"))


def test_json_is_read_back_and_independent_of_key_order(tmp_path: Path) -> None:
    write_json({"b": [1.5, None], "a": "番茄"}, tmp_path / "1.json")
    write_json({"a": "番茄", "b": [1.5, None]}, tmp_path / "2.json")
    assert read_json(tmp_path / "1.json") == {"a": "番茄", "b": [1.5, None]}
    assert (tmp_path / "1.json").read_bytes() == (tmp_path / "2.json").read_bytes()


def test_damaged_json_is_named_in_the_error(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text('{"a": 1', encoding="utf-8")
    with pytest.raises(InputError, match=r"x\.json is not JSON .*delete it"):
        read_json(tmp_path / "x.json")
