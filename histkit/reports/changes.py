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
class RowMatcher:
    """Finds rows among those that are billed by their ids, which are unique in the service.

    An account may get another name, or none: its rows stay the same, and are not billed again.

    Attributes
    ----------
    renamed : set of (str, str)
        The account under which found rows were billed, and the other one under which they are there now.
    """

    renamed: set[tuple[str, str]] = field(default_factory=set)

    def match(self, issued: pd.DataFrame, rows: pd.DataFrame) -> pd.DataFrame:
        """Return the pairs of equal rows: their positions ``issued`` and ``row``, pairs of one account first."""
        near = np.flatnonzero(rows["history_item_id"].isin(issued["history_item_id"].dropna()).to_numpy(bool))
        left = issued[KEY].assign(issued=np.arange(len(issued)))
        right = rows[KEY].iloc[near].assign(row=near)
        both = left.merge(right, on="history_item_id", suffixes=("", "_now"))
        differs = (both["account"] != both["account_now"]).fillna(False).to_numpy(bool)
        self.renamed.update(both.loc[differs, ["account", "account_now"]].itertuples(index=False, name=None))
        pairs: pd.DataFrame = both[["issued", "row"]]
        return pairs.iloc[np.argsort(differs, kind="stable")]

    def common(self, issued: pd.DataFrame, rows: pd.DataFrame) -> pd.DataFrame:
        """Return the rows that are among those issued."""
        return rows.iloc[np.unique(self.match(issued, rows)["row"].to_numpy(np.int64))]

    def note(self) -> str:
        """Return a sentence on the accounts in `renamed`; empty if there are none."""
        if not self.renamed:
            return ""
        names = "; ".join(f"{quoted(now)}, billed under {quoted(before)}" for before, now in sorted(self.renamed))
        return f"Rows are under another account than in the register ({names}), and known by their ids."


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
    issued: pd.DataFrame, rows: pd.DataFrame, matcher: RowMatcher
) -> tuple[pd.DataFrame, dict[str, int], pd.DataFrame]:
    """Compare the rows that are billed with those that should be.

    Parameters
    ----------
    issued : pandas.DataFrame
        See `net_rows`.
    rows : pandas.DataFrame
        See `billed_rows`.
    matcher : RowMatcher
        Finds equal rows.

    Returns
    -------
    signed : pandas.DataFrame
        As in `Changes`.
    counts : dict of str to int
        As in `Changes`.
    went : pandas.DataFrame
        As in `Changes`.
    """
    pairs = matcher.match(issued, rows).drop_duplicates("issued").drop_duplicates("row").sort_values("issued")
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


def changes_of(issued: pd.DataFrame, entry: Entry, bill: Bill, matcher: RowMatcher) -> Changes:
    """Return how a bill differs from what was issued, the last of whose entries is `entry`."""
    signed, counts, went = compare_rows(issued, bill.rows, matcher)
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
