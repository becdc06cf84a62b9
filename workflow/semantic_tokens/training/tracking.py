"""The record of a training's steps: a file, and the trackers in ``report_to``."""

import contextlib
import importlib.util
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tqdm import tqdm

from semantic_tokens.errors import InputError
from semantic_tokens.files import atomic_file
from semantic_tokens.training.options import TrainingOptions
from semantic_tokens.training.step import Step

#: The allowed trackers in ``report_to``, and their packages.
TRACKERS = {"tensorboard": "tensorboard", "wandb": "wandb", "trackio": "trackio"}
#: The project of all studies in Weights & Biases and trackio.
PROJECT = "semantic-tokens"
_HEADER = "\t".join(["step", *Step._fields]) + "\n"


def tracked_name(folder: str, *parts: str) -> str:
    """The name of a training in trackers, which is unique over all runs.

    Args:
        folder: the folder of the run below ``results``; empty for the run without a name.
        parts: the parts of the name within the run.

    >>> tracked_name("runs/lr5e-4/", "fine_tune", "ner"), tracked_name("", "fine_tune", "ner")
    ('lr5e-4/fine_tune/ner', 'fine_tune/ner')
    """
    return "/".join([*Path(folder).parts[1:], *parts])


@dataclass(frozen=True)
class Tracking:
    """Where to record the steps of one training.

    Attributes:
        steps_file: a tab-separated file with one line per step; see :class:`StepsFile`.
        name: the name of the training, unique in a study.
        report_to: the trackers, from :data:`TRACKERS`.
        folder: the folder for the files of TensorBoard and Weights & Biases.
    """

    steps_file: str | Path
    name: str
    report_to: Sequence[str] = ()
    folder: str | Path = "results/tracking"

    def check(self) -> None:
        """Raise an InputError if a tracker's package is missing."""
        for tracker in self.report_to:
            if tracker not in TRACKERS:
                raise InputError(
                    f"config key report_to names {tracker!r}; known: {', '.join(TRACKERS)}"
                )
            if importlib.util.find_spec(TRACKERS[tracker]) is None:
                raise InputError(
                    f"config key report_to names {tracker}, and its package is not installed here; "
                    f"run `pip install {TRACKERS[tracker]}`, or take it out of report_to"
                )

    def for_accelerator(self) -> dict[str, Any]:
        """The arguments for accelerate about the trackers."""
        if not self.report_to:
            return {}
        from accelerate.utils import ProjectConfiguration

        folder = Path(self.folder) / self.name
        configuration = ProjectConfiguration(project_dir=str(folder), logging_dir=str(folder))
        return {"log_with": list(self.report_to), "project_config": configuration}

    def start(self, accelerator: Any, options: TrainingOptions, run: str | None, done: int) -> None:
        """Start the trackers.

        Args:
            run: identifies the run, so that a resumed run continues the same curve.
            done: the number of steps that were already reported.

        Raises:
            InputError: a tracker cannot be started.
        """
        folder = Path(self.folder) / self.name
        folder.mkdir(parents=True, exist_ok=True)
        online = {"name": self.name, "config": asdict(options)}
        resumed: dict[str, Any] = {} if run is None else {"id": run[:32], "resume": "allow"}
        arguments = {
            # Steps that an interrupted process reported after its last checkpoint must not appear
            # twice.
            "tensorboard": {"purge_step": done + 1} if done else {},
            "wandb": online | resumed | {"dir": str(folder)},
            "trackio": online | {"resume": "allow"},
        }
        try:
            accelerator.init_trackers(PROJECT, init_kwargs=arguments)
        except Exception as error:  # each package raises its own errors
            raise InputError(
                f"config key report_to names {', '.join(self.report_to)}, which cannot be started "
                f"({error}); log in, set the tracker's offline mode (WANDB_MODE=offline), or take "
                "it out of report_to"
            ) from error


@contextlib.contextmanager
def recording(
    accelerator: Any,
    tracking: Tracking | None,
    options: TrainingOptions,
    run: str | None,
    history: Sequence[Step],
    steps: int,
    description: str,
) -> Iterator[Callable[[int, Step], None]]:
    """Yield a function that records a step, with its number, in a progress bar and in ``tracking``.
    Only the first process records.

    Args:
        run: see :meth:`Tracking.start`.
        history: the earlier steps, which the file starts with.
        steps: the total number of steps.
    """
    if not accelerator.is_main_process:
        yield lambda number, step: None
        return
    file = None
    if tracking is not None:
        file = StepsFile(tracking.steps_file)
        file.begin(history)
        if tracking.report_to and len(history) < steps:
            tracking.start(accelerator, options, run, len(history))
    done = len(history)
    progress = tqdm(total=steps, initial=done, desc=description, unit="step", mininterval=2)

    def record(number: int, step: Step) -> None:
        if file is not None:
            file.append(number, step)
        accelerator.log(step._asdict(), step=number)
        progress.set_postfix(loss=f"{step.loss:.3f}", refresh=False)
        progress.update()

    try:
        with progress:
            yield record
    finally:
        for tracker in accelerator.trackers:
            tracker.finish()


class StepsFile:
    """A tab-separated file with one line per step: number, loss, learning rate, gradient norm and
    examples per second. It has only complete lines, and each step once."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)

    def begin(self, steps: Sequence[Step]) -> None:
        """Write the file again with the steps so far."""
        with atomic_file(self.path) as partial:
            lines = [_line(number, step) for number, step in enumerate(steps, start=1)]
            partial.write_text(_HEADER + "".join(lines), encoding="utf-8")

    def append(self, number: int, step: Step) -> None:
        """Append the line of one step, in one write."""
        with self.path.open("a", encoding="utf-8") as file:
            file.write(_line(number, step))


def _line(number: int, step: Step) -> str:
    return "\t".join([str(number), *(f"{value:.9g}" for value in step)]) + "\n"
