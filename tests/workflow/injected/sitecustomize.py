"""A fault for a training, at a place that is known: every Python process of a run imports this first,
where this folder is on its PYTHONPATH, and the one that trains meets the fault.

``FAULT`` is ``stop``, which halts the process (SIGSTOP) so that a test can do to it what it likes
while it stands still; ``wait``, which keeps it busy for ten minutes, so that it still reacts to
signals; or ``memory``, which asks for more memory than any machine has. It comes
after the optimizer step ``FAULT_STEP``, counted in this process, or before a file is opened whose
path ends with ``FAULT_OPENING``. The process's number is in the file ``FAULT_MARK`` by then.
"""

import importlib.abc
import os
import signal
import sys
import time
from typing import Any

FAULT, MARK = os.environ.get("FAULT"), os.environ.get("FAULT_MARK", "")
STEP, OPENING = os.environ.get("FAULT_STEP"), os.environ.get("FAULT_OPENING")


def meet() -> None:
    with open(f"{MARK}.partial", "w", encoding="utf-8") as file:
        file.write(str(os.getpid()))
    os.replace(f"{MARK}.partial", MARK)
    if FAULT == "stop":
        os.kill(os.getpid(), signal.SIGSTOP)
    elif FAULT == "wait":
        time.sleep(600)
    else:
        import torch

        torch.empty(2**60, dtype=torch.uint8)


class BeforeTheTrainingLoop(importlib.abc.MetaPathFinder):
    """Counts optimizer steps from where the loop's module is imported; finds no module itself."""

    def find_spec(self, name: str, path: Any, target: Any = None) -> None:
        if name != "semantic_tokens.training":
            return
        sys.meta_path.remove(self)
        from torch.optim.optimizer import register_optimizer_step_post_hook

        steps = 0

        def count(*_: Any) -> None:
            nonlocal steps
            steps += 1
            if steps == int(STEP or 0):
                meet()

        register_optimizer_step_post_hook(count)


def on_opening(event: str, arguments: tuple[Any, ...]) -> None:
    if event == "open" and not os.path.exists(MARK) and str(arguments[0]).endswith(str(OPENING)):
        meet()


if FAULT and STEP:
    sys.meta_path.insert(0, BeforeTheTrainingLoop())
if FAULT and OPENING:
    sys.addaudithook(on_opening)
