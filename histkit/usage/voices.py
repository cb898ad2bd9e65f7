"""What the voices of a table are called: each by its latest name, and all labels different."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from histkit.usage.dialogue import voices_of, words

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Ints = NDArray[np.int64]

NO_VOICE = "(no voice)"
_SHORTEST_ID = 6


@dataclass(frozen=True)
class Voices:
    """The voice of each row of a partial, and what each voice is: id or name, and label."""

    codes: Ints
    keys: list[tuple[str | None, str | None]]
    labels: list[str]


def voices_in(partial: pd.DataFrame) -> Voices:
    """Name the voices of a partial sum, by its columns voice_id, voice_name and latest."""
    ids, id_values = words(partial["voice_id"])
    names, texts = words(partial["voice_name"])
    codes = voices_of(ids, names, len(id_values))
    keys = [*((each, None) for each in id_values), *((None, each) for each in texts)]
    seen = np.flatnonzero(np.bincount(codes + 1)[1:]).tolist()
    latest = _latest_names(codes, names, texts, partial["latest"])
    shown = {voice: latest.get(voice) or keys[voice][0] or "" for voice in seen}
    labels = _labels(shown, keys)
    return Voices(codes, keys, labels)


def _labels(names: dict[int, str], keys: list[tuple[str | None, str | None]]) -> list[str]:
    """Tell voices of one name apart by their ids; all labels are different."""
    alike: dict[str, list[str]] = {}
    for voice, name in names.items():
        alike.setdefault(name, []).append(keys[voice][0] or "")
    lengths = {name: _telling_length(ids) for name, ids in alike.items()}
    labels, taken = [""] * len(keys), {NO_VOICE}
    for voice in sorted(names, key=lambda each: (keys[each][0] is None, keys[each])):
        label, voice_id = names[voice], keys[voice][0]
        suffix = f" ({voice_id[: lengths[label]]})" if voice_id else " (no id)"
        if len(alike[label]) > 1:
            label += suffix
        while label in taken:
            label += suffix
        taken.add(label)
        labels[voice] = label
    return labels


def _telling_length(ids: list[str]) -> int:
    length = _SHORTEST_ID
    while len({each[:length] for each in ids}) < len(ids):
        length += 1
    return length


def _latest_names(voices: Ints, names: Ints, texts: list[str], instants: pd.Series) -> dict[int, str]:
    never = np.iinfo(np.int64).min
    codes, pairs = pd.factorize(voices * (len(texts) + 1) + names)
    times = np.full(len(pairs), never)
    np.maximum.at(times, codes, instants.to_numpy(np.int64, na_value=never))
    found: dict[int, tuple[int, str]] = {}
    for time, pair in zip(times.tolist(), pairs.tolist(), strict=True):
        voice, name = divmod(pair + 1, len(texts) + 1)  # 0: no name
        if voice >= 0 and name:
            found[voice] = max(found.get(voice, (time, "")), (time, texts[name - 1]))
    return {voice: name for voice, (_, name) in found.items()}
