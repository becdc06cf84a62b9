"""Whether a job that asks for GPUs has them."""

from pathlib import Path

import torch

from semantic_tokens.errors import InputError

#: Where Linux has it, if the driver is loaded.
DRIVER_VERSION = Path("/proc/driver/nvidia/version")


def require_gpus(count: int) -> None:
    """Check that a job which is to use GPUs has them.

    Raises:
        InputError: torch finds fewer; the message names the driver, the build of torch and the
            way out.
    """
    found = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if found >= count:
        return
    build = f"torch {torch.__version__} is built for " + (
        f"CUDA {torch.version.cuda}" if torch.version.cuda else "no GPU"
    )
    if not torch.version.cuda:
        remedy = "install a build of torch for CUDA (envs/gpu.yaml has one)"
    elif found:
        remedy = "give the job more GPUs"
    else:
        remedy = "update the driver, or run on a machine with a GPU that this process may see"
    raise InputError(
        f"`gpus_per_job: {count}` needs as many GPUs, and torch finds {found}{_reason()}. {build}; "
        f"the NVIDIA driver here is {_driver()}. To go on, {remedy}, or set `gpus_per_job: 0`"
    )


def _reason() -> str:
    """Why torch finds no GPU, in its own words; nothing where it has no reason to give."""
    if torch.cuda.is_available():
        return ""
    try:
        torch.cuda.init()
    except (RuntimeError, AssertionError) as error:
        return f" ({str(error).splitlines()[0].rstrip('.')})"
    return ""


def _driver() -> str:
    try:
        words = DRIVER_VERSION.read_text(encoding="utf-8").partition("\n")[0].split()
    except OSError:
        return "not loaded"
    return next((word for word in words if word[:1].isdigit() and "." in word), "unknown")
