"""Repeatable noise: the same seed gives the same numbers on every machine and every NumPy.

NumPy may change the streams of its generators between versions, so the sandbox draws from a hash of a counter
(SplitMix64) instead.
"""

import zlib

import numpy as np
from numpy.typing import NDArray

U64 = NDArray[np.uint64]
F64 = NDArray[np.float64]
I64 = NDArray[np.int64]

ALPHABET = np.frombuffer(b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz", dtype=np.uint8)
_GOLDEN = 0x9E3779B97F4A7C15
_MASK = (1 << 64) - 1


def noise(seed: int, stream: str, n: int) -> U64:
    """Return `n` uint64 numbers of the stream called `stream`."""
    start = (seed * 0xD1342543DE82EF95 + zlib.crc32(stream.encode()) * _GOLDEN) & _MASK
    x = np.arange(1, n + 1, dtype=np.uint64) * np.uint64(_GOLDEN) + np.array([start], dtype=np.uint64)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def number(seed: int, stream: str, k: int) -> int:
    """Return the `k`-th number of a stream without making the others (a Python int below 2**64)."""
    x = (seed * 0xD1342543DE82EF95 + zlib.crc32(stream.encode()) * _GOLDEN + (k + 1) * _GOLDEN) & _MASK
    x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & _MASK
    return x ^ (x >> 31)


def chance(seed: int, stream: str, k: int) -> float:
    """Return the `k`-th number of a stream as a float in [0, 1)."""
    return (number(seed, stream, k) >> 11) * 2.0**-53


def uniform(seed: int, stream: str, n: int) -> F64:
    """Return `n` floats in [0, 1)."""
    return (noise(seed, stream, n) >> np.uint64(11)).astype(np.float64) * 2.0**-53


def below(seed: int, stream: str, n: int, high: int | I64) -> I64:
    """Return `n` integers in [0, high); `high` may be an array of length `n`."""
    return (uniform(seed, stream, n) * high).astype(np.int64)


def pick(u: F64, weights: F64) -> I64:
    """Turn uniform numbers into indices with the given weights."""
    steps = np.cumsum(weights)
    indices: I64 = np.searchsorted(steps, u * steps[-1], side="right").astype(np.int64)
    return np.minimum(indices, len(weights) - 1)


def identities(seed: int, stream: str, n: int) -> NDArray[np.bytes_]:
    """Return `n` base62 identifiers of 20 characters, dtype ``S20``."""
    letters = np.empty((n, 20), dtype=np.uint8)
    for half in range(2):
        x = noise(seed, f"{stream}/{half}", n)
        for place in range(10):
            letters[:, half * 10 + place] = ALPHABET[(x % np.uint64(62)).astype(np.int64)]
            x //= np.uint64(62)
    return letters.view("S20").reshape(n)


def identity(seed: int, stream: str, k: int) -> str:
    """Return one base62 identifier of 20 characters."""
    wide = number(seed, f"{stream}/a", k) << 64 | number(seed, f"{stream}/b", k)
    text = ""
    for _ in range(20):
        wide, digit = divmod(wide, 62)
        text += chr(ALPHABET[digit])
    return text
