"""Join the page's JavaScript modules into one script, so that the page stays a single file.

A browser does not load modules of an HTML file that is opened from disk. The modules therefore
share one scope in the page, and their top-level names must be unique.
"""

import re
from collections.abc import Iterator
from pathlib import Path

_IMPORT = re.compile(r'^import \{[^}]*\} from "\./([\w.]+)";\n', re.MULTILINE)
_EXPORT = re.compile(r"^export (?=(?:async )?(?:class|const|function|let) )", re.MULTILINE)
_DECLARED = re.compile(r"^(?:async )?(?:class|const|function|let) (\w+)", re.MULTILINE)
_LEFT_OVER = re.compile(r"^(?:import|export)\b.*", re.MULTILINE)


def bundle(entry: Path) -> str:
    """The code of a module and of all modules that it imports, each after those that it imports.

    All modules are in one folder. They import with ``import { name } from "./module.js";`` and
    export with ``export`` before a declaration.

    Raises:
        ValueError: a module imports or exports in another way, two modules import each other, or
            two modules declare the same name.
    """
    declared_in: dict[str, str] = {}
    parts = ['"use strict";\n']
    for path in _in_order(entry, (), set()):
        code = _EXPORT.sub("", _IMPORT.sub("", path.read_text(encoding="utf-8")))
        if left_over := _LEFT_OVER.search(code):
            raise ValueError(f"{path.name}: cannot bundle `{left_over[0]}`")
        for name in _DECLARED.findall(code):
            if other := declared_in.get(name):
                raise ValueError(f"{other} and {path.name} both declare {name}")
            declared_in[name] = path.name
        parts.append(f"// ---- {path.name}\n{code}")
    return "\n".join(parts)


def _in_order(path: Path, importers: tuple[Path, ...], visited: set[Path]) -> Iterator[Path]:
    """A module's imports, recursively, and then the module itself; each once."""
    if path in importers:
        raise ValueError(f"{path.name} and {importers[-1].name} import each other")
    if path in visited:
        return
    visited.add(path)
    for name in _IMPORT.findall(path.read_text(encoding="utf-8")):
        yield from _in_order(path.parent / name, (*importers, path), visited)
    yield path
