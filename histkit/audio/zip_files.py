"""Zip files: read and verify the entries of the service's zips in place, and write ours."""

from __future__ import annotations

import hashlib
import io
import shutil
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import BinaryIO

import pandas as pd

from histkit.audio import formats
from histkit.audio.fetch import Source
from histkit.audio.formats import BLOCK, AudioFormat
from histkit.audio.manifest import Entry
from histkit.frame.files import csv_text

_MAX_RATIO, _MAX_BYTES = 1000, 4 << 30  # of a zip, and of all its entries together
# RuntimeError: encrypted, or of a version that zipfile does not support
_UNREADABLE = (zipfile.BadZipFile, zlib.error, struct.error, EOFError, RuntimeError, ValueError, OverflowError)


class BrokenZipError(Exception):
    """The response is not a readable zip, or expands to an implausible size."""


class _Window(io.RawIOBase):
    """A section of a file as a read-only file."""

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
            raise io.UnsupportedOperation("The position is before the start of the file.")  # zipfile expects this type
        self._at = at
        return at

    def readinto(self, buffer: object) -> int:
        view = memoryview(buffer).cast("B")  # type: ignore[arg-type]
        length = max(0, min(len(view), self._size - self._at))
        self._file.seek(self._start + self._at)
        data = self._file.read(length)
        view[: len(data)] = data
        self._at += len(data)
        return len(data)


@dataclass(frozen=True)
class FileSlice:
    """A section of a temporary file.

    Attributes
    ----------
    file : binary file
        Read by one thread at a time.
    start, size : int
        Offset and length in bytes.
    """

    file: BinaryIO
    start: int
    size: int

    def open(self) -> io.BufferedReader:
        """Return the section as a read-only file."""
        return io.BufferedReader(_Window(self.file, self.start, self.size))


@dataclass(frozen=True)
class ZipEntry:
    """An entry of a zip: its bytes and their SHA-256."""

    data: FileSlice
    sha256: str


def entry_names(zipped: FileSlice, max_clip_bytes: int = _MAX_BYTES) -> list[str]:
    """Return the names of a zip's entries, without folders.

    Raises
    ------
    BrokenZipError
        The zip can't be read, or expands to an implausible size.
    """
    with _open_zip(zipped) as archive:
        return [info.filename for info in _entry_infos(archive, zipped.size, max_clip_bytes)]


def read_entries(zipped: FileSlice, max_clip_bytes: int = _MAX_BYTES) -> list[ZipEntry]:
    """Read a zip's entries completely, which verifies their checksums; in the order of `entry_names`.

    A stored entry is a section of the zip. A compressed one is written after the end of the zip's file.

    Raises
    ------
    BrokenZipError
        As for `entry_names`, or a checksum is wrong.
    """
    with _open_zip(zipped) as archive:
        return [_read_entry(zipped, archive, info) for info in _entry_infos(archive, zipped.size, max_clip_bytes)]


@contextmanager
def _open_zip(zipped: FileSlice) -> Iterator[zipfile.ZipFile]:
    try:
        with zipped.open() as file, zipfile.ZipFile(file) as archive:
            yield archive
    except _UNREADABLE as error:
        raise BrokenZipError(str(error)) from None


def _entry_infos(archive: zipfile.ZipFile, size: int, max_clip_bytes: int) -> list[zipfile.ZipInfo]:
    infos = [info for info in archive.infolist() if not info.is_dir()]
    if any(info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) for info in infos):
        raise BrokenZipError("A compression method that can expand without limit.")
    total = sum(info.file_size for info in infos)
    if total > min(_MAX_BYTES, _MAX_RATIO * size):
        raise BrokenZipError(f"{size:,} bytes that expand to {total:,}.")
    largest = max((info.file_size for info in infos), default=0)
    if largest > max_clip_bytes:
        raise BrokenZipError(f"An entry that expands to {largest:,} bytes.")
    return infos


def _read_entry(zipped: FileSlice, archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> ZipEntry:
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
        raise BrokenZipError("An entry ends too early.")
    start = zipped.start + _data_offset(zipped, info) if stored else end
    return ZipEntry(FileSlice(zipped.file, start, size), digest.hexdigest())


def _data_offset(zipped: FileSlice, info: zipfile.ZipInfo) -> int:
    zipped.file.seek(zipped.start + info.header_offset)
    name, extra = struct.unpack("<HH", zipped.file.read(30)[26:])
    return info.header_offset + 30 + int(name) + int(extra)


def format_of(data: FileSlice, source: Source, wav: bool) -> AudioFormat | None:
    """Return the format of a clip out of a zip; None if a request of its own might declare a different one.

    Raises
    ------
    DownloadError
        The bytes are not the clip of the row.
    """
    expected = AudioFormat("wav") if wav else source.expected_format()
    with data.open() as file:
        audio_format = formats.identify(file, data.size, expected)
        certain = source.declared or audio_format.family != "mp3" or _is_mp3(file)
    matches = expected is not None and audio_format.family == expected.family
    return audio_format if matches and certain else None


def _is_mp3(file: BinaryIO) -> bool:
    """Return whether a tag or two frames show MP3; the header of one frame may be chance in raw samples."""
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


def write_clip(archive: zipfile.ZipFile, entry: Entry, data: FileSlice, date: datetime | None) -> None:
    """Write a clip under its path and date."""
    info = _zip_info(str(entry.path), date)
    info.file_size = data.size  # from this, zipfile decides on ZIP64
    with archive.open(info, "w") as file, data.open() as clip:
        shutil.copyfileobj(clip, file, BLOCK)


def write_manifest(archive: zipfile.ZipFile, manifest: pd.DataFrame) -> None:
    """Write the manifest as the entry ``manifest.csv``."""
    archive.writestr(_zip_info("manifest.csv", None), csv_text(manifest).encode())


def _zip_info(name: str, date: datetime | None) -> zipfile.ZipInfo:
    in_range = date is not None and 1980 <= date.year <= 2107
    info = zipfile.ZipInfo(name, date.timetuple()[:6] if date is not None and in_range else (1980, 1, 1, 0, 0, 0))
    info.external_attr, info.create_system = 0o644 << 16, 3  # the same on every system
    return info
