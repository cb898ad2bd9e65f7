"""The normal form of texts: what `takes` treats as the same text has the same one."""

from __future__ import annotations

import re
import unicodedata
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from histkit.frame.schema import TEXT

BLOCK = 65_536  # texts normalised at a time: their memory is that of a block
_PLAIN = {
    **dict.fromkeys("‘’‚‛‹›′‵ʹʻʼʽ´΄", "'"),
    **dict.fromkeys("“”„‟«»″‶〝〞〟", '"'),
    **dict.fromkeys("‐‑‒–—―−﹘︱︲", "-"),
    "ŉ": "'n",
    "…": "...",
}
_TYPOGRAPHIC = f"[{''.join(_PLAIN)}]"
_SIGN = re.compile(_TYPOGRAPHIC)
_UNEVEN = r"[^ -~]|  |^ | $"  # RE2: not ASCII, or with other white space than single blanks between words
# RE2: white space other than single blanks between words; NFKC has made blanks of the spaces that are not named.
_SPACED = r"[\t-\r\x1c-\x1f\x{85}\x{1680}\x{2028}\x{2029}]|  |^ | $"


def normalised(texts: pa.Array) -> list[bytes]:
    r"""Return the normal forms of texts as UTF-8, a missing one as an empty text.

    Letter case, white space, typographic quotes, dashes and ellipses, and Unicode compatibility forms are levelled.

    Examples
    --------
    >>> import pyarrow as pa
    >>> normalised(pa.array(["  Don’t\tgo… ", "don't go...", None]))
    [b"don't go...", b"don't go...", b'']
    """
    texts = texts.fill_null("").cast(TEXT)
    plain: list[bytes] = pc.ascii_lower(texts).cast(pa.large_binary()).to_pylist()
    uneven = _places(texts, _UNEVEN)  # the others only need lower case
    for start in range(0, len(uneven), BLOCK):
        places = uneven[start : start + BLOCK]
        folded = _folded(texts.take(pa.array(places)))
        for place, text in zip(places.tolist(), folded, strict=True):
            plain[place] = text
    return plain


def _folded(array: pa.Array) -> list[bytes]:
    """Return the normal forms of texts of any kind."""
    texts = array.to_pylist()
    for place in _places(array, _TYPOGRAPHIC).tolist():
        texts[place] = _SIGN.sub(lambda match: _PLAIN[match[0]], texts[place])
    texts = [unicodedata.normalize("NFKC", text).casefold() for text in texts]
    for place in _places(pa.array(texts, TEXT), _SPACED).tolist():
        texts[place] = " ".join(texts[place].split())
    return [text.encode() for text in texts]


def _places(texts: pa.Array, pattern: str) -> Any:
    """Return the positions of the texts that a pattern is found in."""
    return np.flatnonzero(pc.match_substring_regex(texts, pattern).to_numpy(zero_copy_only=False))
