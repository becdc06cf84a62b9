"""Make jobs accept the toy cluster's GPUs, which are empty files. Every Python process of a run
imports this first, if this folder is in its PYTHONPATH."""

import importlib.abc
import importlib.util
import logging
import sys
from typing import Any


class AcceptToyGpus(importlib.abc.MetaPathFinder):
    """Replaces the check of requested GPUs when its module is imported."""

    def find_spec(self, name: str, path: Any, target: Any = None) -> Any:
        if name != "semantic_tokens.jobs.gpus":
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        assert spec is not None and spec.loader is not None
        execute = spec.loader.exec_module

        def exec_module(module: Any) -> None:
            execute(module)
            module.require_gpus = lambda count: logging.info("%d toy GPUs", count)

        spec.loader.exec_module = exec_module  # type: ignore[method-assign]
        return spec


sys.meta_path.insert(0, AcceptToyGpus())
