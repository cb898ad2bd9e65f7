"""Voices, models and formats of the sandbox: the fixed tables behind every history."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Voice:
    """One voice of the account; `weights` are its shares in the early, middle and late third of the history."""

    voice_id: str
    name: str
    category: str
    pool: int
    weights: tuple[float, float, float]
    pitch: int
    settings: tuple[float, float, float, bool, float]
    alive: bool = True
    later_name: str | None = None


@dataclass(frozen=True)
class Model:
    """One model and its price in credits for each character."""

    model_id: str
    name: str
    price: float
    short: str
    speech: bool = True


VOICES: tuple[Voice, ...] = (
    Voice("21m00Tcm4TlvDq8ikWAM", "Rachel", "premade", 0, (40, 30, 24), 2, (0.5, 0.75, 0.0, True, 1.0)),
    Voice(
        "kT4mQ9ZsVb2LxWc7RfHy",
        "Roger - Laid-Back, Casual, Resonant",
        "premade",
        0,
        (0, 16, 18),
        0,
        (0.45, 0.8, 0.1, True, 1.0),
    ),
    Voice(
        "w8NcJd3YpLq5TgXv1ZmB",
        "Anika",
        "professional",
        0,
        (12, 18, 22),
        3,
        (0.33, 0.6, 0.0, False, 1.1),
        later_name="Anika - Clear, Warm and Professional",
    ),
    Voice("Hs6RkPz0VnUe4CtWy9Da", "Narrator", "cloned", 0, (16, 10, 7), 1, (0.65, 0.85, 0.0, True, 0.95)),
    Voice("e2GxBu7LhTq8MvKj5SoN", "Narrator", "generated", 0, (0, 6, 8), 0, (0.5, 0.75, 0.3, False, 1.0)),
    Voice("Zr1FtYw6QcXe9PnLd3Ua", "Jonas (Hörbuch)", "cloned", 1, (7, 8, 7), 0, (0.7, 0.75, 0.0, True, 1.0)),
    Voice(
        "b5VkMs8HjNg2RzTq7EpC",
        "Sarah - Mature, Reassuring, Confident",
        "premade",
        7,
        (0, 5, 7),
        2,
        (0.5, 0.75, 0.0, True, 1.05),
    ),
    Voice("Xo9DwLf4UyAi6CbGt1Jr", "Lucía", "professional", 2, (2, 3, 5), 3, (0.4, 0.7, 0.2, True, 1.0)),
    Voice(
        "n3PvSe7KzQh0YmWx5TdR",
        "Marta – głos radiowy",
        "cloned",
        3,
        (5, 3, 0),
        2,
        (0.55, 0.75, 0.0, True, 1.0),
        alive=False,
    ),
    Voice("J6gUaBt2NkVc8ZrFy4Lm", "काव्या", "professional", 4, (0, 2, 3), 3, (0.5, 0.8, 0.0, True, 1.0)),
    Voice("q1XhTi5DoWs9EvPj3KnG", "さくら", "generated", 5, (0, 2, 3), 3, (0.6, 0.75, 0.0, False, 1.0)),
    Voice("C7yRmLz4HdQf0UwSb8Tx", "ليلى", "professional", 6, (0, 1, 2), 2, (0.5, 0.75, 0.0, True, 1.0)),
    Voice("v2EjKp9NaGc6XtYo1WhM", "Old Greg", "cloned", 0, (12, 0, 0), 1, (0.3, 0.9, 0.5, True, 1.0), alive=False),
    Voice("S4dZqUi8FrBw3LgVk7Pe", 'AC/DC: <b>"Loud"</b>', "cloned", 8, (0, 0, 0), 1, (0.2, 0.95, 0.8, True, 1.2)),
    Voice("t0HnCx5MyJe1RaDs9QvU", "Winston – Radio & Trailer", "famous", 8, (0, 0, 0), 0, (0.5, 0.9, 0.4, True, 1.0)),
)
HOSTILE, FAMOUS = 13, 14
RENAMED = 2

MODELS: tuple[Model, ...] = (
    Model("eleven_multilingual_v2", "Eleven Multilingual v2", 1.0, "m2"),
    Model("eleven_turbo_v2_5", "Eleven Turbo v2.5", 0.5, "t2_5"),
    Model("eleven_flash_v2_5", "Eleven Flash v2.5", 0.5, "f2_5"),
    Model("eleven_v3", "Eleven v3", 1.0, "v3"),
    Model("eleven_monolingual_v1", "Eleven English v1", 1.0, "e1"),
    Model("eleven_multilingual_sts_v2", "Eleven Multilingual v2 (voice changer)", 1.0, "ms2", speech=False),
)
MULTILINGUAL, TURBO, FLASH, V3, MONOLINGUAL, STS_MODEL = range(6)

SOURCES = ("TTS", "STS", "Projects", "Dubbing", "ConvAI", "AN", "Flows", "VoicePreview", "Podcasts")
"""`Podcasts` is not in the API's documentation: an unknown value."""

FORMATS: tuple[tuple[str, str], ...] = (
    ("mp3_44100_128", "audio/mpeg"),
    ("mp3_44100_192", "audio/mpeg"),
    ("pcm_24000", "audio/pcm"),
    ("pcm_16000", "audio/pcm"),
    ("wav_44100", "audio/wav"),
    ("ulaw_8000", "audio/basic"),
    ("opus_48000_32", "audio/ogg"),
)
"""Output format and content type of the stored audio."""
