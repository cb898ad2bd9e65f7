"""Bulk downloads: the audio of several rows in one zip, with the service's entry names."""

import re
import time
import zipfile
from dataclasses import dataclass
from io import BytesIO
from typing import Any

from histkit.sandbox import catalog
from histkit.sandbox.prng import number

FOLDER = "ElevenLabs_history"
_CATEGORIES = {"premade": "pre", "cloned": "ivc", "professional": "pvc", "generated": "gen"}
_MODELS = {model.model_id: model.short for model in catalog.MODELS}


_TAG = b"ID3\x04" + bytes(6)
_TIMES = {"underscores": "%H_%M_%S", "spaces": "%H %M %S", "colons": "%H:%M:%S"}


@dataclass(frozen=True)
class Style:
    """Options of a zip.

    Attributes
    ----------
    raw
        Whether the name of a voice is used unchanged, slashes included.
    suffix
        Whether `` (1)`` is appended to a name in use; otherwise two entries have the same name.
    shuffled
        Whether the entries are in another order than the request.
    ahead
        Seconds by which the clock of the names is ahead of UTC.
    times
        Separator of hours, minutes and seconds: a key of `_TIMES`.
    ids
        Whether names end with the id.
    packed
        Whether entries are compressed.
    tagged
        Whether entries start with an (empty) ID3 tag.
    """

    raw: bool = False
    suffix: bool = True
    shuffled: bool = False
    ahead: float = 0
    times: str = "underscores"
    ids: bool = False
    packed: bool = False
    tagged: bool = False


def name(row: dict[str, Any], extension: str, style: Style) -> str:
    """Return an entry's name: date and time in seconds, voice, category, settings, model."""
    moment = time.strftime(f"%Y-%m-%dT{_TIMES[style.times]}", time.gmtime(row["date_unix"] + style.ahead))
    settings = row.get("settings") or {}
    percent = [
        (short, settings.get(key))
        for short, key in (("sp", "speed"), ("s", "stability"), ("sb", "similarity_boost"), ("se", "style"))
    ]
    parts = [short + str(round(value * 100)) for short, value in percent if value is not None]
    if settings.get("use_speaker_boost"):
        parts.append("b")
    voice = row.get("voice_name") or ""
    if not style.raw:
        voice = re.sub(r'[\\/:*?"<>|\x00-\x1f]', "_", voice)
    category = _CATEGORIES.get(row.get("voice_category") or "", "")
    fields = ["ElevenLabs", moment, voice, category, *parts, _MODELS.get(row.get("model_id") or "", "x")]
    if not voice:
        fields = ["ElevenLabs", moment, "", *[p for p in parts if re.fullmatch(r"s\d+", p)], fields[-1]]
    if style.ids:
        fields.append(row["history_item_id"])
    return f"{FOLDER}/{'_'.join(fields)}{extension}"


def pack(entries: list[tuple[dict[str, Any], bytes]], extension: str, style: Style) -> bytes:
    """Return a zip of rows and their audio.

    Parameters
    ----------
    entries
        Rows and audio; a row may occur twice.
    extension
        ``.mp3`` or ``.wav``: the real zips say ``.mp3`` for PCM too.
    style
        Options of the zip.
    """
    buffer, taken = BytesIO(), dict[str, int]()
    if style.shuffled:
        entries = sorted(entries, key=lambda pair: number(0, f"order {pair[0]['history_item_id']}", len(entries)))
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED if style.packed else zipfile.ZIP_STORED) as archive:
        for row, audio in entries:
            entry = name(row, extension, style)
            taken[entry] = taken.get(entry, -1) + 1
            if style.suffix and taken[entry]:
                entry = f"{entry.removesuffix(extension)} ({taken[entry]}){extension}"
            moment = time.gmtime(max(row["date_unix"], 315_532_800))
            info = zipfile.ZipInfo(entry, moment[:6])
            info.compress_type = archive.compression
            archive.writestr(info, _TAG + audio if style.tagged else audio)
    return buffer.getvalue()
