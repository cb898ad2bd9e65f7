"""Labels: assign rows to clients or projects by rules in a file; the first rule that matches a row applies."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import tzinfo
from itertools import chain
from typing import Any

import numpy as np
import pandas as pd

from histkit.errors import InputError
from histkit.frame.columns import factorize
from histkit.frame.filters import NAME_CONDITIONS, RowFilter, known_names
from histkit.frame.names import did_you_mean, split_problems, warn_unmatched
from histkit.frame.schema import check_frame, require
from histkit.usage.label_rules import (
    COLUMN,
    UNASSIGNED,
    Rule,
    Rules,
    Value,
    column_name,
    read_rules,
    rules_fingerprint,
    rules_name,
    same_value,
)
from histkit.usage.label_zones import FACT, ZonedBound, zone_facts, zoned_bounds
from histkit.util.arrays import Ints
from histkit.util.text import is_text, quoted

RULES_FACT = "rules"


def label(
    frame: pd.DataFrame,
    rules: Rules,
    *,
    column: str | None = None,
    unassigned: str = UNASSIGNED,
    tz: str | tzinfo = "UTC",
) -> pd.DataFrame:
    """Add a column with the label of the first rule that matches each row.

    Parameters
    ----------
    frame : pandas.DataFrame
        A history, or any part of one; needs the columns that the conditions of the rules use.
    rules : path-like, dict, or list of dict
        A TOML file, its content as a dict, or its list of rules: see Notes.
    column : str, optional
        Name of the new column; default is the one in the rules, else ``client``. An existing column is replaced, but
        columns of the history and words of ``usage_table(by=)`` (voice, model, ...) are refused.
    unassigned : str, default "unassigned"
        Label of the rows that no rule matches.
    tz : str or tzinfo, default "UTC"
        Zone of the rules' days and naive times, unless the rules have a ``tz`` of their own. For statements, the same
        as theirs: `histkit.statement` refuses rows that have another label by the days of its own zone.

    Returns
    -------
    pandas.DataFrame
        A new frame with the same index and the column, of dtype category: the categories are the labels in the order of
        the rules, then `unassigned`, also those without rows. ``attrs["histkit"]["labels"]`` has the number of rows of
        each label, ``rules`` a fingerprint of the rules by column; ``label_dates`` is there if labels depend on the
        zone of a date, and has this zone.

    Raises
    ------
    InputError
        The rules are invalid; the message names the rule and the remedy.
    SchemaError
        The frame lacks a column that a rule needs.

    Warns
    -----
    UserWarning
        A rule has a name that matches nothing in the frame, but is close to one that does; the line has both. One more
        line has the names without a close one, which may be of rows to come, or that the frame leaves out.

    Notes
    -----
    An example file. All conditions of a rule must hold; they mean the same as in `histkit.filter_items`::

        column = "client"                  # optional
        tz = "Europe/Berlin"               # optional
        [[rule]]
        label = "Acme"
        voice = ["Rachel", "21m00Tcm4TlvDq8ikWAM"]
        after = 2026-01-01
        [[rule]]
        label = "In house"
        source = "Projects"
        text = '^memo'

    Conditions are ``voice``, ``model``, ``source``, ``speaker``, ``text``, ``after``, ``before``, and ``account``: the
    exact name of an account, or several, in the column ``account``. With ``regex = false``, a rule's ``text`` is
    searched for as it is. Any other column of the frame is a condition by its exact values, such as one that was joined
    from a log::

        where = { app = ["web", "mobile"], project = 42 }

    A dialogue has no voice of its own, so ``voice`` doesn't find it. ``dialogues``, beside ``voice``, says which
    dialogues belong to these voices: ``"any"`` (they speak at least one character), ``"most"`` (more than half of the
    characters), or a number: at least this share of the characters, such as 0.3. The characters are those by which
    usage tables divide a dialogue. A label is that of the whole row, and each row has one: two rules with ``"most"``
    never match the same dialogue; with ``"any"`` the first one does. Equal halves are no one's ``"most"``.

    Days in ``after`` and ``before`` depend on the zone. A date with an offset (``2026-09-01T00:00:00+02:00``) doesn't.

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
    where = rules_name(rules)
    default, parsed = read_rules(rules, tz)
    labelled = assign_labels(frame, parsed, default if column is None else column, unassigned)
    mistyped, absent = unmatched_names(frame, parsed, where)
    warn_unmatched([*mistyped, *absent], stacklevel=2)
    return labelled


def assign_labels(
    frame: pd.DataFrame, rules: Sequence[Rule], column: str = COLUMN, unassigned: str = UNASSIGNED
) -> pd.DataFrame:
    """Add the column of labels as `label` does, by rules that `read_rules` has read; names are not checked.

    Parameters
    ----------
    frame, column, unassigned
        As in `label`.
    rules : sequence of Rule
        In their order.
    """
    column = column_name(column, "column=")
    if not is_text(unassigned):
        raise InputError(f"unassigned={quoted(unassigned, 60)} is not a label; use a non-empty string.")
    labels = list(dict.fromkeys(rule.label for rule in rules))
    if unassigned in labels:
        raise InputError(f"unassigned={quoted(unassigned)} is also the label of a rule; rename one of them.")
    codes = np.full(len(frame), len(labels), np.int64)
    unlabelled = np.arange(len(frame))
    bounds: dict[ZonedBound, Ints] = {}
    for rule in rules:
        require(frame, [name for name, _ in rule.where], f"the rule for {rule.label!r}")  # knows the other columns
        used = frame[[name for name in frame.columns if name in rule.columns()]]  # copying others would cost time
        left = used.iloc[unlabelled].set_axis(unlabelled, axis=0)
        rows = rule.apply(left).index.to_numpy()
        for bound, places in rule.zone_dependent_rows(left).items():
            bounds[bound] = np.union1d(bounds.get(bound, places), unlabelled[places])
        codes[rows] = labels.index(rule.label)
        unlabelled = unlabelled[codes[unlabelled] == len(labels)]
    labels.append(unassigned)
    labelled = frame.assign(**{column: pd.Categorical.from_codes(codes, categories=labels)})
    counts = dict(zip(labels, np.bincount(codes, minlength=len(labels)).tolist(), strict=True))
    history = labelled.attrs.get("histkit")  # pandas made it a deep copy
    facts = {**(history if isinstance(history, Mapping) else {}), "labels": counts}
    dates = facts.pop(FACT, None)
    dates = {name: value for name, value in dates.items() if name != column} if isinstance(dates, Mapping) else {}
    if rules and (zoned := zone_facts(bounds, codes, labels, rules[0].tz, own=rules[0].own_tz)):
        dates[column] = zoned
    known = facts.get(RULES_FACT)
    facts[RULES_FACT] = {**(known if isinstance(known, Mapping) else {}), column: rules_fingerprint(rules, unassigned)}
    labelled.attrs["histkit"] = facts | ({FACT: dates} if dates else {})
    return labelled


def possible_dates(rules: Sequence[Rule], unassigned: str) -> dict[str, Any]:
    """Return the facts on zones that the rules have for any rows: labels that a date could change, for each date."""
    dates: dict[ZonedBound, list[str]] = {}
    for place, rule in enumerate(rules):
        labels = [*(later.label for later in rules[place:]), unassigned]
        for bound in zoned_bounds({"after": rule.after, "before": rule.before}, rule.tz):
            dates[bound] = list(dict.fromkeys([*dates.get(bound, ()), *labels]))
    if not dates:
        return {}
    codes = {label: place for place, label in enumerate(dict.fromkeys(chain(*dates.values())))}
    rows = {bound: np.array([codes[label] for label in labels], np.int64) for bound, labels in dates.items()}
    return zone_facts(rows, np.arange(len(codes)), list(codes), rules[0].tz, own=rules[0].own_tz)


def unmatched_names(
    frame: pd.DataFrame, rules: Sequence[Rule], where: str = "rules", *, whole: pd.DataFrame | None = None
) -> tuple[list[str], list[str]]:
    """Return messages on the names in the rules that match nothing in a frame; without rows nothing is known.

    Parameters
    ----------
    frame : pandas.DataFrame
        A history with the columns of the conditions. Categories that no row has are names that exist.
    rules : sequence of Rule
        As `read_rules` returns them.
    where : str
        Begins each message: the file of the rules.
    whole : pandas.DataFrame, optional
        The history that the frame is a part of: names are looked up there, in the columns that it has.

    Returns
    -------
    mistyped, absent : list of str
        As `histkit.frame.names.split_problems` returns them.

    Examples
    --------
    >>> import histkit as hk
    >>> from histkit.usage.label_rules import read_rules
    >>> from histkit.usage.labels import unmatched_names
    >>> column, rules = read_rules([{"label": "Acme", "voice": ["Rachel", "Rachl"]}])
    >>> unmatched_names(hk.sample_history(500), rules, "clients.toml")
    (["clients.toml: rule 'Acme': voice='Rachl' matches no voice; did you mean 'Rachel'?"], [])
    """
    history = frame if whole is None else whole
    problems = [
        *_name_problems(history, [rule for rule in rules if rule.dialogues is None], "voice"),
        *_name_problems(history, [rule for rule in rules if rule.dialogues is not None], "speaker"),
        *_value_problems(frame, rules, history),
    ]
    return split_problems(((shown, f"rule {quoted(rule, 60)}", problem) for shown, rule, problem in problems), where)


def _name_problems(frame: pd.DataFrame, rules: Sequence[Rule], voices: str) -> Iterator[tuple[str, str, str]]:
    """Yield the names that match nothing: name as shown, label of its first rule, message.

    `voices` is the condition by which the names of voices are known: ``speaker`` includes those in dialogues.
    """
    first_rule: dict[tuple[str, str], str] = {}
    for rule in rules:
        for condition in NAME_CONDITIONS:
            for name in getattr(rule, condition) or ():
                first_rule.setdefault((condition, name), rule.label)
    names: dict[str, Any] = {}
    for condition, name in first_rule:
        read = voices if condition == "voice" else condition
        names[read] = (*names.get(read, ()), name)
    if not names or frame.empty:
        return
    known = known_names(frame, RowFilter(**names), unused=True)
    for (condition, name), of_rule in first_rule.items():
        problem = known.problem(condition, name)
        if problem is not None:
            yield f"{condition}={quoted(name, 60)}", of_rule, problem


def _value_problems(
    frame: pd.DataFrame, rules: Sequence[Rule], history: pd.DataFrame
) -> Iterator[tuple[str, str, str]]:
    """Yield the values of ``where`` that no row has, as `_name_problems` does."""
    first_rule: dict[tuple[str, Value], str] = {}
    for rule in rules:
        for column, values in rule.where:
            for value in values:
                first_rule.setdefault((column, value), rule.label)
    for (column, value), of_rule in first_rule.items():
        rows = history if column in history.columns else frame
        existing = factorize(rows[column])[1]
        if len(rows) and not any(same_value(other, value) for other in existing):
            shown = f"{column}={quoted(value, 60)}"
            yield shown, of_rule, f"{shown} matches no value; {did_you_mean(str(value), map(str, existing), 'value')}"
