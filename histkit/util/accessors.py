"""Accessors such as ``df.speech``: registered once, also when their module is reloaded."""

from __future__ import annotations


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
