"""Speech synthesis of the sandbox: syllables from a buzzing source and the formants of five vowels, at any rate."""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from histkit.sandbox.prng import F64, uniform

PITCHES = (92.0, 118.0, 176.0, 212.0)
VOWELS = ((730, 1090, 2440), (530, 1840, 2480), (300, 2240, 2900), (500, 880, 2400), (340, 900, 2250))
TUNES = (1.12, 0.9)
SYLLABLES = len(PITCHES) * len(VOWELS) * len(TUNES)
SECONDS = 0.2089795918367347
"""Length of a syllable: eight MP3 frames of 1,152 samples at 44,100 a second."""
_LOUDEST = 0.55


def syllable(k: int, rate: int) -> F64:
    """Return syllable `k` at a sample rate, as floats between -1 and 1 that begin and end in silence."""
    pitch = PITCHES[k // (len(VOWELS) * len(TUNES))]
    formants, tune = VOWELS[k // len(TUNES) % len(VOWELS)], TUNES[k % len(TUNES)]
    n = round(SECONDS * rate)
    t = np.arange(n) / rate
    glide = pitch * (1 + (tune - 1) * t / SECONDS)
    phase = 2 * np.pi * np.cumsum(glide) / rate
    wave = np.zeros(n)
    for harmonic in range(1, int(min(3600.0, rate * 0.45) / (pitch * max(tune, 1))) + 1):
        tone = harmonic * pitch
        heard = sum(0.7**place / (1 + ((tone - centre) / 90.0) ** 2) for place, centre in enumerate(formants))
        wave += (heard + 0.02) / harmonic**0.4 * np.sin(harmonic * phase)
    hiss = np.interp(np.arange(n) * 16_000 / rate, np.arange(16_000), uniform(k, "hiss", 16_000) - 0.5)
    wave = wave / np.abs(wave).max() + 0.25 * hiss * np.exp(-t * 60) * (k % 3 == 0)
    quiet = 0.012
    rise = np.clip((t - quiet) / 0.03, 0, 1)
    fall = np.clip((SECONDS - quiet - t) / 0.06, 0, 1)
    wave *= np.sin(rise * np.pi / 2) ** 2 * np.sin(fall * np.pi / 2) ** 2
    scaled: F64 = wave * (_LOUDEST / np.abs(wave).max())
    return scaled


@lru_cache(maxsize=8)
def samples(rate: int) -> NDArray[np.int16]:
    """Return all syllables at a rate as 16-bit samples, one row each, silence in the last row."""
    spoken = np.stack([syllable(k, rate) for k in range(SYLLABLES)])
    silence = np.zeros((1, spoken.shape[1]))
    samples: NDArray[np.int16] = np.rint(np.vstack([spoken, silence]) * 32_767).astype("<i2")
    return samples
