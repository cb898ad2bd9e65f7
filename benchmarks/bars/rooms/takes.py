"""The bars of takes: of a whole history, and near ones of an audiobook's lines, which differ in a few letters."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator

import numpy as np
import pandas as pd

import histkit as hk
from benchmarks.bars import Bar, data

NEAR = 0.9
_LETTERS = dict(zip("etaoinshrdlucmfwypvbgkjqxz", [*range(26, 0, -1)], strict=True))


def lines(number: int) -> list[str]:
    """Return distinct lines of 4 to 49 words; of every third line a take or two with up to five letters changed."""
    rng = random.Random(5)
    words = ["".join(rng.choices([*_LETTERS], [*_LETTERS.values()], k=rng.randrange(2, 10))) for _ in range(8000)]
    frequency = [1 / place for place in range(3, 8003)]
    texts: dict[str, None] = {}
    while len(texts) < number:
        text = " ".join(rng.choices(words, frequency, k=rng.randrange(4, 50)))[:300] + "."
        texts[text] = None
        while rng.random() < 0.25:
            letters = list(text)
            for _ in range(rng.randrange(1, 6)):
                letters[rng.randrange(len(letters))] = rng.choice("abc ,")
            texts[" ".join("".join(letters).split())] = None
    return [*texts][:number]


def frame(number: int) -> pd.DataFrame:
    """Return a history of these lines, all of one voice and none a dialogue."""
    df = hk.sample_history(number)
    voice = pd.Categorical(["Rachel"] * number)
    texts = pd.array(lines(number), dtype=df["text"].dtype)
    return df.assign(
        text=texts, voice_id=voice, voice_name=voice, dialogue=pd.array([None] * number, df["dialogue"].dtype)
    )


def near(number: int) -> Iterator[int | None]:
    """Find the near takes."""
    df = frame(data.scaled(number))
    yield None
    yield int(hk.takes(df, near=NEAR)["line"].nunique())


def by_hand(number: int) -> Iterator[int | None]:
    """Compare all pairs of similar length with rapidfuzz, on all cores, and join what is linked."""
    from rapidfuzz.distance import Indel
    from rapidfuzz.process import cdist

    texts = frame(data.scaled(number))["text"].str.lower().tolist()
    yield None
    texts.sort(key=len)
    lengths = np.array([len(text) for text in texts])
    parents = [*range(len(texts))]

    def root(place: int) -> int:
        while parents[place] != place:
            parents[place] = place = parents[parents[place]]
        return place

    for start in range(0, len(texts), 500):
        stop = min(len(texts), start + 500)
        end = int(np.searchsorted(lengths, lengths[stop - 1] * (2 - NEAR) / NEAR + 1e-9, side="right"))
        scores = cdist(
            texts[start:stop], texts[start:end], scorer=Indel.normalized_similarity, score_cutoff=NEAR, workers=-1
        )
        for one, other in np.argwhere(scores > 0).tolist():
            parents[root(start + other)] = root(start + one)
    yield len({root(place) for place in range(len(texts))})


def near_20k(folder: str) -> Iterator[int | None]:
    """Find the near takes of 20,000 lines."""
    return near(20_000)


def near_138k(folder: str) -> Iterator[int | None]:
    """Find the near takes of 138,000 lines."""
    return near(138_000)


def by_hand_20k(folder: str) -> Iterator[int | None]:
    """Compare 20,000 lines by hand."""
    return by_hand(20_000)


def _bar(number: int, ours: Callable[[str], Iterator[int | None]], aim: float, **options: object) -> Bar:
    return Bar(f"`takes(near={NEAR})`, {number:,} lines of one voice", ours, aim=aim, **options)  # type: ignore[arg-type]


def _beyond_ascii(folder: str) -> pd.DataFrame:
    df = data.frame(folder, 1_000_000)
    return df.assign(text=("É " + df["text"].astype(object)).astype(df["text"].dtype))


def whole(folder: str) -> Iterator[int | None]:
    """Find the takes of a history whose texts are not ASCII."""
    df = _beyond_ascii(folder)
    yield None
    hk.takes(df)
    yield None


def whole_by_hand(folder: str) -> Iterator[int | None]:
    """Normalise the texts and number them by voice with pandas; dialogues have no voice and no text."""
    df = _beyond_ascii(folder)
    yield None
    plain = df["text"].str.normalize("NFKC").str.casefold().str.replace(r"\s+", " ", regex=True).str.strip()
    groups = df.assign(plain=plain).sort_values("date").groupby(["voice_id", "plain"], observed=True)
    df.assign(take=groups.cumcount() + 1, takes=groups["credits"].transform("size"))
    yield None


BARS = (
    Bar(
        "`takes`, 1,000,000 rows, texts not ASCII",
        whole,
        {"pandas by hand, without dialogues": whole_by_hand},
        aim=4,
        memory=300,
    ),
    _bar(20_000, near_20k, 2, beside={"rapidfuzz, all pairs of similar length": by_hand_20k}, rounds=1),
    _bar(138_000, near_138k, 20),
)
