"""Measure this project on a GPU, in one command.

    python benchmarks/gpu.py                                   # results/benchmarks/gpu.json
    python benchmarks/gpu.py --page results/benchmarks/gpu.json    # its section of docs/performance.md
    python benchmarks/gpu.py --tiny                            # small sizes, to check the code; also on a CPU

It takes less than ten minutes on one GPU, and needs no network. Weights and data are random. It
needs torch, transformers and numpy, but not Snakemake. It uses accelerate, cupy, cuML, faiss,
fastkmeans and flash-kmeans if they are installed, and the results name those that are absent. Each
section writes its results to the file when it ends, so a time limit loses no results.
"""

import argparse
import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "workflow"), str(ROOT / "benchmarks")]
os.environ["PYTHONPATH"] = os.pathsep.join(  # for the processes that it starts
    [*sys.path[:2], *filter(None, [os.environ.get("PYTHONPATH")])]
)
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")

from semantic_tokens.errors import InputError  # noqa: E402
from semantic_tokens.files import atomic_file  # noqa: E402
from semantic_tokens.json_files import read_json  # noqa: E402


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = made.add_argument
    add("--output", type=Path, default=ROOT / "results/benchmarks/gpu.json", metavar="JSON",
        help="where the results go (default: results/benchmarks/gpu.json)")  # fmt: skip
    add("--time-limit", type=float, default=570, metavar="SECONDS",
        help="end after so long; what is not measured by then is noted (default: 570)")  # fmt: skip
    add(
        "--tiny",
        action="store_true",
        help="small sizes, which also run on a CPU; not a measurement",
    )
    add("--only", action="append", metavar="SECTION",
        help="only this section, and what the device is and its floor; may be repeated")  # fmt: skip
    add("--page", type=Path, metavar="JSON",
        help="measure nothing: write the section of docs/performance.md from these results")  # fmt: skip
    return made


def main() -> int:
    """Measure, or write the page. Return 1 after an error that the user can fix."""
    arguments = parser().parse_args()
    try:
        if arguments.page is not None:
            write_page(arguments.page, ROOT / "docs/performance.md")
        else:
            measure(arguments.output, arguments.time_limit, arguments.tiny, arguments.only)
    except InputError as error:
        print(f"Error: {error}", file=sys.stderr)
        return 1
    return 0


def write_page(results: Path, document: Path) -> None:
    """Write the section on the GPU into a document.

    Raises:
        InputError: there are no results, or they are not from a GPU, or from small sizes.
    """
    from on_gpu.page import section, values, with_section

    if not results.is_file():
        raise InputError(f"{results} does not exist; `python benchmarks/gpu.py` writes it")
    found = read_json(results)
    if found["sizes"] != "full" or values(found, "environment").get("kind") != "cuda":
        raise InputError(
            f"{results} is from small sizes or not from a GPU, so it is not a measurement; run "
            "`python benchmarks/gpu.py` on a GPU"
        )
    made = with_section(document.read_text(encoding="utf-8"), section(found))
    with atomic_file(document) as partial:
        partial.write_text(made, encoding="utf-8")
    print(f"{document}: the section on the GPU now shows {results}")


def measure(output: Path, limit: float, is_tiny: bool, only: list[str] | None) -> None:
    """Measure, section by section.

    Raises:
        InputError: there is no GPU for the full sizes, or no section of this name.
    """
    import torch
    from on_gpu import clustering, machine, pretraining, retrieval
    from on_gpu.run import FULL, TINY, Run
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()
    if not is_tiny and not torch.cuda.is_available():
        raise InputError(
            "torch finds no CUDA device here; run this on a GPU, or with --tiny to check the code "
            "on a CPU"
        )
    run = Run(output, TINY if is_tiny else FULL, limit)
    # First what other sections need, then the most important sections.
    first = {"environment": machine.environment, "floors": machine.floors}
    sections = {
        "K-Means on GPU and CPU": clustering.agreement,
        "K-Means": clustering.whole,
        "other libraries' K-Means": clustering.contenders,
        "precision": pretraining.precision,
        "gradient caching": retrieval.gradient_caching,
        "resumption": pretraining.resume,
        "encoding and search": retrieval.encode_and_search,
        "Table 3": pretraining.table3,
        "two processes": pretraining.processes,
        "XLM-V's K-Means": clustering.largest,
        "the CPU's K-Means": clustering.against_cpu,
    }
    for name in only or []:
        if name not in sections:
            raise InputError(f"--only {name!r}: the sections are {', '.join(sections)}")
    for name, function in (first | sections).items():
        if name in first or not only or name in only:
            run.section(name, function)
    print(f"{output}: {run.results['seconds']:.0f} s")


if __name__ == "__main__":
    sys.exit(main())
