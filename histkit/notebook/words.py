"""When each word of a row is heard, from the alignments of its characters."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from histkit.util.arguments import real_number
from histkit.util.text import one_line_text, replace_surrogates

_TIMES = ("character_start_times_seconds", "character_end_times_seconds")
_MOST_WORDS = 20_000


def word_times(alignments: str | Mapping[str, Any] | None) -> list[dict[str, Any]] | None:
    """Return the words of a text and when each is heard.

    Parameters
    ----------
    alignments : str, mapping or None
        A cell of the column ``alignments``, or what it holds as JSON: ``alignment`` has the characters of the text as
        sent, and when each begins and ends, in seconds.

    Returns
    -------
    list of dict or None
        ``text`` (without white space), ``start`` and ``end`` in seconds. Starts never fall, although the service's
        sometimes do in a long clip. None if there are no alignments, or not of this form.

    Examples
    --------
    >>> times = '"character_start_times_seconds": [0, 0.1, 0.2, 0.3], "character_end_times_seconds": [0.1, 0.2, 0.3, 1]'
    >>> word_times('{"alignment": {"characters": ["O", "h", " ", "!"], ' + times + "}}")
    [{'text': 'Oh', 'start': 0.0, 'end': 0.2}, {'text': '!', 'start': 0.3, 'end': 1.0}]
    """
    if alignments is None:
        return None
    try:
        content = msgspec.json.decode(alignments) if isinstance(alignments, str) else alignments
        spoken = content["alignment"]
        characters, starts, ends = spoken["characters"], *(map(real_number, spoken[name]) for name in _TIMES)
        timed = list(zip(characters, starts, ends, strict=True))
    except (ValueError, KeyError, TypeError):  # msgspec's errors are ValueErrors
        return None
    words: list[dict[str, Any]] = []
    within, latest = False, 0.0
    for character, start, end in timed:
        if not isinstance(character, str) or start is None or end is None:
            return None
        latest = max(latest, start)
        if not character.strip():
            within = False
        elif within:
            words[-1]["text"] += character
            words[-1]["end"] = max(words[-1]["end"], end)
        elif len(words) == _MOST_WORDS:
            break
        else:
            words.append({"text": character, "start": latest, "end": max(latest, end)})
            within = True
    for word in words:
        word["text"] = one_line_text(replace_surrogates(word["text"]))
    return words or None
