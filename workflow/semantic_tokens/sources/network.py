"""Retries for network errors, and their messages."""

import logging
from collections.abc import Callable
from typing import Any

from semantic_tokens.errors import InputError, one_line

log = logging.getLogger(__name__)

TRIES = 6
LONGEST_WAIT = 120  # seconds between two tries


def status_of(error: BaseException) -> int | None:
    """The HTTP status of an error, or None."""
    return getattr(getattr(error, "response", None), "status_code", None)


def is_final(error: BaseException) -> bool:
    """Whether a retry cannot help, because the file is refused or missing."""
    status = status_of(error)
    return status is not None and status < 500 and status not in (408, 425, 429)


def with_retries(work: Callable[[], Any]) -> Any:
    """Run ``work``, with retries after increasing pauses while the network fails; raise the last
    error."""
    import requests
    from tenacity import (
        Retrying,
        before_sleep_log,
        retry_if_exception,
        stop_after_attempt,
        wait_random_exponential,
    )

    retrying = Retrying(
        retry=retry_if_exception(
            lambda error: (
                isinstance(error, (requests.RequestException, ConnectionError, TimeoutError))
                and not is_final(error)
            )
        ),
        stop=stop_after_attempt(TRIES),
        wait=wait_random_exponential(multiplier=2, max=LONGEST_WAIT),
        before_sleep=before_sleep_log(log, logging.WARNING),
        reraise=True,
    )
    return retrying(work)


def out_of_reach(asking: str, what: str, error: BaseException, mirror: str) -> InputError:
    """A one-line message that says why ``what`` is not available.

    Args:
        asking: the download or dataset that needs it.
        mirror: the key in ``mirrors`` for a mirror of it.
    """
    status = status_of(error)
    reason = {
        401: "it needs permission: put a token with access into HF_TOKEN",
        403: "access is denied: accept its terms, or put a token with access into HF_TOKEN",
        404: "it does not exist (any more)",
        410: "it does not exist any more",
    }.get(status or 0)
    if reason is None:
        reason = f"all tries failed, the last with {type(error).__name__}: {one_line(error)}"
    return InputError(
        f"{asking}: {what} is not available: {reason}. Check the network, or name a folder or "
        f"another address for {mirror} in the config's `mirrors`; data that has arrived is kept"
    )
