"""Compare histkit's lengths of clips with a full decode: ``python -m benchmarks.audio_lengths [file or folder ...]``.

ffmpeg decodes each file to its last sample; what ffprobe says is an estimate for variable rates and is not used.
Without arguments, clips are encoded by ffmpeg in each format (to a file and to a pipe; two joined; of variable rate
without a header), and the sample files in the source distributions of tinytag and mutagen are downloaded by pip into a
temporary folder (mutagen's licence is the GPL: its files are no part of histkit). A file that histkit refuses is listed
with the reason, beside what ffmpeg could still decode of it.
"""

from __future__ import annotations

import io
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from histkit.audio.clip_reader import ClipStructure
from histkit.audio.formats import identify
from histkit.audio.structure import inspect_clip
from histkit.errors import DownloadError

SUFFIXES = {
    ".mp3",
    ".mp2",
    ".wav",
    ".ogg",
    ".oga",
    ".oggflac",
    ".opus",
    ".spx",
    ".m4a",
    ".m4b",
    ".mp4",
    ".3g2",
    ".aac",
    ".flac",
}
_SPEECH = (
    "aevalsrc=0.4*sin(2*PI*(150+40*sin(2*PI*3*t))*t)*(0.5+0.5*sin(2*PI*2.3*t))+0.05*random(0)*abs(sin(2*PI*1.1*t))"
    ":s=44100:d=5.3"
)
_SILENCE_AND_NOISE = "aevalsrc=if(gt(t\\,4)\\,0.5*random(0)\\,0):s=44100:d=10"
_ENCODINGS = {
    "mp3, 128 kbit/s": ("mp3", "-b:a 128k", True),
    "mp3, 192 kbit/s": ("mp3", "-b:a 192k", True),
    "mp3, 44.1 kHz, 64 kbit/s": ("mp3", "-b:a 64k", True),
    "mp3, 24 kHz, 48 kbit/s": ("mp3", "-ar 24000 -b:a 48k", True),
    "mp3, 22.05 kHz, 32 kbit/s": ("mp3", "-ar 22050 -b:a 32k", True),
    "mp3, stereo": ("mp3", "-ac 2 -b:a 128k", True),
    "mp3, variable rate": ("mp3", "-q:a 4", True),
    "mp2": ("mp2", "-b:a 128k", True),
    "wav": ("wav", "", True),
    "wav, mu-law": ("wav", "-c:a pcm_mulaw", True),
    "wav, 24 bit, 4 channels": ("wav", "-c:a pcm_s24le -ac 4", True),
    "wav, float": ("wav", "-c:a pcm_f32le", True),
    "wav, ADPCM": ("wav", "-c:a adpcm_ms", True),
    "wav, RF64": ("wav", "-rf64 always", False),
    "opus": ("opus", "-c:a libopus", True),
    "opus, 60 ms": ("opus", "-c:a libopus -frame_duration 60 -b:a 16k", True),
    "vorbis": ("ogg", "-c:a libvorbis", True),
    "flac in ogg": ("ogg", "-c:a flac", True),
    "flac": ("flac", "", True),
    "aac in mp4": ("ipod", "-c:a aac", False),
    "aac in mp4, index first": ("ipod", "-c:a aac -movflags faststart", False),
    "aac in mp4, fragments": ("mp4", "-c:a aac -movflags frag_keyframe+empty_moov -frag_duration 1000000", True),
    "aac in adts": ("adts", "-c:a aac", True),
}


class Row(NamedTuple):
    """One file: what histkit measures, and what ffmpeg decodes."""

    name: str
    family: str
    structure: ClipStructure
    decoded: float | None

    @property
    def difference(self) -> float | None:
        """Seconds by which histkit's length is greater."""
        if self.structure.seconds is None or self.decoded is None:
            return None
        return self.structure.seconds - self.decoded


def compare(path: Path, name: str) -> Row:
    """Measure a file and decode it."""
    body = path.read_bytes()
    try:
        audio_format = identify(io.BytesIO(body), len(body), None)
    except DownloadError as error:
        return Row(name, "", ClipStructure(None, problem=str(error)), decoded_seconds(path))
    structure = inspect_clip(io.BytesIO(body), len(body), audio_format)
    return Row(name, audio_format.family, structure, decoded_seconds(path))


def decoded_seconds(path: Path) -> float | None:
    """Return the length of a full decode by ffmpeg; None if it decodes nothing."""
    question = [
        "ffprobe",
        "-v",
        "error",
        "-select_streams",
        "a:0",
        "-show_entries",
        "stream=sample_rate",
        "-of",
        "csv=p=0",
    ]
    rate = subprocess.run([*question, path], capture_output=True, text=True, check=False).stdout.strip().split(",")[0]
    if not rate.isdigit() or not int(rate):
        return None
    command = ["ffmpeg", "-v", "quiet", "-i", path, "-map", "0:a:0", "-ac", "1", "-ar", rate, "-f", "s16le", "-"]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        size = sum(len(block) for block in iter(lambda: process.stdout.read(1 << 20), b""))  # type: ignore[union-attr]
    return size / 2 / int(rate) or None


def encode(folder: Path) -> Iterator[tuple[Path, str]]:
    """Yield clips of each format, made by ffmpeg: written to a file and, where the format allows it, to a pipe."""
    for number, (name, (form, options, piped)) in enumerate(_ENCODINGS.items()):
        command = ["ffmpeg", "-v", "error", "-y", "-f", "lavfi", "-i", _SPEECH, *options.split(), "-f", form]
        path = folder / f"{number}.{form}"
        subprocess.run([*command, path], check=True)
        yield path, name
        if piped:
            stream = folder / f"{number}-piped.{form}"
            stream.write_bytes(subprocess.run([*command, "pipe:1"], check=True, capture_output=True).stdout)
            yield stream, f"{name}; piped"
    joined = folder / "joined.mp3"
    joined.write_bytes((folder / "0.mp3").read_bytes() * 2)
    yield joined, "two mp3 joined"
    varying = folder / "varying.mp3"
    command = ["ffmpeg", "-v", "error", "-y", "-f", "lavfi", "-i", _SILENCE_AND_NOISE, "-q:a", "2", "-write_xing", "0"]
    subprocess.run([*command, varying], check=True)
    yield varying, "mp3, 4 s of silence and 6 s of noise, no header frame"


def sample_files(folder: Path) -> Iterator[tuple[Path, str]]:
    """Yield the sample files in the source distributions of tinytag and mutagen."""
    command = [sys.executable, "-m", "pip", "download", "-q", "--no-binary", ":all:", "--no-deps", "tinytag", "mutagen"]
    subprocess.run([*command, "--dest", folder], check=True)
    for archive in sorted(folder.glob("*.tar.gz")):
        with tarfile.open(archive) as packed:
            packed.extractall(folder, filter="data")
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() in SUFFIXES:
            yield path, path.name


def print_table(rows: list[Row]) -> None:
    """Print a line per file, and the largest difference."""
    for row in rows:
        length = "-" if row.structure.seconds is None else f"{row.structure.seconds:.4f}"
        decoded = "-" if row.decoded is None else f"{row.decoded:.4f}"
        difference = "" if row.difference is None else f"{row.difference:+.4f}"
        note = row.structure.problem or row.structure.proof
        print(f"{row.name:54} {row.family:5} {length:>9} {decoded:>9} {difference:>8}  {note}")
    compared = [row for row in rows if row.difference is not None]
    refused = [row for row in rows if row.structure.problem is not None]
    worst = max(compared, key=lambda row: abs(row.difference or 0), default=None)
    print(f"\n{len(rows)} files: {len(compared)} compared, {len(refused)} refused.")
    if worst is not None:
        print(f"Largest difference: {worst.difference:+.4f} s, {worst.name}.")


def main() -> None:
    """Compare the files given, or those that are made and downloaded."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if sys.argv[1:]:
            paths = [
                file for given in map(Path, sys.argv[1:]) for file in (given.rglob("*") if given.is_dir() else [given])
            ]
            files = [(path, path.name) for path in sorted(paths) if path.suffix.lower() in SUFFIXES]
        else:
            (folder / "made").mkdir()
            (folder / "samples").mkdir()
            files = [*encode(folder / "made"), *sample_files(folder / "samples")]
        print_table([compare(path, label) for path, label in files])


if __name__ == "__main__":
    main()
