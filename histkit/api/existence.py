"""Whether history items exist in the account of a key."""

from __future__ import annotations

from histkit.api.client import HistoryClient
from histkit.api.options import RequestOptions
from histkit.errors import AuthenticationError, HistkitError, NotFoundError, TransportError

DELETED = "deleted"
"""The state of a deleted row that a service still returns."""


def item_exists(client: HistoryClient, history_item_id: str, retries: int = 2) -> bool | None:
    """Return whether a history item exists; None if unknown, as with a key that may not read.

    Raises
    ------
    AuthenticationError, TransportError
        The key is refused, or no response came.
    """
    options: RequestOptions = {"max_retries": retries}
    try:
        return bool(client.get(history_item_id, request_options=options).state != DELETED)
    except NotFoundError:
        return False
    except (AuthenticationError, TransportError):
        raise
    except HistkitError:
        return None


def absence_hint(requested: int, absent: int) -> str | None:
    """Return a sentence about rows of which none exists in the account of the key; None if there is no such sign.

    Parameters
    ----------
    requested : int
        Number of rows that were requested from the service.
    absent : int
        How many of them do not exist there.

    Examples
    --------
    >>> absence_hint(2, 1)
    >>> absence_hint(2, 2).partition(": ")[0]
    'None of the 2 requested rows exists in the account of this key'
    """
    if not absent or absent < requested:
        return None
    if absent == 1:
        return (
            "The requested row does not exist in the account of this key: was it deleted, or is it the key of another "
            "account?"
        )
    return (
        f"None of the {absent:,} requested rows exists in the account of this key: were they deleted, or is it the key "
        "of another account?"
    )
