"""Make `histkit/sandbox/palette.bin`: the sandbox's syllables as MP3 frames and Opus packets that stand alone.

Run by hand when the voice in `histkit/sandbox/voicebox.py` changes: ``python tools/make_palette.py``. It needs
`lameenc` (PyPI) and the program `ffmpeg` with libopus. The result is committed; the package imports neither.

An MP3 encoder lets a frame keep its bits in the frames before it (the bit reservoir). This script gives each frame
its own bits back, so that frames may stand in any order. What is stored of a frame is its side information, with the
pointer into the reservoir set to 0, and its main data; the header is written at run time for the wanted bit rate.

Layout: zlib of a JSON line and the blocks it describes,
``{"mp3": [[size, ...], ...], "opus": [[size, ...], ...]}``: for each syllable the sizes of its frames, silence last.
"""

import json
import subprocess
import zlib
from pathlib import Path

import lameenc  # type: ignore[import-not-found]  # needed here only, not a dependency
import numpy as np
from numpy.typing import NDArray

from histkit.sandbox.synth import SYLLABLES, samples

TARGET = Path(__file__).parents[1] / "histkit" / "sandbox" / "palette.bin"
RATES = (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)
SIDE = 17
FRAME = 1152


def frames(mp3: bytes) -> list[bytes]:
    """Split a stream of MPEG-1 Layer III mono frames at 44.1 kHz, without the encoder's own Info frame."""
    found, at = [], 0
    while at + 4 <= len(mp3):
        if mp3[at] != 0xFF or mp3[at + 1] & 0xFE != 0xFA:
            raise ValueError(f"no frame at byte {at}")
        size = 144_000 * RATES[mp3[at + 2] >> 4] // 44_100 + (mp3[at + 2] >> 1 & 1)
        frame = mp3[at : at + size]
        if b"Xing" not in frame[:60] and b"Info" not in frame[:60]:
            found.append(frame)
        at += size
    return found


def standalone(stream: list[bytes]) -> list[bytes]:
    """Return side information and main data of each frame, with nothing left in the reservoir."""
    made, reservoir = [], b""
    for frame in stream:
        side = int.from_bytes(frame[4 : 4 + SIDE])
        total = SIDE * 8
        pointer = side >> (total - 9)
        granules = [side >> (total - 18 - 59 * k - 12) & 0xFFF for k in range(2)]
        needed = (sum(granules) + 7) // 8
        if pointer > len(reservoir):
            raise ValueError("the reservoir does not reach that far")
        data = (reservoir[len(reservoir) - pointer :] + frame[4 + SIDE :])[:needed]
        if len(data) < needed:
            raise ValueError("a frame lacks main data")
        made.append((side & (1 << total - 9) - 1).to_bytes(SIDE) + data)
        reservoir = (reservoir + frame[4 + SIDE :])[-511:]
    return made


def mp3(wave: NDArray[np.int16]) -> list[bytes]:
    """Encode one syllable between two silences and return the frames that sound like it."""
    encoder = lameenc.Encoder()
    encoder.set_bit_rate(64)
    encoder.set_in_sample_rate(44_100)
    encoder.set_channels(1)
    encoder.set_quality(2)
    encoder.silence()
    still = np.zeros(FRAME * 3, dtype="<i2")
    stream = bytes(encoder.encode(np.concatenate([still, wave, still]).tobytes()) + encoder.flush())
    # The encoder's delay of 1,105 samples is nearly one frame: three of stillness and one of delay go first.
    return standalone(frames(stream))[4 : 4 + len(wave) // FRAME]


def opus(wave: NDArray[np.int16]) -> list[bytes]:
    """Encode one syllable as Opus and return its packets of 20 ms."""
    program = [
        "ffmpeg",
        "-v",
        "error",
        "-f",
        "s16le",
        "-ar",
        "48000",
        "-ac",
        "1",
        "-i",
        "-",
        "-c:a",
        "libopus",
        "-b:a",
        "32k",
        "-vbr",
        "off",
        "-f",
        "ogg",
        "-",
    ]
    ogg = subprocess.run(program, input=wave.tobytes(), capture_output=True, check=True).stdout
    packets, at, rest = [], 0, b""
    while at < len(ogg):
        lacing = ogg[at + 27 : at + 27 + ogg[at + 26]]
        body = at + 27 + len(lacing)
        for size in lacing:
            rest += ogg[body : body + size]
            body += size
            if size < 255:
                packets.append(rest)
                rest = b""
        at = body
    return packets[2:]


def main() -> None:
    """Write the palette and say how large it is."""
    wide, fine = samples(44_100), samples(48_000)
    mp3s = [mp3(wide[k]) for k in range(SYLLABLES + 1)]
    opuses = [opus(fine[k]) for k in range(SYLLABLES + 1)]
    head = {"mp3": [[len(f) for f in fs] for fs in mp3s], "opus": [[len(p) for p in ps] for ps in opuses]}
    blocks = b"".join(f for fs in (*mp3s, *opuses) for f in fs)
    TARGET.write_bytes(zlib.compress(json.dumps(head, separators=(",", ":")).encode() + b"\n" + blocks, 9))
    largest = max(len(f) for fs in mp3s for f in fs)
    print(f"{SYLLABLES} syllables, {TARGET.stat().st_size:,} bytes, largest MP3 frame {largest} of 413")
    print("MP3 frames a syllable:", {len(fs) for fs in mp3s}, "Opus packets:", {len(ps) for ps in opuses})


if __name__ == "__main__":
    main()
