"""Zips as files: the clips in the service's, read where they lie in a temporary file and checked; and ours, written."""

from __future__ import annotations

import hashlib
import io
import shutil
import struct
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import BinaryIO

import pandas as pd

from histkit.audio import formats
from histkit.audio.fetch import Source
from histkit.audio.formats import BLOCK, AudioFormat, expected_format
from histkit.audio.manifest import Entry
from histkit.frame.files import to_csv

_MOST_EXPANDED, _MOST_BYTES = 1000, 4 << 30
# RuntimeError: encrypted, or of a version that zipfile doesn't know
_UNREADABLE = (zipfile.BadZipFile, zlib.error, struct.error, EOFError, RuntimeError, ValueError, OverflowError)


class BrokenZipError(Exception):
    """What came is no zip that can be read, or one that no honest service sends."""


class _Window(io.RawIOBase):
    """A part of a file as a file, for reading."""

    def __init__(self, file: BinaryIO, start: int, size: int) -> None:
        self._file, self._start, self._size, self._at = file, start, size, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        at = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        if at < 0:
            raise io.UnsupportedOperation("A place before the start of the file.")  # what zipfile expects
        self._at = at
        return at

    def readinto(self, buffer: object) -> int:
        view = memoryview(buffer).cast("B")  # type: ignore[arg-type]
        wanted = max(0, min(len(view), self._size - self._at))
        self._file.seek(self._start + self._at)
        data = self._file.read(wanted)
        view[: len(data)] = data
        self._at += len(data)
        return len(data)


@dataclass(frozen=True)
class Piece:
    """A clip as a part of a temporary file.

    Attributes
    ----------
    file : binary file
        Read by one thread at a time.
    start, size : int
        Where in it, in bytes.
    """

    file: BinaryIO
    start: int
    size: int

    def open(self) -> io.BufferedReader:
        """Give the clip as a file of its own, for reading."""
        return io.BufferedReader(_Window(self.file, self.start, self.size))


@dataclass(frozen=True)
class Unpacked:
    """An entry of a zip: where its bytes are, and their hash."""

    piece: Piece
    sha256: str


def names_in(zipped: Piece) -> list[str]:
    """Give the names of a zip's entries, folders left out.

    Raises
    ------
    BrokenZipError
        It is no zip that can be read, or expands to an absurd size.
    """
    with _opened(zipped) as archive:
        return [info.filename for info in _entries(archive, zipped.size)]


def unpacked(zipped: Piece) -> list[Unpacked]:
    """Read a zip's entries to their ends, so that their checksums are known to be right; in the order of `names_in`.

    A stored entry is a part of the zip; a compressed one is written behind the end of its file.

    Raises
    ------
    BrokenZipError
        As of `names_in`, or a checksum is wrong.
    """
    with _opened(zipped) as archive:
        return [_unpacked(zipped, archive, info) for info in _entries(archive, zipped.size)]


@contextmanager
def _opened(zipped: Piece) -> Iterator[zipfile.ZipFile]:
    try:
        with zipped.open() as file, zipfile.ZipFile(file) as archive:
            yield archive
    except _UNREADABLE as error:
        raise BrokenZipError(str(error)) from None


def _entries(archive: zipfile.ZipFile, size: int) -> list[zipfile.ZipInfo]:
    infos = [info for info in archive.infolist() if not info.is_dir()]
    if any(info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) for info in infos):
        raise BrokenZipError("A compression that expands without a bound.")
    total = sum(info.file_size for info in infos)
    if total > min(_MOST_BYTES, _MOST_EXPANDED * size):
        raise BrokenZipError(f"{size:,} bytes that expand to {total:,}.")
    return infos


def _unpacked(zipped: Piece, archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> Unpacked:
    stored = info.compress_type == zipfile.ZIP_STORED
    end = zipped.file.seek(0, io.SEEK_END)
    size, digest = 0, hashlib.sha256()
    with archive.open(info) as entry:
        while block := entry.read(BLOCK):
            digest.update(block)
            if not stored:
                zipped.file.seek(end + size)
                zipped.file.write(block)
            size += len(block)
    if size != info.file_size:
        raise BrokenZipError("An entry that ends too early.")
    start = zipped.start + _data_offset(zipped, info) if stored else end
    return Unpacked(Piece(zipped.file, start, size), digest.hexdigest())


def _data_offset(zipped: Piece, info: zipfile.ZipInfo) -> int:
    zipped.file.seek(zipped.start + info.header_offset)
    name, extra = struct.unpack("<HH", zipped.file.read(30)[26:])
    return info.header_offset + 30 + int(name) + int(extra)


def kind_of(piece: Piece, source: Source, wav: bool) -> AudioFormat | None:
    """Tell what a clip out of a zip is; None where a request of its own might tell it otherwise.

    Raises
    ------
    DownloadError
        It is not the clip that the row speaks of.
    """
    wanted = AudioFormat("wav") if wav else expected_format(source.output_format, source.content_type)
    with piece.open() as file:
        kind = formats.identify(file, piece.size, wanted)
        sure = bool(source.output_format) or kind.family != "mp3" or _is_mp3(file)
    return kind if wanted is not None and kind.family == wanted.family and sure else None


def _is_mp3(file: BinaryIO) -> bool:
    """Tell whether bytes are MP3 by a tag or two frames; one frame's header may be chance in plain samples."""
    file.seek(0)
    head = file.read(4)
    if head[:3] == b"ID3":
        return True
    one, two = head[1] >> 3 & 3, head[2]
    if head[1] >> 1 & 3 != 1 or one == 1 or two >> 2 & 3 == 3:  # layer III of MPEG 1, 2 or 2.5
        return False
    old = (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 0)
    new = (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160, 0)
    kilobits = (old if one == 3 else new)[two >> 4]
    rate = (44_100, 48_000, 32_000)[two >> 2 & 3] // {3: 1, 2: 2, 0: 4}[one]
    file.seek((144_000 if one == 3 else 72_000) * kilobits // rate + (two >> 1 & 1))
    following = file.read(4)
    return kilobits > 0 and following[:2] == head[:2] and len(following) == 4 and following[2] >> 2 & 3 == two >> 2 & 3


def put(archive: zipfile.ZipFile, entry: Entry, piece: Piece, moment: datetime | None) -> None:
    """Write a clip as an entry of its path and date."""
    info = _info(str(entry.path), moment)
    info.file_size = piece.size  # tells zipfile whether the entry needs ZIP64
    with archive.open(info, "w") as file, piece.open() as clip:
        shutil.copyfileobj(clip, file, BLOCK)


def put_manifest(archive: zipfile.ZipFile, manifest: pd.DataFrame) -> None:
    """Write the manifest as the entry ``manifest.csv``."""
    with tempfile.TemporaryDirectory() as folder:
        archive.writestr(_info("manifest.csv", None), to_csv(manifest, Path(folder) / "manifest.csv").read_bytes())


def _info(name: str, moment: datetime | None) -> zipfile.ZipInfo:
    known = moment is not None and 1980 <= moment.year <= 2107
    info = zipfile.ZipInfo(name, moment.timetuple()[:6] if moment is not None and known else (1980, 1, 1, 0, 0, 0))
    info.external_attr, info.create_system = 0o644 << 16, 3  # the same on every system
    return info
