"""Checkpoints that cannot be grouped are refused with one line before any work. Code in a checkpoint
runs only if it is trusted."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
import transformers as hf
from safetensors.torch import load_file, save_file
from tiny import character_tokenizer

from semantic_tokens.errors import InputError
from semantic_tokens.grouping.first_k import first_k_groups
from semantic_tokens.grouping.groups import Groups, ungrouped
from semantic_tokens.modeling.backbones import derive_backbone
from semantic_tokens.modeling.embedding import semantic_embedding
from semantic_tokens.modeling.encoders import (
    ORIGIN,
    longest_text,
    read_embeddings,
    trusts_remote_code,
)
from semantic_tokens.modeling.export import export
from semantic_tokens.modeling.loading import ModelFiles, load_model, save_model
from semantic_tokens.reuse import export_model, semantic_version
from semantic_tokens.tokenization.vocabulary import vocabulary_size

V = len(character_tokenizer())
SMALL = {
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 24,
    "max_position_embeddings": 40,
}


def write(folder: Path, model: hf.PreTrainedModel) -> None:
    """Write a checkpoint with the tests' tokenizer."""
    model.save_pretrained(folder)
    character_tokenizer().save_pretrained(folder)


def bert(**change: Any) -> hf.BertForMaskedLM:
    torch.manual_seed(0)
    return hf.BertForMaskedLM(hf.BertConfig(**{"vocab_size": V} | SMALL | change))


def changed_config(**change: Any) -> Callable[[Path], None]:
    def make(folder: Path) -> None:
        write(folder, bert())
        path = folder / "config.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | change), encoding="utf-8")

    return make


def without(*names: str) -> Callable[[Path], None]:
    def make(folder: Path) -> None:
        write(folder, bert())
        for name in names:
            (folder / name).unlink()

    return make


def with_embedding_value(value: float) -> Callable[[Path], None]:
    def make(folder: Path) -> None:
        model = bert()
        model.get_input_embeddings().weight.data[40, 3] = value
        write(folder, model)

    return make


REFUSED: dict[str, tuple[Callable[[Path], None], str]] = {
    "GPT-2": (
        lambda f: write(f, hf.GPT2LMHeadModel(hf.GPT2Config(vocab_size=V, n_embd=8, n_layer=1, n_head=1))),
        r"contains a decoder \(gpt2\); use an encoder",
    ),
    "Llama": (
        lambda f: write(f, hf.LlamaForCausalLM(hf.LlamaConfig(vocab_size=V, **SMALL))),
        r"contains a decoder \(llama\); use an encoder",
    ),
    "BERT as a decoder": (changed_config(is_decoder=True), r"contains a decoder \(bert\)"),
    "T5": (
        lambda f: write(f, hf.T5ForConditionalGeneration(hf.T5Config(vocab_size=V, d_model=8, d_ff=8, d_kv=4, num_layers=1, num_heads=2))),
        r"contains an encoder-decoder \(t5\); use an encoder",
    ),
    "the encoder of T5": (
        lambda f: write(f, hf.T5EncoderModel(hf.T5Config(vocab_size=V, d_model=8, d_ff=8, d_kv=4, num_layers=1, num_heads=2))),
        r"contains the encoder of an encoder-decoder \(t5\), .*; use an encoder",
    ),
    "BART": (
        lambda f: write(f, hf.BartModel(hf.BartConfig(vocab_size=V, d_model=8, encoder_layers=1, decoder_layers=1, encoder_ffn_dim=8, decoder_ffn_dim=8, encoder_attention_heads=1, decoder_attention_heads=1))),
        r"contains an encoder-decoder \(bart\); use an encoder",
    ),
    "CANINE": (
        lambda f: write(f, hf.CanineModel(hf.CanineConfig(**SMALL))),
        "CanineModel has no plain embedding of subwords",
    ),
    "I-BERT": (
        lambda f: write(f, hf.IBertModel(hf.IBertConfig(vocab_size=V, **SMALL))),
        "has no plain embedding of subwords .found: QuantEmbedding",
    ),
    "more subwords than embedding rows": (
        lambda f: write(f, bert(vocab_size=V - 4)),
        f"{V} subwords and only {V - 4} rows",
    ),
    "an unknown family": (changed_config(model_type="hal"), r"config\.json cannot be used .*hal"),
    "no config": (without("config.json"), "has no config.json"),
    "no tokenizer": (
        without("tokenizer.json", "tokenizer_config.json"),
        "the tokenizer of .* has no subword",
    ),
    "an adapter and no weights": (
        lambda f: (without("model.safetensors")(f), (f / "adapter_config.json").write_text("{}"))[0],
        r"contains only an adapter \(adapter_config\.json\); .* merge_and_unload\(\)",
    ),
    "an adapter and no config": (
        lambda f: (without("config.json")(f), (f / "adapter_config.json").write_text("{}"))[0],
        r"contains only an adapter \(adapter_config\.json\); .* merge_and_unload\(\)",
    ),
    "no weights": (without("model.safetensors"), r"has no model\.safetensors and no pytorch_model\.bin"),
}  # fmt: skip


def changed_tensors(change: Callable[[dict[str, torch.Tensor]], Any]) -> Callable[[Path], None]:
    def make(folder: Path) -> None:
        write(folder, bert())
        tensors = load_file(folder / "model.safetensors")
        change(tensors)
        save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})

    return make


def dangling_tokenizer(folder: Path) -> None:
    without("tokenizer.json")(folder)
    (folder / "tokenizer.json").symlink_to("no-such-file")


def half_tokenizer(folder: Path) -> None:
    write(folder, bert())
    path = folder / "tokenizer.json"
    path.write_bytes(path.read_bytes()[:1000])


EMBEDDING = "bert.embeddings.word_embeddings.weight"

#: Also refused by ``export``.
INCOMPLETE: dict[str, tuple[Callable[[Path], None], str]] = {
    "no tensor of the model": (
        changed_tensors(lambda tensors: (tensors.clear(), tensors.update(a=torch.zeros(2)))),
        "has no embedding of subwords; use a complete checkpoint",
    ),
    "no embedding": (
        changed_tensors(lambda tensors: tensors.pop(EMBEDDING)),
        "has no embedding of subwords; use a complete checkpoint",
    ),
    "fewer rows than config.json says": (
        changed_tensors(lambda tensors: tensors.update({EMBEDDING: torch.zeros(20, 16)})),
        rf"{EMBEDDING} is 20 × 16 in the weights, and {V} × 16 by config\.json; get the checkpoint",
    ),
    "another width": (
        changed_config(hidden_size=32),
        rf" is {V} × 16 in the weights, and {V} × 32 by config\.json",
    ),
    "an embedding of 8 columns": (
        changed_tensors(lambda tensors: tensors.update({EMBEDDING: torch.zeros(V, 8)})),
        rf" is {V} × 8 in the weights, and {V} × 16 by config\.json",
    ),
    "an embedding in one dimension": (
        changed_tensors(lambda tensors: tensors.update({EMBEDDING: torch.zeros(V)})),
        rf" is {V} in the weights, and {V} × 16 by config\.json",
    ),
    "a short bias": (
        changed_tensors(lambda tensors: tensors.update({"cls.predictions.bias": torch.zeros(5)})),
        rf"cls\.predictions\.bias is 5 in the weights, and {V} by config\.json",
    ),
    "no second layer": (
        changed_config(num_hidden_layers=2),
        r"lacks weights of its encoder \(16, such as bert\.encoder\.layer\.1\..*\); get",
    ),
    "no layer norm": (
        changed_tensors(lambda tensors: tensors.pop("bert.embeddings.LayerNorm.weight")),
        r"lacks weights of its encoder \(1, such as bert\.embeddings\.LayerNorm\.weight\); get",
    ),
    "heads that do not divide the width": (
        changed_config(num_attention_heads=3),
        r"config\.json cannot be used \(.*not a multiple.*\); get the checkpoint again",
    ),
    "an unknown activation": (
        changed_config(hidden_act="foo"),
        r"config\.json cannot be used \(.*foo.*\); get the checkpoint again",
    ),
    "a padding id beyond the vocabulary": (
        changed_config(pad_token_id=5000),
        r"config\.json cannot be used \(.*\); get the checkpoint again",
    ),
    "no tokenizer": REFUSED["no tokenizer"],
    "half a tokenizer": (half_tokenizer, r"tokenizer\.json: not JSON"),
    "a link to no tokenizer": (
        dangling_tokenizer,
        r"tokenizer\.json is a link to a file that does not exist",
    ),
}


def one_line(error: InputError) -> str:
    assert "\n" not in str(error) and len(str(error)) < 700
    return str(error)


@pytest.mark.parametrize("name", REFUSED)
def test_unsupported_checkpoint_is_refused_in_one_line(name: str, tmp_path: Path) -> None:
    make, message = REFUSED[name]
    make(tmp_path / "checkpoint")
    with pytest.raises(InputError, match=message) as grouping:
        semantic_version(tmp_path / "checkpoint", tmp_path / "grouped")
    with pytest.raises(InputError, match=message) as deriving:
        spec = {"source": "checkpoint", "path": str(tmp_path / "checkpoint")}
        derive_backbone(spec, tmp_path / "backbone")
    for found in (grouping, deriving):
        assert str(tmp_path / "checkpoint") in one_line(found.value)
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint"]


def test_head_with_a_second_matrix_over_subwords_is_not_grouped(tmp_path: Path) -> None:
    """MobileBERT's encoder can be grouped without this head."""
    shape = SMALL | {"embedding_size": 8, "intra_bottleneck_size": 8, "true_hidden_size": 8}
    config = hf.MobileBertConfig(vocab_size=V + 3, **shape)
    write(tmp_path / "checkpoint", hf.MobileBertForMaskedLM(config))
    message = r"another matrix over subwords \(cls\.predictions\.dense\.weight\)"
    with pytest.raises(InputError, match=message) as found:
        semantic_version(tmp_path / "checkpoint", tmp_path / "grouped")
    assert str(tmp_path / "checkpoint") in one_line(found.value)
    write(tmp_path / "encoder", hf.MobileBertModel(config))
    semantic_version(tmp_path / "encoder", tmp_path / "grouped", ratio=0.5)


def test_width_that_equals_the_vocabulary_is_no_matrix_over_subwords(tmp_path: Path) -> None:
    write(tmp_path / "checkpoint", bert(hidden_size=96, vocab_size=96))
    semantic_version(tmp_path / "checkpoint", tmp_path / "grouped", ratio=0.5)


@pytest.mark.parametrize(
    ("model_class", "options", "reason"),
    [
        (hf.XmodForMaskedLM, {"languages": ["en_XX"]}, r"\(xmod\) does not read a text"),
        (hf.DPRQuestionEncoder, {}, r"\(dpr\) does not read a text .*last_hidden_state"),
        (hf.BrosModel, {}, r"\(bros\) does not read a text .*bbox"),
        (
            hf.FunnelForMaskedLM,
            {"d_model": 16, "n_head": 2, "d_head": 8, "d_inner": 32, "block_sizes": [1, 1]},
            r"\(funnel\) does not read a text",
        ),
        (
            hf.NystromformerForMaskedLM,  # its length must be 16
            {"num_landmarks": 4, "segment_means_seq_len": 16},
            r"\(nystromformer\) does not read a text",
        ),
    ],
)
def test_encoder_that_does_not_read_texts_is_no_backbone(
    model_class: Any, options: dict[str, Any], reason: str, tmp_path: Path
) -> None:
    shape = {} if model_class is hf.FunnelForMaskedLM else SMALL
    write(
        tmp_path / "checkpoint",
        model_class(model_class.config_class(vocab_size=V, **shape, **options)),
    )
    spec = {"source": "checkpoint", "path": str(tmp_path / "checkpoint")}
    with pytest.raises(InputError, match=reason) as found:
        derive_backbone(spec, tmp_path / "backbone")
    assert str(tmp_path / "checkpoint") in one_line(found.value)
    assert not [*(tmp_path / "backbone").iterdir()]


@pytest.mark.parametrize(
    ("package", "message"),
    [
        (None, r"needs a package that is not installed \(.* rjieba .*\); install it"),
        (ModuleType("rjieba"), r"\(RoFormerTokenizer\) cannot be saved as a tokenizer\.json"),
    ],
)
def test_tokenizer_that_calls_a_package_is_refused(
    package: ModuleType | None, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "rjieba", package)
    without("tokenizer.json")(tmp_path / "checkpoint")
    pieces = character_tokenizer().convert_ids_to_tokens(range(V))
    settings = {"tokenizer_class": "RoFormerTokenizer"}
    for name, content in (
        ("vocab.txt", "\n".join(pieces)),
        ("tokenizer_config.json", json.dumps(settings)),
    ):
        (tmp_path / "checkpoint" / name).write_text(content, encoding="utf-8")
    with pytest.raises(InputError, match=message) as found:
        semantic_version(tmp_path / "checkpoint", tmp_path / "grouped")
    assert str(tmp_path / "checkpoint") in one_line(found.value)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_numbers_that_are_not_finite_are_refused(value: float, tmp_path: Path) -> None:
    with_embedding_value(value)(tmp_path / "checkpoint")
    message = r"not finite in the embedding of subword 40 \(and .*0 others\)"
    with pytest.raises(InputError, match=message) as grouping:
        semantic_version(tmp_path / "checkpoint", tmp_path / "grouped")
    with pytest.raises(InputError, match=message) as reading:
        read_embeddings(tmp_path / "checkpoint", V)
    for found in (grouping, reading):
        assert str(tmp_path / "checkpoint") in one_line(found.value)
    assert not (tmp_path / "grouped").exists()


def test_padding_rows_of_the_embedding_are_accepted(tmp_path: Path) -> None:
    write(tmp_path / "checkpoint", bert(vocab_size=V + 7))
    result = semantic_version(tmp_path / "checkpoint", tmp_path / "grouped", ratio=0.5)
    assert result.subwords == V
    before, after = (
        load_file(f / "model.safetensors") for f in (tmp_path / "checkpoint", result.folder)
    )
    name = "bert.embeddings.word_embeddings.weight"
    assert after[name].shape == (V + 7, 16)
    assert torch.equal(after[name][V:], before[name][V:])
    assert len(read_embeddings(tmp_path / "checkpoint", V)) == V


@pytest.mark.parametrize("name", INCOMPLETE)
def test_incomplete_checkpoint_is_refused_before_anything_is_written(
    name: str, tmp_path: Path
) -> None:
    make, message = INCOMPLETE[name]
    checkpoint = tmp_path / "checkpoint"
    make(checkpoint)
    spec = {"source": "checkpoint", "path": str(checkpoint)}
    uses: list[Callable[[], object]] = [
        lambda: semantic_version(checkpoint, tmp_path / "grouped", ratio=0.5),
        lambda: derive_backbone(spec, tmp_path / "backbone"),
        lambda: export_model(checkpoint, tmp_path / "exported"),
    ]
    for use in uses:
        with pytest.raises(InputError, match=message) as found:
            use()
        assert str(checkpoint) in one_line(found.value)
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint"]


@pytest.mark.parametrize("padding", [0, 7])
def test_groups_of_another_vocabulary_are_not_exported(padding: int, tmp_path: Path) -> None:
    """Rows of the embedding beyond the vocabulary are padding, and need no group."""
    write(tmp_path / "checkpoint", bert(vocab_size=V + padding))
    for count in (V - 1, V + 1):
        path = tmp_path / f"{count}.safetensors"
        ungrouped(torch.zeros(count, 16)).save(path)
        message = f"{path} are of {count} subwords, and {tmp_path / 'checkpoint'} has {V}; name"
        with pytest.raises(InputError, match=message) as found:
            export_model(tmp_path / "checkpoint", tmp_path / "exported", groups=path)
        one_line(found.value)
        assert not (tmp_path / "exported").exists()
    ungrouped(torch.ones(V, 16)).save(path)
    made = export_model(tmp_path / "checkpoint", tmp_path / "exported", groups=path)
    assert made.groups == made.subwords == V


def test_groups_of_first_k_are_not_exported_with_the_original_tokenizer(tmp_path: Path) -> None:
    write(tmp_path / "checkpoint", bert())
    path = tmp_path / "firstk-0.5.safetensors"
    for kept in (V // 2, V):
        first_k_groups(torch.ones(V, 16), range(kept), unk_id=1).save(path)
        if kept < V:
            message = r"firstk-0.5.safetensors are of First-k.*results/exported/…/firstk-0.5/asis"
            with pytest.raises(InputError, match=message) as found:
                export_model(tmp_path / "checkpoint", tmp_path / "exported", groups=path)
            one_line(found.value)
    assert export_model(tmp_path / "checkpoint", tmp_path / "exported", groups=path).groups == V


def test_saved_model_is_exported(tmp_path: Path) -> None:
    """With groups of two subwords each, and the tokenizer of the saved model."""
    backbone, saved = tmp_path / "backbone", tmp_path / "saved"
    write(tmp_path / "checkpoint", bert())
    derive_backbone({"source": "checkpoint", "path": str(tmp_path / "checkpoint")}, backbone)
    pairs = torch.arange(V) // 2
    Groups(pairs, torch.randn(int(pairs.max()) + 1, 16)).save(tmp_path / "groups.safetensors")
    files = ModelFiles(backbone, tmp_path / "groups.safetensors")
    save_model(load_model("masked_language_modelling", files), files, backbone, saved)
    made = export_model(saved, tmp_path / "exported")
    assert (made.subwords, made.groups) == (V, int(pairs.max()) + 1)
    weight = hf.AutoModel.from_pretrained(made.folder).get_input_embeddings().weight
    assert torch.equal(weight[0], weight[1])
    message = rf"already has semantic tokens; `semantic-tokens export --model {saved}`"
    for trusted in (False, True):
        with pytest.raises(InputError, match=message):
            semantic_version(saved, tmp_path / "again", trust_remote_code=trusted)
    with pytest.raises(InputError, match=r"saved has its own groups; leave out --groups"):
        export_model(saved, tmp_path / "again", groups=tmp_path / "groups.safetensors")
    (saved / "tokenizer.json").unlink()
    with pytest.raises(InputError, match=r"the tokenizer of .*saved"):
        export_model(saved, tmp_path / "again")
    assert not (tmp_path / "again").exists()


# Checkpoints with code

CODE = """
from transformers import BertConfig, BertForMaskedLM, BertModel


class OwnConfig(BertConfig):
    model_type = "own_encoder"


class OwnModel(BertModel):
    config_class = OwnConfig


class OwnForMaskedLM(BertForMaskedLM):
    config_class = OwnConfig


with open({mark!r}, "a") as file:
    file.write("ran")
"""


@pytest.fixture
def checkpoint_with_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkpoint with Python code for its model, which records when it runs."""
    for module in (hf.dynamic_module_utils, hf.utils.hub):
        monkeypatch.setattr(module, "HF_MODULES_CACHE", str(tmp_path / "modules"), raising=False)
    folder = tmp_path / "checkpoint"
    write(folder, bert())
    (folder / "own.py").write_text(CODE.format(mark=str(tmp_path / "ran")), encoding="utf-8")
    config = json.loads((folder / "config.json").read_text())
    config |= {
        "model_type": "own_encoder",
        "auto_map": {
            "AutoConfig": "own.OwnConfig",
            "AutoModel": "own.OwnModel",
            "AutoModelForMaskedLM": "own.OwnForMaskedLM",
        },
    }
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    return folder


def test_untrusted_code_does_not_run(checkpoint_with_code: Path, tmp_path: Path) -> None:
    message = "needs Python code that comes with the checkpoint"
    with pytest.raises(InputError, match=message) as found:
        semantic_version(checkpoint_with_code, tmp_path / "grouped")
    assert "--trust-remote-code" in one_line(found.value)
    with pytest.raises(InputError, match=message) as found:
        spec = {"source": "checkpoint", "path": str(checkpoint_with_code)}
        derive_backbone(spec, tmp_path / "backbone")
    assert "`trust_remote_code: true`" in one_line(found.value)
    assert not (tmp_path / "ran").exists()
    assert not (tmp_path / "grouped").exists() and not (tmp_path / "backbone").exists()


def test_trusted_code_works_in_every_step(checkpoint_with_code: Path, tmp_path: Path) -> None:
    """Grouped by the command, and as a backbone: opened, saved, opened again, and exported."""
    result = semantic_version(
        checkpoint_with_code, tmp_path / "grouped", ratio=0.5, trust_remote_code=True
    )
    assert (result.folder / "own.py").is_file()
    original = hf.AutoModelForMaskedLM.from_pretrained(
        checkpoint_with_code, trust_remote_code=True
    ).eval()
    grouped = hf.AutoModelForMaskedLM.from_pretrained(result.folder, trust_remote_code=True).eval()
    assert type(grouped).__name__ == type(original).__name__ == "OwnForMaskedLM"

    spec = {"source": "checkpoint", "path": str(checkpoint_with_code), "trust_remote_code": True}
    derive_backbone(spec, tmp_path / "backbone")
    assert trusts_remote_code(tmp_path / "backbone")
    assert (tmp_path / "backbone/own.py").is_file()
    assert longest_text(tmp_path / "backbone") == original.config.max_position_embeddings
    ids = torch.randint(5, V, (2, 9))
    files = ModelFiles(tmp_path / "backbone")
    model = load_model("masked_language_modelling", files)
    with torch.no_grad():
        expected = original(input_ids=ids).logits
        torch.testing.assert_close(model(input_ids=ids).logits, expected)
        save_model(model, files, tmp_path / "backbone", tmp_path / "saved")
        opened = load_model("masked_language_modelling", tmp_path / "saved")
        torch.testing.assert_close(opened(input_ids=ids).logits, expected)
        assert len(semantic_embedding(load_model("none", tmp_path / "saved")).weight) == V
        export(ModelFiles(tmp_path / "saved"), tmp_path / "saved", tmp_path / "plain")
        plain = hf.AutoModelForMaskedLM.from_pretrained(tmp_path / "plain", trust_remote_code=True)
        torch.testing.assert_close(plain.eval()(input_ids=ids).logits, expected)
    with pytest.raises(InputError, match=r"no head for token classification .* own_encoder"):
        load_model("token_classification", files, labels=3)


def test_backbone_without_code_is_not_marked_as_trusted(tmp_path: Path) -> None:
    write(tmp_path / "checkpoint", bert())
    spec = {"source": "checkpoint", "path": str(tmp_path / "checkpoint")}
    derive_backbone(spec, tmp_path / "backbone")
    assert not trusts_remote_code(tmp_path / "backbone")
    config = hf.AutoConfig.from_pretrained(tmp_path / "backbone")
    assert getattr(config, ORIGIN) == {"source": "checkpoint"}
    assert vocabulary_size(character_tokenizer()) == V
