"""Word-embedding matrices on disk."""

from collections.abc import Iterable
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from semantic_tokens.errors import InputError
from semantic_tokens.files import reading, whole


def load_embeddings(path: str | Path) -> torch.Tensor:
    """Read a matrix of shape [V, D], float32, one row a subword.

    Raises:
        InputError: the file is no safetensors file or holds no tensor named ``embeddings``.
    """
    with reading(path):
        tensors = load_file(path)
    if "embeddings" not in tensors:
        raise InputError(
            f"{path} holds {sorted(tensors)} and no 'embeddings'; delete it to have it made again"
        )
    return tensors["embeddings"]


def save_embeddings(embeddings: torch.Tensor, path: str | Path) -> None:
    """Write a [V, D] matrix, whole or not at all."""
    with whole(path) as partial:
        save_file({"embeddings": embeddings.contiguous()}, partial)


def word_embeddings_key(tensors: Iterable[str], source: str | Path) -> str:
    """The name of the word-embedding matrix among a checkpoint's tensors.

    Raises:
        InputError: there is none.
    """
    for name in tensors:
        if name.endswith("embeddings.word_embeddings.weight"):
            return name
    raise InputError(
        f"{source} holds no tensor named ….embeddings.word_embeddings.weight; only encoders of "
        "the BERT and XLM-R families can be grouped"
    )


def read_word_embeddings(path: str | Path) -> torch.Tensor:
    """The word-embedding matrix of a checkpoint's ``model.safetensors``, [V, D] float32, read
    without the rest."""
    with reading(path), safe_open(path, framework="pt") as file:
        name = word_embeddings_key(file.keys(), path)
        return file.get_tensor(name).float()
