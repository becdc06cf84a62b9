"""Which backend of K-Means is the better one on a device: our own or cuML's.

That cuML is installed does not make it the faster one: ours skips most of the work of later passes,
and begins with passes over near centroids. So ``auto`` tries both on a sample of the rows, from the
same rows to start from, and takes cuML's only where it is clearly faster and its objective is no
higher. On a CPU, where cuML does not run, ``auto`` is always ours, and costs nothing.

A trial depends on the clock. So a near miss is decided for ours, the log says what was measured,
and groups are saved with the name of their backend: with that name as
``grouping.kmeans.backend`` they are made again the same way.
"""

import importlib.util
import logging
from collections.abc import Callable
from typing import Literal, NamedTuple

import torch

from semantic_tokens.errors import InputError

Backend = Literal["auto", "torch", "cuml"]

log = logging.getLogger(__name__)

#: Rows of the sample. There are as many rows to a cluster as in the whole.
SAMPLE = 20_000
# Where ours takes no longer than this, in seconds, the trial would take longer than it could save:
# importing cuML alone takes some seconds.
_WORTH_A_TRIAL = 30.0
# cuML's time has to be below this share of ours.
_CLEARLY_FASTER = 0.8


class Trial(NamedTuple):
    """One backend on the sample.

    Attributes:
        seconds: of the run, without what the first one of a process takes once.
        objective: at its end.
    """

    seconds: float
    objective: float


def choose_backend(
    wanted: Backend, device: torch.device, trial: Callable[[str], Trial], growth: float
) -> str:
    """The backend to use: the one that is wanted, or for ``auto`` the one that measures better.

    Args:
        trial: clusters the sample with a backend.
        growth: how many times as long as on the sample it takes on all rows.

    Returns:
        ``torch`` or ``cuml``.

    Raises:
        InputError: the one that is wanted is not at hand.
    """
    if wanted not in ("auto", "torch", "cuml"):
        raise InputError(f"grouping.kmeans.backend is {wanted!r}; use 'auto', 'torch' or 'cuml'")
    if wanted == "cuml" and not cuml_is_here(device):
        raise InputError(
            "grouping.kmeans.backend is 'cuml', and cuML or a CUDA device is missing; use the "
            "environment envs/gpu.yaml on a GPU, or set it to 'auto' or 'torch'"
        )
    if wanted != "auto":
        return wanted
    if not cuml_is_here(device):
        return "torch"
    try:
        ours = trial("torch")
    except InputError:  # of these rows: the run itself says it of the right one
        return "torch"
    expected = ours.seconds * growth
    if expected <= _WORTH_A_TRIAL:
        log.info("K-Means by torch: it takes some %.0f s, less than to try cuML pays", expected)
        return "torch"
    try:
        theirs = trial("cuml")
    except Exception as error:  # of a library that nothing else here needs
        log.warning("K-Means by torch: cuML failed in its trial (%s)", error)
        return "torch"
    is_better = (
        theirs.seconds < _CLEARLY_FASTER * ours.seconds and theirs.objective <= ours.objective
    )
    chosen = "cuml" if is_better else "torch"
    log.info(
        "K-Means by %s: in a trial torch took %.2f s to an objective of %.6g, cuML %.2f s to %.6g; "
        "set `grouping.kmeans.backend: %s` to have it without a trial",
        chosen,
        *ours,
        *theirs,
        chosen,
    )
    return chosen


def cuml_is_here(device: torch.device) -> bool:
    """Whether cuML is installed, and the device is one that it computes on."""
    return device.type == "cuda" and importlib.util.find_spec("cuml") is not None
