"""An API server on this machine with a realistic, seeded speech history and playable audio.

>>> from histkit import sandbox
>>> with sandbox.serve(items=100, rate_limit=2) as box:
...     len(box.history())
100
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
