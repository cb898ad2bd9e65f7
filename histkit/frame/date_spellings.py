"""Suggestions for a text or number that is not a date: the ISO spellings of what it could mean.

Only for messages; nothing here decides what an argument means.
"""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from typing import Any

_MONTHS = (
    *("january", "february", "march", "april", "may", "june"),
    *("july", "august", "september", "october", "november", "december"),
)
_OTHER_NAMES = {  # of months, in German, French, Spanish and Italian, where they are not close to the English ones
    **{"jänner": 1, "janvier": 1, "enero": 1, "gennaio": 1, "février": 2, "fevrier": 2, "febrero": 2, "febbraio": 2},
    **{"märz": 3, "maerz": 3, "mars": 3, "marzo": 3, "avril": 4, "abril": 4, "aprile": 4},
    **{"mai": 5, "mayo": 5, "maggio": 5, "juin": 6, "junio": 6, "giugno": 6, "juillet": 7, "julio": 7, "luglio": 7},
    **{"août": 8, "aout": 8, "agosto": 8, "settembre": 9, "okt": 10, "ottobre": 10},
    **{"dez": 12, "décembre": 12, "diciembre": 12, "dicembre": 12},
}
_WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_WORDS = (
    *("today", "yesterday"),
    *(f"{word} {unit}" for word in ("this", "last") for unit in ("week", "month", "quarter", "year")),
)
_SYNONYMS = {"previous": "last", "past": "last", "prior": "last", "current": "this"}
_LONGEST = 60  # characters of a text that could be a date
_UNITS = {1: 0, 1_000: 3, 1_000_000: 6, 1_000_000_000: 9}  # seconds to nanoseconds, and their extra digits
_DIGITS = re.compile(r"(\d{4})(\d{2})(?:(\d{2})(?:[t ]?(\d{2})(\d{2})(\d{2})?z?)?)?")
_PARTS = re.compile(r"(\d{1,4})\s*[-/.,\s]\s*(\d{1,4})(?:\s*[-/.,\s]\s*(\d{1,4}))?(?![\d/])(.*)")
_CLOCK = re.compile(r"\b\d{1,2}:\d{2}(?::\d{2})?(?:\s*[ap]\.?m\b)?(?:\s*(?:z\b|utc\b|gmt\b|[+-]\d{2}:?\d{2}\b))?")
_QUARTER = re.compile(r"(?:(\d{4})\W?)?(?:q([1-4])|([1-4])q)(?:\W?(\d{4}))?")
_WEEK = re.compile(r"(?:(\d{4})\W?)?(?:week|w|cw|kw)\W?(\d{1,2})(?:\W+(\d{4}))?")
_AGO = re.compile(r"(?:the )?(?:last |past |-)?(\d{1,4}|an?|one)? ?([a-z]+)(?: ago)?")
_AGO_UNITS = {
    **dict.fromkeys(("d", "day", "days"), "d"),
    **dict.fromkeys(("w", "wk", "wks", "week", "weeks"), "w"),
    **dict.fromkeys(("m", "mo", "mon", "mth", "month", "months"), "month"),
    **dict.fromkeys(("q", "quarter", "quarters"), "quarter"),
    **dict.fromkeys(("y", "yr", "yrs", "year", "years"), "year"),
    **dict.fromkeys(("h", "hr", "hrs", "hour", "hours"), "hour"),
    **dict.fromkeys(("min", "mins", "minute", "minutes"), "minute"),
}
_TIME_OF_DAY = re.compile(
    r"[t,\s]*(?P<hour>\d{1,2})(?:[:h.]?(?P<minute>\d{2}))?(?P<second>:\d{2})?(?:[.,]\d*)?"
    r"\s*(?:(?P<half>[ap])\.?m\b\.?)?\s*(?P<zone>z|utc|gmt)?(?P<offset>[+-]\d{2}(?::?\d{2})?)?"
)


def suggest_spellings(value: Any, now: datetime, is_date: Callable[[str], bool]) -> list[str]:
    """Return up to three spellings of what a refused date could mean, for a message.

    Parameters
    ----------
    value : Any
        The refused argument.
    now : datetime
        The current time in the zone of the dates.
    is_date : callable
        Whether a text is an accepted date.

    Examples
    --------
    >>> now = datetime(2026, 11, 26, tzinfo=UTC)
    >>> suggest_spellings("October", now, lambda text: text.startswith("20"))
    ['2026-10']
    >>> suggest_spellings(20261001, now, lambda text: text.startswith("2026-"))
    ["'2026-10-01'"]
    """
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    try:
        text = str(int(value)) if number else value
    except (ValueError, OverflowError):  # not finite, or an int of too many digits
        return []
    if not isinstance(text, str) or len(text) > _LONGEST:
        return []
    plain = _plain(text)
    candidates = [spelling for spelling in dict.fromkeys(_candidates(plain, now)) if is_date(spelling)][:3]
    candidates = candidates or difflib.get_close_matches(plain, _WORDS, n=1, cutoff=0.75)
    if not candidates:
        corrected = re.sub(r"[^\W\d_]{3,}", _nearest_month, plain)
        candidates = [spelling for spelling in _from_month_name(corrected, now.date()) if is_date(spelling)]
    if number:
        return [spelling if spelling.isdecimal() and len(spelling) == 10 else repr(spelling) for spelling in candidates]
    if len(candidates) > 1 and all(re.fullmatch(r"\d{4}-\d{2}-\d{2}", spelling) for spelling in candidates):
        return [f"{spelling} ({_day_name(spelling, candidates)})" for spelling in candidates]
    return [repr(spelling) if " " in spelling else spelling for spelling in candidates]


def _nearest_month(word: re.Match[str]) -> str:
    return next(iter(difflib.get_close_matches(word[0], _MONTHS, n=1, cutoff=0.75)), word[0])


def _plain(text: str) -> str:
    """Return a text in lower case with ASCII digits, dashes and blanks."""
    text = "".join(str(unicodedata.digit(char, char)) for char in unicodedata.normalize("NFKC", text))
    text = "".join("-" if unicodedata.category(char) == "Pd" or char == "\u2212" else char for char in text)
    return " ".join(text.strip().strip("'\"").casefold().split())


def _day_name(spelling: str, others: Iterable[str]) -> str:
    day = date.fromisoformat(spelling)
    years = len({other[:4] for other in others}) > 1
    return f"{day.day} {_MONTHS[day.month - 1].capitalize()}" + (f" {day.year}" if years else "")


def _candidates(text: str, now: datetime) -> Iterator[str]:
    """Yield spellings, the likeliest first; some are not valid."""
    yield text.upper() if text[:4].isdecimal() else text
    if _is_day(text[:10]) and re.match(r"\W?-*[/.]", text[10:]):  # an interval
        yield text[:10]
        return
    if text.isdecimal() or re.fullmatch(r"\d{8}[t ]?\d{4,6}z?", text):
        yield from _from_digits(text)
        return
    if re.fullmatch(r"\d(?:\.\d+)?e\+?\d{1,2}", text):  # a number as Excel writes it
        yield from _from_digits(str(int(float(text))))
        return
    if re.fullmatch(r"\d{4}-w\d{2}-?[1-7]|\d{4}-\d{3}", text):
        yield from _from_place_in_year(text)
    text = re.sub(r"(?<=\d)[年月](?=\d)", "-", text).rstrip("日年月号號")
    if re.fullmatch(r"\d{9,19}\.\d*", text):
        yield from _from_digits(text.partition(".")[0])
    yield from _from_words(text, now)
    yield from _from_month_name(text, now.date())
    if match := _QUARTER.fullmatch(text):
        yield _latest(match[1] or match[4], f"Q{match[2] or match[3]}", now.date())
    if match := _WEEK.fullmatch(text):
        yield _latest(match[1] or match[3], f"W{int(match[2]):02}", now.date())
    if match := _PARTS.fullmatch(text):
        days = [*_from_parts(match[1], match[2], match[3], now.date())]
        time = _time_of_day(match[4])
        yield from (day + time for day in days)


def _from_digits(text: str) -> Iterator[str]:
    for scale, digits in _UNITS.items():
        if len(text) == 10 + digits and text.isdecimal():
            seconds = int(text) // scale
            yield str(seconds)
            yield f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d}" if scale > 1 else ""
    match = _DIGITS.fullmatch(text)
    if match is not None:
        year, month, day, hour, minute, second = match.groups()
        spelling = "-".join(filter(None, (year, month, day)))
        if hour is not None:
            spelling += f"T{hour}:{minute}" + (f":{second}" if second else "") + ("Z" if text[-1] == "z" else "")
        yield spelling
    if len(text) == 8 and text.isdecimal():
        yield f"{text[4:]}-{text[2:4]}-{text[:2]}"
        yield f"{text[4:]}-{text[:2]}-{text[2:4]}"
    if len(text) == 6:
        yield f"20{text[:2]}-{text[2:4]}-{text[4:]}"
    if len(text) == 4:
        yield text  # a year, as a number


def _from_place_in_year(text: str) -> Iterator[str]:
    """Yield the day of a week and its day, ``2026-w40-1``, or of a day of the year, ``2026-275``."""
    form, number = ("%G-W%V-%u", text.upper()) if "w" in text else ("%Y-%j", text)
    with suppress(ValueError):
        yield f"{datetime.strptime(number, form).replace(tzinfo=UTC):%Y-%m-%d}"


def _from_parts(first: str, second: str, third: str | None, today: date) -> Iterator[str]:
    """Yield the dates that two or three numbers can be: the day before the month, then the month before the day."""
    if third is None:
        if len(first) == 4:
            yield f"{first}-{second:0>2}"
        elif len(second) == 4:
            yield f"{second}-{first:0>2}"
        else:
            for month, day in ((second, first), (first, second)):
                yield _latest(None, f"{month:0>2}-{day:0>2}", today)
        return
    if len(first) == 4:
        orders = [(first, second, third)]
        if int(second) > 12:
            orders.append((first, third, second))
        for year, month, day in orders:
            yield (spelling := _existing(f"{year}-{month:0>2}-{day:0>2}"))
            if _is_day(spelling):
                return
    else:
        year = third if len(third) == 4 else f"20{third:0>2}"
        yield _existing(f"{year}-{second:0>2}-{first:0>2}")
        yield _existing(f"{year}-{first:0>2}-{second:0>2}")
        if len(third) < 4:
            yield f"20{first:0>2}-{second:0>2}-{third:0>2}"


def _existing(spelling: str) -> str:
    """Return a day; the last one of its month instead of one that is too late by up to three, as 30 February."""
    day = int(spelling[8:])
    days = [f"{spelling[:8]}{day - late:02}" for late in range(4)] if 28 < day < 32 else []
    return next(filter(_is_day, days), spelling)


def _is_day(spelling: str) -> bool:
    try:
        date.fromisoformat(spelling)
    except ValueError:
        return False
    return True


def _time_of_day(text: str) -> str:
    """Return a time in ISO 8601, with the offset that was typed; empty if it is none, or has a zone's short name."""
    match = _TIME_OF_DAY.fullmatch(text)
    if match is None or (match["zone"] and match["offset"]):
        return ""
    hour = int(match["hour"])
    if match["half"]:
        hour = hour % 12 + (12 if match["half"] == "p" else 0)
    offset = "Z" if match["zone"] else match["offset"] or ""
    return f"T{hour:02}:{match['minute'] or '00'}{match['second'] or ''}{offset}"


def _from_month_name(text: str, today: date) -> Iterator[str]:
    clock = _CLOCK.search(text)
    time = "" if clock is None else _time_of_day(clock[0])
    tokens = re.findall(r"[^\W\d_]+|\d+", _CLOCK.sub(" ", text))
    months = [
        place
        for place, name in enumerate(_MONTHS, 1)
        if any(_OTHER_NAMES.get(token) == place or (len(token) > 2 and name.startswith(token)) for token in tokens)
    ]
    if len(months) != 1:
        return
    numbers = [token for token in tokens if token.isdecimal()]
    year = next((number for number in numbers if len(number) == 4), None)
    day = next((number for number in numbers if len(number) < 3), None)
    if year is None and len(numbers) > 1 and len(numbers[1]) == 2:
        year = f"20{numbers[1]}"
    short_year = re.search(r"['\u2019](\d{2})$|[a-z][-/ ]?([2-9]\d)$", text) if len(numbers) == 1 else None
    if short_year is None or short_year[2]:
        yield _latest(year, f"{months[0]:02}" + ("" if day is None else f"-{day:0>2}{time}"), today)
    if short_year is not None:  # of October '26, or in Oct-26
        yield f"20{short_year[1] or short_year[2]}-{months[0]:02}"


def _latest(year: str | None, rest: str, today: date) -> str:
    """Return a spelling in its year; without one in the latest year in which it has begun."""
    if year is not None:
        return f"{year}-{rest}"
    begin = {"Q": 3 * int(rest[1]) - 2 if rest[1].isdecimal() else 1}.get(rest[0])
    if rest[0] == "W":
        begun = int(rest[1:]) <= today.isocalendar().week
    elif begin is not None:
        begun = begin <= today.month
    else:
        begun = rest[:5] <= f"{today:%m-%d}"[: len(rest)]
    return f"{today.year - (not begun)}-{rest}"


def _from_words(text: str, now: datetime) -> Iterator[str]:
    """Yield what "tomorrow", "monday", "3 months ago" and the like mean."""
    today = now.date()
    words = [_SYNONYMS.get(word, word) for word in re.split(r"[\s_-]+", text.strip("-_"))]
    yield " ".join(words)
    if text == "now":
        yield f"{now:%Y-%m-%dT%H:%M}"
    if text == "tomorrow":
        yield str(today + timedelta(days=1))
    if words[0] in ("today", "yesterday") and (time := _time_of_day(" ".join(words[1:]))):
        yield f"{today - timedelta(days=words[0] == 'yesterday')}{time}"
    for place, name in enumerate(_WEEKDAYS):
        if len(words[-1]) > 2 and name.startswith(words[-1]) and len(words) <= 2:
            yield str(today - timedelta(days=(today.weekday() - place - 1) % 7 + 1))
    match = _AGO.fullmatch(text)
    unit = None if match is None else _AGO_UNITS.get(match[2])
    if match is None or unit is None or (match[1] is None and "ago" not in text):
        return
    count = int(match[1]) if (match[1] or "").isdecimal() else 1
    if unit in ("d", "w"):
        yield f"{count}{unit}" if count else "today"
    elif unit in ("hour", "minute"):
        yield f"{now - timedelta(**{f'{unit}s': count}):%Y-%m-%dT%H:%M}"
    else:
        yield from _months_ago(today, count * {"month": 1, "quarter": 3, "year": 12}[unit])


def _months_ago(today: date, count: int) -> Iterator[str]:
    year, month = divmod(today.year * 12 + today.month - 1 - count, 12)
    for day in range(today.day, today.day - 4, -1):
        if year > 0 and _is_day(spelling := f"{year:04}-{month + 1:02}-{day:02}"):
            yield spelling
            return
