"""The sentences of natural language inference."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from semantic_tokens.data.datasets import xnli


def xnli_sentences(path: Path, languages: Sequence[str] | None = None) -> Iterator[dict[str, str]]:
    """Premises and hypotheses of XNLI's development pairs, in the layouts that the dataset's reader
    takes."""
    for language, sentence in xnli.read_sentences(path, languages):
        yield {"language": language, "text": sentence}
