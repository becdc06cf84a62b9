"""One state per text, and the classifier over the mean (paper, section 3)."""

from typing import Literal

import torch
from torch import nn
from transformers import PreTrainedModel
from transformers.modeling_outputs import SequenceClassifierOutput

Pooling = Literal["cls", "mean"]


def pooled(states: torch.Tensor, attention_mask: torch.Tensor, how: Pooling) -> torch.Tensor:
    """[B, L, D] states -> [B, D]: that of the first token (``cls``), or the ``mean`` over the text.

    Args:
        attention_mask: [B, L], 1 where there is text.
    """
    if how == "cls":
        return states[:, 0]
    weights = attention_mask[:, :, None].to(states.dtype)
    return (states * weights).sum(dim=1) / weights.sum(dim=1)


class MeanPooledClassifier(nn.Module):
    """A linear layer over the mean of an encoder's states.

    For encoders that were trained with such a mean, as sentence encoders are. The heads of
    transformers look at the first token of most families.

    Args:
        encoder: from ``load_model("none", …)``.
        labels: outputs.
        seed: decides the fresh layer's weights.
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
        """The encoder, by the name that transformers' own heads have for theirs."""
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
    """Let the last layer of a classifier compute in float32 under autocast, too.

    Rankings compare scores that differ by less than bfloat16 resolves.

    Args:
        labels: outputs of the layer.
    """
    (*_, layer) = [
        m for m in model.modules() if isinstance(m, nn.Linear) and m.out_features == labels
    ]
    inner = layer.forward

    def forward(states: torch.Tensor) -> torch.Tensor:
        with torch.autocast(states.device.type, enabled=False):
            return inner(states.float())

    layer.forward = forward  # type: ignore[assignment]
