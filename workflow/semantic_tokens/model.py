"""The semantic-token model (paper, sections 2.1, 2.3 and 2.4).

A semantic-token model is its backbone with two things replaced: the input embedding, which
looks a subword's *group* up, and the decoder of masked language modelling, which is tied to
the same matrix and scores groups. Token ids stay the backbone's own, so text is tokenised
once a backbone and the original tokenizer keeps working.

On disk it is a folder of ``config.json`` (the backbone's) and ``model.safetensors``, in which
``…word_embeddings.weight`` is [V', d] and ``…word_embeddings.token_to_group`` is [V].
"""

import copy
import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import torch
from safetensors.torch import load_file, save_file
from torch import nn
from torch.nn import functional

from semantic_tokens.embeddings import word_embeddings_key
from semantic_tokens.errors import InputError
from semantic_tokens.files import whole

if TYPE_CHECKING:
    from transformers import PreTrainedModel

#: Where each family of backbones keeps the transform and the bias of its MLM head.
MASKED_LANGUAGE_HEAD_KEYS = {
    "bert": {
        "dense": "cls.predictions.transform.dense",
        "layer_norm": "cls.predictions.transform.LayerNorm",
        "bias": "cls.predictions.bias",
    },
    "xlm-roberta": {
        "dense": "lm_head.dense",
        "layer_norm": "lm_head.layer_norm",
        "bias": "lm_head.bias",
    },
}
MASKED_LANGUAGE_HEAD_KEYS["roberta"] = MASKED_LANGUAGE_HEAD_KEYS["xlm-roberta"]

#: Heads of the five tasks, as the classes of transformers that carry them.
TASK_HEADS = {
    "token_classification": "AutoModelForTokenClassification",
    "question_answering": "AutoModelForQuestionAnswering",
    "sequence_classification": "AutoModelForSequenceClassification",
    "encoder": "AutoModel",
}


class SemanticTokenEmbedding(nn.Module):
    """Embedding of subwords by the semantic token they belong to.

    The d columns of ``weight`` are padded to ``hidden_size`` with zeros on the fly
    (section 2.3), so the missing columns have no parameters that training could move.

    Args:
        token_to_group: [V] int64, the group of every subword.
        weight: [V', d] floating, one row a semantic token.
        hidden_size: D of the backbone, with d <= D.
    """

    def __init__(
        self, token_to_group: torch.Tensor, weight: torch.Tensor, hidden_size: int
    ) -> None:
        super().__init__()
        self.token_to_group: torch.Tensor
        self.register_buffer("token_to_group", token_to_group.long())
        self.weight = nn.Parameter(weight.clone())
        self.hidden_size = hidden_size

    @property
    def embedding_dim(self) -> int:
        return self.hidden_size

    def forward(self, input_ids: torch.Tensor) -> torch.Tensor:
        """[...] int64 token ids -> [..., D]."""
        embedded = functional.embedding(self.token_to_group[input_ids], self.weight)
        missing = self.hidden_size - self.weight.shape[1]
        return functional.pad(embedded, (0, missing)) if missing else embedded


class MaskedSemanticLanguageModel(nn.Module):
    """Masked language modelling over semantic tokens (section 2.4).

    The head is the backbone family's own (dense, GELU, LayerNorm, tied decoder, bias), with
    one output a group. Only masked positions are scored: the logits of all others would be
    thrown away, and they are what fills the memory (Appendix D).
    """

    def __init__(self, encoder: "PreTrainedModel") -> None:
        super().__init__()
        config = encoder.config
        self.encoder = encoder
        self.dense = nn.Linear(config.hidden_size, config.hidden_size)
        self.layer_norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.bias = nn.Parameter(torch.zeros(self.embedding.weight.shape[0]))

    @property
    def embedding(self) -> SemanticTokenEmbedding:
        return cast(Any, self.encoder).embeddings.word_embeddings

    def logits(self, hidden: torch.Tensor) -> torch.Tensor:
        """[n, D] hidden states -> [n, V'] scores of the groups."""
        transformed = self.layer_norm(functional.gelu(self.dense(hidden)))
        # The decoder's padded columns are zero, so the leading d of the state are all that count.
        weight = self.embedding.weight
        return functional.linear(transformed[:, : weight.shape[1]], weight, self.bias)

    def forward(
        self, input_ids: torch.Tensor, attention_mask: torch.Tensor, masked_tokens: torch.Tensor
    ) -> torch.Tensor:
        """Mean cross-entropy of the masked positions' groups.

        Args:
            input_ids: [B, L] int64, with masks and random tokens in place.
            attention_mask: [B, L], 1 where there is text.
            masked_tokens: [B, L] int64, the original token id where a position is to be
                predicted, -100 elsewhere.

        Returns:
            a scalar, in nats.
        """
        hidden = self.encoder(input_ids=input_ids, attention_mask=attention_mask)
        selected = masked_tokens != -100
        groups = self.embedding.token_to_group[masked_tokens[selected]]
        return functional.cross_entropy(
            self.logits(hidden.last_hidden_state[selected]).float(), groups
        )


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
    backbone_folder, folder = Path(backbone_folder), Path(folder)
    tensors = load_file(backbone_folder / "model.safetensors")
    config = json.loads((backbone_folder / "config.json").read_text(encoding="utf-8"))
    name = word_embeddings_key(tensors, backbone_folder)
    if len(tensors[name]) != len(token_to_group):
        raise InputError(
            f"the groups are of {len(token_to_group)} subwords and {backbone_folder} has "
            f"{len(tensors[name])}; delete the groups to have them made again"
        )
    tensors[name] = weight.contiguous()
    tensors[name.replace(".weight", ".token_to_group")] = token_to_group.contiguous()
    bias = _head_keys(config)["bias"]
    if bias in tensors:
        members = torch.zeros(len(weight)).index_add_(
            0, token_to_group, torch.ones(len(token_to_group))
        )
        total = torch.zeros(len(weight)).index_add_(0, token_to_group, tensors[bias].float())
        tensors[bias] = total / members
    _save(tensors, json.dumps(config, indent=2) + "\n", folder)


def load_encoder(
    folder: str | Path, *, head: str, seed: int, labels: int | None = None
) -> "PreTrainedModel":
    """Load a semantic-token model below a task head of transformers.

    Args:
        folder: of ``config.json`` and ``model.safetensors``.
        head: a key of :data:`TASK_HEADS`.
        seed: decides the fresh parameters of the head (and of a pooler that the backbone lacks).
        labels: outputs of a classification head.

    Returns:
        the ``PreTrainedModel`` of that head, in training mode, whose input embedding is a
        :class:`SemanticTokenEmbedding`.

    Raises:
        InputError: the folder's tensors do not make the model that its config describes.
    """
    import transformers

    folder = Path(folder)
    config = transformers.AutoConfig.from_pretrained(folder)
    if labels is not None:
        config.num_labels = labels
    small = copy.deepcopy(config)
    # The matrix of V rows that the constructor would draw is replaced at once; spare it.
    small.vocab_size = (config.pad_token_id or 0) + 1
    torch.manual_seed(seed)
    options = {"add_pooling_layer": False} if head == "encoder" else {}
    model = getattr(transformers, TASK_HEADS[head]).from_config(small, **options)
    model.config = config
    model.base_model.config = config
    tensors = load_file(folder / "model.safetensors")
    prefix = "" if head == "encoder" else f"{model.base_model_prefix}."
    _place_embedding(model.base_model, tensors, folder)
    state = {}
    for name, tensor in tensors.items():
        bare = name.partition(".")[2] if _is_of_base_model(name) else None
        if bare is not None:
            state[f"{prefix}{bare}"] = tensor
    missing, unexpected = model.load_state_dict(state, strict=False)
    encoder_missing = [
        name for name in missing if f"{prefix}encoder." in name or "embeddings" in name
    ]
    unexpected = [name for name in unexpected if "pooler" not in name]
    if encoder_missing or unexpected:
        raise InputError(
            f"{folder} does not hold the model that its config.json describes (missing "
            f"{encoder_missing[:3]}, unexpected {unexpected[:3]}); delete it to have it made again"
        )
    model.train()
    return model


def load_masked_language_model(folder: str | Path, *, seed: int) -> MaskedSemanticLanguageModel:
    """Load a semantic-token model with its MLM head; a backbone that has none gets a fresh one.

    A fresh head starts from the dense layer BERT would draw and a zero bias.
    """
    encoder = load_encoder(folder, head="encoder", seed=seed)
    model = MaskedSemanticLanguageModel(encoder)
    generator = torch.Generator().manual_seed(seed)
    nn.init.normal_(model.dense.weight, std=encoder.config.initializer_range, generator=generator)
    nn.init.zeros_(model.dense.bias)
    tensors = load_file(Path(folder) / "model.safetensors")
    keys = _head_keys(encoder.config.to_dict())
    if f"{keys['dense']}.weight" in tensors:
        for part in ("dense", "layer_norm"):
            for kind in ("weight", "bias"):
                getattr(getattr(model, part), kind).data.copy_(tensors[f"{keys[part]}.{kind}"])
        model.bias.data.copy_(tensors[keys["bias"]])
    model.train()
    return model


def save_masked_language_model(
    model: MaskedSemanticLanguageModel, origin: str | Path, folder: str | Path
) -> None:
    """Write a continually pretrained model in the layout of :func:`assemble`.

    Args:
        origin: the folder that the model was loaded from; what the MLM objective does not
            use (a pooler) is carried over from it.
    """
    origin, folder = Path(origin), Path(folder)
    tensors = load_file(origin / "model.safetensors")
    prefix = word_embeddings_key(tensors, origin).partition(".")[0]
    for name, tensor in model.encoder.state_dict().items():
        tensors[f"{prefix}.{name}"] = tensor.detach().cpu().contiguous()
    keys = _head_keys(cast(Any, model.encoder).config.to_dict())
    for part in ("dense", "layer_norm"):
        for name, tensor in getattr(model, part).state_dict().items():
            tensors[f"{keys[part]}.{name}"] = tensor.detach().cpu().contiguous()
    tensors[keys["bias"]] = model.bias.detach().cpu().contiguous()
    _save(tensors, (origin / "config.json").read_text(encoding="utf-8"), folder)


def export(folder: str | Path, tokenizer_folder: str | Path, target: str | Path) -> None:
    """Write a semantic-token model as a plain Hugging Face checkpoint.

    The rows are expanded back to V and the columns to D, so ``AutoModel.from_pretrained``
    opens the result with the original tokenizer and computes the same hidden states.

    Args:
        folder: a semantic-token model.
        tokenizer_folder: the backbone's folder, whose ``tokenizer*.json`` are copied.
        target: the folder to write.
    """
    folder, target = Path(folder), Path(target)
    tensors = load_file(folder / "model.safetensors")
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    name = word_embeddings_key(tensors, folder)
    token_to_group = tensors.pop(name.replace(".weight", ".token_to_group"))
    weight = tensors[name]
    padded = functional.pad(weight, (0, config["hidden_size"] - weight.shape[1]))
    tensors[name] = padded[token_to_group].contiguous()
    bias = _head_keys(config)["bias"]
    if bias in tensors:
        tensors[bias] = tensors[bias][token_to_group].contiguous()
        # Older layouts keep the decoder's bias under its own name, tied to this one.
    for source in Path(tokenizer_folder).glob("*token*.json"):
        with whole(target / source.name) as partial:
            partial.write_bytes(source.read_bytes())
    _save(tensors, json.dumps(config, indent=2) + "\n", target)


def count_parameters(model: nn.Module) -> int:
    """Trainable parameters, shared ones once (Table 3's "# Para")."""
    return sum(math.prod(parameter.shape) for parameter in model.parameters())


def _place_embedding(base_model: Any, tensors: dict[str, torch.Tensor], folder: Path) -> None:
    name = word_embeddings_key(tensors, folder)
    weight = tensors[name]
    token_to_group = tensors.get(name.replace(".weight", ".token_to_group"))
    if token_to_group is None:
        token_to_group = torch.arange(len(weight))
    base_model.embeddings.word_embeddings = SemanticTokenEmbedding(
        token_to_group, weight, base_model.config.hidden_size
    )
    tensors[name.replace(".weight", ".token_to_group")] = token_to_group


def _is_of_base_model(name: str) -> bool:
    return not name.startswith(("cls.", "lm_head."))


def _head_keys(config: dict) -> dict[str, str]:
    family = config.get("model_type", "")
    if family not in MASKED_LANGUAGE_HEAD_KEYS:
        raise InputError(
            f"backbones of model_type {family!r} are not supported; use one of "
            f"{sorted(MASKED_LANGUAGE_HEAD_KEYS)}"
        )
    return MASKED_LANGUAGE_HEAD_KEYS[family]


def _save(tensors: dict[str, torch.Tensor], config: str, folder: Path) -> None:
    with whole(folder / "model.safetensors") as partial:
        save_file(tensors, partial, metadata={"format": "pt"})
    with whole(folder / "config.json") as partial:
        partial.write_text(config, encoding="utf-8")
