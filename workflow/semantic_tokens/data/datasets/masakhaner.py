"""MasakhaNER 1.0: named entities in ten African languages (paper, section 3.1)."""

from collections.abc import Sequence
from pathlib import Path

from semantic_tokens.data.datasets.canonical import SPLITS, Example
from semantic_tokens.data.datasets.conll import examples_of, read_sentences
from semantic_tokens.data.datasets.sources import files_by_language
from semantic_tokens.errors import InputError
from semantic_tokens.text_files import files_in

# Another dataset in the publishers' folder of languages.
_OTHER_DATASET = "conll_2003*/*"


def masakhaner(path: Path, languages: Sequence[str] | None = None) -> dict[str, list[Example]]:
    """Read ``{language}/{train,dev,test}.txt``, with a word and its tag per line, and a blank line
    after every sentence.

    The publishers' splits are kept. A language may have no dev split.

    Raises:
        InputError: a file is missing or has no sentence, or a line is malformed.
    """
    folders = files_by_language(
        path, "*/train.txt", lambda file: file.parent.name, languages, other=_OTHER_DATASET
    )
    splits: dict[str, list[Example]] = {split: [] for split in SPLITS}
    for language, train in folders.items():
        for split in SPLITS:
            file = next(iter(files_in(train.parent, f"{split}.txt")), None)
            if file is not None:
                sentences = read_sentences(file, width=2, tag=2)
                splits[split] += examples_of(file, language, split, sentences)
            elif split != "dev":
                raise InputError(
                    f"{train.parent / split}.txt is missing; fetch it, or leave {language} out of "
                    "the dataset's `languages`"
                )
    return splits
