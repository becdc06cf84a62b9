"""A backbone and a tokenizer small enough to train in a test."""

import json
import string
from pathlib import Path

import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

from semantic_tokens.encoder import Encoder, SemanticTokenEmbedding, to_checkpoint_names

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
