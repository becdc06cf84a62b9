"""The semantic-token embedding, its loss over groups in parts, and training without unused rows."""

import pytest
import torch
from torch import nn
from transformers import BertConfig, BertForMaskedLM, CanineConfig, CanineModel

from semantic_tokens.errors import InputError
from semantic_tokens.modeling import cross_entropy as embedding_module
from semantic_tokens.modeling.cross_entropy import cross_entropy_in_parts
from semantic_tokens.modeling.embedding import (
    SemanticTokenEmbedding,
    expand_to_subwords,
    semantic_embedding,
    use_semantic_tokens,
)
from semantic_tokens.modeling.export import make_plain
from semantic_tokens.modeling.vocabulary_layers import plain_input_embedding

# The loss in parts


@pytest.mark.parametrize("has_bias", [True, False])
@pytest.mark.parametrize("at_once", [1, 50, 10**6])
@pytest.mark.parametrize("scale", [1.0, 1024.0])
def test_loss_in_parts_equals_the_loss_over_all_logits(at_once, scale, has_bias, monkeypatch):
    """Also with a scaled loss, as in fp16, and with a number of rows that the parts do not divide."""
    monkeypatch.setattr(embedding_module, "_LOGITS_AT_ONCE", at_once)
    generator = torch.Generator().manual_seed(0)
    groups = torch.randint(30, (17,), generator=generator)
    shapes = [(17, 8), (30, 8), (30,)][: 3 if has_bias else 2]
    inputs = [torch.randn(s, generator=generator, requires_grad=True) for s in shapes]
    reference_inputs = [value.detach().double().requires_grad_() for value in inputs]
    bias = inputs[2] if has_bias else None
    loss = cross_entropy_in_parts(inputs[0], inputs[1], bias, groups)
    expected = nn.functional.cross_entropy(nn.functional.linear(*reference_inputs), groups)
    torch.testing.assert_close(loss.double(), expected, rtol=1e-5, atol=1e-6)
    (loss * scale).backward()
    (expected * scale).backward()
    for tensor_in_parts, reference in zip(inputs, reference_inputs, strict=True):
        torch.testing.assert_close(
            tensor_in_parts.grad.double(), reference.grad, rtol=1e-5, atol=1e-6 * scale
        )


def test_loss_in_parts_equals_the_loss_over_all_logits_in_bfloat16():
    generator = torch.Generator().manual_seed(1)
    states, weight = (torch.randn(n, 8, generator=generator) for n in (12, 30))
    bias, groups = torch.zeros(30), torch.randint(30, (12,), generator=generator)
    inputs = [tensor.clone().requires_grad_() for tensor in (states, weight, bias)]
    reference_inputs = [tensor.clone().requires_grad_() for tensor in (states, weight, bias)]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = cross_entropy_in_parts(*inputs, groups)
        logits = nn.functional.linear(*reference_inputs).float()
        expected = nn.functional.cross_entropy(logits, groups)
    torch.testing.assert_close(loss, expected)
    loss.backward()
    expected.backward()
    for tensor_in_parts, reference in zip(inputs, reference_inputs, strict=True):
        assert tensor_in_parts.grad.dtype == torch.float32
        torch.testing.assert_close(tensor_in_parts.grad, reference.grad, atol=5e-3, rtol=5e-2)


def test_loss_in_parts_keeps_small_probabilities_in_float16(monkeypatch):
    """The scale of the loss must be applied before the errors become half precision."""
    monkeypatch.setattr(embedding_module, "_LOGITS_AT_ONCE", 100)
    generator = torch.Generator().manual_seed(1)
    states, weight = (torch.randn(n, 8, generator=generator) for n in (12, 30))
    bias, groups = torch.zeros(30), torch.randint(15, (12,), generator=generator)
    bias[15:] = -18.0  # probabilities of about 1e-9
    found = []
    for scale in (65536.0, None):
        inputs = [tensor.clone().requires_grad_() for tensor in (states, weight, bias)]
        with torch.autocast("cpu", dtype=torch.float16, enabled=scale is not None):
            loss = cross_entropy_in_parts(*inputs, groups)
        (loss * (scale or 1)).backward()
        found.append([loss, *(tensor.grad / (scale or 1) for tensor in inputs)])
    for half, full in zip(*found, strict=True):
        torch.testing.assert_close(half, full, atol=2e-3, rtol=1e-2)
    rows, expected = (gradients[2][15:] for gradients in found)
    assert ((rows - expected).norm(dim=1) < 0.1 * expected.norm(dim=1)).all()


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_loss_in_parts_is_the_same_without_gradients(mode, monkeypatch):
    """Nothing is computed for them, also if the weights are parameters."""
    weight, bias = (nn.Parameter(torch.randn(shape)) for shape in ((5, 3), (5,)))
    states, groups = torch.randn(4, 3), torch.tensor([0, 4, 2, 2])
    monkeypatch.setattr(torch.Tensor, "addmm_", None)
    with mode():
        loss = cross_entropy_in_parts(states, weight, bias, groups)
    expected = nn.functional.cross_entropy(states @ weight.T + bias, groups)
    torch.testing.assert_close(loss, expected)


# From groups to subwords


def test_groups_are_expanded_to_rows_and_columns():
    values, groups = torch.tensor([[1.0, 2.0], [3.0, 4.0]]), torch.tensor([0, 1, 0])
    expected = torch.tensor([[1, 2, 0], [3, 4, 0], [1, 2, 0], [0, 0, 0]]).float()
    assert torch.equal(expand_to_subwords(values, groups, torch.Size([4, 3])), expected)
    assert expand_to_subwords(values[:, 0], groups, torch.Size([4])).tolist() == [1, 3, 1, 0]


# The embedding


def test_lookup_returns_the_group_vector_padded_with_zeros():
    embedding = SemanticTokenEmbedding(torch.tensor([0, 1, 0]), torch.tensor([[1.0], [2.0]]), 3)
    assert embedding(torch.tensor([[2, 1]])).tolist() == [[[1, 0, 0], [2, 0, 0]]]


def train_rows(kept: list[int] | None) -> torch.Tensor:
    """The weight after three steps over subwords 1, 2 and 5."""
    weight = torch.randn(5, 4, generator=torch.Generator().manual_seed(3))
    embedding = SemanticTokenEmbedding(torch.tensor([0, 1, 1, 2, 3, 4]), weight, 6)
    if kept is not None:
        embedding.keep_only(torch.tensor(kept))
        assert len(embedding.weight) == 3
    optimizer = torch.optim.AdamW(embedding.parameters(), lr=0.1, weight_decay=0.0)
    for _ in range(3):
        embedding(torch.tensor([1, 2, 5])).square().sum().backward()
        optimizer.step()
        optimizer.zero_grad()
    if kept is not None:
        embedding.restore()
    assert torch.equal(embedding.token_to_group, torch.tensor([0, 1, 1, 2, 3, 4]))
    return embedding.weight.data


def test_training_without_unused_rows_gives_the_same_weights():
    assert torch.equal(train_rows([0, 1, 2, 5]), train_rows(None))


def test_lookup_of_a_removed_row_is_an_error():
    embedding = SemanticTokenEmbedding(torch.arange(4), torch.randn(4, 2), 2)
    embedding.keep_only(torch.tensor([0, 3]))
    with pytest.raises(IndexError):
        embedding(torch.tensor([1]))


# In a model


def tiny_bert(**change) -> BertForMaskedLM:
    shape = dict(hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=8)
    torch.manual_seed(0)
    return BertForMaskedLM(BertConfig(vocab_size=12, **shape | change))


@pytest.mark.parametrize("ties", [True, False])
def test_decoder_is_tied_like_the_original_or_averaged(ties):
    model = tiny_bert(tie_word_embeddings=ties)
    nn.init.normal_(model.cls.predictions.decoder.bias)
    decoder = model.get_output_embeddings()
    before, bias = decoder.weight.detach().clone(), decoder.bias.detach().clone()
    groups = torch.arange(12) // 3
    use_semantic_tokens(model, groups, torch.randn(4, 8))
    embedding, decoder = semantic_embedding(model), model.get_output_embeddings()
    assert (decoder.weight is embedding.weight) == ties
    if not ties:
        torch.testing.assert_close(decoder.weight.data, before.view(4, 3, 8).mean(dim=1))
    torch.testing.assert_close(decoder.bias.data, bias.view(4, 3).mean(dim=1))
    assert model.cls.predictions.bias is decoder.bias  # with both names


def test_padding_rows_of_the_embedding_have_no_group():
    """For example, in a matrix that was padded to a multiple of 64."""
    model = tiny_bert()
    rows = model.get_input_embeddings().weight.data.clone()
    use_semantic_tokens(model, torch.arange(10), rows[:10])
    ids = torch.randint(10, (2, 5))
    assert model(input_ids=ids).logits.shape[-1] == 10


@pytest.mark.parametrize("ties", [True, False])
def test_export_keeps_padding_rows_and_gives_them_no_probability(ties):
    model = tiny_bert(tie_word_embeddings=ties)
    nn.init.constant_(model.cls.predictions.decoder.bias, -3.0)  # as in a trained head
    padding = [
        layer.weight.data[10:].clone()
        for layer in (model.get_input_embeddings(), model.get_output_embeddings())
    ]
    use_semantic_tokens(model, torch.arange(10) // 2, torch.randn(5, 8))
    make_plain(model)
    for rows, layer in zip(
        padding, (model.get_input_embeddings(), model.get_output_embeddings()), strict=True
    ):
        assert torch.equal(layer.weight.data[10:], rows)
    found = model(input_ids=torch.arange(10)[None]).logits.half().float().softmax(dim=-1)
    assert found.shape[-1] == 12 and not found[..., 10:].any()


@pytest.mark.parametrize("subwords, columns", [(13, 8), (12, 9)])
def test_groups_of_another_model_are_refused(subwords, columns):
    groups, weight = torch.arange(subwords) // 2, torch.randn((subwords + 1) // 2, columns)
    with pytest.raises(InputError, match=r"12 × 8; delete the groups"):
        use_semantic_tokens(tiny_bert(), groups, weight)


def test_a_model_without_an_embedding_of_subwords_is_refused():
    config = CanineConfig(
        hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=8
    )
    with pytest.raises(InputError, match="CanineModel has no plain embedding of subwords"):
        plain_input_embedding(CanineModel(config))


def test_training_leaves_missing_columns_zero():
    model = tiny_bert(hidden_dropout_prob=0.0)
    use_semantic_tokens(model, torch.arange(12) // 2, torch.randn(6, 5))
    embedding = semantic_embedding(model)
    before = embedding.weight.detach().clone()
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
    for _ in range(5):
        ids = torch.randint(12, (2, 6))
        logits = model(input_ids=ids).logits
        nn.functional.cross_entropy(logits.flatten(0, 1), (ids // 2).flatten()).backward()
        optimizer.step()
        optimizer.zero_grad()
    embedded = embedding(torch.arange(12))
    assert embedded.shape == (12, 8)
    assert not torch.equal(embedding.weight.detach(), before)
    assert torch.count_nonzero(embedded[:, 5:]) == 0
