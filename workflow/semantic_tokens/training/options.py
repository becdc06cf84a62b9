"""How long and how fast to train (paper, Table 2; Appendix A)."""

import math
from dataclasses import asdict, dataclass
from typing import Any

from semantic_tokens.jobs.processes import process_count

#: Options that change nothing about what a training learns.
_DECIDE_NOTHING = ("checkpoint_every",)
#: Options of what one device does at a time, which Table 2 leaves out.
OF_THE_DEVICE = ("checkpoint_every", "device_batch_size", "compile")


@dataclass(frozen=True)
class TrainingOptions:
    """Options of one training, which the config gives.

    ``config/schemas/config.schema.json`` (``$defs.training``) has the same names and defaults, and
    is where the user reads of them.

    Attributes:
        learning_rate: peak, reached after the warm-up and decayed linearly to zero.
        batch_size: examples per optimizer step, over all devices.
        epochs: passes over the training data; ``max_steps`` ends sooner.
        max_steps: optimizer steps at most, or None.
        device_batch_size: examples per forward pass; smaller ones accumulate gradients.
        warmup_ratio: share of the steps over which the learning rate rises.
        adam_betas: of AdamW.
        weight_decay: of AdamW, on matrices only.
        max_gradient_norm: gradients are clipped to it.
        dropout: of embeddings, attention and residual branches; None is the backbone's own.
        precision: ``no`` (float32), ``bf16``, ``fp16`` or ``auto``; see
            :func:`~semantic_tokens.training.device.precision_here`.
        compile: ``auto`` or ``no``; see :func:`~semantic_tokens.training.device.compile_encoders`.
        gradient_checkpointing: keep few activations and compute the others again in the backward
            pass: less memory, more time.
        attn_implementation: the attention of transformers' models (``eager``, ``sdpa``,
            ``flash_attention_2`` …); None is the library's default.
        checkpoint_every: optimizer steps between checkpoints; 0 keeps none.
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
        """The options that decide what a training learns."""
        return {k: v for k, v in asdict(self).items() if k not in _DECIDE_NOTHING}

    def steps(self, examples: int) -> int:
        """Optimizer steps that training on this many examples takes."""
        steps = math.ceil(self.epochs * math.ceil(examples / self.batch_size))
        return steps if self.max_steps is None else min(steps, self.max_steps)

    def micro_batch_size(self, rows: int) -> int:
        """Rows of a forward pass: at most what the device takes, and few enough that every
        process has some."""
        share = math.ceil(rows / process_count())
        return min(share, self.device_batch_size or share)
