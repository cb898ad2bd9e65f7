"""Whether the rows of a frame are of the account of a key, whose counter or figures are compared with them."""

from __future__ import annotations

import numpy as np
import pandas as pd

from histkit.api.client import HistoryClient
from histkit.api.existence import absence_hint, item_exists
from histkit.errors import InputError
from histkit.frame.columns import plain_values
from histkit.frame.dates import instants_of
from histkit.money.ledger import several_accounts
from histkit.util.text import quoted

_NEWEST, _LOOKED_UP = 3, 10  # rows: the newest ones, then others spread over the frame


def refuse_other_account(frame: pd.DataFrame, client: HistoryClient) -> None:
    """Raise if the rows are of another account than the key, as far as the service says.

    The newest row is requested by its id; if it does not exist, so are nine others. Nothing is known, and nothing
    raised, without ids, with rows of several accounts, or where the key may not read the history.

    Parameters
    ----------
    frame : pandas.DataFrame
        The rows of one account.
    client : HistoryClient
        The client whose counter or official figures are compared with them.

    Raises
    ------
    InputError
        None of ten rows (or of all) exists in the account of the key.
    AuthenticationError, TransportError
        The key is refused, or no response came.

    Examples
    --------
    >>> import histkit as hk
    >>> from histkit.sandbox import serve
    >>> with serve(items=20) as box:
    ...     client = hk.HistoryClient(box.api_key, base_url=box.url)
    ...     refuse_other_account(hk.read_history(client=client), client)
    """
    if several_accounts(frame):
        return
    ids = _some_ids(frame)
    for item in ids:
        if item_exists(client, item) is not False:
            return
    hint = absence_hint(len(ids), len(ids))
    if hint is not None:
        account = next((name for name in _accounts(frame) if name), None)
        whose = f"that of account {quoted(account)}" if account else "that of their account"
        raise InputError(f"{hint} Nothing was compared. The key must be {whose}.")


def _some_ids(frame: pd.DataFrame) -> list[str]:
    """Return ids of rows, the newest ones first, then some spread over the others; not those marked missing."""
    if "history_item_id" not in frame.columns:
        return []
    present = frame
    if "missing_since" in frame.columns:
        present = frame[frame["missing_since"].isna()]
    ids = present["history_item_id"]
    if "date" in present.columns:
        instants, known = instants_of(present["date"])
        order = np.argsort(np.where(known, -instants, np.iinfo(np.int64).max), kind="stable")
        ids = ids.iloc[order]
    step = max(1, -(-(len(ids) - _NEWEST) // (_LOOKED_UP - _NEWEST)))
    chosen = ids.iloc[[*range(min(_NEWEST, len(ids))), *range(_NEWEST, len(ids), step)]]
    return [item for item in plain_values(chosen) if isinstance(item, str) and item]


def _accounts(frame: pd.DataFrame) -> list[str | None]:
    return plain_values(frame["account"].iloc[:1]) if "account" in frame.columns else []
