"""Checks whether a checkpoint is a usable encoder over subwords, and reads its limits."""

import inspect
from collections.abc import Collection
from pathlib import Path

import torch
from huggingface_hub.errors import StrictDataclassError
from safetensors import SafetensorError
from torch import nn
from transformers import (
    MODEL_FOR_CAUSAL_LM_MAPPING,
    MODEL_FOR_MASKED_LM_MAPPING,
    MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING,
    AutoConfig,
    AutoModel,
    AutoModelForMaskedLM,
    PreTrainedConfig,
    PreTrainedModel,
)

from semantic_tokens.errors import InputError, one_line
from semantic_tokens.json_files import read_json
from semantic_tokens.modeling.checkpoint_files import ADAPTER, only_an_adapter
from semantic_tokens.modeling.vocabulary_layers import output_layer, plain_input_embedding

#: Our entry in the ``config.json`` of a backbone, which describes its source.
ORIGIN = "derived_from"
#: The model type of a saved semantic-token model.
MODEL_TYPE = "semantic_tokens"


def open_config(folder: str | Path, *, trust_remote_code: bool | None = None) -> PreTrainedConfig:
    """The configuration of an encoder's checkpoint.

    Args:
        folder: a checkpoint in the layout of the hub.
        trust_remote_code: run the Python code of the checkpoint; None uses the setting with which
            the backbone was made.

    Raises:
        InputError: the configuration cannot be read, needs code that is not trusted, or belongs to
            a decoder or an encoder-decoder.
    """
    if trust_remote_code is None:
        trust_remote_code = trusts_remote_code(folder)
    try:
        config = AutoConfig.from_pretrained(folder, trust_remote_code=trust_remote_code)
    except (OSError, ValueError, KeyError, ImportError, StrictDataclassError) as error:
        raise InputError(_reason(folder, error)) from error
    if config.model_type == MODEL_TYPE:
        raise InputError(_semantic_tokens(folder))
    if getattr(config, "quantization_config", None):
        raise InputError(
            f"{folder} has quantized weights (quantization_config in its config.json); use the "
            "original checkpoint"
        )
    if getattr(config, "is_encoder_decoder", False):
        raise InputError(
            f"{folder} contains an encoder-decoder ({config.model_type}); use an encoder, such as BERT, "
            "XLM-R or ModernBERT"
        )
    if type(config) in MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING:
        raise InputError(
            f"{folder} contains the encoder of an encoder-decoder ({config.model_type}), which "
            "AutoModel does not open alone; use an encoder, such as BERT, XLM-R or ModernBERT"
        )
    if _is_decoder(config):
        raise InputError(
            f"{folder} contains a decoder ({config.model_type}); use an encoder, such as BERT, XLM-R "
            "or ModernBERT"
        )
    config.return_dict = True  # our code reads the outputs by name
    return config


def trusts_remote_code(folder: str | Path) -> bool:
    """Whether the backbone was made with ``trust_remote_code``."""
    path = Path(folder) / "config.json"
    return bool(path.is_file() and (read_json(path).get(ORIGIN) or {}).get("trust_remote_code"))


def empty_encoder(config: PreTrainedConfig, *, trust_remote_code: bool = False) -> PreTrainedModel:
    """The encoder of a configuration on the meta device, which has shapes but no values."""
    with torch.device("meta"):
        return AutoModel.from_config(config, trust_remote_code=trust_remote_code)


def empty_model(
    config: PreTrainedConfig, folder: str | Path, *, trust_remote_code: bool = False
) -> PreTrainedModel:
    """The model of a configuration on the meta device, with a head of masked language modelling if
    the family has one.

    Args:
        config: from :func:`open_config`.
        folder: the folder of the configuration, for the message.

    Raises:
        InputError: the configuration has a value that the model does not accept.
    """
    try:
        try:
            with torch.device("meta"):
                return AutoModelForMaskedLM.from_config(config, trust_remote_code=trust_remote_code)
        except ValueError:  # the family has no such head, or a value is wrong
            return empty_encoder(config, trust_remote_code=trust_remote_code)
    except Exception as error:  # each value raises another error
        raise InputError(_reason(folder, error)) from error


#: The ends of the names of modules with one row per position. RoFormer has the second.
_POSITIONS = ("position_embeddings", "embed_positions")


def longest_text(folder: str | Path) -> int | None:
    """The maximum number of tokens that the model of a folder reads, including special tokens.

    None if the model has no position embeddings, so that there is no limit.
    """
    trusted = trusts_remote_code(folder)
    config = open_config(folder, trust_remote_code=trusted)
    model = empty_encoder(config, trust_remote_code=trusted)
    limits = []
    for name, module in model.named_modules():
        weight = getattr(module, "weight", None)
        if name.endswith(_POSITIONS) and weight is not None:
            # RoBERTa's positions start after the padding id.
            padding = getattr(module, "padding_idx", None)
            limits.append(len(weight) - (0 if padding is None else padding + 1))
    # Nyströmformer, for example, has more rows than it uses.
    declared = getattr(config, "max_position_embeddings", None)
    return min([*limits, declared]) if limits and declared else min(limits, default=None)


def check_length(folder: str | Path, tokens: int, key: str) -> None:
    """Check that a backbone can read texts of a length in the config.

    Args:
        folder: the backbone.
        tokens: the length, including special tokens.
        key: the config's key, for the message.

    Raises:
        InputError: the model has too few positions.
    """
    limit = longest_text(folder)
    if limit is not None and tokens > limit:
        raise InputError(
            f"config key {key} is {tokens}, and {folder} reads at most {limit} tokens; lower it"
        )


def embedding_width(folder: str | Path) -> int:
    """The columns of a backbone's embedding. Some families have fewer than hidden units."""
    trusted = trusts_remote_code(folder)
    config = open_config(folder, trust_remote_code=trusted)
    return plain_input_embedding(empty_encoder(config, trust_remote_code=trusted)).embedding_dim


def token_types(config: PreTrainedConfig | None) -> int:
    """The number of token types of a model; 1 if it does not use them."""
    return int(getattr(config, "type_vocab_size", 1) or 1)


def takes_token_types(model: nn.Module) -> bool:
    """Whether a model's ``forward`` has the argument ``token_type_ids``."""
    return "token_type_ids" in inspect.signature(type(model).forward).parameters


def vocabulary_parameters(model: PreTrainedModel) -> dict[str, str]:
    """The parameters of a model that have one row, or one number, per subword.

    Returns:
        name -> ``embedding``, ``decoder`` (a matrix that is not tied to the embedding) or ``bias``.
    """
    embedding = plain_input_embedding(model).weight
    kinds = {id(embedding): "embedding"}
    decoder = output_layer(model)
    if decoder is not None:
        kinds.setdefault(id(decoder.weight), "decoder")
        if decoder.bias is not None:
            kinds[id(decoder.bias)] = "bias"
    return {
        name: kinds[id(parameter)]
        for name, parameter in model.named_parameters(remove_duplicate=False)
        if id(parameter) in kinds
    }


def check_head(names: Collection[str], model: PreTrainedModel, source: str | Path) -> None:
    """Check that the head of a checkpoint has no other matrix over subwords than those of
    :func:`vocabulary_parameters`, as MobileBERT's head has. It would score the members of a group
    differently. A second bias is not refused, since untied heads have one that they do not use.

    Args:
        names: the tensors in the checkpoint.
        model: the model of the configuration.
        source: the folder of the checkpoint, for the message.

    Raises:
        InputError: there is another one.
    """
    rows, known = len(plain_input_embedding(model).weight), vocabulary_parameters(model)
    others = [
        name
        for name, parameter in model.named_parameters()
        if parameter.ndim > 1 and rows in parameter.shape and name not in known
    ]
    # If the encoder has such a parameter too, the size is another one by chance equal to |V|.
    if any(name.startswith(f"{model.base_model_prefix}.") for name in others):
        return
    for name in others:
        if name in names:
            raise InputError(
                f"{source}: its head has another matrix over subwords ({name}), with which the "
                "members of a group would get different scores; use another encoder"
            )


def check_vocabulary(model: PreTrainedModel, subwords: int, source: str | Path) -> None:
    """Check that a model's embedding fits its tokenizer. Rows after the last id are padding.

    Raises:
        InputError: the model has no embedding, or a subword has no row in it.
    """
    try:
        rows = len(plain_input_embedding(model).weight)
    except InputError as error:
        raise InputError(f"{source}: {error}") from error
    if rows < subwords:
        raise InputError(
            f"the checkpoint {source} has {subwords} subwords and only {rows} rows in its "
            "embedding; its tokenizer is of another model"
        )


def _is_decoder(config: PreTrainedConfig) -> bool:
    remote = getattr(config, "auto_map", None) or {}
    if type(config) in MODEL_FOR_MASKED_LM_MAPPING or "AutoModelForMaskedLM" in remote:
        return bool(getattr(config, "is_decoder", False))
    return type(config) in MODEL_FOR_CAUSAL_LM_MAPPING or "AutoModelForCausalLM" in remote


def _reason(folder: str | Path, error: Exception) -> str:
    said = one_line(error)
    if any(words in str(error) for words in ("trust_remote_code", "custom code")):
        if read_json(Path(folder) / "config.json").get("model_type") == MODEL_TYPE:
            return _semantic_tokens(folder)
        return (
            f"{folder} needs Python code that comes with the checkpoint; read its files, and if you "
            "trust them set `trust_remote_code: true` in the backbone's entry (or pass "
            "--trust-remote-code)"
        )
    if not (Path(folder) / "config.json").is_file():
        if (Path(folder) / ADAPTER).is_file():
            return only_an_adapter(folder)
        return f"{folder} has no config.json; use a checkpoint in the layout of the hub"
    return f"{folder}/config.json cannot be used ({said}); get the checkpoint again"


def _semantic_tokens(folder: str | Path) -> str:
    return (
        f"{folder} already has semantic tokens; `semantic-tokens export --model {folder}` writes it "
        "as a plain checkpoint"
    )


def read_embeddings(folder: str | Path, subwords: int) -> torch.Tensor:
    """The embedding of a checkpoint, [V, D] float32, without padding rows.

    Args:
        folder: a backbone.
        subwords: V.

    Raises:
        InputError: the weights are damaged, have too few rows, or are not finite.
    """
    trusted = trusts_remote_code(folder)
    config = open_config(folder, trust_remote_code=trusted)
    try:
        model = AutoModel.from_pretrained(
            folder, config=config, dtype=torch.float32, trust_remote_code=trusted
        )
    except SafetensorError as error:
        raise InputError(damaged(folder, error)) from error
    check_vocabulary(model, subwords, folder)
    weight = plain_input_embedding(model).weight.data[:subwords].clone()
    check_finite(weight, folder)
    return weight


def check_finite(embeddings: torch.Tensor, source: str | Path) -> None:
    """Check word embeddings.

    Args:
        embeddings: [V, D].
        source: their file or folder, for the message.

    Raises:
        InputError: a number is not finite.
    """
    bad = (~embeddings.isfinite()).any(dim=1).nonzero().flatten().tolist()
    if bad:
        raise InputError(
            f"{source} has a number that is not finite in the embedding of subword {bad[0]} (and in "
            f"{len(bad) - 1} others); get the checkpoint again"
        )


def damaged(folder: str | Path, error: Exception) -> str:
    """The error message for weights that cannot be read, for example if the file is incomplete."""
    return f"{folder}/model.safetensors is damaged ({error}); delete it and it will be made again"
