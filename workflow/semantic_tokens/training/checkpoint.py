"""The state of an unfinished training on disk, from which an interrupted one goes on exactly."""

import hashlib
import itertools
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
from semantic_tokens.files import read_json, whole, write_json
from semantic_tokens.training.batches import Batch
from semantic_tokens.training.options import TrainingOptions
from semantic_tokens.training.step import Step

log = logging.getLogger(__name__)


def run_fingerprint(
    model: nn.Module, first: list[Batch], options: TrainingOptions, steps: int, seed: int
) -> str:
    """A digest of what decides a run: options, starting weights and the first step's data."""
    digest = hashlib.sha256(json.dumps([options.deciding(), steps, seed]).encode("utf-8"))
    tensors = [model.state_dict(), *first]
    for name, tensor in itertools.chain.from_iterable(part.items() for part in tensors):
        digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
        digest.update(tensor.detach().cpu().flatten().view(torch.uint8).numpy())
    return digest.hexdigest()


class Checkpoint:
    """The state of one run: weights, optimizer, schedule, random generators, and its steps.

    ``state.json`` says which of two folders holds the newest state: the older one stays whole
    while the newer one is written.

    Args:
        accelerator: holds what is saved.
        run: of :func:`run_fingerprint`; the state of another run is not resumed.
    """

    def __init__(self, folder: str | Path, accelerator: Any, run: str) -> None:
        self.folder = Path(folder)
        self.accelerator = accelerator
        self.run = run

    @property
    def _state(self) -> Path:
        return self.folder / "state.json"

    def save(self, steps: Sequence[Step]) -> None:
        """Write the state after these steps; every process calls it."""
        newest = read_json(self._state)["folder"] if self._state.exists() else "second"
        target = self.folder / ("first" if newest == "second" else "second")
        self.accelerator.wait_for_everyone()  # all have read which one is the newer
        self.accelerator.save_state(str(target))
        self.accelerator.wait_for_everyone()
        if self.accelerator.is_main_process:
            write_json({"run": self.run, "steps": steps, "folder": target.name}, self._state)
        self.accelerator.wait_for_everyone()

    def resume(self) -> list[Step]:
        """Load the state of this run, if there is one; return the steps so far.

        Raises:
            InputError: the state is damaged.
        """
        state = read_json(self._state) if self._state.exists() else {}
        if state.get("run") != self.run:
            if state:
                log.warning(
                    "%s is of a run with other options, weights or data: starting again",
                    self.folder,
                )
            self.accelerator.wait_for_everyone()
            if self.accelerator.is_main_process:  # without a state: what half a removal left
                remove_checkpoint(self.folder)
            self.accelerator.wait_for_everyone()
            return []
        try:
            self.accelerator.load_state(str(self.folder / state["folder"]))
            steps = [Step(*values) for values in state["steps"]]
        except Exception as error:  # each of the libraries that read a part of it has its own
            raise InputError(
                f"{self.folder} cannot be read ({error}); delete it to train from the beginning"
            ) from error
        log.info("resuming at step %d from %s", len(steps), self.folder)
        return steps

    def save_failed_step(self, number: int, micro_batches: list[Batch]) -> Path:
        """Write the micro-batches of a step that failed, beside the folder; return where."""
        path = Path(f"{self.folder}.failed-step-{number}.safetensors")
        if self.accelerator.is_main_process:
            tensors = {
                f"{index}.{name}": tensor.detach().cpu().contiguous()
                for index, batch in enumerate(micro_batches)
                for name, tensor in batch.items()
            }
            with whole(path) as partial:
                save_file(tensors, partial)
        return path


def remove_checkpoint(folder: str | Path) -> None:
    """Remove a run's checkpoint, if there is one.

    What says that it is there goes first, so that half of one is never taken for a whole."""
    (Path(folder) / "state.json").unlink(missing_ok=True)
    shutil.rmtree(folder, ignore_errors=True)
