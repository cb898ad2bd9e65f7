"""The faults that a sandbox can inject, and the seeded chance that decides when."""

import math
import threading
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any

from histkit.errors import InputError


class Kind(Enum):
    """The values that a fault takes."""

    RATE = "a float up to 1 (a chance), True (always) or a whole number (the number of requests that fail next)"
    FLAG = "True or False"
    NUMBER = "a number of at least 0"
    WORD = "one of some words"
    NAMES = "a list of names"
    ADDRESS = "a rate, or a URL"
    PAUSE = 'seconds, or "date"'
    STATUS = "an HTTP status from 400 to 599"


@dataclass(frozen=True)
class Fault:
    """One fault: the kind of its value, the default, what it does, and its words if it takes one of a few."""

    kind: Kind
    default: Any
    meaning: str
    words: tuple[str, ...] = ()


FAULTS: dict[str, Fault] = {
    "rate_limit": Fault(Kind.RATE, 0, "429 rate_limit_exceeded"),
    "too_many": Fault(Kind.RATE, 0, "429 too_many_concurrent_requests, the older words"),
    "concurrency": Fault(Kind.NUMBER, None, "429 concurrent_limit_exceeded while more than this many are in flight"),
    "retry_after": Fault(Kind.PAUSE, None, 'Retry-After of 429 and 503: seconds, or "date" for an HTTP date'),
    "error_500": Fault(Kind.RATE, 0, "500 internal_error"),
    "error_503": Fault(Kind.RATE, 0, "503 service_unavailable"),
    "error_408": Fault(Kind.RATE, 0, "408 request_timeout"),
    "error_409": Fault(Kind.RATE, 0, "409 conflict"),
    "reset": Fault(Kind.RATE, 0, "the connection is reset before any byte"),
    "cut_off": Fault(Kind.RATE, 0, "the connection closes in mid-body"),
    "cut_sized": Fault(Kind.RATE, 0, "an audio or zip breaks off, and its Content-Length is that of the part"),
    "cut_unsized": Fault(Kind.RATE, 0, "an audio or zip breaks off, without a Content-Length"),
    "cut_share": Fault(Kind.NUMBER, 0.5, "the part of a body that a cut_ fault or partial leaves, from 0 to 1"),
    "partial": Fault(Kind.RATE, 0, "206 with the first part of an audio or zip and its Content-Range"),
    "no_content": Fault(Kind.RATE, 0, "204 instead of an audio or zip"),
    "empty": Fault(Kind.RATE, 0, "200 with an empty body instead of an audio or zip"),
    "endless": Fault(Kind.RATE, 0, "an audio or zip that never ends"),
    "unsized": Fault(Kind.FLAG, False, "audios and zips without a Content-Length; the connection ends with them"),
    "html": Fault(Kind.RATE, 0, "200 with a web page instead of the answer"),
    "html_403": Fault(Kind.RATE, 0, "403 with a web page"),
    "redirect": Fault(Kind.ADDRESS, 0, "302 to a help page of the sandbox, or to the given URL each time"),
    "truncated_json": Fault(Kind.RATE, 0, "200 with JSON that ends too early"),
    "quota_401": Fault(Kind.RATE, 0, "401 quota_exceeded"),
    "payment_issue": Fault(Kind.RATE, 0, "401 payment_issue"),
    "unusual_activity": Fault(Kind.RATE, 0, "401 detected_unusual_activity"),
    "latency": Fault(Kind.NUMBER, 0.0, "seconds before each answer"),
    "jitter": Fault(Kind.NUMBER, 0.0, "maximum random extra delay in seconds"),
    "audio_delay": Fault(Kind.NUMBER, 0.0, "seconds before each audio or zip"),
    "bandwidth": Fault(Kind.NUMBER, None, "bytes a second for each connection"),
    "repeat_cursor": Fault(Kind.RATE, 0, "a request with a cursor gets the previous page again"),
    "missing_cursor": Fault(Kind.RATE, 0, "last_history_item_id is null although has_more is true"),
    "shuffle": Fault(Kind.RATE, 0, "the rows of a page come out of order"),
    "short_pages": Fault(Kind.RATE, 0, "fewer rows than page_size although more follow"),
    "empty_pages": Fault(Kind.RATE, 0, "an empty page with has_more and a new cursor"),
    "deleted_cursor": Fault(
        Kind.WORD, "continue", "a cursor whose row is gone", ("continue", "error", "empty", "restart")
    ),
    "vanish_cursor": Fault(Kind.RATE, 0, "the last row of a page vanishes after it was sent"),
    "arriving": Fault(Kind.RATE, 0, "a new row arrives before a list request"),
    "vanishing": Fault(Kind.RATE, 0, "a row vanishes before a list request"),
    "ignore_sort": Fault(Kind.FLAG, False, "sort_direction has no effect"),
    "ignore_dates": Fault(Kind.FLAG, False, "date_before_unix and date_after_unix have no effect"),
    "search_needs_source": Fault(Kind.FLAG, False, "search without source is a 422"),
    "model_needs_source": Fault(Kind.FLAG, False, "model_id without source is a 422"),
    "unknown_ids": Fault(Kind.WORD, "error", "unknown ids in a bulk download", ("error", "omit")),
    "drop_fields": Fault(Kind.NAMES, [], "fields that rows do not have"),
    "clip_bytes": Fault(Kind.NUMBER, None, "approximate size of each audio"),
    "wav_sizes": Fault(
        Kind.WORD, "true", "the sizes that a WAV states: its own, or of a stream", ("true", "7fffffff", "ffffffff")
    ),
    "bare_samples": Fault(Kind.FLAG, False, "rows without output_format: bare PCM of 24 kHz under audio/mpeg"),
    "no_stats": Fault(Kind.FLAG, False, "the deprecated route of the account's figures is gone: 404"),
    "no_usage": Fault(Kind.FLAG, False, "the routes of the workspace's usage figures are gone: 404"),
    "money_since": Fault(
        Kind.NUMBER, None, "seconds since 1970: from then on the workspace is billed in money, and no longer in credits"
    ),
    "usage_columns": Fault(
        Kind.WORD,
        "usual",
        "columns of the workspace's usage figures: with other names, in another order, with unknown ones, with a "
        "second one in credits, or without names for ids",
        ("usual", "renamed", "reordered", "new", "two_credits", "bare"),
    ),
    "usage_times": Fault(
        Kind.WORD,
        "ms",
        "times of the usage figures: milliseconds, whole numbers, seconds in place of milliseconds, or texts",
        ("ms", "int_ms", "int_s", "s", "iso", "naive"),
    ),
    "usage_nulls": Fault(Kind.NUMBER, 0.0, "share of the buckets whose usage figures are null"),
    "usage_end": Fault(Kind.FLAG, False, "usage figures also have the bucket that starts at the end of the range"),
    "usage_all": Fault(Kind.FLAG, False, "usage figures have the label All beside its parts"),
    "usage_zone": Fault(Kind.WORD, "applied", "time_zone of the workspace's usage figures", ("applied", "ignored")),
    "error_shape": Fault(Kind.WORD, "current", "shape of error bodies", ("current", "legacy")),
    "zip_collisions": Fault(Kind.WORD, "suffix", "two entries of one name in a zip", ("suffix", "duplicate")),
    "zip_names": Fault(Kind.WORD, "safe", "voice names in a zip's entries, made safe or as they are", ("safe", "raw")),
    "zip_order": Fault(Kind.WORD, "asked", "order of a zip's entries", ("asked", "shuffled")),
    "zip_ahead": Fault(Kind.NUMBER, 0, "seconds by which the clock of a zip's names is ahead of UTC"),
    "zip_times": Fault(
        Kind.WORD, "underscores", "separator in the times of a zip's names", ("underscores", "spaces", "colons")
    ),
    "zip_ids": Fault(Kind.FLAG, False, "a zip's names end with the id, as before 2023-09"),
    "zip_packed": Fault(Kind.FLAG, False, "a zip's entries are compressed"),
    "zip_tagged": Fault(Kind.FLAG, False, "a zip's entries have an ID3 tag that single audios don't"),
    "zip_broken": Fault(Kind.RATE, 0, "a zip has a wrong byte in its middle"),
    "zip_bare": Fault(Kind.RATE, 0, "several ids get the audio of the first instead of a zip"),
    "poisoned": Fault(Kind.NAMES, [], "ids that make a bulk download of several fail"),
    "poison_status": Fault(Kind.STATUS, 500, "HTTP status of that failure"),
    "log_starts": Fault(Kind.WORD, "inclusive", "start_time of the request log", ("inclusive", "exclusive", "ignored")),
    "log_ends": Fault(Kind.WORD, "exclusive", "end_time of the request log", ("exclusive", "inclusive", "ignored")),
    "log_order": Fault(
        Kind.WORD,
        "sorted",
        "order of the request log: as asked, always one, or none within an answer",
        ("sorted", "ascending", "descending", "shuffled"),
    ),
    "log_columns": Fault(
        Kind.WORD,
        "usual",
        "columns of the request log: with other names, in another order, without a request id, differing from answer "
        "to answer, or in a unit that does",
        ("usual", "renamed", "reordered", "bare", "changing", "unit"),
    ),
    "log_times": Fault(
        Kind.WORD, "ms", "times of the request log: numbers, texts, or whole seconds", ("ms", "us", "iso", "s")
    ),
    "log_filters": Fault(Kind.WORD, "applied", "filters of the request log", ("applied", "ignored", "refused")),
    "log_cap": Fault(Kind.NUMBER, None, "maximum of rows in an answer of the request log, whatever limit says"),
    "log_burst": Fault(Kind.NUMBER, 0, "further requests in one millisecond of the request log"),
    "log_blank": Fault(Kind.NUMBER, 0.0, "share of the request log's rows without a time or a request id"),
    "log_repeat": Fault(Kind.RATE, 0, "a request to the request log gets the previous answer again"),
    "log_empty": Fault(Kind.RATE, 0, "an answer of the request log has no rows"),
    "only": Fault(
        Kind.WORD,
        None,
        "the one kind of request that fails",
        ("list", "item", "audio", "download", "delete", "account", "log"),
    ),
}


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _is_amount(value: Any) -> bool:
    return _is_number(value) and 0 <= value < math.inf


def _is_rate(value: Any) -> bool:
    return isinstance(value, bool) or (_is_amount(value) and (isinstance(value, int) or value <= 1))


def _is_name_list(value: Any) -> bool:
    return isinstance(value, (list, tuple)) and all(isinstance(name, str) for name in value)


_FITS: dict[Kind, Callable[[Any], bool]] = {
    Kind.RATE: _is_rate,
    Kind.FLAG: lambda value: isinstance(value, bool),
    Kind.NUMBER: _is_amount,
    Kind.STATUS: lambda value: isinstance(value, int) and 400 <= value <= 599,
    Kind.NAMES: _is_name_list,
    Kind.ADDRESS: lambda value: isinstance(value, str) or _is_rate(value),
    Kind.PAUSE: lambda value: value == "date" or _is_amount(value),
}


def _fits(fault: Fault, value: Any) -> bool:
    """Return whether a fault can have a value; None is its default."""
    return value is None or (value in fault.words if fault.kind is Kind.WORD else _FITS[fault.kind](value))


def check(faults: dict[str, Any]) -> dict[str, Any]:
    """Return checked faults, with defaults for None.

    Raises
    ------
    InputError
        A fault is unknown, or its value is invalid.
    """
    for name, value in faults.items():
        if name not in FAULTS:
            raise InputError(f"unknown fault {name!r}; the sandbox knows {', '.join(sorted(FAULTS))}")
        fault = FAULTS[name]
        if not _fits(fault, value):
            values = f"one of {', '.join(map(repr, fault.words))}" if fault.words else fault.kind.value
            raise InputError(f"{name}={value!r:.60} is not possible ({fault.meaning}); use {values}.")
    return {name: FAULTS[name].default if value is None else value for name, value in faults.items()}


class Faults:
    """The faults that are set now."""

    def __init__(self, seed: int, faults: dict[str, Any]) -> None:
        self.seed = seed
        self._lock = threading.Lock()
        self._set = {name: fault.default for name, fault in FAULTS.items()} | check(faults)

    def set(self, faults: dict[str, Any]) -> None:
        """Change some faults."""
        with self._lock:
            self._set |= check(faults)

    def all(self) -> dict[str, Any]:
        """Return every fault that differs from its default."""
        with self._lock:
            return {name: value for name, value in self._set.items() if value != FAULTS[name].default}

    def __getitem__(self, name: str) -> Any:
        """Return the value of a fault."""
        return self._set[name]

    def strikes(self, name: str, request: int) -> bool:
        """Return whether a fault applies to a numbered request; decrements a counted fault."""
        with self._lock:
            value = self._set[name]
            if isinstance(value, str | bool):
                return bool(value)
            if isinstance(value, int):
                if value > 0:
                    self._set[name] = value - 1
                return value > 0
        from histkit.sandbox.prng import chance  # late: it imports NumPy, and the command line's help names the faults

        return chance(self.seed, f"fault {name}", request) < float(value)
