"""Random models of mBERT's shape, their groups, a tokenizer and text, in the workflow's formats."""

from pathlib import Path

import numpy as np
import torch
from safetensors.numpy import save_file
from tokenizers import Tokenizer, models, processors
from transformers import BertConfig, BertForMaskedLM, PreTrainedTokenizerFast

from on_gpu.run import Run
from semantic_tokens.grouping.groups import Groups
from semantic_tokens.modeling.loading import ModelFiles

_SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
#: The languages of the text.
_LANGUAGES = ("deu", "eng")


def write_backbone(run: Run, folder: Path) -> Path:
    """Write a masked language model with random weights, and a tokenizer with one word per id.

    Returns:
        its folder. If it exists, it is not written again.
    """
    folder = folder / "backbone"
    if (folder / "tokenizer.json").is_file():
        return folder
    sizes = run.sizes
    torch.manual_seed(1)
    config = BertConfig(
        vocab_size=sizes.rows,
        hidden_size=sizes.columns,
        num_hidden_layers=sizes.layers,
        num_attention_heads=sizes.heads,
        intermediate_size=sizes.feed_forward,
        pad_token_id=0,
    )
    with run.device:  # the GPU generates them quickly
        model = BertForMaskedLM(config)
    model.save_pretrained(folder)
    words = {name: i for i, name in enumerate(_SPECIAL)}
    words |= {f"w{i}": i for i in range(len(_SPECIAL), sizes.rows)}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="[UNK]"))
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        mask_token="[MASK]",
    ).save_pretrained(folder)
    return folder


def write_groups(run: Run, folder: Path, ratio: float, dimension: int) -> ModelFiles:
    """The backbone of :func:`write_backbone` with random groups of this many rows and columns."""
    backbone = write_backbone(run, folder)
    path = folder / f"groups-{ratio:g}-{dimension}.safetensors"
    if not path.is_file():
        groups = round(run.sizes.rows * ratio)
        generator = torch.Generator().manual_seed(2)
        weight = 0.02 * torch.randn(groups, dimension, generator=generator)
        Groups(torch.arange(run.sizes.rows) % groups, weight).save(path)
    return ModelFiles(backbone, path)


def write_corpus(run: Run, folder: Path, length: int, sequences: int) -> Path:
    """Write packed sequences of random words, with realistic frequencies."""
    path = folder / f"corpus-{length}-{sequences}.safetensors"
    if not path.is_file():
        random = np.random.default_rng(3)
        drawn = {}
        for language in _LANGUAGES:
            ranks = random.zipf(1.2, (sequences // len(_LANGUAGES), length)) % (
                run.sizes.rows - len(_SPECIAL)
            )
            ids = (ranks + len(_SPECIAL)).astype(np.int32)
            ids[:, 0], ids[:, -1] = 2, 3
            drawn[language] = ids
        save_file(drawn, path)
    return path
