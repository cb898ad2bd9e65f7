"""Accessors such as ``df.speech``: registered once, also when their module is reloaded."""

from __future__ import annotations

from typing import Any

from histkit.util.imports import when_imported


def register_accessor(name: str, accessor: type) -> None:
    """Register an accessor of pandas' frames: now if pandas is loaded, else when it is imported.

    Parameters
    ----------
    name : str
        The accessor's attribute.
    accessor : type
        Its class.
    """

    def register(pandas: Any) -> None:
        forget_accessor(pandas.DataFrame, name, accessor.__module__)
        pandas.api.extensions.register_dataframe_accessor(name)(accessor)

    when_imported("pandas", register)


def forget_accessor(kind: type, name: str, module: str) -> None:
    """Remove an accessor that an earlier import of a module registered, so that a reload doesn't warn.

    An accessor of another package stays, and the registration warns that it is replaced.

    Parameters
    ----------
    kind : type
        The class of frames.
    name : str
        The accessor's attribute.
    module : str
        ``__name__`` of the module that registers it.
    """
    existing = getattr(kind, name, None)
    home = getattr(existing, "__module__", "")
    renamed = home.rpartition(".")[2] == module.rpartition(".")[2]  # the package is imported under another name, too
    if home == module or (renamed and getattr(existing, "__name__", "").endswith("SpeechAccessor")):
        delattr(kind, name)
