"""Named entity recognition: one tag a word, entity micro-F1 (MasakhaNER's metric)."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from semantic_tokens.finetuning.task import (
    group_by_language,
    model_inputs,
    of_languages,
    pad,
    predict,
)
from semantic_tokens.model import load_token_head
from semantic_tokens.tokenization import SpecialTokens, load_tokenizer, read_table
from semantic_tokens.training import Batch


class TokenClassification:
    """A linear layer over each word's first subword."""

    metric = "f1"
    couples_examples = False
    device_batch_size: int | None = None
    progress: Path | None = None

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
        # The tags of all the training data, so that zero-shot models share the label set.
        everything = read_table(tokenized / "train.parquet")
        self.tags = sorted({tag for row in everything for tag in row["tags"]})
        self.lengths = [len(row["input_ids"]) for row in self.rows]

    def load_model(self, folder: str | Path, *, seed: int, dropout: float | None) -> nn.Module:
        return load_token_head(folder, len(self.tags), seed=seed, dropout=dropout)

    def collate(self, indices: np.ndarray) -> Batch:
        rows = [self.rows[i] for i in indices]
        label_of = {tag: label for label, tag in enumerate(self.tags)}
        labels = [[-100] * len(row["input_ids"]) for row in rows]
        for row, target in zip(rows, labels, strict=True):
            for start, tag in zip(row["word_starts"], row["tags"], strict=True):
                if start >= 0:
                    target[start] = label_of[tag]
        batch = model_inputs([row["input_ids"] for row in rows], self.pad_id)
        return batch | {"labels": pad(labels, -100)}

    def loss(self, model: nn.Module, batch: Batch) -> torch.Tensor:
        labels = batch.pop("labels")
        return functional.cross_entropy(model(**batch).flatten(0, 1).float(), labels.flatten())

    def terms(self, batch: Batch) -> int:
        return int((batch["labels"] != -100).sum())

    def evaluate(self, model: nn.Module, batch_size: int) -> dict[str, tuple[float, int]]:
        def collate(indices: np.ndarray) -> Batch:
            return model_inputs([self.test[i]["input_ids"] for i in indices], self.pad_id)

        predicted: dict[int, list[str]] = {}
        lengths = [len(row["input_ids"]) for row in self.test]
        for index, logits in predict(
            model, lengths, collate, lambda m, b: m(**b), batch_size, "tagging"
        ):
            best = logits.argmax(axis=-1)
            # A word without a subword left is nobody's name.
            predicted[index] = [
                self.tags[best[start]] if start >= 0 else "O"
                for start in self.test[index]["word_starts"]
            ]
        scores = {}
        for language, members in group_by_language(self.test).items():
            gold = [self.test[i]["tags"] for i in members]
            scores[language] = (entity_f1(gold, [predicted[i] for i in members]), len(members))
        return scores


def entity_f1(gold: list[list[str]], predicted: list[list[str]]) -> float:
    """Entity micro-F1 of IOB2 tags, 0–1, as seqeval counts it."""
    from seqeval.metrics import f1_score

    return float(f1_score(gold, predicted, zero_division=0))
