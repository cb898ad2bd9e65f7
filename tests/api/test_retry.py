"""The one retry policy: how often, what for, and when it ends."""

from __future__ import annotations

import math
import threading
import time

import pytest
import tenacity
from hypothesis import given
from hypothesis import strategies as st

import histkit as hk
from histkit.api.retry import http_date, is_passing, is_refused_for_rate, retrying


def without_waiting(policy: tenacity.Retrying) -> tenacity.Retrying:
    return policy.copy(sleep=lambda seconds: None)


@given(st.integers(0, 6), st.integers(0, 8))
def test_there_are_as_many_attempts_as_it_takes_and_no_more_than_allowed(retries: int, failures: int) -> None:
    attempts = 0

    def call() -> str:
        nonlocal attempts
        attempts += 1
        if attempts <= failures:
            raise hk.TransportError("no answer")
        return "answer"

    policy = without_waiting(retrying(retries, worth=is_passing))
    if failures <= retries:
        assert policy(call) == "answer"
        assert attempts == failures + 1
    else:
        with pytest.raises(hk.TransportError, match="no answer"):
            policy(call)
        assert attempts == retries + 1


@given(st.integers(100, 599))
def test_what_may_pass_and_what_was_not_carried_out(status: int) -> None:
    error = hk.ApiError("x", status_code=status)
    assert is_passing(error) == (status in (200, 408, 409, 429) or status >= 500)
    assert is_refused_for_rate(error) == (status == 429)


def test_an_error_that_is_not_worth_it_is_raised_at_once() -> None:
    attempts = []

    def call() -> None:
        for attempt in retrying(5, worth=is_passing):
            with attempt:
                attempts.append(attempt)
                raise KeyError("x")

    with pytest.raises(KeyError):
        call()
    assert len(attempts) == 1


def test_no_attempt_follows_a_cancellation() -> None:
    cancel, attempts = threading.Event(), 0

    def call() -> None:
        nonlocal attempts
        attempts += 1
        cancel.set()
        raise hk.TransportError("no answer")

    with pytest.raises(hk.TransportError):
        retrying(5, cancel, worth=is_passing)(call)
    assert attempts == 1


def test_a_server_that_asks_for_longer_than_the_limit_is_not_waited_for() -> None:
    def call() -> None:
        raise hk.RateLimitError("x", status_code=429, headers={"retry-after": "3600"})

    slept: list[float] = []
    with pytest.raises(hk.RateLimitError):
        retrying(5, worth=is_passing).copy(sleep=slept.append)(call)
    assert slept == []


def test_no_policy_waits_longer_than_the_limit_however_long_its_attempts_may_take() -> None:
    def call() -> None:
        raise hk.RateLimitError("x", status_code=429, headers={"retry-after": "80000"})

    slept: list[float] = []
    with pytest.raises(hk.RateLimitError):
        retrying(5, worth=is_passing, seconds=math.inf).copy(sleep=slept.append)(call)
    assert slept == []


def test_an_http_date_without_a_zone_is_utc(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "America/New_York")
    time.tzset()
    try:
        dates = [http_date(f"Thu, 26 Nov 2026 18:00:00{zone}") for zone in (" GMT", " -0000", "", " +0100")]
        assert dates == [1795716000, 1795716000, 1795716000, 1795716000 - 3600]
    finally:
        monkeypatch.undo()
        time.tzset()


@pytest.mark.parametrize(
    "value", ["", "soon", "26", "Thu, 99 Nov 2026 18:00:00 GMT", "Thu, 26 Nov 2026 18:00:00 +9999999"]
)
def test_a_malformed_http_date_is_none(value: str) -> None:
    assert http_date(value) is None
