"""A backbone, a tokenizer and tasks that are small enough for training in a test."""

import string
from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from tokenizers import (
    ByteLevelBPETokenizer,
    Tokenizer,
    models,
    normalizers,
    pre_tokenizers,
    processors,
)
from torch import nn
from transformers import BertConfig, BertForMaskedLM, PreTrainedTokenizerFast
from transformers.utils import ModelOutput

from semantic_tokens.grouping.groups import Groups
from semantic_tokens.json_files import write_jsonl
from semantic_tokens.modeling.loading import ModelFiles
from semantic_tokens.tokenization.examples import tokenize_dataset
from semantic_tokens.tokenization.vocabulary import unigram_tokenizer

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
PAD, UNK, CLS, SEP, MASK = range(5)
LETTERS = string.ascii_lowercase + string.digits
WIDTH = 16


def character_tokenizer() -> PreTrainedTokenizerFast:
    """BERT's tokenizer with one subword per letter: ``cat`` is ``c ##a ##t``. Chinese characters
    and punctuation marks are separate words."""
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
    return with_bert_special_tokens(tokenizer)


def with_bert_special_tokens(backend: Tokenizer) -> PreTrainedTokenizerFast:
    """The tokenizer with BERT's names for padding, unknown, start, end and mask."""
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        mask_token="[MASK]",
    )


def sentencepiece_tokenizer() -> PreTrainedTokenizerFast:
    """XLM-R's tokenizer with letters and a few words."""
    special = [(token, 0.0) for token in ("<s>", "<pad>", "</s>", "<unk>")]
    letters = [(letter, -5.0) for letter in "▁abcdefghijklmnopqrstuvwxyz.,?番茄红色的"]
    words = [("▁red", -1.0), ("▁tomato", -1.0), ("es", -2.0)]
    return unigram_tokenizer([*special, *letters, *words, ("<mask>", 0.0)])


def byte_level_tokenizer(*, add_prefix_space: bool = False) -> PreTrainedTokenizerFast:
    """RoBERTa's kind of tokenizer: byte-level BPE, with merges for a few words."""
    trained = ByteLevelBPETokenizer(add_prefix_space=add_prefix_space)
    trained.train_from_iterator(
        ["house haus maison tree baum red rot"] * 5 + ["the house the tree the öl tomato"] * 5,
        vocab_size=400,
        min_frequency=1,
        special_tokens=["<s>", "<pad>", "</s>", "<unk>", "<mask>"],
        show_progress=False,
    )
    trained._tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>",
        pair="<s> $A </s> </s> $B </s>",
        special_tokens=[("<s>", 0), ("</s>", 2)],
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=trained._tokenizer,
        bos_token="<s>",
        eos_token="</s>",
        cls_token="<s>",
        sep_token="</s>",
        pad_token="<pad>",
        unk_token="<unk>",
        mask_token="<mask>",
    )


def write_model(
    folder: Path, token_to_group: torch.Tensor, dimension: int = WIDTH, seed: int = 0
) -> ModelFiles:
    """Write a random BERT backbone with one layer, and its groups.

    Args:
        token_to_group: [V] int64, numbered by the groups' smallest members.
        dimension: d of the word embeddings, at most :data:`WIDTH`.
    """
    torch.manual_seed(seed)
    config = BertConfig(
        vocab_size=len(token_to_group),
        hidden_size=WIDTH,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=64,
        pad_token_id=PAD,
        initializer_range=0.15,  # far from linear, so that errors are visible
    )
    model = BertForMaskedLM(config)
    weight = torch.randn(int(token_to_group.max()) + 1, dimension)
    model.save_pretrained(folder)
    character_tokenizer().save_pretrained(folder)
    Groups(token_to_group, weight).save(folder / "groups.safetensors")
    return ModelFiles(folder, folder / "groups.safetensors")


class Rule(nn.Module):
    """A model that computes its output by a rule.

    Args:
        rule: a function from the inputs to a tensor, or to tensors by name.
        output: the name of a single tensor in the output of transformers' model.
    """

    def __init__(
        self,
        rule: Callable[..., torch.Tensor | Mapping[str, torch.Tensor]],
        output: str = "logits",
    ) -> None:
        super().__init__()
        self.rule, self.output = rule, output
        self.config = SimpleNamespace(type_vocab_size=2)
        self.unused = nn.Parameter(torch.zeros(1))  # has the device of the model

    def forward(
        self,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor,
        token_type_ids: torch.Tensor | None = None,
    ) -> ModelOutput:
        types = {} if token_type_ids is None else {"token_type_ids": token_type_ids}
        answer = self.rule(input_ids=input_ids, attention_mask=attention_mask, **types)
        return ModelOutput(answer if isinstance(answer, Mapping) else {self.output: answer})


def write_task(
    folder: Path,
    kind: str,
    splits: dict[str, list[dict[str, Any]]],
    tokenization: dict[str, int],
    candidates: dict[str, list[str]] | None = None,
) -> dict[str, Any]:
    """Write a dataset, tokenise it, and return the arguments of ``make_task`` without its options.

    Args:
        splits: canonical examples, and ``passages`` for ranking.
        candidates: query id -> passage ids, for ranking.
    """
    tokenizer = character_tokenizer()
    tokenizer.save_pretrained(folder)
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
    """All weights except the keys' biases. These do not affect softmax, so their gradient is only
    rounding, from which Adam makes full steps."""
    weights = {name: tensor.detach().clone() for name, tensor in model.named_parameters()}
    for name, tensor in weights.items():
        if name.endswith("key.bias"):
            tensor.zero_()
    return weights
