"""What an exchange costs, in the books; how it gets there in full is in `test_relay`."""

from __future__ import annotations

import pytest

from tests.contract.upstreams import until
from tests.unit.edge.bench import (
    ENDPOINT,
    HEAD,
    STREAMED,
    TAIL,
    WHOLE,
    answer,
    bench,
    chunk,
    event,
    request,
    snapshot,
)
from tokenway.edge import watch as watch_module

BUDGET = 10**12


@pytest.mark.parametrize("stream", [False, True])
async def test_a_mistake_in_noting_loses_neither_entry_nor_end(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, stream: bool
) -> None:
    """The caller has its answer, the books its price, the key what is left of its budget; the place is free."""

    def mistaken(*_: object) -> None:
        raise KeyError("what a caller wrote")

    monkeypatch.setattr(watch_module, "sample_of", mistaken)
    script = [HEAD + chunk(event("hi")), TAIL] if stream else [answer(WHOLE)]
    async with bench([script], what=snapshot(BUDGET)) as made:
        client = made.connect()
        client.send(request(STREAMED) if stream else request())
        await until(lambda: client.written.endswith(b"[DONE]\n\n\r\n0\r\n\r\n" if stream else b"}"))
        [settled] = made.books.settled
        assert settled.charged == 25_000
        assert made.broker.unspent() == BUDGET - 25_000
        assert made.state.fleet.standing(ENDPOINT).in_flight == 0
    [record] = [each for each in caplog.records if each.message == "an exchange could not be noted"]
    assert record.__dict__["mistake"].startswith("KeyError at ")
