"""Word-embedding matrices on disk."""

from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from semantic_tokens.errors import InputError
from semantic_tokens.files import atomic_file, reading


def load_embeddings(path: str | Path) -> torch.Tensor:
    """Read a matrix of shape [V, D], float32, with one row per subword.

    Raises:
        InputError: it is not a safetensors file, or has no tensor named ``embeddings``.
    """
    with reading(path):
        tensors = load_file(path)
    if "embeddings" not in tensors:
        raise InputError(
            f"{path} contains {sorted(tensors)} and no 'embeddings'; delete it and it will be made again"
        )
    return tensors["embeddings"]


def save_embeddings(embeddings: torch.Tensor, path: str | Path) -> None:
    """Write a [V, D] matrix atomically."""
    with atomic_file(path) as partial:
        save_file({"embeddings": embeddings.contiguous()}, partial)
