"""The method: an embedding and a decoder over semantic tokens (paper, sections 2.1, 2.3 and 2.4).

A semantic-token model is a model of transformers with two replaced modules. The input embedding
looks up the *group* of a subword. The decoder of masked language modelling scores groups. If the
original decoder is tied to the embedding, the new one is tied too. Token ids do not change, so the
backbone's tokenizer still works.
"""

import torch
from torch import nn
from torch.nn import functional
from transformers import PreTrainedModel

from semantic_tokens.errors import InputError
from semantic_tokens.grouping.groups import group_means
from semantic_tokens.modeling.vocabulary_layers import (
    output_layer,
    plain_input_embedding,
    replace_output_layer,
)


class SemanticTokenEmbedding(nn.Module):
    """An embedding that looks up the semantic token of each subword.

    The d columns of ``weight`` are padded with zeros to the width of the original embedding
    (section 2.3). The padding has no parameters.

    Args:
        token_to_group: [V] int64, the group of every subword.
        weight: [V', d] floating, one row per semantic token.
        width: columns of the original embedding, with d <= width.

    Attributes:
        sparse_gradient: whether a lookup gives ``weight`` a sparse gradient. This is useful if the
            decoder adds a dense gradient to the same matrix: a second dense gradient would be as
            large as the vocabulary and almost all zero.
        padding_rows: [n, width], the rows of the original embedding after the last subword. They
            are not trained, and are only kept for the export.
    """

    sparse_gradient = False
    padding_rows: torch.Tensor | None = None

    def __init__(self, token_to_group: torch.Tensor, weight: torch.Tensor, width: int) -> None:
        super().__init__()
        self.token_to_group: torch.Tensor
        # Copies, since a tensor of a memory-mapped file would keep the entire file in memory.
        self.register_buffer("token_to_group", token_to_group.to(torch.int64, copy=True))
        self.weight = nn.Parameter(weight.clone())
        self.embedding_dim = width

    def forward(self, input_ids: torch.Tensor) -> torch.Tensor:
        """[...] int64 token ids -> [..., width]."""
        sparse = self.sparse_gradient and not torch.compiler.is_compiling()
        groups = self.token_to_group[input_ids]
        embedded = functional.embedding(groups, self.weight, sparse=sparse)
        missing = self.embedding_dim - self.weight.shape[1]
        return functional.pad(embedded, (0, missing)) if missing else embedded

    def keep_only(self, token_ids: torch.Tensor) -> None:
        """Remove the rows of all groups that contain none of these subwords.

        A row that is never looked up gets no gradient and does not change the training of other
        rows, but costs the optimizer time. After this call, the lookup of another subword raises an
        IndexError. :meth:`restore` restores the removed rows.

        Args:
            token_ids: [n] int64, all subwords that will be looked up.
        """
        self._dropped = (self.token_to_group, self.weight.data)
        groups = self.token_to_group[token_ids].unique()
        kept = torch.full((len(self.weight),), len(self.weight), dtype=torch.int64)
        kept[groups] = torch.arange(len(groups))
        self._kept = groups
        self.token_to_group = kept[self.token_to_group]
        self.weight = nn.Parameter(self.weight.data[groups])

    def restore(self) -> None:
        """Undo :meth:`keep_only`: put the trained rows back among the untrained ones."""
        token_to_group, weight = self._dropped
        device = self.weight.device
        weight = weight.to(device)
        weight[self._kept.to(device)] = self.weight.data
        self.token_to_group = token_to_group.to(device)
        self.weight = nn.Parameter(weight)


class SemanticTokenDecoder(nn.Module):
    """The last layer of masked language modelling, with one output per semantic token.

    Args:
        weight: [V', d], the embedding's parameter if the original decoder is tied, else a matrix
            [V', width].
        bias: [V'], or None if the original has none.

    Attributes:
        returns_states: return the input of the layer, for a loss that computes the logits in
            parts (:func:`cross_entropy_in_parts`).
        padding_rows: for an untied decoder, as in :class:`SemanticTokenEmbedding`.
    """

    returns_states = False
    padding_rows: torch.Tensor | None = None

    def __init__(self, weight: nn.Parameter, bias: torch.Tensor | None) -> None:
        super().__init__()
        self.weight = weight
        self.bias = None if bias is None else nn.Parameter(bias.clone())

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        """[..., width] -> [..., V'], the scores of the groups. A tied decoder has only the leading
        d columns (section 2.3), so only the leading d columns of the states are used."""
        states = states[..., : self.weight.shape[1]]
        return states if self.returns_states else functional.linear(states, self.weight, self.bias)


def use_semantic_tokens(
    model: PreTrainedModel,
    token_to_group: torch.Tensor,
    weight: torch.Tensor,
    member_weight: torch.Tensor | None = None,
) -> None:
    """Replace the input embedding of a model, and its decoder if it has one, with modules over
    groups.

    The bias of a group, and its row in an untied decoder, are means over the members.

    Args:
        model: any model of transformers; its embedding has at least V rows.
        token_to_group: [V] int64.
        weight: [V', d] float32.
        member_weight: [V] float32, the weight of each subword in its group's mean; None for equal
            weights.

    Raises:
        InputError: the model has no plain input embedding, or it has too few rows or columns.
    """
    original = plain_input_embedding(model)
    rows, width = original.weight.shape
    if rows < len(token_to_group) or width < weight.shape[1]:
        raise InputError(
            f"the groups are of {len(token_to_group)} subwords with {weight.shape[1]} columns, and "
            f"the model's embedding is {rows} × {width}; delete the groups to have them made again"
        )
    embedding = SemanticTokenEmbedding(token_to_group, weight, width)
    embedding.padding_rows = original.weight.data[len(token_to_group) :].clone()

    def mean(values: torch.Tensor) -> torch.Tensor:
        return group_means(values[: len(token_to_group)], token_to_group, member_weight)

    decoder = output_layer(model)
    if decoder is not None:
        is_tied = decoder.weight is original.weight
        replacement = SemanticTokenDecoder(
            embedding.weight if is_tied else nn.Parameter(mean(decoder.weight.data)),
            None if decoder.bias is None else mean(decoder.bias.data),
        )
        if not is_tied:
            replacement.padding_rows = decoder.weight.data[len(token_to_group) :].clone()
        replace_output_layer(model, replacement)
    model.set_input_embeddings(embedding)


def semantic_embedding(model: nn.Module) -> SemanticTokenEmbedding:
    """The embedding of a model that :func:`use_semantic_tokens` changed, with any head."""
    (embedding,) = [m for m in model.modules() if isinstance(m, SemanticTokenEmbedding)]
    return embedding


def expand_to_subwords(
    values: torch.Tensor, token_to_group: torch.Tensor, shape: torch.Size
) -> torch.Tensor:
    """Give the values of each group to all of its subwords.

    Args:
        values: [V'] or [V', d].
        token_to_group: [V] int64.
        shape: the shape of the result, [rows] or [rows, columns], with rows >= V and columns >= d.
            The rest is zero.
    """
    plain = torch.zeros(shape, dtype=values.dtype)
    columns = (slice(values.shape[1]),) if values.dim() == 2 else ()
    plain[(slice(len(token_to_group)), *columns)] = values[token_to_group]
    return plain
