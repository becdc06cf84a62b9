"""Plain checkpoints of semantic-token models, with a row for every subword and all columns.

``AutoModel.from_pretrained`` opens the result with the original tokenizer and computes the same
hidden states (paper, sections 2.1 and 2.3).
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import nn
from transformers import AutoModelForMaskedLM, PreTrainedModel

from semantic_tokens.errors import InputError
from semantic_tokens.files import atomic_folder, copy_files, read_json
from semantic_tokens.modeling.embedding import (
    SemanticTokenDecoder,
    SemanticTokenEmbedding,
    expand_to_subwords,
    semantic_embedding,
)
from semantic_tokens.modeling.encoders import ORIGIN, open_config, trusts_remote_code
from semantic_tokens.modeling.loading import (
    ModelFiles,
    is_semantic_token_model,
    load_model,
    outside_the_head,
)
from semantic_tokens.modeling.model_card import CardContent, write_card
from semantic_tokens.modeling.pooling import MeanPooledClassifier
from semantic_tokens.modeling.vocabulary_layers import replace_output_layer

#: The bias of rows without a subword in the head of masked language modelling: no probability, also
#: in half precision. A bias of 0 would be far above those of most subwords.
_NO_SUBWORD = -1e4


def make_plain(model: PreTrainedModel) -> None:
    """Replace a model's embedding and decoder over groups with modules over subwords, in place."""
    embedding, decoder = model.get_input_embeddings(), model.get_output_embeddings()
    if not isinstance(embedding, SemanticTokenEmbedding):
        return
    groups = embedding.token_to_group.cpu()
    rows, width = model.config.vocab_size, embedding.embedding_dim

    def expanded(values: torch.Tensor, *columns: int) -> nn.Parameter:
        shape = torch.Size([rows, *columns])
        return nn.Parameter(expand_to_subwords(values.detach().cpu(), groups, shape))

    plain = nn.Embedding(rows, width, _weight=expanded(embedding.weight, width).data)
    if embedding.padding_rows is not None:
        plain.weight.data[len(groups) :] = embedding.padding_rows
    if isinstance(decoder, SemanticTokenDecoder):
        is_tied = decoder.weight is embedding.weight
        columns = width if is_tied else decoder.weight.shape[1]
        layer = nn.Linear(columns, rows, bias=decoder.bias is not None, device="meta")
        layer.weight = plain.weight if is_tied else expanded(decoder.weight, columns)
        if decoder.padding_rows is not None:
            layer.weight.data[len(groups) :] = decoder.padding_rows
        if decoder.bias is not None:
            layer.bias = expanded(decoder.bias)
            layer.bias.data[len(groups) :] = _NO_SUBWORD
        replace_output_layer(model, layer)
    model.set_input_embeddings(plain)


def save_plain(model: nn.Module, folder: str | Path) -> None:
    """Write a model as a plain checkpoint, atomically.

    A mean-pooled classifier is written as its encoder, with its own layer in
    ``classifier.safetensors``.
    """
    encoder = model.encoder if isinstance(model, MeanPooledClassifier) else model
    assert isinstance(encoder, PreTrainedModel)
    make_plain(encoder.cpu())
    with atomic_folder(folder) as partial:
        encoder.save_pretrained(partial)
        if isinstance(model, MeanPooledClassifier):
            layer = {name: tensor.cpu() for name, tensor in model.classifier.state_dict().items()}
            save_file(layer, partial / "classifier.safetensors", metadata={"format": "pt"})


def export(files: ModelFiles, tokenizer: str | Path, folder: str | Path) -> SemanticTokenEmbedding:
    """Write the files of a semantic-token model as a plain checkpoint with the backbone's tokenizer.

    It includes the head of masked language modelling if the model has one, and the parts of the
    encoder that this head does not use, such as a pooler.

    Args:
        files: the files of the model.
        tokenizer: the folder of the tokenizer files to copy.
        folder: the folder for the files. The caller writes it atomically.

    Returns:
        the embedding of the model before the conversion.
    """
    head = "masked_language_modelling" if _has_head(files) else "none"
    model = load_model(head, files)
    embedding = semantic_embedding(model)
    make_plain(model)
    state = model.state_dict()
    if head != "none":
        state |= outside_the_head(model, files)
    model.save_pretrained(folder, state_dict=state)
    copy_files(Path(tokenizer), Path(folder), "*token*")
    copy_files(files.source, Path(folder), "*.py")
    return embedding


def export_with_card(
    files: ModelFiles,
    tokenizer: str | Path,
    folder: str | Path,
    *,
    recipe: Mapping[str, Any],
    name: str,
    scores: Sequence[Path] = (),
) -> SemanticTokenEmbedding:
    """:func:`export`, with a model card.

    Args:
        recipe: the recipe of the model, for the card.
        name: the name of the model, for the card.
        scores: files in ``results/scores``, for the card.

    Returns:
        the embedding of the model before the conversion.
    """
    source = files.source
    origin = getattr(open_config(source), ORIGIN, None) or {}
    if is_semantic_token_model(files.folder):
        recipe = {"recipe": read_json(files.folder / "config.json").get("recipe"), **recipe}
    found = [read_json(path) for path in scores]
    embedding = export(files, tokenizer, folder)
    write_card(
        CardContent(
            name=name,
            base_model=_described(origin) or source.name,
            revision=origin.get("revision"),
            subwords=len(embedding.token_to_group),
            groups=len(embedding.weight),
            steps=recipe,
            scores=[
                (s["task"], s["metric"], f"{s['value']:.4g} (seed {s['seed']})") for s in found
            ],
        ),
        folder,
    )
    return embedding


def _described(origin: Mapping[str, Any]) -> str:
    """The source of a backbone in one line; empty if it is unknown."""
    if origin.get("hub"):
        return str(origin["hub"])
    place = [str(origin[key]) for key in ("wheel", "member", "download") if origin.get(key)]
    parts = [f"{origin['layers']} layers"] if origin.get("layers") else []
    if origin.get("vocabulary_size"):
        parts.append(f"{origin['vocabulary_size']:,} subwords")
    return ": ".join(place) + (f" ({', '.join(parts)})" if place and parts else "")


def _has_head(files: ModelFiles) -> bool:
    """Whether a checkpoint has a complete head of masked language modelling."""
    if is_semantic_token_model(files.folder):
        return True
    try:
        model, info = AutoModelForMaskedLM.from_pretrained(
            files.folder,
            trust_remote_code=trusts_remote_code(files.folder),
            output_loading_info=True,
        )
    except (ValueError, InputError):  # the family has no such head
        return False
    prefix = f"{model.base_model_prefix}."
    return all(name.startswith(prefix) for name in info["missing_keys"])
