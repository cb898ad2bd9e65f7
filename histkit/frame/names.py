"""Names that a user types: compared in any letter case, and close names for those that match nothing."""

from __future__ import annotations

import difflib
import re
import unicodedata
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from histkit.errors import InputError, SchemaError
from histkit.util.text import count_noun, quoted

SOURCES = frozenset(
    {
        *("TTS", "STS", "Projects", "PD", "AN", "Dubbing", "PlayAPI", "ConvAI", "VoiceGeneration", "InVPC"),
        *("Flows", "VoicePreview"),
    }
)  # of the API's documentation, which leaves the list open
_MOST_COMPARED, _LONGEST = 5_000, 100  # names, and their characters: comparing takes quadratic time
_MOST_LISTED = 5
_SUGGESTION = "; did you mean "
_NUMBERS = re.compile(r"\d+")
_CLEARLY_LESS = 0.15  # a name that is less similar than the closest by this much isn't suggested


class UnmatchedNameWarning(UserWarning):
    """A name that was passed matches no row."""


class UnmatchedNameError(InputError):
    """A name that was passed matches nothing, so that there is no result."""


class MissingColumnError(SchemaError):
    """A column that was named, or that is needed, is not in the frame."""


def fold_name(name: str) -> str:
    """Return a name as it is compared: in any letter case and Unicode form, without blanks around it.

    Examples
    --------
    >>> fold_name(" Zoe\u0308 ") == fold_name("ZO\u00cb")
    True
    """
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).strip().casefold())


def voice_keys(name: str) -> tuple[str, str]:
    """Return the folded forms that find a voice: its full name, and the part before " - "."""
    full = fold_name(name)
    return full, full.split(" - ")[0].strip()


def looks_like_id(voice: str) -> bool:
    """Return whether a voice is an id: 20 letters and digits, with at least one digit."""
    return len(voice) == 20 and voice.isascii() and voice.isalnum() and any(map(str.isdigit, voice))


def close_names(name: str, existing: Iterable[str]) -> list[str]:
    """Return at most three existing names that are close to a name, the closest first.

    Examples
    --------
    >>> close_names("Rachl", ["Adam", "Rachel", "Roger - Laid-Back, Casual"])
    ['Rachel']
    >>> close_names("rogr", ["Adam", "Rachel", "Roger - Laid-Back, Casual"])
    ['Roger']
    """
    forms: dict[str, str] = {}
    for other in list(existing)[:_MOST_COMPARED]:
        for form in (other, other.split(" - ")[0].strip()):
            forms.setdefault(fold_name(form)[:_LONGEST], form)
    folded = fold_name(name)[:_LONGEST]
    matches = difflib.get_close_matches(folded, forms, n=3)
    ratios = [difflib.SequenceMatcher(None, match, folded).ratio() for match in matches]
    return [forms[match] for match, ratio in zip(matches, ratios, strict=True) if ratio > ratios[0] - _CLEARLY_LESS]


def did_you_mean(name: str, existing: Iterable[str], kind: str) -> str:
    """Return the end of a message on a name that doesn't exist: close names, else the first few that exist.

    Examples
    --------
    >>> did_you_mean("eleven_v9", ["eleven_v3", "eleven_flash_v2"], "model")
    "did you mean 'eleven_v3'?"
    >>> did_you_mean("x", ["Adam", "Rachel"], "voice")
    "the voices are 'Adam', 'Rachel'."
    """
    names = sorted(set(existing))
    close = close_names(name, names)
    if close:
        return f"did you mean {' or '.join(map(quoted, close))}?"
    if not names:
        return "the rows have none."
    more = f" and {len(names) - _MOST_LISTED} more" if len(names) > _MOST_LISTED else ""
    return f"the {kind}{'s are' if len(names) > 1 else ' is'} {', '.join(map(quoted, names[:_MOST_LISTED]))}{more}."


def has_suggestion(problem: str) -> bool:
    """Return whether a message on a name that doesn't exist suggests a close one.

    Only such a name is surely mistyped where a part of the rows is known: others may be in the rest.

    Examples
    --------
    >>> known = KnownNames(models={"eleven_v3"}, accounts={"studio"})
    >>> has_suggestion(known.problem("model", "eleven_v9")), has_suggestion(known.problem("account", "lab"))
    (True, False)
    """
    return _SUGGESTION in problem


def _is_typo(problem: str) -> bool:
    """Return whether a name differs from one that is suggested in more than its numbers.

    "Narrator 2" and "eleven_v4" are names that are not used yet as likely as "Narrator 1" and "eleven_v3" mistyped.
    """
    typed, _, meant = problem.partition(_SUGGESTION)
    numbers = _NUMBERS.findall(typed)
    return any(_NUMBERS.findall(name) == numbers for name in meant.split(" or "))


@dataclass
class KnownNames:
    """The names that occur in some rows.

    Attributes
    ----------
    voices : set of (id, name)
        Either is None if unknown.
    models, sources, accounts, clients : set of str
        Distinct values.
    """

    voices: set[tuple[str | None, str | None]] = field(default_factory=set)
    models: set[str] = field(default_factory=set)
    sources: set[str] = field(default_factory=set)
    accounts: set[str] = field(default_factory=set)
    clients: set[str] = field(default_factory=set)

    def problem(self, condition: str, name: str) -> str | None:
        """Return the message for a name that matches nothing; None if it matches.

        Parameters
        ----------
        condition : {"voice", "speaker", "model", "source", "account", "client"}
            The argument.
        name : str
            One of its values.
        """
        if condition in ("voice", "speaker"):
            return self._voice_problem(condition, name)
        names: set[str] = getattr(self, f"{condition}s")
        if condition in ("account", "client"):
            matches = name in names
        else:
            matches = fold_name(name) in map(fold_name, (*names, *SOURCES) if condition == "source" else names)
        return None if matches else _problem(condition, condition, name, names)

    def _voice_problem(self, condition: str, name: str) -> str | None:
        ids = {voice_id for voice_id, _ in self.voices if voice_id is not None}
        names = {voice_name for _, voice_name in self.voices if voice_name is not None}
        folded = fold_name(name)
        if name in ids or any(folded in voice_keys(other) for other in names):
            return None
        twins = sorted(other for other in ids if other.casefold() == name.casefold())
        if twins:
            meant = " or ".join(map(quoted, twins[:3]))
            return f"{condition}={quoted(name)} matches no voice; did you mean {meant}? Ids keep their letter case."
        if looks_like_id(name):
            return f"{condition}={quoted(name)} matches no voice; no row has this id."
        return _problem(condition, "voice", name, names)


def _problem(condition: str, kind: str, name: str, names: Iterable[str]) -> str:
    return f"{condition}={quoted(name)} matches no {kind}; {did_you_mean(name, names, kind)}"


def split_problems(problems: Iterable[tuple[str, str, str]], where: str) -> tuple[list[str], list[str]]:
    """Return the messages on the names in a file that match nothing.

    Parameters
    ----------
    problems : iterable of (str, str, str)
        Each name as it is shown (``account='lab'``), where it stands in the file, and its message.
    where : str
        The file; begins each message.

    Returns
    -------
    mistyped : list of str
        A message for each name that is close to one that exists, and not only another number of it.
    absent : list of str
        At most one message, for all other names.

    Examples
    --------
    >>> problem = KnownNames(accounts={"studio"}).problem("account", "lab")
    >>> split_problems([("account='lab'", "price 2", problem)], "prices.toml")
    ([], ["prices.toml: 1 name matches none of the rows: account='lab' (price 2). Check its spelling."])
    """
    mistyped, absent = [], []
    for shown, use, problem in problems:
        _, near, meant = problem.partition(_SUGGESTION)
        if near and _is_typo(problem):
            mistyped.append(f"{where}: {use}: {problem}")
        else:
            absent.append(f"{shown} ({use}{near}{meant})")
    return mistyped, [_absent(absent, where)] if absent else []


def _absent(names: Sequence[str], where: str) -> str:
    match, their = ("matches", "its") if len(names) == 1 else ("match", "their")
    listed = ", ".join(names[:_MOST_LISTED])
    more = f" and {len(names) - _MOST_LISTED:,} more" if len(names) > _MOST_LISTED else ""
    return (
        f"{where}: {count_noun(len(names), 'name')} {match} none of the rows: {listed}{more}. Check {their} spelling."
    )


def warn_unmatched(problems: Iterable[str], stacklevel: int) -> None:
    """Warn of each name that matches nothing; the level is counted from the caller's caller."""
    for problem in problems:
        warnings.warn(problem, UnmatchedNameWarning, stacklevel=stacklevel + 1)
