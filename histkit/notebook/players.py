"""Players for a notebook: a few rows to listen to, as one piece of HTML."""

from __future__ import annotations

import base64
import html
import os
import tempfile
import threading
from contextlib import closing
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import BinaryIO
from urllib.parse import quote

import pandas as pd

from histkit.api.client import HistoryClient, borrowed_client
from histkit.audio import formats
from histkit.audio.destination import LocalFolder, inside
from histkit.audio.fetch import Source, fetch_clip
from histkit.audio.manifest import Entry, FolderManifest
from histkit.errors import AuthenticationError, HistkitError, InputError, PermissionDeniedError
from histkit.frame.columns import values_of
from histkit.frame.schema import require
from histkit.util.arguments import whole_number
from histkit.util.storage import normalize_path
from histkit.util.text import error_line, one_line_text
from histkit.util.threads import map_threads

MOST = 10
_EMBEDDED_BYTES, _EMBEDDED_IN_ALL = 2_000_000, 6_000_000
_TEXT_CHARACTERS = 400
_STYLE = """<style>
.histkit-players { display: grid; gap: 8px; max-width: 760px; font: 14px/1.45 system-ui, sans-serif; color: inherit }
.histkit-players.abreast { grid-template-columns: repeat(auto-fit, minmax(280px, 1fr)); max-width: 1200px }
.histkit-players article { border: 1px solid rgba(128, 128, 128, .35); border-radius: 8px; padding: 10px 14px;
  background: rgba(128, 128, 128, .06) }
.histkit-players header { display: flex; flex-wrap: wrap; gap: 2px 12px; align-items: baseline }
.histkit-players small, .histkit-players .note { opacity: .7; font-size: 12px }
.histkit-players p { margin: 4px 0 0; overflow-wrap: anywhere; white-space: pre-line }
.histkit-players .problem { margin-top: 8px; border-left: 3px solid #d9822b; padding-left: 8px }
.histkit-players audio { display: block; width: 100%; height: 36px; margin-top: 6px }
</style>"""


Sound = tuple[float | None, str | None, str | None]  # seconds, address, or why there is none


@dataclass(frozen=True)
class Card:
    """One row to listen to: what is shown, and where its sound comes from or why there is none."""

    voice: str
    date: str
    text: str
    seconds: float | None = None
    link: str | None = None
    problem: str | None = None


class Players:
    """What `play` gives: in a notebook, a card with an audio player for each row.

    Attributes
    ----------
    cards : list of Card
        What is shown.
    rows : int
        How many rows there were.
    abreast : bool
        Whether cards stand side by side where there is room.
    """

    def __init__(self, cards: list[Card], rows: int, *, abreast: bool = False) -> None:
        self.cards = cards
        self.rows = rows
        self.abreast = abreast

    def __repr__(self) -> str:
        return f"<{len(self.cards)} of {self.rows} rows to listen to; shown in a notebook>"

    def _repr_html_(self) -> str:
        note = ""
        if self.rows > len(self.cards):
            note = f'<span class="note">The first {len(self.cards)} of {self.rows:,} rows.</span>'
        elif not self.rows:
            note = '<span class="note">No rows.</span>'
        kind = "histkit-players abreast" if self.abreast else "histkit-players"
        return f'{_STYLE}<div class="{kind}">{"".join(map(_card, self.cards))}{note}</div>'


def play(
    items: pd.DataFrame | pd.Series,
    *,
    folder: str | os.PathLike[str] | None = None,
    client: HistoryClient | None = None,
    limit: int = MOST,
) -> Players:
    """Show an audio player for each row in a notebook, with voice, date and text. Costs no credits.

    Parameters
    ----------
    items : DataFrame or Series
        History rows, or ids.
    folder : path-like, optional
        A folder of `download_audio`: clips that are there are not fetched again, and where it lies below the working
        directory (that of the notebook) they are played from there: nothing of them is stored in the notebook.
    client : HistoryClient, optional
        Default: one made of the environment.
    limit : int
        Show the first so many rows, 1 to 10. Sound that is not played from a folder is stored in the notebook: at most
        2 MB for a clip and 6 MB in all.

    Returns
    -------
    Players
        Shows itself as HTML. A clip that can't be had is a card that says why.

    Raises
    ------
    InputError
        `limit` is not 1 to 10.
    AuthenticationError, PermissionDeniedError
        The key is no good.

    Examples
    --------
    >>> import histkit as hk
    >>> from histkit.sandbox import serve
    >>> with serve(items=20) as box:
    ...     client = hk.HistoryClient(box.api_key, base_url=box.url)
    ...     hk.play(hk.read_history(client=client), client=client, limit=2)
    <2 of 20 rows to listen to; shown in a notebook>
    """
    limit = whole_number("limit", limit, 1, MOST)
    if isinstance(items, pd.Series):
        items = items.to_frame("history_item_id")
    require(items, ["history_item_id"], "playing")
    shown = items.head(limit)
    columns = [values_of(shown, name) for name in ("history_item_id", "output_format", "content_type")]
    sources = [Source(*row) for row in zip(*columns, strict=True)]
    local = {} if folder is None else _local(folder, [source.history_item_id for source in sources])
    cancel = threading.Event()
    with borrowed_client(client) as client:

        def sound(source: Source) -> Sound:
            entry = local.get(source.history_item_id)
            try:
                if entry is not None and folder is not None and entry.path is not None:
                    link, problem = _local_link(Path(folder) / entry.path, source)
                    if link or problem:
                        return entry.seconds, link, problem
                return _fetched(client, source, cancel)
            except (AuthenticationError, PermissionDeniedError):
                raise
            except (HistkitError, OSError) as error:
                return None, None, error_line(error, 500)

        workers = client.transport.limit.ceiling
        with closing(map_threads(sound, sources, workers, cancel, in_order=True)) as done:
            sounds = _within([result for _, result in done])
    labels = zip(_voices(shown), _dates(shown), _texts(shown), sounds, strict=True)
    return Players([Card(voice, date, text, *found) for voice, date, text, found in labels], len(items))


def _local(folder: str | os.PathLike[str], ids: list[str]) -> dict[str, Entry]:
    """Give a file of each clip that has one which is there with its size."""
    name = normalize_path(folder)
    if "://" in name:
        raise InputError(f"folder={name!r}: players need a folder of this machine.")
    target = LocalFolder(Path(name))
    entries = FolderManifest(target).files_of(ids)
    sizes = target.sizes((entry.place().rpartition("/")[0] for entry in entries), tidy=False)
    there = (entry for entry in entries if entry.path and sizes.get(entry.path) == entry.bytes)
    return {entry.history_item_id: entry for entry in there if inside(target.folder, target.folder / str(entry.path))}


def _local_link(path: Path, source: Source) -> tuple[str | None, str | None]:
    """Give the address of a local file's sound, or why there is none; neither where it has to be fetched."""
    family = path.suffix[1:]
    size = path.stat().st_size
    if family not in formats.PLAYED_AS:
        kind = formats.expected_format(source.output_format, source.content_type)
        if kind is None or kind.family != family or not kind.wrappable or size > _EMBEDDED_BYTES:
            return None, None
        file = BytesIO(path.read_bytes())
        formats.add_wav_header(file, size, kind)
        return _embedded(file.getvalue(), "wav"), None
    here = Path.cwd().resolve()
    if path.resolve().is_relative_to(here):
        return quote(path.resolve().relative_to(here).as_posix()), None
    if size <= _EMBEDDED_BYTES:
        return _embedded(path.read_bytes(), family), None
    return None, f"Too long to store in the notebook ({size / 1e6:.1f} MB): play {path}"


def _within(sounds: list[Sound]) -> list[Sound]:
    """Leave out what would be too much to store in a notebook."""
    stored, found = 0, []
    for seconds, link, problem in sounds:
        stored += len(link) if link is not None and link.startswith("data:") else 0
        if stored * 3 / 4 > _EMBEDDED_IN_ALL and link is not None and link.startswith("data:"):
            link, problem = None, "Too much to store in the notebook: pull it with download_audio and give folder=."
        found.append((seconds, link, problem))
    return found


def _fetched(client: HistoryClient, source: Source, cancel: threading.Event) -> Sound:
    kind = formats.expected_format(source.output_format, source.content_type)
    for wav in (True,) if kind is not None and kind.bare else (False, True):
        with tempfile.TemporaryFile() as file:
            clip = fetch_clip(client, source, wav, file, cancel)
            if clip.extension in formats.PLAYED_AS:
                return clip.seconds, *_stored(file, clip.bytes, clip.extension)
    return None, None, "This clip has no form that a browser plays."


def _stored(file: BinaryIO, size: int, family: str) -> tuple[str | None, str | None]:
    if size > _EMBEDDED_BYTES:
        return None, f"Too long to store in the notebook ({size / 1e6:.1f} MB): pull it with download_audio."
    file.seek(0)
    return _embedded(file.read(), family), None


def _embedded(sound: bytes, family: str) -> str:
    return f"data:{formats.PLAYED_AS[family]};base64,{base64.b64encode(sound).decode()}"


def _voices(frame: pd.DataFrame) -> list[str]:
    columns = (values_of(frame, name) for name in ("voice_name", "voice_id", "dialogue", "history_item_id"))
    return [
        "Dialogue" if lines is not None and len(lines) else str(name or key or item)
        for name, key, lines, item in zip(*columns, strict=True)
    ]


def _dates(frame: pd.DataFrame) -> list[str]:
    dates = values_of(frame, "date")
    return ["" if each is None else f"{pd.Timestamp(each):%Y-%m-%d %H:%M %Z}".strip() for each in dates]


def _texts(frame: pd.DataFrame) -> list[str]:
    found = []
    for text, lines in zip(values_of(frame, "text"), values_of(frame, "dialogue"), strict=True):
        spoken = [text or ""]
        if lines is not None and len(lines):
            spoken = [f"{line.get('voice_name') or 'unknown'}: {line.get('text') or ''}" for line in lines]
        whole = "\n".join(map(one_line_text, spoken))
        found.append(whole if len(whole) <= _TEXT_CHARACTERS else whole[:_TEXT_CHARACTERS].rstrip() + " …")
    return found


def _card(card: Card) -> str:
    length = "" if card.seconds is None else f"<small>{card.seconds:.1f} s</small>"
    head = f'<b dir="auto">{html.escape(one_line_text(card.voice))}</b><small>{html.escape(card.date)}</small>{length}'
    text = f'<p dir="auto">{html.escape(card.text)}</p>' if card.text else ""
    if card.link is None:
        sound = f'<p class="problem">{html.escape(one_line_text(card.problem or "There is no sound."))}</p>'
    else:
        sound = f'<audio controls preload="metadata" src="{html.escape(card.link)}"></audio>'
    return f"<article><header>{head}</header>{text}{sound}</article>"
