"""Local text: passages of question answering datasets, sentences of annotated corpora, and a user's
own files."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from semantic_tokens.data.datasets.conll import read_sentences
from semantic_tokens.data.datasets.squad import read_contexts, split_and_code
from semantic_tokens.data.languages import in_languages
from semantic_tokens.errors import InputError
from semantic_tokens.text_files import files_in, filled_lines, plain_name


def squad_contexts(path: Path, languages: Sequence[str] | None = None) -> Iterator[dict[str, str]]:
    """The passages of files in SQuAD's JSON. The language is in the file name (``xquad.de.json``,
    ``korean.train.json``) or in the ids of questions."""
    files = _files(path, "*.json")
    whole = [file for file in files if split_and_code(file)[1] is None]
    named = [file for file in files if file not in whole]
    of_files = in_languages(named, lambda file: split_and_code(file)[1] or "", languages)
    for language, file in [*((None, file) for file in whole), *of_files]:
        for spoken, context in read_contexts(file, language, languages):
            if languages is None or spoken in languages:
                yield {"language": spoken, "text": context}


def conll_sentences(path: Path, languages: Sequence[str] | None = None) -> Iterator[dict[str, str]]:
    """Training sentences of CoNLL files: ``{language}/train.txt``, with a word and its tag per line."""
    files = _files(path, "*/train.txt")
    for language, file in in_languages(files, lambda file: file.parent.name, languages):
        for sentence in read_sentences(file, tag=None):
            yield {"language": language, "text": " ".join(sentence.words)}


def text(path: Path, languages: Sequence[str] | None = None) -> Iterator[dict[str, str]]:
    """A user's own text: files ``{language}.txt``, with one passage per line."""
    files = _files(path, "*.txt")
    for language, file in in_languages(files, _code_of_text, languages):
        for _, line in filled_lines(file):
            yield {"language": language, "text": line}


def _code_of_text(file: Path) -> str:
    return plain_name(file).removesuffix(".txt")


def _files(path: Path, pattern: str) -> list[Path]:
    files = files_in(path, pattern)
    if not files:
        raise InputError(f"{path} holds no {pattern}; correct the corpus's `path` in the config")
    return files
