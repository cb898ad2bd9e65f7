"""Clips in a form that browsers play: raw samples get a WAV header, anything else is left as it is."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from io import BytesIO
from typing import BinaryIO

from histkit.api.client import HistoryClient
from histkit.audio import formats
from histkit.audio.fetch import Clip, Source, fetch_clip


@dataclass(frozen=True)
class Playable:
    """The bytes of a clip that browsers play.

    Attributes
    ----------
    body : bytes
        With a header.
    family : str
        A key of `formats.BROWSER_TYPES`.
    seconds : float or None
        Duration, if it is known.
    """

    body: bytes
    family: str
    seconds: float | None = None

    @property
    def mime(self) -> str:
        """The media type."""
        return formats.BROWSER_TYPES[self.family]


def is_playable(family: str, source: Source) -> bool:
    """Return whether a file of a family can be played here, as it is or with a WAV header."""
    return family in formats.BROWSER_TYPES or _sample_format(family, source) is not None


def as_playable(body: bytes, family: str, source: Source, seconds: float | None = None) -> Playable:
    """Return a clip in a form that browsers play; see `is_playable`."""
    samples = _sample_format(family, source)
    if family in formats.BROWSER_TYPES or samples is None:
        return Playable(body, family, seconds)
    file = BytesIO(body)
    formats.add_wav_header(file, len(body), samples)
    return Playable(file.getvalue(), "wav", seconds)


def _sample_format(family: str, source: Source) -> formats.AudioFormat | None:
    """Return the format of raw samples of known rate."""
    expected = source.expected_format()
    return expected if expected is not None and expected.family == family and expected.wrappable else None


def fetch_playable(
    client: HistoryClient,
    source: Source,
    file: BinaryIO,
    cancel: threading.Event,
    *,
    wav: bool = False,
    retries: int | None = None,
) -> Clip | None:
    """Download a clip in a form that browsers play; as WAV only where it has to be.

    Parameters
    ----------
    client, source, file, cancel, retries
        As in `fetch_clip`; `file` is a temporary file, which is overwritten.
    wav : bool, default False
        As WAV in any case.

    Returns
    -------
    Clip or None
        None if there is no such form.
    """
    expected = source.expected_format()
    headerless = expected is not None and expected.headerless
    for as_wav in (True,) if wav or headerless else (False, True):
        clip = fetch_clip(client, source, as_wav, file, cancel, retries=retries)
        if clip.extension in formats.BROWSER_TYPES:
            return clip
    return None
