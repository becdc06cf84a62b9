"""Named entity recognition: one tag per word, entity micro-F1 (MasakhaNER's metric)."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from semantic_tokens.modeling.loading import ModelFiles, load_model
from semantic_tokens.tasks.metrics import entity_counts
from semantic_tokens.tasks.scored_items import ScoredItem
from semantic_tokens.tasks.task import (
    Predictions,
    Task,
    model_inputs,
    of_languages,
    outputs,
    pad,
    predict,
    warn_of_unknown_labels,
)
from semantic_tokens.tokenization.special_tokens import SpecialTokens
from semantic_tokens.tokenization.tables import read_table
from semantic_tokens.tokenization.vocabulary import load_tokenizer
from semantic_tokens.training import Batch


class TokenClassification(Task):
    """A linear layer over each word's first subword."""

    metric = "f1"

    def __init__(
        self,
        tokenized: Path,
        tokenizer: Path,
        languages: Sequence[str] | None = None,
        evaluation_split: str = "test",
    ) -> None:
        self.pad_id = SpecialTokens.of(load_tokenizer(tokenizer)).pad
        self.rows = of_languages(read_table(tokenized / "train.parquet"), languages)
        self.test = read_table(tokenized / f"{evaluation_split}.parquet")
        # The tags of all training data, so that zero-shot models have the same labels.
        everything = read_table(tokenized / "train.parquet")
        self.labels = sorted({tag for row in everything for tag in row["tags"]})
        tags_of_test = (tag for row in self.test for tag in row["tags"])
        warn_of_unknown_labels(tags_of_test, self.labels, "tags")
        self.lengths = [len(row["input_ids"]) for row in self.rows]

    def load_model(self, files: ModelFiles | Path, **options: Any) -> nn.Module:
        return load_model("token_classification", files, labels=len(self.labels), **options)

    def collate(self, indices: np.ndarray, epoch: int = 0) -> Batch:
        rows = [self.rows[i] for i in indices]
        label_of = {tag: label for label, tag in enumerate(self.labels)}
        labels = [[-100] * len(row["input_ids"]) for row in rows]
        for row, target in zip(rows, labels, strict=True):
            for start, tag in zip(row["word_starts"], row["tags"], strict=True):
                if start >= 0:
                    target[start] = label_of[tag]
        batch = model_inputs([row["input_ids"] for row in rows], self.pad_id)
        return batch | {"labels": pad(labels, -100)}

    def loss(self, model: nn.Module, batch: Batch) -> torch.Tensor:
        labels = batch.pop("labels")
        return functional.cross_entropy(
            outputs(model, batch).logits.flatten(0, 1).float(), labels.flatten()
        )

    def terms(self, batch: Batch) -> int:
        return int((batch["labels"] != -100).sum())

    def evaluate(
        self, model: nn.Module, batch_size: int, predictions: Predictions | None = None
    ) -> list[ScoredItem]:
        def collate(indices: np.ndarray) -> Batch:
            return model_inputs([self.test[i]["input_ids"] for i in indices], self.pad_id)

        items = []
        lengths = [len(row["input_ids"]) for row in self.test]
        for index, logits in predict(
            model, lengths, collate, lambda m, b: outputs(m, b).logits, batch_size, "tagging"
        ):
            row, best = self.test[index], logits.argmax(axis=-1)
            # A word without a remaining subword is not an entity.
            tags = [self.labels[best[start]] if start >= 0 else "O" for start in row["word_starts"]]
            if predictions is not None:
                predictions[row["id"]] = {"tags": tags, "gold": row["tags"]}
            items.append(ScoredItem(row["id"], row["language"], *entity_counts(row["tags"], tags)))
        return items
