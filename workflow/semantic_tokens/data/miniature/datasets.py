"""Datasets of the miniature tasks, in canonical form."""

import random
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from semantic_tokens.data.miniature import tasks
from semantic_tokens.data.miniature.options import Options
from semantic_tokens.data.miniature.tasks import Record
from semantic_tokens.data.miniature.words import SPLITS
from semantic_tokens.data.miniature.world import Narrator
from semantic_tokens.errors import InputError

GENERATORS: dict[str, Callable[[Narrator, int, Options], Iterator[Record]]] = {
    "token_classification": tasks.named_entities,
    "question_answering": tasks.question_answering,
    "pair_classification": tasks.sentence_pairs,
    "ranking": tasks.rankings,
}


def generate(kind: str, emoji_wheel: str | Path, **given: Any) -> dict[str, list[Record]]:
    """Generate a dataset in canonical form.

    Args:
        kind: a key of :data:`GENERATORS`.
        emoji_wheel: the archive with names of things.
        given: the fields of :class:`Options`.

    Returns:
        the splits, and ``passages`` for ranking. The same options give the same records. The
        records of a language do not depend on the other languages.

    Raises:
        InputError: there is no such kind, or an option is invalid.
    """
    if kind not in GENERATORS:
        raise InputError(
            f"no miniature task is of kind {kind!r}; use one of {', '.join(GENERATORS)}"
        )
    options = Options.checked(given)
    made: dict[str, list[Record]] = {split: [] for split in SPLITS}
    if kind == "ranking":
        made["passages"] = []
    for split in SPLITS:
        for language in options.languages:
            rng = random.Random(f"{kind}/{split}/{language}/{options.seed}")
            narrator = Narrator(language, split, Path(emoji_wheel), rng)
            drawn = GENERATORS[kind](narrator, options.examples[split], options)
            for number, example in enumerate(drawn):
                identity = {"id": f"{language}-{split}-{number}", "language": language}
                if kind == "ranking":
                    passages = _numbered(identity["id"], language, example.pop("passages"), rng)
                    made["passages"] += passages.values()
                    example["relevant"] = {passages[0]["id"]: 1}
                made[split].append(identity | example)
    return made


def _numbered(
    query: str, language: str, texts: Sequence[str], rng: random.Random
) -> dict[int, Record]:
    """Number a query's passages in random order, so that ids do not reveal the relevant one."""
    places = rng.sample(range(len(texts)), len(texts))
    return {
        index: {"id": f"{query}-{place}", "language": language, "title": "", "text": texts[index]}
        for index, place in enumerate(places)
    }


def texts(
    emoji_wheel: str | Path, *, languages: Sequence[str], sentences: int = 200, seed: int = 0
) -> Iterator[dict[str, str]]:
    """Sentences of all splits as a corpus.

    It is for choosing the subwords of a trimmed vocabulary, not for training.

    Args:
        sentences: the number of sentences per language.
    """
    shares = {"train": 0.5, "dev": 0.2, "test": 0.3}
    for language in languages:
        for split, share in shares.items():
            rng = random.Random(f"texts/{split}/{language}/{seed}")
            narrator = Narrator(language, split, Path(emoji_wheel), rng)
            for _ in range(round(share * sentences)):
                yield {"language": language, "text": narrator.anything()}
