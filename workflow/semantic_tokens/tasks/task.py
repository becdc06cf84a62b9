"""The common parts of the five tasks: their interface, padding, and prediction in batches."""

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import nn
from tqdm import tqdm

from semantic_tokens.errors import InputError
from semantic_tokens.modeling.encoders import takes_token_types, token_types
from semantic_tokens.modeling.loading import ModelFiles
from semantic_tokens.tasks.scored_items import ScoredItem
from semantic_tokens.training import Batch

log = logging.getLogger(__name__)

#: The prediction for each item, by the item's id, as plain values.
Predictions = dict[str, Any]

# Tokens per forward pass without gradients on a CPU: few enough to keep a layer's states in the
# cache.
_TOKENS_AT_ONCE = 1024


class Task(Protocol):
    """One task over one tokenised dataset. The kinds of tasks inherit its defaults.

    Attributes:
        metric: the name of the score.
        lengths: the number of tokens of every training example, for batches of similar length.
        labels: the names of the classes, in the order of the model's outputs; empty without classes.
        couples_examples: whether the loss of an example depends on the others of its batch, so that
            the batch must not be split into micro-batches. With several processes, each calls the
            loss, which divides the encoding among them.
        device_batch_size: the number of texts per forward pass if examples are coupled; None for no
            limit.
        seed: the seed of the random draws in each epoch.
        progress: a folder for the progress of a long evaluation; None saves none.
    """

    metric: str
    lengths: Sequence[int]
    labels: Sequence[str] = ()
    couples_examples: bool = False
    device_batch_size: int | None = None
    seed: int = 0
    progress: Path | None = None

    def load_model(self, files: ModelFiles | Path, **options: Any) -> nn.Module:
        """Load a semantic-token model with this task's head.

        Args:
            options: ``seed``, ``dropout`` and ``attn_implementation`` of
                :func:`~semantic_tokens.modeling.loading.load_model`.
        """

    def collate(self, indices: np.ndarray, epoch: int = 0) -> Batch:
        """The padded training examples at these indices, with the random draws of this epoch."""

    def loss(self, model: nn.Module, batch: Batch) -> torch.Tensor:
        """The training loss, a scalar mean over the batch's terms."""

    def terms(self, batch: Batch) -> int:
        """The number of terms (words or examples) in the batch's mean loss."""

    def evaluate(
        self, model: nn.Module, batch_size: int, predictions: Predictions | None = None
    ) -> list[ScoredItem]:
        """Score all items of the evaluation split; the order is arbitrary.

        Args:
            predictions: if given, the prediction for each item is added to it.
        """


def pad(rows: Sequence[Sequence[int]], value: int) -> torch.Tensor:
    """Ragged rows -> [B, longest] int64, filled with ``value`` on the right."""
    longest = max(map(len, rows))
    padded = np.full((len(rows), longest), value, dtype=np.int64)
    for i, row in enumerate(rows):
        padded[i, : len(row)] = row
    return torch.from_numpy(padded)


def model_inputs(
    input_ids: Sequence[Sequence[int]],
    pad_id: int,
    token_type_ids: Sequence[Sequence[int]] | None = None,
) -> Batch:
    """The encoder's arguments for ragged token ids, each [B, longest]."""
    batch = {
        "input_ids": pad(input_ids, pad_id),
        "attention_mask": pad([[1] * len(row) for row in input_ids], 0),
    }
    if token_type_ids is not None:
        batch["token_type_ids"] = pad(token_type_ids, 0)
    return batch


def pair_inputs(rows: Sequence[Mapping[str, Any]], pad_id: int) -> Batch:
    """The encoder's arguments for tokenised pairs of texts, each [B, longest]."""
    return model_inputs(
        [row["input_ids"] for row in rows], pad_id, [row["token_type_ids"] for row in rows]
    )


def outputs(model: nn.Module, batch: Batch) -> Any:
    """The output of a model for :func:`model_inputs`, without token types if the model does not use
    them."""
    if "token_type_ids" in batch and not (
        takes_token_types(model) and token_types(getattr(model, "config", None)) > 1
    ):
        batch = {name: tensor for name, tensor in batch.items() if name != "token_type_ids"}
    return model(**batch)


def batches_of_like_length(
    lengths: Sequence[int], batch_size: int, tokens: int | None = None
) -> Iterator[np.ndarray]:
    """Yield the indices of examples by increasing length, to reduce padding.

    Args:
        lengths: the number of tokens of each example.
        batch_size: the maximum number of examples per batch.
        tokens: the maximum number of tokens per batch, including padding, unless one example has
            more; None for no limit.
    """
    order = np.argsort(np.asarray(lengths), kind="stable")
    start = 0
    while start < len(order):
        end = min(start + batch_size, len(order))
        while (
            tokens is not None
            and end - start > 1
            and ((end - start) * lengths[order[end - 1]] > tokens)
        ):
            end -= 1
        yield order[start:end]
        start = end


@torch.inference_mode()
def predict(
    model: nn.Module,
    lengths: Sequence[int],
    collate: Callable[[np.ndarray], Batch],
    scores: Callable[[nn.Module, Batch], torch.Tensor],
    batch_size: int,
    description: str,
) -> Iterator[tuple[int, np.ndarray]]:
    """Yield ``(index, output)`` for every example, in batches of similar length.

    Args:
        scores: model and batch -> [B, …]; row i is for the i-th example of the batch.
    """
    model.eval()
    device = next(model.parameters()).device
    tokens = _TOKENS_AT_ONCE if device.type == "cpu" else None
    with tqdm(total=len(lengths), desc=description, unit="example", mininterval=2) as progress:
        for indices in batches_of_like_length(lengths, batch_size, tokens):
            batch = {name: tensor.to(device) for name, tensor in collate(indices).items()}
            result = scores(model, batch).float().cpu().numpy()
            yield from zip(indices.tolist(), result, strict=True)
            progress.update(len(indices))
    model.train()


def warn_of_unknown_labels(test: Iterable[str], known: Iterable[str], what: str) -> None:
    """Log which labels of the test data are not among those of the training data."""
    if unknown := sorted(set(test) - set(known)):
        log.warning(
            "the test data have %s that the training data do not have: %s. A model cannot predict "
            "them; check the spelling",
            what,
            ", ".join(unknown),
        )


def of_languages(
    rows: list[dict[str, Any]], languages: Sequence[str] | None
) -> list[dict[str, Any]]:
    """The training rows in the given languages; None for all.

    Raises:
        InputError: there is no such row.
    """
    kept = [row for row in rows if languages is None or row["language"] in languages]
    if not kept:
        raise InputError(
            f"no training example is in {', '.join(languages or ['any language'])}; correct "
            "`training` in the table of experiments (config key `experiments`) or the dataset's "
            "`languages`"
        )
    return kept
