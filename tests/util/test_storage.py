"""A path means the same in every function that takes one: ``~`` is the home folder, a URL is no folder."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import histkit as hk
from histkit.sandbox import Sandbox
from histkit.util.storage import local_path, normalize_path
from tests.conftest import client_of

MONTH = "2026-09"


class Home:
    """A home folder that holds one of everything that a function reads."""

    def __init__(self, folder: Path, client: hk.HistoryClient) -> None:
        self.folder = folder
        self.client = client
        self.frame = hk.sync(folder / "history", client=client, requests=True, progress=False)
        self.rows = self.frame[self.frame["text"].str.len().between(5, 400)].head(2)
        hk.to_parquet(self.frame, folder / "a.parquet")
        hk.to_csv(self.frame, folder / "a.csv")
        self.manifest = hk.download_audio(self.rows, folder / "audio", client=client, progress=False)
        (folder / "r.toml").write_text("[[rule]]\nlabel = 'Long'\ntext = 'the'\n")
        (folder / "p.toml").write_text("currency = 'EUR'\n[[price]]\nper_1000_credits = '0.30'\n")
        (folder / "t.toml").write_text("[issuer]\nname = 'Studio'\n")
        requests = hk.load_requests(folder / "history")
        requests[["request_id"]].assign(app="web").to_csv(folder / "log.csv", index=False)
        (folder / "script.txt").write_text(str(self.frame["text"].dropna().iloc[0]).replace("\n", " ") + "\n")
        clients = hk.label(self.frame, folder / "r.toml")
        hk.statement(clients, "Long", "2026-08", issue=True, register=folder / "issued.jsonl")


@pytest.fixture(scope="module")
def home(shared_box: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    with client_of(shared_box) as client:
        yield Home(tmp_path_factory.mktemp("home"), client)


@pytest.fixture
def at_home(home: Home, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Home:
    """Stand in an empty folder, so that a folder called ``~`` would show."""
    monkeypatch.setenv("HOME", str(home.folder))
    monkeypatch.setenv("USERPROFILE", str(home.folder))
    monkeypatch.chdir(tmp_path)
    return home


def _delete(home: Home, **options: Any) -> pd.DataFrame:
    return hk.delete(home.rows, client=home.client, progress=False, **options)


READING: dict[str, Callable[[Home], Any]] = {
    "read_parquet": lambda home: hk.read_parquet("~/a.parquet"),
    "read_csv": lambda home: hk.read_csv("~/a.csv"),
    "load": lambda home: hk.load("~/history"),
    "scan": lambda home: hk.scan("~/history").compute(),
    "verify": lambda home: hk.verify("~/audio", progress=False)["status"].eq("ok"),
    "play": lambda home: hk.play(home.rows, folder="~/audio", client=home.client)._repr_html_(),
    "retry_failed": lambda home: hk.retry_failed(home.manifest, folder="~/audio", client=home.client),
    "label": lambda home: hk.label(home.frame, "~/r.toml"),
    "read_prices": lambda home: hk.read_prices("~/p.toml").prices,
    "add_cost": lambda home: hk.add_cost(home.frame, "~/p.toml"),
    "cost_table": lambda home: hk.cost_table(home.frame, prices="~/p.toml"),
    "reprice": lambda home: hk.reprice(home.frame, prices="~/p.toml", current_prices="~/p.toml"),
    "load_requests": lambda home: hk.load_requests("~/history"),
    "attribute": lambda home: hk.attribute(home.frame, "~/log.csv"),
    "issued_statements": lambda home: hk.issued_statements("~/issued.jsonl"),
    "issued_rows": lambda home: hk.issued_rows("~/issued.jsonl"),
    "check_statements": lambda home: range(hk.check_statements("~/issued.jsonl").attrs["histkit"]["statements"]),
    "statement, terms": lambda home: _statement(home, terms="~/t.toml"),
    "keepers": lambda home: hk.keepers(home.frame, script="~/script.txt"),
    "delete, only_verified": lambda home: _delete(home, only_verified="~/audio")["status"].eq("would delete"),
    "delete, history": lambda home: _delete(home, history="~/history").attrs["histkit"]["history"].split(),
}

WRITING: dict[str, tuple[str, Callable[[Home, str], Any]]] = {
    "to_parquet": ("out.parquet", lambda home, path: hk.to_parquet(home.frame, path)),
    "to_csv": ("out.csv", lambda home, path: hk.to_csv(home.frame, path)),
    "to_xlsx": ("out.xlsx", lambda home, path: hk.to_xlsx(home.frame, path)),
    "sync": ("other/_manifest.json", lambda home, path: _sync(home, path)),
    "download_audio": ("clips/manifest.parquet", lambda home, path: _download(home, path)),
    "download_zip": (
        "out.zip",
        lambda home, path: hk.download_zip(home.rows, path, client=home.client),
    ),
    "report": ("out.html", lambda home, path: hk.report(home.frame, path)),
    "statement": ("out.json", lambda home, path: _statement(home, path=path)),
    "statement, register": ("new.jsonl", lambda home, path: _statement(home, issue=True, register=path)),
    "statements": ("bills", lambda home, path: hk.statements(hk.label(home.frame, "~/r.toml"), MONTH, folder=path)),
    "delete, journal": ("deleted.jsonl", lambda home, path: _delete_none(home, path)),
}


def _sync(home: Home, path: str) -> None:
    hk.sync(path.rpartition("/")[0], client=home.client, progress=False, diff=True)


def _download(home: Home, path: str) -> None:
    hk.download_audio(home.rows, path.rpartition("/")[0], client=home.client, progress=False)


def _statement(home: Home, **options: Any) -> pd.DataFrame:
    return hk.statement(hk.label(home.frame, "~/r.toml"), "Long", MONTH, **options)


def _delete_none(home: Home, path: str) -> None:
    ids = pd.Series(["gone0000000000000000"])
    with pytest.warns(UserWarning, match="does not exist in the account of this key"):
        hk.delete(ids, confirm=True, client=home.client, journal=path, history=False, progress=False)


@pytest.mark.parametrize("name", READING)
def test_a_path_that_is_read_begins_at_home(at_home: Home, tmp_path: Path, name: str) -> None:
    result = READING[name](at_home)
    assert len(result) > 0
    assert list(tmp_path.iterdir()) == []


def test_a_folder_of_clips_at_home_is_played_from_there(at_home: Home) -> None:
    def fetched(**options: Any) -> int:
        before = at_home.client.transport.requests
        hk.play(rows, client=at_home.client, **options)
        return at_home.client.transport.requests - before

    rows = at_home.frame[at_home.frame["output_format"].str.startswith("mp3", na=False)].head(2)
    hk.download_audio(rows, at_home.folder / "audio", client=at_home.client, progress=False)
    assert fetched() == 2
    assert fetched(folder="~/audio") == 0


@pytest.mark.parametrize("name", WRITING)
def test_a_path_that_is_written_begins_at_home(at_home: Home, tmp_path: Path, name: str) -> None:
    file, write = WRITING[name]
    write(at_home, f"~/{file}")
    assert (at_home.folder / file).exists()
    assert list(tmp_path.iterdir()) == []


def test_every_public_function_that_takes_a_path_is_tried_here() -> None:
    tried = {name.partition(",")[0] for name in (*READING, *WRITING)}
    public = {name: getattr(hk, name) for name in hk.__all__ if inspect.isfunction(getattr(hk, name))}
    taking = {name for name, function in public.items() if any(map(_takes_path, _parameters(function)))}
    assert taking - tried <= {"explore", "filter_items", "read_history", "usage_table", "pick_takes"}


def _parameters(function: Callable[..., Any]) -> Iterable[inspect.Parameter]:
    return inspect.signature(function).parameters.values()


def _takes_path(parameter: inspect.Parameter) -> bool:
    """Return whether a parameter takes a path: its annotation says so, or files are one of the things it reads."""
    named = {"rules", "prices", "current_prices", "source", "script", "history", "journal", "terms"}
    return "PathLike" in str(parameter.annotation) or parameter.name in named


@pytest.mark.parametrize("bad", ["", 5, None, b"bytes", "a\0b", "~nobody-of-this-name/x", ["a"]])
@pytest.mark.parametrize("function", [normalize_path, local_path])
def test_what_is_no_path_is_refused(function: Callable[[Any], Any], bad: Any) -> None:
    with pytest.raises(hk.InputError) as caught:
        function(bad)
    assert "\n" not in str(caught.value)


def test_a_url_is_no_path_of_this_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    frame = hk.sample_history(5)
    for write in (hk.to_parquet, hk.to_csv, hk.to_xlsx, hk.report):
        with pytest.raises(hk.InputError, match="is a URL"):
            write(frame, "s3://bucket/a.html")
    assert normalize_path("s3://bucket/history/") == "s3://bucket/history"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("scheme", ["memory", "s3", "https", "nothing"])
def test_a_password_in_a_url_is_in_no_message_and_no_facts(scheme: str, shared_box: Sandbox) -> None:
    url = f"{scheme}://user:p4ssw0rd@host/folder"
    client = client_of(shared_box)
    df = hk.read_history(client=client, limit=2, progress=False)
    calls: tuple[Callable[[], Any], ...] = (
        lambda: hk.download_audio(df, url, client=client, progress=False),
        lambda: hk.download_zip(df, f"{url}.zip", client=client, progress=False),
        lambda: hk.verify(url),
        lambda: hk.load(url),
        lambda: hk.sync(url, client=client),
        lambda: hk.to_csv(df, url),
        lambda: hk.report(df, f"{url}.html"),
        lambda: hk.play(df, folder=url, client=client),
        lambda: hk.delete(df, only_verified=url),
        lambda: hk.delete(df, history=url),
    )
    for call in calls:
        try:
            shown = str(call().attrs)
        except hk.HistkitError as error:
            shown = f"{error} {error!r}"
        assert "p4ssw0rd" not in shown
