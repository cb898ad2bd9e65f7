"""One deletion at the service, and how it ended."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass

from histkit.api.client import HistoryClient
from histkit.api.options import RequestOptions
from histkit.archive.tombstones import STATE
from histkit.errors import (
    ApiError,
    AuthenticationError,
    HistkitError,
    NotFoundError,
    PermissionDeniedError,
    TransportError,
)
from histkit.util.text import error_line

SCOPE = "speech_history_write"


_TRIES, _PAUSE = 3, 0.3  # seconds, times the number of the try


_LOOK: RequestOptions = {"max_retries": 2}


@dataclass(frozen=True)
class DeletionOutcome:
    """What came of a row: ``deleted``, ``gone`` or ``failed``, why, and whether the service answered at all."""

    status: str
    error: str | None = None
    answered: bool = True


def delete_item(client: HistoryClient, item: str) -> DeletionOutcome:
    """Delete one row, ``gone`` when it was not there.

    An answer that leaves open whether the row is gone is followed by a look; while it is there, it is tried again.

    Raises
    ------
    ApiError
        401, 402 or 403: no other row could be deleted either.
    """
    failure: HistkitError
    unsure = False
    for tried in range(_TRIES):
        time.sleep(_PAUSE * tried)
        try:
            said = client.delete(item).status
            if said in (None, "ok"):
                return DeletionOutcome("deleted")
            failure = HistkitError(f"The service says {said!r:.60} where it should say 'ok'.")
        except NotFoundError:
            return DeletionOutcome("deleted" if tried else "gone")
        except HistkitError as error:
            failure = error
        if isinstance(failure, ApiError) and failure.status_code in (None, 401, 402, 403):
            raise _permission_denied(failure)
        if isinstance(failure, ApiError) and not _is_uncertain(failure):
            break
        try:
            there = _still_exists(client, item)
        except TransportError:
            unsure = True
            break
        if there is False:
            return DeletionOutcome("deleted")
        unsure = there is None
    doubt = " It may be gone: the service could not be asked." if unsure else ""
    return DeletionOutcome("failed", error_line(failure) + doubt, not isinstance(failure, TransportError))


def _is_uncertain(error: ApiError) -> bool:
    """Tell whether a row may be gone after an answer; a refusal (3xx, 4xx) was not carried out."""
    status = error.status_code or 0
    return status < 300 or status == 408 or status >= 500


def _still_exists(client: HistoryClient, item: str) -> bool | None:
    """Look whether a row is there; None where that can't be told, as with a key that may delete but not read."""
    try:
        return bool(client.get(item, request_options=_LOOK).state != STATE)
    except NotFoundError:
        return False
    except (AuthenticationError, TransportError):
        raise
    except HistkitError:
        return None


def _permission_denied(error: ApiError) -> ApiError:
    """Name the scope that deleting needs where the service doesn't."""
    if isinstance(error, PermissionDeniedError) and error.scope is None and isinstance(error.body, Mapping):
        error.scope = SCOPE
        error.message = f"{error.message} Deleting needs the scope {SCOPE}."
    return error
