"""Work that waits for an import: done once, at the end of the import, by nothing that stays."""

from __future__ import annotations

import copy
import importlib
import importlib.util
import inspect
import pickle
import runpy
import sys
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from histkit.util.imports import when_imported

SLOW = "import time; time.sleep(0.3); value = 1"


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], Path]]:
    """Make the package ``later_made``; it and every finder are forgotten at the end."""
    monkeypatch.syspath_prepend(tmp_path)
    finders = [*sys.meta_path]

    def make(code: str) -> Path:
        path = tmp_path / "later_made" / "__init__.py"
        path.parent.mkdir(exist_ok=True)
        path.write_text(code)
        importlib.invalidate_caches()
        return path

    yield make
    sys.meta_path = finders
    for name in [name for name in sys.modules if name.split(".")[0] == "later_made"]:
        del sys.modules[name]


def waiting() -> list[Any]:
    return [finder for finder in sys.meta_path if getattr(finder, "_name", "").startswith("later_")]


def test_a_loaded_module_is_not_waited_for(made: Callable[[str], Path]) -> None:
    made("value = 1")
    module = importlib.import_module("later_made")
    seen: list[ModuleType] = []
    when_imported("later_made", seen.append)
    assert (seen, waiting()) == ([module], [])


def test_the_function_is_called_once_when_the_module_is_complete(made: Callable[[str], Path]) -> None:
    made("value = 1")
    seen: list[int] = []
    when_imported("later_made", lambda module: seen.append(module.value))
    assert seen == []
    module = importlib.import_module("later_made")
    assert (seen, waiting()) == ([1], [])
    importlib.reload(module)
    assert seen == [1]


def test_a_module_has_its_own_loader_before_its_code_runs_and_after(made: Callable[[str], Path]) -> None:
    path = made("loaders = type(__loader__), type(__spec__.loader)")
    when_imported("later_made", lambda module: None)
    module = importlib.import_module("later_made")
    own = importlib.machinery.SourceFileLoader
    assert module.loaders == (own, own)
    assert module.__spec__ is not None
    assert (type(module.__loader__), type(module.__spec__.loader)) == (own, own)
    assert inspect.getsource(module).strip() == path.read_text()
    assert pickle.loads(pickle.dumps(module.__spec__)) == module.__spec__


def test_what_is_found_before_the_import_is_as_without(made: Callable[[str], Path]) -> None:
    path = made("value = 1")
    plain = importlib.util.find_spec("later_made")
    when_imported("later_made", lambda module: None)
    found = importlib.util.find_spec("later_made")
    assert plain is not None
    assert found is not None
    loader: Any = found.loader
    assert (loader.is_package("later_made"), loader.get_source("later_made")) == (True, "value = 1")
    assert loader.get_code("later_made").co_filename == str(path)
    assert (found.origin, found.submodule_search_locations) == (plain.origin, plain.submodule_search_locations)
    assert copy.copy(loader).__dict__ == pickle.loads(pickle.dumps(loader)).__dict__ == vars(plain.loader)
    assert "later_made" not in sys.modules


def test_the_recipe_of_the_manual_for_an_import_by_hand_works(made: Callable[[str], Path]) -> None:
    made("value = 1")
    seen: list[ModuleType] = []
    when_imported("later_made", seen.append)
    spec = importlib.util.find_spec("later_made")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert (seen, module.value) == ([module], 1)


def test_a_lazy_loader_of_the_standard_library_works(made: Callable[[str], Path]) -> None:
    made("value = 1")
    seen: list[int] = []
    when_imported("later_made", lambda module: seen.append(module.value))
    spec = importlib.util.find_spec("later_made")
    assert spec is not None
    assert spec.loader is not None
    spec.loader = importlib.util.LazyLoader(spec.loader)
    module = importlib.util.module_from_spec(spec)
    sys.modules["later_made"] = module
    spec.loader.exec_module(module)
    assert seen == []
    assert (module.value, seen) == (1, [1])


def test_a_module_runs_as_a_program(made: Callable[[str], Path]) -> None:
    path = made("value = 1")
    path.with_name("__main__.py").write_text("import later_made; result = later_made.value")
    seen: list[int] = []
    when_imported("later_made", lambda module: seen.append(module.value))
    assert runpy.run_module("later_made")["result"] == 1
    assert seen == [1]


def test_after_an_import_that_failed_the_next_one_counts(made: Callable[[str], Path]) -> None:
    path = made("raise RuntimeError('half way')")
    seen: list[str] = []
    when_imported("later_made", lambda module: seen.append(module.value))
    for _ in range(2):
        with pytest.raises(RuntimeError, match="half way"):
            importlib.import_module("later_made")
    assert (seen, "later_made" in sys.modules) == ([], False)
    path.write_text("value = 'complete at last'")
    importlib.invalidate_caches()
    importlib.import_module("later_made")
    assert (seen, waiting()) == (["complete at last"], [])


def test_a_missing_module_is_missing_as_before() -> None:
    when_imported("later_never", lambda module: None)
    with pytest.raises(ModuleNotFoundError, match="No module named 'later_never'"):
        importlib.import_module("later_never")
    assert importlib.util.find_spec("later_never") is None
    sys.meta_path = [finder for finder in sys.meta_path if finder not in waiting()]


def test_a_namespace_package_is_imported(made: Callable[[str], Path]) -> None:
    made("").unlink()
    importlib.invalidate_caches()
    when_imported("later_made", lambda module: None)
    assert list(importlib.import_module("later_made").__path__)


def _append(words: list[str], word: str, module: ModuleType) -> None:
    words.append(word)


def test_several_wait_for_one_module(made: Callable[[str], Path]) -> None:
    made("value = 1")
    seen: list[str] = []
    for word in "abc":
        when_imported("later_made", partial(_append, seen, word))
    importlib.import_module("later_made")
    assert (sorted(seen), waiting()) == (["a", "b", "c"], [])


def test_threads_that_import_see_what_the_function_did(made: Callable[[str], Path]) -> None:
    made(SLOW)
    when_imported("later_made", lambda module: setattr(module, "done", True))
    results: list[bool] = []
    threads = [
        threading.Thread(target=lambda: results.append(importlib.import_module("later_made").done)) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [True] * 8


def test_an_import_that_another_thread_has_begun_is_waited_for(made: Callable[[str], Path]) -> None:
    made(f"import threading; threading.begun.set(); {SLOW}")
    threading.begun = threading.Event()  # type: ignore[attr-defined]
    importing = threading.Thread(target=importlib.import_module, args=["later_made"])
    importing.start()
    threading.begun.wait()  # type: ignore[attr-defined]
    seen: list[int] = []
    when_imported("later_made", lambda module: seen.append(module.value))
    importing.join()
    assert (seen, waiting()) == ([1], [])
