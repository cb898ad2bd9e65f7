"""Usage in parts: partial sums that combine in any way, and the same numbers from Dask as from pandas."""

from __future__ import annotations

import json
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dask
import dask.dataframe as dd
import dask.threaded
import numpy as np
import pandas as pd
import pytest
from distributed import Client, LocalCluster
from hypothesis import given, settings
from hypothesis import strategies as st

import histkit as hk
from histkit.dask import from_months
from histkit.reports.statement_rows import StatementRows
from histkit.retakes.takes import takes
from histkit.sandbox import serve
from histkit.usage.aggregate import combine, partial_sums
from histkit.usage.labels import label
from histkit.usage.table import build_table, parse_query, usage_table
from tests.usage.test_table import FREQS, ZONES, bys, frames

pytestmark = pytest.mark.filterwarnings("ignore:The frame has no column 'history_item_id'")

RULES = [{"label": "Acme", "speaker": "Rachel"}, {"label": "In house", "text": "the", "after": "2026-01-01"}]


@dataclass(frozen=True)
class Months:
    """Reads months from a folder, and writes down what it was asked for."""

    folder: Path

    def __call__(self, key: int, columns: list[Any] | None) -> pd.DataFrame:
        with (self.folder / "reads").open("a") as file:
            file.write(json.dumps([key, columns]) + "\n")
        frame: pd.DataFrame = pd.read_pickle(self.folder / f"{key}.pickle")
        return frame if columns is None else frame[columns]

    def reads(self) -> list[tuple[int, list[str]]]:
        path = self.folder / "reads"
        found = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
        path.unlink(missing_ok=True)
        return found


def cut(frame: pd.DataFrame, cuts: list[int]) -> list[pd.DataFrame]:
    """Cut a frame up; each piece has an index of its own, and only the categories that occur in it."""
    pieces = [frame.iloc[start:end] for start, end in zip([0, *cuts], [*cuts, len(frame)], strict=True)]
    named = [name for name, dtype in frame.dtypes.items() if isinstance(dtype, pd.CategoricalDtype)]
    return [
        piece.reset_index(drop=True).assign(**{name: piece[name].array.remove_unused_categories() for name in named})
        for piece in pieces
    ]


@pytest.fixture(scope="module")
def history() -> pd.DataFrame:
    frame = hk.sample_history(1500, seed=3)
    frame.loc[::97, "date"] = pd.NaT
    return frame.assign(extra_words=frame["text"].str.slice(0, 3).astype(object))


@pytest.fixture(scope="module")
def months(history: pd.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> Months:
    """Twelve months cut at random, two of them without a row."""
    folder = tmp_path_factory.mktemp("months")
    cuts = sorted([0, *np.random.default_rng(5).integers(0, len(history), 9).tolist(), len(history)])
    for key, piece in enumerate(cut(history, cuts)):
        piece.to_pickle(folder / f"{key}.pickle")
    return Months(folder)


@pytest.fixture
def ddf(months: Months, history: pd.DataFrame) -> Iterator[dd.DataFrame]:
    months.reads()
    with dask.config.set(scheduler="threads"):
        yield from_months(months, range(12), history)


def check_same(ours: pd.DataFrame, theirs: pd.DataFrame) -> None:
    pd.testing.assert_frame_equal(ours, theirs, check_categorical=False)
    assert isinstance(ours.index, pd.RangeIndex)
    assert ours.attrs == theirs.attrs


def by_id(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.sort_values("history_item_id").reset_index(drop=True)


splits = st.lists(st.integers(0, 12), max_size=5)


@given(
    frames,
    splits,
    st.randoms(use_true_random=False),
    bys,
    st.sampled_from([None, *FREQS, "billing"]),
    st.sampled_from(ZONES),
    st.none() | st.integers(1, 3),
    st.sampled_from(
        [{}, {"fill": True}, {"compare": "previous"}, {"fill": (None, "2027-01-01"), "compare": "previous"}]
    ),
)
def test_sums_of_parts_make_the_table_of_the_whole(
    frame: pd.DataFrame,
    places: list[int],
    random: Any,
    by: Any,
    freq: str | None,
    zone: str,
    top: int | None,
    more: dict[str, Any],
) -> None:
    more = {} if freq is None or "h" in freq else more  # thirty years of hours are too many
    more = {**more, "billing": 30} if freq == "billing" else more
    wanted = parse_query(by, freq, tz=zone, top=top, **more)
    partials = [partial_sums(each, wanted) for each in cut(frame, sorted(min(each, len(frame)) for each in places))]
    random.shuffle(partials)
    while len(partials) > 1:  # a tree of any form
        first = random.randrange(len(partials) - 1)
        last = random.randrange(first + 2, len(partials) + 1)
        partials[first:last] = [combine(partials[first:last])]
    check_same(build_table(partials[0], wanted), usage_table(frame, by, freq, tz=zone, top=top, **more))
    keys = partials[0].columns[: partials[0].columns.get_loc("items")]
    assert len(partials[0]) == len(partials[0][keys].drop_duplicates()) or not len(keys)


@pytest.mark.parametrize(
    ("by", "freq", "tz", "top"),
    [
        ("voice", None, "UTC", None),
        ("voice", "MS", "Europe/Berlin", None),
        ("speaker", "W", "America/New_York", 3),
        ("model", "h", "Asia/Kolkata", None),
        ("model", None, "UTC", 2),
        ("source", "D", "Australia/Lord_Howe", None),
        ("voice_category", "QS", "UTC", None),
        ("voice_category", None, "UTC", 1),
        ("output_format", "YS", "Asia/Tokyo", None),
        ("stability", None, "UTC", None),
        ("use_speaker_boost", "MS", "UTC", None),
        ("extra_words", None, "UTC", 5),
        (["model", "voice"], "MS", "Europe/Berlin", 4),
        (["source", "voice_category", "stability"], None, "UTC", None),
        (None, "D", "America/Sao_Paulo", None),
        (None, None, "UTC", None),
        ([], None, "UTC", 1),
    ],
)
def test_usage_is_that_of_pandas(
    ddf: dd.DataFrame, history: pd.DataFrame, by: Any, freq: str | None, tz: str, top: int | None
) -> None:
    lazy = ddf.speech.usage(by, freq, tz=tz, top=top)
    table = lazy.compute()
    check_same(table, usage_table(history, by, freq, tz=tz, top=top))
    assert lazy.npartitions == 1
    for name in table.columns:
        assert lazy.dtypes[name] == table[name].dtype or lazy.dtypes[name] == "category"


@pytest.mark.parametrize(
    "conditions",
    [
        {"voice": "rachel"},
        {"speaker": ["Rachel", "Lucía"], "source": "tts"},
        {"text": r"chapter \d+"},
        {},
        {"model": (each for each in ["eleven_v3"]), "after": "2026-02-01", "before": "2026-08-01"},
    ],
)
def test_a_filter_keeps_the_rows_that_pandas_keeps(
    ddf: dd.DataFrame, history: pd.DataFrame, conditions: dict[str, Any]
) -> None:
    conditions = {name: value if isinstance(value, str) else list(value) for name, value in conditions.items()}
    lazy, kept = ddf.speech.filter(**conditions), history.speech.filter(**conditions)
    rows = lazy.compute().reset_index(drop=True)
    pd.testing.assert_frame_equal(rows, kept.reset_index(drop=True), check_categorical=False)
    check_same(lazy.speech.usage("voice", "MS").compute(), kept.speech.usage("voice", "MS"))


def test_labels_are_those_of_pandas_and_the_rules_are_read_once(
    ddf: dd.DataFrame, history: pd.DataFrame, tmp_path: Path
) -> None:
    path = tmp_path / "rules.toml"
    path.write_text(
        "column = 'client'\n"
        + "".join("[[rule]]\n" + "".join(f"{key} = {value!r}\n" for key, value in rule.items()) for rule in RULES)
    )
    lazy = ddf.speech.label(path, unassigned="nobody's")
    path.unlink()
    expected = label(history, RULES, unassigned="nobody's")
    pd.testing.assert_series_equal(lazy["client"].compute().reset_index(drop=True), expected["client"])
    assert lazy["client"].cat.known
    check_same(lazy.speech.usage(["client", "model"]).compute(), usage_table(expected, ["client", "model"]))


def test_rules_by_share_and_by_other_columns_are_those_of_pandas(ddf: dd.DataFrame, history: pd.DataFrame) -> None:
    rules = [
        {"label": "Acme", "voice": "Rachel", "dialogues": "most"},
        {"label": "Studio", "where": {"source": ["Projects", "Dubbing"]}},
    ]
    lazy = ddf.speech.label(rules)["client"].compute().reset_index(drop=True)
    pd.testing.assert_series_equal(lazy, label(history, rules)["client"])


def test_takes_of_accounts_are_those_of_pandas(ddf: dd.DataFrame, history: pd.DataFrame) -> None:
    lines = history.assign(account=[("one", "two")[place % 2] for place in range(len(history))])
    lazy = dd.from_pandas(lines, npartitions=3)
    for across in (False, True):
        table = lazy.speech.takes(across_accounts=across).compute()
        expected = takes(lines, across_accounts=across)
        pd.testing.assert_frame_equal(by_id(table), by_id(expected), check_categorical=False, check_dtype=False)


def test_takes_are_those_of_pandas_wherever_they_stood(ddf: dd.DataFrame, history: pd.DataFrame) -> None:
    expected = takes(history)
    assert expected["takes"].max() > 1
    lazy = ddf.speech.takes()
    table = lazy.compute()
    pd.testing.assert_frame_equal(by_id(table), by_id(expected), check_categorical=False)
    assert lazy.columns.tolist() == expected.columns.tolist()
    oldest = expected["history_item_id"][(expected["takes"] > 1) & (expected["take"] == 1)].iloc[:3].tolist()
    for keep in ("first", oldest, oldest[0]):
        kept = ddf.speech.takes(keep=keep).compute()
        pd.testing.assert_frame_equal(by_id(kept), by_id(takes(history, keep=keep)), check_categorical=False)


@given(
    st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 3), st.integers(1, 2)), max_size=40),
    splits,
    st.booleans(),
    st.sampled_from([0.6, 0.9, 1.0]),
)
@settings(max_examples=25)
def test_takes_of_similar_texts_are_those_of_pandas(
    said: list[tuple[str, int, int]], places: list[int], across: bool, near: float
) -> None:
    texts = ["The sea was calm that day", "The sea was calm that night", "The sea, calm that day", "the sea was calm"]
    frame = hk.sample_history(max(1, len(said))).iloc[: len(said)]
    frame = frame.assign(
        voice_id=pd.array([voice for voice, _, _ in said], dtype="string"),
        text=pd.array([texts[text] + f" {number}" * (number > 1) for _, text, number in said], dtype="string"),
        dialogue=None,
        account=[("one", "two")[number % 2] for _, number, _ in said],
    )
    with dask.config.set(scheduler="sync"):
        pieces = cut(frame, sorted(min(place, len(frame)) for place in places))
        lazy = from_months(lambda key, _: pieces[key], range(len(pieces)), frame)
        table = lazy.speech.takes(near=near, across_accounts=across).compute()
    expected = takes(frame, near=near, across_accounts=across)
    pd.testing.assert_frame_equal(by_id(table), by_id(expected), check_categorical=False, check_dtype=False)


def test_takes_of_similar_texts_and_dialogues_are_those_of_pandas(ddf: dd.DataFrame, history: pd.DataFrame) -> None:
    table, expected = ddf.speech.takes(near=0.8, keep="first").compute(), takes(history, near=0.8, keep="first")
    assert (expected["line"] != takes(history)["line"]).any()
    pd.testing.assert_frame_equal(by_id(table), by_id(expected), check_categorical=False)


PRICES = {
    "currency": "EUR",
    "price": [
        {"per_1000_credits": "0.333"},
        {"per_1000_credits": "0.21", "voice": "Rachel"},
        {"per_1000_credits": "0.17", "client": "In house", "valid_from": "2026-03-01"},
    ],
}
TERMS = {"markup_percent": "15", "tax_rate": "19", "tax_name": "VAT", "minimum_fee": "5.00"}
STATEMENTS: list[tuple[str, Any, dict[str, Any]]] = [
    ("Acme", "2026-03", {"tz": "Europe/Berlin"}),
    ("In house", "2026-Q2", {"prices": PRICES, "terms": TERMS, "by": ["model", "speaker"]}),
    ("unassigned", "2026", {"prices": PRICES, "by": "source"}),
    ("Acme", "2026-W20", {"prices": PRICES, "terms": {**TERMS, "unit_prices": True}, "title": "A week"}),
    ("Acme", "2031-01", {"by": "voice_category"}),
    ("Nobody", "2026-03", {}),
    ("Acme", "2026-03", {"column": "clients"}),
    ("Acme", "March", {}),
    ("Acme", "2026-03", {"by": "colour"}),
    (
        "Acme",
        "2026-03",
        {"prices": {**PRICES, "price": [*PRICES["price"], {"per_1000_credits": "1", "voice": "Rachl"}]}},
    ),
]


def outcome(call: Callable[[], pd.DataFrame]) -> tuple[Any, ...]:
    """Return a table as text with its facts, or the error, and the warnings."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            table = call()
            result: tuple[Any, ...] = (table.to_csv(), table.dtypes.astype(str).to_dict(), table.attrs["histkit"])
        except hk.HistkitError as error:
            result = type(error), str(error).replace("ddf.", "df.")
    return *result, sorted(str(warning.message) for warning in caught)


@pytest.mark.parametrize(("client", "period", "more"), STATEMENTS)
def test_a_statement_is_that_of_pandas(
    ddf: dd.DataFrame, history: pd.DataFrame, client: str, period: Any, more: dict[str, Any]
) -> None:
    ours = outcome(lambda: ddf.speech.label(RULES).speech.statement(client, period, **more))
    theirs = outcome(lambda: label(history, RULES).speech.statement(client, period, **more))
    assert ours == theirs


@given(st.data())
@settings(max_examples=25)
def test_a_statement_of_any_parts_of_a_strange_history_is_that_of_pandas(data: st.DataObject) -> None:
    rows = data.draw(st.integers(1, 60))
    frame = cut(hk.sample_history(rows, seed=data.draw(st.integers(0, 9))), [])[0]
    dates, ids = frame["date"].copy(), frame["history_item_id"].copy()
    for row in data.draw(st.lists(st.integers(0, rows - 1), max_size=4)):
        dates.iloc[row] = pd.NaT
    for row in data.draw(st.lists(st.integers(0, rows - 1), max_size=2)):
        ids.iloc[row] = data.draw(st.sampled_from([ids.iloc[0], "short", None]))
    accounts = data.draw(st.lists(st.sampled_from(["one", "two", None]), min_size=rows, max_size=rows))
    frame = frame.assign(date=dates, history_item_id=ids, account=pd.array(accounts, dtype="string"))
    client = data.draw(st.sampled_from(["Acme", "In house", "unassigned"]))
    period = data.draw(st.sampled_from(["2026", "2025-Q4", "2026-10"]))
    more = data.draw(st.sampled_from([{}, {"prices": PRICES}, {"by": "model", "tz": "Asia/Tokyo"}]))
    pieces = cut(frame, sorted(min(place, rows) for place in data.draw(splits)))
    zone = more.get("tz", "UTC")
    with dask.config.set(scheduler="sync"):
        lazy = from_months(lambda key, _: pieces[key], range(len(pieces)), frame).speech.label(RULES, tz=zone)
        ours = outcome(lambda: lazy.speech.statement(client, period, **more))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # names that few rows don't have
        labelled = label(frame, RULES, tz=zone)
    assert ours == outcome(lambda: labelled.speech.statement(client, period, **more))


def test_statements_of_a_scan_know_its_folder_are_written_and_issued(tmp_path: Path) -> None:
    folder = tmp_path / "history"
    with serve(items=600) as box, hk.HistoryClient(box.api_key, base_url=box.url) as client:
        hk.sync(folder, client=client, progress=False)
    rules = [{"label": "Acme", "speaker": "Rachel"}]
    ddf, df = hk.scan(folder).speech.label(rules), label(hk.load(folder), rules)
    prices = {"currency": "EUR", "price": [{"per_1000_credits": "0.21", "voice": "Rachel"}]}
    for place, more in enumerate(({"tz": "Europe/Berlin"}, {"prices": prices}, {"issue": True}, {"issue": True})):
        period, registers = ("2026-09", "2026-08")[place % 2], {"register": tmp_path / f"{place // 3}.jsonl"}
        files = [tmp_path / f"{name}{place}.md" for name in ("ours", "theirs")]
        given = more | registers
        ours, theirs = (
            each.speech.statement("Acme", period, path=file, **given)
            for each, file in zip((ddf, df), files, strict=True)
        )
        pd.testing.assert_frame_equal(ours, theirs)
        assert files[0].read_bytes() == files[1].read_bytes()
        assert ours.attrs["histkit"]["provisional"] == theirs.attrs["histkit"]["provisional"]
    ours = ddf[ddf["date"] < pd.Timestamp("2026-09-10", tz="UTC")].speech.statement("Acme", "2026-09")
    assert "lacks" in str(ours.attrs["histkit"]["provisional"])


def test_usage_of_a_scan_sorts_no_rows_unless_an_operation_depends_on_their_order(tmp_path: Path) -> None:
    folder = tmp_path / "history"
    with serve(items=900) as box, hk.HistoryClient(box.api_key, base_url=box.url) as client:
        df = hk.sync(folder, client=client, progress=False)
    ddf = hk.scan(folder)

    def is_sorted(lazy: dd.DataFrame) -> bool:
        return "ordered=False" not in str([node.operands for node in lazy.expr.walk()])

    cheap = ddf[ddf["credits"] > 5].speech.filter(source="TTS").speech.label(RULES).speech.usage(["client", "voice"])
    kept = label(df[df["credits"] > 5].speech.filter(source="TTS"), RULES)
    assert not is_sorted(cheap)
    check_same(cheap.compute(), kept.speech.usage(["client", "voice"]))
    for conditions in (
        {"after": "2026-05-03"},
        {"before": "2026-09-20", "voice": "Rachel", "columns": df.columns[:14]},
    ):
        part, loaded = hk.scan(folder, **conditions), hk.load(folder, **conditions)
        check_same(part.speech.usage("model", "D").compute(), loaded.speech.usage("model", "D"))
    numbered = ddf.reset_index()
    firsts = ddf.map_partitions(pd.DataFrame.head, 3, meta=ddf._meta)
    for lazy, by in ((numbered, "index"), (firsts, "voice")):
        usage = lazy.speech.usage(by)
        assert is_sorted(usage)
        check_same(usage.compute(), lazy.compute().reset_index(drop=True).speech.usage(by))


def test_labels_of_another_zone_are_refused_in_a_statement(ddf: dd.DataFrame, history: pd.DataFrame) -> None:
    day = str(history["date"].dropna().iloc[700].date())
    rules = [{"label": "Acme", "after": day}]
    ours = outcome(lambda: ddf.speech.label(rules).speech.statement("Acme", "2026", tz="Asia/Tokyo"))
    theirs = outcome(lambda: label(history, rules).speech.statement("Acme", "2026", tz="Asia/Tokyo"))
    assert ours == theirs


def test_a_statement_needs_few_rows_of_other_periods(ddf: dd.DataFrame, history: pd.DataFrame) -> None:
    labelled = label(history, RULES)
    needs = StatementRows.of(labelled.iloc[:0], "2026-03", "client", "UTC", PRICES, ("voice",))
    inside = labelled["date"].dt.strftime("%Y-%m").eq("2026-03") | labelled["date"].isna()
    selected = needs.select(labelled[needs.columns], np.zeros(0, np.uint64))
    assert inside.sum() < len(selected) < inside.sum() + 150


@pytest.mark.parametrize(
    ("by", "freq", "more"),
    [
        ("voice", "D", {"fill": True, "tz": "Europe/Berlin", "top": 3}),
        ("model", "MS", {"fill": ("2024-01-01", "2027-03-01"), "tz": "America/New_York"}),
        (None, "h", {"fill": True}),
        ("speaker", "MS", {"compare": "previous", "tz": "Asia/Tokyo"}),
        (["model", "source"], "W", {"compare": "previous", "fill": True, "week_start": "Sunday"}),
        ("model", "billing", {"billing": 31, "tz": "Europe/Berlin", "compare": "previous"}),
        ("voice", "billing", {"billing": {"next_character_count_reset_unix": 1_794_700_800}, "fill": True}),
    ],
)
def test_filled_and_compared_tables_are_those_of_pandas(
    ddf: dd.DataFrame, months: Months, history: pd.DataFrame, by: Any, freq: str, more: dict[str, Any]
) -> None:
    lazy = ddf.speech.usage(by, freq, **more)
    assert months.reads() == []
    table, expected = lazy.compute(), usage_table(history, by, freq, **more)
    check_same(table, expected)
    pd.testing.assert_series_equal(lazy.dtypes, expected.dtypes)


def test_nothing_is_read_before_it_is_computed(ddf: dd.DataFrame, months: Months) -> None:
    for lazy in (
        ddf.speech.usage("voice", "MS", top=3),
        ddf.speech.filter(speaker="Rachel", text="a").speech.usage(),
        ddf.speech.label(RULES).speech.usage("client"),
        ddf.speech.takes(keep=["an id"]),
    ):
        assert "period" in repr(lazy) or lazy.npartitions
    assert months.reads() == []


SUMMED = {"characters", "credits", "date"}
VOICED = {"voice_id", "voice_name", "dialogue"}


@pytest.mark.parametrize(
    ("ask", "columns"),
    [
        (lambda ddf: ddf["credits"].sum(), {"credits"}),
        (lambda ddf: ddf.speech.usage("model"), {"model_id", *SUMMED}),
        (lambda ddf: ddf.speech.usage("voice", "D"), {*VOICED, *SUMMED}),
        (lambda ddf: ddf.speech.filter(source="TTS").speech.usage("model", "D"), {"source", "model_id", *SUMMED}),
        (lambda ddf: ddf.speech.filter(voice="Rachel")["credits"].sum(), {"voice_id", "voice_name", "credits"}),
        (lambda ddf: ddf.speech.label([{"label": "A", "source": "TTS"}]).speech.usage("client"), {"source", *SUMMED}),
    ],
)
def test_each_month_is_read_once_and_only_the_columns_that_are_needed(
    ddf: dd.DataFrame, months: Months, ask: Callable[[dd.DataFrame], Any], columns: set[str]
) -> None:
    ask(ddf).compute()
    reads = months.reads()
    assert sorted(key for key, _ in reads) == list(range(12))
    assert all(set(read) == columns for _, read in reads)


def test_no_rows_leave_their_month_only_sums_do(ddf: dd.DataFrame, history: pd.DataFrame) -> None:
    graph = ddf.speech.usage("model", "YS").optimize().dask
    handed = [len(value) for value in dask.threaded.get(graph, list(graph))]
    assert len(handed) == 12 + 2 + 1  # a task for each month, which reads and sums it, and a tree of eights
    assert max(handed) == len(usage_table(history, "model", "YS")) < len(history) / 12


@pytest.mark.parametrize(
    "arguments",
    [
        {"freq": "fortnight"},
        {"freq": 7},
        {"tz": "Mars"},
        {"tz": None},
        {"top": 0},
        {"by": "credits"},
        {"by": "period", "freq": "D"},
        {"by": "stability", "top": 1},
        {"by": "date", "top": 2},
        {"fill": True},
        {"compare": "previous"},
        {"freq": "billing"},
        {"freq": "D", "week_start": "Sunday"},
    ],
)
def test_an_argument_that_cannot_be_used_is_told_at_the_call(
    ddf: dd.DataFrame, months: Months, arguments: dict[str, Any]
) -> None:
    with pytest.raises(hk.InputError) as caught:
        ddf.speech.usage(**arguments)
    assert "\n" not in str(caught.value)
    assert months.reads() == []


def test_other_arguments_too_are_told_at_the_call(ddf: dd.DataFrame, months: Months) -> None:
    for call in (
        lambda: ddf.speech.filter(text="("),
        lambda: ddf.speech.filter(after="soon"),
        lambda: ddf.speech.filter(model=[7]),
        lambda: ddf.speech.label("no such file.toml"),
        lambda: ddf.speech.label([{"label": "A", "wokring": "x"}]),
        lambda: ddf.speech.label(RULES, column="credits"),
        lambda: ddf.speech.takes(keep=7),
        lambda: ddf.speech.takes(keep=["id", None]),
    ):
        with pytest.raises(hk.InputError):
            call()
    for call in (
        lambda: ddf.speech.usage("colour"),
        lambda: ddf[["text"]].speech.usage("text"),
        lambda: ddf[["text"]].speech.filter(voice="Rachel"),
        lambda: ddf[["text"]].speech.takes(),
    ):
        with pytest.raises(hk.SchemaError):
            call()
    assert months.reads() == []


def test_no_months_are_an_empty_history(months: Months, history: pd.DataFrame) -> None:
    nothing = from_months(months, [], history)
    assert len(nothing.compute()) == 0
    pd.testing.assert_series_equal(nothing.compute().dtypes, nothing.dtypes)
    table = nothing.speech.usage("voice", "D", tz="Europe/Berlin").compute()
    check_same(table, usage_table(history.iloc[:0], "voice", "D", tz="Europe/Berlin"))


@pytest.mark.timeout(300)  # workers start in 4 s, on a busy machine in 20 and more
def test_a_cluster_of_processes_gives_the_same(months: Months, history: pd.DataFrame) -> None:
    ddf = from_months(months, range(12), history)
    with (
        LocalCluster(n_workers=2, threads_per_worker=1, host="127.0.0.1", dashboard_address="127.0.0.1:0") as cluster,
        Client(cluster),
    ):
        check_same(ddf.speech.usage("voice", "MS").compute(), usage_table(history, "voice", "MS"))
        rachel = (
            ddf.speech.filter(speaker="Rachel").speech.label(RULES).speech.usage("client", tz="Asia/Tokyo", freq="D")
        )
        kept = label(history.speech.filter(speaker="Rachel"), RULES)
        table, expected = rachel.compute(), usage_table(kept, "client", "D", tz="Asia/Tokyo")
        pd.testing.assert_frame_equal(table, expected)
        pd.testing.assert_frame_equal(
            by_id(ddf.speech.takes().compute()), by_id(takes(history)), check_categorical=False
        )


def run(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


def test_the_import_alone_gives_every_dask_frame_its_methods() -> None:
    code = (
        "import dask.dataframe as dd, pandas as pd; import histkit.dask; "
        "ddf = dd.from_pandas(pd.DataFrame({'source': ['TTS', 'STS']}), npartitions=1); "
        "print(len(ddf.speech.filter(source='tts').compute()))"
    )
    assert run(code) == "1"


def test_without_dask_scan_names_the_extra_and_the_rest_works() -> None:
    code = """
import sys

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("dask", "distributed"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Blocked())
import histkit, histkit.dask
try:
    histkit.scan("history")
except histkit.InputError as error:
    print(error)
assert len(histkit.sample_history(5)) == 5
assert not [name for name in sys.modules if name.partition(".")[0] == "dask"]
"""
    said = run(code)
    assert "pip install 'histkit[dask]'" in said
    assert len(said.splitlines()) == 1
