"""The explorer's JavaScript: how its modules are bundled, their own tests, and their linter."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from semantic_tokens.report.explorer import page
from semantic_tokens.report.explorer.bundle import bundle

ROOT = Path(__file__).resolve().parents[2]
MODULES = Path(page.__file__).parent / "templates/page"
OLDEST_NODE = 18


@pytest.fixture(scope="session")
def node() -> str:
    """The program Node.js; only developers of the page need it."""
    program = shutil.which("node")
    if program is None:
        pytest.skip("needs Node.js: install nodejs")
    version = subprocess.run([program, "--version"], capture_output=True, text=True, check=True)
    if int(version.stdout[1:].partition(".")[0]) < OLDEST_NODE:
        pytest.skip(f"needs Node.js {OLDEST_NODE} or newer, found {version.stdout.strip()}")
    return program


def write(folder: Path, **modules: str) -> Path:
    """Write modules; returns the path of ``main.js``."""
    for name, code in modules.items():
        (folder / f"{name}.js").write_text(code, encoding="utf-8")
    return folder / "main.js"


def test_modules_are_bundled_after_their_imports(tmp_path: Path) -> None:
    code = bundle(
        write(
            tmp_path,
            main='import { a } from "./one.js";\nimport {\n  b,\n} from "./two.js";\na(b);\n',
            one='import { b } from "./two.js";\n\nexport function a() {\n  return b;\n}\n',
            two="// The number.\nexport const b = 2;\n",
        )
    )
    assert code == (
        '"use strict";\n\n// ---- two.js\n// The number.\nconst b = 2;\n'
        "\n// ---- one.js\n\nfunction a() {\n  return b;\n}\n\n// ---- main.js\na(b);\n"
    )


@pytest.mark.parametrize(
    ("modules", "message"),
    [
        (
            {"main": 'import { a } from "./one.js";\nconst b = 1;\n', "one": "class b {}\n"},
            "one.js and main.js both declare b",
        ),
        (
            {"main": 'import { a } from "./one.js";\n', "one": 'import { b } from "./main.js";\n'},
            "main.js and one.js import each other",
        ),
        ({"main": 'import * as a from "./one.js";\n'}, "main.js: cannot bundle `import * as a"),
        ({"main": "export default 1;\n"}, "main.js: cannot bundle `export default 1;`"),
    ],
)
def test_modules_that_would_not_work_in_one_scope_are_refused(
    tmp_path: Path, modules: dict[str, str], message: str
) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        bundle(write(tmp_path, **modules))


def test_every_module_is_in_the_page() -> None:
    code = bundle(MODULES / "main.js")
    assert sorted(re.findall(r"^// ---- (.*)$", code, re.MULTILINE)) == sorted(
        path.name for path in MODULES.iterdir()
    )


def test_the_bundle_is_valid(node: str, tmp_path: Path) -> None:
    script = tmp_path / "page.cjs"
    script.write_text(bundle(MODULES / "main.js"), encoding="utf-8")
    result = subprocess.run([node, "--check", script], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr


def test_the_modules_pass_their_tests(node: str) -> None:
    tests = sorted((ROOT / "tests/report/explorer").glob("*.test.js"))
    assert tests
    command = [node, "--test", "--test-reporter=tap", *tests]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout
    counts = dict(re.findall(r"^# (tests|pass) (\d+)$", result.stdout, re.MULTILINE))
    assert int(counts["tests"]) == int(counts["pass"]) >= len(tests)


def test_the_modules_pass_the_linter() -> None:
    program = ROOT / "node_modules/.bin/biome"
    if not program.is_file():
        pytest.skip("needs Biome: run `npm ci`")
    result = subprocess.run(
        [program, "ci", "--colors=off"], cwd=ROOT, capture_output=True, text=True
    )
    assert result.returncode == 0, result.stdout + result.stderr
