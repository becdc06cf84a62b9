"""Install all packages of the workflow into one folder, with the versions in the lock files.

    python3 envs/set_up.py [--folder .venv] [--torch auto|cpu|cuda]

This script resolves no versions. pip, setuptools and other build tools are pinned in
``envs/installer.lock``, and all other packages in ``requirements.lock`` and ``envs/torch.lock``,
with hashes. The script needs only Python's standard library, and the syntax of Python 3.6, so that
an old Python can show the message about its version.
"""

import argparse
import os
import platform
import re
import shutil
import subprocess
import sys
import sysconfig
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
#: The first version of Python for which a pinned package (immutables) has no wheel and is compiled.
COMPILED_FROM = (3, 14)


def supported_versions():
    """The first version of Python that ``pyproject.toml`` supports, and the first later one that it
    does not."""
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    bounds = re.search(r'^requires-python = ">=3\.(\d+),<3\.(\d+)"$', text, re.MULTILINE)
    return (3, int(bounds.group(1))), (3, int(bounds.group(2)))


def refusal():
    """A one-line message if this Python or machine cannot run the workflow; else empty."""
    first, end = supported_versions()
    version = sys.version_info[:2]
    here = "Python {}.{} ({})".format(*version, sys.executable)
    if not first <= version < end:
        return (
            f"{here} is not supported: Python 3.{first[1]} to 3.{end[1] - 1} are; name one, as in "
            f"`make table5 PYTHON=python3.{end[1] - 2}`"
        )
    if sys.implementation.name != "cpython" or sysconfig.get_config_var("Py_GIL_DISABLED"):
        return f"{here} is not supported: the standard build of CPython is"
    machine = (platform.system(), platform.machine().lower())
    if machine not in (("Linux", "x86_64"), ("Linux", "aarch64"), ("Darwin", "arm64")):
        return (
            "{} on {} is not supported: PyTorch has no package for it; 64-bit Linux (x86_64, "
            "aarch64) and macOS on Apple silicon are".format(*machine)
        )
    library, release = platform.libc_ver()
    if machine[0] == "Linux" and (
        library != "glibc" or tuple(map(int, release.split(".")[:2])) < (2, 28)
    ):
        return (
            "this Linux is not supported: PyTorch needs glibc 2.28 or newer, and it has {}".format(
                f"{library} {release}".strip() or "another C library"
            )
        )
    try:
        import ensurepip  # noqa: F401
        import venv  # noqa: F401
    except ImportError:
        return (
            "{} cannot make virtual environments: its module ensurepip is missing; "
            "on Debian and Ubuntu: apt install python{}.{}-venv".format(here, *version)
        )
    header = Path(sysconfig.get_paths()["include"]) / "Python.h"
    if version >= COMPILED_FROM or machine == ("Linux", "aarch64"):
        compiler = any(map(shutil.which, ("cc", "gcc", "clang")))
        if not compiler or not header.is_file():
            return (
                "{} on {} needs a C compiler and Python's headers, for a package without a wheel; "
                "on Debian and Ubuntu: apt install gcc python{}.{}-dev".format(
                    here, machine[1], *version
                )
            )
    return ""


def has_nvidia_gpu():
    """Whether an NVIDIA driver is loaded and shows a GPU."""
    if any(Path("/proc/driver/nvidia/gpus").glob("*")):
        return True
    try:
        shown = subprocess.run(
            ["nvidia-smi", "-L"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=60
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return shown.returncode == 0 and b"GPU" in shown.stdout


def pinned_torch():
    """The version of torch in ``envs/torch.lock``."""
    text = (ROOT / "envs/torch.lock").read_text(encoding="utf-8")
    return re.search(r"^torch==([\w.]+)", text, re.MULTILINE).group(1)


class SetUp:
    """The installation of one environment, its log, and its messages.

    :param folder: the environment, new or incomplete from an earlier call
    """

    def __init__(self, folder):
        self.folder = folder
        self.python = folder / "bin/python"
        self.log = folder / "set-up.log"

    def say(self, line):
        print(line, flush=True)

    def run(self, what, *command, packages=0, may_fail=False):
        """Run one step. Its output goes to the log, and one line is printed.

        :param packages: the number of packages that pip collects, for the progress in a terminal
        :param may_fail: return False if the command fails
        :raises SystemExit: the command failed; with its errors and the path of the log
        """
        begun, collected, errors, unreachable = time.monotonic(), 0, [], ""
        shown = sys.stdout.isatty()
        environment = dict(os.environ, PIP_USER="0", PIP_DISABLE_PIP_VERSION_CHECK="1")
        environment.pop("PYTHONHOME", None)
        with self.log.open("a", encoding="utf-8") as log:
            log.write("\n# {}\n# {}\n".format(what, " ".join(map(str, command))))
            process = subprocess.Popen(
                list(map(str, command)),
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                env=environment,
                cwd=str(ROOT),
                universal_newlines=True,
                errors="replace",
            )
            for line in process.stdout:
                log.write(line)
                line = line.strip()
                if line.lower().startswith(("error", "cause")):
                    errors.append(line)
                if "connection broken by" in line:  # pip tries again, with shorter messages
                    unreachable = line.partition("connection broken by ")[2]
                step = ""
                if line.startswith("Collecting "):
                    collected += 1
                    step = line.split()[1]
                elif line.startswith(("Downloading ", "Installing ")):
                    step = line
                if step and shown:
                    count = f"{min(collected, packages)}/{packages} " if packages else ""
                    print(f"\r\033[K{what}: {count}{step}"[:110], end="", flush=True)
            failed = process.wait()
        if shown:
            print("\r\033[K", end="")
        if failed and may_fail:
            return False
        if failed:
            if unreachable:
                errors = [f"the package index cannot be reached ({unreachable})"]
            reason = "\n".join(errors[:5]) or f"exit status {failed}"
            raise SystemExit(
                f"{what} failed: {reason}\n"
                f"The entire output is in {self.log}; the same command continues from here"
            )
        self.say(f"{what} ({time.monotonic() - begun:.0f} s)")
        return True

    def pip(self, what, *arguments, **options):
        return self.run(what, self.python, "-m", "pip", "install", *arguments, **options)

    def torch_version(self):
        """The version of torch in the environment, with its build (``2.13.0+cpu``); empty without
        torch."""
        code = "import importlib.metadata as m; print(m.version('torch'))"
        shown = subprocess.run(
            [str(self.python), "-c", code],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        return shown.stdout.strip()

    def begin(self):
        """Make the environment, or continue with an existing one of the same version of Python."""
        if self.folder.exists() and any(self.folder.iterdir()):
            code = "import sys; print('{}.{}'.format(*sys.version_info[:2]))"
            try:
                found = subprocess.check_output(
                    [str(self.python), "-c", code], universal_newlines=True
                ).strip()
            except (OSError, subprocess.CalledProcessError):
                found = "that does not start"
            wanted = "{}.{}".format(*sys.version_info[:2])
            if found != wanted:
                raise SystemExit(
                    f"{self.folder} is of Python {found}, and Python {wanted} is to be set up: "
                    "remove the folder first, or name its Python, as in PYTHON=python3.11"
                )
        self.folder.mkdir(parents=True, exist_ok=True)
        self.run(f"Python {platform.python_version()}", sys.executable, "-m", "venv", self.folder)
        self.pip("installer", "--require-hashes", "-r", "envs/installer.lock")

    def torch(self, choice):
        """Install torch: ``cpu`` and ``cuda`` are builds; ``auto`` chooses CUDA if there is a GPU.

        Only Linux has two builds of one version. The package index has the build with CUDA.
        """
        version = pinned_torch()
        cpu, found = version + "+cpu", self.torch_version()
        if choice == "auto" and found in (version, cpu):
            choice = "cpu" if found == cpu else "cuda"  # the choice of an earlier call
        elif choice == "auto":
            choice = "cuda" if has_nvidia_gpu() else "cpu"
        if choice == "cpu" and platform.system() == "Linux":
            if found == cpu or self.torch_without_cuda(version):
                return
            self.say(
                f"No build of torch {version} without CUDA can be reached, neither at PyTorch's own "
                "index nor where pip is configured to look: the package index's build with CUDA "
                "follows (2.7 GB to download; 6 GB on disk rather than 2.3)"
            )
        elif found == cpu:
            raise SystemExit(
                f"{self.folder} has torch {found}, and the build with CUDA is asked for: "
                "remove the folder first"
            )
        lock = "envs/torch.lock"
        what = f"torch {version} of the package index"
        self.pip(what, "--no-deps", "--require-hashes", "-r", lock, packages=pins(lock))

    def torch_without_cuda(self, version):
        """Install the build without CUDA. Return whether it is available.

        It has a local version (``+cpu``), which is not in a package index. It comes from the
        sources in pip's configuration, or else from PyTorch's index, which uv knows.
        """
        what = f"torch {version} without CUDA"
        wheel = ("--no-deps", "--only-binary", ":all:", f"torch=={version}+cpu")
        if self.pip(what, *wheel, may_fail=True):
            return True
        uv = (self.python, "-m", "uv", "pip", "install", "--python", self.python)
        named = ("--torch-backend", "cpu", "--no-deps", f"torch=={version}")
        return self.run(what, *uv, *named, may_fail=True)

    def rest(self):
        """Install all other packages and this one, and check that they are compatible."""
        lock = "requirements.lock"
        options = ("--no-deps", "--no-build-isolation")
        self.pip(
            "packages of " + lock, *options, "--require-hashes", "-r", lock, packages=pins(lock)
        )
        self.pip("semantic_tokens", *options, "--editable", ".")
        self.run("check", self.python, "-m", "pip", "check")


def pins(lock):
    """The number of packages in a lock file."""
    text = (ROOT / lock).read_text(encoding="utf-8")
    return len(re.findall(r"^[\w.-]+==", text, re.MULTILINE))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, default=ROOT / ".venv")
    parser.add_argument("--torch", choices=("auto", "cpu", "cuda"), default="auto")
    arguments = parser.parse_args()
    refused = refusal()
    if refused:
        raise SystemExit(refused)
    set_up = SetUp(Path(os.path.abspath(str(arguments.folder))))
    begun = time.monotonic()
    set_up.say(f"Setting up {set_up.folder} (some minutes)")
    set_up.begin()
    set_up.torch(arguments.torch)
    set_up.rest()
    set_up.say(f"Set up in {time.monotonic() - begun:.0f} s")


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        raise SystemExit("\nstopped; the same command continues from here") from None
