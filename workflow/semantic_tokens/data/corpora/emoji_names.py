"""The names of pictures, in a package archive."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from semantic_tokens.data.lexicons.package_words import emoji


def emoji_names(path: Path, languages: Sequence[str]) -> Iterator[dict[str, str]]:
    """The names of pictures as text, so that a trimmed vocabulary contains their subwords."""
    for entry in emoji(path, languages):
        yield {"language": entry.language, "text": entry.word}
