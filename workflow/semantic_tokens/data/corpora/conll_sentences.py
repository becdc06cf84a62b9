"""The sentences of annotated corpora."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from semantic_tokens.data.corpora.files import corpus_files
from semantic_tokens.data.datasets.conll import read_sentences
from semantic_tokens.data.languages import in_languages


def conll_sentences(path: Path, languages: Sequence[str] | None = None) -> Iterator[dict[str, str]]:
    """Training sentences of CoNLL files: ``{language}/train.txt``, with a word and its tag per
    line."""
    files = corpus_files(path, "*/train.txt")
    for language, file in in_languages(files, lambda file: file.parent.name, languages):
        for sentence in read_sentences(file, tag=None):
            yield {"language": language, "text": " ".join(sentence.words)}
