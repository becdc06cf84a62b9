"""Text on this machine: passages of question-answering sets, sentences of annotated corpora,
and a user's own files."""

import itertools
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

from semantic_tokens.errors import InputError
from semantic_tokens.languages import language_of_file
from semantic_tokens.task_data.sources import numbered_lines


def squad_contexts(path: Path, languages: Sequence[str] | None = None) -> Iterator[dict[str, str]]:
    """The passages of SQuAD-format files named by language: ``xquad.de.json``,
    ``korean.train.json``."""
    for file in _files(path, "*.json"):
        parts = [part for part in file.stem.split(".") if part not in ("xquad", "train", "dev")]
        language = language_of_file(file, parts[0])
        if languages is not None and language not in languages:
            continue
        try:
            articles = json.loads(file.read_text(encoding="utf-8"))["data"]
            texts = [p["context"] for article in articles for p in article["paragraphs"]]
        except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError) as error:
            raise InputError(
                f"{file} is not SQuAD's JSON ({error!r}); mend or remove it"
            ) from error
        for text in texts:
            yield {"language": language, "text": text}


def conll_sentences(path: Path, languages: Sequence[str] | None = None) -> Iterator[dict[str, str]]:
    """Training sentences of CoNLL files: ``{language}/train.txt``, a word and its tag a line."""
    for file in _files(path, "*/train.txt"):
        language = language_of_file(file, file.parent.name)
        if languages is not None and language not in languages:
            continue
        words: list[str] = []
        for _, line in itertools.chain(numbered_lines(file), [(0, "")]):
            if line.strip():
                words.append(line.split()[0])
            elif words:
                yield {"language": language, "text": " ".join(words)}
                words = []


def text(path: Path, languages: Sequence[str] | None = None) -> Iterator[dict[str, str]]:
    """A user's own text: files ``{language}.txt`` in ISO 639-3, a passage a line."""
    for file in _files(path, "*.txt"):
        language = language_of_file(file, file.stem)
        if languages is None or language in languages:
            for _, line in numbered_lines(file):
                yield {"language": language, "text": line}


def _files(path: Path, pattern: str) -> list[Path]:
    files = sorted(Path(path).glob(pattern))
    if not files:
        raise InputError(f"{path} holds no {pattern}; mend the corpus's `path` in the config")
    return files
