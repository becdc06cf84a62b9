"""A user's own text files."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from semantic_tokens.data.corpora.files import files_in_languages
from semantic_tokens.text_files import filled_lines, plain_name


def text(path: Path, languages: Sequence[str] | None = None) -> Iterator[dict[str, str]]:
    """A user's own text: files ``{language}.txt``, with one passage per line.

    Raises:
        InputError: a requested language is missing, or a file is not UTF-8.
    """
    for language, file in files_in_languages(path, "*.txt", _code_of_text, languages):
        for _, line in filled_lines(file):
            yield {"language": language, "text": line}


def _code_of_text(file: Path) -> str:
    return plain_name(file).removesuffix(".txt")
