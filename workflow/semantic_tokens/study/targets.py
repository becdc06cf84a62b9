"""The tables and figures that a study makes, which depend on its experiments."""

import re
from collections.abc import Iterable

from semantic_tokens.errors import InputError

# The tables and figures that not every study makes.
_DEPENDS = re.compile(
    r"results/(?:runs/[^/]+/)?(?:"
    r"(?:claims|controls|held_out|table3|table4|group_quality)\.(?:csv|html)|"
    r"figures/(?:figure\d+|controls|held_out|held_out_by_language|group_quality|pretraining_curves)"
    r"\.(?:pdf|svg|png))"
)


def check_made(path: str, made: Iterable[str], experiments: str) -> None:
    """Check that the study has experiments for a requested table or figure.

    Args:
        path: the requested path; other files are not checked.
        made: the paths of the study's tables and figures.
        experiments: the table of experiments, for the message.

    Raises:
        InputError: there are none.
    """
    if _DEPENDS.fullmatch(path) and path not in set(made):
        raise InputError(
            f"{path} shows experiments that {experiments} lacks; add their rows (config/README.md "
            "describes the columns), or leave this file out"
        )
