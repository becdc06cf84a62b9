"""Sentence-pair classification (natural language inference): accuracy."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from semantic_tokens.modeling.loading import ModelFiles, load_model
from semantic_tokens.modeling.pooling import MeanPooledClassifier
from semantic_tokens.tasks.scored_items import ScoredItem
from semantic_tokens.tasks.task import (
    Predictions,
    Task,
    of_languages,
    outputs,
    pair_inputs,
    predict,
    warn_of_unknown_labels,
)
from semantic_tokens.tokenization.special_tokens import SpecialTokens
from semantic_tokens.tokenization.tables import read_table
from semantic_tokens.tokenization.vocabulary import load_tokenizer
from semantic_tokens.training import Batch


class PairClassification(Task):
    """A classifier of text pairs.

    Args:
        pooling: ``cls`` is transformers' head, ``mean`` a linear layer over the mean.
    """

    metric = "accuracy"

    def __init__(
        self,
        tokenized: Path,
        tokenizer: Path,
        languages: Sequence[str] | None = None,
        evaluation_split: str = "test",
        pooling: str = "cls",
    ) -> None:
        self.pad_id = SpecialTokens.of(load_tokenizer(tokenizer)).pad
        everything = read_table(tokenized / "train.parquet")
        self.labels = sorted({row["label"] for row in everything})
        self.pooling = pooling
        self.rows = of_languages(everything, languages)
        self.test = read_table(tokenized / f"{evaluation_split}.parquet")
        warn_of_unknown_labels((row["label"] for row in self.test), self.labels, "labels")
        self.lengths = [len(row["input_ids"]) for row in self.rows]

    def load_model(self, files: ModelFiles | Path, **options: Any) -> nn.Module:
        return load_classifier(files, len(self.labels), self.pooling, **options)

    def collate(self, indices: np.ndarray, epoch: int = 0) -> Batch:
        rows = [self.rows[i] for i in indices]
        labels = torch.tensor([self.labels.index(row["label"]) for row in rows])
        return pair_inputs(rows, self.pad_id) | {"labels": labels}

    def loss(self, model: nn.Module, batch: Batch) -> torch.Tensor:
        labels = batch.pop("labels")
        return functional.cross_entropy(outputs(model, batch).logits.float(), labels)

    def terms(self, batch: Batch) -> int:
        return len(batch["labels"])

    def evaluate(
        self, model: nn.Module, batch_size: int, predictions: Predictions | None = None
    ) -> list[ScoredItem]:
        items = []
        lengths = [len(row["input_ids"]) for row in self.test]
        for index, logits in predict(
            model,
            lengths,
            lambda indices: pair_inputs([self.test[i] for i in indices], self.pad_id),
            lambda m, b: outputs(m, b).logits,
            batch_size,
            "classifying",
        ):
            row = self.test[index]
            label = self.labels[int(logits.argmax())]
            is_right = label == row["label"]
            if predictions is not None:
                logit_of = dict(zip(self.labels, logits.tolist(), strict=True))
                predictions[row["id"]] = {"label": label, "gold": row["label"], "logits": logit_of}
            items.append(ScoredItem(row["id"], row["language"], float(is_right), 1.0))
        return items


def load_classifier(
    files: ModelFiles | Path, labels: int, pooling: str, *, seed: int, **options: Any
) -> nn.Module:
    """A text classifier: transformers' head, or a linear layer over the mean of the states."""
    if pooling == "mean":
        encoder = load_model("none", files, seed=seed, **options)
        return MeanPooledClassifier(encoder, labels, seed)
    return load_model("sequence_classification", files, labels=labels, seed=seed, **options)
