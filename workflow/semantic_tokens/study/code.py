"""Digests of the code that affects the output of a script.

A rule has the digest of its script's code as a parameter, so its jobs run again when this code
changes. The code consists of all modules of this package that the script imports, directly or
indirectly. A package's ``__init__.py`` is included if a name is imported from it. Other files and
folders are included if a module names them. Comments and docstrings are ignored.
"""

import ast
import hashlib
import re
from collections.abc import Collection, Iterable, Iterator
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

PACKAGE = "semantic_tokens"

#: Modules and packages that do not affect results, with the modules that only they import: reading
#: and writing of files, running of jobs, messages, downloads (their files have checksums), and the
#: configuration (its values are parameters and paths).
WITHOUT_RESULT = frozenset(
    {
        *("errors", "file_locks", "files", "json_files"),
        *("jobs.cluster", "jobs.device", "jobs.gpu_devices", "jobs.gpus", "jobs.job"),
        *("jobs.processes", "jobs.snakemake_run"),
        *("sources.addresses", "sources.archives", "sources.downloads", "sources.folder"),
        *("sources.hub", "sources.network", "sources.wheels"),
        *("study.config_reference", "study.configuration", "study.experiments"),
        *("study.ingredients", "study.recipe", "study.runs"),
        "embeddings.alignment_quality",
    }
)


class Code:
    """The code of a checkout: its scripts, and the modules of the package that they import.

    Args:
        folder: the folder that contains ``scripts`` and ``semantic_tokens``.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self._read: dict[Path, _File] = {}

    def digest(
        self, script: str, choices: Collection[str] = (), chosen: Collection[str] = ()
    ) -> str:
        """A short digest of the code that affects the output of a script.

        Args:
            script: its name without the suffix.
            choices: modules of which a job uses only some, depending on its parameters, without the
                name of the package: ``tasks.retrieval``.
            chosen: the modules that this job uses. Other choices are included only if these import
                them.
        """
        digest = hashlib.sha256()
        for path in self.files(script, choices, chosen):
            digest.update(self._file(path).digest)
        return digest.hexdigest()[:12]

    def modules(
        self, script: str, choices: Collection[str] = (), chosen: Collection[str] = ()
    ) -> list[str]:
        """The modules that affect the output of a script, without the package's name. The arguments
        are those of :meth:`digest`.

        Raises:
            ValueError: there is no such script, or no such module.
        """
        path = self.folder / "scripts" / f"{script}.py"
        if not path.is_file():
            raise ValueError(f"there is no script {path}")
        for module in [*choices, *chosen]:
            if module not in self._files:
                raise ValueError(f"there is no module {module} in {self.folder / PACKAGE}")
        found = self._reached(self._modules_in(self._file(path).imports), frozenset(choices))
        return sorted(found | self._reached(chosen, frozenset()))

    def files(
        self, script: str, choices: Collection[str] = (), chosen: Collection[str] = ()
    ) -> list[Path]:
        """The files of these modules, and those that they name."""
        found: dict[Path, None] = {}
        for module in self.modules(script, choices, chosen):
            path = self._files[module]
            found |= dict.fromkeys([path, *self._file(path).named])
        return list(found)

    @cached_property
    def _files(self) -> dict[str, Path]:
        """All modules of the package with their files."""
        package = self.folder / PACKAGE
        files = {}
        for path in sorted(package.rglob("*.py")):
            parts = path.relative_to(package).with_suffix("").parts
            files[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
        return files

    def _reached(self, start: Iterable[str], barred: Collection[str]) -> set[str]:
        """Modules and all modules that they import, except barred ones and those without an
        effect."""
        found: set[str] = set()
        ahead = list(start)
        while ahead:
            module = ahead.pop()
            if module in found or module in barred or _has_no_result(module):
                continue
            found.add(module)
            file = self._file(self._files[module])
            ahead += self._modules_in(file.imports)
            package = module.rpartition(".")[0]
            ahead += (f"{package}.{path.stem}" for path in file.named if path.suffix == ".py")
        return found

    def _modules_in(self, names: Iterable[str]) -> set[str]:
        """The modules of imported names."""
        modules = {name if name in self._files else name.rpartition(".")[0] for name in names}
        return modules & self._files.keys() - {""}

    def _file(self, path: Path) -> "_File":
        if path not in self._read:
            self._read[path] = _File.read(path)
        return self._read[path]


class _File(NamedTuple):
    """The relevant content of a file.

    Attributes:
        digest: the digest of its content, without comments and docstrings.
        imports: the names that it imports from the package, dotted.
        named: the files in the same folder, or in subfolders without modules, that its strings
            name.
    """

    digest: bytes
    imports: frozenset[str] = frozenset()
    named: tuple[Path, ...] = ()

    @classmethod
    def read(cls, path: Path) -> "_File":
        data = path.read_bytes()
        if path.suffix != ".py":
            return cls(hashlib.sha256(data).digest())
        source = data.decode("utf-8")
        tree = ast.parse(source)
        nodes = list(ast.walk(tree))
        strings = {
            node.value
            for node in nodes
            if isinstance(node, ast.Constant) and isinstance(node.value, str)
        }
        imports = {name for node in nodes for name in _imports(node)}
        kept = _without_comments(source, nodes)
        return cls(
            hashlib.sha256(kept.encode()).digest(),
            frozenset(imports),
            tuple(_files_named(strings, path.parent)),
        )


def _has_no_result(module: str) -> bool:
    parts = module.split(".")
    return any(".".join(parts[:end]) in WITHOUT_RESULT for end in range(1, len(parts) + 1))


def _imports(node: ast.AST) -> Iterator[str]:
    """The names that a statement imports from the package, without the package's name."""
    names = []
    if isinstance(node, ast.ImportFrom):
        names = [f"{node.module}.{alias.name}" for alias in node.names]
    elif isinstance(node, ast.Import):
        names = [alias.name for alias in node.names]
    return (name.removeprefix(f"{PACKAGE}.") for name in names if name.startswith(f"{PACKAGE}."))


def _files_named(strings: Collection[str], folder: Path) -> Iterator[Path]:
    for path in sorted(folder.iterdir()):
        if path.name in strings and path.is_file():
            yield path
        elif path.name in strings and not any(path.rglob("*.py")):
            yield from sorted(file for file in path.rglob("*") if file.is_file())


_STRING_OR_COMMENT = re.compile(
    r"""(?P<string>(?P<quotes>\"{3}|'{3})(?:\\.|(?!(?P=quotes)).)*(?P=quotes)"""
    r"""|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*')|(?P<comment>\#[^\n]*)""",
    re.DOTALL,
)


def without_comments(source: str) -> str:
    """Python without its comments, docstrings and empty lines.

    >>> without_comments('''def f():
    ...     "Says what it does."
    ...     return "#"  # why
    ... ''')
    'def f():\\n    return "#"\\n'
    """
    return _without_comments(source, ast.walk(ast.parse(source)))


def _without_comments(source: str, nodes: Iterable[ast.AST]) -> str:
    lines = source.split("\n")
    for node in nodes:
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            first = node.body[0] if node.body else None
            if (
                isinstance(first, ast.Expr)
                and isinstance(first.value, ast.Constant)
                and isinstance(first.value.value, str)
            ):
                for row in range(first.lineno - 1, first.end_lineno or first.lineno):
                    lines[row] = ""
    strings: list[str] = []  # kept separately, because their lines may be empty

    def set_aside(match: re.Match[str]) -> str:
        if match["comment"]:
            return ""
        strings.append(match["string"])
        return "\0"

    bare = _STRING_OR_COMMENT.sub(set_aside, "\n".join(lines))
    kept = "".join(f"{kept}\n" for line in bare.split("\n") if (kept := line.rstrip()))
    parts = kept.split("\0")
    return parts[0] + "".join(
        string + part for string, part in zip(strings, parts[1:], strict=True)
    )
