"""Whether a history item exists, by a request for it."""

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
