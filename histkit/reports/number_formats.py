"""Numbers and dates as people of a locale write them, by babel; in the digits 0 to 9, as babel writes its dates."""

from __future__ import annotations

import importlib
import re
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from histkit.errors import InputError
from histkit.frame.names import close_names
from histkit.util.text import NOTHING, FormattedText, ValueKind, format_value, is_missing

_FRACTION = re.compile(r"0(?:\.[0#]*)?(?=[^0#.,]*$)")  # the end of the digits in a pattern such as #,##0.###


@dataclass(frozen=True)
class NumberFormats:
    """The formats of a locale.

    Attributes
    ----------
    name : str
        Such as ``de_DE``.
    """

    name: str

    def value(self, value: Any, kind: ValueKind) -> str:
        """Format a value, as `histkit.util.text.format_value` does without a locale."""
        if is_missing(value):
            return FormattedText(NOTHING)
        if kind == "text" or isinstance(value, FormattedText):
            return format_value(value, kind)
        if kind == "count":
            return self.decimal(Decimal(int(value)), 0)
        if kind == "share":
            if 0 < value < 0.0005:
                return FormattedText("<" + self._share(Decimal("0.001")))
            return self._share(Decimal(repr(float(value))))
        if kind == "money":
            amount = value if isinstance(value, Decimal) else Decimal(str(value))
            return self.decimal(amount, max(0, -int(amount.as_tuple().exponent)))
        if isinstance(value, datetime) and kind == "moment":
            dates = importlib.import_module("babel.dates")
            return FormattedText(dates.format_datetime(value, "medium", locale=self.name))
        return self.date(value) if isinstance(value, date) else format_value(value, kind)

    def decimal(self, value: Decimal, digits: int) -> str:
        """Format a number with a fixed number of decimal places."""
        return self._apply("decimal_formats", value, digits)

    def _share(self, value: Decimal) -> str:
        return self._apply("percent_formats", value, 1)

    def _apply(self, kind: str, value: Decimal, digits: int) -> str:
        numbers = importlib.import_module("babel.numbers")
        locale = _locale(self.name)
        pattern = _FRACTION.sub("0" + ("." + "0" * digits if digits else ""), getattr(locale, kind)[None].pattern)
        group = numbers.get_group_symbol(locale)
        if "'" not in group:
            return FormattedText(numbers.format_decimal(value, pattern, locale))
        text = numbers.format_decimal(value, pattern, "en")  # babel takes apostrophes for quotes
        return FormattedText(text.translate({ord(","): group, ord("."): numbers.get_decimal_symbol(locale)}))

    def date(self, value: date) -> str:
        """Format a day."""
        dates = importlib.import_module("babel.dates")
        return FormattedText(dates.format_date(value, "medium", locale=self.name))


class _PlainFormats(NumberFormats):
    """The formats without a locale: as everywhere else in the package, and days in ISO 8601."""

    def value(self, value: Any, kind: ValueKind) -> str:
        return format_value(value, kind)

    def date(self, value: date) -> str:
        return value.isoformat()


PLAIN = _PlainFormats("")


def _locale(name: str) -> Any:
    return importlib.import_module("babel").Locale.parse(name)


def number_formats(name: Any, shown: str) -> NumberFormats:
    """Return the formats of a locale.

    Parameters
    ----------
    name : str
        Such as ``de_DE`` or ``de-DE``.
    shown : str
        The argument and its value, for messages.

    Raises
    ------
    InputError
        There is no such locale, or babel is not installed.
    """
    if not isinstance(name, str) or not name:
        raise InputError(f"{shown} must be the name of a locale, such as 'de_DE'.")
    try:
        babel = importlib.import_module("babel")
    except ImportError:
        raise InputError(f"{shown} needs babel: pip install 'histkit[locale]'.") from None
    try:
        return NumberFormats(str(babel.Locale.parse(name.replace("-", "_"))))
    except (babel.UnknownLocaleError, ValueError, TypeError):
        existing = importlib.import_module("babel.localedata").locale_identifiers()
        close = close_names(name.replace("-", "_"), existing)[:3]
        hint = f"; did you mean {' or '.join(map(repr, close))}?" if close else "; use a name such as 'de_DE'."
        raise InputError(f"{shown} is not a locale{hint}") from None
