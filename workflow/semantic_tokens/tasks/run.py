"""Fine-tune a semantic-token model on one task and score it."""

import logging
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from transformers import PreTrainedModel

from semantic_tokens.errors import InputError
from semantic_tokens.files import sha256_of
from semantic_tokens.jobs.gpus import within_gpu_memory
from semantic_tokens.jobs.processes import is_first_process
from semantic_tokens.modeling.embedding import semantic_embedding
from semantic_tokens.modeling.export import save_plain
from semantic_tokens.modeling.loading import ModelFiles
from semantic_tokens.tasks.scored_items import ScoredItem, score_record
from semantic_tokens.tasks.task import Predictions, Task
from semantic_tokens.tokenization.special_tokens import SpecialTokens
from semantic_tokens.tokenization.tables import read_batches
from semantic_tokens.tokenization.vocabulary import load_tokenizer
from semantic_tokens.training import (
    Batch,
    Tracking,
    TrainingOptions,
    autocast_here,
    checkpoint_activations,
    shuffled_batches,
    train,
)

log = logging.getLogger(__name__)

KINDS = (
    "token_classification",
    "question_answering",
    "pair_classification",
    "reranking",
    "retrieval",
)


def make_task(
    kind: str,
    *,
    tokenized: str | Path,
    tokenizer: str | Path,
    dataset: Path,
    candidates: Path | None,
    languages: Sequence[str] | None,
    evaluation_split: str,
    options: dict[str, Any],
) -> Task:
    """Make a task over one tokenised dataset; ``options`` are the options of its kind.

    Args:
        languages: the training languages; None for all.
        evaluation_split: ``test``, or ``dev`` for choosing hyperparameters.

    Raises:
        InputError: an option is wrong, or there is no example in this split.
    """
    if not any(map(len, read_batches(Path(tokenized) / f"{evaluation_split}.parquet", 1))):
        raise InputError(
            f"the dataset {dataset.name} has no example in its split {evaluation_split}, which "
            "`evaluation_split` names; add this split to the data, or make it from train with the "
            "reader's option `dev_fraction` if it has one, or score the split test"
        )
    common: dict[str, Any] = {
        "tokenized": Path(tokenized),
        "tokenizer": Path(tokenizer),
        "languages": languages,
        "evaluation_split": evaluation_split,
    }
    if kind == "token_classification":
        from semantic_tokens.tasks.token_classification import TokenClassification

        return TokenClassification(**common, **options)
    if kind == "pair_classification":
        from semantic_tokens.tasks.pair_classification import PairClassification

        return PairClassification(**common, **options)
    if kind == "question_answering":
        from semantic_tokens.tasks.question_answering import QuestionAnswering

        return QuestionAnswering(**common, dataset=dataset, **options)
    if candidates is None:
        raise InputError(f"a task of kind {kind} needs BM25 candidates")
    if kind == "reranking":
        from semantic_tokens.tasks.reranking import Reranking

        return Reranking(**common, dataset=dataset, candidates=candidates, **options)
    if kind == "retrieval":
        from semantic_tokens.tasks.retrieval import Retrieval

        return Retrieval(**common, dataset=dataset, candidates=candidates, **options)
    raise InputError(f"task kind {kind!r} is not one of {', '.join(KINDS)}")


def base_model_of(model: nn.Module) -> PreTrainedModel:
    """The encoder of a model with a head, from transformers or from this package."""
    encoder = model.base_model
    assert isinstance(encoder, PreTrainedModel)
    return encoder


def fine_tune(
    task: Task,
    files: ModelFiles,
    *,
    token_ids: np.ndarray,
    options: TrainingOptions,
    seed: int,
    checkpoint: str | Path | None = None,
    tracking: Tracking | None = None,
    evaluation_batch_size: int = 64,
    predictions: Predictions | None = None,
    keep_model: str | Path | None = None,
    tokenizer: str | Path | None = None,
    identity: Any = None,
    description: str = "fine-tuning",
) -> tuple[dict[str, Any], list[ScoredItem]]:
    """Train a model on a task, and score the weights of the last step on the test split.

    Args:
        files: the files of the semantic-token model.
        token_ids: [n] int64, all token ids in the task's training and test data. Only their
            embeddings are trained.
        predictions: if given, the predictions for all test items are added to it.
        keep_model: a folder for the trained model, as a plain checkpoint; None keeps no model.
        tokenizer: the ``tokenizer.json`` to copy into ``keep_model``.
        identity: what decides the training and the evaluation in addition to these arguments; an
            interrupted run with another identity starts from the beginning.

    The ``checkpoint`` with the state of the last step is kept. The caller removes it after writing
    the scores, so that a job that is killed before does not train again.

    Returns:
        ``metric``, ``value`` (unweighted mean over languages), ``by_language``,
        ``count_by_language``, ``steps``, ``train_examples`` and ``final_loss``; and the scored
        items, by id. Both are empty in all processes except the first.
    """
    model = task.load_model(
        files,
        seed=seed,
        dropout=options.dropout,
        attn_implementation=options.attn_implementation,
    )
    if options.gradient_checkpointing:
        checkpoint_activations(base_model_of(model))
    embedding = semantic_embedding(model)
    embedding.keep_only(torch.from_numpy(token_ids))
    steps = options.steps(len(task.lengths))
    steps_per_epoch = math.ceil(len(task.lengths) / options.batch_size)
    task.device_batch_size = options.device_batch_size
    task.seed = seed

    def batches() -> Iterator[list[Batch]]:
        examples = shuffled_batches(task.lengths, options.batch_size, steps, seed)
        for step, indices in enumerate(examples):
            epoch = step // steps_per_epoch
            size = len(indices) if task.couples_examples else options.micro_batch_size(len(indices))
            yield [task.collate(indices[i : i + size], epoch) for i in range(0, len(indices), size)]

    # State of a run whose evaluation was interrupted: its weights and its progress.
    keeps = checkpoint is not None and options.checkpoint_every > 0
    task.progress = Path(checkpoint) if checkpoint is not None and keeps else None
    losses = train(
        model,
        batches,
        task.loss,
        steps=steps,
        options=options,
        seed=seed,
        terms=task.terms,
        loss_is_shared=task.couples_examples,
        checkpoint=checkpoint,
        keep_checkpoint=keeps,
        identity=identity,
        tracking=tracking,
        description=description,
    )
    if not is_first_process():
        return {}, []
    smaller = f"lower `evaluation_batch_size`, which is {evaluation_batch_size} here"
    with (
        autocast_here(options.precision),
        within_gpu_memory(f"scoring ({description})", lambda: smaller),
    ):
        items = sorted(task.evaluate(model, evaluation_batch_size, predictions))
    if not items:
        raise InputError(f"{description}: the test split is empty; fix the dataset")
    if keep_model is not None:
        assert tokenizer is not None
        embedding.restore()
        save_plain(model, Path(tokenizer).parent, keep_model, task.labels)
    scores = score_record(task.metric, items)
    languages = len(scores["by_language"])
    log.info("%s: %s %.4f over %d languages", description, task.metric, scores["value"], languages)
    summary = {
        **scores,
        "steps": steps,
        "train_examples": len(task.lengths),
        "final_loss": float(np.mean(losses[-max(1, len(losses) // 10) :])) if losses else None,
    }
    return summary, items


def fine_tune_from_files(
    task_arguments: dict[str, Any],
    files: ModelFiles,
    tables: Sequence[str | Path],
    *,
    data: Sequence[str | Path] = (),
    code: str = "",
    keep_predictions: bool = False,
    **training: Any,
) -> tuple[dict[str, Any], list[ScoredItem], Predictions]:
    """Make a task and fine-tune on it. Each process runs this function.

    Args:
        task_arguments: the arguments of :func:`make_task`.
        files: the files of the semantic-token model.
        tables: the task's tokenized files, whose token ids are trained.
        data: all files that the task reads. An interrupted run does not continue on other data.
        code: a digest of the code. An interrupted run does not continue with other code.
        keep_predictions: also return the predictions for all test items.
        training: the arguments of :func:`fine_tune`.
    """
    from semantic_tokens.tokenization.tables import token_ids_in

    task = make_task(**task_arguments)
    frame = SpecialTokens.of(load_tokenizer(task_arguments["tokenizer"]))
    predictions: Predictions = {}
    deciding = ("kind", "languages", "evaluation_split", "options")
    scores, items = fine_tune(
        task,
        files,
        identity=[
            [task_arguments[name] for name in deciding],
            [sha256_of(file) for file in data],
            code,
        ],
        token_ids=token_ids_in(tables, frame),
        predictions=predictions if keep_predictions else None,
        tokenizer=task_arguments["tokenizer"],
        **training,
    )
    return scores, items, predictions
