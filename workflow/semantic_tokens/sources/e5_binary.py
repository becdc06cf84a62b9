"""The ``E5S1`` file: multilingual-e5-small in 4 bits, with its tokenizer.

Layout, little-endian: magic ``E5S1``, u32 version; seven i32 (hidden size, layers, heads,
feed-forward size, rows, positions, token types), f32 layer-norm epsilon, i32 block size. The
tokenizer: i32 pieces, four i32 (bos, eos, pad, unk), u64 blob length, u32[n+1] offsets, f32[n]
scores, the blob of UTF-8 pieces; then the normalisation map: i32 entries, u32 byte length, and
entries of u32 code point, u8 count and that many u32 code points. Then i32 tensors and for each:
u16 name length, name, u8 type (1 = Q4_0, 0 = float32), u32 elements, u64 offset, u64 bytes.
"""

import math
import struct
from dataclasses import dataclass

import numpy as np

from semantic_tokens.errors import InputError

_VERSION = 1
_FLOAT32, _Q4_0 = 0, 1
_BLOCK = 32
_Q4_0_BLOCK = np.dtype([("scale", "<f2"), ("nibbles", "u1", _BLOCK // 2)])


@dataclass(frozen=True)
class E5Model:
    """The content of the file.

    Attributes:
        pieces: the tokenizer's pieces with their scores, in id order.
        normalisation: character -> its normal form, for single characters that change.
        tensors: name -> float32, with the shapes of :func:`tensor_shapes`.
    """

    hidden_size: int
    layers: int
    heads: int
    feed_forward_size: int
    rows: int
    positions: int
    token_types: int
    layer_norm_epsilon: float
    bos: int
    eos: int
    pad: int
    unk: int
    pieces: list[tuple[str, float]]
    normalisation: dict[str, str]
    tensors: dict[str, np.ndarray]


def read_e5_binary(content: bytes, source: str) -> E5Model:
    """Parse the file.

    Args:
        content: the bytes of the file.
        source: its name, for messages.

    Raises:
        InputError: it is not such a file, or it is incomplete or damaged.
    """
    if content[:4] != b"E5S1":
        raise InputError(
            f"{source} begins with {content[:4]!r} and not E5S1; fix the backbone's `member`"
        )
    try:
        return _parse(content)
    except (struct.error, ValueError, OverflowError) as error:
        raise InputError(
            f"{source} is truncated or damaged ({error}); fetch its wheel again"
        ) from error


def tensor_shapes(
    *, hidden_size: int, layers: int, feed_forward_size: int, rows: int, positions: int, types: int
) -> dict[str, tuple[int, ...]]:
    """Name -> shape of all tensors of a model with these sizes."""
    width, wide = (hidden_size,), (feed_forward_size,)
    shapes = {
        "emb.word": (rows, hidden_size),
        "emb.pos": (positions, hidden_size),
        "emb.type": (types, hidden_size),
        "emb.ln.w": width,
        "emb.ln.b": width,
    }
    for layer in range(layers):
        for part in ("q", "k", "v", "ao"):
            shapes[f"l{layer}.{part}.w"] = width + width
            shapes[f"l{layer}.{part}.b"] = width
        shapes |= {f"l{layer}.fi.w": wide + width, f"l{layer}.fi.b": wide}
        shapes |= {f"l{layer}.fo.w": width + wide, f"l{layer}.fo.b": width}
        for part in ("aln", "oln"):
            shapes |= {f"l{layer}.{part}.w": width, f"l{layer}.{part}.b": width}
    return shapes


def dequantise_q4_0(content: bytes) -> np.ndarray:
    """Blocks of an f16 scale and 16 bytes -> 32 float32 per block.

    Byte j has weight j in its low and weight j + 16 in its high nibble. A weight is (nibble - 8)
    times the scale.

    Raises:
        ValueError: the last block is incomplete.
    """
    blocks = np.frombuffer(content, dtype=_Q4_0_BLOCK)
    nibbles = blocks["nibbles"]
    values = np.empty((len(blocks), _BLOCK), dtype=np.float32)
    values[:, : _BLOCK // 2] = nibbles & 0x0F
    values[:, _BLOCK // 2 :] = nibbles >> 4
    values -= 8
    values *= blocks["scale"].astype(np.float32)[:, None]
    return values.ravel()


class _Reader:
    """A position in the file, which reads advance."""

    def __init__(self, content: bytes, position: int) -> None:
        self.content = content
        self.position = position

    def take(self, layout: str) -> tuple:
        values = struct.unpack_from(f"<{layout}", self.content, self.position)
        self.position += struct.calcsize(f"<{layout}")
        return values

    def array(self, dtype: str, count: int) -> np.ndarray:
        if count < 0:
            raise ValueError(f"a list of {count} numbers")
        values = np.frombuffer(self.content, dtype=dtype, count=count, offset=self.position)
        self.position += values.nbytes
        return values

    def raw(self, count: int) -> bytes:
        values = _slice(self.content, self.position, count)
        self.position += count
        return values


def _slice(content: bytes, start: int, count: int) -> bytes:
    if start + count > len(content):
        raise ValueError(f"{count} bytes at {start} are past the end at {len(content)}")
    return content[start : start + count]


def _parse(content: bytes) -> E5Model:
    reader = _Reader(content, position=4)
    (version,) = reader.take("I")
    if version != _VERSION:
        raise ValueError(f"version {version}, not {_VERSION}")
    hidden, layers, heads, wide, rows, positions, types = reader.take("7i")
    epsilon, block = reader.take("fi")
    if block != _BLOCK:
        raise ValueError(f"quantised in blocks of {block}, not {_BLOCK}")
    count, bos, eos, pad, unk, blob_length = reader.take("5iQ")
    if not max(bos, eos, pad, unk) < count <= rows:
        raise ValueError(f"{count} pieces for {rows} rows, special ids {(bos, eos, pad, unk)}")
    pieces = _pieces(reader, count, blob_length)
    normalisation = _normalisation(reader)
    shapes = tensor_shapes(
        hidden_size=hidden,
        layers=layers,
        feed_forward_size=wide,
        rows=rows,
        positions=positions,
        types=types,
    )
    return E5Model(
        hidden_size=hidden,
        layers=layers,
        heads=heads,
        feed_forward_size=wide,
        rows=rows,
        positions=positions,
        token_types=types,
        layer_norm_epsilon=epsilon,
        bos=bos,
        eos=eos,
        pad=pad,
        unk=unk,
        pieces=pieces,
        normalisation=normalisation,
        tensors=_tensors(reader, shapes),
    )


def _pieces(reader: _Reader, count: int, blob_length: int) -> list[tuple[str, float]]:
    offsets = reader.array("<u4", count + 1)
    scores = reader.array("<f4", count)
    blob = reader.raw(blob_length)
    if np.any(np.diff(offsets.astype(np.int64)) < 0) or offsets[-1] > blob_length:
        raise ValueError("the pieces' offsets do not rise within their text")
    bounds = offsets.tolist()
    return [
        (blob[start:end].decode("utf-8"), score)
        for start, end, score in zip(bounds[:-1], bounds[1:], scores.tolist(), strict=True)
    ]


def _normalisation(reader: _Reader) -> dict[str, str]:
    entries, length = reader.take("iI")
    end = reader.position + length
    normalisation = {}
    for _ in range(entries):
        character, count = reader.take("IB")
        normalisation[chr(character)] = "".join(map(chr, reader.take(f"{count}I")))
    if reader.position != end:
        raise ValueError(f"the normalisation map ends at {reader.position}, not {end}")
    return normalisation


def _tensors(reader: _Reader, shapes: dict[str, tuple[int, ...]]) -> dict[str, np.ndarray]:
    tensors = {}
    (count,) = reader.take("i")
    for _ in range(count):
        (name_length,) = reader.take("H")
        name = reader.raw(name_length).decode("utf-8")
        kind, elements, offset, size = reader.take("BIQQ")
        if name not in shapes or elements != math.prod(shapes[name]):
            raise ValueError(f"tensor {name!r} of {elements} numbers does not belong to the model")
        values = _tensor(_slice(reader.content, offset, size), kind, name)
        # The last block may be longer than the tensor, never shorter.
        if len(values) < elements:
            raise ValueError(f"tensor {name!r} has {len(values)} numbers, not {elements}")
        tensors[name] = values[:elements].reshape(shapes[name])
    missing = sorted(shapes.keys() - tensors.keys())
    if missing:
        raise ValueError(f"no tensor {', '.join(missing[:3])}")
    return tensors


def _tensor(content: bytes, kind: int, name: str) -> np.ndarray:
    if kind == _Q4_0:
        return dequantise_q4_0(content)
    if kind == _FLOAT32:
        return np.frombuffer(content, dtype="<f4").copy()
    raise ValueError(f"tensor {name!r} is of the unknown type {kind}")
