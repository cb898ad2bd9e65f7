"""When and how long to wait before the next try: full jitter, ``Retry-After``, a bound on the whole (tenacity).

The service was seen to send 429 without ``Retry-After``, so both are expected.
"""

from __future__ import annotations

import email.utils
import logging
import threading
import time
from collections.abc import Mapping

import tenacity

from histkit.errors import ApiError, TransportError

RETRY_SECONDS = 300.0  # no call waits longer than this for a server that asks it to come back
_RETRIED = frozenset({408, 429})
_log = logging.getLogger("histkit")


def retrying(method: str, tries: int, cancel: threading.Event | None) -> tenacity.Retrying:
    """Make the policy of one call.

    Parameters
    ----------
    method : str
        ``GET`` (or the bulk POST, which only reads) is tried again after all that may pass, ``DELETE`` after a 429.
    tries : int
        Further tries after the first.
    cancel : threading.Event or None
        Set it to end the waiting.
    """
    jitter = tenacity.wait_random_exponential(multiplier=0.5, max=30)

    def wait(state: tenacity.RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome else None
        asked = retry_after(error.headers) if isinstance(error, ApiError) else None
        return float(jitter(state) if asked is None else asked + 0.1 * jitter(state))

    def worth(error: BaseException) -> bool:
        if cancel is not None and cancel.is_set():
            return False
        if method == "DELETE":  # a 429 was not carried out; after anything else the row may be gone
            return isinstance(error, ApiError) and error.status_code == 429
        return is_passing(error)

    return tenacity.Retrying(
        retry=tenacity.retry_if_exception(worth),
        stop=tenacity.stop_after_attempt(tries + 1) | tenacity.stop_before_delay(RETRY_SECONDS),
        wait=wait,
        sleep=tenacity.sleep_using_event(cancel) if cancel is not None else time.sleep,
        before_sleep=_log_wait,
        reraise=True,
    )


def is_passing(error: BaseException) -> bool:
    """Tell whether a failure may be gone at the next try."""
    if isinstance(error, TransportError):
        return error.passing
    if not isinstance(error, ApiError) or error.status_code is None:
        return False
    return error.status_code in _RETRIED or error.status_code >= 500 or error.status_code == 200


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds that ``Retry-After`` asks for (a number or an HTTP date), None without one."""
    value = headers.get("retry-after")
    if value is None:
        return None
    try:
        return max(0.0, float(value))
    except ValueError:
        pass
    try:
        return max(0.0, email.utils.parsedate_to_datetime(value).timestamp() - time.time())
    except ValueError:
        return None


def _log_wait(state: tenacity.RetryCallState) -> None:
    error = state.outcome.exception() if state.outcome else None
    _log.info("try %d failed (%s); next in %.1f s", state.attempt_number, error, state.upcoming_sleep)
