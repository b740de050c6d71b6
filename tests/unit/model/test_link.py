"""Messages between the control process and its workers."""

from __future__ import annotations

import msgspec
import pytest

from tokenway.model.catalog import Endpoint, Model, Price, Provider
from tokenway.model.link import (
    Answer,
    Gauges,
    Heard,
    Probe,
    Probed,
    Publish,
    Question,
    Seen,
    Serving,
    ToControl,
    ToWorker,
    pack,
    unpack_for_control,
    unpack_for_worker,
)
from tokenway.model.money import NanoUsd, Rate
from tokenway.model.sample import Outcome, Sample
from tokenway.model.secret import Secret
from tokenway.model.snapshot import Principal, Snapshot

SNAPSHOT = Snapshot(
    7,
    {"lab": Provider("lab", "http://lab/v1", api_keys=(Secret("sk-1"), Secret("sk-2")), headers=(("x-team", "blue"),))},
    {"m": Model("m", (Endpoint("lab", "up", Price(Rate(1), Rate(2))),))},
    {"alias": "m"},
    {
        "ab" * 32: Principal(
            "k", "name", "default", limits=("config:key:name:usd:day",), max_cost=NanoUsd(5), expires_at=1e9
        )
    },
)

SAMPLE = Sample("lab/up", "m", 1e9, Outcome.FAILED, 0.5, gaps=(0, 3), keys=(7,), weight=4.0)

PROBE = Probe("probe-20454-43200-beef", "m", "lab/up", 5_000, 1e9)


@pytest.mark.parametrize("message", [Publish(SNAPSHOT), Answer(1, b"{}"), Answer(2, None), Heard([SAMPLE]), PROBE])
def test_messages_to_a_worker_survive(message: ToWorker) -> None:
    """A snapshot arrives whole, the providers' keys included: nobody else can read this socket."""
    assert unpack_for_worker(pack(message)) == message


@pytest.mark.parametrize(
    "message",
    [
        Question(1, "generation", "k", "gen-1"),
        Serving(3),
        Gauges(2, 0.5, {"k": 9}),
        Gauges(2, 0.5, {}, {"lab/up": 2}),
        Seen([SAMPLE, SAMPLE]),
        Probed("probe-20454-43200-beef"),
    ],
)
def test_messages_to_control_survive(message: ToControl) -> None:
    """Questions, readiness, gauges and what was seen."""
    assert unpack_for_control(pack(message)) == message


@pytest.mark.parametrize("payload", [b"", b"\xc1", msgspec.msgpack.encode({"type": "unknown"}), pack(Answer(1, None))])
def test_other_payloads_are_refused(payload: bytes) -> None:
    """Garbage, unknown messages and those of the other direction."""
    with pytest.raises(msgspec.DecodeError):
        unpack_for_control(payload)


def test_nothing_else_is_encoded() -> None:
    """The hook knows secrets, and no other strange type."""
    with pytest.raises(NotImplementedError, match="complex"):
        pack(Publish(msgspec.structs.replace(SNAPSHOT, aliases={"x": 1j})))
