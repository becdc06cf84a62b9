"""The choice of the K-Means backend on a device: our own or cuML.

cuML is not always faster: our implementation skips most of the work of later passes, and starts
with passes over near centroids. So ``auto`` tries both on a sample of the rows, with the same
initial rows. It chooses cuML only if cuML is clearly faster and its objective is not higher. On a
CPU, where cuML does not run, ``auto`` is always ours, without a trial.

A trial depends on timing. Therefore our backend wins close cases, the log has the measurements, and
groups are saved with the name of their backend. With that name as ``grouping.kmeans.backend``, the
same backend makes them again.
"""

import importlib.util
import logging
from collections.abc import Callable
from typing import Literal, NamedTuple

import torch

from semantic_tokens.errors import InputError

Backend = Literal["auto", "torch", "cuml"]

log = logging.getLogger(__name__)

#: Rows of the sample. It has as many rows per cluster as the full data.
SAMPLE = 20_000
# If our backend takes no longer than this, in seconds, a trial would take longer than it could
# save: the import of cuML takes some seconds.
_WORTH_A_TRIAL = 30.0
# cuML's time must be below this fraction of ours.
_CLEARLY_FASTER = 0.8


class Trial(NamedTuple):
    """The result of one backend on the sample.

    Attributes:
        seconds: the time of the run, without the start-up time of the first run in a process.
        objective: the final objective.
    """

    seconds: float
    objective: float


def choose_backend(
    wanted: Backend, device: torch.device, trial: Callable[[str], Trial], growth: float
) -> str:
    """The backend to use: the requested one, or for ``auto`` the better one in a trial.

    Args:
        trial: clusters the sample with a backend.
        growth: the estimated time on all rows, divided by the time on the sample.

    Returns:
        ``torch`` or ``cuml``.

    Raises:
        InputError: the requested backend is not available.
    """
    if wanted not in ("auto", "torch", "cuml"):
        raise InputError(f"grouping.kmeans.backend is {wanted!r}; use 'auto', 'torch' or 'cuml'")
    if wanted == "cuml" and not cuml_is_here(device):
        raise InputError(
            "grouping.kmeans.backend is 'cuml', but cuML or a CUDA device is missing; use the "
            "environment envs/gpu.yaml on a GPU, or set it to 'auto' or 'torch'"
        )
    if wanted != "auto":
        return wanted
    if not cuml_is_here(device):
        return "torch"
    try:
        ours = trial("torch")
    except InputError:  # about rows of the sample: the full run reports the right row
        return "torch"
    expected = ours.seconds * growth
    if expected <= _WORTH_A_TRIAL:
        log.info("K-Means by torch: it takes about %.0f s, too short for a trial of cuML", expected)
        return "torch"
    try:
        theirs = trial("cuml")
    except Exception as error:  # cuML is optional, so any failure of it is tolerated
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
    """Whether cuML is installed and supports the device."""
    return device.type == "cuda" and importlib.util.find_spec("cuml") is not None
