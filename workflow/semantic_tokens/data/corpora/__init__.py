"""Running text by language, for continual pretraining (paper, section 2.4) and for subword
counts."""

import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from semantic_tokens.data import miniature
from semantic_tokens.data.corpora import hub, packages
from semantic_tokens.data.corpora.conll_sentences import conll_sentences
from semantic_tokens.data.corpora.emoji_names import emoji_names
from semantic_tokens.data.corpora.squad_contexts import squad_contexts
from semantic_tokens.data.corpora.text import text as text_files
from semantic_tokens.data.corpora.xnli_sentences import xnli_sentences
from semantic_tokens.data.digest_set import DigestSet
from semantic_tokens.errors import InputError
from semantic_tokens.text_files import without_surrogates

log = logging.getLogger(__name__)

Passage = dict[str, str]

READERS: dict[str, Callable[..., Iterator[Passage]]] = {
    "django": packages.django,
    "chatterbot": packages.chatterbot,
    "emoji_names": emoji_names,
    "miniature": miniature.texts,
    "squad_contexts": squad_contexts,
    "conll_sentences": conll_sentences,
    "xnli_sentences": xnli_sentences,
    "wikipedia": hub.wikipedia,
    "hf": hub.hf,
    "text": text_files,
}


#: The readers that can read the hub without a local folder.
_OF_HUB = ("wikipedia", "hf")


def read_corpus(
    name: str,
    reader: str,
    options: dict[str, Any],
    path: Path | None,
    minimum_characters: int = 2,
    mirror: str | None = None,
) -> Iterator[Passage]:
    """Read one corpus as ``{"language", "text"}`` passages, each text once per language.

    Args:
        name: its key in the config's ``corpora``, for messages.
        reader: a key of :data:`READERS`.
        options: the options of this reader.
        path: the archive, folder or file to read; None reads the hub.
        minimum_characters: shorter passages are left out.
        mirror: the mirror of the hub: an address, or a folder.

    Raises:
        InputError: there is no such reader, its input is malformed, or no passage is left, in all
            or in a requested language.
    """
    if reader not in READERS:
        raise InputError(
            f"config key corpora.{name}.reader is {reader!r} and must be one of {', '.join(READERS)}"
        )
    seen = DigestSet()  # digests, since a corpus may not fit in memory
    spoken = set()
    replaced = 0
    key = f"config key corpora.{name}"
    context = {"key": key, "mirror": mirror} if reader in _OF_HUB else {}
    if path is None and reader not in _OF_HUB:
        raise InputError(f"{key} has no data to read; give it a `path`, a `download` or a `wheel`")
    for passage in READERS[reader](path, **options, **context):
        text, count = without_surrogates(" ".join(passage["text"].split()))
        replaced += count
        if len(text) >= minimum_characters and seen.add(f"{passage['language']}\t{text}"):
            spoken.add(passage["language"])
            yield {"language": passage["language"], "text": text}
    if replaced:
        log.warning("%s: %d halves of surrogate pairs replaced with U+FFFD", path, replaced)
    missing = sorted({str(language) for language in options.get("languages") or ()} - spoken)
    if missing or not spoken:
        what = f"text in {', '.join(missing)}" if missing else "text"
        raise InputError(
            f"corpus {name!r} has no {what}: {path or options.get('id', reader)} has no passage in "
            f"the requested languages; correct `languages` or `path` of config key corpora.{name}"
        )
