"""Whether the body of a response is all of a clip or zip, as it is."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TypeVar

from histkit.api.options import HttpResponse, RequestOptions, options_of
from histkit.errors import TransportError

A = TypeVar("A")


def body_defect(status: int, headers: Mapping[str, str]) -> str | None:
    """Return one line about a body that is not all of the content, as it is: a part, none, or encoded; else None.

    Parameters
    ----------
    status : int
        HTTP status of a success.
    headers : mapping
        Response headers, names in lower case.

    Examples
    --------
    >>> body_defect(200, {"content-range": "bytes 0-99/200"})
    'A part of the clip came instead of the whole (HTTP 200, bytes 0-99/200).'
    >>> body_defect(200, {"content-range": "bytes 0-99/100"})
    """
    part = headers.get("content-range", "")
    multipart = headers.get("content-type", "").strip().lower().startswith("multipart/")
    if status == 206 or (status == 200 and (multipart or (part and range_size(part) is None))):
        shown = f", {part:.60}" if part else ""
        return f"A part of the clip came instead of the whole (HTTP {status}{shown})."
    if status != 200:
        return f"No clip came (HTTP {status})."
    encoding = headers.get("content-encoding", "")
    encodings = {name.strip().lower() for name in encoding.split(",")} - {"", "identity"}
    if not encodings:
        return None
    from urllib3.response import HTTPResponse as DecodingResponse  # late, as all of requests

    if not encodings <= {*DecodingResponse.CONTENT_DECODERS}:
        return f"The clip came compressed in a way that can't be read ({encoding:.60})."
    return None


def range_size(part: str) -> int | None:
    """Return the number of bytes of a Content-Range that spans all of them; None for any other.

    Examples
    --------
    >>> range_size("bytes 0-99/100"), range_size("bytes 0-49/100"), range_size("bytes 0-99/*")
    (100, None, None)
    """
    match = re.fullmatch(r"bytes +0-([0-9]{1,18})/([0-9]{1,18})", part.strip(), re.IGNORECASE)
    return int(match[2]) if match is not None and int(match[1]) + 1 == int(match[2]) else None


def check_whole(response: HttpResponse[A], request_options: RequestOptions | None) -> HttpResponse[A]:
    """Return a response whose body is all of the content, or the part that the caller asked for by a Range header.

    Raises
    ------
    TransportError
        It is not.
    """
    asked = options_of(request_options).get("additional_headers") or {}
    defect = None if "range" in map(str.lower, asked) else body_defect(response.status_code, response.headers)
    if defect is not None:
        raise TransportError(defect)
    return response
