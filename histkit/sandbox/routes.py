"""The API's routes: who may call them and what they answer."""

import secrets
import time
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import msgspec

from histkit.api.credentials import SANDBOX_KEY
from histkit.sandbox import account, audio, catalog, usage_stats, zips
from histkit.sandbox.faults import Faults
from histkit.sandbox.history_pages import Listing
from histkit.sandbox.prng import identity
from histkit.sandbox.responses import (
    HELP_PAGE,
    STRUCK,
    WEB_PAGE,
    Invalid,
    Refusal,
    Reply,
    json_reply,
    lacking,
    unknown_item,
    wrong_key,
)
from histkit.sandbox.store import Store

HELP_PATH = "/help/unusual-activity"
_PITCH = {voice.voice_id: voice.pitch for voice in catalog.VOICES}
_SCOPES = {
    "list": "speech_history_read",
    "item": "speech_history_read",
    "audio": "speech_history_read",
    "download": "speech_history_read",
    "delete": "speech_history_write",
}
_ACCOUNT = {
    "/v1/models": "models_read",
    "/v1/voices": "voices_read",
    "/v1/user/subscription": "user_read",
    usage_stats.STATS: None,
    usage_stats.SUCCESSOR: "workspace_analytics_full_read",
}


@dataclass(frozen=True)
class Request:
    """One API request as it came in."""

    method: str
    path: str
    query: dict[str, str]
    key: str | None
    body: bytes
    number: int
    trace: str
    kind: str | None
    item: str | None

    @classmethod
    def read(cls, method: str, target: str, key: str | None, body: bytes, number: int) -> "Request":
        """Take a request apart; `kind` is None for a path that is no route."""
        split = urlsplit(target)
        query = dict(parse_qsl(split.query, keep_blank_values=True))
        parts = split.path.strip("/").split("/")
        kind: str | None = None
        item = unquote(parts[2]) if len(parts) > 2 else None
        if split.path in _ACCOUNT:
            kind = "account"
        elif parts[:2] == ["v1", "history"] and len(parts) <= 4:
            if len(parts) == 2:
                kind = "list"
            elif len(parts) == 3 and item == "download" and method == "POST":
                kind = "download"
            elif len(parts) == 3:
                kind = "delete" if method == "DELETE" else "item"
            elif parts[3] == "audio":
                kind = "audio"
        trace = secrets.token_hex(16)
        return cls(method, split.path, query, key, body, number, trace, kind, item)


class Api:
    """The account's API: keys, faults, history."""

    def __init__(self, store: Store, faults: Faults, key: str) -> None:
        self.store = store
        self.faults = faults
        self.listing = Listing(store, faults)
        self.keys: dict[str, frozenset[str] | None] = {key: None}

    def key(self, scopes: list[str]) -> str:
        """Make another key that has only these scopes."""
        made = SANDBOX_KEY + identity(self.store.seed, "key", len(self.keys))
        self.keys[made] = frozenset(scopes)
        return made

    def answer(self, request: Request, in_flight: int) -> Reply:
        """Answer a request."""
        try:
            return self._spoiled(request, in_flight) or self._answer(request)
        except Refusal as refusal:
            reply = refusal.reply(self.faults["error_shape"], request.trace)
            if refusal.http in (429, 503) and (wait := self.faults["retry_after"]) is not None:
                date = time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(time.time() + 2))
                reply.headers["Retry-After"] = date if wait == "date" else str(wait)
            return reply
        except Invalid as invalid:
            return invalid.reply()

    def aimed(self, request: Request) -> bool:
        """Tell whether faults of requests are meant for this one."""
        return self.faults["only"] in (None, request.kind)

    def crowded(self, request: Request, in_flight: int) -> bool:
        """Tell whether a request is one too many; it is refused at once, without the latency of an answer."""
        limit = self.faults["concurrency"]
        return limit is not None and in_flight > limit and self.aimed(request)

    def strikes(self, name: str, request: Request) -> bool:
        """Tell whether a fault happens to a request."""
        return self.aimed(request) and self.faults.strikes(name, request.number)

    def _spoiled(self, request: Request, in_flight: int) -> Reply | None:
        """Return or raise what a fault makes of a request before anybody looks at it."""
        if request.path == HELP_PATH:
            return Reply(200, HELP_PAGE, "text/html; charset=utf-8")
        if self.strikes("html", request):
            return Reply(200, WEB_PAGE, "text/html; charset=utf-8", fault="html")
        if self.strikes("html_403", request):
            return Reply(403, WEB_PAGE, "text/html; charset=utf-8", fault="html_403")
        if self.strikes("redirect", request):
            given = self.faults["redirect"]
            to = given if isinstance(given, str) else HELP_PATH
            return Reply(302, b"", "text/html; charset=utf-8", {"Location": to}, fault="redirect")
        if self.crowded(request, in_flight):
            raise _struck("concurrency")
        for name in ("error_500", "error_503", "error_408", "rate_limit", "too_many", "quota_401", "unusual_activity"):
            if self.strikes(name, request):
                raise _struck(name)
        return None

    def _answer(self, request: Request) -> Reply:
        if request.kind is None:
            return json_reply({"detail": "Not Found"}, 404)
        if request.path == usage_stats.SUCCESSOR:
            return self._successor(request)
        allowed = {"download": ("POST",), "item": ("GET",), "delete": ("DELETE",)}.get(request.kind, ("GET",))
        if request.method not in allowed:
            return json_reply({"detail": "Method Not Allowed"}, 405)
        self._admit(request)
        match request.kind:
            case "list":
                return self.listing.reply(request.query, request.number)
            case "item":
                drop = tuple(self.faults["drop_fields"])
                return Reply(200, self.store.encoded(self._number(request), drop))
            case "delete":
                self._number(request)
                self.store.remove([request.item or ""])
                return json_reply({"status": "ok"})
            case "audio":
                return self._audio(self._number(request))
            case "download":
                return self._download(request)
        if request.path == usage_stats.STATS:
            if self.faults["no_stats"]:
                return json_reply({"detail": "Not Found"}, 404)
            return json_reply(usage_stats.character_stats(self.store.rows, request.query))
        if request.path == "/v1/models":
            return json_reply(account.models())
        return json_reply(account.voices() if request.path == "/v1/voices" else self._subscription())

    def _admit(self, request: Request) -> None:
        if not request.key:
            raise wrong_key("No API key was given. Send it in the xi-api-key header.", "missing_api_key")
        if request.key not in self.keys:
            raise wrong_key("The API key is not valid.", "invalid_api_key")
        scopes = self.keys[request.key]
        needed = _SCOPES.get(request.kind or "") or _ACCOUNT[request.path]
        if needed is not None and scopes is not None and needed not in scopes:
            raise lacking(needed)

    def _number(self, request: Request) -> int:
        number = self.store.number(request.item or "")
        if number is None:
            raise unknown_item(request.item or "")
        return number

    def _clip(self, row: dict[str, Any], output_format: str) -> tuple[bytes, str]:
        lines = row.get("dialogue") or []
        said = sum(len(line["text"]) for line in lines) or len(row.get("text") or "") or 40
        pitch = _PITCH.get(row.get("voice_id") or "", 1)
        return audio.clip(str(row["history_item_id"]), pitch, said, output_format, self.faults["clip_bytes"])

    def _audio(self, number: int) -> Reply:
        row = self.store.fields(number)
        body, content_type = self._clip(row, audio.stored_format(row))
        return Reply(200, body, content_type)

    def _download(self, request: Request) -> Reply:
        ids, wav = _bulk(request.body)
        if len(ids) > 1 and not set(ids).isdisjoint(self.faults["poisoned"]):
            status = int(self.faults["poison_status"])
            kind, code = ("internal_error",) * 2 if status >= 500 else ("invalid_request", "bad_request")
            raise Refusal(status, kind, code, "The audio could not be collected.", fault="poisoned")
        found = [(one, self.store.number(one)) for one in ids]
        if self.faults["unknown_ids"] == "omit":
            found = [(one, number) for one, number in found if number is not None]
        entries = []
        for one, number in found:
            if number is None:
                raise unknown_item(one)
            row = self.store.fields(number)
            entries.append((row, *self._clip(row, "wav_44100" if wav else audio.stored_format(row))))
        if not entries:
            raise unknown_item(ids[0])
        if len(ids) == 1 or self.strikes("zip_bare", request):
            return Reply(200, entries[0][1], entries[0][2], fault=None if len(ids) == 1 else "zip_bare")
        packed = zips.pack([(row, audio) for row, audio, _ in entries], ".wav" if wav else ".mp3", self._style())
        if self.strikes("zip_broken", request):
            middle = len(packed) // 2
            packed = packed[:middle] + bytes([packed[middle] ^ 1]) + packed[middle + 1 :]
            return Reply(200, packed, "application/zip", fault="zip_broken")
        return Reply(200, packed, "application/zip")

    def _style(self) -> zips.Style:
        faults = self.faults
        return zips.Style(
            raw=faults["zip_names"] == "raw",
            suffix=faults["zip_collisions"] == "suffix",
            shuffled=faults["zip_order"] == "shuffled",
            ahead=faults["zip_ahead"],
            times=faults["zip_times"],
            ids=faults["zip_ids"],
            packed=faults["zip_packed"],
            tagged=faults["zip_tagged"],
        )

    def _successor(self, request: Request) -> Reply:
        if request.method != "POST":
            return json_reply({"detail": "Method Not Allowed"}, 405)
        self._admit(request)
        try:
            body = msgspec.json.decode(request.body, type=dict)
        except (msgspec.DecodeError, msgspec.ValidationError):
            raise Invalid(["body"], "JSON decode error", "json_invalid") from None
        return json_reply(usage_stats.by_product(self.store.rows, body))

    def _subscription(self) -> dict[str, Any]:
        with self.store.lock:
            newest = self.store.newest()
            used = int(newest.get("character_count_change_to", 0))
            peak = max(used, int(self.store.rows.data.stop.max()))
        return account.subscription(used, peak, int(newest.get("date_unix", self.store.rows.data.end)))


def _struck(name: str) -> Refusal:
    """Return a fresh refusal for a fault (an exception object is not for sharing between threads)."""
    known = STRUCK[name]
    return Refusal(known.http, known.kind, known.code, known.message, status=known.status, fault=name)


def _bulk(body: bytes) -> tuple[list[str], bool]:
    """Check the body of a bulk download; return the ids and whether WAV is asked for."""
    try:
        given = msgspec.json.decode(body)
    except msgspec.DecodeError:
        raise Invalid(["body"], "JSON decode error", "json_invalid") from None
    if not isinstance(given, dict):
        raise Invalid(["body"], "Input should be a valid dictionary", "dict_type", given)
    if "history_item_ids" not in given:
        raise Invalid(["body", "history_item_ids"], "Field required", "missing", given)
    ids = given["history_item_ids"]
    if not isinstance(ids, list):
        raise Invalid(["body", "history_item_ids"], "Input should be a valid list", "list_type", ids)
    if not ids:
        raise Invalid(["body", "history_item_ids"], "List should have at least 1 item", "too_short", ids)
    for place, one in enumerate(ids):
        if not isinstance(one, str):
            raise Invalid(["body", "history_item_ids", place], "Input should be a valid string", "string_type", one)
    output_format = given.get("output_format")
    if output_format not in (None, "default", "wav"):
        raise BadFormat
    return ids, output_format == "wav"


class BadFormat(Refusal):
    """The 400 of the bulk download, in its own shape."""

    def __init__(self) -> None:
        super().__init__(400, "", "invalid_output_format", "output_format must be wav or none")

    def reply(self, shape: str, request_id: str) -> Reply:
        """Return the error body."""
        return json_reply({"error": self.code, "message": self.message}, 400)
