"""Running text by language, for continual pretraining (paper, section 2.4) and for subword
counts."""

import logging
from collections.abc import Callable, Iterator, Mapping
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
from semantic_tokens.data.languages import check_codes
from semantic_tokens.data.reader_options import check_reader, check_source, checked_options
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
#: The readers of one archive; others read a folder.
_OF_FILE = ("django", "chatterbot", "emoji_names", "miniature")


def check_corpus(
    name: str, reader: str, options: Mapping[str, Any], path: Path | None
) -> dict[str, Any]:
    """Check a corpus of the config, and return the options to pass to its reader.

    Args:
        name, reader, options, path: see :func:`read_corpus`.

    Raises:
        InputError: there is no such reader, or its options or path are wrong.
    """
    key = f"config key corpora.{name}"
    check_reader(reader, READERS, key)
    if path is not None or reader not in _OF_HUB:
        check_source(path, reader, key, reads_file=reader in _OF_FILE)
    given = checked_options(READERS[reader], options, reader, key)
    check_codes(given.get("languages"), f"{key}.options.languages")
    return given


def read_corpus(
    name: str,
    reader: str,
    options: Mapping[str, Any],
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
        InputError: there is no such reader, its options are wrong, its input is malformed, or no passage is left, in all
            or in a requested language.
    """
    given = check_corpus(name, reader, options, path)
    seen = DigestSet()  # digests, since a corpus may not fit in memory
    languages_found = set()
    replaced = 0
    key = f"config key corpora.{name}"
    context = {"key": key, "mirror": mirror} if reader in _OF_HUB else {}
    for passage in READERS[reader](path, **given, **context):
        text, count = without_surrogates(" ".join(passage["text"].split()))
        replaced += count
        if len(text) >= minimum_characters and seen.add(f"{passage['language']}\t{text}"):
            languages_found.add(passage["language"])
            yield {"language": passage["language"], "text": text}
    if replaced:
        log.warning("%s: %d halves of surrogate pairs replaced with U+FFFD", path, replaced)
    missing = sorted(set(given.get("languages", ())) - languages_found)
    if missing or not languages_found:
        what = f"text in {', '.join(missing)}" if missing else "text"
        raise InputError(
            f"corpus {name!r} has no {what}: {path or options.get('id', reader)} has no passage of "
            f"{minimum_characters} or more characters in the requested languages; correct "
            f"`languages`, `path` or `minimum_characters` of config key corpora.{name}"
        )
