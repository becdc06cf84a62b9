"""A semantic-token version of a user's model: the function, and the command."""

import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from huggingface_hub import ModelCard
from safetensors.torch import load_file
from tiny import character_tokenizer

from semantic_tokens import reuse
from semantic_tokens.cli import main
from semantic_tokens.errors import InputError
from semantic_tokens.reuse import semantic_version
from semantic_tokens.tokenization.vocabulary import open_tokenizer, special_ids, unigram_tokenizer

TEXTS = ["tomato is red", "abc 番茄 zyx"]
SHAPE = {
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 24,
    "max_position_embeddings": 40,
    "initializer_range": 0.3,
}


def own_tokenizer(family: str) -> transformers.PreTrainedTokenizerFast:
    if family == "bert":
        return character_tokenizer()
    pieces = [(piece, 0.0) for piece in ("<s>", "<pad>", "</s>", "<unk>")]
    letters = "abcdefghijklmnopqrstuvwxyz番茄"
    pieces += [("▁", -2.0), *((letter, -3.0) for letter in letters)]
    pieces += [(f"▁{letter}", -4.0) for letter in letters] + [("▁tomato", -5.0), ("<mask>", 0.0)]
    return unigram_tokenizer(pieces)


@pytest.fixture(params=["bert", "xlm-roberta"])
def model(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A model that was trained and saved with transformers, with its tokenizer."""
    torch.manual_seed(0)
    tokenizer = own_tokenizer(request.param)
    configs = {"bert": transformers.BertConfig, "xlm-roberta": transformers.XLMRobertaConfig}
    config = configs[request.param](
        vocab_size=len(tokenizer), pad_token_id=tokenizer.pad_token_id, **SHAPE
    )
    folder = tmp_path / "original"
    own = transformers.AutoModelForMaskedLM.from_config(config)
    torch.nn.init.normal_(own.get_output_embeddings().bias)
    own.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def test_grouped_model_equals_the_original_with_averaged_rows(model: Path, tmp_path: Path) -> None:
    result = semantic_version(model, tmp_path / "grouped", ratio=0.4)
    tokenizer = transformers.AutoTokenizer.from_pretrained(result.folder)
    original_tokenizer = transformers.AutoTokenizer.from_pretrained(model)
    inputs = tokenizer(TEXTS, return_tensors="pt", padding=True)
    expected = original_tokenizer(TEXTS, return_tensors="pt", padding=True)
    assert inputs["input_ids"].tolist() == expected["input_ids"].tolist()
    for name in ("tokenizer.json", "tokenizer_config.json"):
        assert (result.folder / name).read_bytes() == (model / name).read_bytes()

    # As in the paper, each row is the mean of its group, and nothing else changes.
    original = transformers.AutoModelForMaskedLM.from_pretrained(model).eval()
    group_of = load_file(result.folder / "semantic_tokens.safetensors")["token_to_group"]
    assert len(group_of) == result.subwords == len(tokenizer)
    assert len(group_of.unique()) == result.groups == round(0.4 * result.subwords)
    rows = original.get_input_embeddings().weight.data
    bias = original.get_output_embeddings().bias.data
    for values in (rows, bias):
        means = {g: values[group_of == g].mean(dim=0) for g in group_of.unique().tolist()}
        values.copy_(torch.stack([means[g] for g in group_of.tolist()]))
    grouped = transformers.AutoModelForMaskedLM.from_pretrained(result.folder).eval()
    real_tokens = inputs["attention_mask"] == 1
    torch.testing.assert_close(
        grouped(**inputs).logits[real_tokens],
        original(**inputs).logits[real_tokens],
        atol=1e-4,
        rtol=1e-4,
    )
    bare = transformers.AutoModel.from_pretrained(result.folder).eval()
    states = bare(**inputs).last_hidden_state
    base = original.base_model(**inputs).last_hidden_state
    torch.testing.assert_close(states[real_tokens], base[real_tokens], atol=1e-4, rtol=1e-4)


def test_special_tokens_are_singletons_and_the_members_are_listed(
    model: Path, tmp_path: Path
) -> None:
    result = semantic_version(model, tmp_path / "grouped", ratio=0.3, dimension=8)
    group_of = load_file(result.folder / "semantic_tokens.safetensors")["token_to_group"].tolist()
    sizes = Counter(group_of)
    for token in special_ids(open_tokenizer(model)):
        assert sizes[group_of[token]] == 1
    header, *lines = (
        (result.folder / "semantic_tokens.tsv").read_text(encoding="utf-8").splitlines()
    )
    assert header.split("\t") == ["group", "subwords", "members"]
    listed = {int(line.split("\t")[0]): int(line.split("\t")[1]) for line in lines}
    assert listed == {group: size for group, size in sizes.items() if size > 1}
    weights = transformers.AutoModel.from_pretrained(result.folder).get_input_embeddings().weight
    assert not weights[:, 8:].any() and weights[:, :8].any()


def test_lexicon_groups_connected_words(model: Path, tmp_path: Path) -> None:
    lexicon = tmp_path / "mine.tsv"
    rows = ["concept\tlanguage\tword\tsource", "1\teng\ta\tme", "1\tdeu\tb\tme", "2\teng\tx\tme", "2\tdeu\ty\tme"]  # fmt: skip
    lexicon.write_text("\n".join(rows) + "\n", encoding="utf-8")
    result = semantic_version(model, tmp_path / "grouped", method="lexicon", lexicons=[lexicon])
    assert result.groups == result.subwords - 2
    steps = json.loads((result.folder / "semantic_tokens.json").read_text(encoding="utf-8"))
    assert set(steps) == {"model", "revision", "method", "dimension", "lexicons"}
    with pytest.raises(InputError, match="--ratio is for K-Means"):
        semantic_version(model, tmp_path / "other", method="lexicon", lexicons=[lexicon], ratio=0.2)
    aligned = semantic_version(model, tmp_path / "aligned", ratio=0.5, lexicons=[lexicon])
    plain = semantic_version(model, tmp_path / "plain", ratio=0.5)
    weights = [load_file(m.folder / "model.safetensors") for m in (aligned, plain)]
    name = next(key for key in weights[0] if key.endswith("word_embeddings.weight"))
    assert not torch.equal(weights[0][name], weights[1][name])


def test_command_with_the_same_seed_gives_identical_files(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = ("made-once", "made-again")
    for name in names:
        arguments = ["group", "--model", str(model), "--ratio", "0.4", "--output", str(tmp_path / name)]  # fmt: skip
        assert main(arguments) == 0
    output = capsys.readouterr()
    assert "semantic tokens" in output.out
    assert "K-Means" in output.err  # its progress
    steps = json.loads((tmp_path / names[0] / "semantic_tokens.json").read_text(encoding="utf-8"))
    assert (steps["ratio"], steps["metric"], steps["seed"]) == (0.4, "cosine", 1)
    card = ModelCard.load(tmp_path / names[0] / "README.md")
    assert card.data.base_model is None  # a folder is no name on the hub
    first, second = (
        # The card names the folder.
        {p.name: p.read_bytes().replace(name.encode(), b"") for p in (tmp_path / name).iterdir()}
        for name in names
    )
    assert first == second
    assert main([*arguments, "--overwrite"]) == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--ratio", "0"], "the ratio is 0 and must be above 0"),
        (["--ratio", "0.01"], "take a larger ratio"),
        (["--max-iterations", "0"], "--max-iterations is 0 and must be at least 1"),
        (["--max-iterations", "-3"], "--max-iterations is -3 and must be at least 1"),
        (["--seed", "9" * 23], f"--seed is {'9' * 23} and must be within 0..4294967295"),
        (["--seed", "-1"], "--seed is -1 and must be within 0..4294967295"),
        (["--revision", "abc"], "--revision is for a model on the hub, and /"),
        (["--dimension", "99"], "dimension 99 is outside 1..16"),
        (["--lexicon", "missing.tsv"], "there is no lexicon missing.tsv"),
        (["--method", "lexicon"], "name at least one"),
        (["--model", "/no/such/model"], "there is no folder /no/such/model"),
        (["--output", "."], "is the folder that you are in"),
        (["--output", "../other"], "is not a semantic-token model"),
    ],
)  # fmt: skip
def test_command_error_names_the_fix_in_one_line(
    model: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    message: str,
) -> None:
    work = tmp_path / "work"
    work.mkdir()
    (tmp_path / "other").mkdir()
    for folder in (work, tmp_path / "other"):
        (folder / "thesis.txt").write_text("years of work")
    monkeypatch.chdir(work)
    base = ["group", "--model", str(model), "--output", str(tmp_path / "new"), "--overwrite"]
    assert main(base + arguments) == 1
    stderr = capsys.readouterr().err
    assert "Traceback" not in stderr
    assert len([line for line in stderr.splitlines() if line.startswith("Error: ")]) == 1
    assert message in stderr
    for folder in (work, tmp_path / "other"):
        assert (folder / "thesis.txt").read_text() == "years of work"
        assert len([*folder.iterdir()]) == 1
    assert not (tmp_path / "new").exists()


def test_interrupted_command_keeps_the_old_output(
    model: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    output = tmp_path / "grouped"
    arguments = ["group", "--model", str(model), "--ratio", "0.5", "--output", str(output)]
    assert main(arguments) == 0
    before = {path.name: path.read_bytes() for path in output.iterdir() if path.is_file()}
    capsys.readouterr()

    def interrupted(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(reuse, "write_card", interrupted)
    assert main([*arguments, "--overwrite"]) == 130
    assert capsys.readouterr().err.endswith(
        "Stopped. An unfinished output is not kept, and does not replace an old one.\n"
    )
    assert {path.name: path.read_bytes() for path in output.iterdir() if path.is_file()} == before
    assert list(tmp_path.glob(".*")) == []


def test_decoder_or_pickled_weights_are_refused(model: Path, tmp_path: Path) -> None:
    (model / "model.safetensors").rename(model / "pytorch_model.bin")
    with pytest.raises(InputError, match=r"only in pytorch_model\.bin"):
        semantic_version(model, tmp_path / "grouped")
    transformers.GPT2Config(n_layer=1, n_embd=8, n_head=1).save_pretrained(model)
    with pytest.raises(InputError, match=r"contains a decoder \(gpt2\)"):
        semantic_version(model, tmp_path / "grouped")
    assert [path.name for path in tmp_path.iterdir()] == ["original"]


def test_pip_installs_the_command_and_the_entire_package(model: Path, tmp_path: Path) -> None:
    """pip installs a copy of the repository into a separate folder."""
    root = Path(__file__).parents[1]
    source, target = tmp_path / "source", tmp_path / "installed"
    ignored = shutil.ignore_patterns("__pycache__", "*.egg-info")
    shutil.copytree(root / "workflow", source / "workflow", ignore=ignored)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(root / name, source)
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*pip, "--no-index", "--target", target, source], check=True)
    package = source / "workflow/semantic_tokens"
    files = {p.relative_to(package) for p in package.rglob("*") if p.is_file()}
    installed = target / "semantic_tokens"
    assert {f for f in files if "__pycache__" not in f.parts} == {
        path.relative_to(installed)
        for path in installed.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    result = subprocess.run(
        [target / "bin/semantic-tokens", "group", "--model", model, "--ratio", "0.4", "--output", tmp_path / "grouped"],
        env=os.environ | {"PYTHONPATH": str(target)},
        cwd=tmp_path,
        capture_output=True,
        encoding="utf-8",
        check=False,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    assert "semantic tokens" in result.stdout
    assert (tmp_path / "grouped/model.safetensors").is_file()
