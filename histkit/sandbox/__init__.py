"""An API server on this machine with a realistic, seeded speech history and playable audio.

>>> from histkit import sandbox
>>> with sandbox.serve(items=100, rate_limit=2) as box:
...     len(box.history())
100
"""

from histkit.sandbox.faults import FAULTS
from histkit.sandbox.process import Sandbox, run, serve
from histkit.sandbox.rows import Item, history, page_bytes

__all__ = ["FAULTS", "Item", "Sandbox", "history", "page_bytes", "run", "serve"]
