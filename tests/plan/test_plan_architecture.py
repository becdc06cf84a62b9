"""Operations counted without weights, compared with a count by hand and with torch's count at run
time."""

from pathlib import Path

import pytest
import torch
import transformers as hf
from families import FAMILIES, SmallModel
from tiny import write_model
from torch.utils.flop_counter import FlopCounterMode

from semantic_tokens.errors import InputError
from semantic_tokens.modeling.encoders import open_config
from semantic_tokens.modeling.loading import load_model
from semantic_tokens.modeling.masked_language_modelling import MaskedLanguageModel
from semantic_tokens.plan.architecture import Architecture

pytestmark = pytest.mark.usefixtures("modules_of_checkpoints")


def by_hand(layers: int, hidden: int, feed_forward: int, length: int) -> int:
    """A forward pass of BERT: four square matrices and two wide ones per token, two products of
    attention per pair of tokens, and one pooler."""
    per_token = 2 * layers * (4 * hidden**2 + 2 * hidden * feed_forward)
    attention = layers * 2 * (2 * length**2 * hidden)
    return per_token * length + attention + 2 * hidden**2


@pytest.mark.parametrize("length", [1, 128, 384])
def test_bert_operations_equal_a_count_by_hand(length: int) -> None:
    passes = Architecture.of_shape(12, 768, 3072, 119_547).text(length)
    forward = by_hand(12, 768, 3072, length)
    assert passes.forward == forward
    assert passes.backward == 2 * (forward - 2 * 768**2)  # token states do not use the pooler


def test_parameter_count_equals_that_of_published_mbert() -> None:
    # mBERT has 177,853,440 parameters with its pooler.
    mbert = Architecture.of_config(hf.BertConfig(vocab_size=119_547))
    assert mbert.encoder_parameters + 119_547 * 768 == 177_853_440
    assert (mbert.dimension, mbert.vocabulary) == (768, 119_547)


def test_pretraining_step_equals_the_count_of_torch(tmp_path: Path) -> None:
    groups, dimension, length = 25, 6, 10
    files = write_model(tmp_path / "model", torch.arange(50) // 2, dimension)
    model = MaskedLanguageModel(load_model("masked_language_modelling", files))
    ids = torch.randint(5, 50, (4, length))
    masked = torch.full_like(ids, -100)
    masked[:, ::2] = ids[:, ::2]
    with (
        FlopCounterMode(display=False) as counter,
        torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH),
    ):
        model(ids, masked).backward()
    # torch does not count the head's product that is added in place to the gradient of the
    # embeddings.
    added = 2 * int((masked >= 0).sum()) * groups * dimension
    architecture = Architecture.of_config(open_config(tmp_path / "model"))
    text, head = architecture.text(length), architecture.prediction(groups, dimension)
    pooler = 2 * architecture.dimension**2  # the model with this head has no pooler
    expected = 4 * (text.step - pooler + length / 2 * head.step)
    assert counter.get_total_flops() + added == expected


@pytest.mark.parametrize("small_model", FAMILIES, indirect=True)
def test_encoder_operations_equal_the_count_of_torch(small_model: SmallModel) -> None:
    config = hf.AutoConfig.from_pretrained(small_model.folder, attn_implementation="eager")
    model = hf.AutoModel.from_config(config)
    with FlopCounterMode(display=False) as counter:
        ids = torch.full((1, 16), 5)
        states = model(input_ids=ids, attention_mask=torch.ones_like(ids)).last_hidden_state
        forward = counter.get_total_flops()
        states.sum().backward()
    passes = Architecture.of_config(open_config(small_model.folder)).text(16)
    assert passes.forward == forward
    assert passes.step == counter.get_total_flops()


@pytest.mark.parametrize("small_model", FAMILIES, indirect=True)
def test_head_operations_equal_the_count_of_torch(small_model: SmallModel) -> None:
    """With all subwords as singletons: the full model without its encoder."""
    config = hf.AutoConfig.from_pretrained(small_model.folder, attn_implementation="eager")
    counted, ids = [], torch.full((1, 16), 5)
    for auto_class in (hf.AutoModelForMaskedLM, hf.AutoModel):
        model = auto_class.from_config(config)
        with FlopCounterMode(display=False) as counter:
            model(input_ids=ids, attention_mask=torch.ones_like(ids))
        counted.append(counter.get_total_flops())
    full_model, encoder = counted
    architecture = Architecture.of_config(open_config(small_model.folder))
    head = architecture.prediction(architecture.vocabulary, architecture.dimension)
    pooler = pooler_of(hf.AutoModel.from_config(config))
    assert 16 * head.forward == full_model - (encoder - pooler)


def pooler_of(model: hf.PreTrainedModel) -> int:
    """Operations of an encoder's pooler for one text. Masked language modelling has no pooler."""
    pooler = getattr(model, "pooler", None)
    matrices = [] if pooler is None else [p for p in pooler.parameters() if p.ndim == 2]
    return sum(2 * matrix.numel() for matrix in matrices)


def test_a_family_without_a_head_is_reported() -> None:
    architecture = Architecture.of_config(hf.ViTConfig())
    with pytest.raises(InputError, match="head of masked language modelling for models of type"):
        architecture.prediction(10, 10)


def test_a_length_beyond_the_model_is_reported() -> None:
    architecture = Architecture.of_config(hf.BertConfig(max_position_embeddings=16))
    with pytest.raises(InputError, match="torch cannot count models of type bert"):
        architecture.text(17)
