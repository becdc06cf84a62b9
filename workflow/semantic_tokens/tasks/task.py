"""What the five tasks share: their face, padding, and prediction in batches."""

from collections.abc import Callable, Iterator, Sequence
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

#: What a model says of each item, by the item's id, as plain values.
Predictions = dict[str, Any]

# Of a forward pass without gradients on a CPU: few enough that a layer's states stay in the cache.
_TOKENS_AT_ONCE = 1024


class Task(Protocol):
    """One task over one tokenised dataset; the kinds of tasks inherit its defaults.

    Attributes:
        metric: the name of its score.
        lengths: tokens of every training example, for batches of like length.
        couples_examples: whether the loss of an example looks at the others of its batch, so
            that the batch may not be cut into micro-batches. Under several processes its loss
            is called in each, and divides the encoding among them.
        device_batch_size: texts per forward pass where they are coupled; None is no limit.
        seed: decides what a task draws anew in each epoch.
        progress: a folder that keeps how far a long evaluation has come; None keeps nothing.
    """

    metric: str
    lengths: Sequence[int]
    couples_examples: bool = False
    device_batch_size: int | None = None
    seed: int = 0
    progress: Path | None = None

    def load_model(self, files: ModelFiles | Path, **options: Any) -> nn.Module:
        """A semantic-token model below this task's head.

        Args:
            options: ``seed``, ``dropout`` and ``attn_implementation`` of
                :func:`~semantic_tokens.modeling.loading.load_model`.
        """

    def collate(self, indices: np.ndarray, epoch: int = 0) -> Batch:
        """The training examples at these indices, padded, with what is drawn in this epoch."""

    def loss(self, model: nn.Module, batch: Batch) -> torch.Tensor:
        """The training loss, a scalar mean over the batch's terms."""

    def terms(self, batch: Batch) -> int:
        """How many terms, words or examples, the batch's loss is the mean of."""

    def evaluate(
        self, model: nn.Module, batch_size: int, predictions: Predictions | None = None
    ) -> list[ScoredItem]:
        """Every item of the evaluated split, scored, in any order.

        Args:
            predictions: if given, what the model says of each item is put into it.
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


def outputs(model: nn.Module, batch: Batch) -> Any:
    """What a model makes of :func:`model_inputs`. Token types are left out for a model that does
    not tell them apart."""
    if "token_type_ids" in batch and not (
        takes_token_types(model) and token_types(getattr(model, "config", None)) > 1
    ):
        batch = {name: tensor for name, tensor in batch.items() if name != "token_type_ids"}
    return model(**batch)


def batches_of_like_length(
    lengths: Sequence[int], batch_size: int, tokens: int | None = None
) -> Iterator[np.ndarray]:
    """Yield the examples' indices by rising length, so that little is padded.

    Args:
        lengths: tokens of each example.
        batch_size: examples of a batch at the most.
        tokens: of a batch at the most, padding included, unless one example has more; None is
            no limit.
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
    """Yield ``(index, output)`` for every example, batched by length so that little is padded.

    Args:
        scores: model and batch -> [B, …]; row i belongs to the i-th example of the batch.
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


def of_languages(
    rows: list[dict[str, Any]], languages: Sequence[str] | None
) -> list[dict[str, Any]]:
    """The training rows in the languages that are trained on; None is all of them.

    Raises:
        InputError: none is left.
    """
    kept = [row for row in rows if languages is None or row["language"] in languages]
    if not kept:
        raise InputError(
            f"no training example is in {languages or 'any language'}; fix the experiment's "
            "`training` or the dataset's `languages`"
        )
    return kept
