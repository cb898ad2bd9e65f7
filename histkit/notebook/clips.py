"""The sound of a row for the explorer and the picker: from the folder of downloads, else from the service, kept."""

from __future__ import annotations

import os
import tempfile
import threading
import time
from collections import OrderedDict, defaultdict
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pandas as pd

from histkit.api.client import HistoryClient
from histkit.audio.destination import JOURNAL, open_destination
from histkit.audio.fetch import Source
from histkit.audio.manifest import MANIFEST, FolderManifest
from histkit.audio.playable import Playable, as_playable, fetch_playable, is_playable
from histkit.audio.verify import FileCheck, copies_of
from histkit.errors import DownloadError, HistkitError, InputError
from histkit.frame.columns import strings_of
from histkit.frame.dialogues import dialogues_of
from histkit.frame.json_values import json_array
from histkit.notebook.columns import shown_text, voice_text
from histkit.notebook.job_actions import place_of
from histkit.notebook.players import NOT_PLAYABLE
from histkit.notebook.windows import rows_at, short_line
from histkit.notebook.words import word_times
from histkit.util.storage import normalize_path
from histkit.util.text import is_text

_MOST_BYTES = 100_000_000  # of the clips kept
_RETRIES = 2  # somebody waits
_REMOTE_SECONDS = 10.0  # for which the manifest of a remote folder is taken for unchanged
_COLUMNS = ("history_item_id", "output_format", "content_type", "voice_name", "text", "dialogue", "alignments")


def check_folder(folder: str | os.PathLike[str]) -> None:
    """Check a local folder of downloads, which need not exist, so that it is not refused only when something is played.

    Raises
    ------
    InputError, DownloadError
        It is no path, is a file, or lies below one.
    """
    if "://" not in normalize_path(folder):
        with closing(open_destination(folder)) as destination:
            destination.check()


class Clips:
    """The clips of a frame's rows. Its methods may be called from any thread; costs no credits.

    Parameters
    ----------
    frame : DataFrame
        A history.
    folder : str or None
        A folder of `download_audio`; it need not exist. Clips in it that its manifest verifies are played from there.
    client : HistoryClient or None
        Default: a client with the key and base URL of the environment, created when it is first needed.
    most_bytes : int
        Clips of the service are kept, up to this size in total; those played least recently are dropped first.
    """

    def __init__(
        self,
        frame: pd.DataFrame,
        folder: str | None = None,
        client: HistoryClient | None = None,
        *,
        most_bytes: int = _MOST_BYTES,
    ) -> None:
        self._frame, self._client = frame, client
        self._folders = [] if folder is None else [_FolderCopies(folder)]
        self._most_bytes = most_bytes
        self._kept: OrderedDict[tuple[str, bool], Playable] = OrderedDict()
        self._lock = threading.Lock()
        self._busy: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)

    def add_folder(self, folder: str) -> None:
        """Play clips from another folder, too; those of folders that are known already come first."""
        place = place_of(folder)
        with self._lock:
            if all(place_of(known.folder) != place for known in self._folders):
                self._folders = [*self._folders, _FolderCopies(folder)]

    def answer(self, position: int, *, wav: bool = False) -> tuple[dict[str, Any], list[bytes]]:
        """Return what a view needs to play a row, and its sound.

        Parameters
        ----------
        position : int
            Position of the row in the frame.
        wav : bool, default False
            As WAV, for a browser that can't play the format of the clip.

        Returns
        -------
        reply : dict
            ``mime``, ``seconds``, ``from`` (folder or service), ``words`` (see `word_times`), and ``voice`` and
            ``text``, short.
        buffers : list of bytes
            The sound.

        Raises
        ------
        InputError
            The row has no id.
        HistkitError
            The clip isn't in the folder and can't be had from the service.
        """
        row = rows_at(self._frame, [name for name in _COLUMNS if name in self._frame.columns], np.array([position]))
        item, output_format, content_type = (strings_of(row, name)[0] for name in _COLUMNS[:3])
        if not is_text(item):
            raise InputError("This row has no history_item_id, so there is no sound of it.")
        sound, origin = self._sound(Source(item, output_format, content_type), wav)
        lines = dialogues_of(row)[0]
        text = shown_text(strings_of(row, "text")[0], lines)
        reply = {
            "mime": sound.mime,
            "seconds": sound.seconds,
            "from": origin,
            "words": word_times(_alignments(row)),
            "voice": voice_text(strings_of(row, "voice_name")[0], lines),
            "text": None if text is None else short_line(text)[0],
        }
        return reply, [sound.body]

    def words(self, position: int) -> list[dict[str, Any]] | None:
        """Return the words of a row and their times: of the column ``alignments``, else from the service.

        None if there are none; also if the service can't be asked, since the sound is heard without.
        """
        names = [name for name in ("history_item_id", "alignments") if name in self._frame.columns]
        row = rows_at(self._frame, names, np.array([position]))
        item = strings_of(row, "history_item_id")[0]
        if "alignments" in names or not is_text(item):
            return word_times(_alignments(row))
        try:
            aligned = self._service().get(item, request_options={"max_retries": _RETRIES}).alignments
        except HistkitError:
            return None
        return None if aligned is None else word_times(aligned.model_dump())

    def _service(self) -> HistoryClient:
        with self._lock:
            self._client = self._client or HistoryClient()
            return self._client

    def _sound(self, source: Source, wav: bool) -> tuple[Playable, str]:
        item = source.history_item_id
        with self._lock:
            busy = self._busy[item]
        with busy:  # two views may ask for one clip; it is fetched once
            local = None if wav else next(filter(None, (folder.find(source) for folder in self._folders)), None)
            if local is not None:
                return local, "folder"
            sound = self._recall(item, wav)
            if sound is None:
                sound = self._fetch(source, wav)
                self._keep(item, wav, sound)
            return sound, "service"

    def _fetch(self, source: Source, wav: bool) -> Playable:
        with tempfile.TemporaryFile() as file:
            clip = fetch_playable(self._service(), source, file, threading.Event(), wav=wav, retries=_RETRIES)
            if clip is None:
                raise DownloadError(NOT_PLAYABLE)
            file.seek(0)
            return Playable(file.read(), clip.extension, clip.seconds)

    def _recall(self, item: str, wav: bool) -> Playable | None:
        with self._lock:
            sound = self._kept.get((item, wav))
            if sound is not None:
                self._kept.move_to_end((item, wav))
            return sound

    def _keep(self, item: str, wav: bool, sound: Playable) -> None:
        with self._lock:
            self._kept[item, wav] = sound
            total = sum(len(kept.body) for kept in self._kept.values())
            while total > self._most_bytes:
                _, dropped = self._kept.popitem(last=False)
                total -= len(dropped.body)


def _alignments(row: pd.DataFrame) -> str | None:
    """Return the alignments of a row as JSON; None if it has none that can be read."""
    if "alignments" not in row.columns:
        return None
    try:
        value = json_array("alignments", row["alignments"])[0].as_py()
    except (TypeError, HistkitError):
        return None
    return value if isinstance(value, str) else None


class _FolderCopies:
    """The verified clips of a folder; its manifest is read again when it has changed."""

    def __init__(self, folder: str) -> None:
        self.folder = folder
        self._lock = threading.Lock()
        self._read: tuple[Any, FolderManifest] | None = None

    def find(self, source: Source) -> Playable | None:
        """Return the clip of a source; None if the folder has none that its manifest verifies and browsers play."""
        try:
            with closing(open_destination(self.folder)) as destination:
                stamp = _stamp(destination)
                with self._lock:
                    if self._read is None or self._read[0] != stamp:
                        self._read = stamp, FolderManifest(destination)
                    record = self._read[1]
                check = copies_of(destination, record, [source.history_item_id]).get(source.history_item_id)
                if check is None or not is_playable(_family(check), _declared(check, source)):
                    return None
                with destination.open(check.path) as file:
                    return as_playable(file.read(), _family(check), _declared(check, source), check.seconds)
        except (DownloadError, OSError):  # the service has the clip, or says why not
            return None


def _family(check: FileCheck) -> str:
    return check.path.rpartition(".")[2]


def _declared(check: FileCheck, source: Source) -> Source:
    """Return a source with the format that the row declared when the file was downloaded, if the row has none now."""
    if source.output_format is not None or source.content_type is not None:
        return source
    declared = {"output_format": check.entry.output_format, "content_type": check.entry.content_type}
    return msgspec.structs.replace(source, **declared)


def _stamp(destination: Any) -> Any:
    """Return a value that changes with a folder's manifest."""
    if destination.remote:
        return time.monotonic() // _REMOTE_SECONDS
    return [_file_stamp(destination.folder / name) for name in (MANIFEST, JOURNAL)]


def _file_stamp(path: Path) -> tuple[int, int] | None:
    try:
        facts = path.stat()
    except OSError:
        return None
    return facts.st_mtime_ns, facts.st_size
