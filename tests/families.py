"""Small models of many families of encoders, from random weights."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers as hf
from tiny import byte_level_tokenizer, character_tokenizer, sentencepiece_tokenizer

from semantic_tokens.grouping.groups import groups_of, ungrouped
from semantic_tokens.modeling.encoders import (
    read_embeddings,
)
from semantic_tokens.modeling.loading import ModelFiles
from semantic_tokens.tokenization.vocabulary import (
    special_ids,
)

SHAPE = {
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "max_position_embeddings": 66,
    "initializer_range": 0.2,
}
WORDPIECE, UNIGRAM, BYTES = character_tokenizer, sentencepiece_tokenizer, byte_level_tokenizer
#: Rows of the embedding after the tokenizer's last id.
PADDING_ROWS = 3


def shape(*without: str, **more: Any) -> dict[str, Any]:
    return {key: value for key, value in SHAPE.items() if key not in without} | more


@dataclass(frozen=True)
class Family:
    """The small model of a family.

    Attributes:
        config: the class of its configuration.
        options: options of the configuration, without the vocabulary size and the special ids.
        tokenizer: a function that makes its tokenizer.
        numbers: the recorded result of :func:`numbers_of`.
    """

    config: type[hf.PreTrainedConfig]
    options: dict[str, Any]
    tokenizer: Callable[[], hf.PreTrainedTokenizerFast]
    numbers: tuple[float, float, float, float] = (0, 0, 0, 0)


FAMILIES = {
    "bert": Family(hf.BertConfig, shape(), WORDPIECE, (-0.2427, 0.7131, -0.0105, 0.5406)),
    "xlm-r": Family(
        hf.XLMRobertaConfig, shape(type_vocab_size=1), UNIGRAM, (-0.8203, -0.0011, -0.858, 0.5802)
    ),
    "roberta": Family(
        hf.RobertaConfig, shape(type_vocab_size=1), BYTES, (0.2965, 0.5829, -0.2479, 0.5151)
    ),
    "distilbert": Family(
        hf.DistilBertConfig,
        dict(dim=16, n_layers=2, n_heads=2, hidden_dim=32, max_position_embeddings=66),
        WORDPIECE,
        (0.9582, -0.4205, 0.6803, 0.4387),
    ),
    "electra": Family(
        hf.ElectraConfig, shape(embedding_size=8), WORDPIECE, (0.7613, -0.7523, -0.4308, 0.6656)
    ),
    "albert": Family(
        hf.AlbertConfig, shape(embedding_size=8), UNIGRAM, (0.9387, -1.2937, 0.436, 0.9702)
    ),
    "mpnet": Family(hf.MPNetConfig, shape(), WORDPIECE, (0.162, 0.084, 0.2908, 0.4645)),
    "modernbert": Family(hf.ModernBertConfig, shape(), BYTES, (0.352, -0.103, 0.7048, 0.4456)),
    "deberta-v2": Family(hf.DebertaV2Config, shape(), UNIGRAM, (-0.3911, -0.6239, 0.9922, 0.4214)),
    "rembert": Family(
        hf.RemBertConfig,
        shape(input_embedding_size=8, output_embedding_size=24),
        UNIGRAM,
        (0.8945, 0.1826, -1.1968, 0.3866),
    ),
    "eurobert": Family(hf.EuroBertConfig, shape(), BYTES, (-0.6741, -0.2259, -0.0321, 0.2207)),
    "camembert": Family(
        hf.CamembertConfig, shape(type_vocab_size=1), UNIGRAM, (-0.8203, -0.0011, -0.858, 0.5802)
    ),
    "convbert": Family(
        hf.ConvBertConfig, shape(embedding_size=8), WORDPIECE, (0.2191, -0.8535, 0.0489, 0.6013)
    ),
    "xlm": Family(
        hf.XLMConfig,
        dict(emb_dim=16, n_layers=2, n_heads=2, max_position_embeddings=66, n_langs=1),
        WORDPIECE,
        (1.0999, 0.0886, 0.4402, 0.652),
    ),
    "ernie": Family(hf.ErnieConfig, shape(), WORDPIECE, (-0.458, -0.2157, -0.8937, 0.4385)),
    "roformer": Family(
        hf.RoFormerConfig, shape(embedding_size=8), WORDPIECE, (0.6874, 0.0132, -1.0551, 0.7313)
    ),
    "longformer": Family(
        hf.LongformerConfig,
        shape(attention_window=4, type_vocab_size=1),
        BYTES,
        (-0.2295, 0.5865, -0.2095, 0.4804),
    ),
    "xlm-r-xl": Family(
        hf.XLMRobertaXLConfig, shape(type_vocab_size=1), UNIGRAM, (-0.1255, 0.0523, 0.5884, 0.3528)
    ),
}
TEXTS = ["a red tomato, the house", "red tomatoes", "the baum"]


@dataclass(frozen=True)
class SmallModel:
    """A family's model on disk, saved by transformers."""

    name: str
    folder: Path
    tokenizer: hf.PreTrainedTokenizerFast
    padding_rows: int

    @property
    def subwords(self) -> int:
        return len(self.tokenizer)

    @property
    def ids(self) -> torch.Tensor:
        """[3, 16], with the special tokens of a pair."""
        generator = torch.Generator().manual_seed(1)
        ids = torch.randint(5, self.subwords, (3, 16), generator=generator)
        ids[:, [7, 8, 15]] = self.tokenizer.sep_token_id  # Longformer looks for them
        return ids

    def files(self, folder: Path, per_group: int = 1, dimension: int | None = None) -> ModelFiles:
        """The backbone with neighbours in groups of this size. Special tokens are singletons."""
        embeddings = read_embeddings(self.folder, self.subwords)[:, :dimension].contiguous()
        if per_group == 1:
            groups = ungrouped(embeddings)
        else:
            labels = torch.arange(self.subwords) // per_group
            special = torch.tensor(special_ids(self.tokenizer))
            labels[special] = self.subwords + special
            groups = groups_of(embeddings, labels)
        groups.save(folder / "groups.safetensors")
        return ModelFiles(self.folder, folder / "groups.safetensors")


def set_weights_by_formula(model: hf.PreTrainedModel) -> None:
    """Weights that do not depend on a generator of random numbers."""
    for number, (name, tensor) in enumerate(sorted(model.named_parameters())):
        phases = torch.arange(tensor.numel(), dtype=torch.float64) * 1.7 + number
        values = 0.3 * torch.sin(phases).reshape(tensor.shape)
        is_scale = tensor.ndim == 1 and "norm" in name.lower() and name.endswith("weight")
        tensor.data.copy_(values + 1 if is_scale else values)


def save_small_model(name: str, folder: Path) -> SmallModel:
    family = FAMILIES[name]
    tokenizer = family.tokenizer()
    ids = {
        "pad_token_id": tokenizer.pad_token_id,
        "bos_token_id": tokenizer.cls_token_id,
        "eos_token_id": tokenizer.sep_token_id,
        "cls_token_id": tokenizer.cls_token_id,
        "sep_token_id": tokenizer.sep_token_id,
    }
    rows = 0 if name == "bert" else PADDING_ROWS
    if name == "xlm":
        ids = {"pad_index": tokenizer.pad_token_id, "pad_token_id": tokenizer.pad_token_id}
    config = family.config(vocab_size=len(tokenizer) + rows, **ids, **family.options)
    model = hf.AutoModelForMaskedLM.from_config(config).eval()
    set_weights_by_formula(model)
    model.tie_weights()
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return SmallModel(name, folder, tokenizer, rows)


@pytest.fixture(scope="module", params=FAMILIES)
def small_model(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> SmallModel:
    return save_small_model(request.param, tmp_path_factory.mktemp(request.param) / "original")


@pytest.fixture
def modules_of_checkpoints(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The folder into which transformers copies the Python files of a checkpoint."""
    for module in (hf.dynamic_module_utils, hf.utils.hub):
        monkeypatch.setattr(module, "HF_MODULES_CACHE", str(tmp_path / "modules"), raising=False)
