"""The options of trainings (paper, Table 2; Appendix A)."""

import math
from dataclasses import asdict, dataclass
from typing import Any

from semantic_tokens.jobs.processes import process_count

#: Options that divide the work of a training. They change its result only by rounding, and by the
#: random numbers that dropout draws. ``study.ingredients`` has the same list.
DIVIDE_THE_WORK = ("checkpoint_every", "device_batch_size", "gradient_checkpointing")
#: Options about the work of one device, which Table 2 leaves out.
OF_THE_DEVICE = (*DIVIDE_THE_WORK, "compile")


@dataclass(frozen=True)
class TrainingOptions:
    """The options of one training, from the config.

    ``config/schemas/config.schema.json`` (``$defs.training``) has the same names and defaults, and
    describes them for users.

    Attributes:
        learning_rate: the peak, after the warm-up. The rate then decays linearly to zero.
        batch_size: the number of examples per optimizer step, over all devices.
        epochs: the number of passes over the training data; ``max_steps`` may end it earlier.
        max_steps: the maximum number of optimizer steps, or None.
        device_batch_size: the number of examples per forward pass; if it is smaller than the batch,
            gradients are accumulated.
        warmup_ratio: the fraction of steps in which the learning rate rises.
        adam_betas: the betas of AdamW.
        weight_decay: the weight decay of AdamW, on matrices only.
        max_gradient_norm: the norm to which gradients are clipped.
        dropout: the dropout of embeddings, attention and residual branches; None is the backbone's.
        precision: ``no`` (float32), ``bf16``, ``fp16`` or ``auto``; see
            :func:`~semantic_tokens.training.device.precision_here`.
        compile: ``auto`` or ``no``; see :func:`~semantic_tokens.training.device.compile_encoders`.
        gradient_checkpointing: keep few activations and recompute the others in the backward pass,
            which takes less memory and more time.
        attn_implementation: the attention of transformers' models (``eager``, ``sdpa``,
            ``flash_attention_2`` …); None is the library's default.
        checkpoint_every: the number of steps between checkpoints; 0 writes none.
    """

    learning_rate: float
    batch_size: int
    epochs: float = 1.0
    max_steps: int | None = None
    device_batch_size: int | None = None
    warmup_ratio: float = 0.0
    adam_betas: tuple[float, float] = (0.9, 0.99)
    weight_decay: float = 0.0
    max_gradient_norm: float = 1.0
    dropout: float | None = None
    precision: str = "no"
    compile: str = "auto"
    gradient_checkpointing: bool = False
    attn_implementation: str | None = None
    checkpoint_every: int = 0

    def __post_init__(self) -> None:
        for name in ("precision", "compile"):  # YAML reads an unquoted `no` as false
            if getattr(self, name) is False:
                object.__setattr__(self, name, "no")

    def deciding(self) -> dict[str, Any]:
        """The options that affect the result of a training by more than rounding."""
        return {k: v for k, v in asdict(self).items() if k not in DIVIDE_THE_WORK}

    def steps(self, examples: int) -> int:
        """The number of optimizer steps for this many examples."""
        steps = math.ceil(self.epochs * math.ceil(examples / self.batch_size))
        return steps if self.max_steps is None else min(steps, self.max_steps)

    def micro_batch_size(self, rows: int) -> int:
        """The number of rows per forward pass: at most ``device_batch_size``, and few enough to
        give every process some rows."""
        share = math.ceil(rows / process_count())
        return min(share, self.device_batch_size or share)
