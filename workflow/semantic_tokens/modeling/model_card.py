"""The model card of a semantic-token model, and publishing it on the hub."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from huggingface_hub import HfApi, ModelCard, ModelCardData
from huggingface_hub.errors import HFValidationError, LocalTokenNotFoundError

from semantic_tokens.errors import InputError, one_line
from semantic_tokens.sources.network import is_final

_TEMPLATE = """---
{{ card_data }}
---

# {{ title }}

{{ base_model }} over **semantic tokens**: its {{ subwords }} subwords share {{ groups }} embeddings
(a grouping ratio of {{ ratio }}). {{ tokenizer }}

```python
from transformers import AutoModel, AutoTokenizer

tokenizer = AutoTokenizer.from_pretrained("{{ name }}")
model = AutoModel.from_pretrained("{{ name }}")
```

## How it was made

| | |
| --- | --- |
{%- for key, value in steps.items() %}
| {{ key }} | {{ value }} |
{%- endfor %}
{% if scores %}
## Scores

| task | metric | score |
| --- | --- | --- |
{%- for task, metric, score in scores %}
| {{ task }} | {{ metric }} | {{ score }} |
{%- endfor %}
{% endif %}
The method is that of "Tomato, Tomahto, Tomate: Do Multilingual Language Models Understand Based on
Subword-Level Semantic Concepts?" (Zhang et al.), in the implementation of the package
`semantic-tokens`.
"""


@dataclass(frozen=True)
class CardContent:
    """The content of a model card.

    Attributes:
        name: the name of the folder or the repository.
        base_model: the original model, for the text.
        hub_name: its name on the hub, if it has one.
        revision: its commit, if it is known.
        subwords, groups: |V| and |V'|.
        steps: the operations that made the model, with their settings.
        scores: task, metric and score, if they are known.
        kept: what was kept of the original model, such as ``2 layers``; empty for all of it.
        first_k: whether the tokenizer has only the first subwords.
    """

    name: str
    base_model: str
    revision: str | None
    subwords: int
    groups: int
    steps: Mapping[str, Any]
    scores: Sequence[tuple[str, str, str]] = field(default_factory=tuple)
    hub_name: str | None = None
    kept: str = ""
    first_k: bool = False


def write_card(content: CardContent, folder: str | Path) -> None:
    """Write ``README.md`` as a model card of the hub."""
    base_model = content.base_model
    data = ModelCardData(
        base_model=content.hub_name,
        library_name="transformers",
        tags=["semantic-tokens", "multilingual"],
    )
    at = f" at revision `{content.revision}`" if content.revision else ""
    described = f"{base_model} ({content.kept})" if content.kept else base_model
    tokenizer = "The tokenizer is the original one."
    if content.first_k:
        tokenizer = "The tokenizer has only the first subwords, and splits all words into these."
    card = ModelCard.from_template(
        data,
        template_str=_TEMPLATE,
        title=f"{content.name}: semantic tokens of {described}",
        name=content.name,
        base_model=f"`{described}`{at}",
        tokenizer=tokenizer,
        subwords=f"{content.subwords:,}",
        groups=f"{content.groups:,}",
        ratio=f"{content.groups / content.subwords:.3g}",
        steps={key: value for key, value in content.steps.items() if value not in (None, [], "")},
        scores=list(content.scores),
    )
    (Path(folder) / "README.md").write_text(str(card), encoding="utf-8")


def check_push(repository: str) -> None:
    """Create a repository on the hub before the computation starts.

    Raises:
        InputError: the name is invalid, the token has no permission, or the hub cannot be reached.
    """
    try:
        HfApi().create_repo(repository, exist_ok=True)
    except Exception as error:  # errors of the client and of HTTP have no common base class
        if isinstance(error, HFValidationError | LocalTokenNotFoundError) or is_final(error):
            raise InputError(
                f"the hub does not let you write to {repository} ({one_line(error)}); put a token "
                "that may write into HF_TOKEN, and use a name of the form OWNER/NAME"
            ) from error
        raise InputError(
            f"the hub cannot be reached to create {repository} ({one_line(error)}); check the "
            "network, or leave out --push-to-hub and run `hf upload` later"
        ) from error


def push(folder: str | Path, repository: str) -> str:
    """Upload a checkpoint's folder to a repository of the hub; return its address.

    Raises:
        InputError: the upload failed. The folder is kept.
    """
    try:
        HfApi().upload_folder(
            repo_id=repository, folder_path=folder, commit_message="Add semantic tokens"
        )
    except Exception as error:  # errors of the client, of HTTP, and of the storage for large files
        raise InputError(
            f"{folder} is complete, but could not be uploaded to {repository} "
            f"({one_line(error)}); run `hf upload {repository} {folder}` to try again"
        ) from error
    return repository
