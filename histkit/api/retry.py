"""The retry policy: exponential backoff with full jitter, ``Retry-After``, a limit on the total time (tenacity).

The service sends some 429 without ``Retry-After``, so both forms are expected. Requests, bodies that break off, bulk
zips and deletions use the same policy; they differ in which failures are worth another attempt.
"""

from __future__ import annotations

import email.utils
import logging
import threading
import time
from collections.abc import Callable, Mapping

import tenacity

from histkit.errors import ApiError, TransportError

BACKOFF_SECONDS = 0.5  # upper limit of the first wait; it doubles with each attempt
RETRY_SECONDS = 300.0  # no call waits longer than this, whatever ``Retry-After`` requests
_RETRIED_STATUS = frozenset({200, 408, 429})  # 200: the body was broken or a web page
_log = logging.getLogger("histkit")


def retrying(
    retries: int,
    cancel: threading.Event | None = None,
    *,
    worth: Callable[[BaseException], bool],
    seconds: float = RETRY_SECONDS,
) -> tenacity.Retrying:
    """Return the retry policy of one call: call it with a function, or iterate over it for the attempts.

    Parameters
    ----------
    retries : int
        Further attempts after the first.
    cancel : threading.Event, optional
        Set it to stop waiting; no further attempt is made.
    worth : callable
        Whether an exception is worth another attempt: `is_passing`, `is_refused_for_rate`, or a predicate of the
        caller.
    seconds : float
        Limit on the time since the first attempt began; infinite where an attempt itself may take long.

    Examples
    --------
    >>> from histkit.errors import TransportError
    >>> answers = iter([TransportError("no answer"), "the answer"])
    >>> for attempt in retrying(2, worth=is_passing):
    ...     with attempt:
    ...         answer = next(answers)
    ...         if isinstance(answer, TransportError):
    ...             raise answer
    >>> answer
    'the answer'
    """
    jitter = tenacity.wait_random_exponential(multiplier=BACKOFF_SECONDS, max=30)

    def wait(state: tenacity.RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome else None
        requested = retry_after(error.headers) if isinstance(error, ApiError) else None
        return float(jitter(state) if requested is None else requested + 0.1 * jitter(state))

    def is_worth_it(error: BaseException) -> bool:
        return not (cancel is not None and cancel.is_set()) and worth(error)

    return tenacity.Retrying(
        retry=tenacity.retry_if_exception(is_worth_it),
        stop=tenacity.stop_after_attempt(retries + 1) | tenacity.stop_before_delay(seconds),
        wait=wait,
        sleep=tenacity.sleep_using_event(cancel) if cancel is not None else time.sleep,
        before_sleep=_log_wait,
        reraise=True,
    )


def is_passing(error: BaseException) -> bool:
    """Return whether a request that only reads is worth another attempt after an error."""
    if isinstance(error, TransportError):
        return error.passing
    status = (error.status_code or 0) if isinstance(error, ApiError) else 0
    return status in _RETRIED_STATUS or status >= 500


def is_refused_for_rate(error: BaseException) -> bool:
    """Return whether a request was refused by a rate limit (429), so that it was not carried out."""
    return isinstance(error, ApiError) and error.status_code == 429


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the seconds that ``Retry-After`` requests (a number or an HTTP date), None without one."""
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
    _log.info("attempt %d failed (%s); next in %.1f s", state.attempt_number, error, state.upcoming_sleep)
