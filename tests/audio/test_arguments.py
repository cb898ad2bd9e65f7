"""Bad arguments of the functions of audio and deletion: an error of ours in one line, nothing made, no request."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import histkit as hk
from histkit.deletion.delete import delete

JUNK: dict[str, Any] = {
    "float": 5.5,
    "empty text": "",
    "bytes": b"x",
    "object": object(),
    "list": [1],
    "empty list": [],
    "dict": {"a": 1},
    "Series": pd.Series([1]),
    "frame": pd.DataFrame({"a": [1, 2]}),
    "array": np.array([1, 2]),
    "NaN": float("nan"),
    "function": len,
    "zero byte": "a\0b",
    "unknown scheme": "nosuch://x",
}


SAMPLE = hk.sample_history(6)


def sample(**columns: Any) -> pd.DataFrame:
    return SAMPLE.assign(**columns)


def with_facts(facts: Any) -> pd.DataFrame:
    frame = SAMPLE.copy()
    frame.attrs["histkit"] = facts
    return frame


FRAMES: dict[str, Any] = {
    **JUNK,
    "two columns of one name": pd.concat([sample(), sample()[["date"]]], axis=1),
    "two columns of ids": pd.concat([sample(), sample()[["history_item_id"]]], axis=1),
    "no ids": sample().drop(columns="history_item_id"),
    "ids as index": sample().set_index("history_item_id"),
    "rows as columns": sample().T,
    "a name that is a number": sample().rename(columns={"text": 5}),
    "a name that is a pair": sample().rename(columns={"text": ("a", "b")}),
    "objects": sample().astype(object),
    "texts": sample().astype(str),
    "several accounts": sample(account=range(6)),
    "facts that are none": with_facts(5),
    "facts of other types": with_facts({"folder": 5, "path": 5}),
    "facts of relative paths": with_facts({"folder": "x", "path": "x"}),
    "Series of lists": pd.Series([[1], {}]),
    "Series of dates": pd.Series(pd.date_range("2026", periods=2)),
    **{
        f"{name} of {kind}": sample(**{name: values})
        for name in (
            *("history_item_id", "date", "date_unix", "missing_since", "characters", "credits", "account", "dialogue"),
            *("output_format", "content_type", "voice_name", "voice_id", "text"),
        )
        for kind, values in {
            "texts": "x",
            "numbers": 7,
            "infinity": np.inf,
            "huge numbers": 1e30,
            "complex numbers": 1 + 2j,
            "lists": [[5]] * 6,
            "objects": [object()] * 6,
            "dicts": [{"a": 1}] * 6,
        }.items()
    },
}


@pytest.fixture
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[hk.HistoryClient]:
    """A client of a service that can't be reached, and an empty working directory."""
    monkeypatch.chdir(tmp_path)
    with hk.HistoryClient("sk_nobody", base_url="http://127.0.0.1:9", max_retries=0) as client:
        yield client


def manifest(rows: Any) -> Any:
    return rows.assign(status="failed") if isinstance(rows, pd.DataFrame) else rows


CALLS: dict[str, Callable[..., Any]] = {
    "download_audio": lambda items, **options: hk.download_audio(items, "out", dry_run=True, **options),
    "download_zip": lambda items, **options: hk.download_zip(items, "out.zip", dry_run=True, **options),
    "retry_failed": lambda items, **options: hk.retry_failed(manifest(items), **options),
    "delete": lambda items, **options: delete(items, progress=False, **options),
    "play": lambda items, **options: hk.play(items, **options),
}


@contextmanager
def noting(kind: str) -> Iterator[None]:
    """Name the value in the message of a failure."""
    try:
        yield
    except BaseException as error:
        error.add_note(kind)
        raise


def refusal(call: Callable[[], Any]) -> str:
    """Call; return the words of an error of ours, in one line, or nothing."""
    words = ""
    try:
        call()
    except hk.HistkitError as error:
        words = str(error)
    assert "\n" not in words
    assert len(words) < 400
    return words


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_rows_of_any_kind_are_read_or_refused_in_one_line(nowhere: hk.HistoryClient, call: Callable[..., Any]) -> None:
    for kind, rows in FRAMES.items():
        with noting(kind):
            refusal(lambda rows=rows: call(rows, client=nowhere))  # type: ignore[misc]
            assert list(Path().iterdir()) == []


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
@pytest.mark.parametrize("rows", ["float", "dict", "list", "no ids", "two columns of ids", "two columns of one name"])
def test_what_is_no_history_is_refused(nowhere: hk.HistoryClient, call: Callable[..., Any], rows: str) -> None:
    assert refusal(lambda: call(FRAMES[rows], client=nowhere))


OPTIONS: list[tuple[str, Callable[..., Any], str]] = [
    *(
        ("download_audio", lambda rows, **options: hk.download_audio(rows, **({"folder": "out"} | options)), name)
        for name in ("folder", "name", "workers", "format", "overwrite", "dry_run", "progress", "client")
    ),
    *(
        ("download_zip", lambda rows, **options: hk.download_zip(rows, **({"path": "out.zip"} | options)), name)
        for name in ("path", "name", "format", "bulk", "dry_run", "progress", "client")
    ),
    *(
        ("retry_failed", lambda rows, **options: hk.retry_failed(manifest(rows), **({"folder": "out"} | options)), name)
        for name in ("folder", "workers", "progress", "client", "storage_options")
    ),
    *(
        ("verify", lambda rows, **options: hk.verify(**({"folder": "out"} | options)), name)
        for name in ("folder", "forget", "progress", "storage_options")
    ),
    *(
        ("delete", lambda rows, **options: delete(rows, **({"progress": False} | options)), name)
        for name in ("confirm", "only_verified", "history", "journal", "client")
    ),
    *(("play", hk.play, name) for name in ("folder", "client", "limit")),
]


@pytest.mark.parametrize(("function", "call", "option"), OPTIONS, ids=[f"{one[0]} {one[2]}" for one in OPTIONS])
def test_options_of_the_wrong_kind_are_refused_before_anything_is_made(
    nowhere: hk.HistoryClient, function: str, call: Callable[..., Any], option: str
) -> None:
    rows = hk.sample_history(1)
    options = {"client": nowhere} if function != "verify" else {}
    for kind, value in JUNK.items():
        if option == "name" and kind == "zero byte":
            continue  # made safe
        with noting(kind):
            assert refusal(lambda value=value: call(rows, **(options | {option: value})))  # type: ignore[misc]
            assert list(Path().iterdir()) == []


def test_a_key_that_is_missing_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    rows = hk.sample_history(3)
    for call in (
        lambda: hk.download_audio(rows, "deep/er"),
        lambda: hk.download_zip(rows, "deep/er/all.zip"),
    ):
        with pytest.raises(hk.HistkitError, match="ELEVENLABS_API_KEY"):
            call()
        assert list(Path().iterdir()) == []
