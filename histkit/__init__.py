"""The speech history of an ElevenLabs account as a pandas DataFrame.

>>> import histkit as hk
>>> df = hk.sample_history(200)
>>> len(df.speech.filter(model="eleven_multilingual_v2")) <= len(df)
True

``import histkit`` registers ``df.speech``. The other public names are listed in ``__init__.pyi`` and imported at first
use, because requests alone would add 100 ms to the import of pandas.
"""

import lazy_loader

import histkit.accessor  # noqa: F401 - registers df.speech

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
__version__ = "0.2.0"
