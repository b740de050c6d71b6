"""Who is let in, by which header, and who is not."""

from __future__ import annotations

from hashlib import sha256

import pytest

from tokenway.edge.auth import ANONYMOUS, Gate, credential
from tokenway.model.errors import Refusal
from tokenway.model.snapshot import Principal, Snapshot

ALICE = Principal("k1", "alice", "default")
BOB = Principal("k2", "bob", "default", expires_at=100.0)


def gate(*, auth_required: bool = True) -> Gate:
    """A gate that knows alice's key, and bob's until the time 100."""
    keys = {sha256(b"sk-alice").hexdigest(): ALICE, sha256(b"sk-bob").hexdigest(): BOB}
    return Gate(Snapshot(1, {}, {}, {}, keys, auth_required=auth_required))


@pytest.mark.parametrize(
    ("headers", "query"),
    [
        ({b"authorization": b"Bearer sk-alice"}, b""),
        ({b"authorization": b"bearer  sk-alice "}, b""),
        ({b"x-api-key": b"sk-alice"}, b""),
        ({b"api-key": b" sk-alice"}, b""),
        ({b"x-goog-api-key": b"sk-alice"}, b""),
        ({}, b"alt=sse&key=sk-alice"),
    ],
)
def test_a_key_is_accepted_wherever_a_client_puts_it(headers: dict[bytes, bytes], query: bytes) -> None:
    """OpenAI's, Anthropic's, Azure's and Google's headers, and the query; a second time as well as the first."""
    doorman = gate()
    assert doorman.admit(headers, query, 0.0) is ALICE
    assert doorman.admit(headers, query, 0.0) is ALICE


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {b"authorization": b"Bearer sk-mallory"},
        {b"authorization": b"Bearer "},
        {b"authorization": b"Basic c2stYWxpY2U="},
        {b"x-api-key": b""},
    ],
)
def test_without_a_valid_key_nobody_comes_in(headers: dict[bytes, bytes]) -> None:
    """401, and nothing is remembered of it."""
    doorman = gate()
    for _ in range(2):
        with pytest.raises(Refusal) as refused:
            doorman.admit(headers, b"", 0.0)
        assert refused.value.problem.status == 401


def test_a_header_beside_a_valid_key_never_becomes_a_key() -> None:
    """What admits must be what was checked: a Basic header that came with a valid key admits nobody later."""
    doorman = gate()
    basic = {b"authorization": b"Basic abc"}
    assert doorman.admit(basic | {b"x-api-key": b"sk-alice"}, b"", 0.0) is ALICE
    with pytest.raises(Refusal):
        doorman.admit(basic, b"", 0.0)


def test_a_remembered_key_expires_too() -> None:
    """The time counts with every call, not only with the first."""
    doorman = gate()
    assert doorman.admit({b"x-api-key": b"sk-bob"}, b"", 99.0) is BOB
    with pytest.raises(Refusal):
        doorman.admit({b"x-api-key": b"sk-bob"}, b"", 100.0)


def test_without_required_keys_anybody_is_anonymous() -> None:
    """A key that is known still counts."""
    doorman = gate(auth_required=False)
    assert doorman.admit({}, b"", 0.0) is ANONYMOUS
    assert doorman.admit({b"x-api-key": b"sk-mallory"}, b"", 0.0) is ANONYMOUS
    assert doorman.admit({b"x-api-key": b"sk-alice"}, b"", 0.0) is ALICE


def test_the_first_credential_counts() -> None:
    """The bearer token comes before the other headers, and those before the query."""
    assert credential({b"authorization": b"Bearer a", b"x-api-key": b"b"}, b"key=c") == b"a"
    assert credential({b"x-api-key": b"b"}, b"key=c") == b"b"
    assert credential({}, b"key=c") == b"c"
