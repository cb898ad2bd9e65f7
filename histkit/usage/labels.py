"""Labels: whose rows are whose, told by rules in a file; the first rule that matches a row names it."""

from __future__ import annotations

import numbers
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from histkit.errors import InputError
from histkit.frame.filters import CONDITION_COLUMNS, filter_items
from histkit.frame.schema import ALIGNMENTS_COLUMN, ARCHIVE_COLUMNS, COLUMNS, check_frame, require, to_frame
from histkit.util.files import read_toml
from histkit.util.text import error_line, is_text

Rules = str | os.PathLike[str] | Mapping[str, Any] | Iterable[Mapping[str, Any]]
Words = tuple[str, ...] | None

COLUMN = "client"
_OWN = frozenset(column.name for column in (*COLUMNS, *ARCHIVE_COLUMNS, ALIGNMENTS_COLUMN))
_LISTS = ("voice", "model", "source", "speaker", "account")


@dataclass(frozen=True)
class Rule:
    """One rule: a label, and the conditions that a row must all meet; None means any.

    Attributes
    ----------
    label : str
        What the rows are called.
    voice, model, source, speaker : tuple of str or None
        As `histkit.filter_items` takes them.
    account : tuple of str or None
        Exact names in the column ``account``.
    text : str, re.Pattern or None
        Regular expression searched for in the text and in each line of a dialogue; a str ignores letter case.
    after, before : str, date, datetime or None
        Dates: after is inclusive, before exclusive; a naive one is UTC.
    """

    label: str
    voice: Words = None
    model: Words = None
    source: Words = None
    speaker: Words = None
    account: Words = None
    text: str | re.Pattern[str] | None = None
    after: Any = None
    before: Any = None

    def conditions(self) -> dict[str, Any]:
        """Give the conditions that are set, by name."""
        return {name: getattr(self, name) for name in CONDITION_COLUMNS if getattr(self, name) is not None}

    def read(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Keep the columns that the conditions look at: what is not copied costs no time."""
        read = {column for name in self.conditions() for column in CONDITION_COLUMNS[name]}
        return frame[[name for name in frame.columns if name in read]]

    def matching(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Keep the rows that meet every condition."""
        conditions = self.conditions()
        if conditions.pop("account", None) is not None:
            require(frame, ["account"], f"the rule for {self.label!r}")
            frame = frame[frame["account"].isin(self.account).to_numpy(bool)]
        return filter_items(frame, **conditions)


def label(
    frame: pd.DataFrame, rules: Rules, *, column: str | None = None, unassigned: str = "unassigned"
) -> pd.DataFrame:
    """Add a column that names each row by the first rule that matches it.

    Parameters
    ----------
    frame : pandas.DataFrame
        A history, or any part of one; needs the columns of the conditions that the rules have.
    rules : path-like, dict, or list of dict
        A TOML file, or the same as a dict, or only its list of rules: see Notes.
    column : str, optional
        Name of the new column; default is what the rules say, or ``client``. One of that name is replaced, but not a
        column of the history itself.
    unassigned : str, default "unassigned"
        What rows are called that no rule matches.

    Returns
    -------
    pandas.DataFrame
        A new frame, on the same index and in the same order, with the column: a category whose categories are the
        labels in the order of the rules, and then `unassigned`, whatever the rows. ``attrs["histkit"]["labels"]``
        counts the rows of each.

    Raises
    ------
    InputError
        The rules can't be used; the line says which one and what to do.
    SchemaError
        The frame lacks a column that a rule needs.

    Notes
    -----
    A file of rules; all conditions of a rule must hold, and each has the meaning it has in `histkit.filter_items`::

        column = "client"                  # optional
        [[rule]]
        label = "Acme"
        voice = ["Rachel", "21m00Tcm4TlvDq8ikWAM"]
        after = 2026-01-01
        [[rule]]
        label = "In house"
        source = "Projects"
        text = '^memo'

    Conditions are ``voice``, ``model``, ``source``, ``speaker``, ``text``, ``after``, ``before``, and ``account``: the
    exact name of an account, or several, in the column ``account``.

    Examples
    --------
    >>> import histkit as hk
    >>> from histkit.usage.labels import label
    >>> rules = [{"label": "Acme", "voice": "Rachel"}, {"label": "In house", "source": ["Projects", "Dubbing"]}]
    >>> df = label(hk.sample_history(500), rules)
    >>> df["client"].cat.categories.tolist()
    ['Acme', 'In house', 'unassigned']
    >>> sum(df.attrs["histkit"]["labels"].values())
    500
    """
    check_frame(frame, "label")
    named, found = read_rules(rules)
    column = named if column is None else _column(column, "column=")
    if not is_text(unassigned):
        raise InputError(f"unassigned={unassigned!r:.60} is no name for rows; give a text.")
    labels = list(dict.fromkeys(rule.label for rule in found))
    if unassigned in labels:
        raise InputError(f"unassigned={unassigned!r} is also the label of a rule; give one of them another name.")
    codes = np.full(len(frame), len(labels), np.int64)
    left = np.arange(len(frame))
    for rule in found:
        rows = rule.matching(rule.read(frame).iloc[left].set_axis(left, axis=0)).index.to_numpy()
        codes[rows] = labels.index(rule.label)
        left = left[codes[left] == len(labels)]
    labels.append(unassigned)
    labelled = frame.assign(**{column: pd.Categorical.from_codes(codes, categories=labels)})
    counts = dict(zip(labels, np.bincount(codes, minlength=len(labels)).tolist(), strict=True))
    facts = labelled.attrs.get("histkit")  # pandas made it a deep copy
    labelled.attrs["histkit"] = {**(facts if isinstance(facts, Mapping) else {}), "labels": counts}
    return labelled


def read_rules(rules: Rules) -> tuple[str, list[Rule]]:
    """Read and check rules: the one place that tells whether they can be used.

    Parameters
    ----------
    rules : path-like, dict, or list of dict
        As `label` takes them.

    Returns
    -------
    column : str
        Name of the column; ``client`` where the rules don't say.
    rules : list of Rule
        At least one, in their order.

    Raises
    ------
    InputError
        No file, broken TOML, an unknown key, a value of a wrong type, a broken expression or date, no rule, no label or
        no condition. One line: the file, which rule, and what to do.

    Examples
    --------
    >>> from histkit.usage.labels import read_rules
    >>> column, rules = read_rules({"column": "team", "rule": [{"label": "Ads", "text": "summer sale"}]})
    >>> column, rules[0].label, rules[0].conditions()
    ('team', 'Ads', {'text': 'summer sale'})
    """
    where, raw = "rules", rules
    if isinstance(rules, (str, os.PathLike)):
        where = " ".join(str(rules).split())
        raw = read_toml(rules, "rules")
    if not isinstance(raw, Mapping):
        if not isinstance(raw, Iterable) or isinstance(raw, (bytes, pd.DataFrame, pd.Series)):
            raise InputError(f"rules= takes the path of a TOML file, a dict or a list of dicts, not {raw!r:.60}.")
        raw = {"rule": list(raw)}
    for key in raw:
        if key not in ("column", "rule"):
            raise InputError(f"{where}: {key!r:.60} is unknown; there are 'column' and, for each rule, '[[rule]]'.")
    column = _column(raw.get("column", COLUMN), f"{where}: column =")
    tables = raw.get("rule", [])
    if not isinstance(tables, (list, tuple)):
        raise InputError(f"{where}: rules are a list; write '[[rule]]' above each, with two brackets.")
    if not tables:
        raise InputError(f"{where}: there is no rule; give at least one '[[rule]]' with a label and a condition.")
    none = to_frame([]).assign(account=pd.Categorical([]))
    return column, [_rule(table, f"{where}, rule {place}", none) for place, table in enumerate(tables, 1)]


def _column(name: Any, where: str) -> str:
    if not is_text(name):
        raise InputError(f"{where} takes the name of the new column, not {name!r:.60}.")
    if name in _OWN:
        raise InputError(f"{where} {name!r} would replace a column of the history; choose another name.")
    return name


def _rule(table: Any, where: str, none: pd.DataFrame) -> Rule:
    if not isinstance(table, Mapping):
        raise InputError(f"{where} must be a table with a label and conditions, not {table!r:.60}.")
    name = table.get("label")
    if not is_text(name):
        found = "" if name is None else f", not {name!r:.60}"
        raise InputError(f"{where} needs a label that is a text, such as label = 'Acme'{found}.")
    where = f"{where} ({name!r:.60})"
    for key in table:
        if key != "label" and key not in CONDITION_COLUMNS:
            raise InputError(f"{where}: {key!r:.60} is no condition; there are {', '.join(CONDITION_COLUMNS)}.")
    if len(table) == 1:
        raise InputError(f"{where} has no condition; give at least one of {', '.join(CONDITION_COLUMNS)}.")
    rule = Rule(**{key: _checked(key, value, where) for key, value in table.items()})
    try:
        rule.matching(none)  # on no rows: what a condition takes is told by filter_items alone
    except (InputError, RecursionError, OverflowError) as error:
        raise InputError(f"{where}: {error_line(error, 300)}") from None
    return rule


def _checked(key: str, value: Any, where: str) -> Any:
    """Give the value as a rule holds it, or refuse one that `filter_items` would take for something else."""
    if key in _LISTS:
        values = (value,) if isinstance(value, str) else value
        if not isinstance(values, (list, tuple)) or not values or not all(isinstance(each, str) for each in values):
            raise InputError(f"{where}: {key} = takes a text or a list of texts, not {value!r:.60}.")
        return tuple(values)
    if value is None or (key == "text" and isinstance(getattr(value, "pattern", None), bytes)):
        raise InputError(f"{where}: {key} = {value!r:.60} is no condition; give a text or leave it out.")
    if key in ("after", "before") and isinstance(value, numbers.Number):
        raise InputError(f"{where}: {key} = {value!r:.60} is no date; give one such as 2026-10-01.")
    return value
