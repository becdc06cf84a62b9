"""Open, train, save and export semantic-token models, compared with the classes of transformers.

``test_families.py`` does the same for many families.
"""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny import character_tokenizer
from torch.nn import functional
from transformers import (
    AttentionInterface,
    AutoModel,
    AutoModelForMaskedLM,
    BertConfig,
    MobileBertConfig,
    PreTrainedModel,
    XLMRobertaConfig,
)

from semantic_tokens.errors import InputError
from semantic_tokens.grouping.first_k import first_k_groups
from semantic_tokens.grouping.groups import groups_of, ungrouped
from semantic_tokens.modeling.embedding import semantic_embedding
from semantic_tokens.modeling.encoders import read_embeddings
from semantic_tokens.modeling.export import export
from semantic_tokens.modeling.loading import ModelFiles, load_model, save_model, set_dropout
from semantic_tokens.modeling.masked_language_modelling import MaskedLanguageModel

WORDS, WIDTH = 60, 16
Backbone = tuple[Path, PreTrainedModel]


@pytest.fixture(params=["bert", "xlm-roberta"])
def backbone(request: pytest.FixtureRequest, tmp_path: Path) -> Backbone:
    torch.manual_seed(0)
    shape = dict(
        vocab_size=WORDS,
        hidden_size=WIDTH,
        num_hidden_layers=3,
        num_attention_heads=4,
        intermediate_size=40,
        max_position_embeddings=40,
        pad_token_id=1,
        initializer_range=0.3,  # far from linear, so that errors are visible
    )
    if request.param == "bert":
        config: BertConfig = BertConfig(type_vocab_size=2, **shape)
    else:
        config = XLMRobertaConfig(type_vocab_size=1, **shape)
    model = AutoModelForMaskedLM.from_config(config).eval()
    for parameter in model.parameters():
        if parameter.ndim == 1:  # biases and layer norms are constant by default
            parameter.data += 0.1 * torch.randn_like(parameter)
    model.tie_weights()
    model.save_pretrained(tmp_path / "backbone")
    character_tokenizer().save_pretrained(tmp_path / "tokenizer")
    return tmp_path / "backbone", model


def texts() -> tuple[torch.Tensor, torch.Tensor]:
    ids = torch.randint(5, WORDS, (4, 12), generator=torch.Generator().manual_seed(3))
    mask = torch.ones_like(ids)
    mask[1, 7:] = 0
    ids[1, 7:] = 1
    return ids, mask


def embeddings_of(model: PreTrainedModel) -> torch.Tensor:
    return model.get_input_embeddings().weight.detach().clone()


def files_of(folder: Path, embeddings: torch.Tensor, per_group: int = 1) -> ModelFiles:
    """The backbone with this number of neighbours per group."""
    groups = ungrouped(embeddings)
    if per_group > 1:
        groups = groups_of(embeddings, torch.arange(WORDS) // per_group)
    groups.save(folder.parent / "groups.safetensors")
    return ModelFiles(folder, folder.parent / "groups.safetensors")


def load_masked_lm(files: ModelFiles | Path, **options) -> PreTrainedModel:
    return load_model("masked_language_modelling", files, **options)


# Computations


def test_singleton_groups_compute_the_same_as_the_original_model(backbone: Backbone) -> None:
    folder, original = backbone
    files = files_of(folder, embeddings_of(original))
    ids, mask = texts()
    expected = original(input_ids=ids, attention_mask=mask, output_hidden_states=True)
    encoder, model = load_model("none", files), load_masked_lm(files)
    for keep_gradient in (True, False):  # PyTorch uses different kernels for the two
        with torch.set_grad_enabled(keep_gradient):
            hidden = encoder(ids, mask).last_hidden_state
            logits = model(ids, mask).logits
        torch.testing.assert_close(
            hidden[mask == 1], expected.hidden_states[-1][mask == 1], atol=1e-5, rtol=1e-5
        )
        torch.testing.assert_close(
            logits[mask == 1], expected.logits[mask == 1], atol=1e-5, rtol=1e-5
        )


@pytest.mark.parametrize("positions", [[0, 12, 24, 36], [2, 3, 13, 30, 47], [5]])
def test_loss_at_masked_positions_equals_the_loss_over_all_logits(
    backbone: Backbone, positions: list[int]
) -> None:
    folder, original = backbone
    files = files_of(folder, embeddings_of(original), per_group=3)
    ids, _ = texts()
    masked = torch.full_like(ids, -100).flatten()
    masked[positions] = ids.flatten()[positions]
    masked = masked.view(ids.shape)
    found = []
    for logits in ("masked", "all"):
        model = MaskedLanguageModel(load_masked_lm(files), logits)
        loss = model(ids, masked)
        loss.backward()
        expected_gradients = {n: p.grad for n, p in model.named_parameters() if p.grad is not None}
        found.append((loss.detach(), {n: g.to_dense() for n, g in expected_gradients.items()}))
    (masked_loss, masked_gradients), (expected, expected_gradients) = found
    torch.testing.assert_close(masked_loss, expected, atol=1e-6, rtol=1e-6)
    torch.testing.assert_close(masked_gradients, expected_gradients, atol=1e-6, rtol=1e-4)


def test_bias_of_the_unknown_token_of_first_k_is_its_own(
    backbone: Backbone, tmp_path: Path
) -> None:
    """The removed subwords share its group, and not its bias."""
    folder, original = backbone
    bias = original.get_output_embeddings().bias.detach()
    with torch.no_grad():
        bias.copy_(torch.arange(len(bias)))
    original.save_pretrained(folder)
    embeddings = embeddings_of(original)
    kept = list(range(8))
    groups = first_k_groups(embeddings, kept, unk_id=3)
    groups.save(tmp_path / "groups.safetensors")
    model = load_masked_lm(ModelFiles(folder, tmp_path / "groups.safetensors"))
    found = model.get_output_embeddings().bias.detach()
    assert found[groups.token_to_group[3]] == 3
    assert found[groups.token_to_group[len(embeddings) - 1]] == 3


def test_gradients_equal_those_of_the_original_model(backbone: Backbone) -> None:
    folder, original = backbone
    ids, _ = texts()
    ids = ids[[0, 2]]
    labels = torch.full_like(ids, -100)
    labels[:, 2:5] = ids[:, 2:5]
    original(input_ids=ids, labels=labels).loss.backward()
    model = MaskedLanguageModel(load_masked_lm(files_of(folder, embeddings_of(original))))
    model(ids, labels).backward()
    gradient = model.embedding.weight.grad.to_dense()
    original_gradient = original.get_input_embeddings().weight.grad
    rows = [i for i in range(WORDS) if i != 1]  # transformers masks the padding row's gradient
    torch.testing.assert_close(gradient[rows], original_gradient[rows], atol=1e-5, rtol=1e-4)
    model(ids[:1], labels[:1]).backward()  # a further micro-batch adds to it
    assert model.embedding.weight.grad.layout == torch.strided
    original(input_ids=ids[:1], labels=labels[:1]).loss.backward()
    gradient = model.embedding.weight.grad
    torch.testing.assert_close(gradient[rows], original_gradient[rows], atol=1e-5, rtol=1e-4)


def test_a_mask_without_padding_changes_nothing(backbone: Backbone) -> None:
    folder, _ = backbone
    ids, mask = texts()
    ids = ids[mask.all(dim=1)]
    encoder = load_model("none", folder)
    for keep_gradient in (True, False):
        with torch.set_grad_enabled(keep_gradient):
            masked, plain = (encoder(ids, m)[0] for m in (torch.ones_like(ids), None))
        torch.testing.assert_close(masked, plain, atol=1e-6, rtol=1e-6)


def test_grouped_model_equals_the_original_with_averaged_rows(backbone: Backbone) -> None:
    folder, original = backbone
    embeddings = embeddings_of(original)
    files = files_of(folder, embeddings, per_group=3)
    averaged = embeddings.view(-1, 3, WIDTH).mean(dim=1).repeat_interleave(3, dim=0)
    original.get_input_embeddings().weight.data.copy_(averaged)
    ids, mask = texts()
    expected = original(input_ids=ids, attention_mask=mask, output_hidden_states=True)
    hidden = load_model("none", files)(ids, mask).last_hidden_state
    torch.testing.assert_close(
        hidden[mask == 1], expected.hidden_states[-1][mask == 1], atol=1e-5, rtol=1e-5
    )


def test_loss_uses_only_masked_positions(backbone: Backbone) -> None:
    folder, original = backbone
    model = MaskedLanguageModel(
        load_masked_lm(files_of(folder, embeddings_of(original), per_group=2))
    )
    ids = torch.tensor([[0, 10, 20, 30]])
    with torch.no_grad():
        one = model(ids, torch.tensor([[-100, 10, -100, -100]]))
        same_group = model(ids, torch.tensor([[-100, 11, -100, -100]]))
        everywhere = MaskedLanguageModel(model.model, "all").model(ids).logits[0]
    assert torch.equal(one, same_group)  # subwords 10 and 11 are one semantic token
    expected = functional.cross_entropy(everywhere, ids[0] // 2, reduction="none")
    torch.testing.assert_close(one, expected[1])


# Files


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="looks into Linux's /proc")
def test_loaded_model_does_not_keep_its_files_mapped_into_memory(backbone: Backbone) -> None:
    folder, original = backbone
    files = files_of(folder, embeddings_of(original), per_group=2)
    model = load_masked_lm(files)
    maps = Path("/proc/self/maps").read_text()
    assert str(files.groups) not in maps
    assert semantic_embedding(model).weight.isfinite().all()


def test_export_opens_in_transformers_and_computes_the_same(
    backbone: Backbone, tmp_path: Path
) -> None:
    folder, original = backbone
    files = files_of(folder, embeddings_of(original)[:, :6].contiguous(), per_group=2)
    export(files, tmp_path / "tokenizer", tmp_path / "exported")
    plain = AutoModel.from_pretrained(tmp_path / "exported").eval()
    assert plain.get_input_embeddings().weight.shape == (WORDS, WIDTH)
    ids, mask = texts()
    torch.testing.assert_close(
        load_model("none", files)(ids, mask)[0][mask == 1],
        plain(input_ids=ids, attention_mask=mask)[0][mask == 1],
        atol=1e-5,
        rtol=1e-5,
    )


def test_export_keeps_the_pooler(backbone: Backbone, tmp_path: Path) -> None:
    """Masked language modelling does not use it, but other heads do."""
    folder, original = backbone
    tensors = load_file(folder / "model.safetensors")
    for name, shape in (("weight", (WIDTH, WIDTH)), ("bias", (WIDTH,))):
        tensors[f"{original.base_model_prefix}.pooler.dense.{name}"] = torch.randn(shape)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    files = files_of(folder, embeddings_of(original), per_group=2)
    save_model(load_masked_lm(files), files, tmp_path / "tokenizer", tmp_path / "saved")
    expected = load_model("none", files)(*texts()).pooler_output
    for number, source in enumerate((files, ModelFiles(tmp_path / "saved"))):
        export(source, tmp_path / "tokenizer", tmp_path / f"exported-{number}")
        plain, info = AutoModel.from_pretrained(
            tmp_path / f"exported-{number}", output_loading_info=True
        )
        assert not info["missing_keys"]
        torch.testing.assert_close(plain.eval()(*texts()).pooler_output, expected)
        AutoModelForMaskedLM.from_pretrained(tmp_path / f"exported-{number}")


def test_saved_model_has_the_trained_weights(backbone: Backbone, tmp_path: Path) -> None:
    folder, original = backbone
    files = files_of(folder, embeddings_of(original), per_group=2)
    model = load_masked_lm(files)
    for parameter in model.parameters():
        parameter.data += 0.01
    save_model(model, files, tmp_path / "tokenizer", tmp_path / "trained")
    opened = load_masked_lm(tmp_path / "trained", seed=2)
    assert opened.state_dict().keys() == model.state_dict().keys()
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, opened.state_dict()[name]), name
    backbone_names = set(load_file(folder / "model.safetensors"))
    saved_names = set(load_file(tmp_path / "trained/model.safetensors"))
    assert {n for n in backbone_names if "decoder" not in n} <= saved_names
    # and again from the saved files
    save_model(opened, ModelFiles(tmp_path / "trained"), tmp_path / "trained", tmp_path / "again")
    assert set(load_file(tmp_path / "again/model.safetensors")) == saved_names


def test_model_on_a_gpu_is_saved_with_each_tensor_once(
    backbone: Backbone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Copies of tied tensors from a GPU are separate, as here those from the CPU."""
    folder, original = backbone
    files = files_of(folder, embeddings_of(original), per_group=2)
    model = load_masked_lm(files)
    save_model(model, files, tmp_path / "tokenizer", tmp_path / "cpu")
    monkeypatch.setattr(torch.Tensor, "cpu", torch.Tensor.clone)
    save_model(model, files, tmp_path / "tokenizer", tmp_path / "gpu")
    names = [set(load_file(tmp_path / made / "model.safetensors")) for made in ("cpu", "gpu")]
    assert names[0] == names[1]


def test_missing_head_is_initialised_by_the_seed_and_saved(
    backbone: Backbone, tmp_path: Path
) -> None:
    folder, _ = backbone
    tensors = load_file(folder / "model.safetensors")
    headless = {n: t for n, t in tensors.items() if not n.startswith(("cls.", "lm_head."))}
    assert len(headless) < len(tensors)
    save_file(headless, folder / "model.safetensors", metadata={"format": "pt"})

    def dense(model: PreTrainedModel) -> torch.Tensor:
        (weight,) = (p for n, p in model.named_parameters() if n.endswith(
            ("transform.dense.weight", "lm_head.dense.weight")))  # fmt: skip
        return weight.detach()

    model = load_masked_lm(folder, seed=5)
    assert float(dense(model).std()) == pytest.approx(0.3, rel=0.2)  # initializer_range
    assert torch.equal(dense(load_masked_lm(folder, seed=5)), dense(model))
    assert not torch.equal(dense(load_masked_lm(folder, seed=6)), dense(model))
    save_model(model, ModelFiles(folder), tmp_path / "tokenizer", tmp_path / "made")
    assert torch.equal(dense(load_masked_lm(tmp_path / "made", seed=6)), dense(model))


def test_checkpoint_that_asks_for_tuples_is_pretrained(backbone: Backbone) -> None:
    folder, original = backbone
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    text = json.dumps(config | {"return_dict": False})
    (folder / "config.json").write_text(text, encoding="utf-8")
    model = MaskedLanguageModel(load_masked_lm(files_of(folder, embeddings_of(original))))
    ids, _ = texts()
    assert model(ids, ids).isfinite()


@pytest.mark.parametrize("per_group", [1, 2])
def test_head_that_reads_only_the_weights_of_its_decoder_is_refused(
    tmp_path: Path, per_group: int
) -> None:
    """MobileBERT multiplies with the decoder's weight and another matrix at once."""
    config = MobileBertConfig(
        vocab_size=WORDS,
        hidden_size=WIDTH,
        embedding_size=8,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        intra_bottleneck_size=8,
        num_feedforward_networks=1,
    )
    model = AutoModelForMaskedLM.from_config(config)
    model.save_pretrained(tmp_path / "backbone")
    files = files_of(tmp_path / "backbone", embeddings_of(model), per_group)
    with pytest.raises(InputError, match=r"MobileBertForMaskedLM cannot be pretrained.*`asis`"):
        MaskedLanguageModel(load_masked_lm(files))


def test_attention_that_needs_a_gpu_is_not_run_before_the_training(backbone: Backbone) -> None:
    """Such as flash attention, which refuses float32 and CPUs."""

    def refuses(*given: Any, **named: Any) -> Any:
        raise RuntimeError("only supports fp16 and bf16")

    AttentionInterface.register("refuses_cpus", refuses)
    plain = load_masked_lm(files_of(backbone[0], embeddings_of(backbone[1])))
    plain.set_attn_implementation("refuses_cpus")
    model = MaskedLanguageModel(plain)
    assert plain.config._attn_implementation == "refuses_cpus"
    ids, _ = texts()
    with pytest.raises(RuntimeError, match="only supports"):
        model(ids, ids)


def test_padding_columns_stay_zero_through_training(backbone: Backbone, tmp_path: Path) -> None:
    folder, original = backbone
    files = files_of(folder, embeddings_of(original)[:, :5].contiguous())
    plain = load_masked_lm(files)
    model = MaskedLanguageModel(plain)
    before = model.embedding.weight.detach().clone()
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
    ids, _ = texts()
    for _ in range(5):
        model(ids, torch.where(torch.rand(ids.shape) < 0.5, ids, -100)).backward()
        optimizer.step()
        optimizer.zero_grad()
    embedded = model.embedding(torch.arange(WORDS))
    assert embedded.shape == (WORDS, WIDTH)
    assert not torch.equal(embedded[:, :5], before)
    assert torch.count_nonzero(embedded[:, 5:]) == 0
    save_model(plain, files, tmp_path / "tokenizer", tmp_path / "trained")
    trained = semantic_embedding(load_model("none", tmp_path / "trained"))
    assert torch.equal(trained.weight, model.embedding.weight)
    assert trained.weight.shape == (WORDS, 5)


@pytest.mark.parametrize("name", ["model.safetensors", "backbone/config.json"])
def test_truncated_saved_model_is_named_in_the_error(
    backbone: Backbone, tmp_path: Path, name: str
) -> None:
    folder, _ = backbone
    save_model(load_masked_lm(folder), ModelFiles(folder), tmp_path / "tokenizer", tmp_path / "m")
    content = (tmp_path / "m" / name).read_bytes()
    (tmp_path / "m" / name).write_bytes(content[: len(content) // 2])
    with pytest.raises(InputError, match=f"{tmp_path}/m/.*"):
        load_model("none", tmp_path / "m")


def test_truncated_backbone_is_named_in_the_error(backbone: Backbone) -> None:
    path = backbone[0] / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])
    message = rf"{path} is damaged .*; delete it"
    with pytest.raises(InputError, match=message):
        load_model("token_classification", backbone[0], labels=2)
    with pytest.raises(InputError, match=message):
        read_embeddings(backbone[0], WORDS)


def test_embeddings_without_groups_are_loaded(backbone: Backbone, tmp_path: Path) -> None:
    """The embeddings of a model that is aligned or reduced but not grouped."""
    from semantic_tokens.embeddings.matrix import save_embeddings

    folder, original = backbone
    embeddings = embeddings_of(original)[:, :7].contiguous()
    save_embeddings(embeddings, tmp_path / "embeddings.safetensors")
    model = load_model("none", ModelFiles(folder, embeddings=tmp_path / "embeddings.safetensors"))
    assert torch.equal(semantic_embedding(model).weight, embeddings)
    assert torch.equal(semantic_embedding(model).token_to_group, torch.arange(WORDS))


# Options


def test_dropout_is_as_configured(backbone: Backbone) -> None:
    folder, _ = backbone
    for probability in (0.0, 0.35):
        model = load_model("token_classification", folder, labels=3, dropout=probability)
        found = {m.p for m in model.modules() if isinstance(m, torch.nn.Dropout)}
        assert found == {probability}
    kept = load_model("token_classification", folder, labels=3)
    assert {m.p for m in kept.modules() if isinstance(m, torch.nn.Dropout)} == {0.1}


def test_set_dropout_leaves_other_options_unchanged() -> None:
    config = BertConfig(hidden_size=12)
    config.layerdrop, config.dropout_everywhere = 0.2, True
    set_dropout(config, 0.4)
    assert config.hidden_dropout_prob == config.attention_probs_dropout_prob == 0.4
    assert (config.layerdrop, config.dropout_everywhere) == (0.2, True)


def test_attention_implementation_can_be_chosen(backbone: Backbone) -> None:
    folder, _ = backbone
    ids, mask = texts()
    states = []
    for name in ("eager", "sdpa"):
        model = load_model("none", folder, attn_implementation=name)
        assert model.config._attn_implementation == name
        states.append(model(ids, mask)[0][mask == 1])
    torch.testing.assert_close(*states, atol=1e-5, rtol=1e-5)


def test_new_head_depends_on_the_seed(backbone: Backbone) -> None:
    folder, _ = backbone
    first, repeated, other = (
        load_model("token_classification", folder, labels=3, seed=seed).classifier.weight
        for seed in (1, 1, 2)
    )
    assert first.shape == (3, WIDTH)
    assert torch.equal(first, repeated) and not torch.equal(first, other)
