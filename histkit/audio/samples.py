"""Recognise samples without a header: 16-bit PCM, mu-law and A-law (ITU-T G.711).

Neighbouring samples of a sound are alike, and unless it is as loud as can be, the upper byte of 16 bits takes fewer
values than the lower one. Bytes that are compressed, encrypted or a text show neither when read as samples.
"""

from __future__ import annotations

from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from histkit.util.arrays import Floats

_BLOCKS, _BLOCK_BYTES = 16, 4096
_LIKENESS = {"pcm": 0.5, "ulaw": 0.6, "alaw": 0.6}  # correlation of neighbouring samples, from which on it is a sound
_MARGIN = 0.1  # by which mu-law or A-law must be more alike than PCM
_MAX_ZEROS = 0.02  # of mu-law and A-law, where 0 is a value of the loudest sounds
_MIN_SAMPLES, _MIN_GAP = 4096, 0.3  # for the entropies of PCM's two bytes; their difference in bits

Bytes = NDArray[np.uint8]


def family_of_samples(file: BinaryIO, size: int) -> str | None:
    """Return ``pcm``, ``ulaw`` or ``alaw`` if the bytes of a file are samples of a sound; None otherwise.

    PCM is 16 bit, little-endian, mono. Silence (all samples equal) is PCM.
    """
    blocks = _read_blocks(file, size)
    likeness = {family: _likeness_as(family, blocks) for family in _LIKENESS}
    if likeness["pcm"] is None:
        return "pcm" if size > 1 else None
    zeros = sum(int((block == 0).sum()) for block in blocks) / max(1, sum(map(len, blocks)))
    known = {family: value for family, value in likeness.items() if value is not None and value > _LIKENESS[family]}
    if zeros > _MAX_ZEROS:
        known = {family: value for family, value in known.items() if family == "pcm"}
    if "pcm" in known:
        known["pcm"] += _MARGIN
    elif not known and _has_quiet_upper_bytes(blocks):
        return "pcm"
    return max(known, key=lambda family: known[family], default=None)


def may_be_samples(file: BinaryIO, size: int, family: str) -> bool:
    """Return whether the bytes of a file may be samples of a family; False for what is compressed or encrypted."""
    blocks = _read_blocks(file, size)
    likeness = _likeness_as(family, blocks)
    return likeness is None or likeness > _LIKENESS[family] or (family == "pcm" and _has_quiet_upper_bytes(blocks))


def _read_blocks(file: BinaryIO, size: int) -> list[Bytes]:
    """Read blocks that are spread over a file."""
    blocks = []
    for part in range(_BLOCKS):
        file.seek(size * part // _BLOCKS // 2 * 2)
        blocks.append(np.frombuffer(file.read(_BLOCK_BYTES), np.uint8))
    return blocks


def _likeness_as(family: str, blocks: list[Bytes]) -> float | None:
    """Return the correlation of neighbouring samples if the bytes are those of a family; None if all are equal."""
    if family == "pcm":
        return _likeness([block[: len(block) // 2 * 2].view("<i2").astype(float) for block in blocks])
    values = {"ulaw": _ULAW, "alaw": _ALAW}[family]
    return _likeness([values[block] for block in blocks])


def _has_quiet_upper_bytes(blocks: list[Bytes]) -> bool:
    """Return whether each second byte takes clearly fewer values than its neighbours: noise that is not loud."""
    even = np.concatenate([block[: len(block) // 2 * 2] for block in blocks])
    return len(even) // 2 >= _MIN_SAMPLES and _entropy(even[::2]) - _entropy(even[1::2]) > _MIN_GAP


def _entropy(values: Bytes) -> float:
    """Return the entropy of bytes in bits."""
    shares = np.bincount(values, minlength=256) / len(values)
    shares = shares[shares > 0]
    return -float(shares @ np.log2(shares))


def _likeness(blocks: list[Floats]) -> float | None:
    """Return the correlation of neighbouring samples, -1 to 1; None if all samples are equal."""
    products = squares = 0.0
    for block in blocks:
        if len(block) > 1:
            values = block - block.mean()
            products += float(values[1:] @ values[:-1])
            squares += float(values @ values)
    return products / squares if squares else None


def _ulaw_values() -> Floats:
    code = ~np.arange(256) & 0xFF
    size = (((code & 15) << 3) + 132 << (code >> 4 & 7)) - 132
    return np.where(code & 0x80, -size, size).astype(float)


def _alaw_values() -> Floats:
    code = np.arange(256) ^ 0x55
    exponent, fraction = code >> 4 & 7, (code & 15) << 4
    size = np.where(exponent == 0, fraction + 8, fraction + 264 << np.maximum(exponent - 1, 0))
    return np.where(code & 0x80, size, -size).astype(float)


_ULAW, _ALAW = _ulaw_values(), _alaw_values()
