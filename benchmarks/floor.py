"""A lower bound ("floor") for the time of torch operations on this machine.

For each operation it is the larger of two times: arithmetic divided by the rate of matrix products,
and bytes divided by the rate of memory. A :class:`Recorder` records the operations of a program.
Arithmetic is computed with two rates: that of large products, and that of products with the shape
of the operation, whose factors are not in a cache.
"""

import bisect
import collections
import statistics
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from side_by_side import MIB, bandwidth, matmul_rate
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry, sdpa_backward_flop_count, sdpa_flop_count

COPIED = (0.05, 0.25, 1, 4, 16, 64, 256)  # MiB

# The two factors of a matrix product: rows, columns, and whether the memory layout is by columns.
# None for other operations.
Shape = tuple[tuple[int, int, bool], tuple[int, int, bool]] | None
# Floating point operations, bytes, shape.
Operation = tuple[int, int, Shape]

# Only some rows of a table are read or written.
_LOOKS_UP = ("embedding", "index", "gather", "index_select")
_WRITES_ROWS = ("index_put_", "index_add_", "index_copy_", "scatter_add_")

_BEYOND_CACHES = 8 << 20  # numbers of four bytes


class Recorder(TorchDispatchMode):
    """A context that records the operations of torch.

    Attributes:
        operations: the count of each :data:`Operation`.
    """

    def __init__(self) -> None:
        super().__init__()
        self.operations: collections.Counter[Operation] = collections.Counter()

    def __torch_dispatch__(self, function, types, arguments=(), named=None):  # type: ignore
        named = named or {}
        out = function(*arguments, **named)
        returns = function._schema.returns
        views = returns and returns[0].alias_info and not returns[0].alias_info.is_write
        name = function._overloadpacket.__name__
        if views or name.startswith(("empty", "new_empty", "detach")):
            return out
        given = {id(t): t for t in tree_leaves((arguments, named)) if torch.is_tensor(t)}
        made = {id(t): t for t in tree_leaves(out) if torch.is_tensor(t)}
        if name in _LOOKS_UP:
            given = made
        elif name in _WRITES_ROWS:
            given = {i: t for i, t in given.items() if i not in made}
            made = {i: t for i, t in given.items() if t.is_floating_point()}
        # For a sparse tensor, use its values.
        parts = (t._values() if t.is_sparse else t for t in (*given.values(), *made.values()))
        size = sum(t.numel() * t.element_size() for t in parts)
        if name.startswith("_fused_adam"):  # in place: all but the gradients are written too
            size += sum(t.numel() * t.element_size() for k in (0, 2, 3) for t in arguments[k])
        work, shape = 0, None
        if function._overloadpacket in flop_registry:
            work = flop_registry[function._overloadpacket](*arguments, **named, out_val=out)
        elif name == "_scaled_dot_product_flash_attention_for_cpu":
            work = sdpa_flop_count(*(t.shape for t in arguments[:3]))
        elif name == "_scaled_dot_product_flash_attention_for_cpu_backward":
            work = sdpa_backward_flop_count(*(t.shape for t in arguments[:4]))
        elif name == "_transformer_encoder_layer_fwd":  # of its operations, the four products
            states, width, inner = arguments[0], arguments[1], arguments[14].shape[0]
            rows = states.numel() // width
            for columns, outputs in (
                (width, 3 * width),
                (width, width),
                (width, inner),
                (inner, width),
            ):
                factors = (rows, columns, False), (columns, outputs, True)
                moved = 4 * (rows * columns + columns * outputs + rows * outputs)
                self.operations[2 * rows * columns * outputs, moved, factors] += 1
            return out
        if name in ("mm", "addmm"):
            left, right = arguments[-2:]
            shape = (_layout(left), _layout(right))
        self.operations[work, size, shape] += 1
        return out


def _layout(factor: torch.Tensor) -> tuple[int, int, bool]:
    return factor.shape[0], factor.shape[1], factor.stride(0) < factor.stride(1)


@dataclass(frozen=True)
class Rates:
    """The rates of this machine with torch's number of threads.

    Attributes:
        operations: floating point operations per second in large products.
        copying: bytes per second of memory, in copies or changes of :data:`COPIED`.
        products: seconds of a product, by shape.
    """

    operations: float
    copying: Sequence[float]
    products: Sequence[tuple[Shape, float]]


def rates_of(shapes: Iterable[Shape]) -> Rates:
    """Measure the rates."""
    held = torch.randn(_BEYOND_CACHES)
    return Rates(
        matmul_rate(1024, 384, 1024),
        [bandwidth(size, 0.5) for size in COPIED],
        [(shape, _product_seconds(shape, held)) for shape in shapes],
    )


def _product_seconds(shape: Shape, held: torch.Tensor, seconds: float = 0.02) -> float:
    """The median time of products of two such matrices. Each product uses another part of ``held``
    than the previous one, because a model uses all other weights between two uses of one weight.

    Args:
        held: [n], the memory of the factors; larger factors are allocated.
        seconds: the duration of the measurement.
    """
    assert shape is not None
    sizes = [rows * columns for rows, columns, _ in shape]
    if sum(sizes) > len(held):
        held = torch.randn(sum(sizes))
    copies = len(held) // sum(sizes)
    parts = held[: copies * sum(sizes)].view(copies, -1).split(sizes, dim=1)
    left, right = (
        part.view(copies, columns, rows).mT if by_columns else part.view(copies, rows, columns)
        for part, (rows, columns, by_columns) in zip(parts, shape, strict=True)
    )
    out = torch.zeros(left.shape[1], right.shape[2])
    taken: list[float] = []
    deadline = time.perf_counter() + seconds
    while len(taken) < 3 or time.perf_counter() < deadline:
        i = len(taken) % copies
        began = time.perf_counter()
        torch.mm(left[i], right[i], out=out)
        taken.append(time.perf_counter() - began)
    return statistics.median(taken)


def shapes_in(recorded: Iterable[Iterable[tuple[Operation, float]]]) -> list[Shape]:
    """The unique shapes of all products in some records."""
    return sorted({shape for record in recorded for (_, _, shape), _ in record if shape})


def over(
    first: collections.Counter[Operation], more: collections.Counter[Operation], times: float
) -> list[tuple[Operation, float]]:
    """Extrapolate: the operations of the shorter record, plus a multiple of the difference."""
    further = {operation: times * count for operation, count in (more - first).items()}
    return [*first.items(), *further.items()]


@dataclass(frozen=True)
class Floor:
    """The minimum time of some operations, in seconds.

    Attributes:
        large: operations that arithmetic bounds, at the rate of large products.
        shaped: the same operations, at the rate of products with their shapes.
        memory: operations that memory bounds.
    """

    large: float
    shaped: float
    memory: float

    def of(self, seconds: float) -> str:
        """Describe the floor as a fraction of a measured time."""
        return (
            f"the floor is {(self.large + self.memory) / seconds:.0%} of that (products "
            f"{self.large / seconds:.0%}, memory {self.memory / seconds:.0%}), and "
            f"{(self.shaped + self.memory) / seconds:.0%} with products at the rate of their shapes"
        )


def floor_of(
    record: Iterable[tuple[Operation, float]], rates: Rates | None = None, share: float = 1.0
) -> Floor:
    """The floor of recorded operations.

    Args:
        record: operations with their counts.
        rates: None measures them.
        share: a factor for the amount of work.
    """
    record = list(record)
    rates = rates or rates_of(shapes_in([record]))
    own = dict(rates.products)
    large = shaped = memory = 0.0
    sizes = [size * MIB for size in COPIED]
    for (work, size, shape), count in record:
        # A copy of n bytes reads and writes 2n.
        speed = rates.copying[min(bisect.bisect_left(sizes, size / 2), len(sizes) - 1)]
        if work / rates.operations > size / speed:
            large += count * work / rates.operations
            shaped += count * (own[shape] if shape else work / rates.operations)
        else:
            memory += count * size / speed
    return Floor(share * large, share * shaped, share * memory)


def from_json(record: Iterable[Any]) -> list[tuple[Operation, int]]:
    """Restore a record from JSON, which has no tuples."""
    return [((work, size, shape_from_json(shape)), count) for (work, size, shape), count in record]


def shape_from_json(found: Any) -> Shape:
    """Restore a shape from JSON."""
    return (tuple(found[0]), tuple(found[1])) if found else None
