"""What is public, what loads when, and that every example runs (import-linter keeps the layers)."""

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


def modules() -> list[str]:
    paths = [path.relative_to(PACKAGE.parent).with_suffix("") for path in PACKAGE.rglob("*.py")]
    return sorted(".".join(path.parts).removesuffix(".__init__") for path in paths if path.name != "__main__")


def path_of(module: str) -> Path:
    path = PACKAGE.parent.joinpath(*module.split("."))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def test_only_these_lie_directly_in_the_package() -> None:
    files = {path.name for path in PACKAGE.iterdir() if path.is_file()}
    assert files == {"__init__.py", "__init__.pyi", "accessor.py", "dask.py", "errors.py", "py.typed"}


def test_only_the_modules_of_the_transport_import_requests() -> None:
    users = set()
    for module in modules():
        tree = ast.parse(path_of(module).read_text("utf-8"))
        typing_only = {id(inner) for node in ast.walk(tree) if _is_typing_block(node) for inner in ast.walk(node)}
        for node in ast.walk(tree):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            if id(node) not in typing_only and any(name.split(".")[0] == "requests" for name in names):
                users.add(module)
    assert users == {"histkit.api.transport", "histkit.api.exchange", "histkit.api.sessions"}


def _is_typing_block(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def test_the_public_names_are_these() -> None:
    assert set(hk.__all__) == {
        *"COLUMNS ApiError ArchiveError AsyncHistoryClient AuthenticationError BadRequestError DownloadError".split(),
        *"HistkitError HistoryClient InputError NotFoundError PaginationError PermissionDeniedError".split(),
        *"RateLimitError SchemaError ServerError TransportError UnprocessableEntityError".split(),
        *"attribute delete dialogue_lines download_audio download_zip filter_items label load load_requests".split(),
        *"play plot_usage read_csv read_history read_parquet read_requests sample_history scan speakers".split(),
        *"sync takes to_csv to_parquet to_xlsx".split(),
        *"add_cost cost_table forecast ledger official_usage plot_hours plot_quota plot_share plot_takes".split(),
        *"read_prices reconcile report reprice retry_failed statement statements".split(),
        *"check_statements issued_rows issued_statements".split(),
        *"explore keepers pick_takes show_usage usage_table used_share verify waste".split(),
    }
    for name in hk.__all__:
        assert getattr(hk, name).__doc__
    with pytest.raises(AttributeError, match="histkit attribute sinc"):
        hk.sinc  # noqa: B018


def loaded_by(code: str) -> set[str]:
    """Return the packages that a program imports, in a process of its own."""
    program = f"import sys; {code}; print(*{{name.split('.')[0] for name in sys.modules}})"
    return {*subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()}


def test_a_plain_import_loads_nothing_heavy() -> None:
    heavy = {"pandas", "pyarrow", "numpy", "matplotlib", "ipywidgets", "click", "dask", "requests", "msgspec"}
    heavy |= {"jinja2", "IPython", "tqdm", "rich", "elevenlabs", "inspect", "asyncio"}
    assert not heavy & loaded_by("import histkit; histkit.__version__; dir(histkit)")
    errors_and_accessor = "import histkit.accessor; histkit.InputError; histkit.accessor.SpeechAccessor"
    assert not heavy & loaded_by(errors_and_accessor)


def test_a_client_loads_requests_and_no_pandas() -> None:
    loaded = loaded_by("import histkit; histkit.HistoryClient('key')")
    assert "requests" in loaded
    assert not {"pandas", "pyarrow", "numpy", "matplotlib", "click"} & loaded


def test_functions_on_frames_load_no_requests() -> None:
    names = "load, usage_table, filter_items, cost_table, forecast, ledger, report, takes, waste, statement, label"
    loaded = loaded_by(f"from histkit import {names}")
    assert "pandas" in loaded
    assert not {"requests", "urllib3", "tenacity", "matplotlib", "rich", "tqdm"} & loaded


def test_the_accessor_has_the_methods_of_the_design() -> None:
    methods = {name for name in dir(hk.accessor.SpeechAccessor) if not name.startswith("_")}
    assert methods == {
        *"filter usage plot_usage plot_share plot_hours plot_takes plot_quota label takes play".split(),
        *"download_audio download_zip delete".split(),
        *"attribute explore keepers ledger pick_takes report statement waste to_parquet to_csv to_xlsx".split(),
        *"cost_table add_cost forecast statements speakers dialogue_lines reconcile reprice".split(),
    }


@pytest.mark.parametrize("module", modules())
def test_every_example_in_a_docstring_runs(module: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    result = doctest.testmod(importlib.import_module(module), optionflags=doctest.NORMALIZE_WHITESPACE)
    assert result.failed == 0
