"""The retry policy: exponential backoff with full jitter, ``Retry-After``, a limit on the total time (tenacity).

The service sends some 429 without ``Retry-After``, so both forms are expected. Requests, bodies that break off, bulk
zips and deletions use the same policy; they differ in which failures are worth another attempt.
"""

from __future__ import annotations

import email.utils
import logging
import re
import threading
import time
from collections.abc import Callable, Mapping
from datetime import UTC

import tenacity

from histkit.errors import ApiError, TransportError

BACKOFF_SECONDS = 0.5  # upper limit of the first wait; it doubles with each attempt
RETRY_SECONDS = 300.0  # no call waits longer than this, whatever ``Retry-After`` requests
_SECONDS = re.compile(r"\d{1,15}(?:\.\d+)?", re.ASCII)
_RETRIED_STATUS = frozenset({200, 408, 409, 429})  # 200: the body was broken or a web page
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
        stop=tenacity.stop_any(
            tenacity.stop_after_attempt(retries + 1), tenacity.stop_before_delay(seconds), _StopAtLongWait()
        ),
        wait=wait,
        sleep=tenacity.sleep_using_event(cancel) if cancel is not None else time.sleep,
        before_sleep=_log_wait,
        reraise=True,
    )


def is_passing(error: BaseException) -> bool:
    """Return whether a request that only reads is worth another attempt after an error."""
    if isinstance(error, TransportError):
        return error.passing
    return isinstance(error, ApiError) and is_retried(error.status_code or 0)


def is_retried(status: int) -> bool:
    """Return whether a request that only reads is worth another attempt after a response of an HTTP status."""
    return status in _RETRIED_STATUS or status >= 500


def is_refused_for_rate(error: BaseException) -> bool:
    """Return whether a request was refused by a rate limit (429), so that it was not carried out."""
    return isinstance(error, ApiError) and error.status_code == 429


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the seconds that the service asks to wait, None if it doesn't, or not in a form that HTTP knows.

    Parameters
    ----------
    headers : mapping
        Response headers, names in lower case: ``retry-after-ms`` (milliseconds, which some proxies send), or
        ``retry-after`` (seconds or an HTTP date, which is compared with the service's own clock if it sends ``date``).

    Examples
    --------
    >>> retry_after({"retry-after": "80000"}), retry_after({"retry-after-ms": "1500"}), retry_after({})
    (80000.0, 1.5, None)
    >>> date = "Thu, 26 Nov 2026 18:00:00 GMT"
    >>> retry_after({"retry-after": "Fri, 27 Nov 2026 18:00:00 GMT", "date": date})
    86400.0
    """
    milliseconds = _longest_wait(headers.get("retry-after-ms", ""))
    if milliseconds is not None:
        return milliseconds / 1000
    value = headers.get("retry-after", "")
    seconds = _longest_wait(value)
    if seconds is not None:
        return seconds
    date, now = http_date(value), http_date(headers.get("date", ""))
    return None if date is None else max(0.0, date - (time.time() if now is None else now))


def _longest_wait(value: str) -> float | None:
    """Return the largest of the numbers in a header that may have been sent twice; None if one is no number."""
    numbers = [number.strip() for number in value.split(",")]
    return max(map(float, numbers)) if all(_SECONDS.fullmatch(number) for number in numbers) else None


def http_date(value: str) -> float | None:
    """Return an HTTP date in seconds since 1970; None if it is malformed. One without a zone is UTC."""
    try:
        date = email.utils.parsedate_to_datetime(value)
        return (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp()
    except (ValueError, TypeError, OverflowError, IndexError):
        return None


def asks_too_much(headers: Mapping[str, str]) -> bool:
    """Return whether the service asks to wait longer than a call may take, so that there is no use in waiting."""
    return (retry_after(headers) or 0.0) > RETRY_SECONDS


class _StopAtLongWait(tenacity.stop.stop_base):
    """Makes no further attempt if the service asks to wait longer than a call may take."""

    def __call__(self, retry_state: tenacity.RetryCallState) -> bool:
        error = retry_state.outcome.exception() if retry_state.outcome else None
        return isinstance(error, ApiError) and asks_too_much(error.headers)


def _log_wait(state: tenacity.RetryCallState) -> None:
    error = state.outcome.exception() if state.outcome else None
    _log.info("attempt %d failed (%s); next in %.1f s", state.attempt_number, error, state.upcoming_sleep)
