"""Where a model of transformers keeps its subwords: the input embedding, and the layer that scores them."""

from torch import nn
from transformers import PreTrainedModel

from semantic_tokens.errors import InputError


def plain_input_embedding(model: PreTrainedModel) -> nn.Embedding:
    """The input embedding of a model.

    Raises:
        InputError: it has none, or one that does more than look rows up.
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
    """The layer of a model's head that scores subwords; None where the head does not."""
    layer = model.get_output_embeddings()
    rows = len(plain_input_embedding(model).weight)
    return layer if isinstance(layer, nn.Linear) and layer.out_features == rows else None


def replace_output_layer(model: PreTrainedModel, layer: nn.Module) -> None:
    """Put another layer in the place of :func:`output_layer`.

    Some heads hold the bias of that layer a second time, under a name of their own.
    """
    bias = model.get_output_embeddings().bias
    model.set_output_embeddings(layer)
    for module in model.modules():
        if module is not layer and bias is not None and getattr(module, "bias", None) is bias:
            module.bias = layer.bias
