"""The frequencies of subwords in the pretraining corpora."""

from collections.abc import Iterable
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from tqdm import tqdm

from semantic_tokens.errors import InputError
from semantic_tokens.files import atomic_file

_SEQUENCES_AT_ONCE = 65536


def count_subwords(corpora: Iterable[str | Path]) -> torch.Tensor:
    """Count token ids in corpora of :func:`semantic_tokens.tokenization.examples.pack_corpus`.

    Special tokens of the sequences are counted. Tokens after the last complete sequence of a
    language are not in the files, so they are not counted.

    Returns:
        [largest id + 1] int64.
    """
    counts = torch.zeros(0, dtype=torch.int64)
    for path in tqdm(list(corpora), desc="counting subwords", unit="corpus"):
        with safe_open(path, framework="pt") as file:
            for language in file.keys():  # noqa: SIM118 (not a dictionary)
                sequences = file.get_slice(language)
                for start in range(0, sequences.get_shape()[0], _SEQUENCES_AT_ONCE):
                    ids = sequences[start : start + _SEQUENCES_AT_ONCE].flatten()
                    found = ids.bincount(minlength=len(counts))
                    found[: len(counts)] += counts
                    counts = found
    return counts


def save_counts(counts: torch.Tensor, path: str | Path) -> None:
    """Write [n] int64 counts as safetensors, atomically."""
    with atomic_file(path) as partial:
        save_file({"counts": counts}, partial)


def load_counts(path: str | Path, vocabulary_size: int) -> torch.Tensor:
    """Read a file of :func:`save_counts`.

    Returns:
        [vocabulary_size] int64; ids after the largest counted id have count 0.

    Raises:
        InputError: the file has no counts, or counts of ids that the vocabulary lacks.
    """
    try:
        counts = load_file(path)["counts"]
    except (KeyError, SafetensorError) as error:
        raise InputError(
            f"{path} contains no counts of subwords ({error}); delete it and it will be made again"
        ) from error
    if len(counts) > vocabulary_size:
        raise InputError(
            f"{path} counts ids up to {len(counts) - 1}, and the embeddings have "
            f"{vocabulary_size} rows; the backbone's tokenizer and model do not belong together"
        )
    padded = torch.zeros(vocabulary_size, dtype=torch.int64)
    padded[: len(counts)] = counts
    return padded
