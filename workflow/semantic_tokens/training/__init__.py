"""Training: one loop for fine-tuning and continual pretraining.

``step`` is one optimizer step, ``loop`` runs all steps, ``checkpoint`` saves an unfinished run, and
``tracking`` records the steps.
"""

from semantic_tokens.training.batches import Batch, shuffled_batches
from semantic_tokens.training.checkpoint import remove_checkpoint
from semantic_tokens.training.device import (
    autocast_here,
    checkpoint_activations,
    compile_encoders,
    precision_here,
)
from semantic_tokens.training.loop import train
from semantic_tokens.training.options import TrainingOptions
from semantic_tokens.training.tracking import Tracking, tracked_name

__all__ = [
    "Batch",
    "Tracking",
    "TrainingOptions",
    "autocast_here",
    "checkpoint_activations",
    "compile_encoders",
    "precision_here",
    "remove_checkpoint",
    "shuffled_batches",
    "tracked_name",
    "train",
]
