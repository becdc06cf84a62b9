"""A backbone without its weights: its sizes, and the operations for one text, counted by torch.

Models are built on the meta device, where tensors have shapes but no values, and torch counts the
operations of one text. This works for any encoder that ``AutoModel`` opens. A few models whose code
needs values run on the CPU. A multiplication with an addition counts as two operations. Only matrix
products and convolutions count.
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

from semantic_tokens.errors import InputError, one_line
from semantic_tokens.modeling.embedding import SemanticTokenDecoder
from semantic_tokens.modeling.encoders import open_config, trusts_remote_code
from semantic_tokens.modeling.vocabulary_layers import (
    output_layer,
    plain_input_embedding,
    replace_output_layer,
)

# The number of positions for which a head is counted: a product with one row may use another
# kernel.
_POSITIONS = 8


class _States(BaseModelOutput):
    """The output of an encoder for a head: states, and None for everything else."""

    def __getattr__(self, name: str) -> None:
        return None


@dataclass(frozen=True)
class Passes:
    """Floating-point operations of one forward pass, and of the backward pass after it."""

    forward: float
    backward: float

    @property
    def step(self) -> float:
        """The operations of both passes."""
        return self.forward + self.backward


@dataclass(frozen=True)
class Architecture:
    """The encoder of a backbone.

    Attributes:
        identity: the configuration as text; equal for equal architectures.
        config: the configuration of transformers.
        trusted: whether the Python code of the checkpoint may run.
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
        """An encoder of BERT's family.

        The numbers of heads and positions do not affect the counts.
        """
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
            spec: the entry, with a ``path`` to the user's checkpoint, or a ``shape``.
            made: the folder of the backbone, which has priority over both if it exists.

        Returns:
            None if it is unknown.
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
        """The number of columns of the word embeddings."""
        return _sizes(self)[0]

    @property
    def encoder_parameters(self) -> int:
        """The number of parameters of the encoder, without the word embeddings."""
        return _sizes(self)[1]

    def text(self, length: float) -> Passes:
        """The operations of encoding one text with ``length`` tokens.

        Raises:
            InputError: torch cannot run this model on the meta device.
        """
        return _known(_text(self, max(1, round(length))))

    def prediction(self, groups: int, dimension: int) -> Passes:
        """The operations of the head of masked language modelling at one position.

        Args:
            groups: the number of outputs of its last layer.
            dimension: the number of columns of the embedding to which this layer is tied.

        Raises:
            InputError: transformers has no such head for this family, or torch cannot run it.
        """
        return _known(_prediction(self, groups, dimension))


def _model(architecture: Architecture, auto_class: Any, device: str = "meta") -> Any:
    """A model with new weights and eager attention, because torch's counter does not support all
    fused kernels."""
    config = copy.deepcopy(architecture.config)
    with torch.device(device):
        return auto_class.from_config(
            config, trust_remote_code=architecture.trusted, attn_implementation="eager"
        )


@functools.cache
def _sizes(architecture: Architecture) -> tuple[int, int]:
    """The number of columns of the word embeddings, and the number of other parameters."""
    model = _model(architecture, AutoModel)
    embedding = plain_input_embedding(model).weight
    return embedding.shape[1], sum(p.numel() for p in model.parameters()) - embedding.numel()


# functools.cache keeps results, but not exceptions. So a count that fails is returned as an
# InputError, which is raised here.
def _known(found: Passes | InputError) -> Passes:
    if isinstance(found, InputError):
        raise found
    return found


@functools.cache
def _text(architecture: Architecture, length: int) -> Passes | InputError:
    """The operations of the encoder for one text of ``length`` tokens."""

    def states(device: str, has_mask: bool) -> torch.Tensor:
        model = _model(architecture, AutoModel, device)
        ids = torch.zeros((1, length), dtype=torch.int64, device=device)
        mask = {"attention_mask": torch.ones_like(ids)} if has_mask else {}
        result: torch.Tensor = model(input_ids=ids, **mask).last_hidden_state
        return result

    # With a mask, most families check whether it is all ones; without one, some search for padding
    # in the ids. Both need values.
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
    """The operations of the head for one position."""
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
    # Only the head: the encoder returns given states.
    model.base_model.forward = lambda *_, **__: _States(last_hidden_state=states)
    passes = _counted(architecture, lambda: model(input_ids=ids).logits)
    if isinstance(passes, InputError):
        return passes
    return Passes(passes.forward / _POSITIONS, passes.backward / _POSITIONS)


def _counted(
    architecture: Architecture, compute: Callable[[], torch.Tensor]
) -> Passes | InputError:
    """The operations of a computation with one output tensor, and of its gradients; or the reason
    why they cannot be counted."""
    try:
        with FlopCounterMode(display=False) as counter:
            result = compute()
            forward = counter.get_total_flops()
            result.sum().backward()
            return Passes(forward, counter.get_total_flops() - forward)
    except (RuntimeError, ValueError, IndexError, TypeError, AttributeError) as error:
        return InputError(f"torch cannot count {_family(architecture)} ({one_line(error)})")


def _family(architecture: Architecture) -> str:
    return f"models of type {architecture.config.model_type}"
