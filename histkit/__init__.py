"""The speech history of an ElevenLabs account as a pandas DataFrame.

>>> import histkit as hk
>>> df = hk.sample_history(200)
>>> len(df.speech.filter(model="eleven_multilingual_v2")) <= len(df)
True

``import histkit`` registers ``df.speech``, or has it registered when pandas is imported. The other public names are
listed in ``__init__.pyi`` and imported at first use: pandas alone takes 0.4 s, requests 0.1 s.
"""

import lazy_loader

import histkit.accessor  # noqa: F401 - registers df.speech

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
__version__ = "0.2.0"
