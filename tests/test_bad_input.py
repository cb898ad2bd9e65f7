"""Every public call raises only `HistkitError` for bad input: wrong arguments and wrong frames, one at a time.

Each function has one valid call. The tests change one argument, or one thing of the frame, and call again. The result
is a value or a `HistkitError`; whether a value or an error is right is tested beside each function.
"""

from __future__ import annotations

import contextlib
import inspect
import io
import math
import os
import random
import traceback
import warnings
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

import histkit as hk
from histkit.sandbox import Sandbox, serve
from tests.conftest import client_of
from tests.effort import examples
from tests.test_accessor import FUNCTIONS, METHODS, NAMES

pytestmark = [
    pytest.mark.hypothesis,  # in make faults with all cases
    pytest.mark.filterwarnings("ignore:.* in the account of this key:UserWarning"),  # some of the rows are made up
]

RULES = [{"label": "Acme", "voice": "Rachel"}, {"label": "Blue", "model": "eleven_multilingual_v2"}]
PRICES = {"currency": "EUR", "price": [{"per_1000_credits": "0.30"}]}
SUBSCRIPTION = {"character_count": 900, "character_limit": 1000, "next_character_count_reset_unix": 1_800_000_000}
LONGEST = 1000  # characters of a message
CLIENT_METHODS = ("list", "get", "delete", "get_audio", "download", "iter_pages", "models", "subscription")
COLUMNS = (
    *("history_item_id", "date", "voice_id", "voice_name", "model_id", "source", "state", "text", "characters"),
    *("credits", "character_count_change_from", "character_count_change_to", "content_type", "output_format"),
    *("dialogue", "client"),
)


def bad_values() -> dict[str, Any]:
    """Arguments of which most are wrong everywhere; made anew for each call, since some can be used up."""
    return {
        "None": None,
        "5": 5,
        "-1": -1,
        "0": 0,
        "3.5": 3.5,
        "True": True,
        "nan": math.nan,
        "inf": math.inf,
        "NA": pd.NA,
        "NaT": pd.NaT,
        "huge": 10**30,
        "too long to be written": 10**5000,
        "empty text": "",
        "text": "garbage",
        "NUL": "a\0b",
        "surrogate": "\ud800",
        "long text": "x" * 5000,
        "bytes": b"x",
        "list": [],
        "dict": {},
        "set": {1, 2},
        "tuple": (1, 2),
        "mixed list": ["a", 1, None],
        "nested": [["a"], {"b": 1}],
        "object": object(),
        "type": dict,
        "function": len,
        "generator": (number for number in (1, 2)),
        "array": np.array([[1, 2], [3, 4]]),
        "Series": pd.Series([1, 2]),
        "DataFrame": pd.DataFrame({"x": [1, 2]}),
        "naive date": datetime(2026, 1, 1),  # noqa: DTZ001
        "early date": datetime(1, 1, 1),  # noqa: DTZ001
    }


def bad_frames(frame: pd.DataFrame) -> Iterator[tuple[str, Any]]:
    """What is no frame, and frames that are wrong as a whole."""
    yield from bad_values().items()
    yield "one column", frame.iloc[:, 0]
    yield "dict of columns", frame.to_dict("list")
    yield "empty", pd.DataFrame()
    yield "no rows", frame.iloc[:0]
    yield "no rows, no dtypes", pd.DataFrame(columns=frame.columns)
    yield "all object", frame.astype(object)
    yield "all text", frame.astype(object).astype(str)
    yield "all missing", pd.DataFrame(None, index=frame.index, columns=frame.columns)
    yield "whole-number names", frame.set_axis(range(frame.shape[1]), axis=1)
    yield "a whole-number name", frame.assign(**{"x": 1}).rename(columns={"x": 7})
    yield "names of two levels", pd.concat({"a": frame}, axis=1)
    yield "index of two levels", pd.concat({"a": frame})
    yield "index with repeats", frame.set_axis([0] * len(frame))
    yield "index of ids", frame.set_index(frame.columns[0])
    yield "transposed", frame.T
    yield "repeated rows", pd.concat([frame, frame])


SLOW = {"explore", "report", "plot_hours", "plot_usage", "plot_takes", "plot_share", "statements", "pick_takes"}


def some_of(name: str, cases: Iterable[tuple[str, Any]], number: int) -> list[tuple[str, Any]]:
    """Choose so many of the cases, in ``make faults`` ten times as many; fewer of functions that take long."""
    every = [*cases]
    number = min(examples(number // 4 if name in SLOW else number), len(every))
    return random.Random(name if os.environ.get("CI") else None).sample(every, number)


def bad_columns(frame: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    """Frames of which one column is missing, there twice, or holds something other than it should."""
    mixed = [5, "x", "\ud800", None, b"x", [1], {"a": 1}, 3.5, pd.NaT, ("y",), -1, "2026-10-01", 10**30]
    contents: dict[str, Any] = {
        "mixed values": pd.Series((mixed * len(frame))[: len(frame)], index=frame.index, dtype=object),
        "lists": pd.Series([["a"]] * len(frame), index=frame.index),
        "NaN": math.nan,
        "texts": "garbage",
        "half surrogate pairs": pd.Series("\ud800", index=frame.index, dtype=object),
        "floats": 1.5,
        "infinite": math.inf,
        "times": pd.Timedelta(1, "s"),
        "naive dates": pd.Timestamp("2026-10-01"),
        "ISO texts": "2026-10-01",
        "huge": 2**63 - 1,
        "negative": -(2**63),
        "object": object(),
        "categories": pd.Categorical([1.5] * len(frame)),
    }
    for name in COLUMNS:
        yield f"{name} missing", frame.drop(columns=name)
        yield f"{name} twice", pd.concat([frame, frame[[name]]], axis=1)
        for what, values in contents.items():
            yield f"{name}: {what}", frame.assign(**{name: values})
        yield f"{name}: first missing", frame.assign(**{name: frame[name].where(np.arange(len(frame)) > 0)})


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    """Few rows of all kinds: dialogues, several voices and models, takes."""
    whole = hk.sample_history(400)
    dialogues = whole[whole["dialogue"].notna()].head(2)
    return hk.label(pd.concat([whole.head(6), dialogues]), RULES)


@pytest.fixture(scope="module")
def box() -> Iterator[Sandbox]:
    with serve(items=400) as box:  # has the rows of `frame`
        yield box


@pytest.fixture
def client(box: Sandbox) -> Iterator[hk.HistoryClient]:
    with client_of(box, max_retries=0) as client:
        yield client


@pytest.fixture
def valid(frame: pd.DataFrame, client: hk.HistoryClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return the arguments of a valid call of each public function, in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    silent: dict[str, Any] = {"client": client, "progress": False}
    calls: dict[str, Callable[[], dict[str, Any]]] = {
        "add_cost": lambda: {"frame": frame, "prices": PRICES},
        "cost_table": lambda: {"frame": frame, "prices": PRICES, "freq": "MS"},
        "check_statements": lambda: {"register": issued(), "frame": frame, "prices": PRICES},
        "delete": lambda: {"items": frame, "history": False, **silent},
        "download_audio": lambda: {"items": frame, "folder": tmp_path / "audio", "dry_run": True, **silent},
        "download_zip": lambda: {"items": frame, "path": tmp_path / "all.zip", "dry_run": True, **silent},
        "explore": lambda: {"frame": frame, "client": client},
        "filter_items": lambda: {
            "frame": frame,
            "voice": frame["voice_name"].dropna().iloc[0],
            "text": "a",
            "after": "2020-01-01",
        },
        "forecast": lambda: {"frame": frame, "subscription": SUBSCRIPTION, "now": frame["date"].max()},
        "issued_rows": lambda: {"register": issued()},
        "issued_statements": lambda: {"register": issued()},
        "keepers": lambda: {"frame": frame},
        "label": lambda: {"frame": frame, "rules": RULES},
        "dialogue_lines": lambda: {"frame": frame},
        "ledger": lambda: {"frame": frame},
        "load": lambda: {"path": synced(client)},
        "load_requests": lambda: {"path": with_log(client)},
        "official_usage": lambda: {"after": "2026-09-01", "before": "2026-10-01", "client": client},
        "pick_takes": lambda: {"frame": frame, "client": client},
        "play": lambda: {"items": frame.head(2), "client": client},
        "plot_hours": lambda: {"frame": frame},
        "plot_quota": lambda: {"forecast": hk.forecast(frame, subscription=SUBSCRIPTION, now=frame["date"].max())},
        "plot_share": lambda: {"frame": frame},
        "plot_takes": lambda: {"frame": frame},
        "plot_usage": lambda: {"frame": frame},
        "read_csv": lambda: {"path": hk.to_csv(frame, tmp_path / "history.csv")},
        "read_history": lambda: {"limit": 5, **silent},
        "read_parquet": lambda: {"path": hk.to_parquet(frame, tmp_path / "history.parquet")},
        "attribute": lambda: {"frame": frame, "log": frame[["request_id"]].assign(app="web")},
        "read_requests": lambda: {"after": "2026-10-25", **silent},
        "read_prices": lambda: {"source": PRICES},
        "reconcile": lambda: {"frame": frame, "client": client},
        "report": lambda: {"frame": frame, "path": tmp_path / "report.md", "now": frame["date"].max()},
        "reprice": lambda: {"frame": frame, "model": "eleven_flash_v2_5", "prices": PRICES},
        "retry_failed": lambda: {"manifest": pulled(frame, silent), "folder": tmp_path / "audio", **silent},
        "sample_history": lambda: {"n": 3},
        "scan": lambda: {"path": synced(client)},
        "show_usage": lambda: {"table": hk.usage_table(frame)},
        "speakers": lambda: {"frame": frame},
        "statement": lambda: {"frame": frame, "client": "Acme", "period": "2026", "prices": PRICES},
        "statements": lambda: {"frame": frame, "period": "2026", "prices": PRICES},
        "sync": lambda: {"path": tmp_path / "history", **silent},
        "takes": lambda: {"frame": frame},
        "to_csv": lambda: {"frame": frame, "path": tmp_path / "x.csv"},
        "to_parquet": lambda: {"frame": frame, "path": tmp_path / "x.parquet"},
        "to_xlsx": lambda: {"frame": frame, "path": tmp_path / "x.xlsx"},
        "usage_table": lambda: {"frame": frame, "freq": "MS"},
        "used_share": lambda: {"subscription": SUBSCRIPTION},
        "verify": lambda: {"folder": pulled(frame, silent).attrs["histkit"]["folder"], "progress": False},
        "waste": lambda: {"frame": frame, "freq": "MS"},
    }
    assert calls.keys() == set(FUNCTIONS)

    def synced(client: hk.HistoryClient) -> Path:
        hk.sync(tmp_path / "history", client=client, progress=False, diff=True)
        return tmp_path / "history"

    def with_log(client: hk.HistoryClient) -> Path:
        hk.sync(tmp_path / "history", client=client, progress=False, diff=True, requests=True)
        return tmp_path / "history"

    def issued() -> Path:
        register = tmp_path / "register.jsonl"
        if not register.exists():
            whole = frame.copy()
            whole.attrs["histkit"] = {**frame.attrs["histkit"], "fetched_at": "2026-11-20T00:00:00+00:00"}
            hk.statement(whole, client="Blue", period="2026-10", prices=PRICES, issue=True, register=register)
        return register

    def pulled(frame: pd.DataFrame, silent: dict[str, Any]) -> pd.DataFrame:
        return hk.download_audio(frame.head(1), tmp_path / "audio", **silent)

    return lambda name: calls[name]()


def raw_error(call: Callable[[], Any]) -> str | None:
    """Call, and return the error in one line unless there is none or it is histkit's own."""
    try:
        with (
            warnings.catch_warnings(),
            contextlib.redirect_stdout(io.StringIO()),
            contextlib.redirect_stderr(io.StringIO()),
        ):
            warnings.simplefilter("ignore")
            call()
    except hk.HistkitError as error:
        return (
            None
            if str(error).strip() and "\n" not in str(error) and len(str(error)) < LONGEST
            else f"message of {len(str(error))} characters: {error}"
        )
    except Exception as error:
        step = traceback.extract_tb(error.__traceback__)
        inside = [frame for frame in step if "/histkit/" in frame.filename] or step
        where = f"{Path(inside[-1].filename).name}:{inside[-1].lineno}"
        return f"{type(error).__name__} at {where}: {error}"[:200]
    finally:
        plt.close("all")
    return None


def parameters_of(name: str) -> list[str]:
    return list(inspect.signature(getattr(hk, name)).parameters)


NAMED: dict[str, Callable[[pd.DataFrame], Any]] = {
    "no credits": lambda df: hk.cost_table(df.drop(columns="credits"), prices=PRICES),
    "a number to group by": lambda df: hk.cost_table(df, 5, prices=PRICES),
    "a missing name to reprice by": lambda df: hk.reprice(df, by=pd.NA),
    "a missing name to group a ledger by": lambda df: hk.ledger(df, by=["voice", pd.NA]),
    "a number to group waste by": lambda df: hk.waste(df, 5),
    "now is no date": lambda df: hk.report(df, now="garbage"),
    "a list where one word belongs": lambda df: hk.official_usage("2026-10-01", by=["voice"]),  # type: ignore[arg-type]
    "two columns of one name": lambda df: hk.usage_table(pd.concat([df, df[["credits"]]], axis=1)),
    "a Series": lambda df: hk.usage_table(df["credits"]),
    "a dict": lambda df: hk.plot_usage(df.to_dict("list")),  # type: ignore[arg-type]
    "no rows to make": lambda df: hk.sample_history(0),
    "no rows to serve": lambda df: serve(items=0),
    "an unknown fault": lambda df: serve(items=5, fire=True),
    "text dates that are none": lambda df: hk.reconcile(df.assign(date="noon"), official=pd.DataFrame()),
    "no axes": lambda df: hk.plot_share(df, ax=5),  # type: ignore[arg-type]
    "a flag that is none": lambda df: hk.download_audio(df, "audio", dry_run="no"),  # type: ignore[arg-type]
    "a path with a zero byte": lambda df: hk.to_csv(df, "a\0b"),
}


@pytest.mark.parametrize("case", NAMED)
def test_bad_input_is_refused_in_one_line(case: str, frame: pd.DataFrame) -> None:
    with pytest.raises(hk.HistkitError) as refusal:
        NAMED[case](frame)
    assert len(str(refusal.value).splitlines()) == 1


@pytest.mark.parametrize("dates", ["naive", "text"])
def test_reconcile_takes_dates_without_a_zone_and_as_text(
    dates: str, frame: pd.DataFrame, client: hk.HistoryClient
) -> None:
    other = frame["date"].dt.tz_localize(None) if dates == "naive" else frame["date"].map(pd.Timestamp.isoformat)
    expected = hk.reconcile(frame, client=client)
    pd.testing.assert_frame_equal(hk.reconcile(frame.assign(date=other), client=client), expected)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_valid_call_is_valid(name: str, valid: Any) -> None:
    getattr(hk, name)(**valid(name))


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_wrong_argument_is_an_error_of_histkit(name: str, valid: Any) -> None:
    function, arguments = getattr(hk, name), valid(name)
    takes_history = parameters_of(name)[0] in ("frame", "items")
    errors = {}
    cases = [(parameter, what) for parameter in parameters_of(name)[takes_history:] for what in bad_values()]
    for parameter, what in some_of(name, cases, 60):
        changed = {**arguments, parameter: bad_values()[what]}
        error = raw_error(lambda changed=changed: function(**changed))
        if error:
            errors[f"{parameter}={what}"] = error
    assert not errors, "\n".join(f"{what}: {error}" for what, error in errors.items())


@pytest.mark.parametrize("method", METHODS)
def test_a_wrong_frame_is_an_error_of_histkit(method: str, frame: pd.DataFrame, valid: Any) -> None:
    name = NAMES.get(method, method)
    function, arguments = getattr(hk, name), valid(name)
    first = arguments.pop(parameters_of(name)[0])
    errors = {}
    columns = bad_columns(first) if "client" in first else ()
    for what, wrong in (*some_of(name, bad_frames(first), 20), *some_of(name, columns, 30)):
        error = raw_error(lambda wrong=wrong: function(wrong, **arguments))
        if error:
            errors[what] = error
    assert not errors, "\n".join(f"{what}: {error}" for what, error in errors.items())


@pytest.mark.parametrize("method", [method for method in METHODS if method != "plot_quota"])
def test_a_method_refuses_what_its_function_refuses(method: str, valid: Any) -> None:
    arguments = valid(NAMES.get(method, method))
    frame = arguments.pop(next(iter(arguments)))
    errors = [
        raw_error(lambda wrong=wrong: getattr(wrong.speech, method)(**arguments)) for wrong in (pd.DataFrame(), frame.T)
    ]
    assert errors == [None, None]


@pytest.mark.parametrize("name", CLIENT_METHODS)
def test_a_wrong_argument_of_a_client_is_an_error_of_histkit(name: str, client: hk.HistoryClient) -> None:
    method = getattr(client, name)
    valid: dict[str, Any] = {}
    if name in ("get", "delete", "get_audio"):
        valid["history_item_id"] = "none"
    if name == "download":
        valid["history_item_ids"] = ["none"]
    errors = {}
    for parameter in inspect.signature(method).parameters:
        for what, value in bad_values().items():
            changed = {**valid, parameter: value}
            error = raw_error(lambda changed=changed: used(method(**changed)))
            if error:
                errors[f"{parameter}={what}"] = error
    assert not errors, "\n".join(f"{what}: {error}" for what, error in errors.items())


def used(result: Any) -> None:
    """Take the first part of what comes in parts."""
    if isinstance(result, Iterator):
        next(result, None)
        result.close()  # type: ignore[attr-defined]


@pytest.mark.parametrize("kind", [hk.HistoryClient, hk.AsyncHistoryClient])
def test_a_client_made_with_a_wrong_argument_is_an_error_of_histkit(kind: type) -> None:
    errors = {}
    for parameter in inspect.signature(kind).parameters:
        for what, value in bad_values().items():
            error = raw_error(lambda changed={"api_key": "key", parameter: value}: kind(**changed))
            if error:
                errors[f"{parameter}={what}"] = error
    assert not errors, "\n".join(f"{what}: {error}" for what, error in errors.items())
