"""Label rules: a label and conditions, read from a TOML file or from dicts, and checked."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, tzinfo
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pandas as pd

from histkit.errors import InputError
from histkit.frame.clock import name_of, zone_of
from histkit.frame.columns import factorize
from histkit.frame.dates import instants_of
from histkit.frame.filters import CONDITION_COLUMNS, NAME_CONDITIONS, RowFilter, name_test
from histkit.frame.schema import KINDS, require, to_frame
from histkit.usage.aggregate import RESERVED
from histkit.usage.dialogue import spoken_by
from histkit.usage.label_zones import ZonedBound, zoned_bounds
from histkit.util.arrays import Ints, Mask
from histkit.util.files import read_toml
from histkit.util.text import error_line, is_text, quoted

Rules = str | os.PathLike[str] | Mapping[str, Any] | Iterable[Mapping[str, Any]]
Words = tuple[str, ...] | None
Value = str | int | bool

COLUMN = "client"
UNASSIGNED = "unassigned"  # the label of rows that no rule matches
_CONDITIONS = ", ".join([*CONDITION_COLUMNS, "where"])


@dataclass(frozen=True)
class Rule:
    """A label and its conditions, all of which a row must meet; None matches any row.

    Attributes
    ----------
    label : str
        Label of the rows that match.
    voice, model, source, speaker : tuple of str or None
        As `histkit.filter_items` takes them.
    account : tuple of str or None
        Exact names in the column ``account``.
    text : str, re.Pattern or None
        Regular expression searched for in the text and in each line of a dialogue; a str ignores letter case.
    after, before : str, date, datetime or None
        Dates: after is inclusive, before exclusive.
    dialogues : "any", "most", Fraction or None
        How much of a dialogue the voices must speak: one character, more than half, or at least this share of the
        characters. None: a dialogue has no voice.
    where : tuple of (column, values)
        Exact values in other columns.
    tz : tzinfo
        Zone of days and naive times.
    own_tz : bool
        Whether the rules themselves name it.
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
    dialogues: str | Fraction | None = None
    where: tuple[tuple[str, tuple[Value, ...]], ...] = ()
    tz: tzinfo = UTC
    own_tz: bool = False

    def conditions(self) -> dict[str, Any]:
        """Return the conditions that are set, by name."""
        names = [*CONDITION_COLUMNS, "dialogues", "where"]
        values = {name: getattr(self, name) for name in names}
        return {name: value for name, value in values.items() if value is not None and (name != "where" or value)}

    def columns(self) -> set[str]:
        """Return the columns that the conditions use."""
        names = {column for name in self.conditions() for column in CONDITION_COLUMNS.get(name, ())}
        return names | {column for column, _ in self.where} | ({"dialogue"} if self.dialogues is not None else set())

    def name_columns(self) -> set[str]:
        """Return the columns that hold the names and values of the conditions."""
        names = replace(self, text=None, after=None, before=None)
        return names.columns()

    def apply(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Return the rows that meet every condition."""
        purpose = f"the rule for {self.label!r}"
        if self.account is not None:
            require(frame, ["account"], purpose)
        require(frame, [column for column, _ in self.where], purpose)
        conditions = {name: value for name, value in self.conditions().items() if name in CONDITION_COLUMNS}
        mask: Mask = np.ones(len(frame), bool)
        for column, values in self.where:
            mask &= _value_mask(frame[column], values)
        if self.dialogues is not None:
            mask &= self._voice_mask(frame, conditions.pop("voice"))
        rows = frame if mask.all() else frame[mask]
        return rows[RowFilter.of(**conditions, tz=self.tz).mask(rows)]

    def _voice_mask(self, frame: pd.DataFrame, names: tuple[str, ...]) -> Mask:
        """Return which rows have one of the voices, and in which dialogues these voices speak enough."""
        require(frame, CONDITION_COLUMNS["speaker"], f"the rule for {self.label!r}")
        mask = RowFilter(voice=names).mask(frame)
        rows, spoken, total = spoken_by(frame, names.__contains__, name_test(names))
        if self.dialogues == "any":
            mask[rows] = spoken > 0
        elif isinstance(self.dialogues, Fraction):
            pairs = zip(spoken.tolist(), total.tolist(), strict=True)
            mask[rows] = [part >= self.dialogues * characters for part, characters in pairs]
        else:
            mask[rows] = 2 * spoken > total
        return mask

    def zone_dependent_rows(self, frame: pd.DataFrame) -> dict[ZonedBound, Ints]:
        """Return the positions of the rows that another zone of the dates could bring in or out, for each date."""
        bounds = list(zoned_bounds({"after": self.after, "before": self.before}, self.tz))
        if not bounds or "date" not in frame.columns:
            return {}
        instants, dated = instants_of(frame["date"])
        rest = replace(self, after=None, before=None)
        rows = {}
        for bound in bounds:
            near = np.flatnonzero(bound.rows_near(instants, dated))
            rows[bound] = rest.apply(frame.iloc[near].set_axis(near, axis=0)).index.to_numpy(np.int64)
        return rows


def _value_mask(column: pd.Series, values: Sequence[Value]) -> Mask:
    """Return which rows have exactly one of the values; a missing value is none."""
    codes, existing = factorize(column)
    mask: Mask = np.array([*(any(same_value(other, value) for value in values) for other in existing), False], bool)[
        codes
    ]
    return mask


def same_value(other: Any, value: Value) -> bool:
    """Return whether a value of a column is exactly one of a rule: a text, a number, true or false."""
    if isinstance(value, (str, bool)) or isinstance(other, (str, bool, np.bool_)):
        kinds = (str,) if isinstance(value, str) else (bool, np.bool_)
        return isinstance(value, (str, bool)) and isinstance(other, kinds) and bool(other == value)
    return bool(other == value)


def rules_name(rules: Any) -> str:
    """Return how messages name some rules: by the path of their file, if they are one."""
    return " ".join(str(rules).split()) if isinstance(rules, (str, os.PathLike)) else "rules"


def read_rules(rules: Rules, tz: str | tzinfo = "UTC") -> tuple[str, list[Rule]]:
    """Read and check rules.

    Parameters
    ----------
    rules : path-like, dict, or list of dict
        As `label` takes them.
    tz : str or tzinfo
        Zone of days and naive times, unless the rules have one.

    Returns
    -------
    column : str
        Name of the column; ``client`` if the rules name none.
    rules : list of Rule
        At least one, in their order.

    Raises
    ------
    InputError
        The file is missing or is not TOML, or a rule is invalid. The message names the file, the rule and the remedy.

    Examples
    --------
    >>> from histkit.usage.label_rules import read_rules
    >>> column, rules = read_rules({"column": "team", "rule": [{"label": "Ads", "text": "summer sale"}]})
    >>> column, rules[0].label, rules[0].conditions()
    ('team', 'Ads', {'text': 'summer sale'})
    """
    where = rules_name(rules)
    raw = read_toml(rules, "rules") if isinstance(rules, (str, os.PathLike)) else rules
    if not isinstance(raw, Mapping):
        if not isinstance(raw, Iterable) or isinstance(raw, (bytes, pd.DataFrame, pd.Series)):
            raise InputError(f"rules= takes the path of a TOML file, a dict or a list of dicts, not {quoted(raw, 60)}.")
        raw = {"rule": list(raw)}
    for key in raw:
        if key not in ("column", "tz", "rule"):
            raise InputError(
                f"{where}: {quoted(key, 60)} is unknown; there are 'column', 'tz' and, for each rule, '[[rule]]'."
            )
    column = column_name(raw.get("column", COLUMN), f"{where}: column =")
    zone = zone_of(raw.get("tz", tz))
    tables = raw.get("rule", [])
    if not isinstance(tables, (list, tuple)):
        raise InputError(f"{where}: rules are a list; write '[[rule]]' above each, with two brackets.")
    if not tables:
        raise InputError(f"{where}: there is no rule; add at least one '[[rule]]' with a label and a condition.")
    none = to_frame([]).assign(account=pd.Categorical([]))
    parsed = [_rule(table, f"{where}, rule {place}", none, zone) for place, table in enumerate(tables, 1)]
    return column, [replace(rule, own_tz="tz" in raw) for rule in parsed]


def column_name(name: Any, where: str) -> str:
    """Return the name of a new column of labels; refuse those that a history or a usage table has."""
    if not is_text(name):
        raise InputError(f"{where} takes the name of the new column, not {quoted(name, 60)}.")
    if name in KINDS:
        raise InputError(f"{where} {quoted(name)} would replace a column of the history; choose another name.")
    if name in RESERVED:
        raise InputError(
            f"{where} {quoted(name)} is a word that usage tables give a meaning of their own; choose another name."
        )
    return name


def _rule(table: Any, where: str, none: pd.DataFrame, zone: tzinfo) -> Rule:
    if not isinstance(table, Mapping):
        raise InputError(f"{where} must be a table with a label and conditions, not {quoted(table, 60)}.")
    name = table.get("label")
    if not is_text(name):
        detail = "" if name is None else f", not {quoted(name, 60)}"
        raise InputError(f"{where} needs a label that is a string, such as label = 'Acme'{detail}.")
    where = f"{where} ({quoted(name, 60)})"
    for key in table:
        if key not in ("label", "regex", "dialogues", "where") and key not in CONDITION_COLUMNS:
            raise InputError(
                f"{where}: {quoted(key, 60)} is not a condition; the conditions are {_CONDITIONS}; other columns are "
                f"conditions in where = {{ column = 'value' }}."
            )
    if not set(table) - {"label", "regex", "dialogues"}:
        raise InputError(f"{where} has no condition; add at least one of {_CONDITIONS}.")
    regex = table.get("regex", True)
    if not isinstance(regex, bool) or (not regex and not isinstance(table.get("text"), str)):
        raise InputError(f"{where}: regex = {quoted(regex)} must be true or false, beside a text.")
    if "dialogues" in table and "voice" not in table:
        raise InputError(
            f"{where}: dialogues = says which dialogues belong to the voices in voice =, which is missing."
        )
    values = {key: _checked(key, value, where) for key, value in table.items() if key != "regex"}
    if not regex:
        values["text"] = re.compile(re.escape(values["text"]), re.IGNORECASE)
    rule = Rule(**values, tz=zone)
    none = none.assign(**{column: pd.Categorical([]) for column, _ in rule.where if column not in none.columns})
    try:
        rule.apply(none)  # on no rows: filter_items decides which conditions are valid
    except (InputError, RecursionError, OverflowError) as error:
        raise InputError(f"{where}: {error_line(error, 300)}") from None
    return rule


def _checked(key: str, value: Any, where: str) -> Any:
    """Return a condition as a rule holds it; refuse values that `filter_items` would interpret differently."""
    if key in NAME_CONDITIONS:
        values = (value,) if isinstance(value, str) else value
        if not isinstance(values, (list, tuple)) or not values or not all(isinstance(name, str) for name in values):
            raise InputError(f"{where}: {key} must be a string or a list of strings, not {quoted(value, 60)}.")
        return tuple(values)
    if key == "dialogues":
        return _checked_share(value, where)
    if key == "where":
        return _checked_where(value, where)
    if value is None or (key == "text" and isinstance(getattr(value, "pattern", None), bytes)):
        raise InputError(
            f"{where}: {key} = {quoted(value, 60)} is not a condition; use a non-empty string or leave it out."
        )
    return value


def _checked_share(value: Any, where: str) -> str | Fraction:
    if value in ("any", "most") and isinstance(value, str):
        return value
    try:
        if isinstance(value, (int, float, Decimal, Fraction)) and not isinstance(value, bool):
            share = Fraction(str(value))  # 0.1 is a tenth
            if 0 < share <= 1:
                return share
    except ValueError:
        pass
    raise InputError(
        f"{where}: dialogues = {quoted(value, 60)} is not a share of a dialogue; use 'any', 'most', or a number above "
        f"0 and up to 1, such as 0.3."
    )


def _checked_where(value: Any, where: str) -> tuple[tuple[str, tuple[Value, ...]], ...]:
    if not isinstance(value, Mapping) or not value:
        raise InputError(
            f"{where}: where takes columns and their values, such as where = {{ app = ['web', 'mobile'] }}."
        )
    conditions = []
    for column, values in value.items():
        if not is_text(column):
            raise InputError(f"{where}: where: {quoted(column, 60)} is not the name of a column.")
        values = values if isinstance(values, (list, tuple)) else (values,)
        if not values or not all(isinstance(item, (str, int)) for item in values):
            raise InputError(
                f"{where}: where: {quoted(column, 60)} takes a text, a whole number, true or false, or a list of "
                f"these, not {quoted(value[column], 60)}."
            )
        conditions.append((column, tuple(values)))
    return tuple(conditions)


def rules_fingerprint(rules: Sequence[Rule], unassigned: str = UNASSIGNED) -> str:
    """Return the BLAKE2b hash (8 bytes, in hex) of rules: equal for equal rules in the same order.

    Examples
    --------
    >>> first, second = (read_rules([{"label": "Acme", "voice": voice}])[1] for voice in ("Rachel", ["Rachel"]))
    >>> rules_fingerprint(first) == rules_fingerprint(second)
    True
    """
    lines = [unassigned]
    for rule in rules:
        parts = {**rule.conditions(), "label": rule.label}
        if isinstance(rule.text, re.Pattern):
            parts["text"] = [rule.text.pattern, int(rule.text.flags)]
        if {"after", "before"} & set(parts):
            parts["tz"] = name_of(rule.tz)
        lines.append(json.dumps(parts, sort_keys=True, default=str))
    return hashlib.blake2b("\n".join(lines).encode("utf-8", "backslashreplace"), digest_size=8).hexdigest()
