"""Extractive question answering: SQuAD F1, 0–100."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from semantic_tokens.errors import InputError
from semantic_tokens.json_files import read_jsonl
from semantic_tokens.modeling.loading import ModelFiles, load_model
from semantic_tokens.modeling.pooling import compute_scores_in_float32
from semantic_tokens.tasks.metrics import NORMALIZATIONS, squad_f1
from semantic_tokens.tasks.scored_items import ScoredItem
from semantic_tokens.tasks.task import (
    Predictions,
    Task,
    of_languages,
    outputs,
    pair_inputs,
    predict,
)
from semantic_tokens.tokenization.special_tokens import SpecialTokens
from semantic_tokens.tokenization.tables import read_table
from semantic_tokens.tokenization.vocabulary import load_tokenizer
from semantic_tokens.training import Batch


class QuestionAnswering(Task):
    """Two linear outputs per token: start and end of the answer."""

    metric = "f1"

    def __init__(
        self,
        tokenized: Path,
        tokenizer: Path,
        dataset: Path,
        languages: Sequence[str] | None = None,
        evaluation_split: str = "test",
        max_answer_tokens: int = 30,
        normalization: str = "squad",
    ) -> None:
        if normalization not in NORMALIZATIONS:
            raise InputError(
                f"`normalization` of a task of answers is {normalization!r}; use "
                f"{' or '.join(NORMALIZATIONS)}"
            )
        self.pad_id = SpecialTokens.of(load_tokenizer(tokenizer)).pad
        self.rows = of_languages(read_table(tokenized / "train.parquet"), languages)
        self.windows = read_table(tokenized / f"{evaluation_split}.parquet")
        self.examples = list(read_jsonl(dataset / f"{evaluation_split}.jsonl"))
        self.max_answer_tokens = max_answer_tokens
        self.normalization = normalization
        self.lengths = [len(row["input_ids"]) for row in self.rows]

    def load_model(self, files: ModelFiles | Path, **options: Any) -> nn.Module:
        model = load_model("question_answering", files, **options)
        compute_scores_in_float32(model, 2)
        return model

    def collate(self, indices: np.ndarray, epoch: int = 0) -> Batch:
        rows = [self.rows[i] for i in indices]
        return pair_inputs(rows, self.pad_id) | {
            "start_positions": torch.tensor([row["start_position"] for row in rows]),
            "end_positions": torch.tensor([row["end_position"] for row in rows]),
        }

    def loss(self, model: nn.Module, batch: Batch) -> torch.Tensor:
        answers = [batch.pop("start_positions"), batch.pop("end_positions")]
        padding = (batch["attention_mask"] == 0)[:, None]
        logits = edge_logits(model, batch).float().masked_fill(padding, -torch.inf)
        losses = [
            functional.cross_entropy(logits[:, edge], answer) for edge, answer in enumerate(answers)
        ]
        return (losses[0] + losses[1]) / 2

    def terms(self, batch: Batch) -> int:
        return len(batch["start_positions"])

    def evaluate(
        self, model: nn.Module, batch_size: int, predictions: Predictions | None = None
    ) -> list[ScoredItem]:
        best: dict[str, tuple[float, int, int]] = {}
        # The lowest score of "no answer", for questions that may have none.
        none: dict[str, float] = {}
        may_abstain = any(not example["answers"] for example in self.examples)
        lengths = [len(row["input_ids"]) for row in self.windows]
        for index, logits in predict(
            model,
            lengths,
            lambda indices: pair_inputs([self.windows[i] for i in indices], self.pad_id),
            edge_logits,
            batch_size,
            "answering",
        ):
            window = self.windows[index]
            span = best_span(logits, window, self.max_answer_tokens)
            if span is not None and (window["id"] not in best or span > best[window["id"]]):
                best[window["id"]] = span
            if may_abstain:  # "no answer" is the first token, as in SQuAD 2
                least = none.get(window["id"], np.inf)
                none[window["id"]] = min(least, float(logits[:, 0].sum()))
        items = []
        for example in self.examples:
            score, begin, end = best.get(example["id"], (0.0, 0, 0))
            has_none = none.get(example["id"], -np.inf) > score
            answer = "" if has_none else example["context"][begin:end]
            if predictions is not None:
                gold = [one["text"] for one in example["answers"]]
                predictions[example["id"]] = {"answer": answer, "gold": gold, "score": score}
            f1 = max(
                (squad_f1(gold["text"], answer, self.normalization) for gold in example["answers"]),
                default=float(not answer),
            )
            items.append(ScoredItem(example["id"], example["language"], 100.0 * f1, 1.0))
        return items


def edge_logits(model: nn.Module, batch: Batch) -> torch.Tensor:
    """[B, 2, L] scores of every token as the first and as the last token of the answer."""
    output = outputs(model, batch)
    if "start_logits" in output:
        return torch.stack([output.start_logits, output.end_logits], dim=1)
    return output.logits.transpose(1, 2)  # the family has no question answering head


def best_span(
    logits: np.ndarray, window: dict, max_answer_tokens: int
) -> tuple[float, int, int] | None:
    """The best answer in a window of the context.

    Args:
        logits: [2, L] start and end scores.
        window: a row of ``QUESTION_ANSWERING_SCHEMA``.

    Returns:
        the score, and the positions in the context of the first character and after the last one;
        None for an empty context.
    """
    count = len(window["offsets"]) // 2
    if not count:
        return None
    first = window["context_start"]
    begin, end = logits[:, first : first + count]
    scores = begin[:, None] + end[None, :]
    length = np.arange(count)[None, :] - np.arange(count)[:, None]
    scores = np.where((length >= 0) & (length < max_answer_tokens), scores, -np.inf)
    i, j = np.unravel_index(int(scores.argmax()), scores.shape)
    return float(scores[i, j]), window["offsets"][2 * i], window["offsets"][2 * j + 1]
