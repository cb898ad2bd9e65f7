"""Bulk downloads: several rows' audio in one zip, named as the site names them."""

import re
import time
import zipfile
from io import BytesIO
from typing import Any

from histkit.sandbox import cast

FOLDER = "ElevenLabs_history"
_CATEGORIES = {"premade": "pre", "cloned": "ivc", "professional": "pvc", "generated": "gen"}
_MODELS = {model.model_id: model.short for model in cast.MODELS}


def name(row: dict[str, Any], extension: str, *, raw: bool) -> str:
    """Return an entry's name: moment, voice, category, settings, model; no id, one second's resolution."""
    moment = time.strftime("%Y-%m-%dT%H_%M_%S", time.gmtime(row["date_unix"]))
    settings = row.get("settings") or {}
    percent = [(short, settings.get(key)) for short, key in
               (("sp", "speed"), ("s", "stability"), ("sb", "similarity_boost"), ("se", "style"))]  # fmt: skip
    parts = [short + str(round(value * 100)) for short, value in percent if value is not None]
    if settings.get("use_speaker_boost"):
        parts.append("b")
    voice = row.get("voice_name") or ""
    if not raw:
        voice = re.sub(r'[\\/:*?"<>|\x00-\x1f]', "_", voice)
    category = _CATEGORIES.get(row.get("voice_category") or "", "")
    fields = ["ElevenLabs", moment, voice, category, *parts, _MODELS.get(row.get("model_id") or "", "x")]
    if not voice:
        fields = ["ElevenLabs", moment, "", *[p for p in parts if re.fullmatch(r"s\d+", p)], fields[-1]]
    return f"{FOLDER}/{'_'.join(fields)}{extension}"


def pack(entries: list[tuple[dict[str, Any], bytes]], extension: str, *, raw: bool, suffix: bool) -> bytes:
    """Return a zip of rows and their audio, in the given order.

    Parameters
    ----------
    entries
        Rows and audio; a row may stand in it twice.
    extension
        ``.mp3`` or ``.wav``: the real zips say ``.mp3`` for PCM too.
    raw
        Whether a voice's name is taken as it is, with slashes and all.
    suffix
        Whether a name that is taken gets `` (1)``; else two entries have one name.
    """
    buffer, taken = BytesIO(), dict[str, int]()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for row, audio in entries:
            entry = name(row, extension, raw=raw)
            taken[entry] = taken.get(entry, -1) + 1
            if suffix and taken[entry]:
                entry = f"{entry.removesuffix(extension)} ({taken[entry]}){extension}"
            moment = time.gmtime(max(row["date_unix"], 315_532_800))
            archive.writestr(zipfile.ZipInfo(entry, moment[:6]), audio)
    return buffer.getvalue()
