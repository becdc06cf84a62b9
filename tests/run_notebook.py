"""Run a notebook with printed outputs, without Jupyter.

    python tests/run_notebook.py docs/tutorial.ipynb

This runs it in its folder and writes the printed outputs of cells into it.
"""

import contextlib
import io
import sys
from pathlib import Path
from typing import Any

import nbformat


def run(notebook: Any, folder: Path) -> dict[str, Any]:
    """Run the code cells in order, and store their printed outputs.

    Args:
        notebook: a notebook from nbformat, which is changed.
        folder: the working directory of the cells.

    Returns:
        the variables after the last cell.
    """
    namespace: dict[str, Any] = {"__name__": "__main__"}
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    with contextlib.chdir(folder):
        for number, cell in enumerate(cells, start=1):
            printed = io.StringIO()
            with contextlib.redirect_stdout(printed):
                exec(compile(cell.source, f"<cell {number}>", "exec"), namespace)
            cell.execution_count = number
            cell.outputs = []
            if text := printed.getvalue():
                cell.outputs.append(nbformat.v4.new_output("stream", name="stdout", text=text))
    return namespace


def main() -> None:
    path = Path(sys.argv[1])
    notebook = nbformat.read(path, as_version=4)
    run(notebook, path.parent)
    nbformat.write(notebook, path)


if __name__ == "__main__":
    main()
