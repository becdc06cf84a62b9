"""The data of the explorer's page, in a compact form.

A section is an array or JSON, compressed with deflate and encoded in base64 for HTML. The browser
decompresses it. The header of the page has the type of each section.
"""

import base64
import json
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch.nn import functional

#: The size of the largest group with cosines between all members, because their number grows with
#: the square of the size. In larger groups, members are compared with the group's mean.
LARGEST_COMPARED = 512

#: A cosine c is stored as the byte round(127 c), with an error of at most 0.004.
COSINE_SCALE = 127


@dataclass(frozen=True)
class Similarities:
    """The similarities of the subwords in each group.

    Attributes:
        to_mean: [V] int8, a subword's cosine to the mean of its group's directions.
        pairs: int8, the cosines between members of groups with two to :data:`LARGEST_COMPARED`
            members. For each group, this is the upper triangle of its matrix by rows, with members
            sorted by id.
    """

    to_mean: np.ndarray
    pairs: np.ndarray


def quantised(cosines: np.ndarray) -> np.ndarray:
    """Cosines as int8; see :data:`COSINE_SCALE`."""
    return np.rint(COSINE_SCALE * np.clip(cosines, -1, 1)).astype(np.int8)


def similarities(embeddings: torch.Tensor, token_to_group: np.ndarray) -> Similarities:
    """Compare the members of every group.

    Args:
        embeddings: [V, d] float32, the grouped embeddings.
        token_to_group: [V] int64, ids 0..V'-1, no group empty.
    """
    rows = functional.normalize(embeddings).numpy()
    order = np.argsort(token_to_group, kind="stable")
    ends = np.bincount(token_to_group).cumsum()
    to_mean = np.empty(len(rows), dtype=np.int8)
    pairs = [np.empty(0, dtype=np.int8)]
    start = 0
    for end in ends:
        ids = order[start:end]
        start = end
        members = rows[ids]
        mean = members.mean(axis=0)
        length = np.linalg.norm(mean)
        to_mean[ids] = quantised(members @ (mean / length if length else mean))
        if 2 <= len(ids) <= LARGEST_COMPARED:
            cosines = members @ members.T
            pairs.append(quantised(cosines[np.triu_indices(len(ids), 1)]))
    return Similarities(to_mean, np.concatenate(pairs))


def sense_columns(senses: Mapping[tuple[int, str], str]) -> dict[str, list[Any]]:
    """The senses of words as columns sorted by token; languages and glosses are numbered.

    Args:
        senses: from :func:`~semantic_tokens.grouping.inspection.word_senses`.
    """
    languages = sorted({language for _, language in senses})
    glosses = sorted(set(senses.values()) | {""})
    number_of = {gloss: number for number, gloss in enumerate(glosses)}
    rows = sorted(senses.items())
    return {
        "languages": languages,
        "glosses": glosses,
        "token": [token for (token, _), _ in rows],
        "language": [languages.index(language) for (_, language), _ in rows],
        "gloss": [number_of[gloss] for _, gloss in rows],
    }


def alphabetical(pieces: Sequence[str], prefix: str) -> np.ndarray:
    """[V] uint32: ids in JavaScript's order of the subwords, in lower case and without the marks
    for the start of a word.

    Args:
        prefix: the prefix of a piece that continues a word.
    """
    bare = [piece.removeprefix(prefix).removeprefix("▁") or piece for piece in pieces]
    keys = [text.lower().encode("utf-16-be", "surrogatepass") for text in bare]
    return np.array(sorted(range(len(keys)), key=keys.__getitem__), dtype=np.uint32)


def smallest(values: np.ndarray) -> np.ndarray:
    """Non-negative integers in the smallest unsigned type that fits; floats in single precision if
    that is exact."""
    if values.dtype.kind == "f":
        single = values.astype(np.float32)
        return single if np.array_equal(single, values) else values
    highest = int(values.max(initial=0))
    return values.astype(np.uint16 if highest < 2**16 else np.uint32)


def pack(content: bytes | np.ndarray | Any) -> tuple[str, str]:
    """A section: the name of its type in the page, and its base64.

    An array keeps its type, with JavaScript's name (``Uint16Array``); bytes are ``Uint8Array``;
    other values are JSON.
    """
    if isinstance(content, np.ndarray):
        little = content.astype(content.dtype.newbyteorder("<"))
        kind = {"u": "Uint", "i": "Int", "f": "Float"}[content.dtype.kind]
        name, raw = f"{kind}{8 * content.dtype.itemsize}Array", little.tobytes()
    elif isinstance(content, bytes):
        name, raw = "Uint8Array", content
    else:
        name = "JSON"
        raw = json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode("utf-8")
    return name, base64.b64encode(zlib.compress(raw)).decode("ascii")
