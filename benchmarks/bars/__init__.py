"""The bars: pieces of work with an aim, each beside the best that one would write or pick for it.

Every side runs in a process of its own. ``python -m benchmarks.bars`` measures all of them, ``--only TEXT`` those whose
name holds the text, ``--write`` puts the table into docs/benchmarks.md. Each module of `benchmarks.bars.rooms` has a
tuple ``BARS``. With ``BARS_SCALE=0.01`` in the environment all data is a hundred times smaller (`data.scaled`).

A side is a generator function in such a module, with the folder of the data as its argument. What it
does up to its first ``yield`` is preparation and not measured. What it does up to the second is, and that ``yield``
gives the value that the sides of a bar have to agree on (None: not compared). What follows cleans up::

    def takes(folder):
        df = data.frame(folder, 1_000_000)
        yield
        result = hk.takes(df)
        yield len(result)
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

Side = Callable[[str], Iterator[Any]]


@dataclass(frozen=True)
class Bar:
    """A piece of work that is measured.

    Attributes
    ----------
    work : str
        What is done, as the table says it.
    ours : callable
        The side of histkit.
    beside : dict
        Other sides by name: peers, or other work of histkit that the aim refers to.
    aim : float
        The most that it may take: seconds, or with `of` a ratio.
    of : str, optional
        The name of the side that the aim is a multiple of.
    measure : str, default "seconds"
        What is compared: "seconds" of wall clock or "processor" seconds, children included.
    memory : float, optional
        The most that the peak of memory may grow by, in MB.
    rounds : int, optional
        Rounds at most, for work of minutes.
    """

    work: str
    ours: Side
    beside: dict[str, Side] = field(default_factory=dict)
    aim: float | None = None
    of: str | None = None
    measure: str = "seconds"
    memory: float | None = None
    rounds: int | None = None
