"""Structure of a clip: its measured length, and whether its container shows that the end is there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import BinaryIO, Literal

from histkit.audio.formats import AudioFormat, seconds_of
from histkit.errors import DownloadError

StructureProof = Literal["structure", "none"]


@dataclass(frozen=True)
class ClipStructure:
    """What the bytes of a clip show.

    Attributes
    ----------
    seconds : float or None
        Length measured from the samples, frames or pages that are there; None if unknown (a headerless clip of unknown
        rate, or a clip with a `problem`).
    proof : {"structure", "none"}
        ``structure``: the container shows that the clip ends where the bytes end. ``none``: it can't show it (raw
        samples, a WAV that was streamed without sizes, unknown bytes between or behind MP3 frames).
    problem : str or None
        One line if the clip is certainly not whole or can't be read; None otherwise.
    """

    seconds: float | None
    proof: StructureProof = "none"
    problem: str | None = None


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
    """
    try:
        seconds = seconds_of(file, size, audio_format)
    except DownloadError as error:
        return ClipStructure(None, problem=str(error))
    return ClipStructure(seconds, "none" if audio_format.headerless else "structure")


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
