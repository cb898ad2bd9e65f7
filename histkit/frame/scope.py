"""The scope of a frame: whether its rows are a whole history, and what selected them if they are a part."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import tzinfo
from typing import Any

import numpy as np
import pandas as pd

from histkit.frame.provenance import CONTIGUOUS, rows_recorded, selections_of
from histkit.util.text import one_line_text, quoted, shorten

_CHAINED = 0.95  # share of the rows that start at the counter before them, from which on little is left out in between
_MOST_NAMES, _NAME_CHARACTERS = 3, 60


@dataclass(frozen=True)
class Scope:
    """What part of a history the rows of a frame are.

    Attributes
    ----------
    part : str
        What selected them, for a reader; empty if nothing is known to have.
    gaps : bool or None
        Whether rows of the history between them are left out, so that the credit counter shows credits of these rows
        as spent elsewhere. None: not known.
    filtered : str
        Which conditions left out rows between them, for a reader; empty if none did.
    """

    part: str
    gaps: bool | None
    filtered: str = ""

    def counters_tell(self, chained: float | None) -> bool:
        """Return whether unseen credits can be a headline: the rows have no gaps.

        If that is not known, and nothing says that they are a part, hardly any gap is enough.

        Parameters
        ----------
        chained : float or None
            Share of the rows that start at the counter before them, as in the facts of the ledger.
        """
        if self.gaps is not None or self.part:
            return self.gaps is False
        return chained is not None and chained >= _CHAINED


def scope_of(frame: pd.DataFrame, zone: tzinfo) -> Scope:
    """Return the scope of a frame, from the facts in its attrs and from its index.

    Parameters
    ----------
    frame : pandas.DataFrame
        A history, or any part of one.
    zone : tzinfo
        The zone in which dates are shown.
    """
    steps, rows = selections_of(frame), rows_recorded(frame)
    parts = [part for step in steps for part in _described(step, zone)]
    gaps: bool | None = None if rows is None else bool({name for step in steps for name in step} - CONTIGUOUS)
    if rows is not None and len(frame) < rows:
        parts.append(f"{len(frame):,} of {rows:,} rows that were read")
        gaps = gaps or has_index_gaps(frame, rows)
    elif rows is not None and len(frame) > rows:  # rows were added, from elsewhere
        gaps = gaps or None
    history = frame.attrs.get("histkit")
    if isinstance(history, Mapping) and history.get("complete") is False:
        parts.append("not read to its end")
    dividing = ({name: value for name, value in step.items() if name not in CONTIGUOUS} for step in steps)
    return Scope(", ".join(parts), gaps, ", ".join(part for step in dividing for part in _described(step, zone)))


def has_index_gaps(frame: pd.DataFrame, rows: int) -> bool | None:
    """Return whether rows between those of the frame are missing, by the index of the frame that it was cut from.

    None: the index doesn't tell, because it may have been made anew.
    """
    index = frame.index
    if not (pd.api.types.is_integer_dtype(index.dtype) and index.is_unique and len(index)):
        return None
    first, last = int(index.min()), int(index.max())
    if first < 0 or last >= rows:
        return None
    if last - first + 1 > len(index):
        return True
    return None if first == 0 else not np.array_equal(np.sort(index.to_numpy()), np.arange(first, last + 1))


def _described(step: Mapping[str, Any], zone: tzinfo) -> Iterator[str]:
    """Yield the conditions of one step for a reader."""
    for name, value in step.items():
        if name in ("after", "before"):
            yield f"{'from' if name == 'after' else 'before'} {_moment(value, zone)}"
        elif name == "limit":
            yield f"the newest {value:,} rows" if isinstance(value, int) else "the newest rows"
        elif name in ("text", "search"):
            yield f"{'text matching' if name == 'text' else 'search for'} {quoted(value, _NAME_CHARACTERS)}"
        else:
            names = [value] if isinstance(value, str) or not isinstance(value, (list, tuple)) else [*value]
            shown = [shorten(one_line_text(str(each)), _NAME_CHARACTERS) for each in names[:_MOST_NAMES]]
            more = f" or {len(names) - _MOST_NAMES:,} more" if len(names) > _MOST_NAMES else ""
            yield f"{name} {' or '.join(shown)}{more}"


def _moment(value: Any, zone: tzinfo) -> str:
    try:
        moment = pd.Timestamp(value).tz_convert(zone)
        return f"{moment:%Y-%m-%d}" if moment == moment.normalize() else f"{moment:%Y-%m-%d %H:%M}"
    except (TypeError, ValueError, OverflowError):
        return quoted(value, _NAME_CHARACTERS)
