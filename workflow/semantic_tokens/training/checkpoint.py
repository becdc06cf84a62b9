"""The saved state of an unfinished training, from which it continues exactly."""

import hashlib
import json
import logging
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import nn

from semantic_tokens.errors import InputError
from semantic_tokens.files import atomic_file
from semantic_tokens.json_files import read_json, write_json
from semantic_tokens.training.batches import Batch
from semantic_tokens.training.options import TrainingOptions
from semantic_tokens.training.step import Step

log = logging.getLogger(__name__)


def run_fingerprint(
    model: nn.Module,
    options: TrainingOptions,
    steps: int,
    seed: int,
    identity: Any = None,
) -> str:
    """A digest that identifies a run: options, initial weights, and ``identity``, plain values that
    decide the result too, such as the digests of the data."""
    deciding = [options.deciding(), steps, seed, identity]
    digest = hashlib.sha256(json.dumps(deciding, sort_keys=True).encode("utf-8"))
    for name, tensor in model.state_dict().items():
        digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
        digest.update(tensor.detach().cpu().flatten().view(torch.uint8).numpy())
    return digest.hexdigest()


class Checkpoint:
    """The state of one run: weights, optimizer, schedule, random generators, and recorded steps.

    There are two folders. While one is written, the other has the complete older state.
    ``state.json`` names the folder with the newest complete state.

    Args:
        accelerator: the accelerator whose state is saved.
        run: from :func:`run_fingerprint`; the state of another run is not resumed.
    """

    def __init__(self, folder: str | Path, accelerator: Any, run: str) -> None:
        self.folder = Path(folder)
        self.accelerator = accelerator
        self.run = run

    @property
    def _state(self) -> Path:
        return self.folder / "state.json"

    def save(self, steps: Sequence[Step]) -> None:
        """Write the state after these steps. Every process must call this."""
        newest = read_json(self._state)["folder"] if self._state.exists() else "second"
        target = self.folder / ("first" if newest == "second" else "second")
        self.accelerator.wait_for_everyone()  # until all have read which folder is newer
        self.accelerator.save_state(str(target))
        self.accelerator.wait_for_everyone()
        if self.accelerator.is_main_process:
            write_json({"run": self.run, "steps": steps, "folder": target.name}, self._state)
        self.accelerator.wait_for_everyone()

    def resume(self) -> list[Step]:
        """Load the state of this run, if there is one. Return the steps so far.

        Raises:
            InputError: the state is damaged.
        """
        state = read_json(self._state) if self._state.exists() else {}
        if state.get("run") != self.run:
            if state:
                log.warning(
                    "%s belongs to a run with other options, weights or data: starting again",
                    self.folder,
                )
            self.accelerator.wait_for_everyone()
            if (
                self.accelerator.is_main_process
            ):  # no valid state: remove the rest of an incomplete removal
                remove_checkpoint(self.folder)
            self.accelerator.wait_for_everyone()
            return []
        try:
            self.accelerator.load_state(str(self.folder / state["folder"]))
            steps = [Step(*values) for values in state["steps"]]
        except Exception as error:  # several libraries read a part, each with its own errors
            raise InputError(
                f"{self.folder} cannot be read ({error}); delete it to train from the beginning"
            ) from error
        log.info("resuming at step %d from %s", len(steps), self.folder)
        return steps

    def save_failed_step(self, number: int, micro_batches: list[Batch]) -> Path:
        """Write the micro-batches of a failed step next to the folder. Return the path."""
        path = Path(f"{self.folder}.failed-step-{number}.safetensors")
        if self.accelerator.is_main_process:
            tensors = {
                f"{index}.{name}": tensor.detach().cpu().contiguous()
                for index, batch in enumerate(micro_batches)
                for name, tensor in batch.items()
            }
            with atomic_file(path) as partial:
                save_file(tensors, partial)
        return path


def remove_checkpoint(folder: str | Path) -> None:
    """Remove a run's checkpoint, if there is one.

    ``state.json`` is removed first, so that an incomplete removal leaves no valid checkpoint."""
    (Path(folder) / "state.json").unlink(missing_ok=True)
    shutil.rmtree(folder, ignore_errors=True)
