"""Sentence-pair classification (natural language inference): accuracy."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from semantic_tokens.finetuning.task import (
    Task,
    model_inputs,
    of_languages,
    predict,
)
from semantic_tokens.model import load_text_head
from semantic_tokens.scored_items import ScoredItem
from semantic_tokens.tokenization import SpecialTokens, load_tokenizer, read_table
from semantic_tokens.training import Batch


class PairClassification(Task):
    """The classification head over the pair's first token."""

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
        self.names = sorted({row["label"] for row in everything})
        self.pooling = pooling
        self.rows = of_languages(everything, languages)
        self.test = read_table(tokenized / f"{evaluation_split}.parquet")
        self.lengths = [len(row["input_ids"]) for row in self.rows]

    def load_model(self, folder: str | Path, *, seed: int, dropout: float | None) -> nn.Module:
        return load_text_head(
            folder, len(self.names), seed=seed, dropout=dropout, pooling=self.pooling
        )

    def collate(self, indices: np.ndarray) -> Batch:
        rows = [self.rows[i] for i in indices]
        labels = torch.tensor([self.names.index(row["label"]) for row in rows])
        return self._inputs(rows) | {"labels": labels}

    def loss(self, model: nn.Module, batch: Batch) -> torch.Tensor:
        labels = batch.pop("labels")
        return functional.cross_entropy(model(**batch).float(), labels)

    def terms(self, batch: Batch) -> int:
        return len(batch["labels"])

    def evaluate(self, model: nn.Module, batch_size: int) -> list[ScoredItem]:
        items = []
        lengths = [len(row["input_ids"]) for row in self.test]
        for index, logits in predict(
            model,
            lengths,
            lambda indices: self._inputs([self.test[i] for i in indices]),
            lambda m, b: m(**b),
            batch_size,
            "classifying",
        ):
            row = self.test[index]
            is_right = self.names[int(logits.argmax())] == row["label"]
            items.append(ScoredItem(row["id"], row["language"], float(is_right), 1.0))
        return items

    def _inputs(self, rows: list[dict]) -> Batch:
        return model_inputs(
            [row["input_ids"] for row in rows],
            self.pad_id,
            [row["token_type_ids"] for row in rows],
        )
