"""The sentences of annotated corpora."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from semantic_tokens.data.corpora.files import files_in_languages
from semantic_tokens.data.datasets.conll import read_sentences


def conll_sentences(path: Path, languages: Sequence[str] | None = None) -> Iterator[dict[str, str]]:
    """Training sentences of CoNLL files: ``{language}/train.txt``, with a word and its tag per line.

    Raises:
        InputError: a requested language is missing, or a line is malformed.
    """
    files = files_in_languages(path, "*/train.txt", lambda file: file.parent.name, languages)
    for language, file in files:
        for sentence in read_sentences(file, tag=None):
            yield {"language": language, "text": " ".join(sentence.words)}
