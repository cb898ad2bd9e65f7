"""The API's history rows, built one by one from the columns of a history."""

from typing import Any

import msgspec
import numpy as np
from msgspec import UNSET, Raw, Struct, UnsetType

from histkit.sandbox import catalog, texts
from histkit.sandbox.alignments import alignments
from histkit.sandbox.columns import CHANGED, DIALOGUE, Columns, columns
from histkit.sandbox.timeline import DAY, END
from histkit.util.arrays import Mask

_OUTPUT_FORMAT_SINCE = 1773705600  # 2026-03-17, when the API got the field
_AVATAR_SINCE = 1774915200  # 2026-03-31
_FEEDBACK: dict[str, str | bool] = {
    "thumbs_up": False,
    "feedback": "The name is mispronounced.",
    "emotions": False,
    "inaccurate_clone": False,
    "glitches": True,
    "audio_quality": False,
    "other": False,
    "review_status": "not_reviewed",
}


class Item(Struct, kw_only=True):
    """One history item as the API gives it; an unset field is absent from the JSON."""

    history_item_id: str
    request_id: str | UnsetType | None = UNSET
    voice_id: str | UnsetType | None = UNSET
    model_id: str | UnsetType | None = UNSET
    voice_name: str | UnsetType | None = UNSET
    voice_category: str | UnsetType | None = UNSET
    text: str | UnsetType | None = UNSET
    date_unix: int
    character_count_change_from: int
    character_count_change_to: int
    content_type: str
    state: str | None
    settings: dict[str, float | bool] | UnsetType | None = UNSET
    feedback: dict[str, str | bool] | UnsetType | None = UNSET
    share_link_id: str | UnsetType | None = UNSET
    source: str | UnsetType | None = UNSET
    alignments: Raw | UnsetType | None = UNSET
    dialogue: list[dict[str, str]] | UnsetType | None = UNSET
    output_format: str | UnsetType | None = UNSET
    avatar_context: dict[str, str] | UnsetType | None = UNSET
    delivery: dict[str, str] | UnsetType = UNSET


class Rows:
    """The rows of a history, oldest first, built on demand.

    Parameters
    ----------
    data
        The columns.
    aligned
        Whether rows of plain speech carry their alignments.
    """

    def __init__(self, data: Columns, aligned: bool) -> None:
        self.data = data
        self.aligned = aligned
        self.rename = data.end - data.days * DAY // 2
        self.no_source = data.end - 600 * DAY
        self.no_model = data.end - 660 * DAY
        self.no_speed = data.end - 560 * DAY

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.data)

    def name(self, voice: int, date: int) -> str:
        """Return the name of a voice at a date."""
        speaker = catalog.VOICES[voice]
        return speaker.later_name if speaker.later_name and date >= self.rename else speaker.name

    def sentences(self, k: int) -> list[str]:
        """Return the sentences of row `k`."""
        pool = texts.POOLS[self.data.pool[k]]
        return [pool[part] for part in self.data.parts[k, : self.data.count[k]].tolist()]

    def text(self, k: int) -> str:
        """Return the text of row `k`; the lines of a dialogue are joined by newlines."""
        if (special := int(self.data.special[k])) >= 0:
            return texts.SPECIALS[special]
        if self.data.kind[k] == DIALOGUE:
            return "\n".join(self.sentences(k))
        prefix: str = texts.PREFIXES[self.data.prefix[k]]
        return prefix + texts.GAPS[self.data.pool[k]].join(self.sentences(k))

    def settings(self, voice: int, bits: int, old: bool) -> dict[str, float | bool]:
        """Return the voice settings: those of the voice, sometimes adjusted for the row."""
        stability, similarity, style, boost, speed = catalog.VOICES[voice].settings
        if bits % 7 == 0:
            stability, speed = (bits >> 8) % 21 / 20, 0.8 + (bits >> 16) % 9 / 20
        settings: dict[str, float | bool] = {
            "stability": stability,
            "similarity_boost": similarity,
            "style": style,
            "use_speaker_boost": boost,
        }
        if not old:
            settings["speed"] = round(speed, 2)
        return settings

    def dialogue(self, k: int, bits: int, date: int) -> list[dict[str, str]]:
        """Return the lines of a dialogue, spoken by two to four voices in turn."""
        first = int(self.data.voice[k])
        speakers = [first, *((first + step) % 12 for step in (1, 3, 4))][: 2 + bits % 3]
        return [
            {"text": line, "voice_id": catalog.VOICES[who].voice_id, "voice_name": self.name(who, date)}
            for line, who in zip(self.sentences(k), speakers * 3, strict=False)
        ]

    def item(self, k: int) -> Item:
        """Return row `k`, counted from the oldest one."""
        data = self.data
        bits, date, voice, kind = int(data.bits[k]), int(data.date[k]), int(data.voice[k]), int(data.kind[k])
        speaker, (output_format, content_type) = catalog.VOICES[voice], catalog.FORMATS[data.form[k]]
        item = Item(
            history_item_id=data.ids[k].decode(),
            request_id=data.requests[k].decode(),
            voice_id=speaker.voice_id,
            model_id=catalog.MODELS[data.model[k]].model_id,
            voice_name=self.name(voice, date),
            voice_category=speaker.category,
            text=None,
            date_unix=date,
            character_count_change_from=int(data.start[k]),
            character_count_change_to=int(data.stop[k]),
            content_type=content_type,
            state="created",
            settings=self.settings(voice, bits, date < self.no_speed),
            feedback=dict(_FEEDBACK) if bits % 97 == 0 else None,
            share_link_id=f"share_{bits:016x}" if bits % 211 == 0 else None,
            source=catalog.SOURCES[data.source[k]],
            alignments=None,
            dialogue=None,
            output_format=output_format,
        )
        if kind == DIALOGUE:
            item.dialogue = self.dialogue(k, bits, date)
            item.text = item.voice_id = item.voice_name = "" if bits % 2 else None
            item.voice_category = None
        elif kind != CHANGED or bits % 2:
            item.text = self.text(k)
            if self.aligned:
                item.alignments = Raw(alignments(item.text, bits % 4))
        self._age(item, bits)
        return item

    def _age(self, item: Item, bits: int) -> None:
        """Remove fields that the API did not have at the row's date, and add those that only newer rows have."""
        date = item.date_unix
        if date < _OUTPUT_FORMAT_SINCE:
            item.output_format = UNSET
        if date < self.no_source:
            item.source = UNSET
        if date < self.no_model:
            item.model_id = UNSET
        if date < self.no_speed and bits % 5 == 0:
            item.feedback = item.share_link_id = UNSET
        if date >= _AVATAR_SINCE:
            item.avatar_context = {"avatar_id": f"av_{bits % 9973:04d}", "scene": "desk"} if bits % 307 == 1 else None
            if bits % 149 == 2:
                item.delivery = {"channel": "web" if bits & 64 else "api"}


def check_size(items: Any, seed: Any, name: str = "items") -> tuple[int, int]:
    """Return the size and the seed of a history as ints.

    Raises
    ------
    InputError
        The size is not from 1 to 1,000,000; the seed is not an integer of at most 64 bits.
    """
    from histkit.util.arguments import whole_number  # it loads pandas, which the server does without

    return whole_number(name, items, 1, 1_000_000), whole_number("seed", seed, -(2**63), 2**63 - 1)


def rows(items: int, seed: int, *, aligned: bool = False, end: int = END) -> Rows:
    """Return the rows of the history that belongs to a size and a seed."""
    return Rows(columns(items, seed, end), aligned)


def history(items: int = 1000, seed: int = 0, *, alignments: bool = False, now: int | None = None) -> list[Item]:
    """Return a realistic speech history, newest row first.

    Parameters
    ----------
    items : int, default 1000
        Number of rows, 1 to 1,000,000.
    seed : int, default 0
        The same `items` and `seed` give the same rows on every machine.
    alignments : bool, default False
        Whether rows have alignments.
    now : int, optional
        End of the history in seconds since 1970; default: 2026-10-31T20:00:00Z, never the current time.

    Returns
    -------
    list of Item
        The rows as ``msgspec`` structs.

    Raises
    ------
    InputError
        An argument is invalid.

    Examples
    --------
    >>> newest, *older = history(items=50)
    >>> newest.state, newest.date_unix <= 1793476800, len(older)
    ('created', True, 49)
    """
    items, seed = check_size(items, seed)
    made = rows(items, seed, aligned=alignments, end=END if now is None else now)
    return [made.item(k) for k in range(len(made) - 1, -1, -1)]


def page_bytes(items: list[Item]) -> bytes:
    """Return the items as one page of ``GET /v1/history`` that has no page after it.

    Examples
    --------
    >>> page_bytes([])
    b'{"history":[],"last_history_item_id":null,"has_more":false,"scanned_until":null}'
    """
    last, scanned = (items[-1].history_item_id, items[-1].date_unix) if items else (None, None)
    return page([msgspec.json.encode(item) for item in items], last, False, scanned)


def page(encoded: list[bytes], last: str | None, more: bool, scanned: int | None) -> bytes:
    """Return one page of rows that are already encoded as JSON."""
    tail: dict[str, Any] = {"last_history_item_id": last, "has_more": more, "scanned_until": scanned}
    return b'{"history":[' + b",".join(encoded) + b"]," + msgspec.json.encode(tail)[1:]


def searched(made: Rows, term: str) -> Mask:
    """Return a mask of the rows whose text contains the term, in any letter case."""
    folded = term.casefold()
    hidden: Mask = (made.data.kind == CHANGED) & (made.data.bits % np.uint64(2) == 0)
    matches = (folded in made.text(k).casefold() for k in range(len(made)))
    mask: Mask = np.fromiter(matches, dtype=np.bool_, count=len(made))
    return mask & ~hidden
