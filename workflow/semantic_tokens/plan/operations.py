"""The operations of a training and its evaluation, from the operations of one text."""

from collections.abc import Mapping
from typing import Any

from semantic_tokens.plan.architecture import Architecture

_PAIR = 3  # special tokens around a query and a passage


def pretraining_operations(
    architecture: Architecture,
    groups: int,
    dimension: int,
    options: Mapping[str, Any],
    languages: int = 0,
) -> float:
    """Operations of continual pretraining (section 2.4), including the held-out loss.

    Args:
        architecture: the encoder.
        groups: |V'|.
        dimension: d of the word embeddings.
        options: the config's ``pretraining``.
        languages: the number of languages, each with at most ``held_out_sequences``.

    Raises:
        InputError: the model cannot be counted.
    """
    training, length = options["training"], options["sequence_length"]
    text, head = architecture.text(length), architecture.prediction(groups, dimension)
    share = 1.0 if options.get("logits") == "all" else options["mask_probability"]
    sequence = text.step + length * share * head.step
    if training.get("gradient_checkpointing"):
        sequence += text.forward
    held_out = languages * options.get("held_out_sequences", 0)
    return training["max_steps"] * training["batch_size"] * sequence + held_out * (
        text.forward + length * share * head.forward
    )


def task_operations(
    kind: str,
    architecture: Architecture,
    counts: Mapping[str, float],
    lengths: Mapping[str, float],
    options: Mapping[str, Any],
    training: Mapping[str, Any],
) -> tuple[float, float]:
    """Operations of training on a task, and of its evaluation.

    Args:
        kind: the kind of task.
        architecture: the encoder.
        counts: ``train`` and ``test`` examples or queries; for ranking, ``relevant`` passages per
            training query, and ``passages`` to search.
        lengths: the lengths in tokens: ``tokens`` of an example; for ranking, ``query_tokens`` and
            ``passage_tokens``.
        options, training: the task's.

    Raises:
        KeyError: a count is missing.
        InputError: the model cannot be counted.
    """
    epochs, batch = training.get("epochs", 1.0), training["batch_size"]
    is_computed_again = bool(training.get("gradient_checkpointing"))

    def trained(examples: float) -> float:
        limit = training.get("max_steps")
        return examples * epochs if limit is None else min(examples * epochs, limit * batch)

    def learnt(length: float, *, again: bool = is_computed_again) -> float:
        passes = architecture.text(length)
        return passes.step + again * passes.forward

    def scored(length: float) -> float:
        return architecture.text(length).forward

    if kind not in ("reranking", "retrieval"):
        length = lengths["tokens"]
        return trained(counts["train"]) * learnt(length), counts["test"] * scored(length)
    query, passage = lengths["query_tokens"], lengths["passage_tokens"]
    negatives = options["negatives_per_query"]
    if kind == "reranking":
        pair = min(options["max_length"], query + passage + _PAIR)
        if options["loss"] == "pointwise":
            pairs = trained(counts["train"] * (counts["relevant"] + negatives))
        else:
            pairs = trained(counts["train"] * counts["relevant"]) * (1 + negatives)
        depth = options["rerank_depth"]
        return pairs * learnt(pair), counts["test"] * depth * scored(pair)
    # If the batch does not fit, every text is encoded twice (gradient caching).
    again = is_computed_again or (training.get("device_batch_size") or batch) < batch
    # An epoch is one pass over the queries, each with one relevant passage.
    return (
        trained(counts["train"])
        * (learnt(query, again=again) + (1 + negatives) * learnt(passage, again=again)),
        counts["passages"] * scored(passage) + counts["test"] * scored(query),
    )
