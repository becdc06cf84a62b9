"""The set-up, the lock files, and the conda environments."""

import importlib.util
import os
import platform
import re
import shutil
import subprocess
import sys
import sysconfig
import tomllib
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).resolve().parents[1]
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def module(name: str) -> ModuleType:
    """One of the scripts in ``envs/``, which is not a package."""
    specification = importlib.util.spec_from_file_location(name, ROOT / f"envs/{name}.py")
    assert specification and specification.loader
    loaded = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(loaded)
    return loaded


set_up, lock = module("set_up"), module("lock")


# Supported Pythons and machines


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """The files that ``make`` reads for the set-up, in a separate folder."""
    for name in ("Makefile", "pyproject.toml", "requirements.lock", "envs"):
        source, target = ROOT / name, tmp_path / name
        (shutil.copytree if source.is_dir() else shutil.copy)(source, target)
    return tmp_path


def python_that(tmp_path: Path, *lines: str) -> Path:
    """A Python that runs these lines first, which change its properties."""
    path = tmp_path / "another-python"
    code = [f"#!{sys.executable}", "import sys, runpy", *lines, "sys.argv.pop(0)"]
    code.append("runpy.run_path(sys.argv[0], run_name='__main__')")
    path.write_text("\n".join(code), encoding="utf-8")
    path.chmod(0o755)
    return path


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("sys.version_info = (3, 10, 13, 'final', 0)", "Python 3.10 .* 3.11 to 3.14"),
        ("sys.version_info = (3, 15, 0, 'final', 0)", "Python 3.15 .* 3.11 to 3.14"),
        ("sys.modules['ensurepip'] = None", "ensurepip is missing.*: apt install python3.*-venv"),
    ],
)
@pytest.mark.parametrize("target", ["table5", "test"])
def test_make_refuses_an_unusable_python_before_installing(
    checkout: Path, line: str, message: str, target: str
) -> None:
    python = python_that(checkout, line)
    result = subprocess.run(
        ["make", target, f"PYTHON={python}"], cwd=checkout, capture_output=True, text=True
    )
    assert result.returncode
    lines = [
        line for line in (result.stdout + result.stderr).splitlines() if not line.startswith("make")
    ]
    assert len(lines) == 1 and re.search(message, lines[0]), lines
    assert not (checkout / ".venv").exists()


@pytest.mark.parametrize(
    ("system", "machine", "library", "message"),
    [
        ("Linux", "x86_64", ("glibc", "2.36"), ""),
        ("Linux", "x86_64", ("glibc", "2.27"), "glibc 2.28 or newer, and it has glibc 2.27"),
        ("Linux", "x86_64", ("", ""), "another C library"),  # musl
        ("Linux", "riscv64", ("glibc", "2.36"), "Linux on riscv64 is not supported"),
        ("Darwin", "arm64", ("", ""), ""),
        ("Darwin", "x86_64", ("", ""), "Darwin on x86_64 is not supported"),
        ("Windows", "AMD64", ("", ""), "Windows on amd64 is not supported"),
    ],
)
def test_machine_without_a_pytorch_package_is_refused(
    monkeypatch: pytest.MonkeyPatch,
    system: str,
    machine: str,
    library: tuple[str, str],
    message: str,
) -> None:
    monkeypatch.setattr(platform, "system", lambda: system)
    monkeypatch.setattr(platform, "machine", lambda: machine)
    monkeypatch.setattr(platform, "libc_ver", lambda: library)
    monkeypatch.setattr(sys, "version_info", (3, 12, 1, "final", 0))
    refused = set_up.refusal()
    assert message in refused and bool(message) == bool(refused) and "\n" not in refused


def test_python_without_a_wheel_for_every_package_needs_a_compiler(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(platform, "libc_ver", lambda: ("glibc", "2.36"))
    monkeypatch.setattr(platform, "system", lambda: "Linux")
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    monkeypatch.setattr(sysconfig, "get_paths", lambda: {"include": str(tmp_path)})
    (tmp_path / "Python.h").touch()
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sys, "version_info", (3, 13, 0, "final", 0))
    assert not set_up.refusal()
    monkeypatch.setattr(sys, "version_info", (3, 14, 0, "final", 0))
    assert "needs a C compiler" in set_up.refusal()
    compiler = tmp_path / "cc"
    compiler.touch()
    compiler.chmod(0o755)
    assert not set_up.refusal()


def test_supported_pythons_equal_those_with_checked_wheels() -> None:
    first, end = set_up.supported_versions()
    assert [f"3.{minor}" for minor in range(first[1], end[1])] == list(lock.PYTHONS)
    compiled = min(tuple(map(int, python.split("."))) for python in lock.SOURCE_ONLY_AT)
    assert compiled == set_up.COMPILED_FROM


# Builds of torch


class RecordedSetUp(set_up.SetUp):  # type: ignore[name-defined, misc]
    """A set-up that only records commands. Commands with certain words fail."""

    def __init__(self, folder: Path, found: str, failing: tuple[str, ...]) -> None:
        super().__init__(folder)
        self.found, self.failing = found, failing
        self.commands: list[str] = []
        self.messages: list[str] = []

    def say(self, line: str) -> None:
        self.messages.append(line)

    def run(self, what: str, *command: object, packages: int = 0, may_fail: bool = False) -> bool:
        self.commands.append(" ".join(map(str, command)))
        failed = any(words in self.commands[-1] for words in self.failing)
        assert may_fail or not failed
        return not failed

    def torch_version(self) -> str:
        return self.found


VERSION = set_up.pinned_torch()
BY_PIP, BY_UV, BY_INDEX = f"torch=={VERSION}+cpu", "--torch-backend cpu", "-r envs/torch.lock"


@pytest.mark.parametrize(
    ("choice", "gpu", "found", "failing", "expected"),
    [
        ("auto", True, "", (), [BY_INDEX]),
        ("auto", False, "", (), [BY_PIP]),
        ("auto", False, "", (BY_PIP,), [BY_PIP, BY_UV]),
        ("auto", False, "", (BY_PIP, BY_UV), [BY_PIP, BY_UV, BY_INDEX]),
        ("cpu", True, "", (), [BY_PIP]),
        ("cuda", False, "", (), [BY_INDEX]),
        ("auto", True, f"{VERSION}+cpu", (), []),
        ("auto", False, VERSION, (), [BY_INDEX]),  # completes an interrupted set-up
        ("auto", False, "2.0.0+cpu", (), [BY_PIP]),
    ],
)
def test_build_of_torch_depends_on_the_gpu(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    choice: str,
    gpu: bool,
    found: str,
    failing: tuple[str, ...],
    expected: list[str],
) -> None:
    monkeypatch.setattr(set_up, "has_nvidia_gpu", lambda: gpu)
    monkeypatch.setattr(platform, "system", lambda: "Linux")
    recorded = RecordedSetUp(tmp_path, found, failing)
    recorded.torch(choice)
    assert len(recorded.commands) == len(expected)
    assert all(words in command for words, command in zip(expected, recorded.commands, strict=True))
    assert bool(recorded.messages) == (
        len(expected) == 3
    )  # CUDA for a machine without a GPU is reported


def test_installed_torch_is_not_replaced_by_another_build(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="remove the folder"):
        RecordedSetUp(tmp_path, f"{VERSION}+cpu", ()).torch("cuda")


@pytest.mark.parametrize(
    ("listed", "expected"), [("GPU 0: H100", True), ("", False), (None, False)]
)
def test_gpu_is_detected_with_nvidia_smi(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, listed: str | None, expected: bool
) -> None:
    if any(Path("/proc/driver/nvidia/gpus").glob("*")):
        pytest.skip("this machine has a GPU")
    monkeypatch.setenv("PATH", str(tmp_path))
    if listed is not None:
        command = tmp_path / "nvidia-smi"
        command.write_text(f"#!/bin/sh\necho '{listed}'\n", encoding="utf-8")
        command.chmod(0o755)
    assert set_up.has_nvidia_gpu() is expected


# Failures


def test_unreachable_package_index_is_reported_in_two_lines(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The reason, and the path of the log."""
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")  # nothing listens there
    monkeypatch.setenv("PIP_RETRIES", "1")
    run = set_up.SetUp(tmp_path)
    run.python = Path(sys.executable)
    target = ("--target", tmp_path / "packages")
    with pytest.raises(SystemExit) as failure:
        run.pip("installer", *target, "--require-hashes", "-r", "envs/installer.lock")
    first, second = str(failure.value).splitlines()
    assert first.startswith("installer failed: the package index cannot be reached")
    assert f"{tmp_path}/set-up.log" in second
    assert "No matching distribution" in run.log.read_text(encoding="utf-8")
    assert not run.pip("installer", *target, "-r", "envs/installer.lock", may_fail=True)


def test_environment_of_another_python_is_not_changed(tmp_path: Path) -> None:
    python = tmp_path / "bin/python"
    python.parent.mkdir()
    python.write_text("#!/bin/sh\necho 3.9\n", encoding="utf-8")
    python.chmod(0o755)
    with pytest.raises(SystemExit, match=r"Python 3\.9.*remove the folder"):
        set_up.SetUp(tmp_path).begin()
    assert [path.name for path in tmp_path.iterdir()] == ["bin"]


# Lock files and environments


def pinned(name: str) -> dict[str, str]:
    """A lock file's packages: name -> version."""
    return {
        package: lock.pin(lines).split(" ")[0].partition("==")[2]
        for package, lines in lock.locked(name).items()
    }


@pytest.mark.parametrize("name", lock.LOCKS)
def test_lock_files_pin_packages_by_hash_and_name_no_index(name: str) -> None:
    text = lock.LOCKS[name].read_text(encoding="utf-8")
    assert "://" not in text and "--index" not in text and "--find-links" not in text
    assert lock.locked(name)
    for lines in lock.locked(name).values():
        assert re.match(r"[\w.-]+==[\w.]+", lines) and "--hash=sha256:" in lines


def test_lock_files_pin_the_same_versions() -> None:
    versions: dict[str, str] = {}
    for name in lock.LOCKS:
        for package, version in pinned(name).items():
            assert versions.setdefault(package, version) == version, package


@pytest.mark.parametrize(
    ("part", "locks"),
    [
        ("dependencies", ("requirements", "torch")),
        ("test", ("requirements",)),
        ("docs", ("requirements",)),
        ("faiss", ("requirements",)),
        ("slurm", ("requirements",)),
        ("gpu", ("gpu",)),
        ("tracking", ("tracking",)),
        ("installer", ("installer",)),
    ],
)
def test_lock_files_agree_with_pyproject(part: str, locks: tuple[str, ...]) -> None:
    listed = PROJECT["project"]["optional-dependencies"] | PROJECT["dependency-groups"]
    listed["dependencies"] = PROJECT["project"]["dependencies"]
    versions = {package: version for name in locks for package, version in pinned(name).items()}
    for requirement in map(Requirement, listed[part]):
        assert versions[canonicalize_name(requirement.name)] in requirement.specifier, requirement


@pytest.mark.parametrize("name", ["cpu", "gpu"])
def test_conda_environments_match_the_lock_files(name: str) -> None:
    """The files equal the generated ones. ``make resolve`` checks that they are complete."""
    text = (ROOT / f"envs/{name}.yaml").read_text(encoding="utf-8")
    pins = lock.pins_of_environment(text)
    assert text == lock.environment_file(name, pins)
    *first, packages = yaml.safe_load(text)["dependencies"]
    assert packages == {"pip": pins} and first == ["python=3.11", "pip"]
    parts = ("requirements", "torch", *(["gpu"] if name == "gpu" else []))
    assert set(pins) <= set(map(lock.pin, lock.locked(*parts).values()))
    names = {pin.partition("==")[0] for pin in pins}
    needed = {
        canonicalize_name(Requirement(text).name) for text in PROJECT["project"]["dependencies"]
    }
    assert needed <= names and set(lock.locked("torch")) <= names
    assert (set(lock.locked("gpu")) <= names) == (name == "gpu")
    assert not names & {"pytest", "ruff", "mypy", "playwright"}


def test_gpu_environment_uses_one_cuda_version() -> None:
    """The builds of torch and cuML have the same major version of CUDA. cuDF needs pandas < 3.1."""
    torch_cuda = pinned("torch")["cuda-toolkit"]
    assert Version(torch_cuda).major == 13 and "cuml-cu13" in pinned("gpu")
    assert not [package for package in pinned("gpu") if package.endswith(("-cu12", "cuda12x"))]
    assert Version(pinned("requirements")["pandas"]) < Version("3.1")


def test_installed_packages_match_the_lock_files() -> None:
    """The installed packages are those of the lock files, if make installed them."""
    if not (ROOT / ".venv/installed").is_file() or Path(sys.prefix) != ROOT / ".venv":
        pytest.skip("this environment was not set up by make")
    from importlib.metadata import version

    for package in ("numpy", "pandas", "transformers", "datasets", "snakemake", "seqeval"):
        assert version(package) == pinned("requirements")[package]
    assert version("torch").partition("+")[0] == VERSION


# The version


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    """The files from which the version is read, in a separate folder."""
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, tmp_path)
    package = "workflow/semantic_tokens/__init__.py"
    (tmp_path / package).parent.mkdir(parents=True)
    shutil.copy(ROOT / package, tmp_path / package)
    return tmp_path


def test_version_equals_the_git_tag(sources: Path) -> None:
    pytest.importorskip("setuptools_scm", reason="needs what envs/installer.lock installs")

    def run(*command: str) -> str:
        git = {
            f"GIT_{who}_{what}": "a@b.c"
            for who in ("AUTHOR", "COMMITTER")
            for what in ("NAME", "EMAIL")
        }
        result = subprocess.run(
            command, cwd=sources, env=os.environ | git, capture_output=True, text=True, check=True
        )
        return result.stdout.strip()

    version = (sys.executable, "-m", "setuptools_scm")
    assert run(*version) == "0.0.0"  # for a copy without git's data
    run("git", "init", "--quiet")
    run("git", "add", ".")
    run("git", "commit", "--quiet", "--message", "first")
    run("git", "tag", "v1.2.3")
    assert run(*version) == "1.2.3"
    run("git", "commit", "--quiet", "--allow-empty", "--message", "second")
    assert run(*version).startswith("1.2.4.dev1+g")


def test_package_that_is_not_installed_has_an_unknown_version(sources: Path) -> None:
    """The package is not installed in jobs with conda environments and in a module of a workflow."""
    code = "import semantic_tokens; print(semantic_tokens.__version__)"
    result = subprocess.run(
        [sys.executable, "-S", "-c", code],  # -S: without the folder of installed packages
        cwd=sources / "workflow",
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=True,
    )
    assert result.stdout.strip() == "0+unknown"


def test_the_command_shows_the_installed_version() -> None:
    from importlib.metadata import version

    command = [sys.executable, "-m", "semantic_tokens.cli", "--version"]
    result = subprocess.run(
        command, cwd=ROOT / "workflow", capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == f"semantic-tokens {version('semantic-tokens')}"


# Linters and CI


def test_commit_hooks_are_the_linters_of_make_test() -> None:
    """Each is a program in .venv, so it has the version in the lock file."""
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))
    entries = [hook["entry"] for repository in hooks["repos"] for hook in repository["hooks"]]
    tested = (ROOT / "Makefile").read_text(encoding="utf-8")
    linters = {"ruff check", "ruff format", "mypy", "snakefmt", "snakemake --lint"}
    for linter in linters:
        assert linter in tested
        assert any(entry.startswith(f".venv/bin/{linter}") for entry in entries), linter
    assert {repository["repo"] for repository in hooks["repos"]} == {"local"}


def test_ci_calls_make_test() -> None:
    text = (ROOT / ".github/workflows/test.yml").read_text(encoding="utf-8")
    jobs = yaml.safe_load(text)["jobs"]
    commands = [[step.get("run", "") for step in job["steps"]] for job in jobs.values()]
    assert all({"make test", "bash .ci/run"} & set(steps) for steps in commands)
    assert "make test" in (ROOT / ".ci/run").read_text(encoding="utf-8").splitlines()
    listed = {*jobs["pythons"]["strategy"]["matrix"]["python"], "3.11"}  # Debian 12 has it
    assert listed == set(lock.PYTHONS)
