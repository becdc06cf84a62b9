"""ColexNet+, a network of English concepts and the n-grams that realise them (Liu et al. 2023).

Its builder needs a corpus that is not public. The networks are published as pickles of networkx
graphs. Since pickles can run code, this reader replaces the graph classes with its own, allows
plain containers, and rejects everything else.
"""

import gzip
import pickle
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from semantic_tokens.data.languages import known_language
from semantic_tokens.data.lexicons.entry import Entry
from semantic_tokens.errors import InputError
from semantic_tokens.text_files import files_in, filled_lines

_PICKLES = (".pickle", ".gpickle", ".pkl")
BOUNDARY = "$"  # marks the start or the end of a word in an n-gram
# Languages without spaces, whose n-grams have no marks.
_UNSPACED = frozenset({"zho", "jpn", "tha", "lao", "khm", "mya", "bod"})


class _Graph:
    """A replacement for a networkx graph, which only stores its state."""

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)


class _Unpickler(pickle.Unpickler):
    """Allows containers and graphs, and rejects every other name in a pickle."""

    def find_class(self, module: str, name: str) -> Any:
        if module.startswith("networkx.") and name in ("Graph", "DiGraph"):
            return _Graph
        if (module, name) == ("collections", "defaultdict"):
            return defaultdict
        if module == "builtins" and name in ("dict", "set", "frozenset", "list", "tuple"):
            return {"dict": dict, "set": set, "frozenset": frozenset, "list": list, "tuple": tuple}[
                name
            ]
        raise InputError(f"it contains {module}.{name}, which is more than a graph")


def colexnet(path: Path, languages: Sequence[str] | None = None) -> Iterator[Entry]:
    """Read the network: pickled graphs (``*.pickle``, ``*.gpickle``) or tables of its edges
    (``*.tsv``: concept and ``language:ngram``).

    A concept is an English lemma; the n-grams linked to it are its words. Only complete words are
    kept: n-grams with marks at both ends (in scripts without spaces, also n-grams without marks).

    Raises:
        InputError: there is no network, or it contains more than a graph.
    """
    files = files_in(path, *(f"**/*{ending}" for ending in (*_PICKLES, ".tsv")))
    concepts = set()
    for file in files:
        for concept, node in _edges(file):
            concepts.add(concept)
            code, colon, ngram = node.partition(":")
            if not colon:
                continue
            language = known_language(code)
            if language is None:  # a code that was removed from ISO 639-3
                continue
            word = _word(ngram, language)
            if word and (languages is None or language in languages):
                yield Entry(f"colexnet:{concept}", language, word, "colexnet")
    if languages is None or "eng" in languages:
        for concept in sorted(concepts):
            if word := _word(concept, "eng"):
                yield Entry(f"colexnet:{concept}", "eng", word, "colexnet")
    if not concepts:
        raise InputError(
            f"{path} contains no network of ColexNet+: a pickled graph whose nodes are concepts and "
            "language:ngram, or a .tsv of such edges; export one with the authors' network_builder "
            "(expand_graph), or leave colexnet out of the experiments' alignments"
        )


def _edges(file: Path) -> Iterator[tuple[str, str]]:
    """Concept and ``language:ngram`` of every edge between the two."""
    if file.name.removesuffix(".gz").endswith(".tsv"):
        for number, line in filled_lines(file):
            fields = line.split("\t")
            if len(fields) < 2:
                raise InputError(
                    f"{file}, line {number}: a concept and language:ngram separated by a tab are "
                    f"expected, not {line!r}"
                )
            yield fields[0], fields[1]
        return
    try:
        with gzip.open(file) if file.suffix == ".gz" else file.open("rb") as opened:
            graph = _Unpickler(opened).load()
    except InputError as error:
        raise InputError(f"{file}: {error}; none of its code was run") from error
    except Exception as error:  # a damaged pickle may raise any error
        raise InputError(
            f"{file} is truncated or not a pickle file ({error}); fetch it again"
        ) from error
    adjacency = getattr(graph, "_adj", None)
    if not isinstance(adjacency, dict):
        return
    for node, neighbours in adjacency.items():
        if ":" not in str(node):
            for neighbour in neighbours:
                if ":" in str(neighbour):
                    yield str(node), str(neighbour)


def _word(ngram: str, language: str) -> str | None:
    """The word of an n-gram without its marks; None for a part of a word."""
    bare = ngram.removeprefix(BOUNDARY).removesuffix(BOUNDARY)
    full = len(ngram) - len(bare) == 2 or (bare == ngram and language in _UNSPACED | {"eng"})
    return bare if full and bare.strip() and BOUNDARY not in bare and " " not in bare else None
