"""AWS Signature Version 4, against signatures that Amazon's own SDK made."""

from __future__ import annotations

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenway.dialects.bedrock.paths import path
from tokenway.dialects.bedrock.sign import NO_BODY, Call, Credentials, payload_hash, sign
from tokenway.model.catalog import Operation
from tokenway.model.secret import Secret
from tokenway.wire.percent import quote

NOW = 1795662245.75  # 2026-11-26 03:04:05 UTC
KEY = Credentials("AKIDEXAMPLE", Secret("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"))
SESSION = Credentials("AKIDEXAMPLE", KEY.secret_key, Secret("session/token=="))
HOST = ("host", "bedrock-runtime.us-east-1.amazonaws.com")
JSON = ("Content-Type", "application/json")
ARN = "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/abc123"


def authorization(region: str, names: str, signature: str) -> str:
    """The header of one signature by `KEY` at `NOW`."""
    scope = f"AKIDEXAMPLE/20261126/{region}/bedrock/aws4_request"
    return f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders={names}, Signature={signature}"


# The signatures below were computed with botocore 1.44.8, auth.SigV4Auth, at the same time and with the same key.


def test_a_model_with_a_colon() -> None:
    """The colon of an id, encoded in the path, is encoded again in what is signed."""
    call = Call(
        "POST",
        path(Operation.CHAT, "us.amazon.nova-micro-v1:0", stream=False),
        (HOST, JSON),
        payload_hash(b'{"messages":[]}'),
    )
    assert sign(call, KEY, "us-east-1", NOW) == (
        ("x-amz-date", "20261126T030405Z"),
        (
            "authorization",
            authorization(
                "us-east-1",
                "content-type;host;x-amz-date",
                "7b58e38aa0f6e8fd5724e0a923eee91023e846ad26cf83e3d421a681dcce8a40",
            ),
        ),
    )


def test_an_arn_and_a_session() -> None:
    """An ARN is one step of the path, a session's token is signed and sent, and space in a header does not matter."""
    call = Call(
        "post",
        path(Operation.CHAT, ARN, stream=True),
        (("x-team", "  a   b "), HOST, JSON),
        payload_hash(b"{}"),
    )
    assert sign(call, SESSION, "us-east-1", NOW) == (
        ("x-amz-date", "20261126T030405Z"),
        ("x-amz-security-token", "session/token=="),
        (
            "authorization",
            authorization(
                "us-east-1",
                "content-type;host;x-amz-date;x-amz-security-token;x-team",
                "98d23066d319cc1a3681cf7fcd18a0fce5a59b3019ffd93608bbec3f8de8fa7f",
            ),
        ),
    )


def test_a_query_and_a_path_that_is_not_plain() -> None:
    """The query is sorted, dots and doubled slashes leave the path, and a header that others change is not signed."""
    host = ("host", "bedrock-runtime.eu-central-1.amazonaws.com")
    call = Call("GET", "/a/./b/../c//d/", (host, ("User-Agent", "x")), NO_BODY, "z=1&a=2&a=1&b")
    assert sign(call, KEY, "eu-central-1", NOW)[-1][1] == authorization(
        "eu-central-1", "host;x-amz-date", "9de717dfc4a9a5e3bf16b6d933e2d2fa8ec767a9cbcbf451521bd27925212683"
    )


def test_a_body_that_is_not_ascii() -> None:
    """The hash is that of the bytes."""
    body = '{"messages":[{"role":"user","content":[{"text":"Grüße"}]}]}'.encode()
    call = Call("POST", "/model/qwen.qwen3-32b-v1%3A0/converse", (HOST, JSON), payload_hash(body))
    assert sign(call, KEY, "us-east-1", NOW)[-1][1] == authorization(
        "us-east-1",
        "content-type;host;x-amz-date",
        "11695010e3c1a7144703f2e6c1d283570245dc75424c0f3b03bc7b97977d0460",
    )


def test_everything_signed_changes_the_signature() -> None:
    """Method, path, query, headers, body, key, region, time and service all count."""
    call = Call("POST", "/a", (HOST,), NO_BODY, "q=1")
    other = Credentials("AKIDEXAMPLE", Secret("another"))
    signatures = {
        sign(each, key, region, now, service)[-1][1]
        for each, key, region, now, service in [
            (call, KEY, "us-east-1", NOW, "bedrock"),
            (Call("PUT", "/a", (HOST,), NO_BODY, "q=1"), KEY, "us-east-1", NOW, "bedrock"),
            (Call("POST", "/b", (HOST,), NO_BODY, "q=1"), KEY, "us-east-1", NOW, "bedrock"),
            (Call("POST", "/a", (HOST,), NO_BODY, "q=2"), KEY, "us-east-1", NOW, "bedrock"),
            (Call("POST", "/a", (("host", "x"),), NO_BODY, "q=1"), KEY, "us-east-1", NOW, "bedrock"),
            (Call("POST", "/a", (HOST,), payload_hash(b"x"), "q=1"), KEY, "us-east-1", NOW, "bedrock"),
            (call, other, "us-east-1", NOW, "bedrock"),
            (call, KEY, "us-west-2", NOW, "bedrock"),
            (call, KEY, "us-east-1", NOW + 1, "bedrock"),
            (call, KEY, "us-east-1", NOW, "sts"),
        ]
    }
    assert len(signatures) == 10


STEPS = st.text(st.characters(min_codepoint=33, max_codepoint=300, exclude_characters="?#"), max_size=6)
WORDS = st.text("abcXYZ019-_.~", max_size=4)


@given(
    st.lists(STEPS.map(quote) | st.sampled_from([".", "..", ""]), max_size=5),
    st.lists(st.tuples(WORDS, WORDS), max_size=4),
    st.lists(st.tuples(st.sampled_from(["X-A", "x-b", "Accept", "TE"]), st.text("a b\t", max_size=6)), max_size=3),
    st.binary(max_size=20),
    st.booleans(),
)
def test_amazon_signs_the_same(
    steps: list[str], pairs: list[tuple[str, str]], headers: list[tuple[str, str]], body: bytes, session: bool
) -> None:
    """Whatever is signed, Amazon's own SDK makes the same signature of it."""
    auth = pytest.importorskip("botocore.auth")
    awsrequest = pytest.importorskip("botocore.awsrequest")
    credentials = pytest.importorskip("botocore.credentials")
    key = SESSION if session else KEY
    where = "/" + "/".join(steps)
    query = "&".join(f"{name}={value}" for name, value in pairs)
    request = awsrequest.AWSRequest("POST", f"https://example.com/x{where}?{query}", {}, body)
    for name, value in headers:
        request.headers.add_header(name, value)
    time = dt.datetime.fromtimestamp(int(NOW), dt.UTC)
    request.context["timestamp"] = time.strftime("%Y%m%dT%H%M%SZ")
    token = key.session_token.reveal() if key.session_token else None
    theirs = auth.SigV4Auth(
        credentials.Credentials(key.access_key, key.secret_key.reveal(), token), "bedrock", "us-east-1"
    )
    theirs._modify_request_before_signing(request)
    signature = theirs.signature(theirs.string_to_sign(request, theirs.canonical_request(request)), request)
    call = Call("POST", f"/x{where}", (("host", "example.com"), *headers), payload_hash(body), query)
    assert sign(call, key, "us-east-1", NOW)[-1][1].endswith(f"Signature={signature}")
