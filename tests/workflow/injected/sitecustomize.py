"""Inject a fault at a known place in a training. Every Python process of a run imports this first,
if this folder is in its PYTHONPATH. The fault occurs in the process that trains.

``FAULT`` is ``stop``, which stops the process (SIGSTOP) so that a test can act on it; ``wait``,
which keeps it busy for ten minutes, so that it still reacts to signals; or ``memory``, which
requests more memory than any machine has. It occurs after the optimizer step ``FAULT_STEP``,
counted in this process, or before a file is opened whose path ends with ``FAULT_OPENING``. The file
``FAULT_MARK`` contains the number of the process by then.
"""

import importlib.abc
import os
import signal
import sys
import time
from typing import Any

FAULT, MARK = os.environ.get("FAULT"), os.environ.get("FAULT_MARK", "")
STEP, OPENING = os.environ.get("FAULT_STEP"), os.environ.get("FAULT_OPENING")


def trigger_fault() -> None:
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


class CountOptimizerSteps(importlib.abc.MetaPathFinder):
    """Counts optimizer steps after the import of the loop's module. It finds no modules itself."""

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
                trigger_fault()

        register_optimizer_step_post_hook(count)


def on_opening(event: str, arguments: tuple[Any, ...]) -> None:
    if event == "open" and not os.path.exists(MARK) and str(arguments[0]).endswith(str(OPENING)):
        trigger_fault()


if FAULT and STEP:
    sys.meta_path.insert(0, CountOptimizerSteps())
if FAULT and OPENING:
    sys.addaudithook(on_opening)
