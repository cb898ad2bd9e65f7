"""The speech history of an ElevenLabs account as a pandas DataFrame.

>>> import histkit as hk
>>> df = hk.sample_history(200)
>>> len(df.speech.filter(model="eleven_multilingual_v2")) <= len(df)
True

``import histkit`` registers ``df.speech``; everything else is imported when it is first used, because requests alone
would add 100 ms to the import of pandas.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

import histkit.accessor  # noqa: F401 - registers df.speech

if TYPE_CHECKING:
    from histkit._charts import plot_hours, plot_quota, plot_takes
    from histkit._costs import cost_table
    from histkit._delete import delete
    from histkit._forecast import forecast, used_share
    from histkit._keepers import keepers
    from histkit._ledger import ledger
    from histkit._picker import pick_takes
    from histkit._report import report
    from histkit._shown import show_usage
    from histkit._statement import statement, statements
    from histkit._takes import takes
    from histkit._waste import waste
    from histkit.archive import load, scan, sync
    from histkit.async_client import AsyncHistoryClient
    from histkit.audio import download_audio, download_zip, play, retry_failed, verify
    from histkit.client import HistoryClient
    from histkit.errors import (
        ApiError,
        ArchiveError,
        AuthenticationError,
        BadRequestError,
        DownloadError,
        HistkitError,
        InputError,
        NotFoundError,
        PaginationError,
        PermissionDeniedError,
        RateLimitError,
        SchemaError,
        ServerError,
        TransportError,
        UnprocessableEntityError,
    )
    from histkit.exports import read_csv, read_parquet, to_csv, to_parquet, to_xlsx
    from histkit.filters import filter_items
    from histkit.labels import label
    from histkit.official import official_usage, reconcile
    from histkit.plotting import plot_share, plot_usage
    from histkit.prices import add_cost, read_prices
    from histkit.reader import read_history
    from histkit.sandbox.sample import sample_history
    from histkit.schema import COLUMNS
    from histkit.usage import speakers, usage_table
    from histkit.widgets import explore

__version__ = "0.1.0"

_ROOMS = {
    "archive": ("load", "scan", "sync"),
    "exports": ("read_csv", "read_parquet", "to_csv", "to_parquet", "to_xlsx"),
    "audio": ("download_audio", "download_zip", "play", "retry_failed", "verify"),
    "async_client": ("AsyncHistoryClient",),
    "client": ("HistoryClient",),
    "errors": (
        "ApiError",
        "ArchiveError",
        "AuthenticationError",
        "BadRequestError",
        "DownloadError",
        "HistkitError",
        "InputError",
        "NotFoundError",
        "PaginationError",
        "PermissionDeniedError",
        "RateLimitError",
        "SchemaError",
        "ServerError",
        "TransportError",
        "UnprocessableEntityError",
    ),
    "filters": ("filter_items",),
    "labels": ("label",),
    "plotting": ("plot_share", "plot_usage"),
    "prices": ("add_cost", "read_prices"),
    "reader": ("read_history",),
    "sandbox.sample": ("sample_history",),
    "schema": ("COLUMNS",),
    "_charts": ("plot_hours", "plot_quota", "plot_takes"),
    "_costs": ("cost_table",),
    "_delete": ("delete",),
    "_forecast": ("forecast", "used_share"),
    "_ledger": ("ledger",),
    "_picker": ("pick_takes",),
    "_report": ("report",),
    "_shown": ("show_usage",),
    "_statement": ("statement", "statements"),
    "_keepers": ("keepers",),
    "_takes": ("takes",),
    "_waste": ("waste",),
    "official": ("official_usage", "reconcile"),
    "usage": ("speakers", "usage_table"),
    "widgets": ("explore",),
}
_HOMES = {name: room for room, names in _ROOMS.items() for name in names}

__all__ = [
    "COLUMNS",
    "ApiError",
    "ArchiveError",
    "AsyncHistoryClient",
    "AuthenticationError",
    "BadRequestError",
    "DownloadError",
    "HistkitError",
    "HistoryClient",
    "InputError",
    "NotFoundError",
    "PaginationError",
    "PermissionDeniedError",
    "RateLimitError",
    "SchemaError",
    "ServerError",
    "TransportError",
    "UnprocessableEntityError",
    "add_cost",
    "cost_table",
    "delete",
    "download_audio",
    "download_zip",
    "explore",
    "filter_items",
    "forecast",
    "keepers",
    "label",
    "ledger",
    "load",
    "official_usage",
    "pick_takes",
    "play",
    "plot_hours",
    "plot_quota",
    "plot_share",
    "plot_takes",
    "plot_usage",
    "read_csv",
    "read_history",
    "read_parquet",
    "read_prices",
    "reconcile",
    "report",
    "retry_failed",
    "sample_history",
    "scan",
    "show_usage",
    "speakers",
    "statement",
    "statements",
    "sync",
    "takes",
    "to_csv",
    "to_parquet",
    "to_xlsx",
    "usage_table",
    "used_share",
    "verify",
    "waste",
]


def __getattr__(name: str) -> Any:
    room = _HOMES.get(name)
    if room is None:
        raise AttributeError(f"module 'histkit' has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(f"histkit.{room}"), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
