"""A backbone without its weights: its sizes, and the operations that torch counts for one text.

Models are built on the meta device, where tensors have a shape and no numbers, and one text is
passed through them under torch's counter. So any encoder that ``AutoModel`` opens is counted. The
few whose code looks at numbers run on the CPU. A multiplication and its addition are two operations.
Only matrix products and convolutions count.
"""

import copy
import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode
from transformers import AutoModel, AutoModelForMaskedLM, BertConfig, PreTrainedConfig
from transformers.modeling_outputs import BaseModelOutput

from semantic_tokens.errors import InputError
from semantic_tokens.modeling.embedding import SemanticTokenDecoder
from semantic_tokens.modeling.encoders import open_config, trusts_remote_code
from semantic_tokens.modeling.vocabulary_layers import (
    output_layer,
    plain_input_embedding,
    replace_output_layer,
)

# Positions that a head is counted for at once: a product with one row alone may be another kernel.
_POSITIONS = 8


class _States(BaseModelOutput):
    """What an encoder hands to a head: states, and None for whatever else the head asks for."""

    def __getattr__(self, name: str) -> None:
        return None


@dataclass(frozen=True)
class Passes:
    """Floating-point operations of one forward pass, and of the backward pass after it."""

    forward: float
    backward: float

    @property
    def step(self) -> float:
        """Operations of both."""
        return self.forward + self.backward


@dataclass(frozen=True)
class Architecture:
    """The encoder of a backbone.

    Attributes:
        identity: the configuration as text. Two architectures of one identity are the same.
        config: the configuration, as transformers has it.
        trusted: whether the Python files of the checkpoint may run.
    """

    identity: str
    config: PreTrainedConfig = field(compare=False, repr=False)
    trusted: bool = False

    @classmethod
    def of_config(cls, config: PreTrainedConfig, *, trusted: bool = False) -> "Architecture":
        return cls(config.to_json_string(use_diff=False), config, trusted)

    @classmethod
    def of_shape(
        cls, layers: int, hidden: int, feed_forward: int, vocabulary: int
    ) -> "Architecture":
        """An encoder of BERT's family. The number of heads changes no count, and neither does the
        number of positions."""
        return cls.of_config(
            BertConfig(
                num_hidden_layers=layers,
                hidden_size=hidden,
                intermediate_size=feed_forward,
                vocab_size=vocabulary,
                num_attention_heads=1,
                max_position_embeddings=8192,
            )
        )

    @classmethod
    def of_backbone(cls, spec: Mapping[str, Any], made: Path) -> "Architecture | None":
        """The architecture of an entry of the config.

        Args:
            spec: the entry. Its ``path``, a checkpoint of the user's, tells it, and so does its
                ``shape``.
            made: the folder of the backbone, which goes before both once it is there.

        Returns:
            None where nothing tells it.
        """
        if (made / "config.json").is_file():
            return cls.of_config(open_config(made), trusted=trusts_remote_code(made))
        own = Path(spec.get("path") or made)
        if (own / "config.json").is_file():
            trusted = bool(spec.get("trust_remote_code"))
            config = open_config(own, trust_remote_code=trusted)
            layers = spec.get("layers")
            if layers:
                config.num_hidden_layers = min(layers, config.num_hidden_layers)
                if getattr(config, "layer_types", None):
                    config.layer_types = config.layer_types[:layers]
            return cls.of_config(config, trusted=trusted)
        return cls.of_shape(**spec["shape"]) if spec.get("shape") else None

    @property
    def vocabulary(self) -> int:
        """|V|."""
        return int(self.config.vocab_size)

    @property
    def dimension(self) -> int:
        """Columns of the embedding of subwords."""
        return _sizes(self)[0]

    @property
    def encoder_parameters(self) -> int:
        """Parameters of the encoder, without the embedding of subwords."""
        return _sizes(self)[1]

    def text(self, length: float) -> Passes:
        """Operations of encoding one text of so many tokens.

        Raises:
            InputError: torch cannot run this model on the meta device.
        """
        return _known(_text(self, max(1, round(length))))

    def prediction(self, groups: int, dimension: int) -> Passes:
        """Operations of the head of masked language modelling at one position.

        Args:
            groups: outputs of its last layer.
            dimension: columns of the embedding that this layer is tied to.

        Raises:
            InputError: transformers has no such head for this family, or torch cannot run it.
        """
        return _known(_prediction(self, groups, dimension))


def _model(architecture: Architecture, auto_class: Any, device: str = "meta") -> Any:
    """A model of fresh weights. Its attention is written out as matrix products, since torch's
    counter does not know every fused kernel."""
    config = copy.deepcopy(architecture.config)
    with torch.device(device):
        return auto_class.from_config(
            config, trust_remote_code=architecture.trusted, attn_implementation="eager"
        )


@functools.cache
def _sizes(architecture: Architecture) -> tuple[int, int]:
    """Columns of the embedding of subwords, and parameters beside it."""
    model = _model(architecture, AutoModel)
    embedding = plain_input_embedding(model).weight
    return embedding.shape[1], sum(p.numel() for p in model.parameters()) - embedding.numel()


def _known(found: Passes | InputError) -> Passes:
    if isinstance(found, InputError):
        raise found
    return found


@functools.cache
def _text(architecture: Architecture, length: int) -> Passes | InputError:
    def states(device: str, has_mask: bool) -> torch.Tensor:
        model = _model(architecture, AutoModel, device)
        ids = torch.zeros((1, length), dtype=torch.int64, device=device)
        mask = {"attention_mask": torch.ones_like(ids)} if has_mask else {}
        result: torch.Tensor = model(input_ids=ids, **mask).last_hidden_state
        return result

    # With a mask most families ask whether all of it is set, and without one some look for padding
    # among the ids: neither can be said of tensors without numbers.
    tries = (
        _counted(architecture, functools.partial(states, device, has_mask))
        for device, has_mask in (("meta", False), ("meta", True), ("cpu", True))
    )
    failed: InputError | None = None
    for found in tries:
        if isinstance(found, Passes):
            return found
        failed = failed or found
    assert failed is not None
    return failed


@functools.cache
def _prediction(architecture: Architecture, groups: int, dimension: int) -> Passes | InputError:
    try:
        model = _model(architecture, AutoModelForMaskedLM)
    except ValueError:
        return InputError(
            f"transformers has no head of masked language modelling for {_family(architecture)}"
        )
    layer = output_layer(model)
    if layer is None:
        return InputError(f"{_family(architecture)} has no last layer over subwords")
    is_tied = layer.weight is plain_input_embedding(model).weight
    columns = dimension if is_tied else layer.weight.shape[1]
    weight = nn.Parameter(torch.empty((groups, columns), device="meta"))
    bias = None if layer.bias is None else torch.empty(groups, device="meta")
    replace_output_layer(model, SemanticTokenDecoder(weight, bias))
    states = torch.empty(
        (1, _POSITIONS, architecture.config.hidden_size), device="meta", requires_grad=True
    )
    ids = torch.zeros((1, _POSITIONS), dtype=torch.int64, device="meta")
    # The head alone: the encoder hands over states that are given.
    model.base_model.forward = lambda *_, **__: _States(last_hidden_state=states)
    passes = _counted(architecture, lambda: model(input_ids=ids).logits)
    if isinstance(passes, InputError):
        return passes
    return Passes(passes.forward / _POSITIONS, passes.backward / _POSITIONS)


def _counted(
    architecture: Architecture, compute: Callable[[], torch.Tensor]
) -> Passes | InputError:
    """Operations of a computation that ends in one tensor, and of finding its gradients; or why
    they cannot be counted."""
    try:
        with FlopCounterMode(display=False) as counter:
            result = compute()
            forward = counter.get_total_flops()
            result.sum().backward()
            return Passes(forward, counter.get_total_flops() - forward)
    except (RuntimeError, ValueError, IndexError, TypeError, AttributeError) as error:
        said = " ".join(str(error).split())[:200]
        return InputError(f"torch cannot count {_family(architecture)} ({said})")


def _family(architecture: Architecture) -> str:
    return f"models of type {architecture.config.model_type}"
