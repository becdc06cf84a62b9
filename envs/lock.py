"""Write the lock files and the conda environments from ``pyproject.toml``, or check them.

    make lock                                   # keeps the versions that still fit
    .venv/bin/python envs/lock.py --upgrade     # takes the newest that fit
    .venv/bin/python envs/lock.py --check       # resolves each file from the package index only

All packages are resolved together, for all supported versions of Python and systems. So a package
has the same version in all files:

- ``envs/installer.lock``: tools that install and build other packages;
- ``requirements.lock``: packages of the workflow, its tests and its documentation, without torch;
- ``envs/torch.lock``: torch from the package index, and the CUDA libraries of its Linux build;
- ``envs/gpu.lock``, ``envs/tracking.lock``: further packages of the extras with these names;
- ``envs/cpu.yaml``, ``envs/gpu.yaml``: the same versions for conda, without the tests' tools.
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PROJECT = ROOT / "pyproject.toml"
#: Group of packages -> lock file.
LOCKS = {
    "installer": ROOT / "envs/installer.lock",
    "torch": ROOT / "envs/torch.lock",
    "requirements": ROOT / "requirements.lock",
    "gpu": ROOT / "envs/gpu.lock",
    "tracking": ROOT / "envs/tracking.lock",
}
PYTHONS = ("3.11", "3.12", "3.13", "3.14")
#: Use the same version of a package for all versions of Python, if possible.
UNIVERSAL = ("--universal", "--python-version", PYTHONS[0], "--fork-strategy", "fewest")
INSTALLER = ("--group", f"{PROJECT}:installer")
EXTRAS = ("docs", "faiss", "gpu", "slurm", "test", "tracking")
#: Pure Python packages without a wheel, which are built during installation.
SOURCE_ONLY = ("connection-pool", "docopt", "seqeval")
#: Packages without a wheel for one version of Python, which need a compiler there.
SOURCE_ONLY_AT = {"3.14": ("immutables",)}
TORCH = re.compile(r"torch|triton|(nvidia|cuda)-.*")
HEADER = "# Written by `make lock`; do not edit.\n"
YAML = """{header}# For `snakemake --software-deployment-method conda`. Without that option every rule runs in the
# environment that Snakemake itself is installed in. {about}
channels: [conda-forge, nodefaults]
dependencies:
  - python=3.11
  - pip
  - pip:
"""
ABOUT = {
    "cpu": "Trains on a GPU as well: on Linux\n# the package index's torch is a build with CUDA.",
    "gpu": "Like cpu.yaml, with cuML and\n# CuPy for K-Means on a GPU.",
}


class ResolutionError(Exception):
    """Requirements cannot be satisfied from the package index, or are not pinned."""


def resolve(*arguments: str | Path, text: str = "") -> str:
    """Resolve requirements from the package index only, independent of other configuration.

    :param arguments: for ``uv pip compile``
    :param text: further requirements, as lines
    :returns: the packages at their versions, as lines of a requirements file
    :raises ResolutionError: they cannot be satisfied; with the message of uv
    """
    environment = {name: value for name, value in os.environ.items() if not name.startswith("UV_")}
    cache = {
        name: os.environ[name] for name in ("UV_CACHE_DIR", "UV_NO_CACHE") if name in os.environ
    }
    environment |= cache | {"UV_PYTHON_DOWNLOADS": "never"}
    with tempfile.NamedTemporaryFile("w", suffix=".txt", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        inputs = [*map(str, arguments), *([file.name] if text else [])]
        done = subprocess.run(
            [
                sys.executable,
                "-m",
                "uv",
                "pip",
                "compile",
                "--no-config",
                # The certificates of the system, as pip takes them: a company may have its own.
                "--system-certs",
                "--no-header",
                "--no-annotate",
                "--python",
                sys.executable,
                "--no-build-isolation",
                *inputs,
            ],
            capture_output=True,
            text=True,
            env=environment,
        )
    if done.returncode:
        raise ResolutionError(done.stderr.strip())
    return done.stdout


def entries(text: str) -> dict[str, str]:
    """A requirements file's packages: name -> its lines (version, marker, hashes)."""
    found: dict[str, str] = {}
    name = ""
    for line in text.splitlines():
        if line.startswith(("#", " " * 4 + "#")) or not line.strip():
            continue
        if not line.startswith(" "):
            name = line.partition("==")[0]
            if name in found:
                raise ResolutionError(f"{name} has two versions, for different systems or Pythons")
            found[name] = ""
        found[name] += line + "\n"
    return found


def pin(lines: str) -> str:
    """A package's ``name==version ; marker``, without its hashes."""
    return lines.splitlines()[0].rstrip("\\").strip()


def locked(*names: str) -> dict[str, str]:
    """The packages of some lock files: name -> its lines."""
    found: dict[str, str] = {}
    for name in names:
        found |= entries(LOCKS[name].read_text(encoding="utf-8"))
    return found


def environment_file(name: str, pins: list[str]) -> str:
    """The text of ``envs/<name>.yaml``."""
    items = "".join(f'      - "{pin}"\n' if ";" in pin else f"      - {pin}\n" for pin in pins)
    return YAML.format(header=HEADER, about=ABOUT[name]) + items


def pins_of_environment(text: str) -> list[str]:
    """The ``name==version ; marker`` of each package in an environment's file."""
    return [line.removeprefix("      - ").strip('"') for line in text.splitlines() if "==" in line]


def write(upgrade: bool) -> None:
    """Resolve everything again, and write every file."""
    with tempfile.TemporaryDirectory() as folder:
        kept = Path(folder) / "all.txt"  # versions that are in the output file are preferred
        if not upgrade:
            kept.write_text("".join(locked(*LOCKS).values()), encoding="utf-8")
        everything = (PROJECT, *(f"--extra={extra}" for extra in EXTRAS), *INSTALLER)
        resolve(*UNIVERSAL, *everything, "--generate-hashes", "--output-file", kept)
        kept_entries = entries(kept.read_text(encoding="utf-8"))

        def names(*arguments: str | Path) -> list[str]:
            return list(entries(resolve(*UNIVERSAL, *arguments, "--constraints", kept)))

        installer = names(*INSTALLER)
        tested = names(PROJECT, "--extra", "test", "--extra", "docs")
        tracking = names(PROJECT, "--extra", "tracking")
        conda = {"cpu": names(PROJECT), "gpu": names(PROJECT, "--extra", "gpu")}
    parts: dict[str, list[str]] = {
        "installer": installer,
        "torch": [name for name in tested if TORCH.fullmatch(name)],
        "requirements": [name for name in tested if not TORCH.fullmatch(name)],
        **{
            extra: [name for name in members if name not in tested]
            for extra, members in (("gpu", conda["gpu"]), ("tracking", tracking))
        },
    }
    for part, members in parts.items():
        text = HEADER + "".join(kept_entries[name] for name in members)
        LOCKS[part].write_text(text, encoding="utf-8")
        print(f"{LOCKS[part].relative_to(ROOT)}: {len(members)} packages")
    for name, members in conda.items():
        path = ROOT / f"envs/{name}.yaml"
        pins = [pin(kept_entries[member]) for member in members]
        path.write_text(environment_file(name, pins), encoding="utf-8")
        print(f"{path.relative_to(ROOT)}: {len(pins)} packages")


def check() -> None:
    """Resolve every lock file and environment from the package index only, without installing.

    :raises ResolutionError: a file cannot be resolved, lacks a package, has one that is not needed,
        or has lost a wheel
    """
    pinned = {name: pin(lines) for name, lines in locked(*LOCKS).items()}
    files = {
        path.name: pins_of_environment(path.read_text(encoding="utf-8"))
        for path in (ROOT / "envs/cpu.yaml", ROOT / "envs/gpu.yaml")
    }
    files["requirements.lock with torch.lock"] = [
        pinned[name] for name in locked("requirements", "torch")
    ]
    files["installer.lock"] = [pinned[name] for name in locked("installer")]
    for name, pins in files.items():
        found = entries(resolve(*UNIVERSAL, text="\n".join(pins)))
        lacking = set(found) - {pin.partition("==")[0] for pin in pins}
        if lacking:
            raise ResolutionError(f"{name} does not pin {', '.join(sorted(lacking))}")
        print(f"{name}: resolves, {len(pins)} packages")
    with tempfile.NamedTemporaryFile("w", suffix=".txt", encoding="utf-8") as file:
        file.write("\n".join(pinned.values()))
        file.flush()
        needed = set(entries(resolve(*UNIVERSAL, *INSTALLER, "--constraints", file.name)))
        for extra in EXTRAS:
            resolved = resolve(*UNIVERSAL, PROJECT, "--extra", extra, "--constraints", file.name)
            needed |= set(entries(resolved))
            print(f"semantic-tokens[{extra}]: resolves with the locked versions")
    if unneeded := sorted(set(pinned) - needed):
        raise ResolutionError(
            f"pyproject.toml does not need {', '.join(unneeded)}; "
            "add what the code imports to it, and run `make lock`"
        )
    for python in PYTHONS:
        source = (*SOURCE_ONLY, *SOURCE_ONLY_AT.get(python, ()))
        resolve(
            *(
                "--no-deps",
                "--python-version",
                python,
                "--python-platform",
                "x86_64-manylinux_2_28",
            ),
            *("--only-binary", ":all:", *(f"--no-binary={name}" for name in source)),
            text="\n".join(pinned.values()),
        )
        print(f"Python {python}: a wheel for every package but {', '.join(source)}")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--upgrade", action="store_true", help="take the newest versions that fit")
    parser.add_argument("--check", action="store_true", help="write nothing; see what resolves")
    arguments = parser.parse_args()
    try:
        if arguments.check:
            check()
        else:
            write(arguments.upgrade)
    except ResolutionError as error:
        raise SystemExit(f"{error}") from None


if __name__ == "__main__":
    main()
