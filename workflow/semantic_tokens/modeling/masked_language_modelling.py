"""Masked language modelling over semantic tokens (paper, section 2.4; Appendix D)."""

from typing import Any, Literal

import torch
from torch import nn
from torch.nn import functional
from transformers import PreTrainedModel

from semantic_tokens.errors import InputError
from semantic_tokens.modeling.cross_entropy import cross_entropy_in_parts
from semantic_tokens.modeling.embedding import SemanticTokenDecoder, semantic_embedding

Logits = Literal["masked", "all"]


class MaskedLanguageModel(nn.Module):
    """A model of transformers with its own head, and the loss of its masked positions.

    Args:
        model: from ``load_model("masked_language_modelling", …)``.
        logits: ``masked`` selects the states of the masked positions before the head, and computes
            their logits in parts. This saves most of the memory, since the logits of other
            positions are not needed. ``all`` computes the logits of all positions at once, as the
            paper does (Appendix D).

    Raises:
        InputError: the head has no decoder over semantic tokens.
    """

    def __init__(self, model: PreTrainedModel, logits: Logits = "masked") -> None:
        super().__init__()
        decoder = model.get_output_embeddings()
        if not isinstance(decoder, SemanticTokenDecoder):
            raise InputError(
                f"{type(model).__name__} has no last layer over subwords, so it cannot be "
                "pretrained; use `asis` in the row's `pretraining`"
            )
        self.model, self.decoder, self.logits = model, decoder, logits
        self.embedding = semantic_embedding(model)
        self.embedding.sparse_gradient = decoder.weight is self.embedding.weight
        decoder.returns_states = logits == "masked"
        self._positions: torch.Tensor | None = None
        self._check()
        if logits == "masked":
            model.base_model.register_forward_hook(self._narrow)

    def _check(self) -> None:
        """Run the head on one text, because the decoders of some families are not plain layers."""
        was_training, attention = self.model.training, self.model.config._attn_implementation
        if attention not in ("eager", "sdpa"):  # others may need a GPU, or half precision
            self.model.set_attn_implementation("eager")
        try:
            with torch.no_grad():
                text = torch.zeros((1, 16), dtype=torch.int64)
                output = self.model.eval()(input_ids=text).logits
            width = self.decoder.weight.shape[1]
            if self.decoder.returns_states and output.shape[-1] != width:
                raise RuntimeError("its head does not call its last layer")
        except RuntimeError as error:
            raise InputError(
                f"{type(self.model).__name__} cannot be pretrained over semantic tokens ({error}); "
                "use `asis` in the row's `pretraining`"
            ) from error
        if attention not in ("eager", "sdpa"):
            self.model.set_attn_implementation(attention)
        self.model.train(was_training)

    def forward(self, input_ids: torch.Tensor, masked_tokens: torch.Tensor) -> torch.Tensor:
        """Mean cross-entropy of the masked positions' groups, in nats, float32.

        Args:
            input_ids: [B, L] int64, without padding, after masking.
            masked_tokens: [B, L] int64, the original token id at positions to predict, and -100 at
                all others.
        """
        original = masked_tokens.flatten()
        positions = (original != -100).nonzero().squeeze(1)
        groups = self.embedding.token_to_group[original[positions]]
        if self.logits == "all":
            logits = self.model(input_ids=input_ids).logits.flatten(0, 1)
            wanted = torch.full_like(original, -100).index_copy(0, positions, groups)
            return functional.cross_entropy(logits.float(), wanted)
        self._positions = positions
        states = self.model(input_ids=input_ids).logits[0]
        self._positions = None
        return cross_entropy_in_parts(states, self.decoder.weight, self.decoder.bias, groups)

    def _narrow(self, _: nn.Module, __: Any, output: Any) -> Any:
        """The encoder's output with only the states of the masked positions, [1, n, D]."""
        if self._positions is not None:
            states = output.last_hidden_state.flatten(0, 1)
            output.last_hidden_state = states.index_select(0, self._positions)[None]
        return output
