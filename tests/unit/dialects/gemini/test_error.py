"""Errors in Google's shape, and what an upstream's say."""

from __future__ import annotations

import json

import pytest

from tests.unit.dialects.gemini.samples import maker
from tokenway.dialects.base import UpstreamError
from tokenway.dialects.gemini.error import STATUSES, error_body, error_event, read_error
from tokenway.dialects.gemini.frames import Array
from tokenway.dialects.gemini.request import GeminiRequest
from tokenway.model.errors import ErrorType, Problem

RPC = "type.googleapis.com/google.rpc."


def test_a_problem_in_google_s_shape() -> None:
    """Its kind and what belongs to it are in the details, whose values are texts."""
    problem = Problem(
        429, ErrorType.RATE_LIMIT_EXCEEDED, "slow down", param="n", retry_after=1.5, details={"a": "b", "c": {"d": [1]}}
    )
    assert json.loads(error_body(problem, "gen-1")) == {
        "error": {
            "code": 429,
            "message": "slow down",
            "status": "RESOURCE_EXHAUSTED",
            "details": [
                {
                    "@type": RPC + "ErrorInfo",
                    "reason": "RATE_LIMIT_EXCEEDED",
                    "domain": "tokenway",
                    "metadata": {"error_type": "rate_limit_exceeded", "param": "n", "a": "b", "c": '{"d":[1]}'},
                },
                {"@type": RPC + "RetryInfo", "retryDelay": "1.5s"},
                {"@type": RPC + "RequestInfo", "requestId": "gen-1"},
            ],
        }
    }


@pytest.mark.parametrize("kind", ErrorType)
def test_every_kind_has_a_status(kind: ErrorType) -> None:
    """And the code of the problem is its reason, where it has one."""
    found = json.loads(error_body(Problem(500, kind, "m", code="some_code"), ""))["error"]
    assert found["status"] == STATUSES[kind]
    assert [each.get("reason") for each in found["details"]] == ["SOME_CODE"]


def test_403_is_permission_denied() -> None:
    """Whatever kind of failure it is."""
    found = json.loads(error_body(Problem(403, ErrorType.PROVIDER_AUTHENTICATION, "m"), ""))["error"]
    assert found["status"] == "PERMISSION_DENIED"


def test_the_end_of_a_broken_stream() -> None:
    """One more event, whose first member is `error`: that is where Google's clients look."""
    event = error_event(Problem(502, ErrorType.PROVIDER_UNAVAILABLE, "gone"), maker())
    assert event.startswith(b'data: {"error":{"code":502,')
    assert event.endswith(b"}\n\n")


def test_the_end_of_a_broken_array() -> None:
    """The error is its last element."""
    made = maker(array=True)
    assert isinstance(made.request, GeminiRequest)
    begun = Array(made.request).elements(b'data: {"candidates":[]}\n\n')
    found = json.loads(begun + error_event(Problem(502, ErrorType.PROVIDER_UNAVAILABLE, "gone"), made))
    assert [list(each) for each in found] == [["candidates"], ["error"]]


def test_what_an_upstream_says() -> None:
    """Message, the reason as its code, the kind, and when to come again."""
    body = {
        "error": {
            "code": 429,
            "message": "quota",
            "status": "RESOURCE_EXHAUSTED",
            "details": [
                {"@type": RPC + "ErrorInfo", "reason": "RATE_LIMIT_EXCEEDED"},
                {"@type": RPC + "RetryInfo", "retryDelay": "34.074824224s"},
            ],
        }
    }
    expected = UpstreamError("quota", "RATE_LIMIT_EXCEEDED", True, ErrorType.RATE_LIMIT_EXCEEDED, 34.074824224)
    assert read_error(429, json.dumps(body).encode()) == expected
    assert read_error(429, json.dumps([body]).encode()) == expected


@pytest.mark.parametrize(
    ("violations", "code"),
    [
        ([{"quotaId": "GenerateRequestsPerDayPerProjectPerModel-FreeTier"}], "insufficient_quota"),
        (
            [{"quotaId": "GenerateRequestsPerMinutePerProjectPerModel"}, {"quotaId": "GenerateTokensPerDay"}],
            "insufficient_quota",
        ),
        ([{"quotaId": "GenerateRequestsPerMinutePerProjectPerModel-FreeTier"}], "RESOURCE_EXHAUSTED"),
        ([{"quotaId": 5}, "PerDay", None], "RESOURCE_EXHAUSTED"),
        ("PerDay", "RESOURCE_EXHAUSTED"),
    ],
)
def test_a_quota_of_a_day_is_spent(violations: object, code: str) -> None:
    """Google asks to come back within the minute all the same."""
    details = [{"@type": RPC + "QuotaFailure", "violations": violations}, {"@type": RPC + "RetryInfo"}]
    error = {"message": "quota. Please retry in 31.44s.", "status": "RESOURCE_EXHAUSTED", "details": details}
    found = read_error(429, json.dumps({"error": error}).encode())
    assert (found.code, found.type, found.retry_after) == (code, ErrorType.RATE_LIMIT_EXCEEDED, 31.44)


def test_a_request_that_is_too_long() -> None:
    """Google says it in its sentence only."""
    message = "The input token count (1048577) exceeds the maximum number of tokens allowed (1048576)."
    error = {"code": 400, "message": message, "status": "INVALID_ARGUMENT"}
    assert read_error(400, json.dumps({"error": error}).encode()).code == "context_length_exceeded"


@pytest.mark.parametrize(
    ("status", "name", "reason", "kind"),
    [
        (400, "INVALID_ARGUMENT", None, ErrorType.INVALID_REQUEST),
        (400, "INVALID_ARGUMENT", "API_KEY_INVALID", ErrorType.PROVIDER_AUTHENTICATION),
        (401, "", None, ErrorType.PROVIDER_AUTHENTICATION),
        (403, "PERMISSION_DENIED", None, ErrorType.PROVIDER_AUTHENTICATION),
        (404, "NOT_FOUND", None, ErrorType.NOT_FOUND),
        (503, "UNAVAILABLE", None, ErrorType.PROVIDER_OVERLOADED),
        (504, "DEADLINE_EXCEEDED", None, ErrorType.TIMEOUT),
        (418, "TEAPOT", None, None),
    ],
)
def test_kinds_of_failure(status: int, name: str, reason: str | None, kind: ErrorType | None) -> None:
    """A key that does not exist is a 400 at Google, and the gateway's own affair."""
    details = [{"reason": reason}] if reason else [{"retryDelay": "soon"}, "x"]
    found = read_error(status, json.dumps({"error": {"message": "m", "status": name, "details": details}}).encode())
    assert (found.type, found.code, found.retry_after, found.is_ours) == (kind, reason or name, None, True)


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b"{}", b'{"error":null}', b"5"])
def test_what_is_none_of_this_dialect(body: bytes) -> None:
    """It says nothing."""
    assert read_error(502, body) == UpstreamError()


def test_an_error_in_words() -> None:
    """A proxy's, not Google's."""
    assert read_error(502, b'{"error":"gone"}') == UpstreamError("gone")
