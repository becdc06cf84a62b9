"""The layers of transformers models with subwords: the input embedding, and the output layer."""

from torch import nn
from transformers import PreTrainedModel

from semantic_tokens.errors import InputError


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
            "is no layer to group; use an encoder over subwords"
        )
    return embedding


def embedding_name(model: PreTrainedModel) -> str:
    """The name of the weight of a model's input embedding.

    Raises:
        InputError: see :func:`plain_input_embedding`.
    """
    embedding = plain_input_embedding(model)
    (name,) = (name for name, module in model.named_modules() if module is embedding)
    return f"{name}.weight"


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
