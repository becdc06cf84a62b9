"""Semantic-token models: made, loaded, saved and exported (paper, sections 2.1 to 2.4).

A semantic-token model is its backbone with two things replaced: the input embedding, which
looks a subword's *group* up, and the decoder of masked language modelling, which is tied to
the same matrix and scores groups. Token ids stay the backbone's own, so text is tokenised
once a backbone and the original tokenizer keeps working.

On disk it is a folder of ``config.json`` (the backbone's) and ``model.safetensors`` under
Hugging Face's names, in which ``…word_embeddings.weight`` is [V', d] and
``…word_embeddings.token_to_group`` is [V].
"""

import json
import math
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import nn
from torch.nn import functional

from semantic_tokens.embeddings import word_embeddings_key
from semantic_tokens.encoder import (
    Encoder,
    SemanticTokenEmbedding,
    from_checkpoint_names,
    to_checkpoint_names,
)
from semantic_tokens.errors import InputError
from semantic_tokens.files import read_json, reading, whole

#: Where each family of backbones keeps the transform and the bias of its MLM head.
_XLM_R_HEAD = {"dense": "lm_head.dense", "layer_norm": "lm_head.layer_norm", "bias": "lm_head.bias"}
MASKED_LANGUAGE_HEAD_KEYS = {
    "bert": {
        "dense": "cls.predictions.transform.dense",
        "layer_norm": "cls.predictions.transform.LayerNorm",
        "bias": "cls.predictions.bias",
    },
    "xlm-roberta": _XLM_R_HEAD,
    "roberta": _XLM_R_HEAD,
}
_TOKEN_TO_GROUP = "embeddings.word_embeddings.token_to_group"
# Rows × outputs of logits in memory at a time: few enough to be small beside the model, and enough
# rows that reading the weights once for all of them costs little.
_LOGITS_AT_ONCE = 2**25


def pooled(
    encoder: nn.Module,
    how: str,
    input_ids: torch.Tensor,
    attention_mask: torch.Tensor,
    **inputs: torch.Tensor,
) -> torch.Tensor:
    """The encoder's arguments -> [B, D]: the first token's state (``cls``), or the ``mean`` over the
    text."""
    if how == "cls":
        texts, length = input_ids.shape
        first = torch.arange(texts, device=input_ids.device) * length
        return encoder(input_ids, attention_mask, places=first, **inputs)
    hidden = encoder(input_ids, attention_mask, **inputs)
    weights = attention_mask[:, :, None].to(hidden.dtype)
    return (hidden * weights).sum(dim=1) / weights.sum(dim=1)


class TokenHead(nn.Module):
    """A linear layer over every token: tags, or begin and end of an answer."""

    def __init__(self, encoder: Encoder, outputs: int) -> None:
        super().__init__()
        self.encoder = encoder
        self.dropout = nn.Dropout(encoder.dropout.p)
        self.output = nn.Linear(encoder.hidden_size, outputs)

    def forward(self, **inputs: torch.Tensor) -> torch.Tensor:
        """The encoder's arguments -> [B, L, outputs]."""
        return self.output(self.dropout(self.encoder(**inputs)))


class TextHead(nn.Module):
    """The classifier over a whole text.

    Args:
        pooling: what it looks at, see :func:`pooled`. Over the first token it is BERT's: dense,
            tanh, linear. Over the mean it is linear alone, for no backbone has a dense layer
            that was trained for the mean, and a fresh one keeps a short training waiting.
    """

    def __init__(self, encoder: Encoder, outputs: int, pooling: str = "cls") -> None:
        super().__init__()
        self.encoder, self.pooling = encoder, pooling
        self.dense: nn.Linear | None = None
        if pooling == "cls":
            self.dense = nn.Linear(encoder.hidden_size, encoder.hidden_size)
        self.dropout = nn.Dropout(encoder.dropout.p)
        self.output = nn.Linear(encoder.hidden_size, outputs)

    def forward(self, **inputs: torch.Tensor) -> torch.Tensor:
        """The encoder's arguments -> [B, outputs]."""
        state = pooled(self.encoder, self.pooling, **inputs)
        if self.dense is not None:
            state = torch.tanh(self.dense(state))
        return self.output(self.dropout(state))


class _TiedCrossEntropy(torch.autograd.Function):
    """See :func:`tied_cross_entropy`. Gradients are found with the loss, while a part's logits are
    there, and scaled when they are asked for: where fp16 scales the loss, after that."""

    @staticmethod
    def forward(
        ctx: Any,
        states: torch.Tensor,
        weight: torch.Tensor,
        bias: torch.Tensor,
        groups: torch.Tensor,
    ) -> torch.Tensor:
        wants = any(ctx.needs_input_grad)
        loss = states.new_zeros((), dtype=torch.float32)
        gradients = [torch.zeros_like(tensor) for tensor in (states, weight, bias)] if wants else []
        size = max(1, _LOGITS_AT_ONCE // len(weight))
        for start in range(0, len(states), size):
            part, target = states[start : start + size], groups[start : start + size, None]
            logits = functional.linear(part, weight, bias).float()
            normaliser = logits.logsumexp(dim=1, keepdim=True)
            loss += (normaliser - logits.gather(1, target)).sum()
            if wants:
                error = logits.sub_(normaliser).exp_()  # predicted less wanted probabilities
                error.scatter_add_(1, target, torch.full_like(normaliser, -1.0))
                gradients[0][start : start + size] = error @ weight
                if part.dtype == weight.dtype and not torch.is_autocast_enabled(part.device.type):
                    gradients[1].addmm_(error.T, part)  # without a second matrix of this size
                else:
                    gradients[1] += error.T @ part
                gradients[2] += error.sum(dim=0)
        ctx.save_for_backward(*gradients)
        ctx.count = len(states)
        return loss / len(states)

    @staticmethod
    def backward(ctx: Any, *outer: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        scale = outer[0] / ctx.count
        return *(gradient.mul_(scale) for gradient in ctx.saved_tensors), None


def tied_cross_entropy(
    states: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor, groups: torch.Tensor
) -> torch.Tensor:
    """Mean cross-entropy of ``states @ weight.T + bias``, in nats, a part of the rows at a time.

    At a full vocabulary the logits fill the memory, even of masked positions alone, in four
    copies: themselves, their logarithms, and the gradients of both. Here there is one copy, of
    some rows.

    Args:
        states: [n, d] floating; n of 0 gives nan, as the mean of nothing does.
        weight: [V', d], the rows that are scored.
        bias: [V'].
        groups: [n] int64, the row that each state should predict.

    Returns:
        a scalar, float32; to be differentiated once.
    """
    return _TiedCrossEntropy.apply(states, weight, bias, groups)


class MaskedLanguageModel(nn.Module):
    """Masked language modelling over semantic tokens (section 2.4).

    The head is the backbone family's own (dense, GELU, LayerNorm, tied decoder, bias), with
    one output a group. Only masked positions are scored: the logits of all others would be
    thrown away, and they are what fills the memory (Appendix D).
    """

    def __init__(self, encoder: Encoder) -> None:
        super().__init__()
        self.encoder = encoder
        self.dense = nn.Linear(encoder.hidden_size, encoder.hidden_size)
        self.layer_norm = nn.LayerNorm(encoder.hidden_size, eps=encoder.layer_norm.eps)
        self.bias = nn.Parameter(torch.zeros(len(encoder.word_embeddings.weight)))
        encoder.word_embeddings.sparse_gradient = True  # the decoder's is dense

    def logits(self, hidden: torch.Tensor) -> torch.Tensor:
        """[n, D] hidden states -> [n, V'] scores of the groups."""
        weight = self.encoder.word_embeddings.weight
        return functional.linear(self._transformed(hidden), weight, self.bias)

    def _transformed(self, hidden: torch.Tensor) -> torch.Tensor:
        """[n, D] -> [n, d]. The decoder's padded columns are zero, so the leading d of the state
        are all that count."""
        transformed = self.layer_norm(functional.gelu(self.dense(hidden)))
        return transformed[:, : self.encoder.word_embeddings.weight.shape[1]]

    def forward(self, input_ids: torch.Tensor, masked_tokens: torch.Tensor) -> torch.Tensor:
        """Mean cross-entropy of the masked positions' groups, in nats.

        Args:
            input_ids: [B, L] int64, without padding, with masks and random tokens in place.
            masked_tokens: [B, L] int64, the original token id where a position is to be
                predicted, -100 elsewhere.
        """
        original = masked_tokens.flatten()
        masked = (original != -100).nonzero().squeeze(1)
        groups = self.encoder.word_embeddings.token_to_group[original[masked]]
        weight = self.encoder.word_embeddings.weight
        states = self._transformed(self.encoder(input_ids, places=masked))
        return tied_cross_entropy(states, weight, self.bias, groups)


def assemble(
    backbone_folder: str | Path,
    token_to_group: torch.Tensor,
    weight: torch.Tensor,
    folder: str | Path,
) -> None:
    """Write the semantic-token model of a backbone: its own weights, with word embeddings of
    shape [V', d] and the groups' MLM bias (the mean of the members').

    Raises:
        InputError: the groups are not of this backbone.
    """
    tensors, config, prefix = _read(Path(backbone_folder))
    name = word_embeddings_key(tensors, backbone_folder)
    if len(tensors[name]) != len(token_to_group):
        raise InputError(
            f"the groups are of {len(token_to_group)} subwords and {backbone_folder} has "
            f"{len(tensors[name])}; delete the groups to have them made again"
        )
    tensors[name] = weight.contiguous()
    tensors[f"{prefix}.{_TOKEN_TO_GROUP}"] = token_to_group.contiguous()
    bias = _head_keys(config)["bias"]
    if bias in tensors:
        zeros = torch.zeros(len(weight))
        members = zeros.index_add(0, token_to_group, torch.ones(len(token_to_group)))
        tensors[bias] = zeros.index_add(0, token_to_group, tensors[bias].float()) / members
    _write(tensors, config, Path(folder))


def load_encoder(folder: str | Path, *, dropout: float | None = None) -> Encoder:
    """Load the encoder of a semantic-token model, or of a plain backbone.

    Raises:
        InputError: the folder's tensors do not make the model that its config describes.
    """
    tensors, config, prefix = _read(Path(folder))
    return _encoder(tensors, config, prefix, Path(folder), dropout)


def load_token_head(
    folder: str | Path, outputs: int, *, seed: int, dropout: float | None = None
) -> TokenHead:
    """An encoder below a fresh :class:`TokenHead`, drawn as BERT's from the seed."""
    model = TokenHead(load_encoder(folder, dropout=dropout), outputs)
    _draw(model.output, seed)
    return model


def load_text_head(
    folder: str | Path,
    outputs: int,
    *,
    seed: int,
    dropout: float | None = None,
    pooling: str = "cls",
) -> TextHead:
    """An encoder below a fresh :class:`TextHead`, whose dense layer starts from the backbone's
    pooler where that has one."""
    tensors, config, prefix = _read(Path(folder))
    model = TextHead(_encoder(tensors, config, prefix, Path(folder), dropout), outputs, pooling)
    _draw(model.output, seed + 1)
    if model.dense is not None:
        _draw(model.dense, seed)
        pooler = f"{prefix}.pooler.dense"
        if f"{pooler}.weight" in tensors:
            model.dense.weight.data.copy_(tensors[f"{pooler}.weight"])
            model.dense.bias.data.copy_(tensors[f"{pooler}.bias"])
    return model


def load_masked_language_model(
    folder: str | Path, *, seed: int, dropout: float | None = None
) -> MaskedLanguageModel:
    """A semantic-token model with its MLM head; a backbone that has none gets a fresh one."""
    tensors, config, prefix = _read(Path(folder))
    model = MaskedLanguageModel(_encoder(tensors, config, prefix, Path(folder), dropout))
    _draw(model.dense, seed)
    keys = _head_keys(config)
    if f"{keys['dense']}.weight" in tensors:
        for part in ("dense", "layer_norm"):
            for kind in ("weight", "bias"):
                getattr(getattr(model, part), kind).data.copy_(tensors[f"{keys[part]}.{kind}"])
        model.bias.data.copy_(tensors[keys["bias"]])
    return model


def save_masked_language_model(
    model: MaskedLanguageModel, origin: str | Path, folder: str | Path
) -> None:
    """Write a continually pretrained model in the layout of :func:`assemble`.

    Args:
        origin: the folder that the model was loaded from; what the MLM objective does not
            use (a pooler) is carried over from it.
    """
    tensors, config, prefix = _read(Path(origin))
    state = to_checkpoint_names(model.encoder.state_dict())
    keys = _head_keys(config)
    trained = {f"{prefix}.{name}": tensor for name, tensor in state.items()}
    for part in ("dense", "layer_norm"):
        for kind, tensor in getattr(model, part).state_dict().items():
            trained[f"{keys[part]}.{kind}"] = tensor
    trained[keys["bias"]] = model.bias.data
    tensors |= {name: tensor.detach().cpu().contiguous() for name, tensor in trained.items()}
    _write(tensors, config, Path(folder))


def export(folder: str | Path, tokenizer_folder: str | Path, target: str | Path) -> None:
    """Write a semantic-token model as a plain Hugging Face checkpoint.

    The rows are expanded back to V and the columns to D, so ``AutoModel.from_pretrained``
    opens the result with the original tokenizer and computes the same hidden states.

    Args:
        folder: a semantic-token model.
        tokenizer_folder: the backbone's folder, whose tokenizer files are copied.
        target: the folder to write.
    """
    tensors, config, prefix = _read(Path(folder))
    name = word_embeddings_key(tensors, folder)
    token_to_group = tensors.pop(f"{prefix}.{_TOKEN_TO_GROUP}")
    weight = tensors[name]
    padded = functional.pad(weight, (0, config["hidden_size"] - weight.shape[1]))
    tensors[name] = padded[token_to_group].contiguous()
    bias = _head_keys(config)["bias"]
    if bias in tensors:
        tensors[bias] = tensors[bias][token_to_group].contiguous()
    for source in Path(tokenizer_folder).glob("tokenizer*.json"):
        with whole(Path(target) / source.name) as partial:
            partial.write_bytes(source.read_bytes())
    _write(tensors, config, Path(target))


def count_parameters(model: nn.Module) -> int:
    """Trainable parameters, shared ones once (Table 3's "# Para")."""
    return sum(math.prod(parameter.shape) for parameter in model.parameters())


def _encoder(
    tensors: dict[str, torch.Tensor],
    config: dict[str, Any],
    prefix: str,
    folder: Path,
    dropout: float | None,
) -> Encoder:
    bare = {
        name.removeprefix(f"{prefix}."): tensor
        for name, tensor in tensors.items()
        if name.startswith((f"{prefix}.embeddings.", f"{prefix}.encoder."))
    }
    weight = bare[word_embeddings_key(bare, folder)]
    token_to_group = bare.setdefault(_TOKEN_TO_GROUP, torch.arange(len(weight)))
    embedding = SemanticTokenEmbedding(token_to_group, weight, config["hidden_size"])
    encoder = Encoder(config, embedding, dropout)
    try:
        encoder.load_state_dict(from_checkpoint_names(bare))
    except (RuntimeError, KeyError) as error:
        raise InputError(
            f"{folder} does not hold the model that its config.json describes ({error}); delete "
            "it to have it made again"
        ) from error
    return encoder


def _draw(layer: nn.Linear, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    nn.init.normal_(layer.weight, std=0.02, generator=generator)
    nn.init.zeros_(layer.bias)


def _head_keys(config: dict[str, Any]) -> dict[str, str]:
    family = config.get("model_type", "")
    if family not in MASKED_LANGUAGE_HEAD_KEYS:
        raise InputError(
            f"backbones of model_type {family!r} are not supported; use one of "
            f"{', '.join(MASKED_LANGUAGE_HEAD_KEYS)}"
        )
    return MASKED_LANGUAGE_HEAD_KEYS[family]


def _read(folder: Path) -> tuple[dict[str, torch.Tensor], dict[str, Any], str]:
    with reading(folder / "model.safetensors"):
        tensors = load_file(folder / "model.safetensors")
    prefix = word_embeddings_key(tensors, folder).partition(".")[0]
    return tensors, read_json(folder / "config.json"), prefix


def _write(tensors: dict[str, torch.Tensor], config: dict[str, Any], folder: Path) -> None:
    with whole(folder / "model.safetensors") as partial:
        save_file(tensors, partial, metadata={"format": "pt"})
    with whole(folder / "config.json") as partial:
        partial.write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
