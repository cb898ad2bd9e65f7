"""Structure of a clip: its measured length, and whether its container shows that the end is there.

What can be shown differs by container:

========================  =============================================================================================
WAV                       the sizes in the header are those of the bytes; not if it was streamed without sizes
MP3                       the number of frames or bytes in the header frame, or a tag at the end
Ogg                       checksums and numbers of the pages, and the page that ends each stream
MP4                       its tables reach no further than the bytes; not if it is fragmented and states no duration
FLAC                      the number of samples in the header; not if it was streamed without one
AAC (ADTS)                nothing: frames may be missing
PCM, mu-law, A-law        nothing: samples may be missing
========================  =============================================================================================
"""

from __future__ import annotations

from collections.abc import Callable
from typing import BinaryIO

from histkit.audio.adts import inspect_adts
from histkit.audio.clip_reader import BrokenClip, ByteReader
from histkit.audio.clip_reader import ClipStructure as ClipStructure
from histkit.audio.clip_reader import StructureProof as StructureProof
from histkit.audio.flac import inspect_flac
from histkit.audio.formats import SAMPLE_BYTES, AudioFormat
from histkit.audio.mp4 import inspect_mp4
from histkit.audio.mpeg import inspect_mp3
from histkit.audio.ogg import inspect_ogg
from histkit.audio.riff import inspect_wav
from histkit.errors import DownloadError

_WALKERS: dict[str, Callable[[ByteReader], ClipStructure]] = {
    "wav": inspect_wav,
    "mp3": inspect_mp3,
    "opus": inspect_ogg,
    "ogg": inspect_ogg,
    "m4a": inspect_mp4,
    "flac": inspect_flac,
    "aac": inspect_adts,
}


def inspect_clip(file: BinaryIO, size: int, audio_format: AudioFormat) -> ClipStructure:
    """Return the structure of a clip. Never raises for the content of the bytes.

    Parameters
    ----------
    file : binary file
        The clip; its position changes.
    size : int
        Its size in bytes.
    audio_format : AudioFormat
        Its format, from `identify`.

    Raises
    ------
    OSError
        The file can't be read.

    Examples
    --------
    >>> import io
    >>> from histkit.audio.formats import AudioFormat, wav_header
    >>> clip = wav_header(48_000, AudioFormat("pcm", 24_000)) + bytes(48_000)
    >>> inspect_clip(io.BytesIO(clip), len(clip), AudioFormat("wav"))
    ClipStructure(seconds=1.0, proof='structure', problem=None)
    >>> inspect_clip(io.BytesIO(clip), 30_044, AudioFormat("wav")).problem
    'The WAV holds 30,000 of 48,000 bytes of samples.'
    """
    if audio_format.headerless:
        return _inspect_samples(size, audio_format)
    try:
        return _WALKERS[audio_format.family](ByteReader(file, size))
    except BrokenClip as error:
        return ClipStructure(None, problem=str(error))


def measure_clip(file: BinaryIO, size: int, audio_format: AudioFormat) -> ClipStructure:
    """Return the structure of a whole clip; see `inspect_clip`.

    Raises
    ------
    DownloadError
        The clip is not whole or can't be read; the message is `ClipStructure.problem`.
    """
    structure = inspect_clip(file, size, audio_format)
    if structure.problem is not None:
        raise DownloadError(structure.problem)
    return structure


def _inspect_samples(size: int, audio_format: AudioFormat) -> ClipStructure:
    width = SAMPLE_BYTES[audio_format.family]
    if size % width:
        return ClipStructure(None, problem=f"The last sample of the PCM is cut: the clip has {size:,} bytes.")
    if not size:
        return ClipStructure(None, problem="The clip is empty.")
    return ClipStructure(size // width / audio_format.rate if audio_format.rate else None)
