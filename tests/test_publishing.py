"""Download, group and publish models of the hub, with a local server in place of the hub."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import huggingface_hub
import pytest
import torch
import transformers as hf
from huggingface_hub import ModelCard
from servers import send, serving, writable_hub
from tiny import character_tokenizer, write_model

import semantic_tokens
from semantic_tokens.cli import main

REVISION, TOKEN = "0123456789" * 4, "hf_of_this_test"
VOCABULARY = len(character_tokenizer())


class Hub(NamedTuple):
    """A local server in place of the hub.

    Attributes:
        address: its address.
        repositories: the folder with one folder per ``owner/name``.
        requests: method, path and range of each request.
    """

    address: str
    repositories: Path
    requests: list[tuple[str, str, str | None]]


def save_bert(folder: Path) -> Path:
    torch.manual_seed(0)
    config = hf.BertConfig(
        vocab_size=VOCABULARY,
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=24,
        max_position_embeddings=40,
    )
    hf.BertForMaskedLM(config).save_pretrained(folder)
    character_tokenizer().save_pretrained(folder)
    return folder


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Hub]:
    repositories = tmp_path / "hub"
    repositories.mkdir()
    with serving(writable_hub(repositories, REVISION, TOKEN)) as (address, requests):
        yield Hub(address, repositories, requests)


def run(hub: Hub, home: Path, *arguments: str, token: str = TOKEN) -> Any:
    """Run Python with the hub's client directed to the server, by environment variables."""
    package = Path(semantic_tokens.__file__).parents[1]
    environment = os.environ | {
        "PYTHONPATH": str(package),
        "HF_ENDPOINT": hub.address,
        "HF_HOME": str(home),
        "HF_TOKEN": token,
        "HF_HUB_DISABLE_XET": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
    }
    for name in ("HF_HUB_OFFLINE", "HF_HUB_CACHE", "TRANSFORMERS_OFFLINE"):
        environment.pop(name, None)
    return subprocess.run(
        [sys.executable, *arguments],
        env=environment,
        cwd=home,
        capture_output=True,
        encoding="utf-8",
        check=False,
    )


@pytest.fixture
def local_hub(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Hub:
    """Direct this process's client to the server."""
    constants = huggingface_hub.constants
    monkeypatch.setattr(constants, "ENDPOINT", hub.address)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(huggingface_hub.hf_api.HfApi, "__init__", _with_endpoint(hub.address))
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    return hub


def _with_endpoint(address: str) -> Any:
    initialise = huggingface_hub.HfApi.__init__

    def init(self: Any, endpoint: str | None = None, **more: Any) -> None:
        initialise(self, endpoint=endpoint or address, **more)

    return init


OPEN = """
import sys, torch
from transformers import AutoModel, AutoModelForMaskedLM, AutoTokenizer
tokenizer = AutoTokenizer.from_pretrained(sys.argv[1])
for kind in (AutoModel, AutoModelForMaskedLM):
    model = kind.from_pretrained(sys.argv[1]).eval()
    with torch.no_grad():
        print(*model(**tokenizer("a red tomato", return_tensors="pt"))[0].flatten().tolist())
"""


def test_hub_model_is_grouped_published_and_opened(hub: Hub, tmp_path: Path) -> None:
    save_bert(hub.repositories / "somebody/encoder")
    arguments = ["-m", "semantic_tokens.cli", "group", "--model", "somebody/encoder"]
    arguments += [
        "--revision",
        REVISION,
        "--ratio",
        "0.4",
        "--output",
        str(tmp_path / "grouped"),
        "--push-to-hub",
        "me/tokens",
    ]
    result = run(hub, tmp_path, *arguments)
    assert result.returncode == 0, result.stderr
    assert result.stdout.endswith("uploaded to me/tokens\n")
    assert "HTTP Request" not in result.stderr
    local = {str(p.relative_to(tmp_path / "grouped")) for p in (tmp_path / "grouped").rglob("*")}
    published = hub.repositories / "me/tokens"
    assert {str(p.relative_to(published)) for p in published.rglob("*")} == local
    for name in local:
        assert (published / name).read_bytes() == (tmp_path / "grouped" / name).read_bytes()
    methods = {(method, path.rpartition("/")[2]) for method, path, _ in hub.requests}
    assert {("POST", "create"), ("POST", "batch"), ("POST", "main")} <= methods
    assert any(method == "PUT" and path.startswith("/large/") for method, path, _ in hub.requests)

    card = ModelCard.load(published / "README.md")
    assert card.data.base_model == "somebody/encoder"
    assert card.data.library_name == "transformers" and "semantic-tokens" in card.data.tags
    groups = round(0.4 * VOCABULARY)
    assert f"`somebody/encoder` at revision `{REVISION}` over **semantic tokens**: its {VOCABULARY} subwords share {groups}" in card.text  # fmt: skip
    assert 'AutoModel.from_pretrained("me/tokens")' in card.text
    assert "| ratio |" in card.text and "| method | kmeans |" in card.text

    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    opened = run(hub, elsewhere, "-c", OPEN, "me/tokens")
    assert opened.returncode == 0, opened.stderr
    assert opened.stdout == run(hub, elsewhere, "-c", OPEN, str(tmp_path / "grouped")).stdout


def test_a_backbone_with_groups_is_exported_and_published(
    local_hub: Hub, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = write_model(tmp_path / "model", torch.arange(VOCABULARY) // 2)
    arguments = ["export", "--model", str(files.folder), "--groups", str(files.groups)]
    arguments += ["--output", str(tmp_path / "plain"), "--push-to-hub", "me/plain"]
    assert main(arguments) == 0
    assert capsys.readouterr().out.endswith("uploaded to me/plain\n")
    published = local_hub.repositories / "me/plain"
    assert hf.AutoModelForMaskedLM.from_pretrained(published).config.vocab_size == VOCABULARY
    assert len(hf.AutoTokenizer.from_pretrained(published)) == VOCABULARY
    # The repository exists now.
    assert main([*arguments, "--overwrite"]) == 0


def one_error(stderr: str) -> str:
    assert "Traceback" not in stderr
    (line,) = [line for line in stderr.splitlines() if line.startswith("Error: ")]
    return line


@pytest.mark.parametrize(
    ("name", "token", "message"),
    [
        ("me/tokens", "hf_wrong", "does not let you write to me/tokens .*HF_TOKEN"),
        ("another/tokens", TOKEN, "does not let you write to another/tokens"),
        ("a/b/c", TOKEN, "does not let you write to a/b/c .*OWNER/NAME"),
        ("my tokens", TOKEN, "does not let you write to my tokens"),
    ],
)
def test_missing_permission_to_publish_is_reported_before_grouping(
    local_hub: Hub,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    name: str,
    token: str,
    message: str,
) -> None:
    def no_work(*_: Any, **__: Any) -> None:
        raise AssertionError("the grouping started")

    monkeypatch.setattr("semantic_tokens.reuse.kmeans_groups", no_work)
    monkeypatch.setenv("HF_TOKEN", token)
    model = save_bert(tmp_path / "original")
    arguments = ["group", "--model", str(model), "--ratio", "0.4", "--push-to-hub", name]
    assert main([*arguments, "--output", str(tmp_path / "grouped")]) == 1
    assert re.search(message, one_error(capsys.readouterr().err))
    assert not (tmp_path / "grouped").exists()
    assert not [path for path in local_hub.repositories.rglob("*") if path.is_dir()]


def test_a_model_that_cannot_be_grouped_leaves_nothing_on_the_hub(
    local_hub: Hub, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = save_bert(tmp_path / "original")
    arguments = ["group", "--model", str(model), "--push-to-hub", "me/tokens"]
    for more in (["--dimension", "99"], ["--model", str(tmp_path / "missing")]):
        assert main([*arguments, "--output", str(tmp_path / "grouped"), *more]) == 1
        one_error(capsys.readouterr().err)
    assert local_hub.requests == []


def test_failed_upload_keeps_the_model_and_names_the_retry_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "hub").mkdir()
    answer = writable_hub(tmp_path / "hub", REVISION, TOKEN)

    def refuse_commits(handler: Any) -> None:
        if "/commit/" in handler.path:
            handler.rfile.read(int(handler.headers["Content-Length"]))
            send(handler, 413, b'{"error": "too much"}')
        else:
            answer(handler)

    model = save_bert(tmp_path / "original")
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_DISABLE_XET", True)
    with serving(refuse_commits) as (address, _), monkeypatch.context() as patch:
        patch.setattr(huggingface_hub.hf_api.HfApi, "__init__", _with_endpoint(address))
        arguments = ["group", "--model", str(model), "--ratio", "0.4", "--push-to-hub", "me/tokens"]
        assert main([*arguments, "--output", str(tmp_path / "grouped")]) == 1
    error = one_error(capsys.readouterr().err)
    assert f"{tmp_path / 'grouped'} is complete, but could not be uploaded to me/tokens" in error
    assert f"hf upload me/tokens {tmp_path / 'grouped'}" in error
    assert hf.AutoModel.from_pretrained(tmp_path / "grouped").config.vocab_size == VOCABULARY


def test_unreachable_hub_is_reported_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    model = save_bert(tmp_path / "original")
    with serving(lambda handler: send(handler, 500)) as (address, _):
        pass  # the server is closed
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    monkeypatch.setattr(huggingface_hub.hf_api.HfApi, "__init__", _with_endpoint(address))
    arguments = ["group", "--model", str(model), "--ratio", "0.4", "--push-to-hub", "me/tokens"]
    assert main([*arguments, "--output", str(tmp_path / "grouped")]) == 1
    assert "the hub cannot be reached to create me/tokens" in one_error(capsys.readouterr().err)
    assert not (tmp_path / "grouped").exists()
