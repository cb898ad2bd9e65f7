"""Delete one history item at the service, and find out whether it is gone."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from histkit.api.client import HistoryClient
from histkit.api.error_mapping import concerns_every_request
from histkit.api.existence import item_exists
from histkit.api.retry import asks_too_much, retrying
from histkit.errors import (
    ApiError,
    HistkitError,
    NotFoundError,
    PermissionDeniedError,
    TransportError,
)
from histkit.util.text import error_line

SCOPE = "speech_history_write"
_RETRIES = 2  # of a deletion whose row still exists


@dataclass(frozen=True)
class DeletionOutcome:
    """The result for one row: status, error, whether the service responded, and whether it asks for a long wait."""

    status: Literal["deleted", "gone", "failed"]
    error: str | None = None
    answered: bool = True
    long_wait: bool = False


class _UndecidedError(Exception):
    """The deletion was not confirmed and the row may still exist; holds the outcome for the last attempt."""

    def __init__(self, outcome: DeletionOutcome) -> None:
        super().__init__(outcome.error)
        self.outcome = outcome


def delete_item(client: HistoryClient, item: str) -> DeletionOutcome:
    """Delete one row; the result is ``gone`` if it did not exist.

    After an ambiguous response the row is looked up, and the deletion is repeated while the row exists.

    Raises
    ------
    ApiError
        401, 402 or 403: no other row could be deleted either.
    """
    try:
        for attempt in retrying(_RETRIES, worth=_is_undecided, seconds=math.inf):
            with attempt:
                outcome = _delete_once(client, item, first=attempt.retry_state.attempt_number == 1)
    except _UndecidedError as error:
        outcome = error.outcome
    return outcome


def _delete_once(client: HistoryClient, item: str, *, first: bool) -> DeletionOutcome:
    failure: HistkitError
    try:
        answer = client.delete(item).status
    except NotFoundError:
        return DeletionOutcome("gone" if first else "deleted")
    except HistkitError as error:
        failure = error
    else:
        if answer in (None, "ok"):
            return DeletionOutcome("deleted")
        failure = HistkitError(f"The service answers {answer!r:.60} instead of 'ok'.")
    if isinstance(failure, ApiError):
        if concerns_every_request(failure):
            raise _permission_denied(failure)
        if not _is_uncertain(failure):
            return _failed(failure)
    try:
        exists = item_exists(client, item)
    except TransportError:
        return _failed(failure, unsure=True)
    if exists is False:
        return DeletionOutcome("deleted")
    raise _UndecidedError(_failed(failure, unsure=exists is None))


def _failed(failure: HistkitError, *, unsure: bool = False) -> DeletionOutcome:
    doubt = " It may be gone: the service could not be reached." if unsure else ""
    long_wait = isinstance(failure, ApiError) and asks_too_much(failure.headers)
    answered = not isinstance(failure, TransportError)
    return DeletionOutcome("failed", error_line(failure) + doubt, answered, long_wait)


def _is_undecided(error: BaseException) -> bool:
    return isinstance(error, _UndecidedError)


def _is_uncertain(error: ApiError) -> bool:
    """Return whether a row may be gone after an error; a refusal (3xx, 4xx) was not carried out."""
    status = error.status_code or 0
    return status < 300 or status == 408 or status >= 500


def _permission_denied(error: ApiError) -> ApiError:
    """Add the scope that deleting needs to an error that names none."""
    if isinstance(error, PermissionDeniedError) and error.scope is None and isinstance(error.body, Mapping):
        error.scope = SCOPE
        error.message = f"{error.message} Deleting needs the scope {SCOPE}."
    return error
