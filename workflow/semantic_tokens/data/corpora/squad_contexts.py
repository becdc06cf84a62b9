"""The passages of question-answering sets."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from semantic_tokens.data.corpora.files import LANGUAGES, corpus_files
from semantic_tokens.data.datasets.squad import read_contexts, split_and_code
from semantic_tokens.data.languages import in_languages, languages_of, require_languages


def squad_contexts(path: Path, languages: Sequence[str] | None = None) -> Iterator[dict[str, str]]:
    """The passages of files in SQuAD's JSON. The language is in the file name (``xquad.de.json``,
    ``korean.train.json``) or in the ids of questions.

    Raises:
        InputError: a requested language is missing, or a file has another format.
    """
    files = corpus_files(path, "*.json")
    multilingual = [file for file in files if _code_of(file) == ""]
    named = [file for file in files if file not in multilingual]
    of_files = in_languages(named, _code_of, languages)
    available = languages_of(named, _code_of)
    for language, file in [*((None, file) for file in multilingual), *of_files]:
        for context_language, context in read_contexts(file, language, languages):
            available.add(context_language)
            if languages is None or context_language in languages:
                yield {"language": context_language, "text": context}
    require_languages(languages, available, f"{path}/*.json", LANGUAGES)


def _code_of(file: Path) -> str:
    """The language in the name of a file; empty if there is none."""
    return split_and_code(file)[1] or ""
