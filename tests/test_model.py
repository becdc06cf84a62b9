"""The semantic-token model against the classes of transformers, as independent references."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from semantic_tokens.encoder import SemanticTokenEmbedding
from semantic_tokens.model import (
    MaskedLanguageModel,
    assemble,
    export,
    load_encoder,
    load_masked_language_model,
    save_masked_language_model,
    tied_cross_entropy,
)

from semantic_tokens import model as model_module
from semantic_tokens.grouping.groups import groups_of, ungrouped

transformers = pytest.importorskip("transformers")

WORDS, WIDTH = 60, 16


def make_backbone(family, folder):
    torch.manual_seed(0)
    shape = dict(
        vocab_size=WORDS,
        hidden_size=WIDTH,
        num_hidden_layers=3,
        num_attention_heads=4,
        intermediate_size=40,
        max_position_embeddings=40,
        pad_token_id=1,
        initializer_range=0.3,  # far from linear, so that a wrong detail shows
    )
    if family == "bert":
        config = transformers.BertConfig(type_vocab_size=2, **shape)
    else:
        config = transformers.XLMRobertaConfig(type_vocab_size=1, **shape)
    model = transformers.AutoModelForMaskedLM.from_config(config).eval()
    for parameter in model.parameters():
        if parameter.ndim == 1:  # biases and layer norms are drawn constant otherwise
            parameter.data += 0.1 * torch.randn_like(parameter)
    model.tie_weights()
    config.save_pretrained(folder)
    state = {
        n: t
        for n, t in model.state_dict().items()
        if "decoder" not in n and "position_ids" not in n
    }
    save_file({n: t.contiguous().clone() for n, t in state.items()}, folder / "model.safetensors")
    return model


def texts():
    ids = torch.randint(5, WORDS, (4, 12), generator=torch.Generator().manual_seed(3))
    mask = torch.ones_like(ids)
    mask[1, 7:] = 0
    ids[1, 7:] = 1
    return ids, mask


@pytest.fixture(params=["bert", "xlm-roberta"])
def backbone(request, tmp_path):
    folder = tmp_path / "backbone"
    folder.mkdir()
    return folder, make_backbone(request.param, folder)


def word_embeddings(model):
    return model.get_input_embeddings().weight.detach().clone()


def test_every_subword_its_own_group_is_the_original_model(backbone, tmp_path):
    folder, original = backbone
    groups = ungrouped(word_embeddings(original))
    assemble(folder, groups.token_to_group, groups.weight, tmp_path / "model")
    ids, mask = texts()
    expected = original(input_ids=ids, attention_mask=mask, output_hidden_states=True)
    encoder = load_encoder(tmp_path / "model").eval()
    model = load_masked_language_model(tmp_path / "model", seed=0).eval()
    for keep_gradient in (True, False):  # PyTorch computes the two by different kernels
        with torch.set_grad_enabled(keep_gradient):
            hidden = encoder(ids, mask)
            logits = model.logits(model.encoder(ids, mask)[mask == 1])
        torch.testing.assert_close(
            hidden[mask == 1], expected.hidden_states[-1][mask == 1], atol=1e-5, rtol=1e-5
        )
        torch.testing.assert_close(logits, expected.logits[mask == 1], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("places", [[0, 12, 24, 36], [2, 3, 13, 30, 47], []])
def test_the_last_layer_at_some_places_is_that_of_all(backbone, places):
    folder, _ = backbone
    ids, mask = texts()
    chosen = torch.tensor(places, dtype=torch.int64)
    encoder = load_encoder(folder, dropout=0.0)
    outer = torch.randn(len(places), WIDTH, generator=torch.Generator().manual_seed(4))
    for attention_mask in (mask, None):
        found = []
        for states in (
            encoder(ids, attention_mask).flatten(0, 1)[chosen],
            encoder(ids, attention_mask, places=chosen),
        ):
            encoder.zero_grad()
            (states * outer).sum().backward()
            gradients = {name: p.grad for name, p in encoder.named_parameters()}
            found.append((states.detach(), {n: g.clone() for n, g in gradients.items()}))
        (expected, gradients), (ours, our_gradients) = found
        torch.testing.assert_close(ours, expected, atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(our_gradients, gradients, atol=1e-4, rtol=1e-4)
        with torch.inference_mode():
            encoder.eval()
            torch.testing.assert_close(
                encoder(ids, attention_mask, places=chosen), expected, atol=1e-5, rtol=1e-5
            )
        encoder.train()


def test_gradients_are_those_of_the_original_model(backbone, tmp_path):
    folder, original = backbone
    groups = ungrouped(word_embeddings(original))
    assemble(folder, groups.token_to_group, groups.weight, tmp_path / "model")
    ids, _ = texts()
    ids = ids[[0, 2]]
    labels = torch.full_like(ids, -100)
    labels[:, 2:5] = ids[:, 2:5]
    original(input_ids=ids, labels=labels).loss.backward()
    model = load_masked_language_model(tmp_path / "model", seed=0, dropout=0.0)
    model(ids, labels).backward()
    ours = model.encoder.word_embeddings.weight.grad
    theirs = original.get_input_embeddings().weight.grad
    rows = [i for i in range(WORDS) if i != 1]  # transformers masks the padding row's gradient
    torch.testing.assert_close(ours[rows], theirs[rows], atol=1e-5, rtol=1e-4)
    model(ids[:1], labels[:1]).backward()  # a further micro-batch adds to it
    assert model.encoder.word_embeddings.weight.grad.layout == torch.strided
    original(input_ids=ids[:1], labels=labels[:1]).loss.backward()
    ours = model.encoder.word_embeddings.weight.grad
    torch.testing.assert_close(ours[rows], theirs[rows], atol=1e-5, rtol=1e-4)


def test_a_mask_over_text_alone_changes_nothing(backbone, tmp_path):
    folder, _ = backbone
    ids, mask = texts()
    ids = ids[mask.all(dim=1)]
    encoder = load_encoder(folder).eval()
    for keep_gradient in (True, False):
        with torch.set_grad_enabled(keep_gradient):
            assert torch.equal(encoder(ids, torch.ones_like(ids)), encoder(ids))


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="looks into Linux's /proc")
def test_a_loaded_model_does_not_hold_its_file_in_memory(backbone):
    folder, _ = backbone
    model = load_masked_language_model(folder, seed=0)
    assert str(folder / "model.safetensors") not in Path("/proc/self/maps").read_text()
    assert model.encoder.word_embeddings.weight.isfinite().all()


def test_a_grouped_model_is_the_original_with_averaged_rows(backbone, tmp_path):
    folder, original = backbone
    embeddings = word_embeddings(original)
    groups = groups_of(embeddings, torch.arange(WORDS) // 3)
    assemble(folder, groups.token_to_group, groups.weight, tmp_path / "model")
    averaged = embeddings.view(-1, 3, WIDTH).mean(dim=1).repeat_interleave(3, dim=0)
    original.get_input_embeddings().weight.data.copy_(averaged)
    ids, mask = texts()
    expected = original(input_ids=ids, attention_mask=mask, output_hidden_states=True)
    hidden = load_encoder(tmp_path / "model").eval()(ids, mask)
    torch.testing.assert_close(
        hidden[mask == 1], expected.hidden_states[-1][mask == 1], atol=1e-5, rtol=1e-5
    )


def test_export_opens_in_transformers_and_computes_the_same(backbone, tmp_path):
    folder, original = backbone
    embeddings = word_embeddings(original)[:, :6]
    groups = groups_of(embeddings, torch.arange(WORDS) // 2)
    assemble(folder, groups.token_to_group, groups.weight, tmp_path / "model")
    export(tmp_path / "model", folder, tmp_path / "exported")
    plain = transformers.AutoModel.from_pretrained(tmp_path / "exported").eval()
    assert plain.get_input_embeddings().weight.shape == (WORDS, WIDTH)
    ids, mask = texts()
    torch.testing.assert_close(
        load_encoder(tmp_path / "model").eval()(ids, mask)[mask == 1],
        plain(input_ids=ids, attention_mask=mask).last_hidden_state[mask == 1],
        atol=1e-5,
        rtol=1e-5,
    )


def test_what_is_saved_after_training_is_what_was_trained(backbone, tmp_path):
    folder, original = backbone
    groups = groups_of(word_embeddings(original), torch.arange(WORDS) // 2)
    assemble(folder, groups.token_to_group, groups.weight, tmp_path / "model")
    model = load_masked_language_model(tmp_path / "model", seed=0)
    for parameter in model.parameters():
        parameter.data += 0.01
    save_masked_language_model(model, tmp_path / "model", tmp_path / "trained")
    again = load_masked_language_model(tmp_path / "trained", seed=1)
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, again.state_dict()[name]), name
    carried = set(load_file(tmp_path / "model/model.safetensors"))
    assert carried == set(load_file(tmp_path / "trained/model.safetensors"))


def test_a_backbone_without_a_head_gets_one_and_keeps_it(backbone, tmp_path):
    folder, _ = backbone
    tensors = load_file(folder / "model.safetensors")
    headless = {n: t for n, t in tensors.items() if not n.startswith(("cls.", "lm_head."))}
    assert len(headless) < len(tensors)
    save_file(headless, folder / "model.safetensors")
    model = load_masked_language_model(folder, seed=5)
    assert float(model.dense.weight.detach().std()) == pytest.approx(0.02, rel=0.2)
    save_masked_language_model(model, folder, folder)
    assert torch.equal(load_masked_language_model(folder, seed=6).dense.weight, model.dense.weight)


def test_padding_columns_stay_zero_through_training(backbone, tmp_path):
    folder, original = backbone
    groups = ungrouped(word_embeddings(original)[:, :5].contiguous())
    assemble(folder, groups.token_to_group, groups.weight, tmp_path / "model")
    model = load_masked_language_model(tmp_path / "model", seed=0)
    before = model.encoder.word_embeddings.weight.detach().clone()
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
    ids, _ = texts()
    for _ in range(5):
        model(ids, torch.where(torch.rand(ids.shape) < 0.5, ids, -100)).backward()
        optimizer.step()
        optimizer.zero_grad()
    embedded = model.encoder.word_embeddings(torch.arange(WORDS))
    assert embedded.shape == (WORDS, WIDTH)
    assert not torch.equal(embedded[:, :5], before)
    assert torch.count_nonzero(embedded[:, 5:]) == 0
    save_masked_language_model(model, tmp_path / "model", tmp_path / "trained")
    assert load_encoder(tmp_path / "trained").word_embeddings.weight.shape == (WORDS, 5)


def test_only_masked_positions_decide_the_loss():
    config = {
        "model_type": "bert", "hidden_size": 8, "layer_norm_eps": 1e-12, "pad_token_id": 0,
        "max_position_embeddings": 12, "type_vocab_size": 1, "num_attention_heads": 2,
        "intermediate_size": 16, "num_hidden_layers": 1,
    }  # fmt: skip
    from semantic_tokens.encoder import Encoder

    torch.manual_seed(0)
    embedding = SemanticTokenEmbedding(torch.tensor([0, 1, 1, 2]), torch.randn(3, 8), 8)
    model = MaskedLanguageModel(Encoder(config, embedding)).eval()
    ids = torch.tensor([[0, 1, 2, 3]])
    one = model(ids, torch.tensor([[-100, 1, -100, -100]]))
    same_group = model(ids, torch.tensor([[-100, 2, -100, -100]]))
    assert torch.equal(one, same_group)  # subwords 1 and 2 are one semantic token
    everywhere = torch.nn.functional.cross_entropy(
        model.logits(model.encoder(ids)[0]), embedding.token_to_group[ids[0]], reduction="none"
    )
    torch.testing.assert_close(one, everywhere[1])


@pytest.mark.parametrize("at_once", [1, 50, 10**6])
@pytest.mark.parametrize("scale", [1.0, 1024.0])
def test_the_loss_by_parts_is_that_of_all_logits(at_once, scale, monkeypatch):
    monkeypatch.setattr(model_module, "_LOGITS_AT_ONCE", at_once)
    generator = torch.Generator().manual_seed(1)
    shapes = [(23, 6), (17, 6), (17,)]
    groups = torch.randint(17, (23,), generator=generator)
    ours = [torch.randn(s, generator=generator, requires_grad=True) for s in shapes]
    theirs = [tensor.detach().double().requires_grad_() for tensor in ours]
    loss = tied_cross_entropy(*ours, groups)
    expected = torch.nn.functional.cross_entropy(
        torch.nn.functional.linear(theirs[0], theirs[1], theirs[2]), groups
    )
    torch.testing.assert_close(loss.double(), expected, rtol=1e-5, atol=1e-6)
    (loss * scale).backward()
    (expected * scale).backward()
    for found, wanted in zip(ours, theirs, strict=True):
        torch.testing.assert_close(found.grad.double(), wanted.grad, rtol=1e-5, atol=1e-6 * scale)


def test_the_loss_by_parts_is_that_of_all_logits_in_bfloat16():
    generator = torch.Generator().manual_seed(1)
    states, weight = (torch.randn(n, 8, generator=generator) for n in (12, 30))
    bias, groups = torch.zeros(30), torch.randint(30, (12,), generator=generator)
    ours = [tensor.clone().requires_grad_() for tensor in (states, weight, bias)]
    theirs = [tensor.clone().requires_grad_() for tensor in (states, weight, bias)]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = tied_cross_entropy(*ours, groups)
        logits = torch.nn.functional.linear(*theirs).float()
        expected = torch.nn.functional.cross_entropy(logits, groups)
    torch.testing.assert_close(loss, expected)
    loss.backward()
    expected.backward()
    for found, wanted in zip(ours, theirs, strict=True):
        assert found.grad.dtype == torch.float32
        torch.testing.assert_close(found.grad, wanted.grad, atol=5e-3, rtol=5e-2)


def test_the_loss_without_gradients_is_the_same():
    states, weight, bias = torch.randn(4, 3), torch.randn(5, 3), torch.randn(5)
    groups = torch.tensor([0, 4, 2, 2])
    with torch.no_grad():
        loss = tied_cross_entropy(states, weight, bias, groups)
    expected = torch.nn.functional.cross_entropy(states @ weight.T + bias, groups)
    torch.testing.assert_close(loss, expected)
