"""The API's routes: authorization and replies."""

import secrets
import time
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import msgspec

from histkit.api.credentials import SANDBOX_KEY
from histkit.sandbox import account, analytics, audio, catalog, usage_stats, zips
from histkit.sandbox.faults import Faults
from histkit.sandbox.history_pages import HistoryPages
from histkit.sandbox.prng import identity
from histkit.sandbox.request_log import REQUESTS, SCOPE, RequestLog
from histkit.sandbox.responses import (
    FAULT_REFUSALS,
    HELP_PAGE,
    WEB_PAGE,
    Invalid,
    Refusal,
    Reply,
    json_reply,
    missing_scope,
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
    "log": SCOPE,
}
_REFUSING = (
    *("error_500", "error_503", "error_408", "error_409", "rate_limit", "too_many"),
    *("quota_401", "payment_issue", "unusual_activity"),
)
_ACCOUNT = {
    "/v1/models": "models_read",
    "/v1/voices": "voices_read",
    "/v1/user/subscription": "user_read",
    usage_stats.STATS: None,
    analytics.USAGE: analytics.SCOPE,
    analytics.COST: analytics.SCOPE,
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
        """Parse a request; `kind` is None for an unknown path."""
        split = urlsplit(target)
        query = dict(parse_qsl(split.query, keep_blank_values=True))
        parts = split.path.strip("/").split("/")
        kind: str | None = None
        item = unquote(parts[2]) if len(parts) > 2 else None
        if split.path in _ACCOUNT:
            kind = "account"
        elif split.path == REQUESTS:
            kind = "log"
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
        self.pages = HistoryPages(store, faults)
        self.log = RequestLog(store, faults)
        self.keys: dict[str, frozenset[str] | None] = {key: None}
        self._spent: analytics.Spending | None = None

    def key(self, scopes: list[str]) -> str:
        """Create another key that has only these scopes."""
        made = SANDBOX_KEY + identity(self.store.seed, "key", len(self.keys))
        self.keys[made] = frozenset(scopes)
        return made

    def answer(self, request: Request, in_flight: int) -> Reply:
        """Answer a request."""
        try:
            return self._faulty_reply(request, in_flight) or self._dispatch(request)
        except Refusal as refusal:
            reply = refusal.reply(self.faults["error_shape"], request.trace)
            if refusal.http in (429, 503) and (wait := self.faults["retry_after"]) is not None:
                date = time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(time.time() + 2))
                reply.headers["Retry-After"] = date if wait == "date" else str(wait)
            return reply
        except Invalid as invalid:
            return invalid.reply()

    def applies_to(self, request: Request) -> bool:
        """Return whether the faults are set for this kind of request."""
        return self.faults["only"] in (None, request.kind)

    def is_over_limit(self, request: Request, in_flight: int) -> bool:
        """Return whether a request exceeds the limit on concurrency; it is refused without the latency."""
        limit = self.faults["concurrency"]
        return limit is not None and in_flight > limit and self.applies_to(request)

    def strikes(self, name: str, request: Request) -> bool:
        """Return whether a fault happens to a request."""
        return self.applies_to(request) and self.faults.strikes(name, request.number)

    def _faulty_reply(self, request: Request, in_flight: int) -> Reply | None:
        """Return the reply of a fault that comes before the request is read, or raise its refusal."""
        if request.path == HELP_PATH:
            return Reply(200, HELP_PAGE, "text/html; charset=utf-8")
        if self.strikes("html", request):
            return Reply(200, WEB_PAGE, "text/html; charset=utf-8", fault="html")
        if self.strikes("html_403", request):
            return Reply(403, WEB_PAGE, "text/html; charset=utf-8", fault="html_403")
        if self.strikes("redirect", request):
            target = self.faults["redirect"]
            to = target if isinstance(target, str) else HELP_PATH
            return Reply(302, b"", "text/html; charset=utf-8", {"Location": to}, fault="redirect")
        if self.is_over_limit(request, in_flight):
            raise _refusal_of("concurrency")
        for name in _REFUSING:
            if self.strikes(name, request):
                raise _refusal_of(name)
        return None

    def _dispatch(self, request: Request) -> Reply:
        if request.kind is None:
            return json_reply({"detail": "Not Found"}, 404)
        if request.path in (analytics.USAGE, analytics.COST):
            return self._analytics(request)
        allowed = {"download": ("POST",), "log": ("POST",), "item": ("GET",), "delete": ("DELETE",)}.get(
            request.kind, ("GET",)
        )
        if request.method not in allowed:
            return json_reply({"detail": "Method Not Allowed"}, 405)
        self._authorize(request)
        match request.kind:
            case "list":
                return self.pages.reply(request.query, request.number)
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
            case "log":
                return json_reply(self.log.answer(_parse_json(request.body), request.number))
        if request.path == usage_stats.STATS:
            if self.faults["no_stats"]:
                return json_reply({"detail": "Not Found"}, 404)
            return json_reply(
                usage_stats.character_stats(self._spending(), request.query, self.faults, self.store.seed)
            )
        if request.path == "/v1/models":
            return json_reply(account.models())
        return json_reply(account.voices() if request.path == "/v1/voices" else self._subscription())

    def _authorize(self, request: Request) -> None:
        if not request.key:
            raise wrong_key("No API key was given. Send it in the xi-api-key header.", "missing_api_key")
        if request.key not in self.keys:
            raise wrong_key("The API key is not valid.", "invalid_api_key")
        scopes = self.keys[request.key]
        needed = _SCOPES.get(request.kind or "") or _ACCOUNT[request.path]
        if needed is not None and scopes is not None and needed not in scopes:
            raise missing_scope(needed)

    def _number(self, request: Request) -> int:
        number = self.store.number(request.item or "")
        if number is None:
            raise unknown_item(request.item or "")
        return number

    def _clip(self, row: dict[str, Any], output_format: str) -> tuple[bytes, str]:
        lines = row.get("dialogue") or []
        characters = sum(len(line["text"]) for line in lines) or len(row.get("text") or "") or 40
        pitch = _PITCH.get(row.get("voice_id") or "", 1)
        item, size, sizes = str(row["history_item_id"]), self.faults["clip_bytes"], self.faults["wav_sizes"]
        if self.faults["bare_samples"] and not row.get("output_format") and not output_format.startswith("wav"):
            return audio.clip(item, pitch, characters, "pcm_24000", size)[0], "audio/mpeg"
        body, content_type = audio.clip(item, pitch, characters, output_format, size)
        if content_type == "audio/wav" and sizes != "true":
            body = audio.with_stream_sizes(body, int(sizes, 16))
        return body, content_type

    def _audio(self, number: int) -> Reply:
        row = self.store.fields(number)
        body, content_type = self._clip(row, audio.stored_format(row))
        return Reply(200, body, content_type)

    def _download(self, request: Request) -> Reply:
        ids, wav = _parse_bulk_body(request.body)
        self._fail_if_poisoned(ids)
        clips = []
        for number in self._numbers(ids):
            row = self.store.fields(number)
            clips.append((row, *self._clip(row, "wav_44100" if wav else audio.stored_format(row))))
        if len(ids) == 1:
            return Reply(200, clips[0][1], clips[0][2])
        if self.strikes("zip_bare", request):
            return Reply(200, clips[0][1], clips[0][2], fault="zip_bare")
        packed = zips.pack([(row, sound) for row, sound, _ in clips], ".wav" if wav else ".mp3", self._style())
        if self.strikes("zip_broken", request):
            return Reply(200, _with_wrong_byte(packed), "application/zip", fault="zip_broken")
        return Reply(200, packed, "application/zip")

    def _fail_if_poisoned(self, ids: list[str]) -> None:
        if len(ids) > 1 and not set(ids).isdisjoint(self.faults["poisoned"]):
            status = int(self.faults["poison_status"])
            kind, code = ("internal_error",) * 2 if status >= 500 else ("invalid_request", "bad_request")
            raise Refusal(status, kind, code, "The audio could not be collected.", fault="poisoned")

    def _numbers(self, ids: list[str]) -> list[int]:
        """Return the numbers of rows by id; an unknown id is refused, or left out if the fault says so."""
        numbers = [self.store.number(item) for item in ids]
        known = [number for number in numbers if number is not None]
        if len(known) == len(ids) or (known and self.faults["unknown_ids"] == "omit"):
            return known
        raise unknown_item(ids[numbers.index(None)])

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

    def _analytics(self, request: Request) -> Reply:
        if self.faults["no_usage"]:
            return json_reply({"detail": "Not Found"}, 404)
        if request.method != "POST":
            return json_reply({"detail": "Method Not Allowed"}, 405)
        self._authorize(request)
        answer = analytics.usage_over_time if request.path == analytics.USAGE else analytics.cost_over_time
        return json_reply(answer(self._spending(), _parse_json(request.body), self.faults, self.store.seed))

    def _spending(self) -> analytics.Spending:
        with self.store.lock:
            if self._spent is None:
                self._spent = analytics.spending(self.store.rows, self.store.seed)
            return self._spent

    def _subscription(self) -> dict[str, Any]:
        with self.store.lock:
            newest = self.store.newest()
            used = int(newest.get("character_count_change_to", 0))
            peak = max(used, int(self.store.rows.data.stop.max()))
        return account.subscription(used, peak, int(newest.get("date_unix", self.store.rows.data.end)))


def _refusal_of(name: str) -> Refusal:
    """Return a new refusal for a fault: threads must not share an exception."""
    known = FAULT_REFUSALS[name]
    return Refusal(known.http, known.kind, known.code, known.message, status=known.status, fault=name)


def _with_wrong_byte(data: bytes) -> bytes:
    middle = len(data) // 2
    return data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :]


def _parse_json(body: bytes) -> dict[str, Any]:
    """Decode a body that must be a JSON object."""
    try:
        return msgspec.json.decode(body, type=dict[str, Any])
    except (msgspec.DecodeError, msgspec.ValidationError):
        raise Invalid(["body"], "JSON decode error", "json_invalid") from None


def _parse_bulk_body(body: bytes) -> tuple[list[str], bool]:
    """Check the body of a bulk download; return the ids and whether WAV is requested."""
    try:
        value = msgspec.json.decode(body)
    except msgspec.DecodeError:
        raise Invalid(["body"], "JSON decode error", "json_invalid") from None
    if not isinstance(value, dict):
        raise Invalid(["body"], "Input should be a valid dictionary", "dict_type", value)
    if "history_item_ids" not in value:
        raise Invalid(["body", "history_item_ids"], "Field required", "missing", value)
    ids = value["history_item_ids"]
    if not isinstance(ids, list):
        raise Invalid(["body", "history_item_ids"], "Input should be a valid list", "list_type", ids)
    if not ids:
        raise Invalid(["body", "history_item_ids"], "List should have at least 1 item", "too_short", ids)
    for place, item in enumerate(ids):
        if not isinstance(item, str):
            raise Invalid(["body", "history_item_ids", place], "Input should be a valid string", "string_type", item)
    output_format = value.get("output_format")
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
