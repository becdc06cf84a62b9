"""Load and save semantic-token models, with any of transformers' heads.

The folder of a saved model contains:

- ``model.safetensors``: the tensors with transformers' names. The embedding is [V', d], and has a
  tensor ``token_to_group`` [V].
- ``backbone/``: the configuration of the encoder, and its code if it has any.
- ``config.json``: with the model type ``semantic_tokens``, which marks that this is not a plain
  checkpoint. ``AutoModel.from_pretrained(folder, trust_remote_code=True)`` also opens the folder.
- the tokenizer.
"""

import logging
import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from transformers import (
    AutoModel,
    AutoModelForMaskedLM,
    AutoModelForQuestionAnswering,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
    PreTrainedConfig,
    PreTrainedModel,
)
from transformers.utils.logging import disable_progress_bar

from semantic_tokens.embeddings.matrix import load_embeddings
from semantic_tokens.errors import InputError, one_line
from semantic_tokens.files import atomic_folder, copy_files, reading
from semantic_tokens.grouping.groups import Groups, ungrouped
from semantic_tokens.json_files import read_json, write_json
from semantic_tokens.modeling.embedding import (
    expand_to_subwords,
    semantic_embedding,
    use_semantic_tokens,
)
from semantic_tokens.modeling.encoders import (
    MODEL_TYPE,
    damaged,
    open_config,
    trusts_remote_code,
    vocabulary_parameters,
)
from semantic_tokens.modeling.vocabulary_layers import plain_input_embedding
from semantic_tokens.tokenization.vocabulary import TOKENIZER_FILES

log = logging.getLogger(__name__)

#: The head on top of the encoder -> the class of transformers that has it.
HEADS: dict[str, Any] = {
    "none": AutoModel,
    "masked_language_modelling": AutoModelForMaskedLM,
    "token_classification": AutoModelForTokenClassification,
    "question_answering": AutoModelForQuestionAnswering,
    "sequence_classification": AutoModelForSequenceClassification,
}
WEIGHTS = "model.safetensors"
TOKEN_TO_GROUP = "token_to_group"
#: transformers' class -> the class in remote_code.py that opens our folder.
AUTO_MAP = {
    "AutoConfig": "SemanticTokenConfig",
    "AutoModel": "SemanticTokenModel",
    "AutoModelForMaskedLM": "SemanticTokenForMaskedLM",
    "AutoModelForTokenClassification": "SemanticTokenForTokenClassification",
    "AutoModelForQuestionAnswering": "SemanticTokenForQuestionAnswering",
    "AutoModelForSequenceClassification": "SemanticTokenForSequenceClassification",
}
_CODE = "modeling_semantic_tokens.py"
_DROPOUT = re.compile(r"drop(out)?", re.IGNORECASE)


@dataclass(frozen=True)
class ModelFiles:
    """The files of a semantic-token model.

    Attributes:
        folder: a backbone, or a complete model that :func:`save_model` wrote.
        groups: the groups of a backbone's subwords.
        embeddings: for an ungrouped model, new embeddings [V, d] for the backbone.
    """

    folder: Path
    groups: Path | None = None
    embeddings: Path | None = None

    @classmethod
    def of(
        cls, model: Sequence[str], groups: Sequence[str] = (), embeddings: Sequence[str] = ()
    ) -> "ModelFiles":
        """From a job's inputs.

        Args:
            model: the folder, or files in it.
            groups, embeddings: at most one file each.
        """
        first = Path(model[0])
        return cls(
            first if first.is_dir() else first.parent,
            Path(groups[0]) if groups else None,
            Path(embeddings[0]) if embeddings else None,
        )

    @property
    def source(self) -> Path:
        """The folder with the configuration of the encoder."""
        return self.folder / "backbone" if is_semantic_token_model(self.folder) else self.folder

    def load_groups(self) -> Groups | None:
        """The groups; None if the folder is used without changes."""
        if self.groups is not None:
            return Groups.load(self.groups)
        if self.embeddings is not None:
            return ungrouped(load_embeddings(self.embeddings))
        return None


def is_semantic_token_model(folder: str | Path) -> bool:
    """Whether :func:`save_model` wrote this folder."""
    path = Path(folder) / "config.json"
    return path.is_file() and read_json(path).get("model_type") == MODEL_TYPE


def load_model(
    head: str,
    files: ModelFiles | str | Path,
    *,
    seed: int = 1,
    labels: int | None = None,
    dropout: float | None = None,
    attn_implementation: str | None = None,
) -> PreTrainedModel:
    """Load a semantic-token model, or a plain checkpoint, with one of transformers' heads.

    Args:
        head: a key of ``HEADS``.
        files: the files of the model, or only its folder.
        seed: the seed of weights that the checkpoint lacks, such as those of a new head.
        labels: the number of outputs of a classification head.
        dropout: the dropout of all layers; None keeps the checkpoint's.
        attn_implementation: as in transformers; None is the library's default.

    Returns:
        the model in float32. Its input embedding is a :class:`SemanticTokenEmbedding`.

    Raises:
        InputError: the folder is not a usable checkpoint, or the groups do not fit this backbone.
    """
    if not isinstance(files, ModelFiles):
        files = ModelFiles(Path(files))
    is_saved = is_semantic_token_model(files.folder)
    source = files.source
    trusted = trusts_remote_code(source)
    config = open_config(source, trust_remote_code=trusted)
    if labels is not None:
        config.num_labels = labels
    if dropout is not None:
        set_dropout(config, dropout)
    auto_class = _class_of(head, config)
    options: dict[str, Any] = {"trust_remote_code": trusted, "dtype": torch.float32}
    if attn_implementation is not None:
        options["attn_implementation"] = attn_implementation
    disable_progress_bar()  # loading takes less than a second
    torch.manual_seed(seed)
    try:
        if is_saved:
            groups, tensors = read_saved_model(files.folder)
            with torch.device("meta"):
                model_class = type(auto_class.from_config(config, trust_remote_code=trusted))
            torch.manual_seed(seed)
            model = model_class.from_pretrained(None, config=config, state_dict=tensors, **options)
        else:
            model = auto_class.from_pretrained(source, config=config, **options)
            weight = plain_input_embedding(model).weight.data
            groups = files.load_groups() or Groups(torch.arange(len(weight)), weight)
    except SafetensorError as error:
        raise InputError(damaged(source, error)) from error
    except InputError:
        raise
    except (OSError, ValueError, ImportError, RuntimeError) as error:
        raise InputError(
            f"{files.folder} cannot be opened as {head} ({one_line(error)})"
        ) from error
    use_semantic_tokens(model, groups.token_to_group, groups.weight, groups.member_weight)
    return model


def save_model(
    model: PreTrainedModel,
    files: ModelFiles,
    tokenizer: str | Path,
    folder: str | Path,
    *,
    recipe: str | None = None,
) -> None:
    """Write a semantic-token model with its head of masked language modelling.

    Args:
        model: from ``load_model("masked_language_modelling", files)``.
        files: the files from which it was loaded. Parts of the encoder that this head does not
            use, such as a pooler, are copied from them.
        tokenizer: the folder of the tokenizer files to copy.
        folder: the folder to write, atomically.
        recipe: the recipe of the model, to store in its ``config.json``.
    """
    source = files.source
    embedding = semantic_embedding(model)
    state = {name: tensor.detach() for name, tensor in model.state_dict().items()}
    # Tied tensors have the same address on the device, and copies of them do not.
    tensors = {name: tensor.cpu() for name, tensor in _each_once(state).items()}
    tensors |= outside_the_head(model, files)
    with atomic_folder(folder) as partial:
        save_file(_each_once(tensors), partial / WEIGHTS, metadata={"format": "pt"})
        copy_files(source, partial / "backbone", "config.json", "*.py")
        copy_files(Path(tokenizer), partial, *TOKENIZER_FILES)
        shutil.copyfile(Path(__file__).with_name("remote_code.py"), partial / _CODE)
        write_json(
            {
                "model_type": MODEL_TYPE,
                "auto_map": {name: f"{Path(_CODE).stem}.{made}" for name, made in AUTO_MAP.items()},
                "recipe": recipe,
                "subwords": len(embedding.token_to_group),
                "semantic_tokens": len(embedding.weight),
                "dimension": embedding.weight.shape[1],
            },
            partial / "config.json",
        )


def read_saved_model(folder: str | Path) -> tuple[Groups, dict[str, torch.Tensor]]:
    """Read the groups and the tensors of a model that :func:`save_model` wrote. The tensors are
    those of a plain checkpoint: [V', d] is expanded to the shape in the backbone's configuration.

    Raises:
        InputError: the file is damaged, or does not match its configuration.
    """
    folder = Path(folder)
    with reading(folder / WEIGHTS):
        tensors = load_file(folder / WEIGHTS)
    trusted = trusts_remote_code(folder / "backbone")
    config = open_config(folder / "backbone", trust_remote_code=trusted)
    with torch.device("meta"):
        empty = AutoModelForMaskedLM.from_config(config, trust_remote_code=trusted)
    shapes = {
        name: parameter.shape for name, parameter in empty.named_parameters(remove_duplicate=False)
    }
    try:
        (name,) = [name for name in tensors if name.endswith(f".{TOKEN_TO_GROUP}")]
        token_to_group = tensors.pop(name)
        weight = tensors[name.removesuffix(TOKEN_TO_GROUP) + "weight"]
        for name in vocabulary_parameters(empty):
            if name in tensors:
                tensors[name] = expand_to_subwords(tensors[name], token_to_group, shapes[name])
    except (ValueError, KeyError, IndexError) as error:
        raise InputError(
            f"{folder} does not contain the model that it describes ({error}); delete it and it will "
            "be made again"
        ) from error
    return Groups(token_to_group, weight), tensors


def set_dropout(config: PreTrainedConfig, probability: float) -> None:
    """Set all dropout probabilities in a configuration, whose names depend on the family."""
    for name, value in config.to_dict().items():
        is_probability = isinstance(value, int | float) and not isinstance(value, bool)
        if _DROPOUT.search(name) and "layer" not in name and is_probability:
            setattr(config, name, probability)


def _class_of(head: str, config: PreTrainedConfig) -> Any:
    auto_class = HEADS[head]
    remote = getattr(config, "auto_map", None) or {}
    is_known = type(config) in auto_class._model_mapping or auto_class.__name__ in remote
    if head == "question_answering" and not is_known:
        # The same linear layer: its two labels are the start and the end of the answer.
        config.num_labels = 2
        return _class_of("token_classification", config)
    if not is_known:
        raise InputError(
            f"transformers has no head for {head.replace('_', ' ')} for models of type "
            f"{config.model_type}; leave the task out, or use another backbone"
        )
    return auto_class


def outside_the_head(model: PreTrainedModel, files: ModelFiles) -> dict[str, torch.Tensor]:
    """Tensors of the checkpoint's encoder that a model with a masked language modelling head lacks,
    such as a pooler.

    Args:
        model: from ``load_model("masked_language_modelling", files)``.
        files: the files from which it was loaded.
    """
    if is_semantic_token_model(files.folder):
        tensors = read_saved_model(files.folder)[1]
    else:
        trusted = trusts_remote_code(files.folder)
        encoder, info = AutoModel.from_pretrained(
            files.folder, dtype=torch.float32, trust_remote_code=trusted, output_loading_info=True
        )
        tensors = {
            f"{model.base_model_prefix}.{name}": tensor
            for name, tensor in encoder.state_dict().items()
            if name not in info["missing_keys"]
        }
    known = model.state_dict().keys()
    return {name: tensor for name, tensor in tensors.items() if name not in known}


def _each_once(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Keep one name per tensor, since a safetensors file has each tensor once. If the decoder is
    tied, the embedding's name is kept."""
    first: dict[Any, str] = {}
    for name in sorted(tensors, key=lambda name: "embed" not in name):
        tensor = tensors[name]
        first.setdefault((tensor.data_ptr(), tensor.shape) if tensor.numel() else name, name)
    return {name: tensors[name].contiguous() for name in first.values()}
