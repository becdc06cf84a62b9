"""Opens the folder of a semantic-token model with transformers' auto classes.

Every such folder contains a copy of this file. It needs the package ``semantic_tokens``.
"""

from pathlib import Path
from typing import Any

from huggingface_hub import snapshot_download
from transformers import PreTrainedConfig, PreTrainedModel

from semantic_tokens.modeling.loading import load_model


class SemanticTokenConfig(PreTrainedConfig):
    """The configuration of the folder; ``backbone/`` has the encoder's configuration."""

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
        """The model of the backbone's class, with semantic tokens."""
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
    """Start and end of the answer."""

    head = "question_answering"


class SemanticTokenForSequenceClassification(SemanticTokenModel):
    """One label per text."""

    head = "sequence_classification"
