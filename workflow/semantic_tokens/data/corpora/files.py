"""The local files of a corpus."""

from pathlib import Path

from semantic_tokens.errors import InputError
from semantic_tokens.text_files import files_in


def corpus_files(path: Path, pattern: str) -> list[Path]:
    files = files_in(path, pattern)
    if not files:
        raise InputError(f"{path} contains no {pattern}; correct the corpus's `path` in the config")
    return files
