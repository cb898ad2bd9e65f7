"""Audio players for a notebook: a few rows as one HTML fragment."""

from __future__ import annotations

import base64
import html
import os
import tempfile
import threading
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import pandas as pd

from histkit.api.client import HistoryClient, borrowed_client, check_client
from histkit.api.error_mapping import concerns_every_request
from histkit.audio import formats
from histkit.audio.destination import LocalFolder, resolves_inside
from histkit.audio.fetch import Source
from histkit.audio.jobs import ids_of
from histkit.audio.manifest import FolderManifest
from histkit.audio.naming import speakers_of
from histkit.audio.playable import Playable, as_playable, fetch_playable, is_playable
from histkit.errors import HistkitError, InputError
from histkit.frame.columns import strings_of
from histkit.frame.dates import timestamps_of
from histkit.frame.dialogues import dialogues_of
from histkit.util.arguments import whole_number
from histkit.util.storage import normalize_path
from histkit.util.text import error_line, format_size, one_line_text, quoted, shorten
from histkit.util.threads import map_threads

MAX_ROWS = 10
NOT_PLAYABLE = "This clip has no format that a browser plays."
_MAX_EMBEDDED, _MAX_TOTAL = 2_000_000, 6_000_000  # bytes of one clip, of all clips
_MAX_CHARACTERS = 400
_STYLE = """<style>
.histkit-players { display: grid; gap: 8px; max-width: 760px; font: 14px/1.45 system-ui, sans-serif; color: inherit }
.histkit-players article { border: 1px solid rgba(128, 128, 128, .35); border-radius: 8px; padding: 10px 14px;
  background: rgba(128, 128, 128, .06) }
.histkit-players header { display: flex; flex-wrap: wrap; gap: 2px 12px; align-items: baseline }
.histkit-players small, .histkit-players .note { opacity: .7; font-size: 12px }
.histkit-players p { margin: 4px 0 0; overflow-wrap: anywhere; white-space: pre-line }
.histkit-players .problem { margin-top: 8px; border-left: 3px solid #d9822b; padding-left: 8px }
.histkit-players audio { display: block; width: 100%; height: 36px; margin-top: 6px }
</style>"""


@dataclass(frozen=True)
class Sound:
    """A clip for a player: its duration in seconds, and its address or why there is none."""

    seconds: float | None = None
    link: str | None = None
    problem: str | None = None


@dataclass(frozen=True)
class Card:
    """A row in a notebook: its labels and its sound."""

    voice: str
    date: str
    text: str
    sound: Sound = Sound()


class Players:
    """Result of `play`: a card with an audio player per row, displayed in a notebook.

    Attributes
    ----------
    cards : list of Card
        The cards shown.
    rows : int
        Number of rows, shown or not.
    """

    def __init__(self, cards: list[Card], rows: int) -> None:
        self.cards = cards
        self.rows = rows

    def __repr__(self) -> str:
        return f"<{len(self.cards)} of {self.rows} rows to listen to; shown in a notebook>"

    def _repr_html_(self) -> str:
        note = ""
        if self.rows > len(self.cards):
            note = f'<span class="note">The first {len(self.cards)} of {self.rows:,} rows.</span>'
        elif not self.rows:
            note = '<span class="note">No rows.</span>'
        return f'{_STYLE}<div class="histkit-players">{"".join(map(_card, self.cards))}{note}</div>'


def play(
    items: pd.DataFrame | pd.Series,
    *,
    folder: str | os.PathLike[str] | None = None,
    client: HistoryClient | None = None,
    limit: int = MAX_ROWS,
) -> Players:
    """Show an audio player for each row in a notebook, with voice, date and text. Costs no credits.

    Parameters
    ----------
    items : DataFrame or Series
        History rows, or ids.
    folder : path-like, optional
        A folder of `download_audio`. Clips that exist there are not requested. If it is below the working directory
        (that of the notebook), clips are played from there and not stored in the notebook.
    client : HistoryClient, optional
        Default: a client with the key and base URL of the environment.
    limit : int
        Number of rows to show, 1 to 10. Other clips are stored in the notebook: at most 2 MB
        per clip and 6 MB in total.

    Returns
    -------
    Players
        Displayed as HTML. A clip that can't be played is a card with the reason.

    Raises
    ------
    InputError
        `limit` is not 1 to 10, or `folder` is not on this machine.
    SchemaError
        `items` lacks ``history_item_id``, or a column can't be read.
    AuthenticationError, PermissionDeniedError
        The key is missing or refused.

    Examples
    --------
    >>> import histkit as hk
    >>> from histkit.sandbox import serve
    >>> with serve(items=20) as box:
    ...     client = hk.HistoryClient(box.api_key, base_url=box.url)
    ...     hk.play(hk.read_history(client=client), client=client, limit=2)
    <2 of 20 rows to listen to; shown in a notebook>
    """
    limit = whole_number("limit", limit, 1, MAX_ROWS)
    check_client(client)
    ids = ids_of(items, "playing")[:limit]
    shown = items.head(limit)
    labels = list(zip(_voices(shown, ids), _dates(shown), _texts(shown), strict=True))
    columns = (strings_of(shown, name) for name in ("output_format", "content_type"))
    sources = [Source(*row) for row in zip(ids, *columns, strict=True)]
    sounds = {} if folder is None else _local_sounds(folder, sources)
    remaining = [source for source in sources if source.history_item_id not in sounds]
    if remaining:
        with borrowed_client(client) as service:
            sounds |= _fetched_sounds(service, remaining)
    limited = _limit_total([sounds[item] for item in ids])
    cards = [Card(*label, sound) for label, sound in zip(labels, limited, strict=True)]
    return Players(cards, len(items))


def _local_sounds(folder: str | os.PathLike[str], sources: list[Source]) -> dict[str, Sound]:
    """Return the sounds of clips with a file of the recorded size; without those that have to be converted."""
    name = normalize_path(folder)
    if "://" in name:
        raise InputError(f"folder={quoted(name)}: players need a folder of this machine.")
    local = LocalFolder(Path(name))
    entries = FolderManifest(local).files_of(source.history_item_id for source in sources)
    sizes = local.sizes((entry.parent() for entry in entries), tidy=False)
    existing = {entry.history_item_id: entry for entry in entries if sizes.get(str(entry.path)) == entry.bytes}
    sounds = {}
    for source in sources:
        entry = existing.get(source.history_item_id)
        if entry is not None and resolves_inside(local.folder, local.folder / str(entry.path)):
            sound = _local_sound(local.folder / str(entry.path), entry.seconds, source)
            if sound is not None:
                sounds[source.history_item_id] = sound
    return sounds


def _local_sound(path: Path, seconds: float | None, source: Source) -> Sound | None:
    """Return the sound of a file; None if it has to be requested in another format."""
    try:
        family, size = path.suffix[1:], path.stat().st_size
        as_it_is = family in formats.BROWSER_TYPES
        if not is_playable(family, source) or (size > _MAX_EMBEDDED and not as_it_is):
            return None
        if as_it_is and resolves_inside(Path.cwd(), path):
            return Sound(seconds, quote(path.resolve().relative_to(Path.cwd().resolve()).as_posix()))
        if size <= _MAX_EMBEDDED:
            return Sound(seconds, _data_url(as_playable(path.read_bytes(), family, source)))
    except OSError as error:
        return Sound(problem=error_line(error, 500))
    return Sound(seconds, problem=f"Too long to store in the notebook ({format_size(size)}): play {path}")


def _fetched_sounds(client: HistoryClient, sources: list[Source]) -> dict[str, Sound]:
    cancel = threading.Event()

    def fetch(source: Source) -> Sound:
        try:
            return _fetch_sound(client, source, cancel)
        except (HistkitError, OSError) as error:
            if concerns_every_request(error):
                raise
            return Sound(problem=error_line(error, 500))

    with closing(map_threads(fetch, sources, client.transport.limit.ceiling, cancel)) as done:
        return {sources[number].history_item_id: sound for number, sound in done}


def _fetch_sound(client: HistoryClient, source: Source, cancel: threading.Event) -> Sound:
    with tempfile.TemporaryFile() as file:
        clip = fetch_playable(client, source, file, cancel)
        if clip is None:
            return Sound(problem=NOT_PLAYABLE)
        if clip.bytes > _MAX_EMBEDDED:
            size = format_size(clip.bytes)
            return Sound(
                clip.seconds, problem=f"Too long to store in the notebook ({size}): pull it with download_audio."
            )
        file.seek(0)
        return Sound(clip.seconds, _data_url(Playable(file.read(), clip.extension)))


def _limit_total(sounds: list[Sound]) -> list[Sound]:
    """Drop embedded sounds that exceed the total a notebook may store."""
    total, limited = 0, []
    for sound in sounds:
        if sound.link is not None and sound.link.startswith("data:"):
            total += len(sound.link)
            if total * 3 / 4 > _MAX_TOTAL:  # base64
                problem = "Too much to store in the notebook: pull it with download_audio and pass folder=."
                sound = Sound(sound.seconds, problem=problem)
        limited.append(sound)
    return limited


def _data_url(sound: Playable) -> str:
    return f"data:{sound.mime};base64,{base64.b64encode(sound.body).decode()}"


def _voices(items: pd.DataFrame | pd.Series, ids: list[str]) -> list[str]:
    return [str(voice or item) for voice, item in zip(speakers_of(items, "Dialogue"), ids, strict=True)]


def _dates(items: pd.DataFrame | pd.Series) -> list[str]:
    return ["" if date is None else f"{date:%Y-%m-%d %H:%M %Z}" for date in timestamps_of(items)]


def _texts(items: pd.DataFrame | pd.Series) -> list[str]:
    texts = []
    for text, lines in zip(strings_of(items, "text"), dialogues_of(items), strict=True):
        spoken = [text or ""]
        if lines:
            spoken = [f"{line.get('voice_name') or 'unknown'}: {line.get('text') or ''}" for line in lines]
        texts.append(shorten("\n".join(map(one_line_text, spoken)), _MAX_CHARACTERS))
    return texts


def _card(card: Card) -> str:
    sound = card.sound
    length = "" if sound.seconds is None else f"<small>{sound.seconds:.1f} s</small>"
    head = f'<b dir="auto">{html.escape(one_line_text(card.voice))}</b><small>{html.escape(card.date)}</small>{length}'
    text = f'<p dir="auto">{html.escape(card.text)}</p>' if card.text else ""
    if sound.link is None:
        problem = html.escape(one_line_text(sound.problem or "There is no audio."))
        player = f'<p class="problem">{problem}</p>'
    else:
        player = f'<audio controls preload="metadata" src="{html.escape(sound.link)}"></audio>'
    return f"<article><header>{head}</header>{text}{player}</article>"
