"""Opens the folder of a semantic-token model through transformers' own classes.

A copy of this file lies in every such folder. It needs the package ``semantic_tokens``.
"""

from pathlib import Path
from typing import Any

from huggingface_hub import snapshot_download
from transformers import PreTrainedConfig, PreTrainedModel

from semantic_tokens.modeling.loading import load_model


class SemanticTokenConfig(PreTrainedConfig):
    """Of the folder itself; the encoder's own is in ``backbone/``."""

    model_type = "semantic_tokens"


class SemanticTokenModel(PreTrainedModel):
    """The encoder over semantic tokens."""

    config_class = SemanticTokenConfig
    head = "none"

    @classmethod
    def from_pretrained(  # type: ignore[override]
        cls,
        name: str | Path,
        *arguments: Any,
        config: PreTrainedConfig | None = None,
        attn_implementation: str | None = None,
        revision: str | None = None,
        **_: Any,
    ) -> PreTrainedModel:
        """The model of the backbone's own class, with semantic tokens in it."""
        folder = Path(name)
        if not folder.is_dir():
            folder = Path(snapshot_download(str(name), revision=revision))
        return load_model(
            cls.head,
            folder,
            labels=None if config is None else config.num_labels,
            attn_implementation=attn_implementation,
        ).eval()


class SemanticTokenForMaskedLM(SemanticTokenModel):
    """With a decoder that scores semantic tokens."""

    head = "masked_language_modelling"


class SemanticTokenForTokenClassification(SemanticTokenModel):
    """One label per token."""

    head = "token_classification"


class SemanticTokenForQuestionAnswering(SemanticTokenModel):
    """Begin and end of the answer."""

    head = "question_answering"


class SemanticTokenForSequenceClassification(SemanticTokenModel):
    """One label per text."""

    head = "sequence_classification"
