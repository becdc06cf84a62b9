"""The method: an embedding and a decoder over semantic tokens (paper, sections 2.1, 2.3 and 2.4).

A semantic-token model is a model of transformers with two replaced modules. The input embedding
looks up the *group* of a subword. The decoder of masked language modelling scores groups. If the
original decoder is tied to the embedding, the new one is tied too. Token ids do not change, so the
backbone's tokenizer still works.
"""

from typing import Any

import torch
from torch import nn
from torch.nn import functional
from transformers import PreTrainedModel

from semantic_tokens.errors import InputError

# The size of a part of the logits, as rows × outputs. A part is small compared with the model, and has
# enough rows to make the cost of reading the weights small.
_LOGITS_AT_ONCE = 2**25


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
    """

    sparse_gradient = False

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
    """

    returns_states = False

    def __init__(self, weight: nn.Parameter, bias: torch.Tensor | None) -> None:
        super().__init__()
        self.weight = weight
        self.bias = None if bias is None else nn.Parameter(bias.clone())

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        """[..., width] -> [..., V'], the scores of the groups. A tied decoder has only the leading d
        columns (section 2.3), so only the leading d columns of the states are used."""
        states = states[..., : self.weight.shape[1]]
        return states if self.returns_states else functional.linear(states, self.weight, self.bias)


def use_semantic_tokens(
    model: PreTrainedModel,
    token_to_group: torch.Tensor,
    weight: torch.Tensor,
    member_weight: torch.Tensor | None = None,
) -> None:
    """Replace the input embedding of a model, and its decoder if it has one, with modules over groups.

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

    def mean(values: torch.Tensor) -> torch.Tensor:
        return group_means(values[: len(token_to_group)], token_to_group, member_weight)

    decoder = output_layer(model)
    if decoder is not None:
        is_tied = decoder.weight is original.weight
        replacement = SemanticTokenDecoder(
            embedding.weight if is_tied else nn.Parameter(mean(decoder.weight.data)),
            None if decoder.bias is None else mean(decoder.bias.data),
        )
        replace_output_layer(model, replacement)
    model.set_input_embeddings(embedding)


def semantic_embedding(model: nn.Module) -> SemanticTokenEmbedding:
    """The embedding of a model that :func:`use_semantic_tokens` changed, with any head."""
    (embedding,) = [m for m in model.modules() if isinstance(m, SemanticTokenEmbedding)]
    return embedding


def group_means(
    values: torch.Tensor, token_to_group: torch.Tensor, member_weight: torch.Tensor | None = None
) -> torch.Tensor:
    """Average the values of each group's members, in double precision.

    Args:
        values: [V] or [V, n] floating.
        token_to_group: [V] int64.
        member_weight: [V] floating, the weights of the mean; None for equal weights.

    Returns:
        [V'] or [V', n], of the dtype of ``values``.
    """
    groups = int(token_to_group.max()) + 1
    weights = torch.ones(len(values)) if member_weight is None else member_weight
    weights = weights.double()
    totals = torch.zeros(groups, dtype=torch.float64).index_add_(0, token_to_group, weights)
    share = (weights / totals[token_to_group]).reshape(-1, *[1] * (values.dim() - 1))
    means = torch.zeros((groups, *values.shape[1:]), dtype=torch.float64)
    return means.index_add_(0, token_to_group, values.double() * share).to(values.dtype)


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


def plain_input_embedding(model: PreTrainedModel) -> nn.Embedding:
    """The input embedding of a model.

    Raises:
        InputError: there is none, or it does more than look up rows.
    """
    try:
        embedding = model.get_input_embeddings()
    except (NotImplementedError, AttributeError):
        embedding = None
    if type(embedding) is not nn.Embedding:
        found = "none" if embedding is None else type(embedding).__name__
        raise InputError(
            f"{type(model).__name__} has no plain embedding of subwords (found: {found}), so there "
            "is nothing to group; use an encoder over subwords"
        )
    return embedding


def output_layer(model: PreTrainedModel) -> nn.Linear | None:
    """The layer of a model's head that scores subwords; None if there is none."""
    layer = model.get_output_embeddings()
    rows = len(plain_input_embedding(model).weight)
    return layer if isinstance(layer, nn.Linear) and layer.out_features == rows else None


def replace_output_layer(model: PreTrainedModel, layer: nn.Module) -> None:
    """Replace the layer that :func:`output_layer` returns.

    Some heads also have the bias of this layer under another name.
    """
    bias = model.get_output_embeddings().bias
    model.set_output_embeddings(layer)
    for module in model.modules():
        if module is not layer and bias is not None and getattr(module, "bias", None) is bias:
            module.bias = layer.bias


class _CrossEntropyInParts(torch.autograd.Function):
    """See :func:`cross_entropy_in_parts`. The forward pass also computes the gradients, while it has
    the logits of a part. The backward pass scales them, since fp16 scales the loss."""

    @staticmethod
    def forward(
        ctx: Any,
        states: torch.Tensor,
        weight: torch.Tensor,
        bias: torch.Tensor | None,
        groups: torch.Tensor,
    ) -> torch.Tensor:
        wants = any(ctx.needs_input_grad)
        loss = states.new_zeros((), dtype=torch.float32)
        parameters = [states, weight] if bias is None else [states, weight, bias]
        gradients = [torch.zeros_like(tensor) for tensor in parameters] if wants else []
        size = max(1, _LOGITS_AT_ONCE // len(weight))
        for start in range(0, len(states), size):
            part, target = states[start : start + size], groups[start : start + size, None]
            logits = functional.linear(part, weight, bias).float()
            normaliser = logits.logsumexp(dim=1, keepdim=True)
            loss += (normaliser - logits.gather(1, target)).sum()
            if wants:
                error = logits.sub_(normaliser).exp_()  # predicted minus target probabilities
                error.scatter_add_(1, target, torch.full_like(normaliser, -1.0))
                gradients[0][start : start + size] = error @ weight
                if part.dtype == weight.dtype and not torch.is_autocast_enabled(part.device.type):
                    gradients[1].addmm_(error.T, part)  # without a second matrix of this size
                else:
                    gradients[1] += error.T @ part
                if bias is not None:
                    gradients[2] += error.sum(dim=0)
        ctx.save_for_backward(*gradients)
        ctx.count = len(states)
        return loss / len(states)

    @staticmethod
    def backward(ctx: Any, *outer: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        scale = outer[0] / ctx.count
        scaled = [gradient.mul_(scale) for gradient in ctx.saved_tensors]
        return *scaled, *[None] * (4 - len(scaled))


def cross_entropy_in_parts(
    states: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None, groups: torch.Tensor
) -> torch.Tensor:
    """Mean cross-entropy of ``states @ weight.T + bias``, in nats, computed for some rows at a time.

    With a full vocabulary, logits need much memory even if they are limited to masked positions,
    because there are four copies: logits, their logarithms, and the gradients of both. Here there is
    one copy, for some rows at a time.

    Args:
        states: [n, d] floating; with n = 0 the result is nan.
        weight: [V', d].
        bias: [V'] or None.
        groups: [n] int64, the target row of each state.

    Returns:
        a scalar, float32, which can be differentiated once.
    """
    return _CrossEntropyInParts.apply(states, weight, bias, groups)
