"""Whether the rows of a deletion are of the key's account. With another key, every row of a history looks deleted."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path

from histkit.api.client import HistoryClient
from histkit.api.existence import item_exists
from histkit.archive.account import describe_service, is_other_service
from histkit.archive.known_ids import some_known_ids
from histkit.archive.manifest import read_manifest
from histkit.errors import ArchiveError, HistkitError
from histkit.util.storage import ReadStore

_FIRST_ROWS = 3  # none of which exists, before other rows are looked up
_LOOKED_UP = 10  # rows of the deletion, and as many of the local history
_MONTHS, _ROWS_OF_MONTH = 10, 50


class Ownership:
    """Finds out whether the rows are of the client's account.

    A row that could be deleted shows it. As long as none could, rows that a local history has are looked up. If the
    first three rows do not exist, so are others of the deletion, unless few are left.

    Parameters
    ----------
    client : HistoryClient
        The client.
    ids : sequence of str
        The rows to delete, in order.
    folder : Path or None
        Local history that the rows come from.
    account : str or None
        Their account.

    Raises
    ------
    ArchiveError
        The local history is of the sandbox and the key is not, or the reverse.

    Attributes
    ----------
    is_certain : bool
        Whether a row was seen in the client's account.
    """

    def __init__(self, client: HistoryClient, ids: Sequence[str], folder: Path | None, account: str | None) -> None:
        self._client, self._ids, self._folder, self._account = client, ids, folder, account or ""
        self._absent = 0
        self._may_look = True
        self.is_certain = False
        self._check_service()

    def _check_service(self) -> None:
        manifest = read_manifest(ReadStore(str(self._folder))) if self._folder is not None else None
        known = manifest.accounts.get(self._account) if manifest is not None else None
        service = self._client.transport.service
        if known is not None and is_other_service(known.service, service):
            raise ArchiveError(
                f"{self._folder} has the history of {describe_service(known.service)}, and this key is of another "
                f"account, {describe_service(service)}: nothing was deleted."
            )

    def refutes(self, status: str) -> bool:
        """Record the outcome of a row; return whether the rows are of another account, as far as can be seen."""
        self.is_certain = self.is_certain or status == "deleted"
        self._absent += status == "gone"
        remaining = self._ids[self._absent :]
        if self.is_certain or not self._may_look or self._absent != _FIRST_ROWS or len(remaining) < _LOOKED_UP:
            return False
        step = len(remaining) // _LOOKED_UP
        return self._look_up([*remaining[::-step][:_LOOKED_UP], *self._known_ids()]) is False

    def confirm(self) -> bool:
        """Return whether the rows are of this account; without a deleted row, look up rows of the local history."""
        return self.is_certain or self._look_up(self._known_ids()) is True

    def _look_up(self, ids: Iterable[str]) -> bool | None:
        """Return whether one of some rows exists; None if the service does not say."""
        for item in ids if self._may_look else ():
            try:
                exists = item_exists(self._client, item)
            except HistkitError:
                exists = None
            if exists is None:  # the key may not read
                self._may_look = False
                return None
            if exists:
                self.is_certain = True
                return True
        return False if self._may_look else None

    def _known_ids(self) -> list[str]:
        """Return some rows of the local history that are not to be deleted."""
        known: list[str] = []
        if self._folder is None:
            return known
        with suppress(ArchiveError):  # a damaged month shows nothing
            store = ReadStore(str(self._folder))
            manifest = read_manifest(store)
            if manifest is not None:
                known = some_known_ids(store, manifest, self._account, _MONTHS, _ROWS_OF_MONTH)
        others = [item for item in known if item not in set(self._ids)]
        return others[:: -(-len(others) // _LOOKED_UP) or 1]
