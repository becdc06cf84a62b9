"""Published checkpoints and names of outputs that caused problems in similar tools, with the command
``group`` and as backbones of the workflow."""

import json
import logging
import os
import re
import runpy
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import huggingface_hub
import pytest
import torch
import transformers as hf
from huggingface_hub.utils import filter_repo_objects
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from tiny import (
    SPECIAL,
    byte_level_tokenizer,
    sentencepiece_tokenizer,
    with_bert_special_tokens,
)
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

from semantic_tokens.cli import main
from semantic_tokens.errors import InputError
from semantic_tokens.grouping.groups import Groups
from semantic_tokens.modeling.backbones import derive_backbone
from semantic_tokens.modeling.encoders import check_length
from semantic_tokens.modeling.loading import load_model
from semantic_tokens.reuse import GROUPS, Made, export_model, semantic_version
from semantic_tokens.tokenization.vocabulary import (
    first_k_ids,
    load_tokenizer,
    open_tokenizer,
    special_ids,
    truncate_tokenizer,
)

SMALL = {
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 32,
}
WORDS = "house haus maison casa tree baum arbre arbol red rot rouge rojo sun sonne soleil sol"


def wordpiece() -> hf.PreTrainedTokenizerFast:
    """BERT's tokenizer, with ``[unusedN]``."""
    letters = "abcdefghijklmnopqrstuvwxyz"
    pieces = ["[PAD]", "[unused1]", "[unused2]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    pieces += [*letters, *(f"##{letter}" for letter in letters), *WORDS.split()]
    backend = Tokenizer(models.WordPiece({p: i for i, p in enumerate(pieces)}, unk_token="[UNK]"))
    backend.normalizer = normalizers.BertNormalizer(lowercase=False)
    backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    backend.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", 4), ("[SEP]", 5)],
    )
    backend.add_special_tokens(SPECIAL)
    return with_bert_special_tokens(backend)


def bert(folder: Path, model_class: Any = hf.BertForMaskedLM, **change: Any) -> Path:
    torch.manual_seed(0)
    tokenizer = wordpiece()
    config = hf.BertConfig(vocab_size=len(tokenizer), max_position_embeddings=64, **SMALL, **change)
    model_class(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def roberta(folder: Path, model_class: Any, tokenizer: Any, **change: Any) -> Path:
    torch.manual_seed(0)
    config = model_class.config_class(
        vocab_size=len(tokenizer),
        max_position_embeddings=66,
        type_vocab_size=1,
        pad_token_id=1,
        **SMALL,
        **change,
    )
    model_class(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def edit(path: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    data = json.loads(path.read_text(encoding="utf-8"))
    change(data)
    path.write_text(json.dumps(data, ensure_ascii=False), encoding="utf-8")


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    return tmp_path / "original"


def grouped(model: Path, ratio: float | None = 0.5, **options: Any) -> tuple[Made, torch.Tensor]:
    """A semantic-token version next to the model, and its ``token_to_group``."""
    result = semantic_version(model, model.parent / "grouped", ratio=ratio, **options)
    return result, Groups.load(result.folder / GROUPS).token_to_group


def backbone_of(model: Path, **spec: Any) -> Path:
    folder = model.parent / "backbone"
    derive_backbone({"source": "checkpoint", "path": str(model)} | spec, folder)
    return folder


def weights(folder: Path) -> dict[str, torch.Tensor]:
    found: dict[str, torch.Tensor] = {}
    for file in sorted(folder.glob("*.safetensors")):
        if file.name != GROUPS:
            found |= load_file(file)
    return found


def assert_all_but_the_embeddings_are_equal(
    before: dict[str, torch.Tensor], after: dict[str, torch.Tensor], *of_subwords: str
) -> None:
    assert before.keys() == after.keys()
    for name, tensor in before.items():
        assert after[name].dtype == tensor.dtype and after[name].shape == tensor.shape
        changed = any(name.endswith(part) for part in of_subwords)
        assert torch.equal(after[name], tensor) != changed, name


# A tokenizer.json without the type of its model


@pytest.mark.parametrize("kind", ["wordpiece", "unigram", "bpe"])
def test_tokenizer_json_without_a_model_type_is_read(checkpoint: Path, kind: str) -> None:
    if kind == "wordpiece":
        bert(checkpoint)
    elif kind == "unigram":
        roberta(checkpoint, hf.XLMRobertaForMaskedLM, sentencepiece_tokenizer())
    else:
        roberta(checkpoint, hf.RobertaForMaskedLM, byte_level_tokenizer())
    expected = open_tokenizer(checkpoint)
    edit(checkpoint / "tokenizer.json", lambda data: data["model"].pop("type"))
    result, token_to_group = grouped(checkpoint)
    assert len(token_to_group) == result.subwords == len(expected)
    file = (result.folder / "tokenizer.json").read_bytes()
    assert file == (checkpoint / "tokenizer.json").read_bytes()
    backbone = backbone_of(checkpoint)
    for tokenizer in (open_tokenizer(result.folder), load_tokenizer(backbone)):
        assert tokenizer("red house, baum").input_ids == expected("red house, baum").input_ids
        assert special_ids(tokenizer, with_unused=True) == special_ids(expected, with_unused=True)
        kept = first_k_ids(tokenizer, len(expected) - 5)
        assert kept == first_k_ids(expected, len(expected) - 5)
        assert set(truncate_tokenizer(tokenizer, kept)("red house").input_ids) <= set(kept)


# Outputs


@pytest.fixture
def workdir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory next to a model."""
    bert(tmp_path / "original")
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "here"


def group(output: str, *more: str, model: str = "../original") -> int:
    return main(["group", "--model", model, "--output", output, "--ratio", "0.5", *more])


def regroup(model: str, output: str, *more: str) -> int:
    return group(output, *more, model=model)


def export(model: str, output: str, *more: str) -> int:
    return main(["export", "--model", model, "--output", output, *more])


def is_complete_model(folder: Path) -> bool:
    names = {"config.json", "model.safetensors", "tokenizer.json", GROUPS, "README.md"}
    return names <= {path.name for path in folder.iterdir()}


def contents_of(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.mark.parametrize(
    ("output", "expected_folder"),
    [
        ("new", "here/new"),
        ("new/", "here/new"),
        ("not/there/yet", "here/not/there/yet"),
        ("../up", "up"),
        ("../here/../aside", "aside"),
        ("to-empty", "empty"),
        ("dangling", "to-come"),
        ("dangling-deep", "not/there/either"),
        ("../original/semantic", "original/semantic"),
        ("--begins-with-a-dash", "here/--begins-with-a-dash"),
        ("番茄 tomate", "here/番茄 tomate"),
    ],
)
def test_output_is_written_to_the_named_folder(
    workdir: Path, output: str, expected_folder: str, capsys: pytest.CaptureFixture[str]
) -> None:
    top = workdir.parent
    (top / "empty").mkdir()
    for link, target in (
        ("to-empty", "empty"), ("dangling", "to-come"), ("dangling-deep", "not/there/either")
    ):  # fmt: skip
        (workdir / link).symlink_to(top / target, target_is_directory=True)
    before = contents_of(top / "original")
    arguments = ["group", "--model", "../original", f"--output={output}", "--ratio", "0.5"]
    for again in ([], ["--overwrite"]):
        assert main([*arguments, *again]) == 0, capsys.readouterr().err
        assert is_complete_model(top / expected_folder)
        assert hf.AutoModel.from_pretrained(top / expected_folder).config.vocab_size == 75
    # Earlier files and links are unchanged, and no incomplete files remain.
    assert {link.name for link in workdir.iterdir() if link.is_symlink()} == {
        "to-empty", "dangling", "dangling-deep"
    }  # fmt: skip
    assert {p: c for p, c in contents_of(top / "original").items() if p in before} == before
    assert not [path for path in top.rglob(".*") if not path.name.startswith(".cache")]
    assert not (top / expected_folder / "semantic").exists()  # --overwrite replaces the old result


def one_error(stderr: str) -> str:
    assert "Traceback" not in stderr
    (line,) = [line for line in stderr.splitlines() if line.startswith("Error: ")]
    assert len(line) < 600
    return line


@pytest.mark.parametrize(
    ("output", "message"),
    [
        (".", "is the folder that you are in"),
        ("..", "is the folder that you are in, or one above"),
        ("./", "is the folder that you are in"),
        ("../here", "is the folder that you are in"),
        ("../original", "is not a semantic-token model"),
        ("file", "file is a file; name a folder"),
        ("file/below", "here/file, which is a file; name another place"),
        ("file/further/below", "here/file, which is a file; name another place"),
        ("to-file", "to-file is a file; name a folder"),
        ("loop", "name another place"),
        ("loop/below", "name another place"),
        ("x" * 300, "name another place"),
        ("/proc/semantic", "cannot be written in /proc"),
        ("/proc/semantic/tokens", "cannot be written in /proc"),
        ("/proc", "is a mount point"),
    ],
)
@pytest.mark.parametrize("more", [[], ["--overwrite"]])
def test_unusable_output_is_reported_before_grouping(
    workdir: Path,
    output: str,
    message: str,
    more: list[str],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if output.startswith("/proc") and not Path("/proc/self").exists():
        pytest.skip("needs Linux's /proc")
    (workdir / "file").write_text("years of work")
    (workdir / "to-file").symlink_to(workdir / "file")
    (workdir / "loop").symlink_to(workdir / "loop")
    before = contents_of(workdir.parent)

    def no_work(*_: Any, **__: Any) -> None:
        raise AssertionError("the grouping started")

    monkeypatch.setattr("semantic_tokens.reuse.kmeans_groups", no_work)
    assert group(output, *more) == 1
    assert message in one_error(capsys.readouterr().err)
    assert contents_of(workdir.parent) == before


def test_folder_without_permission_is_reported_before_grouping(
    workdir: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The test replaces the system's answer, since root may write everywhere."""

    def refuse(*_: Any, **__: Any) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(tempfile, "mkdtemp", refuse)
    assert group("new") == 1
    error = one_error(capsys.readouterr().err)
    assert f"cannot be written in {workdir} (Permission denied)" in error


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may do all")
def test_read_only_folder_is_reported(workdir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    locked = workdir / "locked"
    locked.mkdir(mode=0o500)
    assert group("locked/new") == 1
    assert "cannot be written" in one_error(capsys.readouterr().err)


def test_an_old_model_is_replaced_only_by_a_complete_new_one(
    workdir: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert group("model") == 0
    before = contents_of(workdir / "model")
    assert group("model") == 1
    assert "exists; name another folder, or pass --overwrite" in one_error(capsys.readouterr().err)
    assert group("model", "--overwrite", "--ratio", "0.01") == 1
    assert "take a larger ratio" in one_error(capsys.readouterr().err)

    def full(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("semantic_tokens.reuse.write_card", full)
        assert group("model", "--overwrite") == 1
    error = one_error(capsys.readouterr().err)
    assert f"model cannot be written: the disk of {workdir} is full" in error
    assert contents_of(workdir / "model") == before
    assert [path.name for path in workdir.iterdir()] == ["model"]
    # The command also refuses from inside the model's folder.
    monkeypatch.chdir(workdir / "model")
    assert group(".", "--overwrite", model="../../original") == 1
    assert group("../model", "--overwrite", model="../../original") == 1
    assert contents_of(workdir / "model") == before


def test_folder_that_contains_the_model_is_not_replaced(
    workdir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert group("model") == 0
    shutil.copytree(workdir.parent / "original", workdir / "model/inner")
    before = contents_of(workdir)
    for model in ("model", "model/inner"):
        assert group("model", "--overwrite", model=model) == 1
        expected = (
            f"the output {workdir / 'model'} contains {workdir / model}, which this command reads"
        )
        assert expected in one_error(capsys.readouterr().err)
        assert export(model, "model", "--overwrite") == 1
        assert expected in one_error(capsys.readouterr().err)
    assert contents_of(workdir) == before


@pytest.mark.parametrize("kind", ["linked folder", "linked weights", "groups", "lexicon"])
def test_folder_that_contains_another_input_is_not_replaced(
    workdir: Path, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert group("model") == 0
    original = workdir.parent / "original"
    read = workdir / "model" / ("inner" if kind == "linked folder" else "input")
    if kind == "linked folder":
        shutil.copytree(original, read)
        (workdir / "link").symlink_to(read)
        ended = [make("link", "model", "--overwrite") for make in (export, regroup)]
    elif kind == "linked weights":
        shutil.copytree(original, workdir / "linked")
        (workdir / "linked/model.safetensors").rename(read)
        (workdir / "linked/model.safetensors").symlink_to(read)
        ended = [make("linked", "model", "--overwrite") for make in (export, regroup)]
    else:
        read.write_text("years of work")
        make, option = (export, "--groups") if kind == "groups" else (regroup, "--lexicon")
        ended = [make("../original", "model", option, str(read), "--overwrite")]
    assert set(ended) == {1}
    errors = [line for line in capsys.readouterr().err.splitlines() if line.startswith("Error: ")]
    assert len(errors) == len(ended)
    assert all(f"contains {read}, which this command reads" in line for line in errors)
    assert read.exists()


def test_an_export_is_replaced_only_by_a_complete_new_one(
    workdir: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert export("../original", "model") == 0
    before = contents_of(workdir / "model")

    def full(*_: Any, **__: Any) -> None:
        raise SafetensorError("I/O error: No space left on device (os error 28)")

    with monkeypatch.context() as patch:
        patch.setattr("semantic_tokens.modeling.export.write_card", full)
        assert export("../original", "model", "--overwrite") == 1
    assert f"the disk of {workdir} is full" in one_error(capsys.readouterr().err)
    assert contents_of(workdir / "model") == before
    assert [path.name for path in workdir.iterdir()] == ["model"]
    assert export("../original", "model", "--overwrite") == 0


def test_a_full_disk_of_the_cache_is_named(
    workdir: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", full)
    assert group("new", model="somebody/encoder") == 1
    error = one_error(capsys.readouterr().err)
    assert re.search(r"the model somebody/encoder: the disk of .* is full .*HF_HOME", error)


def test_a_read_only_model_makes_a_writable_result(workdir: Path) -> None:
    original = workdir.parent / "original"
    (original / "1_Pooling").mkdir()
    (original / "1_Pooling/config.json").write_text("{}")
    for path in (*original.rglob("*"), original):
        path.chmod(0o555 if path.is_dir() else 0o444)
    assert group("new") == 0
    example = workdir / "file"
    example.touch()
    for path in (workdir / "new", *(workdir / "new").rglob("*")):
        assert path.stat().st_mode == (workdir if path.is_dir() else example).stat().st_mode


def test_a_model_that_is_a_file_is_reported(
    workdir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert group("new", model="../original/config.json") == 1
    assert "config.json is a file; name the folder" in one_error(capsys.readouterr().err)


def test_linked_model_files_are_copied(workdir: Path) -> None:
    """The hub's cache consists of relative links to files."""
    (workdir / "snapshot").mkdir()
    for number, file in enumerate((workdir.parent / "original").iterdir()):
        (workdir / f"blob-{number}").write_bytes(file.read_bytes())
        (workdir / "snapshot" / file.name).symlink_to(f"../blob-{number}")
    for name, target in (("loop", "loop"), ("dangling", "nowhere")):
        (workdir / "snapshot" / name).symlink_to(target)
    assert group("new", model="snapshot") == 0
    assert group("plain") == 0
    assert not [path for path in (workdir / "new").rglob("*") if path.is_symlink()]
    assert not {"loop", "dangling"} & set(os.listdir(workdir / "new"))
    names = ("model.safetensors", "tokenizer.json", "config.json")
    new, plain = contents_of(workdir / "new"), contents_of(workdir / "plain")
    assert {n: new[n] for n in names} == {n: plain[n] for n in names}


# A decoder that is not tied


@pytest.mark.parametrize("tied_by_config", [False, True])
def test_untied_decoder_is_averaged_over_the_same_groups(
    checkpoint: Path, tied_by_config: bool
) -> None:
    """transformers does not tie a decoder that differs from the embedding, whatever config.json
    says."""
    bert(checkpoint, tie_word_embeddings=False)
    edit(checkpoint / "config.json", lambda c: c.update(tie_word_embeddings=tied_by_config))
    before = weights(checkpoint)
    decoder = "cls.predictions.decoder.weight"
    assert decoder in before
    result, token_to_group = grouped(checkpoint)
    after = weights(result.folder)
    for group_number in range(result.groups):
        members = token_to_group == group_number
        expected = before[decoder][members].mean(dim=0)
        assert len(after[decoder][members].unique(dim=0)) == 1
        torch.testing.assert_close(after[decoder][members][0], expected)
    ids = torch.randint(7, 60, (2, 9))
    model = hf.AutoModelForMaskedLM.from_pretrained(result.folder).eval()
    assert model.get_output_embeddings().weight is not model.get_input_embeddings().weight
    backbone = backbone_of(checkpoint)
    assert {n: t.tolist() for n, t in weights(backbone).items()} == {
        n: t.tolist() for n, t in before.items()
    }
    with torch.no_grad():
        original = hf.AutoModelForMaskedLM.from_pretrained(checkpoint).eval()(ids).logits
        logits = load_model("masked_language_modelling", backbone)(input_ids=ids).logits
    torch.testing.assert_close(logits, original)


# Names in the checkpoint that transformers changes when it loads it


@pytest.mark.parametrize("family", ["gte", "nomic_bert", "jina_embeddings_v3", "ultrabert"])
def test_checkpoint_with_names_unlike_those_of_the_model(checkpoint: Path, family: str) -> None:
    torch.manual_seed(0)
    tokenizer = wordpiece()
    config = hf.AutoConfig.for_model(
        family, vocab_size=len(tokenizer), max_position_embeddings=64, pad_token_id=0, **SMALL
    )
    hf.AutoModelForMaskedLM.from_config(config).save_pretrained(checkpoint)
    if family == "gte":  # the prefix of the published files
        renamed = {name.replace("gte.", "new."): t for name, t in weights(checkpoint).items()}
        save_file(renamed, checkpoint / "model.safetensors", metadata={"format": "pt"})
    tokenizer.save_pretrained(checkpoint)
    ids = torch.randint(7, 60, (2, 9))
    backbone = backbone_of(checkpoint, layers=1)
    assert not any(".1." in name for name in weights(backbone))
    with torch.no_grad():
        original = hf.AutoModel.from_pretrained(checkpoint).eval()
        shorter = hf.AutoModel.from_pretrained(backbone).eval()
        states = [m(ids, output_hidden_states=True).hidden_states[1] for m in (original, shorter)]
        if family != "ultrabert":  # its last state is normalised once more
            torch.testing.assert_close(*states)
    _, token_to_group = grouped(checkpoint)
    rows = original.get_input_embeddings().weight
    made = hf.AutoModel.from_pretrained(checkpoint.parent / "grouped").get_input_embeddings().weight
    for group_number in token_to_group.unique():
        members = token_to_group == group_number
        expected = rows[members].mean(dim=0).expand(int(members.sum()), -1)
        torch.testing.assert_close(made[members], expected)


# A head that was fine-tuned


@pytest.mark.parametrize("family", ["bert", "xlm-r"])
def test_fine_tuned_head_is_unchanged(checkpoint: Path, family: str) -> None:
    if family == "bert":
        labels = {0: "O", 1: "B-PER", 2: "I-PER"}
        bert(checkpoint, hf.BertForTokenClassification, id2label=labels)
    else:
        roberta(checkpoint, hf.XLMRobertaForSequenceClassification, sentencepiece_tokenizer(), num_labels=3)  # fmt: skip
    before = weights(checkpoint)
    result, _ = grouped(checkpoint)
    assert_all_but_the_embeddings_are_equal(
        before, weights(result.folder), "word_embeddings.weight"
    )
    config = json.loads((result.folder / "config.json").read_text())
    assert config == json.loads((checkpoint / "config.json").read_text())
    auto_class = (
        hf.AutoModelForTokenClassification
        if family == "bert"
        else hf.AutoModelForSequenceClassification
    )
    _, info = auto_class.from_pretrained(result.folder, output_loading_info=True)
    assert not info["missing_keys"] and not info["unexpected_keys"]


@pytest.mark.parametrize("labels", [2, 3])
@pytest.mark.parametrize(
    "model_class",
    [
        hf.XLMRobertaForSequenceClassification,
        hf.XLMRobertaForTokenClassification,
        hf.XLMRobertaForQuestionAnswering,
    ],
)
def test_backbone_has_no_head_of_another_task(
    checkpoint: Path, model_class: Any, labels: int, caplog: pytest.LogCaptureFixture
) -> None:
    """A head would be the same with every seed, or have another number of labels."""
    roberta(checkpoint, model_class, sentencepiece_tokenizer(), num_labels=2)
    before = weights(checkpoint)
    with caplog.at_level(logging.INFO):
        folder = backbone_of(checkpoint)
    backbone = weights(folder)
    head = before.keys() - backbone.keys()
    assert head == {name for name in before if not name.startswith("roberta.")} != set()
    assert all(name in caplog.text for name in head)
    assert all(torch.equal(backbone[name], before[name]) for name in backbone)
    for kind in ("sequence_classification", "token_classification"):
        first, second = (
            dict(load_model(kind, folder, labels=labels, seed=seed).named_parameters())
            for seed in (1, 2)
        )
        new = {name for name in first if "classifier" in name and name.endswith("weight")}
        assert new and not any(torch.equal(first[name], second[name]) for name in new)


# Special tokens that only tokenizer_config.json names


def test_ids_without_a_subword_are_one_group_of_their_own(checkpoint: Path) -> None:
    bert(checkpoint)
    vocabulary = load_tokenizer(checkpoint).get_vocab()
    removed = [vocabulary[word] for word in ("house", "tree", "rojo")]
    edit(
        checkpoint / "tokenizer.json",
        lambda data: [data["model"]["vocab"].pop(word) for word in ("house", "tree", "rojo")],
    )
    result, token_to_group = grouped(checkpoint)
    assert result.groups == round(0.5 * (len(vocabulary) - 3)) + 1
    alone = token_to_group == token_to_group[removed[0]]
    assert alone.nonzero().flatten().tolist() == removed
    assert '""' not in (result.folder / "semantic_tokens.tsv").read_text(encoding="utf-8")


def test_special_tokens_missing_in_added_tokens_are_singletons(checkpoint: Path) -> None:
    bert(checkpoint)
    edit(checkpoint / "tokenizer.json", lambda data: data.update(added_tokens=[]))
    result, token_to_group = grouped(checkpoint, ratio=0.2)
    special = [0, 3, 4, 5, 6]
    for token in [*special, 1, 2]:  # [unusedN] too
        assert (token_to_group == token_to_group[token]).sum() == 1
    clustered = Groups.load(grouped(checkpoint, ratio=0.2, overwrite=True, cluster_unused=True)[0].folder / GROUPS)  # fmt: skip
    assert special_ids(load_tokenizer(backbone_of(checkpoint))) == special
    assert len(clustered.weight) == result.groups


def test_exported_tokenizer_encodes_pairs_like_the_original(
    checkpoint: Path, tmp_path: Path
) -> None:
    """With token types, the maximum length and a special token that no standard name has."""
    bert(checkpoint)
    pieces = wordpiece().convert_ids_to_tokens(range(len(wordpiece())))
    (checkpoint / "vocab.txt").write_text("\n".join(pieces) + "\n", encoding="utf-8")
    (checkpoint / "tokenizer.json").unlink()
    settings = {"tokenizer_class": "BertTokenizer", "do_lower_case": False, "model_max_length": 64}
    (checkpoint / "tokenizer_config.json").write_text(json.dumps(settings), encoding="utf-8")
    extra = {"additional_special_tokens": ["rouge"]}
    (checkpoint / "special_tokens_map.json").write_text(json.dumps(extra), encoding="utf-8")
    original = hf.AutoTokenizer.from_pretrained(checkpoint)
    backbone = backbone_of(checkpoint)
    kept = first_k_ids(load_tokenizer(backbone), len(pieces))
    truncate_tokenizer(load_tokenizer(backbone), kept).save_pretrained(tmp_path / "first-k")
    for folder in (exported(backbone).folder, tmp_path / "first-k"):
        found = hf.AutoTokenizer.from_pretrained(folder)
        assert found.model_max_length == 64
        assert {*found.all_special_tokens} == {*original.all_special_tokens} == {*SPECIAL, "rouge"}
        encoded, expected = (t("house rouge", "a tree") for t in (found, original))
        assert dict(encoded) == dict(expected) and expected["token_type_ids"][-1] == 1
    _, token_to_group = grouped(checkpoint, ratio=0.2)
    assert (token_to_group == token_to_group[pieces.index("rouge")]).sum() == 1


# Lengths


@pytest.mark.parametrize(("family", "limit"), [("bert", 64), ("roberta", 64), ("xlm-r", 64)])
def test_a_length_beyond_the_positions_is_refused(
    checkpoint: Path, family: str, limit: int
) -> None:
    """RoBERTa's positions start after the position of padding, so 64 of 66 are usable."""
    if family == "bert":
        bert(checkpoint)
    else:
        tokenizer = byte_level_tokenizer() if family == "roberta" else sentencepiece_tokenizer()
        model_class = hf.RobertaForMaskedLM if family == "roberta" else hf.XLMRobertaForMaskedLM
        roberta(checkpoint, model_class, tokenizer)
    backbone = backbone_of(checkpoint)
    model = load_model("none", backbone)
    check_length(backbone, limit, "datasets.own.tokenization")
    assert model(input_ids=torch.full((1, limit), 9))[0].shape == (1, limit, 16)
    with pytest.raises((IndexError, RuntimeError)):
        model(input_ids=torch.full((1, limit + 1), 9))
    message = rf"config key pretraining\.sequence_length is {limit + 1}, and {backbone} reads at most {limit} tokens"  # fmt: skip
    with pytest.raises(InputError, match=message):
        check_length(backbone, limit + 1, "pretraining.sequence_length")


class NamedList(dict):
    """A named list like Snakemake's, with entries by name and as attributes."""

    __getattr__ = dict.__getitem__


@pytest.mark.parametrize(
    ("script", "params", "message"),
    [
        (
            "tokenize_dataset",
            {"kind": "pair_classification", "options": {"max_length": 65}},
            r"config key datasets\.own\.tokenization is 65, and .*/backbone reads at most 64 tokens",
        ),
        (
            "tokenize_dataset",  # with the two special tokens around a passage
            {"kind": "ranking", "options": {"max_query_length": 8, "max_passage_length": 63}},
            r"config key datasets\.own\.tokenization is 65, and .*/backbone reads at most 64 tokens",
        ),
        (
            "tokenize_corpus",
            {"sequence_length": 65},
            r"config key pretraining\.sequence_length is 65, and .* reads at most 64 tokens",
        ),
    ],
)
def test_job_refuses_too_long_sequences_before_reading_data(
    checkpoint: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    script: str,
    params: dict[str, Any],
    message: str,
) -> None:
    backbone = backbone_of(roberta(checkpoint, hf.RobertaForMaskedLM, byte_level_tokenizer()))
    for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        monkeypatch.setenv(variable, "1")
    monkeypatch.setattr(logging.getLogger(), "handlers", list(logging.getLogger().handlers))
    snakemake = SimpleNamespace(
        rule=script,
        threads=1,
        log=[str(tmp_path / "job.log")],
        resources={},
        wildcards=NamedList(dataset="own"),
        params=NamedList(params),
        input=NamedList(
            model=str(backbone / "config.json"),
            tokenizer=str(backbone / "tokenizer.json"),
            splits=[str(tmp_path / "missing.jsonl")],
            corpus=str(tmp_path / "missing.jsonl"),
        ),
        output=[str(tmp_path / "result")],
    )
    path = Path(__file__).parents[1] / f"workflow/scripts/{script}.py"
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(path), {"snakemake": snakemake})
    assert ended.value.code == 1
    (line,) = (tmp_path / "job.log").read_text(encoding="utf-8").splitlines()
    assert re.search(rf"{script}: {message}", line)
    assert not (tmp_path / "result").exists()


# The configuration of the first BERT models


def test_incomplete_bert_config_gets_the_defaults_of_bert(checkpoint: Path) -> None:
    bert(checkpoint)
    ids = torch.randint(7, 60, (2, 9))
    with torch.no_grad():
        expected = hf.AutoModel.from_pretrained(checkpoint).eval()(ids)[0]
    kept = {
        "attention_probs_dropout_prob", "hidden_act", "hidden_dropout_prob", "hidden_size",
        "initializer_range", "intermediate_size", "max_position_embeddings", "num_attention_heads",
        "num_hidden_layers", "type_vocab_size", "vocab_size", "model_type",
    }  # fmt: skip
    edit(checkpoint / "config.json", lambda data: [data.pop(key) for key in {*data} - kept])
    result, _ = grouped(checkpoint, ratio=1.0)
    backbone = backbone_of(checkpoint)
    with torch.no_grad():
        for model in (
            hf.AutoModel.from_pretrained(result.folder).eval(),
            load_model("none", backbone),
        ):
            torch.testing.assert_close(model(input_ids=ids)[0], expected)
    tagger = load_model("token_classification", backbone, labels=3, dropout=0.1)
    assert tagger(input_ids=ids).logits.isfinite().all()


# Byte-level BPE


def test_lexicon_matches_byte_level_words_with_a_leading_space(
    checkpoint: Path, tmp_path: Path
) -> None:
    tokenizer = byte_level_tokenizer()
    roberta(checkpoint, hf.RobertaForMaskedLM, tokenizer)
    lexicon = tmp_path / "lexicon.tsv"
    rows = [
        "concept\tlanguage\tword\tsource",
        "1\teng\thouse\tme",
        "1\tdeu\thaus\tme",
        "2\teng\ttree\tme",
        "2\tdeu\tbaum\tme",
    ]
    lexicon.write_text("\n".join(rows) + "\n", encoding="utf-8")
    result, token_to_group = grouped(checkpoint, ratio=None, method="lexicon", lexicons=[lexicon])
    ids = tokenizer.get_vocab()
    pairs = [("Ġhouse", "Ġhaus"), ("Ġtree", "Ġbaum")]
    assert result.groups == result.subwords - 2
    for first, second in pairs:
        assert token_to_group[ids[first]] == token_to_group[ids[second]]
    members = (result.folder / "semantic_tokens.tsv").read_text(encoding="utf-8")
    assert '"▁haus"' in members and '"▁house"' in members


# Other files in a checkpoint's folder


def test_files_of_the_tokenizer_and_of_other_modules_are_copied(
    checkpoint: Path, caplog: pytest.LogCaptureFixture
) -> None:
    bert(checkpoint, hf.BertModel)
    others = {
        "special_tokens_map.json": b"{}",
        "vocab.txt": b"[PAD]\n",
        "merges.txt": b"#version: 0.2\n",
        "vocab.json": b"{}",
        "sentencepiece.bpe.model": b"\x00\x01",
        "spiece.model": b"\x02",
        "added_tokens.json": b"{}",
        "generation_config.json": b"{}",
        "LICENSE": b"MIT",
        "modules.json": b"[]",
        "sentence_bert_config.json": b"{}",
        "config_sentence_transformers.json": b"{}",
        "1_Pooling/config.json": b'{"pooling_mode_mean_tokens": true}',
        "2_Dense/config.json": b"{}",
        "2_Dense/pytorch_model.bin": b"weights of another module",
        "2_Dense/model.safetensors": b"weights of another module",
        "colbert_linear.pt": b"weights of another layer",
        "head.safetensors": b"weights of another layer",
        "head.bin": b"weights of another layer",
    }
    left_out = {
        "README.md": b"the original's",
        "tf_model.h5": b"its weights",
        "flax_model.msgpack": b"its weights",
        "onnx/model.onnx": b"its weights",
        "pytorch_model.bin": b"its weights",
        "model.fp16.safetensors": b"its weights",
        "optimizer.pt": b"the state of its training",
        "adapter_config.json": b"{}",
        "adapter_model.safetensors": b"an adapter",
        ".gitattributes": b"its repository's",
        ".git/config": b"its repository's",
    }
    expected = {name: (checkpoint / name).read_bytes() for name in os.listdir(checkpoint)}
    for name, data in (others | left_out).items():
        (checkpoint / name).parent.mkdir(exist_ok=True)
        (checkpoint / name).write_bytes(data)
    for name in ("vocab.json", "merges.txt", "added_tokens.json", "special_tokens_map.json"):
        assert (checkpoint / name).is_file()
    with caplog.at_level(logging.INFO):
        result, _ = grouped(checkpoint)
    names = "adapter_config.json, adapter_model.safetensors, flax_model.msgpack, model.fp16."
    assert f"left out: {names}" in caplog.text
    found = contents_of(result.folder)
    for name, data in others.items():
        assert found.pop(name) == data, name
    assert b"semantic tokens" in found.pop("README.md")
    own = {"semantic_tokens.safetensors", "semantic_tokens.tsv", "semantic_tokens.json"}
    assert set(found) == {*expected, *own}
    for name in {*expected} - {"model.safetensors"}:
        assert found[name] == expected[name]


def test_further_layers_are_fetched_and_complete_weights_are_not(
    checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bert(checkpoint)
    wanted = ["config.json", "colbert_linear.pt", "1_Dense/pytorch_model.bin", "model.safetensors"]
    others = ["pytorch_model.bin", "tf_model.h5", "onnx/model.onnx", "optimizer.pt"]

    def fetched(name: str, *, ignore_patterns: list[str], **_: Any) -> str:
        found = filter_repo_objects([*wanted, *others], ignore_patterns=ignore_patterns)
        assert [*found] == wanted
        return str(checkpoint)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", fetched)
    semantic_version("someone/something", checkpoint.parent / "grouped", ratio=0.5)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_preserved(checkpoint: Path, dtype: torch.dtype) -> None:
    bert(checkpoint)
    model = hf.AutoModelForMaskedLM.from_pretrained(checkpoint).to(dtype)
    model.save_pretrained(checkpoint)
    before = weights(checkpoint)
    assert {tensor.dtype for tensor in before.values()} == {dtype}
    result, token_to_group = grouped(checkpoint)
    assert_all_but_the_embeddings_are_equal(
        before, weights(result.folder), "word_embeddings.weight"
    )
    name = "bert.embeddings.word_embeddings.weight"
    members = token_to_group == token_to_group.bincount().argmax()
    assert members.sum() > 1
    mean = before[name][members].double().mean(dim=0)
    torch.testing.assert_close(
        weights(result.folder)[name][members][0].double(), mean, atol=1e-3, rtol=1e-2
    )
    loaded = hf.AutoModelForMaskedLM.from_pretrained(result.folder)
    assert loaded.dtype == dtype
    backbone = weights(backbone_of(checkpoint))
    assert all(
        torch.equal(backbone[n], t) and backbone[n].dtype == dtype for n, t in before.items()
    )
    assert load_model("none", checkpoint.parent / "backbone").dtype == torch.float32


def test_sharded_weights_stay_sharded(checkpoint: Path) -> None:
    bert(checkpoint)
    model = hf.AutoModelForMaskedLM.from_pretrained(checkpoint)
    (checkpoint / "model.safetensors").unlink()
    model.save_pretrained(checkpoint, max_shard_size="10KB")
    index = "model.safetensors.index.json"
    shards = sorted(path.name for path in checkpoint.glob("model-*.safetensors"))
    assert len(shards) > 2
    before = weights(checkpoint)
    result, _ = grouped(checkpoint)
    assert (result.folder / index).read_bytes() == (checkpoint / index).read_bytes()
    assert sorted(p.name for p in result.folder.glob("model-*.safetensors")) == shards
    assert_all_but_the_embeddings_are_equal(
        before, weights(result.folder), "word_embeddings.weight"
    )
    for name in shards:
        assert load_file(result.folder / name).keys() == load_file(checkpoint / name).keys()
    _, info = hf.AutoModelForMaskedLM.from_pretrained(result.folder, output_loading_info=True)
    assert not info["missing_keys"] and not info["unexpected_keys"]
    backbone = weights(backbone_of(checkpoint))
    assert all(torch.equal(backbone[name], before[name]) for name in before)
    (checkpoint / shards[1]).unlink()
    shutil.rmtree(result.folder)
    for use in (grouped, backbone_of, exported):
        with pytest.raises(InputError, match=f"{index} names {shards[1]}, which does not exist"):
            use(checkpoint)


def exported(model: Path) -> Made:
    return export_model(model, model.parent / "exported")


def test_an_export_makes_its_model_once(checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bert(checkpoint)
    loaded = []

    def counting(head: str, *files: Any) -> Any:
        loaded.append(head)
        return load_model(head, *files)

    monkeypatch.setattr("semantic_tokens.modeling.export.load_model", counting)
    assert exported(checkpoint).groups == len(wordpiece())
    assert loaded == ["masked_language_modelling"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"{}", r"is not an index of weights \(KeyError: 'weight_map'\)"),
        (b"{", r"is not an index of weights \(JSONDecodeError: "),
        (b"[]", r"is not an index of weights \(TypeError: "),
        (b'{"metadata": {}, "weight_map": null}', r"is not an index of weights \(AttributeError: "),
        (b'{"metadata": {}, "weight_map": {"a": 1}}', r"is not an index of weights \(TypeError: "),
        (b'{"metadata": {}, "weight_map": {}}', r"names no file with weights; get the checkpoint"),
        (b"\xef\xbb\xbf{}", r"begins with a byte order mark, .* remove it"),
        (b"\xff", r"is not UTF-8, line 1"),
    ],
)
def test_unusable_index_of_weights_is_named(checkpoint: Path, content: bytes, message: str) -> None:
    bert(checkpoint)
    (checkpoint / "model.safetensors").rename(checkpoint / "model-00001-of-00001.safetensors")
    (checkpoint / "model.safetensors.index.json").write_bytes(content)
    for use in (grouped, backbone_of, exported):
        with pytest.raises(
            InputError, match=rf"model\.safetensors\.index\.json {message}"
        ) as found:
            use(checkpoint)
        assert "\n" not in str(found.value)


def test_pickled_weights_are_read_on_request(checkpoint: Path) -> None:
    """The pickle contains the tied decoder a second time, and a matrix by columns."""
    bert(checkpoint)
    before = weights(checkpoint)
    name = "bert.embeddings.word_embeddings.weight"
    pickled = before | {"cls.predictions.decoder.weight": before[name]}
    matrix = "bert.encoder.layer.0.output.dense.weight"
    pickled[matrix] = pickled[matrix].T.contiguous().T
    torch.save(pickled, checkpoint / "pytorch_model.bin")
    (checkpoint / "model.safetensors").unlink()
    result, _ = grouped(checkpoint, convert_pickle=True)
    after = weights(result.folder)
    assert torch.equal(after["cls.predictions.decoder.weight"], after[name])
    assert_all_but_the_embeddings_are_equal(
        pickled, after, "word_embeddings.weight", "decoder.weight"
    )
    model = hf.AutoModelForMaskedLM.from_pretrained(result.folder)
    assert torch.equal(model.get_output_embeddings().weight, after[name])


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (
            lambda tensors: {"state_dict": tensors, "epoch": 3},
            r"\('state_dict' is of type dict\); open",
        ),
        (lambda tensors: tensors | {"step": 3}, r"\('step' is of type int\); open"),
        (lambda tensors: tensors | {"extra": None}, r"\('extra' is of type NoneType\); open"),
        (lambda tensors: list(tensors.items()), r"contains no tensors with names; open"),
        (lambda _: torch.nn.Linear(2, 2), r"more than tensors \(Weights only load failed\); use"),
    ],
)
def test_pickle_without_a_mapping_to_tensors_is_refused(
    checkpoint: Path, change: Callable[[Any], Any], reason: str
) -> None:
    bert(checkpoint)
    torch.save(change(weights(checkpoint)), checkpoint / "pytorch_model.bin")
    (checkpoint / "model.safetensors").unlink()
    for use in (grouped, backbone_of):
        with pytest.raises(InputError, match=rf"pytorch_model\.bin .*{reason}") as found:
            use(checkpoint, convert_pickle=True)
        assert str(found.value).isprintable()


def test_quantized_checkpoint_is_refused(checkpoint: Path) -> None:
    bert(checkpoint)
    method = {"quant_method": "bitsandbytes", "load_in_8bit": True}
    edit(checkpoint / "config.json", lambda config: config.update(quantization_config=method))
    for use in (grouped, backbone_of):
        with pytest.raises(InputError, match=r"has quantized weights .* use the original"):
            use(checkpoint)


def test_many_equal_rows_are_grouped(checkpoint: Path) -> None:
    """For example, rows of tokens that did not occur in training."""
    bert(checkpoint)
    tensors = weights(checkpoint)
    name = "bert.embeddings.word_embeddings.weight"
    tensors[name][20:] = tensors[name][20].clone()
    save_file(tensors, checkpoint / "model.safetensors", metadata={"format": "pt"})
    result, token_to_group = grouped(checkpoint)
    assert result.groups == len(token_to_group.unique()) == round(0.5 * result.subwords)
