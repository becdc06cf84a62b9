"""The command ``semantic-tokens``: what the package does for one's own model (docs/reuse.md)."""

import argparse
import logging
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
            "Write a semantic-token version of an encoder of the BERT or XLM-R family, as a "
            "checkpoint that AutoModel.from_pretrained opens with the original tokenizer."
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
    add("--revision", help="a commit of a model on the hub")
    add("--overwrite", action="store_true", help="replace a semantic-token model at OUTPUT")
    return top


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return 0, or 1 after a message on what to mend."""
    options = vars(parser().parse_args(arguments))
    options.pop("command")
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    logging.getLogger("httpx").setLevel(logging.WARNING)
    from semantic_tokens.reuse import semantic_version

    try:
        made = semantic_version(**options)
    except InputError as error:
        print(f"Error: {error}", file=sys.stderr)
        return 1
    print(f"{made.folder}: {made.subwords} subwords in {made.groups} semantic tokens")
    return 0


if __name__ == "__main__":
    sys.exit(main())
