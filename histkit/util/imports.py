"""Work that waits for the import of another package."""

from __future__ import annotations

import copy
import importlib
import sys
import threading
from collections.abc import Callable, Sequence
from importlib.machinery import ModuleSpec
from itertools import dropwhile, islice
from types import ModuleType
from typing import Any


def when_imported(name: str, act: Callable[[Any], object]) -> None:
    """Call a function with a module: now if the module is loaded, else at the end of its import.

    Parameters
    ----------
    name : str
        A module at the top level.
    act : callable
        Must not import anything: another thread may wait for it. It is called after the first import that succeeds.

    Examples
    --------
    >>> when_imported("sys", lambda module: print(module.__name__))
    sys
    """
    waiting = _Waiting(name, act)
    sys.meta_path.insert(0, waiting)  # before the look: another thread may begin to import
    if sys.modules.get(name) is not None:
        waiting.finish(importlib.import_module(name))  # waits for a thread that is importing it


class _Waiting:
    """A finder that has the finders after it find one module, and wraps the loader of that module."""

    def __init__(self, name: str, act: Callable[[Any], object]) -> None:
        self._name = name
        self._act = act
        self._lock = threading.Lock()
        self._done = False

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return what the finders after this one find; None for another module."""
        if name != self._name or self._done:
            return None
        finders = dropwhile(lambda finder: finder is not self, list(sys.meta_path))
        for finder in islice(finders, 1, None):  # one before this may ask this one
            find = getattr(finder, "find_spec", None)
            spec: ModuleSpec | None = find(name, path, target) if find is not None else None
            if spec is not None:
                if hasattr(spec.loader, "exec_module"):  # a namespace package may have no loader
                    spec.loader = _Loader(spec.loader, self)  # type: ignore[assignment]
                return spec
        return None

    def finish(self, module: ModuleType) -> None:
        """Call the function unless it was called, and remove this finder."""
        with self._lock:
            if not self._done:
                self._act(module)
            self._done = True
        # A new list: while another thread goes through the old one, a removal there would hide a finder from it.
        sys.meta_path = [finder for finder in sys.meta_path if finder is not self]


class _Loader:
    """A loader in all respects like another, which reports the end of an import."""

    def __init__(self, loader: Any, waiting: _Waiting) -> None:
        self._loader = loader
        self._waiting = waiting

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loader, name)

    def __reduce__(self) -> Any:
        return copy.copy, (self._loader,)  # copied and pickled as the other loader

    def exec_module(self, module: ModuleType) -> None:
        """Execute the module with the other loader, which from then on is the one that its attributes name."""
        if module.__spec__ is not None:
            module.__spec__.loader = self._loader
        module.__loader__ = self._loader
        self._loader.exec_module(module)
        self._waiting.finish(module)
