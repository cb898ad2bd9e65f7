"""How billed rows and terms differ from what was issued: which rows are the same, came, went or changed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from histkit.reports.bill import Bill, correction_title
from histkit.reports.billed_rows import COLUMNS, KEY
from histkit.reports.register import Entry
from histkit.util.arrays import Mask
from histkit.util.text import count_noun, quoted

Locate = Callable[[pd.DataFrame], Mapping[str, int]]


@dataclass
class Accounts:
    """The accounts of a frame and its history, by which rows with the same id are the same row, or are not.

    A row without an account, or billed under one that is no longer there, is compared by its id alone: an account that
    got another name is not billed again.

    Attributes
    ----------
    names : frozenset of str or None
        None: any may be there.
    renamed : set of str
        Those that are not, and under which rows were billed that `match` has found.
    """

    names: frozenset[str] | None = None
    renamed: set[str] = field(default_factory=set)

    def gone(self, column: pd.Series) -> Mask:
        """Return which rows were billed under an account that is no longer there."""
        if self.names is None:
            return np.zeros(len(column), bool)
        gone: Mask = ~(column.isna() | column.isin(self.names)).to_numpy(bool)
        return gone

    def match(self, issued: pd.DataFrame, rows: pd.DataFrame) -> pd.DataFrame:
        """Return the pairs of equal rows: their positions ``issued`` and ``row``, pairs of one account first."""
        near = np.flatnonzero(rows["history_item_id"].isin(issued["history_item_id"].dropna()).to_numpy(bool))
        left = issued[KEY].assign(issued=np.arange(len(issued)))
        right = rows[KEY].iloc[near].assign(row=near)
        both = left.merge(right, on="history_item_id", suffixes=("", "_now"))
        before, now = both["account"], both["account_now"]
        equal = (before == now).fillna(False).to_numpy(bool)
        gone = self.gone(before)
        self.renamed.update(before[gone & ~equal & now.notna().to_numpy(bool)])
        same = equal | gone | before.isna().to_numpy(bool) | now.isna().to_numpy(bool)
        pairs: pd.DataFrame = both.loc[same, ["issued", "row"]]
        return pairs.iloc[np.argsort(~equal[same], kind="stable")]

    def common(self, issued: pd.DataFrame, rows: pd.DataFrame) -> pd.DataFrame:
        """Return the rows that are among those issued."""
        return rows.iloc[np.unique(self.match(issued, rows)["row"].to_numpy(np.int64))]

    def note(self) -> str:
        """Return a sentence on the accounts in `renamed`; empty if there are none."""
        if not self.renamed:
            return ""
        names = ", ".join(map(quoted, sorted(self.renamed)))
        what = f"account {names}, which is" if len(self.renamed) == 1 else f"accounts {names}, which are"
        return (
            f"The register has rows under the {what} no longer in this history: they are taken for those with the same "
            "ids under another account."
        )


@dataclass(frozen=True)
class Changes:
    """How the rows and terms of a statement differ from what was issued.

    Attributes
    ----------
    signed : pandas.DataFrame
        The rows to credit (``sign`` -1) and to bill (1).
    counts : dict of str to int
        ``came``, ``went``, ``credits`` and ``price``: numbers of rows.
    went : pandas.DataFrame
        The rows that are no longer of this client and period.
    terms : list of str
        Names of the terms that differ.
    """

    signed: pd.DataFrame
    counts: dict[str, int]
    went: pd.DataFrame
    terms: list[str]

    def any(self) -> bool:
        """Return whether there are any."""
        return bool(len(self.signed) or self.terms)

    def lines(self, locate: Locate) -> list[str]:
        """Return the changes in words."""
        parts = []
        if self.counts["came"]:
            parts.append(f"{count_noun(self.counts['came'], 'row')} came")
        if self.counts["went"]:
            places = ", ".join(f"{count:,} {where}" for where, count in locate(self.went).items())
            parts.append(f"{count_noun(self.counts['went'], 'row')} went ({places})")
        if self.counts["credits"]:
            parts.append(f"the credits of {count_noun(self.counts['credits'], 'row')} changed")
        if self.counts["price"]:
            parts.append(f"the price of {count_noun(self.counts['price'], 'row')} changed")
        if self.terms:
            parts.append(f"the terms changed ({', '.join(self.terms)})")
        return parts


def compare_rows(
    issued: pd.DataFrame, rows: pd.DataFrame, accounts: Accounts
) -> tuple[pd.DataFrame, dict[str, int], pd.DataFrame]:
    """Compare the rows that are billed with those that should be.

    Parameters
    ----------
    issued : pandas.DataFrame
        See `net_rows`.
    rows : pandas.DataFrame
        See `billed_rows`.
    accounts : Accounts
        Of the history.

    Returns
    -------
    signed : pandas.DataFrame
        As in `Changes`.
    counts : dict of str to int
        As in `Changes`.
    went : pandas.DataFrame
        As in `Changes`.
    """
    pairs = accounts.match(issued, rows).drop_duplicates("issued").drop_duplicates("row").sort_values("issued")
    stays, came = np.zeros(len(issued), bool), np.ones(len(rows), bool)
    stays[pairs["issued"].to_numpy()] = True
    came[pairs["row"].to_numpy()] = False
    old, new = issued[COLUMNS], rows[COLUMNS]
    before, kept = old[stays].reset_index(drop=True), new.iloc[pairs["row"].to_numpy()].reset_index(drop=True)
    differs = {name: _differs(before[name], kept[name]) for name in ("credits", "price")}
    changed = differs["credits"] | differs["price"]
    signed = pd.concat(
        [
            old[~stays].assign(sign=-1),
            before[changed].assign(sign=-1),
            kept[changed].assign(sign=1),
            new[came].assign(sign=1),
        ],
        ignore_index=True,
    )
    counts = {
        "came": int(came.sum()),
        "went": int((~stays).sum()),
        "credits": int(differs["credits"].sum()),
        "price": int((differs["price"] & ~differs["credits"]).sum()),
    }
    return signed, counts, old[~stays]


def _differs(first: pd.Series, second: pd.Series) -> Mask:
    missing = first.isna().to_numpy(bool), second.isna().to_numpy(bool)
    unequal = (first != second).fillna(False).to_numpy(bool)
    return np.asarray((missing[0] != missing[1]) | (unequal & ~missing[0] & ~missing[1]), bool)


def changes_of(issued: pd.DataFrame, entry: Entry, bill: Bill, accounts: Accounts) -> Changes:
    """Return how a bill differs from what was issued, the last of whose entries is `entry`."""
    signed, counts, went = compare_rows(issued, bill.rows, accounts)
    money, letter = bill.terms.money(), bill.terms.letter()
    terms = sorted(name for name in {*money, *entry.terms} if money.get(name) != entry.terms.get(name))
    if bill.rows.empty and counts["went"]:
        terms = [name for name in terms if name != "minimum_fee"]  # of a period with rows only
    terms += sorted(name for name in {*letter, *entry.letter} if letter.get(name) != entry.letter.get(name))
    terms += ["by"] if [*map(str, bill.names)] != entry.by else []
    title = bill.facts["title"] if bill.own_title or entry.corrects is None else correction_title(bill, entry.corrects)
    terms += ["title"] if title != entry.title else []
    terms += ["prices"] if entry.priced != ("cost" in bill.lines.columns) and not counts["price"] else []
    return Changes(signed, counts, went, terms)
