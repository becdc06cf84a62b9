"""Fake GPUs, which are only names. Every Python process of a run imports this first, if this folder
is in its PYTHONPATH. Jobs accept them. The file ``FAKE_GPU_RECORD`` records which job had which
GPU, with start and end, while it had the lock."""

import contextlib
import importlib.abc
import importlib.util
import os
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any


def accept_requested_gpus(module: Any) -> None:
    module.require_gpus = lambda count: None


def record(module: Any) -> None:
    original = module._shown

    @contextlib.contextmanager
    def recorded(names: list[str]) -> Iterator[None]:
        with original(names):
            began = time.monotonic()
            assert os.environ["CUDA_VISIBLE_DEVICES"] == ",".join(names)
            try:
                yield
            finally:
                line = f"{','.join(names)} {began} {time.monotonic()}\n"
                with open(os.environ["FAKE_GPU_RECORD"], "a", encoding="utf-8") as file:
                    file.write(line)

    module._shown = recorded


CHANGES: dict[str, Callable[[Any], None]] = {
    "semantic_tokens.jobs.gpus": accept_requested_gpus,
    "semantic_tokens.jobs.gpu_devices": record,
}


class PatchOnImport(importlib.abc.MetaPathFinder):
    """Changes these modules when they are imported."""

    def find_spec(self, name: str, path: Any, target: Any = None) -> Any:
        change = CHANGES.pop(name, None)
        if change is None:
            return None
        spec = importlib.util.find_spec(name)
        assert spec is not None and spec.loader is not None
        execute = spec.loader.exec_module

        def exec_module(module: Any) -> None:
            execute(module)
            change(module)

        spec.loader.exec_module = exec_module  # type: ignore[method-assign]
        return spec


if "FAKE_GPU_RECORD" in os.environ:
    sys.meta_path.insert(0, PatchOnImport())
