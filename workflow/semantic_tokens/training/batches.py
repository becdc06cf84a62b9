"""The order of the training data, a pure function of the seed and the epoch."""

from collections.abc import Iterator, Sequence

import numpy as np
import torch

#: The named tensors of one forward pass; the first dimension of each is the number of rows.
Batch = dict[str, torch.Tensor]


def row_count(batch: Batch) -> int:
    """The number of rows of a batch."""
    return len(next(iter(batch.values())))


def shuffled_batches(
    lengths: Sequence[int], batch_size: int, steps: int, seed: int, pool: int = 16
) -> Iterator[np.ndarray]:
    """Yield one array of example indices per optimizer step.

    Every epoch visits each example once, in an order drawn from the seed and the epoch.
    To reduce padding, examples of similar length share a batch: the examples of ``pool``
    consecutive batches are sorted by length, cut into batches, and the batches are shuffled.

    Args:
        lengths: the number of tokens of each example.
        steps: the number of batches to yield, over as many epochs as needed.
    """
    size_of = np.asarray(lengths)
    emitted, epoch = 0, 0
    while emitted < steps:
        generator = np.random.default_rng([seed, epoch])
        order = generator.permutation(len(lengths))
        batches = []
        for start in range(0, len(order), batch_size * pool):
            run = order[start : start + batch_size * pool]
            run = run[np.argsort(size_of[run], kind="stable")]
            batches += [run[i : i + batch_size] for i in range(0, len(run), batch_size)]
        for index in generator.permutation(len(batches)):
            if emitted == steps:
                return
            yield batches[index]
            emitted += 1
        epoch += 1
