"""Replies and refusals in the shapes that the API uses."""

from dataclasses import dataclass, field
from typing import Any

import msgspec

WEB_PAGE = b"""<!DOCTYPE html>
<html lang="en"><head><title>Just a moment...</title></head>
<body><h1>Just a moment...</h1><p>Checking that the connection is secure.</p></body></html>
"""
HELP_PAGE = b"<!DOCTYPE html>\n<html><head><title>Help</title></head><body><h1>Help Center</h1></body></html>\n"


@dataclass
class Reply:
    """One answer: status, body, content type, further headers, and the fault that made it, if one did.

    `sized` is whether it has a Content-Length, `endless` whether its body is repeated until the client hangs up.
    """

    status: int
    body: bytes
    content_type: str = "application/json"
    headers: dict[str, str] = field(default_factory=dict)
    fault: str | None = None
    sized: bool = True
    endless: bool = False


def json_reply(value: Any, status: int = 200) -> Reply:
    """Return a value as a JSON answer."""
    return Reply(status, msgspec.json.encode(value))


BODY_FAULTS = ("cut_sized", "cut_unsized", "partial", "no_content", "empty", "endless")
"""The faults of the body of an audio or zip."""


def damage(reply: Reply, fault: str, share: float) -> None:
    """Change the answer of an audio or zip as one of `BODY_FAULTS` does; `share` is the part that a cut leaves."""
    whole = len(reply.body)
    kept = max(0, min(whole - 1, round(whole * share)))
    reply.fault = fault
    match fault:
        case "cut_sized":
            reply.body = reply.body[:kept]
        case "cut_unsized":
            reply.body, reply.sized = reply.body[:kept], False
        case "partial":
            reply.status, reply.body = 206, reply.body[:kept]
            reply.headers["Content-Range"] = f"bytes 0-{kept - 1}/{whole}"
        case "no_content":
            reply.status, reply.body, reply.sized = 204, b"", False
        case "empty":
            reply.body = b""
        case "endless":
            reply.sized, reply.endless = False, True


class Refusal(Exception):
    """A refused request: becomes an error body of the current or the older shape.

    Parameters
    ----------
    http
        Status of the response.
    kind, code
        ``detail.type`` and ``detail.code`` of the current shape.
    message
        Message for the user.
    status
        ``detail.status``, the older name of the code; `code` without it.
    param
        The invalid parameter.
    fault
        The fault that caused it.
    """

    def __init__(
        self,
        http: int,
        kind: str,
        code: str,
        message: str,
        *,
        status: str | None = None,
        param: str | None = None,
        fault: str | None = None,
    ) -> None:
        super().__init__(message)
        self.http, self.kind, self.code, self.message = http, kind, code, message
        self.status, self.param, self.fault = status or code, param, fault

    def reply(self, shape: str, request_id: str) -> Reply:
        """Return the error body."""
        detail: dict[str, Any] = {"status": self.status, "message": self.message}
        if shape == "current":
            detail = {
                "type": self.kind,
                "code": self.code,
                "message": self.message,
                "status": self.status,
                "request_id": request_id,
            }
            if self.param:
                detail["param"] = self.param
        made = json_reply({"detail": detail}, self.http)
        made.fault = self.fault
        return made


class Invalid(Exception):
    """A 422: the validation list, one entry."""

    def __init__(self, place: list[str | int], message: str, kind: str, given: Any = None) -> None:
        super().__init__(message)
        self.entry = {"loc": place, "msg": message, "type": kind, "input": given}

    def reply(self) -> Reply:
        """Return the error body."""
        return json_reply({"detail": [self.entry]}, 422)


def wrong_key(message: str, code: str) -> Refusal:
    """Return the refusal of a request whose key is missing or unknown."""
    return Refusal(401, "authentication_error", code, message)


def missing_scope(scope: str) -> Refusal:
    """Return the refusal of a valid key that lacks a scope."""
    message = f"The API key you used is missing the permission {scope} to execute this operation."
    return Refusal(401, "authentication_error", "unauthorized", message, status="missing_permissions")


def unknown_item(history_item_id: str) -> Refusal:
    """Return the refusal for a row that does not exist."""
    message = f"A history item with ID '{history_item_id}' was not found."
    return Refusal(404, "not_found", "history_item_not_found", message, param="history_item_id")


FAULT_REFUSALS: dict[str, Refusal] = {
    "error_408": Refusal(408, "request_timeout", "request_timeout", "The request took too long."),
    "error_409": Refusal(409, "conflict", "already_running", "Another request is already in progress."),
    "error_500": Refusal(500, "internal_error", "internal_error", "Something went wrong on our side."),
    "error_503": Refusal(503, "service_unavailable", "service_unavailable", "The service is overloaded."),
    "rate_limit": Refusal(429, "rate_limit_error", "rate_limit_exceeded", "Too many requests. Please slow down."),
    "concurrency": Refusal(
        429,
        "rate_limit_error",
        "concurrent_limit_exceeded",
        "Too many concurrent requests for this account.",
        status="too_many_concurrent_requests",
    ),
    "too_many": Refusal(
        429,
        "rate_limit_error",
        "too_many_concurrent_requests",
        "Too many concurrent requests. Your current subscription allows a limited number of them.",
    ),
    "quota_401": Refusal(
        401,
        "authentication_error",
        "quota_exceeded",
        "This request exceeds your quota of 10000. You have 12 credits remaining, while 85 credits "
        "are required for this request.",
    ),
    "payment_issue": Refusal(
        401,
        "authentication_error",
        "payment_issue",
        "Your last payment failed. Complete it in the subscription settings to go on.",
    ),
    "unusual_activity": Refusal(
        401, "authentication_error", "detected_unusual_activity", "Unusual activity detected. Free Tier usage disabled."
    ),
}
"""The refusal of each fault."""
