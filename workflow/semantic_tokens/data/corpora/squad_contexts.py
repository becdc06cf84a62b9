"""The passages of question-answering sets."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from semantic_tokens.data.corpora.files import corpus_files
from semantic_tokens.data.datasets.squad import read_contexts, split_and_code
from semantic_tokens.data.languages import in_languages


def squad_contexts(path: Path, languages: Sequence[str] | None = None) -> Iterator[dict[str, str]]:
    """The passages of files in SQuAD's JSON. The language is in the file name (``xquad.de.json``,
    ``korean.train.json``) or in the ids of questions."""
    files = corpus_files(path, "*.json")
    multilingual = [file for file in files if split_and_code(file)[1] is None]
    named = [file for file in files if file not in multilingual]
    of_files = in_languages(named, lambda file: split_and_code(file)[1] or "", languages)
    for language, file in [*((None, file) for file in multilingual), *of_files]:
        for spoken, context in read_contexts(file, language, languages):
            if languages is None or spoken in languages:
                yield {"language": spoken, "text": context}
