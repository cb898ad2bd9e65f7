"""`read_history`: the history, or a part of it, as a DataFrame.

The query plan sends the filters that the service supports, and applies the others here, page by page. The result is the
same as filtering the complete history.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, tzinfo
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from histkit.api.client import HistoryClient, borrowed_client
from histkit.api.pagination import PageWindow
from histkit.errors import ApiError, HistkitError, InputError, PaginationError
from histkit.fetch.windows import WindowedFetch, WindowRows, rows_of
from histkit.frame.clock import zone_of
from histkit.frame.dates import date_range
from histkit.frame.decode import Page, PageDecoder
from histkit.frame.filters import RowFilter
from histkit.frame.names import KnownNames, UnmatchedNameWarning, has_suggestion, looks_like_id
from histkit.frame.provenance import record_selection
from histkit.frame.schema import to_frame
from histkit.util.arguments import true_or_false, whole_number
from histkit.util.progress import progress_bar
from histkit.util.text import quoted

if TYPE_CHECKING:
    import pandas as pd

PAGE_SIZE = 1000
_SERVER_SOURCES = {"tts": "TTS", "sts": "STS", "flows": "Flows"}


def read_history(
    *,
    voice: str | Iterable[str] | None = None,
    model: str | Iterable[str] | None = None,
    source: str | Iterable[str] | None = None,
    search: str | None = None,
    after: Any = None,
    before: Any = None,
    limit: int | None = None,
    workers: int | None = None,
    alignments: bool = False,
    progress: bool | None = None,
    client: HistoryClient | None = None,
    tz: str | tzinfo = "UTC",
) -> pd.DataFrame:
    """Read the history from the API, newest first, with no cap.

    Parameters
    ----------
    voice : str or list of str, optional
        Ids or names. A name matches in any letter case, and a modern name by the part before " - ". A dialogue has no
        voice of its own and matches none. A single id is sent to the service; if it has no rows, everything is read,
        since the id may be a name.
    model, source : str or list of str, optional
        Model ids; sources (``TTS``, ``STS``, ``Projects``, ...); in any letter case.
    search : str, optional
        Text search of the service (its rules are not documented). For regular expressions, read first and then use
        ``df.speech.filter(text=...)``.
    after, before : str, date, datetime, Timestamp or int, optional
        Dates, after inclusive and before exclusive, as in `filter_items`.
    limit : int, optional
        Maximum number of rows; the newest are returned.
    workers : int, optional
        Number of windows read concurrently; default: the client's ``max_concurrency`` (4). 1 only follows the cursor.
    alignments : bool
        Include the column ``alignments`` (up to fifty times as large as the rest).
    progress : bool, optional
        Show a progress bar; default: in a notebook and on a terminal.
    client : HistoryClient, optional
        Default: a client with the key and base URL of the environment.
    tz : str or tzinfo, default "UTC"
        Zone of days and naive times in `after` and `before`, an IANA name.

    Returns
    -------
    pandas.DataFrame
        The columns of `histkit.COLUMNS` on a RangeIndex; an empty result has the same columns and dtypes.
        ``attrs["histkit"]``: ``complete``, ``fetched_at`` (ISO, UTC), ``requests``, ``problems`` (rows that violate the
        API's schema, by id; they are kept), ``rows`` and, with conditions, ``selection``: by these two a report says
        that it is on a part of a history. ``sorting`` is there if the service did not sort oldest first, which takes a
        few requests more.

    Raises
    ------
    PaginationError
        The history could not be read to its end; ``.partial`` is the frame of what was read.
    InputError
        An argument is invalid.
    ApiError, TransportError
        The first request failed (see `histkit.errors`).

    Warns
    -----
    UserWarning
        A name matches none of the rows that were read; the line has the names that are close to it.

    Examples
    --------
    >>> import histkit as hk
    >>> from histkit.sandbox import serve
    >>> with serve(items=3000) as sandbox:
    ...     client = hk.HistoryClient(sandbox.api_key, base_url=sandbox.url)
    ...     df = hk.read_history(after="2026-01-01", client=client)
    >>> df.date.is_monotonic_decreasing, df.history_item_id.is_unique
    (True, True)
    """
    plan = make_plan(voice, model, source, search, *date_range(after, before, zone_of(tz)), limit)
    alignments = true_or_false("alignments", alignments)
    if workers is not None:
        workers = whole_number("workers", workers, 1)
    with borrowed_client(client, workers) as client:
        workers = workers or client.transport.limit.ceiling
        while True:
            run = HistoryRead(client, plan, 1 if limit is not None else workers, alignments, progress)
            try:
                frame = run.frame()
                unnamed = plan.without("voice_id").without("model_id")  # an id may be a name, or of another letter case
                if len(frame) or unnamed == plan:
                    run.warn_unmatched(stacklevel=2)
                    return frame
                plan = unnamed
            except ApiError as error:
                weaker = plan.without_refused_filter(error)
                if weaker is None:
                    raise
                plan = weaker


@dataclass(frozen=True)
class QueryPlan:
    """The filters of a query: those that the service applies, and those that are applied here."""

    server: dict[str, str] = field(default_factory=dict)
    local: RowFilter = field(default_factory=RowFilter)
    after: int | None = None
    before: int | None = None
    limit: int | None = None

    @property
    def page_size(self) -> int:
        """Rows to request per page."""
        return PAGE_SIZE if self.limit is None or self.local.conditions() else max(1, min(PAGE_SIZE, self.limit))

    def facts(self, rows: int) -> dict[str, Any]:
        """Return the conditions as plain values by name; the limit only if the number of rows has reached it."""
        facts = replace(self.local, after=self.after, before=self.before).facts()
        if "search" in self.server:
            facts["search"] = self.server["search"]
        return facts | ({"limit": rows} if rows == self.limit else {})

    def without_refused_filter(self, error: ApiError) -> QueryPlan | None:
        """Return the plan that applies a refused filter here; None if the refusal has another cause.

        The API's documentation contradicts itself on whether ``model_id`` or ``search`` needs ``source``.
        """
        if error.status_code not in (400, 422) or "source" in self.server:
            return None
        if "search" in self.server:
            local = replace(self.local, text=re.compile(re.escape(self.server["search"]), re.IGNORECASE))
            return replace(self.without("search"), local=local)
        return self.without("model_id") if "model_id" in self.server else None

    def without(self, name: str) -> QueryPlan:
        """Return the plan without one of the service's filters."""
        return replace(self, server={key: value for key, value in self.server.items() if key != name})


def make_plan(
    voice: str | Iterable[str] | None,
    model: str | Iterable[str] | None,
    source: str | Iterable[str] | None,
    search: str | None,
    after: int | None,
    before: int | None,
    limit: int | None,
) -> QueryPlan:
    """Choose the filters for the service: one voice id, one model, one of three sources, dates, search."""
    if limit is not None:
        limit = whole_number("limit", limit, 0)
    local = RowFilter.of(voice=voice, model=model, source=source)
    if not isinstance(search, (str, type(None))):
        raise InputError(f"search= must be a string, not {quoted(search)}.")
    voices, models, sources = local.voice or (), local.model or (), local.source or ()
    filters = {
        "voice_id": voices[0] if len(voices) == 1 and looks_like_id(voices[0]) else None,
        "model_id": models[0] if len(models) == 1 else None,
        "source": _SERVER_SOURCES.get(sources[0].lower()) if len(sources) == 1 else None,
        "search": search or None,
    }
    server = {name: value for name, value in filters.items() if value is not None}
    return QueryPlan(server, local, after, before, limit)


class HistoryRead:
    """One run of `read_history`: the fetched pages are filtered, kept and turned into a frame."""

    def __init__(
        self, client: HistoryClient, plan: QueryPlan, workers: int, alignments: bool, progress: bool | None
    ) -> None:
        self._plan = plan
        self._alignments = alignments
        self._fetch = WindowedFetch(
            client,
            PageDecoder(alignments=alignments),
            self._keep,
            [PageWindow(plan.after, plan.before, plan.page_size)],
            filters=plan.server,
            workers=workers,
            enough=self._enough,
        )
        self._bar = progress_bar(progress, desc="history", unit=" rows", unit_scale=True)
        self._known = KnownNames()
        self._rows = 0
        self._problems: list[str] = []

    def frame(self) -> pd.DataFrame:
        """Read everything and return the frame."""
        plan = self._plan
        try:
            if plan.limit != 0 and (plan.after is None or plan.after != plan.before):
                self._fetch.run()
        except HistkitError as error:
            if not self._rows and not isinstance(error, PaginationError):
                raise
            stop = f"The history could not be read to its end ({self._rows:,} rows are in .partial): {error}"
            raise PaginationError(stop, partial=self._collect(complete=False)) from error
        finally:
            self._bar.close()
        return self._collect(complete=True)

    def warn_unmatched(self, stacklevel: int) -> None:
        """Warn of names that match none of the rows read; without rows to compare with, nothing is known."""
        names = self._plan.local
        single = self._rows > 0 and names.single_names()
        if not names.has_names() or single or self._enough() or self._known == KnownNames():
            return
        sent = {"voice": "voice_id", "model": "model_id", "source": "source"}
        left = {name: None for name, parameter in sent.items() if parameter in self._plan.server}
        problems = replace(names, **left).unmatched(self._known)
        bounded = self._plan.after is not None or self._plan.before is not None or self._plan.server
        for problem in problems:
            undecided = bounded and not has_suggestion(problem)  # it may be in rows that were not read
            category = UserWarning if undecided else UnmatchedNameWarning
            limits = " Only rows that meet the other conditions were read." if undecided else ""
            warnings.warn(problem + limits, category, stacklevel=stacklevel + 1)

    def _collect(self, *, complete: bool) -> pd.DataFrame:
        frame = to_frame(self._take_rows(), alignments=self._alignments)
        if not frame["date"].is_monotonic_decreasing:
            frame = frame.sort_values("date", ascending=False, kind="stable", ignore_index=True)
        if self._plan.limit is not None:
            frame = frame.head(self._plan.limit)
        frame.attrs["histkit"] = {
            "complete": complete,
            "fetched_at": datetime.now(UTC).isoformat(timespec="seconds"),
            "requests": self._fetch.requests,
            "problems": self._problems,
        }
        if self._fetch.sort_ignored:
            frame.attrs["histkit"]["sorting"] = "the service did not sort oldest first; the history was split by date"
        record_selection(frame, self._plan.facts(len(frame)))
        warn_of_problems(self._problems, stacklevel=5)
        return frame

    def _take_rows(self) -> Iterator[pa.RecordBatch]:
        """Yield the rows, newest first; they and the ids that paging compares are not kept."""
        parts, self._fetch.parts = self._fetch.parts, []
        while parts:
            yield from parts.pop(0).batches

    def _keep(self, part: WindowRows, page: Page, rows: list[int]) -> None:
        self._problems += page.problems
        batch = rows_of(page, rows)
        if self._plan.local.has_names():
            self._remember_names(batch)
        batch = self._plan.local.select(batch)
        if len(batch):
            part.batches.append(batch)
        self._rows += len(batch)
        self._bar.update(len(batch))
        self._bar.set_postfix_str(f"{self._fetch.requests} requests", refresh=False)

    def _remember_names(self, batch: pa.RecordBatch) -> None:
        columns = ("voice_id", "voice_name", "model_id", "source")
        ids, names, models, sources = (set(pc.unique(batch.column(name)).to_pylist()) - {None} for name in columns)
        self._known.voices |= {(value, None) for value in ids} | {(None, value) for value in names}
        self._known.models |= models
        self._known.sources |= sources

    def _enough(self) -> bool:
        return self._plan.limit is not None and self._rows >= self._plan.limit


def warn_of_problems(problems: list[str], stacklevel: int) -> None:
    """Warn of rows that violate the API's schema."""
    if problems:
        warnings.warn(
            f"{len(problems)} rows violate the API's schema and are kept with missing values: "
            f"{'; '.join(problems[:3])}{'; ...' if len(problems) > 3 else ''}",
            stacklevel=stacklevel,
        )
