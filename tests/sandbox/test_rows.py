"""The sandbox's history: the same each time, and believable."""

import re
from collections import Counter, defaultdict
from datetime import UTC, datetime
from itertools import pairwise

import msgspec
import numpy as np
import pytest

from histkit.sandbox import history, page_bytes
from histkit.sandbox.catalog import MODELS, VOICES
from histkit.sandbox.rows import rows

PRICES = {model.model_id: model.price for model in MODELS}


def decoded(items: int, seed: int = 0, **options) -> list[dict]:
    return msgspec.json.decode(page_bytes(history(items, seed, **options)))["history"]


@pytest.fixture(scope="module")
def thousand() -> list[dict]:
    return decoded(1000)


@pytest.fixture(scope="module")
def many() -> list[dict]:
    return decoded(20_000, 1)


def said(row: dict) -> str:
    return "".join(line["text"] for line in row["dialogue"]) if row["dialogue"] else row["text"] or ""


def test_same_seed_same_history_and_another_seed_another():
    assert page_bytes(history(300, 5)) == page_bytes(history(300, 5))
    assert page_bytes(history(300, 5)) != page_bytes(history(300, 6))


def test_known_rows_stay_known():
    newest = decoded(1000)[0]
    assert (newest["history_item_id"], newest["date_unix"]) == KNOWN


KNOWN = ("xS3yHvEeMqoLJR1H7pAU", 1793475485)


@pytest.mark.parametrize("items", [1, 2, 3, 10, 57, 299, 300, 301])
def test_any_size(items):
    found = decoded(items, 9)
    assert len({row["history_item_id"] for row in found}) == len(found) == items
    assert found[0]["date_unix"] <= 1793476800


def test_no_size_below_one():
    with pytest.raises(ValueError, match="items=0 must be a whole number from 1 to 1000000"):
        history(0)


def test_another_end():
    assert history(50, now=1_600_000_000)[0].date_unix <= 1_600_000_000


def test_newest_first_with_ties(many):
    dates = [row["date_unix"] for row in many]
    assert dates == sorted(dates, reverse=True)
    assert max(Counter(dates).values()) >= 3


def test_two_years_that_grow_with_a_rhythm(many):
    moments = [datetime.fromtimestamp(row["date_unix"], UTC) for row in many]
    assert 690 < (moments[0] - moments[-1]).days <= 730
    first, last = (sum(m.year * 12 + m.month < 2025 * 12 + 11 for m in moments), 0)
    last = len(moments) - first
    assert last > 1.5 * first
    days = Counter(m.weekday() for m in moments)
    assert max(days[5], days[6]) < 0.5 * min(days[k] for k in range(5))
    hours = Counter(m.hour for m in moments)
    assert sum(hours[h] for h in range(8, 18)) > 0.7 * len(moments)


def test_an_audiobook_evening(thousand):
    dates = np.array([row["date_unix"] for row in thousand])[::-1]
    in_an_hour = np.searchsorted(dates, dates + 3600) - np.arange(len(dates))
    assert in_an_hour.max() >= 180
    assert sum(bool(re.search(r"chapter \d+", row["text"] or "", re.IGNORECASE)) for row in thousand) >= 5


def test_voices(thousand, many):
    count = Counter(row["voice_id"] for row in thousand if row["voice_id"])
    assert 12 <= len(count) <= 15
    assert count.most_common(1)[0][1] > 0.2 * len(thousand)
    names, ids = defaultdict(set), defaultdict(set)
    for row in thousand:
        if row["voice_id"]:
            names[row["voice_id"]].add(row["voice_name"])
            ids[row["voice_name"]].add(row["voice_id"])
    assert len(ids["Narrator"]) == 2
    assert [v for v in names.values() if len(v) == 2] == [{"Anika", "Anika - Clear, Warm and Professional"}]
    assert 'AC/DC: <b>"Loud"</b>' in ids
    assert {row["voice_category"] for row in many} == {*"premade cloned generated professional famous".split(), None}
    assert all(re.fullmatch(r"[0-9A-Za-z]{20}", voice.voice_id) for voice in VOICES)


def test_identifiers(thousand):
    for field in ("history_item_id", "request_id"):
        values = [row[field] for row in thousand]
        assert len(set(values)) == len(values)
        assert all(re.fullmatch(r"[0-9A-Za-z]{20}", value) for value in values)


def test_credits_are_the_price_of_the_characters_or_nothing(many):
    free = 0
    for row in many:
        credits = row["character_count_change_to"] - row["character_count_change_from"]
        assert credits >= 0
        if row.get("source", "") not in ("STS", "") and row.get("model_id"):
            free += credits == 0
            assert credits in (0, round(len(said(row)) * PRICES[row["model_id"]]))
    assert 0 < free < 0.1 * len(many)


def test_the_counter_runs_and_starts_again_each_month(many):
    falls = gaps = 0
    for newer, older in pairwise(many):
        step = newer["character_count_change_from"] - older["character_count_change_to"]
        if step < 0:
            falls += 1
            assert datetime.fromtimestamp(newer["date_unix"], UTC).day >= 14
        gaps += step > 0
    assert falls in (22, 23, 24)
    assert 0.005 * len(many) < gaps < 0.02 * len(many)


def test_sources_models_and_formats(many):
    sources = Counter(row.get("source") for row in many)
    assert sources["TTS"] > 0.5 * len(many)
    assert sources.keys() >= {"STS", "Projects", "Dubbing", "ConvAI", "AN", "Flows", "Podcasts", None}
    assert {row.get("model_id") for row in many} == {*PRICES, None}
    for row in many:
        family = (row.get("output_format") or "").split("_")[0]
        expected = {"mp3": "mpeg", "pcm": "pcm", "wav": "wav", "ulaw": "basic", "opus": "ogg"}.get(family)
        assert expected is None or row["content_type"] == f"audio/{expected}"


def test_old_rows_lack_what_the_api_did_not_have(many):
    newest, oldest = many[0], many[-1]
    assert {"output_format", "source", "model_id"} <= newest.keys()
    assert not {"output_format", "source", "model_id", "avatar_context"} & oldest.keys()
    assert "speed" not in oldest["settings"]
    assert "speed" in newest["settings"]
    assert any("delivery" in row for row in many)
    assert any(row.get("feedback") for row in many)
    assert any(row.get("avatar_context") for row in many)
    assert all(row["state"] == "created" for row in many)


def test_dialogues_have_empty_tops(many):
    dialogues = [row for row in many if row["dialogue"]]
    assert 0.01 < len(dialogues) / len(many) < 0.04
    for row in dialogues:
        assert {row["text"], row["voice_id"], row["voice_name"]} in ({None}, {""})
        assert 2 <= len({line["voice_id"] for line in row["dialogue"]}) <= 4
    assert {row["text"] for row in dialogues} == {None, ""}


def test_changed_speech_may_have_no_text(many):
    assert {row["text"] is None for row in many if row.get("source") == "STS"} == {True, False}


def test_takes_repeat_text_and_voice_within_minutes(many):
    repeats = 0
    last: dict[tuple, int] = {}
    for row in reversed(many):
        key = (row["voice_id"], row["text"])
        repeats += bool(row["text"]) and row["date_unix"] - last.get(key, 0) < 600
        last[key] = row["date_unix"]
    assert 0.03 * len(many) < repeats < 0.15 * len(many)


def test_texts_of_many_scripts_and_hostile_ones(thousand):
    everything = "\n".join(said(row) for row in thousand)
    for piece in ("ü", "ñ", "ł", "ी", "。", "ال", "🎉", "e\u0301", "../", "=SUM(A1", "<script>", '"', "\r\n", ","):
        assert piece in everything, piece


def test_alignments_fit_the_text():
    plain = [row for row in decoded(200, alignments=True) if row["text"]]
    assert len(plain) > 150
    for row in plain:
        spoken = row["alignments"]["alignment"]
        assert "".join(spoken["characters"]) == row["text"]
        starts, ends = spoken["character_start_times_seconds"], spoken["character_end_times_seconds"]
        assert len(starts) == len(ends) == len(row["text"])
        assert starts[0] == 0.0
        assert all(a < b for a, b in zip(starts, ends, strict=True))
        assert starts[1:] == ends[:-1]
        assert "".join(row["alignments"]["normalized_alignment"]["characters"]) == f" {row['text']} "


def test_a_large_history_costs_little_before_it_is_read():
    made = rows(200_000, 0)
    assert len(made) == 200_000
    assert made.item(199_999).date_unix <= 1793476800
