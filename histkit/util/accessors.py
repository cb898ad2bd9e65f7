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
    if getattr(getattr(kind, name, None), "__module__", None) == module:
        delattr(kind, name)
