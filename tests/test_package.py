"""The house: who may import whom, what is public, what loads when, and that every example runs."""

from __future__ import annotations

import ast
import doctest
import importlib
import subprocess
import sys
from pathlib import Path

import pytest

import histkit as hk

PACKAGE = Path(hk.__file__).parent
# Bottom to top: a module imports only from lines above its own. `sandbox` is a house of its own above the errors.
ORDER = [
    "errors",
    "_failures _files _key _limit _progress",
    "_calls _retry",
    "transport",
    "models",
    "paging",
    "_split",
    "client",
    "async_client",
    "schema _search",
    "pages",
    "filters",
    "_walk",
    "reader",
    "_versions",
    "exports",
    "_store",
    "_layout",
    "_months",
    "_spool",
    "_wanted",
    "_merge",
    "_account _marks",
    "_run",
    "_parts _periods",
    "_span",
    "_sums _voices _billing",
    "_grid _ledger",
    "usage",
    "prices _near",
    "_costs _takes labels _forecast",
    "_dask _lines _waste _keepers",
    "archive",
    "names clips _target",
    "_pull _manifest",
    "_jobs _players _verify",
    "_folder _bulk _deletion",
    "_zipfiles",
    "_zips _delete official",
    "audio",
    "_labels _drawing",
    "plotting _charts",
    "_report_parts",
    "_report_sections _report_text",
    "_report_html _report_xlsx",
    "_report_files",
    "_report _statement_files _shown",
    "_statement _explored",
    "_widget_parts",
    "widgets _picker",
    "accessor",
    "sandbox",
    "demo",
    "_cli",
    "_cli_audio _cli_usage",
    "_cli_statement",
    "cli",
]
LEVEL = {name: level for level, names in enumerate(ORDER) for name in names.split()}


def imports_of(path: Path) -> set[str]:
    """Give the rooms of the package that a file imports, late imports too."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "histkit":
            parts = (node.module or "").split(".")
            found |= {parts[1]} if len(parts) > 1 else {alias.name for alias in node.names}
        elif isinstance(node, ast.Import):
            found |= {name.name.split(".")[1] for name in node.names if name.name.startswith("histkit.")}
    return found


def rooms() -> list[tuple[str, Path]]:
    files = [path for path in PACKAGE.rglob("*.py") if path.name != "__init__.py" or path.parent != PACKAGE]
    return [(path.relative_to(PACKAGE).parts[0].removesuffix(".py"), path) for path in files]


def test_no_import_runs_upward() -> None:
    assert {room for room, _ in rooms()} == set(LEVEL)
    upward = [
        f"{room} imports {other}"
        for room, path in rooms()
        for other in imports_of(path) - {room}
        if other in LEVEL and LEVEL[other] >= LEVEL[room]
    ]
    assert not upward


def test_only_the_transport_imports_requests() -> None:
    users = set()
    for room, path in rooms():
        tree = ast.parse(path.read_text())
        typing_only = {id(inner) for node in ast.walk(tree) if _is_typing_block(node) for inner in ast.walk(node)}
        for node in ast.walk(tree):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            if id(node) not in typing_only and any(name.split(".")[0] == "requests" for name in names):
                users.add(room)
    assert users == {"transport"}


def _is_typing_block(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def test_the_public_names_are_these() -> None:
    assert set(hk.__all__) == {
        *"COLUMNS ApiError ArchiveError AsyncHistoryClient AuthenticationError BadRequestError DownloadError".split(),
        *"HistkitError HistoryClient InputError NotFoundError PaginationError PermissionDeniedError".split(),
        *"RateLimitError SchemaError ServerError TransportError UnprocessableEntityError".split(),
        *"delete download_audio download_zip filter_items label load play plot_usage read_csv".split(),
        *"read_history read_parquet sample_history scan speakers sync takes to_csv to_parquet to_xlsx".split(),
        *"add_cost cost_table forecast ledger official_usage plot_hours plot_quota plot_share plot_takes".split(),
        *"read_prices reconcile report retry_failed statement statements".split(),
        *"explore keepers pick_takes show_usage usage_table used_share verify waste".split(),
    }
    for name in hk.__all__:
        assert getattr(hk, name).__doc__
    with pytest.raises(AttributeError, match="no attribute 'sinc'"):
        hk.sinc  # noqa: B018


def test_a_plain_import_loads_nothing_heavy() -> None:
    code = (
        "import sys, pandas; before = set(sys.modules); import histkit; "
        "print(*{name.split('.')[0] for name in set(sys.modules) - before})"
    )
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    heavy = {"matplotlib", "ipywidgets", "click", "dask", "requests", "IPython", "tqdm", "rich", "elevenlabs"}
    assert not heavy & set(loaded)


def test_the_accessor_has_the_methods_of_the_design() -> None:
    methods = {name for name in dir(hk.accessor.SpeechAccessor) if not name.startswith("_")}
    assert methods == {
        *"filter usage plot_usage plot_share plot_hours plot_takes plot_quota label takes play".split(),
        *"download_audio download_zip delete".split(),
        *"explore keepers ledger pick_takes report statement waste to_parquet to_csv to_xlsx".split(),
    }


@pytest.mark.parametrize("room", sorted({path for _, path in rooms()}), ids=lambda path: path.stem)
def test_every_example_in_a_docstring_runs(room: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    if room.name == "__main__.py":
        return
    monkeypatch.chdir(tmp_path)
    dotted = ".".join(room.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__")
    result = doctest.testmod(importlib.import_module(dotted), optionflags=doctest.NORMALIZE_WHITESPACE)
    assert result.failed == 0
