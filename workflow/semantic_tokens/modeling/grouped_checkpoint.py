"""Writes a checkpoint again with the embeddings of groups, tensor by tensor.

Only tensors with a row or value per subword change (paper, section 2.1). All others keep their names,
dtypes and bytes.
"""

import logging
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors.torch import save_file
from transformers import PreTrainedModel

from semantic_tokens.files import atomic_file
from semantic_tokens.grouping.groups import Groups, group_means
from semantic_tokens.json_files import write_json
from semantic_tokens.modeling.checkpoint_files import metadata, read_tensors, same_parameter
from semantic_tokens.modeling.encoders import check_finite, vocabulary_parameters
from semantic_tokens.modeling.vocabulary_layers import embedding_name

log = logging.getLogger(__name__)

#: Pickled weights, which are read only if the user accepts them.
PICKLES = "pytorch_model*.bin"
# Complete weights in any format, and the state of a training. They are not copied, since they would
# still be the original weights. Other files are further layers, such as colbert_linear.pt.
_OTHER_WEIGHTS = (
    *(PICKLES, "pytorch_model*.pt", "model*.bin", "model*.pt", "model*.pth", "consolidated*"),
    *("*.h5", "*.msgpack", "*.ot", "*.ckpt", "*.onnx", "*.gguf", "*.tflite", "*.mlmodel"),
    *("optimizer.*", "scheduler.pt", "scaler.pt", "rng_state*.pth", "training_args.bin"),
)
_OTHER_FORMS = ("onnx", "openvino", "coreml")
_ADAPTER = ("adapter_config.json", "adapter_model.*")
#: Files that are not fetched from the hub. Subfolders of a checkpoint belong to other modules.
NOT_FETCHED = (*_OTHER_WEIGHTS, *(f"{form}/*" for form in _OTHER_FORMS))


def word_embeddings(files: Sequence[Path], empty: PreTrainedModel, subwords: int) -> torch.Tensor:
    """The word embeddings of a checkpoint without its padding rows, [V, D] float32.

    Args:
        files: its weights, whose shapes are checked.
        empty: its model on the meta device.
        subwords: V.

    Raises:
        InputError: a value is not finite.
    """
    name = embedding_name(empty)
    file, values = next(
        (file, tensors[found][:subwords].float())
        for file in files
        for tensors in [read_tensors(file)]
        for found in same_parameter(tensors, name, empty)
    )
    check_finite(values, file)
    return values


def real_path(path: Path) -> Path:
    """A path with links resolved. Unlike :meth:`Path.resolve`, it accepts a link to itself."""
    return Path(os.path.realpath(path))


def copy_all_but_weights(source: Path, made: Path, target: Path, weights: Sequence[Path]) -> None:
    """Copy the configuration, the tokenizer, and other files of the model, such as the additional
    layers of sentence-transformers. Links that lead nowhere are not copied.

    Args:
        made: the folder to fill.
        target: where it will be moved; if this is in ``source``, it is not copied.
        weights: the files of the weights.
    """
    read = {file.name for file in weights}
    other = (*_OTHER_WEIGHTS, "model*.safetensors", "*.bin.index.json", *_OTHER_FORMS, *_ADAPTER)

    def ignored(folder: str, names: list[str]) -> set[str]:
        found = set(shutil.ignore_patterns(".*")(folder, names))
        if Path(folder) == source:
            left_out = set(shutil.ignore_patterns(*other)(folder, names)) - read
            if left_out:
                log.info("left out: %s", ", ".join(sorted(left_out)))
            found |= {*left_out, *read, "README.md"}
        paths = {name: Path(folder, name) for name in names}
        return found | {
            name
            for name, path in paths.items()
            if real_path(path) == target or not os.path.exists(path)
        }

    mode = made.stat().st_mode
    shutil.copytree(source, made, ignore=ignored, dirs_exist_ok=True)
    made.chmod(mode)  # the source may be read-only


def write_grouped_weights(
    files: Sequence[Path], made: Path, empty: PreTrainedModel, groups: Groups
) -> None:
    """Write a checkpoint's files. Tensors with one row or value per subword get the values of the
    groups; all other tensors do not change."""
    kinds = _kinds(files, empty)
    for number, file in enumerate(files):
        tensors = read_tensors(file)
        for parameter, kind in kinds.items():
            for name in same_parameter(tensors, parameter, empty):
                tensors[name] = _grouped(tensors[name], kind, groups)
        name = file.name
        if file.suffix != ".safetensors":
            name = "model.safetensors" if len(files) == 1 else _shard_name(number, len(files))
            # A pickle may have tied and transposed tensors, which safetensors refuses.
            tensors = {key: tensor.clone().contiguous() for key, tensor in tensors.items()}
        with atomic_file(made / name) as partial:
            save_file(tensors, partial, metadata=metadata(file))
    if files[0].suffix != ".safetensors" and len(files) > 1:
        _write_index(made)


def _kinds(files: Sequence[Path], empty: PreTrainedModel) -> dict[str, str]:
    """:func:`vocabulary_parameters` of a checkpoint. If its decoder differs from its embedding,
    transformers does not tie them, whatever the configuration says."""
    kinds = vocabulary_parameters(empty)
    tied = [parameter for parameter, kind in kinds.items() if kind == "embedding"]
    found = {
        parameter: tensors[name]
        for file in files
        for tensors in [read_tensors(file)]
        for parameter in tied
        for name in same_parameter(tensors, parameter, empty)
    }
    embedding = found[embedding_name(empty)]
    differing = [name for name, values in found.items() if not torch.equal(values, embedding)]
    return kinds | dict.fromkeys(differing, "decoder")


def _grouped(values: torch.Tensor, kind: str, groups: Groups) -> torch.Tensor:
    """A tensor over subwords, with the values of their groups. Padding rows do not change."""
    token_to_group = groups.token_to_group
    new = values.clone()
    if kind == "embedding":
        columns = groups.weight.shape[1]
        new[: len(token_to_group)] = 0
        rows = groups.weight[token_to_group].to(values.dtype)
        new[: len(token_to_group), :columns] = rows
        return new
    members = values[: len(token_to_group)].float()
    means = group_means(members, token_to_group, groups.member_weight)
    new[: len(token_to_group)] = means[token_to_group].to(values.dtype)
    return new


def _shard_name(number: int, count: int) -> str:
    return f"model-{number + 1:05d}-of-{count:05d}.safetensors"


def _write_index(made: Path) -> None:
    """Write the index of converted shards."""
    weight_map, size = {}, 0
    for file in sorted(made.glob("model-*.safetensors")):
        for name, tensor in read_tensors(file).items():
            weight_map[name] = file.name
            size += tensor.nbytes
    write_json(
        {"metadata": {"total_size": size}, "weight_map": weight_map},
        made / "model.safetensors.index.json",
    )
