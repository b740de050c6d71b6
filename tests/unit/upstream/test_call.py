"""The handle of a request."""

from __future__ import annotations

from tests.contract.upstreams import Heard, Owner
from tokenway.model.faults import Fault
from tokenway.upstream.call import Call


def test_a_call_without_a_connection_hangs_up_once() -> None:
    """Cancelling a call that waits for its connection ends the dial, and a second time does nothing."""
    pool, heard = Owner(), Heard()
    call = Call(pool, heard, b"request")
    call.cancel()
    call.cancel()
    assert pool.asked == ["hang_up"]
    assert call.request == b""
    assert heard.calls == []


def test_a_call_fails_once() -> None:
    """The reader hears the first failure and no other, and no failure after a cancel."""
    heard = Heard()
    call = Call(Owner(), heard, b"request")
    call.fail(Fault.CONNECT, "First.")
    call.fail(Fault.RESET, "Second.")
    assert (heard.calls, heard.detail) == (["failed"], "First.")
    silent = Heard()
    cancelled = Call(Owner(), silent, b"request")
    cancelled.cancel()
    cancelled.fail(Fault.CONNECT, "Late.")
    assert silent.calls == []


def test_finishing_before_an_answer_is_a_cancel() -> None:
    """There is no early end of an answer that has not begun."""
    pool, heard = Owner(), Heard()
    Call(pool, heard, b"request").finish_early()
    assert pool.asked == ["hang_up"]
    assert heard.calls == []


def test_a_pause_before_there_is_a_connection_is_kept() -> None:
    """Paused and resumed while dialing: the last word counts when the connection comes."""
    call = Call(Owner(), Heard(), b"request")
    call.pause()
    assert call.paused
    call.resume()
    assert not call.paused
