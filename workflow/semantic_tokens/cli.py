"""The command ``semantic-tokens``, for your own models (docs/reuse.md) and for the runs of a study
(config/README.md)."""

import argparse
import logging
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from semantic_tokens import __version__
from semantic_tokens.errors import InputError


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(
        prog="semantic-tokens",
        description="Group the subwords of a multilingual encoder into semantic tokens.",
    )
    top.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    commands = top.add_subparsers(dest="command", required=True)
    group = commands.add_parser(
        "group",
        help="write a semantic-token version of an encoder",
        description=(
            "Write a semantic-token version of an encoder, as a checkpoint that "
            "AutoModel.from_pretrained opens with the original tokenizer."
        ),
    )
    add = group.add_argument
    add("--model", required=True, help="a folder, or a name on the Hugging Face hub")
    add("--output", required=True, type=Path, help="the folder to make")
    add(
        "--ratio",
        type=float,
        help="of K-Means: the number of groups divided by the number of subwords, above 0 and at "
        "most 1 (default: 0.05)",
    )
    add("--method", choices=["kmeans", "lexicon"], default="kmeans",
        help="how to group (default: %(default)s)")  # fmt: skip
    add("--metric", choices=["cosine", "euclidean"], default="cosine",
        help="the distance of K-Means (default: %(default)s)")  # fmt: skip
    add("--lexicon", action="append", default=[], type=Path, dest="lexicons", metavar="TABLE",
        help="a table of concept, language, word, source, to align or group with; may be repeated")  # fmt: skip
    add("--dimension", type=int,
        help="the number of columns of the word embeddings to keep (default: all)")  # fmt: skip
    add("--seed", type=int, default=1,
        help="the seed of K-Means and of the alignment (default: %(default)s)")  # fmt: skip
    add("--max-iterations", type=int, default=100,
        help="the maximum number of iterations of K-Means (default: %(default)s)")  # fmt: skip
    add("--cluster-unused", action="store_true",
        help="group WordPiece's [unusedN] too")  # fmt: skip
    add("--convert-pickle", action="store_true", help="accept a model with only pickled weights")
    add("--trust-remote-code", action="store_true", help="run Python files of the checkpoint")
    add("--revision", help="a commit of a model on the hub")
    add("--overwrite", action="store_true", help="replace a semantic-token model at OUTPUT")
    add("--push-to-hub", metavar="OWNER/NAME", help="upload the result to the hub")
    export = commands.add_parser(
        "export",
        help="write a model of the workflow as a plain checkpoint",
        description=(
            "Write a semantic-token model of the workflow as a plain checkpoint with a model card. "
            "AutoModel.from_pretrained opens it with the original tokenizer."
        ),
    )
    add = export.add_argument
    add("--model", required=True, type=Path,
        help="a folder of results/models, or of results/backbones")  # fmt: skip
    add("--groups", type=Path, help="of a backbone: a file of results/groups")
    add("--output", required=True, type=Path, help="the folder to make")
    add("--overwrite", action="store_true", help="replace a model at OUTPUT")
    add("--push-to-hub", metavar="OWNER/NAME", help="upload the result to the hub")
    compare = commands.add_parser(
        "compare",
        help="compare the scores of two runs of the workflow",
        description=(
            "Compare the scores that two runs of the workflow both have: each with its interval, "
            "their difference by paired bootstrap, and what differs in how the runs were made."
        ),
    )
    add = compare.add_argument
    add("runs", nargs=2, metavar="RUN", help="a name that the config key `run` had; `base` is the run without a name")  # fmt: skip
    add("--directory", type=Path, default=Path("."),
        help="the folder that contains results (default: the current folder)")  # fmt: skip
    add("--output", action="append", default=[], type=Path, metavar="FILE",
        help="a file to write, .csv or .html; may be repeated")  # fmt: skip
    usage = commands.add_parser(
        "usage",
        help="the resources that a study's jobs requested and used, and proposed values for the config",
        description=(
            "For each rule, show the maximum memory, time and CPUs that jobs requested and used, and "
            "propose `memory_mb` and `runtime_minutes` for the config. It reads Snakemake's "
            "benchmark files and the efficiency reports of its SLURM plugin."
        ),
    )
    add = usage.add_argument
    add("results", nargs="?", default="results", type=Path,
        help="the study's folder of results (default: %(default)s)")  # fmt: skip
    add("--report", action="append", type=Path, dest="reports", metavar="CSV",
        help="an efficiency report, instead of those in RESULTS/logs/slurm; may be repeated")  # fmt: skip
    add("--no-report", action="store_const", const=[], dest="reports",
        help="use only the benchmark files")  # fmt: skip
    add("--margin", type=float, default=1.3,
        help="factor from the maximum use to the proposal (default: %(default)s)")  # fmt: skip
    add("--table", type=Path, metavar="CSV", help="also write the table to a file")
    return top


def compare(runs: Sequence[str], directory: Path, output: Sequence[Path]) -> None:
    """Print the comparison of two runs, and write it to files."""
    from semantic_tokens.files import writing_output
    from semantic_tokens.report.run_comparison.compare import compare_runs
    from semantic_tokens.report.run_comparison.runs import read_run
    from semantic_tokens.report.run_comparison.show import checked_output, printed, write_comparison

    targets = [checked_output(path) for path in output]
    first, second = (read_run(run, directory) for run in runs)
    comparison = compare_runs(first, second)
    print(printed(comparison))
    for target in targets:
        with writing_output(target):
            write_comparison(comparison, target)


def show_usage(
    results: Path, reports: Sequence[Path] | None, margin: float, table: Path | None
) -> None:
    """Print the resources that a study's jobs used, and write them to a file."""
    from semantic_tokens.files import atomic_file, output_file, writing_output
    from semantic_tokens.jobs.cluster.usage import check_margin, measured_usage, page

    check_margin(margin)
    target = None if table is None else output_file(table)
    used, origin = measured_usage(results, reports)
    if target is not None:
        with writing_output(target), atomic_file(target) as partial:
            used.to_csv(partial, index=False, float_format="%.2f")
    print(page(used, origin, margin))


#: The commands that read the workflow's results.
COMMANDS_ON_RESULTS: dict[str, Callable[..., None]] = {"compare": compare, "usage": show_usage}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command. Return 0, 1 after an error message, or 130 after Ctrl-C."""
    options = vars(parser().parse_args(arguments))
    command = options.pop("command")
    try:
        if command in COMMANDS_ON_RESULTS:
            COMMANDS_ON_RESULTS[command](**options)
        else:
            make_model(command, options)
    except InputError as error:
        print(f"Error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(
            "Stopped. An unfinished output is not kept, and does not replace an old one.",
            file=sys.stderr,
        )
        return 130
    return 0


def make_model(command: str, options: dict[str, Any]) -> None:
    """Run ``group`` or ``export``, and print what was made."""
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    for name in ("httpx", "httpx2"):  # the hub's client uses one of these, depending on its version
        logging.getLogger(name).setLevel(logging.WARNING)
    from transformers.utils.logging import disable_progress_bar

    from semantic_tokens.reuse import export_model, semantic_version

    disable_progress_bar()  # the library's progress bars for loading; ours are shown
    made = semantic_version(**options) if command == "group" else export_model(**options)
    print(f"{made.folder}: {made.subwords} subwords in {made.groups} semantic tokens")
    if made.published is not None:
        print(f"uploaded to {made.published}")


if __name__ == "__main__":
    sys.exit(main())
