"""The tables and figures that a study makes, which depend on its experiments."""

import difflib
import re
from collections.abc import Iterable

from semantic_tokens.errors import InputError

# Options of Snakemake with a file as their value, and those with several.
_WITH_A_FILE = ("--report", "--directory", "-d")
_WITH_FILES = ("--configfile", "--configfiles")

# The tables and figures that not every study makes.
_DEPENDS = re.compile(
    r"results/(?:runs/[^/]+/)?(?:"
    r"(?:claims|controls|held_out|table3|table4|table5|comparison|group_quality)\.(?:csv|html)|"
    r"table5(?:\.tex|_by_language\.csv|_by_language\.html|_baselines\.csv)|explorer\.html|"
    r"figures/(?:figure\d+|controls|held_out|held_out_by_language|group_quality|pretraining_curves)"
    r"\.(?:pdf|svg|png))"
)

# Directly in the folder of results, or in that of figures.
_IN_RESULTS = re.compile(r"results/(?:runs/[^/]+/)?(?:figures/)?[^/]+")


def without_files_of_options(words: Iterable[str]) -> list[str]:
    """The words of Snakemake's command line that may be targets, since no option takes them as files.

    >>> without_files_of_options(["--configfile", "a.yaml", "b.yaml", "--", "results/table5.csv"])
    ['--configfile', '--', 'results/table5.csv']
    """
    found: list[str] = []
    option = ""
    for word in words:
        if option not in (*_WITH_A_FILE, *_WITH_FILES) or word.startswith("-"):
            option = word
            found.append(word)
        elif option in _WITH_A_FILE:
            option = ""
    return found


def check_made(path: str, made: Iterable[str], experiments: str) -> None:
    """Check that the study has experiments for a requested table or figure, and that its name is not
    misspelt.

    Args:
        path: the requested path; other files are not checked.
        made: the paths of the study's tables and figures.
        experiments: the table of experiments, for the message.

    Raises:
        InputError: there are none, or the name is almost that of a table or figure.
    """
    known = set(made)
    close = difflib.get_close_matches(path, known, n=1, cutoff=0.85)
    is_misspelt = path.lower() in map(str.lower, known) or not _DEPENDS.fullmatch(path)
    if path not in known and close and is_misspelt and _IN_RESULTS.fullmatch(path):
        raise InputError(f"{path} is made by no step; did you mean {close[0]}?")
    if _DEPENDS.fullmatch(path) and path not in known:
        raise InputError(
            f"{path} shows experiments that {experiments} lacks; add their rows (config/README.md "
            "describes the columns), or leave this file out"
        )
