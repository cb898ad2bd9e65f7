"""A history as integer columns, from which `rows.py` builds the API's rows on demand."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from histkit.sandbox import catalog, texts, timeline
from histkit.sandbox.prng import F64, I64, U64, below, identities, noise, pick, uniform

PARTS = 6
PLAIN, RETAKE, DIALOGUE, CHANGED = range(4)
_FEWEST = np.array([1, 2, 2, 1, 1, 3, 1])
_MOST = np.array([2, 6, 5, 1, 1, 6, 2])
_SOURCE_OF_THEME = np.array([0, 0, 2, 3, 4, 5, 6])
_DIALOGUE_SINCE = 1748476800  # 2025-05-29, when the API got the field


@dataclass(frozen=True)
class Columns:
    """One array for each property, oldest row first."""

    date: I64
    ids: NDArray[np.bytes_]
    requests: NDArray[np.bytes_]
    voice: I64
    model: I64
    source: I64
    form: I64
    pool: I64
    prefix: I64
    special: I64
    count: I64
    parts: I64
    kind: I64
    start: I64
    stop: I64
    bits: U64
    end: int
    days: int

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.date)


def _voices(rows: timeline.Rows, seed: int) -> I64:
    """Draw a voice for each session and, now and then, another one for a single row."""
    n = len(rows.date)
    weights = np.array([voice.weights for voice in catalog.VOICES], dtype=np.float64).T
    era = np.minimum((rows.age * 3).astype(np.int64), 2)
    main = uniform(seed, "voice", rows.sessions)[rows.session]
    other = uniform(seed, "other voice", n)
    stray = np.array([0.12, 0.02, 0.05, 0.8, 0.0, 0.0, 0.3])[rows.theme]
    main = np.where(uniform(seed, "stray", n) < stray, other, main)
    voice = np.zeros(n, dtype=np.int64)
    for k in range(3):
        voice[era == k] = pick(main[era == k], weights[k])
    # Strides instead of random draws: every history of a few hundred rows has the rare voices.
    row = np.arange(n)
    rare = rows.theme == timeline.ADHOC
    voice[(row % 199 == 77) & rare] = catalog.HOSTILE
    voice[(row % 331 == 154) & rare] = catalog.FAMOUS
    return voice


def _models(rows: timeline.Rows, pool: I64, seed: int) -> I64:
    """Draw a model for each session by its theme and its place in time."""
    u = uniform(seed, "model", rows.sessions)[rows.session]
    model = np.where(u < 0.78, catalog.MULTILINGUAL, np.where(u < 0.94, catalog.TURBO, catalog.FLASH))
    late = (rows.theme == timeline.ADHOC) & (rows.age > 0.55)
    model = np.where(late & (u > 0.70 - 0.25 * rows.age), catalog.V3, model)
    early = (rows.age < 0.25) & ((pool == 0) | (pool == texts.ADVERT))
    model = np.where(early & (u < 0.55), catalog.MONOLINGUAL, model)
    model = np.where(rows.theme == timeline.AUDIOBOOK, catalog.MULTILINGUAL, model)
    agent = rows.theme == timeline.AGENT
    return np.where(agent, np.where(u < 0.9, catalog.FLASH, catalog.TURBO), model).astype(np.int64)


def _formats(rows: timeline.Rows, seed: int) -> I64:
    u = uniform(seed, "format", rows.sessions)[rows.session]
    usual = pick(u, np.array([0.86, 0.04, 0.03, 0.015, 0.025, 0.01, 0.02]))
    agent = pick(u, np.array([0.4, 0.0, 0.0, 0.15, 0.0, 0.45, 0.0]))
    return np.where(rows.theme == timeline.AGENT, agent, usual).astype(np.int64)


def lengths(pool: I64, parts: I64, count: I64, prefix: I64, special: I64, kind: I64) -> I64:
    """Return the number of code points of each text (of all lines together for a dialogue)."""
    widest = max(len(sentences) for sentences in texts.POOLS)
    table = np.zeros((len(texts.POOLS), widest), dtype=np.int64)
    for k, sentences in enumerate(texts.POOLS):
        table[k, : len(sentences)] = [len(sentence) for sentence in sentences]
    used = np.arange(PARTS)[None, :] < count[:, None]
    total = (table[pool[:, None], parts] * used).sum(axis=1)
    gaps = np.array([len(gap) for gap in texts.GAPS])[pool] * (count - 1)
    total += np.where(kind == DIALOGUE, 0, gaps + np.array([len(text) for text in texts.PREFIXES])[prefix])
    rare = np.array([len(text) for text in texts.SPECIALS])
    return np.where(special >= 0, rare[special], total)


def _ledger(date: I64, credits: I64, spent_elsewhere: I64) -> tuple[I64, I64]:
    """Return the account's counter before and after each row; it starts again each month on the 14th, 09:30 UTC."""
    total = np.cumsum(credits + spent_elsewhere)
    before = total - credits
    moment = (date - 13 * timeline.DAY - 34_200).astype("datetime64[s]")
    month = moment.astype("datetime64[M]").astype(np.int64)
    first = np.searchsorted(month, month)
    base = np.where(first > 0, total[first - 1], -1188)
    return before - base, total - base


def columns(items: int, seed: int, end: int) -> Columns:
    """Draw a history of `items` rows that ends at `end` (unix seconds)."""
    rows = timeline.rows(items, seed, end)
    n, row, place = items, np.arange(items, dtype=np.int64), rows.place
    adhoc = rows.theme == timeline.ADHOC
    voice = _voices(rows, seed)
    of_voice = np.array([v.pool for v in catalog.VOICES])
    pool = np.where(uniform(seed, "english", n) < 0.08, 0, of_voice[voice])
    pool = np.where(rows.theme == timeline.AGENT, texts.DESK, pool)
    pool = np.where(adhoc & (pool == 0) & (uniform(seed, "advert", n) < 0.3), texts.ADVERT, pool)
    model = _models(rows, pool, seed)
    source = _SOURCE_OF_THEME[rows.theme].astype(np.int64)
    source[(source == 0) & (row % 433 == 120)] = catalog.SOURCES.index("Podcasts")
    source[(source == 0) & (row % 617 == 200)] = catalog.SOURCES.index("VoicePreview")
    book = rows.theme == timeline.AUDIOBOOK
    chapter = below(seed, "chapter", rows.sessions, 20)[rows.session] + place // 12
    chapter = np.where(chapter < texts.CHAPTERS, chapter, place // 12 % texts.CHAPTERS)
    prefix = np.where((book & (place % 12 == 0)) & (pool < 4), 1 + np.minimum(pool, 3) * texts.CHAPTERS + chapter, 0)
    tagged = (model == catalog.V3) & (uniform(seed, "tag", n) < 0.4)
    prefix = np.where(tagged & (prefix == 0), texts.FIRST_TAG + below(seed, "which tag", n, len(texts.TAGS)), prefix)
    few, many = _FEWEST[rows.theme], _MOST[rows.theme]
    count = few + below(seed, "count", n, many - few + 1)
    kind = np.zeros(n, dtype=np.int64)
    kind[adhoc & (uniform(seed, "changed", n) < 0.06)] = CHANGED
    kind[adhoc & (rows.date > _DIALOGUE_SINCE) & (uniform(seed, "dialogue", n) < 0.055)] = DIALOGUE
    count = np.where(kind == DIALOGUE, 2 + below(seed, "lines", n, PARTS - 1), count)
    plain = adhoc & (kind == PLAIN)
    turn = np.cumsum(plain)
    special = np.where(plain & (turn % 19 == 7), turn // 19 % len(texts.SPECIALS), -1)
    sizes = np.array([len(sentences) for sentences in texts.POOLS])[pool]
    parts = np.stack([below(seed, f"part {k}", n, sizes) for k in range(PARTS)], axis=1)

    # A retake repeats a text: it copies the nearest earlier row of the session that is not a retake.
    again = (uniform(seed, "again", n) < 0.09) & (place > 0)
    origin = np.maximum.accumulate(np.where(again, 0, row))
    voice, pool, prefix, special, count, parts, kind, model = (
        column[origin] for column in (voice, pool, prefix, special, count, parts, kind, model)
    )
    model = np.where(kind == DIALOGUE, catalog.V3, np.where(kind == CHANGED, catalog.STS_MODEL, model))
    source = np.where(kind == DIALOGUE, 0, np.where(kind == CHANGED, 1, source))
    credits = _prices(seed, lengths(pool, parts, count, prefix, special, kind), model, kind, again)
    kind = np.where(again & (kind == PLAIN), RETAKE, kind)

    order = np.argsort(rows.date, kind="stable")
    elsewhere = np.where(uniform(seed, "elsewhere", n) < 0.012, 200 + below(seed, "music", n, 1800), 0)
    start, stop = _ledger(rows.date[order], credits[order], elsewhere)
    ids, requests = identities(seed, "item", n), identities(seed, "request", n)
    return Columns(
        date=rows.date[order],
        ids=ids,
        requests=requests,
        voice=voice[order],
        model=model[order],
        source=source[order],
        form=_formats(rows, seed)[order],
        pool=pool[order],
        prefix=prefix[order],
        special=special[order],
        count=count[order],
        parts=parts[order],
        kind=kind[order],
        start=start,
        stop=stop,
        bits=noise(seed, "row", n),
        end=end,
        days=timeline.span(items),
    )


def _prices(seed: int, length: I64, model: I64, kind: I64, again: NDArray[np.bool_]) -> I64:
    """Return the credits of each row: a price for each character, halves rounded to even, some retakes free."""
    n = len(length)
    price: F64 = np.array([m.price for m in catalog.MODELS])[model]
    credits = np.rint(length * price).astype(np.int64)
    # Speech to speech is billed by duration, which rows don't state.
    credits = np.where(kind == CHANGED, 20 + below(seed, "duration", n, 400), credits)
    return np.where(again & (uniform(seed, "free", n) < 0.45), 0, credits)
