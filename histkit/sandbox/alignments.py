"""When each character of a text is heard: the alignments of a row, as JSON."""

from functools import lru_cache

import msgspec

_LONGEST = 6000
_LONGEST_SECONDS = 12.0  # where the sandbox's audio ends; later characters follow within milliseconds
_SECONDS_PER_CHARACTER = (0.058, 0.064, 0.069, 0.076)


@lru_cache(maxsize=len(_SECONDS_PER_CHARACTER))
def _clock(tempo: int) -> tuple[bytes, tuple[int, ...]]:
    """Return the moments 0, 1, 2, ... characters as JSON numbers, and where each number begins in it."""
    step = _SECONDS_PER_CHARACTER[tempo]
    text, begins = bytearray(), []
    moment = 0.0
    for k in range(_LONGEST):
        begins.append(len(text))
        text += f"{moment:.3f},".encode()
        moment = (k + 1) * step if (k + 1) * step < _LONGEST_SECONDS else max(moment, _LONGEST_SECONDS) + 0.001
    return bytes(text), (*begins, len(text))


def _alignment(text: str, tempo: int) -> bytes:
    clock, begins = _clock(tempo)
    n = min(len(text), _LONGEST - 1)
    # The same digits serve every row, so a row costs two slices.
    starts, ends = clock[: max(0, begins[n] - 1)], clock[begins[1] : max(begins[1], begins[n + 1] - 1)]
    letters = msgspec.json.encode(list(text[:n]))
    return (
        b'{"characters":'
        + letters
        + b',"character_start_times_seconds":['
        + starts
        + b'],"character_end_times_seconds":['
        + ends
        + b"]}"
    )


def alignments(text: str, tempo: int) -> bytes:
    """Return the alignments object of a text as JSON; `tempo` is 0 to 3."""
    spoken = _alignment(text, tempo)
    normalized = _alignment(f" {text} ", tempo)
    return b'{"alignment":' + spoken + b',"normalized_alignment":' + normalized + b"}"
