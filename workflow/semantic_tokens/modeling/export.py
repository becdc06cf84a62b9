"""Plain checkpoints of semantic-token models, with a row for every subword and all columns.

``AutoModel.from_pretrained`` opens the result with the original tokenizer and computes the same
hidden states (paper, sections 2.1 and 2.3).
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import nn
from transformers import AutoModelForMaskedLM, PreTrainedModel, PreTrainedTokenizerFast

from semantic_tokens.errors import InputError
from semantic_tokens.files import atomic_folder, copy_files
from semantic_tokens.json_files import read_json
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
from semantic_tokens.tokenization.vocabulary import TOKENIZER_FILES, open_tokenizer, vocabulary_size

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


def save_plain(
    model: nn.Module, tokenizer: str | Path, folder: str | Path, labels: Sequence[str] = ()
) -> None:
    """Write a model as a plain checkpoint, atomically.

    A mean-pooled classifier is written as its encoder, with its own layer in
    ``classifier.safetensors``.

    Args:
        tokenizer: the folder of the tokenizer files to copy.
        labels: the names of a classifier's outputs.
    """
    encoder = model.encoder if isinstance(model, MeanPooledClassifier) else model
    assert isinstance(encoder, PreTrainedModel)
    if labels:
        encoder.config.id2label = dict(enumerate(labels))
        encoder.config.label2id = {label: number for number, label in enumerate(labels)}
    make_plain(encoder.cpu())
    with atomic_folder(folder) as partial:
        encoder.save_pretrained(partial)
        copy_files(Path(tokenizer), partial, *TOKENIZER_FILES)
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
    copy_files(Path(tokenizer), Path(folder), *TOKENIZER_FILES)
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
) -> tuple[int, int]:
    """:func:`export`, with a model card.

    Args:
        recipe: the recipe of the model, for the card.
        name: the name of the model, for the card.
        scores: files in ``results/scores``, for the card.

    Returns:
        the numbers of subwords and of semantic tokens.
    """
    origin = getattr(open_config(files.source), ORIGIN, None) or {}
    if is_semantic_token_model(files.folder):
        recipe = {"recipe": read_json(files.folder / "config.json").get("recipe"), **recipe}
    found = [read_json(path) for path in scores]
    embedding = export(files, tokenizer, folder)
    trusted = trusts_remote_code(files.source)
    exported = open_tokenizer(tokenizer, trust_remote_code=trusted)
    subwords, groups = len(embedding.token_to_group), len(embedding.weight)
    if groups == subwords:  # the rows of an ungrouped model may include padding
        subwords = groups = min(subwords, vocabulary_size(exported))
    write_card(
        CardContent(
            name=name,
            base_model=_original(origin) or _backbone(recipe) or files.folder.name,
            hub_name=_hub_name(origin),
            revision=origin.get("revision"),
            subwords=subwords,
            groups=groups,
            steps=recipe,
            scores=[
                (s["task"], s["metric"], f"{s['value']:.4g} (seed {s['seed']})") for s in found
            ],
            kept=_kept(origin),
            first_k=_is_first_k(embedding, exported),
        ),
        folder,
    )
    return subwords, groups


def _original(origin: Mapping[str, Any]) -> str:
    """The model from which a backbone was made; empty if it is unknown."""
    if origin.get("from"):
        return str(origin["from"])
    return ": ".join(str(origin[key]) for key in ("wheel", "member") if origin.get(key))


def _hub_name(origin: Mapping[str, Any]) -> str | None:
    """The name ``owner/name`` on the hub of the model from which a backbone was made, if any."""
    found = re.fullmatch(r"[\w-][\w.-]*/[\w.-]+", str(origin.get("from")))
    return found[0] if found else None


def _backbone(recipe: Mapping[str, Any]) -> str:
    """The name of a recipe's backbone; empty if it is unknown."""
    return str(recipe.get("backbone") or recipe.get("recipe") or "").partition("/")[0]


def _kept(origin: Mapping[str, Any]) -> str:
    """What a backbone has of its original, such as ``2 layers``; empty if it has everything."""
    parts = [f"{origin['layers']} layers"] if origin.get("layers") else []
    if origin.get("vocabulary_size"):
        parts.append(f"{origin['vocabulary_size']:,} subwords")
    return ", ".join(parts)


def _is_first_k(embedding: SemanticTokenEmbedding, tokenizer: PreTrainedTokenizerFast) -> bool:
    """Whether subwords were removed: they share the embedding of the unknown token, which is
    otherwise in a group of its own."""
    unknown, token_to_group = tokenizer.unk_token_id, embedding.token_to_group
    return unknown is not None and int((token_to_group == token_to_group[unknown]).sum()) > 1


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
