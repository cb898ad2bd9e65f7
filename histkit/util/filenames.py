"""File names that are legal on Linux, macOS and Windows, stay in their folder, and are unique."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cache, lru_cache
from itertools import chain, count

from pathvalidate import FileNameSanitizer, ValidationError, validate_filename

from histkit.util.text import one_line_text

EXTENSIONS = ("mp3", "wav", "opus", "ogg", "m4a", "flac", "pcm", "ulaw", "alaw")


_NAME_BYTES = 255  # of one name, on every file system in wide use


STEM_BYTES = _NAME_BYTES - 1 - max(map(len, EXTENSIONS))  # of a name without its extension


_SANITIZER = FileNameSanitizer(max_len=_NAME_BYTES, platform="universal", fs_encoding="utf-8")


# no reserved name is so long, and pathvalidate changes none of it
_PLAINLY_SAFE = re.compile(r"[\w ,;.!'()&–—‘’“”…-]{16,80}")


_UNSAFE = re.compile(r"[^A-Za-z0-9_-]")


_EDGES, _TAIL = "-~. \u200c\u200d", ". \u200c\u200d"


def safe_name(text: str, room: int = _NAME_BYTES) -> str:
    """Return a text as one path component that is legal on every system: no separator, at most `room` bytes, not empty.

    Parameters
    ----------
    text : str
        Any text.
    room : int
        Maximum of bytes in UTF-8; 16 or more.

    Examples
    --------
    >>> safe_name("../etc"), safe_name("a/b: c?"), safe_name("CON"), safe_name("...")
    ('_etc', 'a_b_ c_', 'CON_', 'unknown')
    """
    name = one_line_text(text)
    if not _PLAINLY_SAFE.fullmatch(name):
        name = _SANITIZER.sanitize(name, "_")
    name = _cut(name.lstrip(_EDGES), room)
    if _is_reserved(name.partition(".")[0].strip().upper()):
        name = _cut("_" + name, room)
    return name or "unknown"


def _cut(name: str, room: int) -> str:
    if len(name) * 4 > room and len(name.encode()) > room:
        name = name.encode()[:room].decode(errors="ignore")
    return name.rstrip(_TAIL)


@lru_cache(maxsize=1024)
def safe_folder(text: str) -> str:
    """Return a folder name as `safe_name` does; cached, because many files share few folders."""
    return safe_name(text)


def _is_reserved(root: str) -> bool:
    return len(root) <= 8 and _is_reserved_word(root)


@cache
def _is_reserved_word(root: str) -> bool:
    if root in ("", "CONIN$", "CONOUT$"):
        return root != ""
    try:
        validate_filename(root, platform="universal", fs_encoding="utf-8")
    except ValidationError as error:
        return error.reserved_name is not None and bool(error.reserved_name)
    return False


def casefold_path(path: str) -> str:
    """Return a key that is equal for paths that a file system may not distinguish (letter case, Unicode form)."""
    if path.isascii():
        return path.lower()
    return unicodedata.normalize("NFC", unicodedata.normalize("NFD", path).casefold())


def unique_names(stems: Sequence[str], ids: Sequence[str], owners: Mapping[str, str]) -> list[str]:
    """Return a unique path for each row, with the id appended where paths collide; deterministic.

    Parameters
    ----------
    stems : sequence of str
        Paths without extension.
    ids : sequence of str
        Distinct ids of the history items.
    owners : mapping of str to str
        Casefolded path without extension to history item, of existing files; an item keeps its path.

    Returns
    -------
    list of str
        Paths of which no two are equal, in any letter case.
    """
    folded = [casefold_path(stem) for stem in stems]
    claims = Counter(folded)
    unique: list[str | None] = [None] * len(stems)
    taken = set(owners)
    for row, (stem, key, item) in enumerate(zip(stems, folded, ids, strict=True)):
        owner = owners.get(key)
        if owner is None and owners and owners.get(casefold_path(_suffixed(stem, item))) == item:
            continue
        if owner == item or (owner is None and claims[key] == 1):
            unique[row] = stem
            taken.add(key)
    for row, stem in enumerate(stems):
        if unique[row] is None:
            unique[row] = _with_id(stem, ids[row], owners, taken)
    return [stem for stem in unique if stem is not None]


def _with_id(stem: str, item: str, owners: Mapping[str, str], taken: set[str]) -> str:
    digest = hashlib.sha256(item.encode("utf-8", "replace")).hexdigest()
    for suffix in chain((item, f"{item[:40]}-{digest[:8]}"), (f"{digest}-{turn}" for turn in count(1))):
        candidate = _suffixed(stem, suffix)
        key = casefold_path(candidate)
        if key not in taken or owners.get(key) == item:
            break
    taken.add(key)
    return candidate


def _suffixed(stem: str, suffix: str) -> str:
    folder, slash, name = stem.rpartition("/")
    suffix = "-" + _UNSAFE.sub("_", suffix)[:80]
    return f"{folder}{slash}{_cut(name, STEM_BYTES - len(suffix))}{suffix}"
