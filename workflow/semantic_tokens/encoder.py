"""The encoder of the BERT and XLM-R families over semantic tokens (paper, 2.1 and 2.3).

It is PyTorch's own transformer encoder with these families' embeddings in front, and with attention
that trains in less time. Against the classes of transformers it computes the same hidden states
from the same checkpoint, projects queries, keys and values in one product, and spares a job some
seconds of imports, which would be most of a short job's life.
"""

import re
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn
from torch.nn import functional

#: Families whose position of the first token is one past the padding id.
_POSITIONS_AFTER_PADDING = ("xlm-roberta", "roberta")

# A layer's modules: Hugging Face's name -> PyTorch's.
_LAYER_NAMES = {
    "attention.output.dense": "self_attn.out_proj",
    "attention.output.LayerNorm": "norm1",
    "intermediate.dense": "linear1",
    "output.dense": "linear2",
    "output.LayerNorm": "norm2",
}
_PROJECTIONS = ("query", "key", "value")
_LAYER = re.compile(r"encoder\.layer\.(\d+)\.(.+)\.(weight|bias)")


class SemanticTokenEmbedding(nn.Module):
    """Embedding of subwords by the semantic token they belong to.

    The d columns of ``weight`` are padded to ``hidden_size`` with zeros on the fly
    (section 2.3), so the missing columns have no parameters that training could move.

    Args:
        token_to_group: [V] int64, the group of every subword.
        weight: [V', d] floating, one row a semantic token.
        hidden_size: D of the backbone, with d <= D.

    Attributes:
        sparse_gradient: whether looking up gives ``weight`` a sparse gradient, for a model that
            adds a dense one to it: a second dense one would be as large as the vocabulary, and
            nearly all zeros. A compiled encoder's is dense all the same.
    """

    sparse_gradient = False

    def __init__(
        self, token_to_group: torch.Tensor, weight: torch.Tensor, hidden_size: int
    ) -> None:
        super().__init__()
        self.token_to_group: torch.Tensor
        # Copies: a tensor of a file that is mapped into memory would hold all of the file there.
        self.register_buffer("token_to_group", token_to_group.to(torch.int64, copy=True))
        self.weight = nn.Parameter(weight.clone())
        self.hidden_size = hidden_size

    def forward(self, input_ids: torch.Tensor) -> torch.Tensor:
        """[...] int64 token ids -> [..., D]."""
        sparse = self.sparse_gradient and not torch.compiler.is_compiling()
        groups = self.token_to_group[input_ids]
        embedded = functional.embedding(groups, self.weight, sparse=sparse)
        missing = self.hidden_size - self.weight.shape[1]
        return functional.pad(embedded, (0, missing)) if missing else embedded

    def keep_only(self, token_ids: torch.Tensor) -> None:
        """Drop the rows that none of these subwords belongs to.

        A row that is never looked up gets no gradient, so training moves the others just as if
        it were there; but an optimizer spends its time on all that are. To look another subword
        up is an IndexError afterwards.

        Args:
            token_ids: [n] int64, every subword that will be looked up from now on.
        """
        groups = self.token_to_group[token_ids].unique()
        kept = torch.full((len(self.weight),), len(self.weight), dtype=torch.int64)
        kept[groups] = torch.arange(len(groups))
        self.token_to_group = kept[self.token_to_group]
        self.weight = nn.Parameter(self.weight.data[groups])


class SelfAttention(nn.MultiheadAttention):
    """PyTorch's attention of a sequence over itself, batch first, as it trains.

    The same numbers, but for rounding, by fewer copies, in a twentieth less time a step: queries, keys and values stay
    parts of the one product that made them, and so do their gradients. Where nothing is trained the
    layer's own kernel runs, which does not come here.
    """

    def forward(  # type: ignore[override]
        self,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        key_padding_mask: torch.Tensor | None = None,
        **_: Any,
    ) -> tuple[torch.Tensor, None]:
        """The states attended to by each of the queries.

        Args:
            query: [B, L, D] floating; ``key`` and ``value`` are the same.
            key_padding_mask: [B, L], added to what attends to each state; None adds nothing. What
                else a layer passes says that there is no other mask, and that weights are not needed.

        Returns:
            [B, L, D], and no weights.
        """
        projected = functional.linear(query, self.in_proj_weight, self.in_proj_bias)
        queries, keys, values = self._by_head(projected, 3)
        return self.out_proj(self._attended(queries, keys, values, key_padding_mask)), None

    def at(
        self, places: torch.Tensor, states: torch.Tensor, key_padding_mask: torch.Tensor | None
    ) -> torch.Tensor:
        """The states attended to by those at some places alone.

        Args:
            places: [n] int64, of the flattened [B·L].
            states: [B, L, D] floating.
            key_padding_mask: as of :meth:`forward`.

        Returns:
            [n, D].
        """
        width = self.embed_dim
        weight, weights = self.in_proj_weight.tensor_split([width])
        bias, biases = self.in_proj_bias.tensor_split([width])
        keys, values = self._by_head(functional.linear(states, weights, biases), 2)
        chosen = functional.linear(states.flatten(0, 1).index_select(0, places), weight, bias)
        everywhere = chosen.new_zeros(states.shape).flatten(0, 1).index_copy(0, places, chosen)
        (queries,) = self._by_head(everywhere.view(states.shape), 1)
        attended = self._attended(queries, keys, values, key_padding_mask)
        return self.out_proj(attended.flatten(0, 1).index_select(0, places))

    def _by_head(self, projected: torch.Tensor, parts: int) -> torch.Tensor:
        """[B, L, parts·D] -> [parts, B, heads, L, D/heads], without a copy."""
        batch, length, _ = projected.shape
        cut = projected.view(batch, length, parts, self.num_heads, self.head_dim)
        return cut.permute(2, 0, 3, 1, 4)

    def _attended(
        self,
        queries: torch.Tensor,
        keys: torch.Tensor,
        values: torch.Tensor,
        key_padding_mask: torch.Tensor | None,
    ) -> torch.Tensor:
        """[B, heads, L, D/heads] each -> [B, L, D]."""
        attended = functional.scaled_dot_product_attention(
            queries,
            keys,
            values,
            None if key_padding_mask is None else key_padding_mask[:, None, None],
            self.dropout if self.training else 0.0,
        )
        return attended.transpose(1, 2).flatten(2)


class Encoder(nn.Module):
    """Token ids to contextual states.

    Args:
        config: a checkpoint's ``config.json``.
        embedding: looks subwords up.
        dropout: of embeddings, attention and residual branches; None takes the checkpoint's.
    """

    def __init__(
        self,
        config: Mapping[str, Any],
        embedding: SemanticTokenEmbedding,
        dropout: float | None = None,
    ) -> None:
        super().__init__()
        width, epsilon = config["hidden_size"], config["layer_norm_eps"]
        if dropout is None:
            dropout = config.get("hidden_dropout_prob", 0.1)
        self.hidden_size = width
        self.first_position = 0
        if config["model_type"] in _POSITIONS_AFTER_PADDING:
            self.first_position = config["pad_token_id"] + 1
        self.word_embeddings = embedding
        self.position_embeddings = nn.Embedding(config["max_position_embeddings"], width)
        self.token_type_embeddings = nn.Embedding(config["type_vocab_size"], width)
        self.layer_norm = nn.LayerNorm(width, eps=epsilon)
        self.dropout = nn.Dropout(dropout)
        layer = nn.TransformerEncoderLayer(
            width,
            config["num_attention_heads"],
            config["intermediate_size"],
            dropout,
            activation="gelu",
            layer_norm_eps=epsilon,
            batch_first=True,
        )
        layer.self_attn = SelfAttention(
            width, config["num_attention_heads"], dropout, batch_first=True
        )
        layer.dropout = nn.Dropout(0.0)  # these families have none inside the feed-forward part
        self.layers = nn.TransformerEncoder(
            layer, config["num_hidden_layers"], enable_nested_tensor=False
        )

    def forward(
        self,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor | None = None,
        token_type_ids: torch.Tensor | None = None,
        places: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Hidden states of the last layer.

        Args:
            input_ids: [B, L] int64, padded on the right.
            attention_mask: [B, L], 1 where there is text; None where all is text.
            token_type_ids: [B, L] int64; None is all zeros.
            places: [n] int64, of the flattened [B·L], each once: where states are asked for. No
                other place looks at the last layer's states, so it computes these alone.

        Returns:
            [B, L, D], where what stands at padding is of no meaning; or [n, D].
        """
        positions = torch.arange(input_ids.shape[1], device=input_ids.device) + self.first_position
        types = torch.zeros_like(input_ids) if token_type_ids is None else token_type_ids
        embedded = self.word_embeddings(input_ids) + self.position_embeddings(positions)
        states = self.dropout(self.layer_norm(embedded + self.token_type_embeddings(types)))
        padding = None
        # Attention takes a tenth less time without a mask. To look costs nothing here, and on a
        # GPU a wait for all that is under way.
        if attention_mask is not None and (attention_mask.is_cuda or not attention_mask.all()):
            padding = attention_mask == 0
        if places is None:
            return self.layers(states, src_key_padding_mask=padding)
        *layers, last = self.layers.layers
        for layer in layers:
            states = layer(states, src_key_padding_mask=padding)
        added = None
        if padding is not None:
            added = states.new_zeros(padding.shape).masked_fill(padding, -torch.inf)
        attended = last.self_attn.at(places, states, added)
        chosen = last.norm1(states.flatten(0, 1).index_select(0, places) + last.dropout1(attended))
        inner = last.dropout(last.activation(last.linear1(chosen)))
        return last.norm2(chosen + last.dropout2(last.linear2(inner)))


def from_checkpoint_names(tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """A checkpoint's encoder tensors under this module's names.

    Args:
        tensors: Hugging Face's names without the family's prefix.
    """
    state: dict[str, torch.Tensor] = {}
    layers = set()
    for name, tensor in tensors.items():
        if match := _LAYER.fullmatch(name):
            layer, part, kind = match.groups()
            layers.add(layer)
            if part in _LAYER_NAMES:
                state[f"layers.layers.{layer}.{_LAYER_NAMES[part]}.{kind}"] = tensor
        elif name.startswith("embeddings.LayerNorm."):
            state[f"layer_norm.{name.rpartition('.')[2]}"] = tensor
        elif name.startswith("embeddings."):
            state[name.removeprefix("embeddings.")] = tensor
    for layer in layers:
        for kind in ("weight", "bias"):
            parts = [tensors[f"{_attention(layer)}.{name}.{kind}"] for name in _PROJECTIONS]
            state[f"layers.layers.{layer}.self_attn.in_proj_{kind}"] = torch.cat(parts)
    return state


def to_checkpoint_names(state: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The inverse of :func:`from_checkpoint_names`."""
    tensors: dict[str, torch.Tensor] = {}
    of_pytorch = {ours: theirs for theirs, ours in _LAYER_NAMES.items()}
    for name, tensor in state.items():
        match = re.fullmatch(r"layers\.layers\.(\d+)\.(.+?)[._](weight|bias)", name)
        if match is None:
            name = re.sub(r"^layer_norm\.", "LayerNorm.", name)
            tensors[f"embeddings.{name}"] = tensor
            continue
        layer, part, kind = match.groups()
        if part == "self_attn.in_proj":
            for projection, piece in zip(_PROJECTIONS, tensor.chunk(3), strict=True):
                tensors[f"{_attention(layer)}.{projection}.{kind}"] = piece.contiguous()
        else:
            tensors[f"encoder.layer.{layer}.{of_pytorch[part]}.{kind}"] = tensor
    return tensors


def _attention(layer: str) -> str:
    return f"encoder.layer.{layer}.attention.self"
