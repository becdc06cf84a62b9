"""A backbone, a tokenizer and tasks small enough to train in a test."""

import json
import string
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from semantic_tokens.encoder import Encoder, SemanticTokenEmbedding, to_checkpoint_names
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from torch import nn

from semantic_tokens.files import write_jsonl
from semantic_tokens.tokenization import tokenize_dataset

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
PAD, UNK, CLS, SEP, MASK = range(5)
LETTERS = string.ascii_lowercase + string.digits
WIDTH = 16


def character_tokenizer() -> Tokenizer:
    """BERT's tokenizer with a subword for every letter: ``cat`` is ``c ##a ##t``. Chinese
    characters and punctuation marks are words of their own."""
    pieces = [*SPECIAL, *LETTERS, *(f"##{letter}" for letter in LETTERS), *".,?()-'番茄红色的"]
    tokenizer = Tokenizer(models.WordPiece({p: i for i, p in enumerate(pieces)}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", CLS), ("[SEP]", SEP)],
    )
    tokenizer.add_special_tokens(SPECIAL)
    return tokenizer


def write_model(
    folder: Path, token_to_group: torch.Tensor, dimension: int = WIDTH, seed: int = 0
) -> Path:
    """Write a semantic-token model of BERT's family with one layer, drawn from the seed.

    Args:
        token_to_group: [V] int64.
        dimension: d of the word embeddings, at most :data:`WIDTH`.
    """
    config = {
        "model_type": "bert",
        "hidden_size": WIDTH,
        "layer_norm_eps": 1e-12,
        "pad_token_id": PAD,
        "max_position_embeddings": 64,
        "type_vocab_size": 2,
        "num_attention_heads": 2,
        "intermediate_size": 32,
        "num_hidden_layers": 1,
        "hidden_dropout_prob": 0.1,
    }
    torch.manual_seed(seed)
    weight = torch.randn(int(token_to_group.max()) + 1, dimension)
    encoder = Encoder(config, SemanticTokenEmbedding(token_to_group, weight, WIDTH))
    folder.mkdir(parents=True, exist_ok=True)
    tensors = to_checkpoint_names(encoder.state_dict())
    save_file(
        {f"bert.{name}": tensor.contiguous() for name, tensor in tensors.items()},
        folder / "model.safetensors",
    )
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    return folder


class Rule(nn.Module):
    """A model that answers by a rule: a function of the task's inputs."""

    def __init__(self, rule: Callable[..., torch.Tensor]) -> None:
        super().__init__()
        self.rule = rule
        self.unused = nn.Parameter(torch.zeros(1))  # tells where the model is

    def forward(self, *inputs: torch.Tensor, **named: torch.Tensor) -> torch.Tensor:
        return self.rule(*inputs, **named)


def write_task(
    folder: Path,
    kind: str,
    splits: dict[str, list[dict[str, Any]]],
    tokenization: dict[str, int],
    candidates: dict[str, list[str]] | None = None,
) -> dict[str, Any]:
    """Write a dataset, tokenise it, and return the arguments of ``make_task`` but its options.

    Args:
        splits: canonical examples; for ranking ``passages`` among them.
        candidates: query id -> passage ids, for the two kinds that rank.
    """
    tokenizer = character_tokenizer()
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    for split, examples in splits.items():
        write_jsonl(examples, folder / f"{split}.jsonl")
        if candidates is not None and split != "passages":
            rows = [{"id": row["id"], "candidates": candidates[row["id"]]} for row in examples]
            write_jsonl(rows, folder / "candidates" / f"{split}.jsonl")
    tokenize_dataset(
        "ranking" if candidates is not None else kind,
        [folder / f"{split}.jsonl" for split in splits],
        folder / "tokenizer.json",
        [folder / f"{split}.parquet" for split in splits],
        tokenization,
    )
    return {
        "kind": kind,
        "tokenized": folder,
        "tokenizer": folder / "tokenizer.json",
        "dataset": folder,
        "candidates": None if candidates is None else folder / "candidates",
        "languages": None,
        "evaluation_split": "test",
        "options": {},
    }


def weights_that_matter(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    """All but the keys' biases: softmax does not see them, so that their gradient is rounding
    alone, which Adam makes whole steps of."""
    weights = {name: tensor.detach().clone() for name, tensor in model.named_parameters()}
    for name, tensor in weights.items():
        if name.endswith("in_proj_bias"):
            tensor[len(tensor) // 3 : 2 * len(tensor) // 3] = 0
    return weights
