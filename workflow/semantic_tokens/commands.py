"""The command ``semantic-tokens``: what the package does for one's own model (docs/reuse.md)."""

import argparse
import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path

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
            " AutoModel.from_pretrained opens with the original tokenizer."
        ),
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    add = group.add_argument
    add("--model", required=True, help="a folder, or a name on the Hugging Face hub")
    add("--output", required=True, type=Path, help="the folder to make")
    add("--ratio", type=float, default=0.05, help="groups to subwords, above 0 and at most 1")
    add("--method", choices=["kmeans", "lexicon"], default="kmeans", help="how to group")
    add("--metric", choices=["cosine", "euclidean"], default="cosine", help="of kmeans")
    add("--lexicon", action="append", default=[], type=Path, dest="lexicons", metavar="TABLE",
        help="a table of concept, language, word, source, to align or group with; may be repeated")  # fmt: skip
    add("--dimension", type=int, help="keep so many columns of the word embeddings")
    add("--seed", type=int, default=1, help="where K-Means starts")
    add("--max-iterations", type=int, default=100, help="of K-Means")
    add("--cluster-unused", action="store_false", dest="keep_unused_alone",
        help="group WordPiece's [unusedN] too")  # fmt: skip
    add("--convert-pickle", action="store_true", help="accept a model with pickled weights alone")
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
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    add = export.add_argument
    add("--model", required=True, type=Path,
        help="a folder of results/models, or of results/backbones")  # fmt: skip
    add("--groups", type=Path, help="of a backbone: a file of results/groups")
    add("--output", required=True, type=Path, help="the folder to make")
    add("--overwrite", action="store_true", help="replace a model at OUTPUT")
    add("--push-to-hub", metavar="OWNER/NAME", help="upload the result to the hub")
    usage = commands.add_parser(
        "usage",
        help="what a study's jobs asked for and used, and what to ask a cluster for",
        description=(
            "Show by rule the most memory, time and CPUs that any job asked for and used, and "
            "propose `memory_mb` and `runtime_minutes` for the config. It reads Snakemake's "
            "benchmark files and the efficiency reports of its SLURM plugin."
        ),
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    add = usage.add_argument
    add("results", nargs="?", default="results", type=Path, help="the study's folder of results")
    add("--report", action="append", type=Path, dest="reports", metavar="CSV",
        help="an efficiency report, instead of those in RESULTS/logs/slurm; may be repeated")  # fmt: skip
    add("--no-report", action="store_const", const=[], dest="reports",
        help="go by the benchmark files alone")  # fmt: skip
    add("--margin", type=float, default=1.3, help="what is proposed, to the most that was used")
    add("--table", type=Path, metavar="CSV", help="write the table to a file too")
    return top


def show_usage(
    results: Path, reports: Sequence[Path] | None, margin: float, table: Path | None
) -> int:
    """Print what a study's jobs used; return 0, or 1 after a message on what to fix."""
    from semantic_tokens.cluster.usage import measured, page
    from semantic_tokens.files import whole

    try:
        used, origin = measured(results, reports)
    except InputError as error:
        print(f"Error: {error}", file=sys.stderr)
        return 1
    if table is not None:
        with whole(table) as partial:
            used.to_csv(partial, index=False, float_format="%.2f")
    print(page(used, origin, margin))
    return 0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return 0, or 1 after a message on what to fix."""
    options = vars(parser().parse_args(arguments))
    command = options.pop("command")
    if command == "usage":
        return show_usage(**options)
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    for name in ("httpx", "httpx2"):  # of the hub's client, by its version
        logging.getLogger(name).setLevel(logging.WARNING)
    from transformers.utils.logging import disable_progress_bar

    from semantic_tokens.reuse import export_model, semantic_version

    disable_progress_bar()  # of the library's loading; ours are shown

    try:
        made = semantic_version(**options) if command == "group" else export_model(**options)
    except InputError as error:
        print(f"Error: {error}", file=sys.stderr)
        return 1
    print(f"{made.folder}: {made.subwords} subwords in {made.groups} semantic tokens")
    if made.published is not None:
        print(f"uploaded to {made.published}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
