"""Pooling of the states of a text, and a mean-pooled classifier (paper, section 3)."""

from typing import Literal

import torch
from torch import nn
from transformers import PreTrainedModel
from transformers.modeling_outputs import SequenceClassifierOutput

Pooling = Literal["cls", "mean"]


def pooled(states: torch.Tensor, attention_mask: torch.Tensor, how: Pooling) -> torch.Tensor:
    """[B, L, D] states -> [B, D]: the first token's state (``cls``), or the ``mean`` over the text.

    Args:
        attention_mask: [B, L], 1 for text and 0 for padding.
    """
    if how == "cls":
        return states[:, 0]
    weights = attention_mask[:, :, None].to(states.dtype)
    return (states * weights).sum(dim=1) / weights.sum(dim=1)


class MeanPooledClassifier(nn.Module):
    """A linear layer over the mean of an encoder's states.

    This is for encoders that were trained with a mean, such as sentence encoders. For most
    families, the heads of transformers use the first token.

    Args:
        encoder: from ``load_model("none", …)``.
        labels: the number of outputs.
        seed: the seed of the new layer's weights.
    """

    def __init__(self, encoder: PreTrainedModel, labels: int, seed: int) -> None:
        super().__init__()
        self.encoder, self.config = encoder, encoder.config
        self.dropout = nn.Dropout(getattr(encoder.config, "hidden_dropout_prob", 0.0))
        self.classifier = nn.Linear(encoder.config.hidden_size, labels)
        generator = torch.Generator().manual_seed(seed)
        nn.init.normal_(self.classifier.weight, std=0.02, generator=generator)
        nn.init.zeros_(self.classifier.bias)

    @property
    def base_model(self) -> PreTrainedModel:
        """The encoder, under the name that transformers uses."""
        return self.encoder

    def forward(
        self,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor,
        token_type_ids: torch.Tensor | None = None,
    ) -> SequenceClassifierOutput:
        """The encoder's arguments -> ``logits`` [B, labels]."""
        types = {} if token_type_ids is None else {"token_type_ids": token_type_ids}
        output = self.encoder(input_ids=input_ids, attention_mask=attention_mask, **types)
        state = pooled(output.last_hidden_state, attention_mask, "mean")
        return SequenceClassifierOutput(logits=self.classifier(self.dropout(state)))


def compute_scores_in_float32(model: nn.Module, labels: int) -> None:
    """Make the last layer of a classifier compute in float32, also under autocast.

    Passages and answers are ranked by scores with differences that bfloat16 cannot represent.

    Args:
        labels: the number of outputs of the layer.
    """
    (*_, layer) = [
        m for m in model.modules() if isinstance(m, nn.Linear) and m.out_features == labels
    ]
    inner = layer.forward

    def forward(states: torch.Tensor) -> torch.Tensor:
        with torch.autocast(states.device.type, enabled=False):
            return inner(states.float())

    layer.forward = forward  # type: ignore[assignment]
