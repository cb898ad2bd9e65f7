"""Protection of API keys: strings with a hidden repr, redaction of responses, checks of base URLs."""

from __future__ import annotations

import base64
import ipaddress
import re
from collections.abc import Mapping
from contextlib import suppress
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import msgspec

from histkit.errors import AuthenticationError, InputError
from histkit.util.text import REDACTED, quoted

PRODUCTION = "https://api.elevenlabs.io"
SANDBOX = "sandbox"  # replaces the host in a history's metadata, because the port changes
SANDBOX_KEY = "sk_sandbox_"  # the keys of histkit.sandbox begin with it
_SECRET_NAME = re.compile(r"key|token|secret|auth|password|cookie|signature", re.IGNORECASE)
_SHORTEST_PART = 4  # of a compound value ("Bearer ...", a cookie): shorter parts are words, not secrets


class Secret(str):
    """A string whose repr hides its value, also in tracebacks that show local variables."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"'{REDACTED}'"


def validate_key(given: str) -> Secret:
    """Return an API key without surrounding white space.

    Raises
    ------
    AuthenticationError
        The key is not a string, is empty, or has invalid characters. The message never shows it.
    """
    if not isinstance(given, str):
        raise AuthenticationError(f"The API key must be a string, not {type(given).__name__}.")
    key = given = Secret(given.strip())
    if not key or not key.isascii() or not key.isprintable() or " " in key:
        raise AuthenticationError("The API key is empty or has characters that no key has; copy it again.")
    return key


def is_secret_name(name: str) -> bool:
    """Return whether a header or query parameter of this name holds a secret."""
    return _SECRET_NAME.search(name) is not None


class Redactor:
    r"""Removes the secrets of a request from its response.

    Parameters
    ----------
    headers : mapping
        Headers of the request as it was sent: those of the call, the client and the session.
    url : str
        Its URL, whose query can hold a key too.
    body : mapping, optional
        Its JSON body, whose fields can hold one.

    Examples
    --------
    >>> redactor = Redactor({"xi-api-key": "sk_1234"}, "https://api.elevenlabs.io/v1/history")
    >>> redactor.text("no such key: sk_1234"), redactor.json(rb'{"detail": "\u0073k_1234"}')
    ('no such key: (redacted)', {'detail': '(redacted)'})
    """

    def __init__(self, headers: Mapping[str, Any], url: str, body: Mapping[str, Any] | None = None) -> None:
        fields = (*headers.items(), *parse_qsl(urlsplit(url).query), *(body or {}).items())
        values = [_as_text(value) for name, value in fields if is_secret_name(name)]
        values += [password for value in values for password in _basic_password(value)]
        parts = (part for value in values for part in re.split(r"[\s;=,]+", value) if len(part) >= _SHORTEST_PART)
        self._secrets = sorted({Secret(value) for value in (*values, *parts) if value}, key=len, reverse=True)

    def text(self, text: str) -> str:
        """Return a text without the secrets, in any letter case, including escaped ones (JSON, URL, HTML)."""
        escaped = any(mark in text for mark in "\\%&")
        for secret in self._secrets:
            pattern = _pattern(secret) if escaped else re.compile(re.escape(secret), re.IGNORECASE)
            text = pattern.sub(REDACTED, text)
        return text

    def headers(self, headers: Mapping[str, str]) -> dict[str, str]:
        """Return response headers without the secrets, names in lower case."""
        return {name.lower(): self.text(value) for name, value in headers.items()}

    def json(self, body: bytes, *, complete: bool = True) -> Any:
        """Return a body without the secrets: decoded JSON, else its text.

        The last word of one that is not `complete` can be the beginning of a secret, and is left out.
        """
        text = self.text(body.decode("utf-8", "replace"))
        if not complete:
            return f"{text.rpartition(' ')[0]} …"
        try:
            return msgspec.json.decode(text)
        except (msgspec.DecodeError, RecursionError):
            return text


def _basic_password(value: str) -> list[str]:
    """Return the password within the header of HTTP Basic authentication; nothing for another header."""
    scheme, _, encoded = value.partition(" ")
    if scheme.lower() != "basic":
        return []
    with suppress(ValueError):
        return [base64.b64decode(encoded).decode("latin-1").partition(":")[2]]
    return []


def _as_text(value: Any) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)


def _pattern(secret: str) -> re.Pattern[str]:
    """Return a regular expression for a secret whose characters may be escaped."""
    return re.compile("".join(map(_any_form, secret)), re.IGNORECASE)


def _any_form(char: str) -> str:
    code = ord(char)
    forms = [
        rf"\\+(?:u00|x){code:02x}" if code < 256 else rf"\\+u{code:04x}",
        rf"&#x0*{code:x};",
        rf"&#0*{code};",
        "".join(f"%(?:25)*{byte:02x}" for byte in char.encode("utf-8", "replace")),
        rf"\\*{re.escape(char)}",  # last: "&" and "%" also begin an escape of themselves
    ]
    return f"(?:{'|'.join(forms)})"


def check_base_url(url: Any) -> str:
    """Return the base URL without a final slash.

    Raises
    ------
    InputError
        The value is not a URL, has a user name, a query or a fragment, or is plain http to another machine, where a key
        would travel unencrypted. The message never shows a password.
    """
    if not _is_plain_url(url):
        raise InputError(f"base_url {quoted(masked_url(url))} is not a plain https URL such as {PRODUCTION}.")
    if url.startswith("http:") and not is_loopback(url):
        shown = masked_url(url)
        raise InputError(
            f"base_url {shown!r} would send the API key unencrypted: use https (http only to this machine)."
        )
    return str(url).rstrip("/")


def _is_plain_url(url: Any) -> bool:
    if not isinstance(url, str) or not url.isprintable() or "@" in url or not url.startswith(("http://", "https://")):
        return False
    try:
        parts = urlsplit(url)
        return bool(parts.hostname) and not (parts.query or parts.fragment) and parts.port != 0
    except ValueError:  # the port is not a number, or a bracket is missing
        return False


def masked_url(url: Any) -> Any:
    """Return a URL for a message, without its user name, password, query and fragment.

    Examples
    --------
    >>> masked_url("https://user:pass@host/path?key=1")
    'https://(redacted)@host/path?(redacted)'
    """
    if not isinstance(url, str):
        return url
    shown = re.sub(r"^([a-z+.-]*:?/*)(.*)@", rf"\1{REDACTED}@", url, flags=re.IGNORECASE | re.DOTALL)
    return re.sub(r"[?#].*$", f"?{REDACTED}", shown, flags=re.DOTALL)


def is_loopback(url: str) -> bool:
    """Return whether a URL's host is this machine."""
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def find_key(headers: Mapping[str, Any]) -> str | None:
    """Return the API key in headers, whose names are compared in any letter case; None if there is none."""
    keys = [value for name, value in headers.items() if name.lower() == "xi-api-key"]
    return Secret(_as_text(keys[-1])) if keys else None
