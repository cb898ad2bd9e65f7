"""What keeps the key safe: a value that no repr shows, and the base URLs that a key may be sent to."""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

from histkit.errors import AuthenticationError, InputError

PRODUCTION = "https://api.elevenlabs.io"
SANDBOX = "sandbox"  # what stands for its host, since its port is another one each time
SANDBOX_KEY = "sk_sandbox_"  # the keys of histkit.sandbox begin with it


class Secret(str):
    """A header value that no repr, and so no traceback with local variables, shows."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "'(redacted)'"


def validate_key(given: str) -> Secret:
    """Take a key that can be one, without the white space around it; the error never shows it."""
    if not isinstance(given, str):
        raise AuthenticationError(f"The API key must be a text, not {type(given).__name__}.")
    key = given = Secret(given.strip())
    if not key or not key.isascii() or not key.isprintable() or " " in key:
        raise AuthenticationError("The API key is empty or has characters that no key has; copy it again.")
    return key


def check_base_url(url: str) -> str:
    """Return the base URL without a final slash; refuse one over which a key would travel in the open.

    Raises
    ------
    InputError
        When it is no URL, or plain http to another machine.
    """
    try:
        parts = urlsplit(url if isinstance(url, str) and url.isprintable() else "")
    except ValueError:
        parts = urlsplit("")
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username or parts.query or parts.fragment:
        raise InputError(f"base_url {url!r} is not a plain https URL such as {PRODUCTION}.")
    if parts.scheme == "http" and not is_loopback(url):
        raise InputError(f"base_url {url!r} would send the API key unencrypted: use https (http only to this machine).")
    return url.rstrip("/")


def is_loopback(url: str) -> bool:
    """Tell whether a URL's host is this machine."""
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
