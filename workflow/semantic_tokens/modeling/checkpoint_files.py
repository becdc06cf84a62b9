"""The weight files in the folder of a checkpoint."""

import pickle
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from transformers import PreTrainedModel
from transformers.conversion_mapping import get_model_conversion_mapping
from transformers.core_model_loading import (
    WeightConverter,
    WeightRenaming,
    rename_source_key,
)
from transformers.utils import (
    SAFE_WEIGHTS_INDEX_NAME,
    SAFE_WEIGHTS_NAME,
    WEIGHTS_INDEX_NAME,
    WEIGHTS_NAME,
)
from transformers.utils.hub import get_checkpoint_shard_files
from transformers.utils.logging import disable_progress_bar

from semantic_tokens.errors import InputError, one_line
from semantic_tokens.modeling.vocabulary_layers import embedding_name
from semantic_tokens.text_files import check_utf8

_SAVE = "open the model in transformers and save it with save_pretrained"
#: The configuration of an adapter of PEFT.
ADAPTER = "adapter_config.json"


def weight_files(folder: str | Path, *, convert_pickle: bool = False) -> list[Path]:
    """The files with a checkpoint's tensors: one file, or several shards.

    Args:
        folder: a checkpoint in the layout of the hub.
        convert_pickle: accept a checkpoint that has only pickled weights.

    Raises:
        InputError: there is no file, a shard is missing, the index of the shards cannot be read, or
            pickled weights are not accepted.
    """
    folder = Path(folder)
    found = _files(folder, SAFE_WEIGHTS_NAME, SAFE_WEIGHTS_INDEX_NAME)
    if found:
        return found
    pickled = _files(folder, WEIGHTS_NAME, WEIGHTS_INDEX_NAME)
    if not pickled and (folder / ADAPTER).is_file():
        raise InputError(only_an_adapter(folder))
    if not pickled:
        raise InputError(
            f"the checkpoint {folder} has no {SAFE_WEIGHTS_NAME} and no {WEIGHTS_NAME}; save it with "
            "save_pretrained"
        )
    if not convert_pickle:
        raise InputError(
            f"the checkpoint {folder} has its weights only in {pickled[0].name}, and a pickle can "
            "run code; save it with save_pretrained, or set `convert_pickle: true` in the "
            "backbone's entry (or pass --convert-pickle) to read its tensors and nothing else"
        )
    return pickled


def only_an_adapter(folder: str | Path) -> str:
    """The error message for a folder with the adapter of PEFT and no model."""
    return (
        f"{folder} contains only an adapter ({ADAPTER}); open it with PEFT, merge it into its model "
        "with merge_and_unload(), and save that with save_pretrained"
    )


def _files(folder: Path, single: str, index: str) -> list[Path]:
    if (folder / single).is_file():
        return [folder / single]
    if not (folder / index).is_file():
        return []
    check_utf8(folder / index)
    try:
        # from_pretrained reads it in the same way, and opens what is made from this checkpoint.
        names, _ = get_checkpoint_shard_files(folder, folder / index)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise InputError(
            f"{folder / index} is not an index of weights ({type(error).__name__}: {error}); get the "
            "checkpoint again, or save it with save_pretrained"
        ) from error
    if not names:
        raise InputError(f"{folder / index} names no file with weights; get the checkpoint again")
    files = [Path(name) for name in names]
    for file in files:
        if not file.is_file():
            raise InputError(
                f"{folder / index} names {file.name}, which does not exist; get it again"
            )
    return files


def read_tensors(file: Path) -> dict[str, torch.Tensor]:
    """The tensors of one file of :func:`weight_files`.

    Raises:
        InputError: the file is damaged, or a pickle contains more than tensors.
    """
    if file.suffix == ".safetensors":
        try:
            return load_file(file)
        except SafetensorError as error:
            raise InputError(f"{file} is truncated or damaged ({error}); get it again") from error
    try:
        tensors = torch.load(file, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, LookupError, ValueError) as error:
        # The library first explains its option at length.
        said = one_line(error).partition(". ")[0]
        raise InputError(
            f"{file} is damaged or contains more than tensors ({said}); use a checkpoint in "
            "safetensors"
        ) from error
    if not isinstance(tensors, Mapping):
        raise InputError(f"{file} contains no tensors with names; {_SAVE}")
    for name, value in tensors.items():
        if not isinstance(value, torch.Tensor):
            raise InputError(
                f"{file} contains more than tensors ({name!r} is of type {type(value).__name__}); {_SAVE}"
            )
    return dict(tensors)


def tensor_shapes(files: Iterable[Path]) -> dict[str, Sequence[int]]:
    """The shapes of all tensors in the files of :func:`weight_files`.

    Raises:
        InputError: a file is damaged, or a pickle contains more than tensors.
    """
    return {name: tensor.shape for file in files for name, tensor in read_tensors(file).items()}


def check_shapes(
    shapes: Mapping[str, Sequence[int]], model: PreTrainedModel, source: str | Path
) -> None:
    """Compare the tensors of a checkpoint with its configuration.

    Args:
        shapes: name in the checkpoint -> shape.
        model: the model of the configuration.
        source: the folder of the checkpoint, for the message.

    Raises:
        InputError: the checkpoint has no embedding of subwords, a tensor of another shape, or only
            a part of the encoder.
    """
    names: dict[str, list[str]] = {}
    for name, target in names_in_model(shapes, model).items():
        if not target.is_converted:
            names.setdefault(target.parameter, []).append(name)
    if embedding_name(model) not in names:
        raise InputError(
            f"the checkpoint {source} has no embedding of subwords; use a complete checkpoint"
        )
    for parameter, wanted in model.state_dict().items():
        for name in names.get(parameter, ()):
            if tuple(shapes[name]) != tuple(wanted.shape):
                raise InputError(
                    f"{source}: {name} is {_written(shapes[name])} in the weights, and "
                    f"{_written(wanted.shape)} by config.json; get the checkpoint again"
                )
    if lacking := _missing_in_the_encoder(shapes, model):
        raise InputError(
            f"the checkpoint {source} lacks weights of its encoder ({len(lacking)}, such as "
            f"{lacking[0]}); get the checkpoint again"
        )


def _missing_in_the_encoder(
    shapes: Mapping[str, Sequence[int]], model: PreTrainedModel
) -> list[str]:
    """The weights of the encoder that transformers would initialise at random.

    A pooler may be missing, since masked language modelling does not train it.
    """
    disable_progress_bar()  # nothing is read
    loaded: Any = type(model).from_pretrained(
        None,
        config=model.config,
        state_dict={
            name: torch.empty(tuple(shape), device="meta") for name, shape in shapes.items()
        },
        device_map="meta",  # no memory is used
        output_loading_info=True,
    )
    prefix = "" if model.base_model is model else f"{model.base_model_prefix}."
    return sorted(
        name
        for name in loaded[1]["missing_keys"]
        if name.startswith(prefix) and "pooler" not in name
    )


def _written(shape: Sequence[int]) -> str:
    """A shape in words.

    >>> _written([127, 16]), _written([5]), _written([])
    ('127 × 16', '5', 'one number')
    """
    return " × ".join(map(str, shape)) or "one number"


def metadata(file: Path) -> dict[str, str]:
    """The metadata of a safetensors file; for other files, the metadata that transformers
    writes."""
    if file.suffix != ".safetensors":
        return {"format": "pt"}
    with safe_open(file, framework="pt") as opened:
        return opened.metadata() or {"format": "pt"}


@dataclass(frozen=True)
class Target:
    """The parameter into which transformers loads a tensor.

    Attributes:
        parameter: its name in the model.
        is_converted: the tensor is split or joined with others; this is the first parameter then.
    """

    parameter: str
    is_converted: bool


def names_in_model(names: Iterable[str], model: PreTrainedModel) -> dict[str, Target]:
    """The parameters of a model, by the names in a checkpoint, as transformers loads it.

    The checkpoints of some families have other names than its models. A checkpoint with a head has
    the base model's prefix, and a checkpoint of a bare encoder does not.
    """
    conversions = get_model_conversion_mapping(model)
    renamings = [found for found in conversions if isinstance(found, WeightRenaming)]
    converters = [found for found in conversions if isinstance(found, WeightConverter)]
    parameters = model.state_dict()
    found = {}
    for name in names:
        parameter, pattern = rename_source_key(
            name, renamings, converters, model.base_model_prefix, parameters
        )
        if parameter not in parameters and name in parameters:
            parameter, pattern = name, None  # it already is the model's name
        found[name] = Target(parameter, pattern is not None)
    return found


def same_parameter(names: Iterable[str], parameter: str, model: PreTrainedModel) -> list[str]:
    """The names in a checkpoint of a model's parameter."""
    targets = names_in_model(names, model)
    return [name for name, target in targets.items() if target.parameter == parameter]
