"""Kept responses: whose they are, how long, and what followed what."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.records import NOON
from tests.unit.store.conftest import Clock
from tokenway.model.stored import StoredResponse
from tokenway.store import responses as module
from tokenway.store.open import Store
from tokenway.store.responses import SqlResponses

HOUR = 3600.0


@pytest.fixture
def store(open_store: Callable[..., Store], clock: Clock) -> SqlResponses:
    """The responses of a fresh store."""
    return open_store(clock=clock, node="0000000a").responses


def response(identity: str = "resp_1", project: str = "default", **fields: Any) -> StoredResponse:
    """A response with these fields."""
    usual: dict[str, Any] = {
        "created": NOON,
        "model": "m",
        "endpoint": "p/up",
        "status": "completed",
        "response": b'{"id":"\xc3\xa4"}',
        "items": b"[]",
    }
    return StoredResponse(identity, project, **(usual | fields))


def put(store: SqlResponses, kept: StoredResponse, *, expires: float = NOON + HOUR, maker: str = "1") -> None:
    """Keeps it for an hour, made by the first worker."""
    store.put(kept, expires=expires, maker=maker)


def test_a_response_comes_back_as_it_was(store: SqlResponses) -> None:
    """Every field of it."""
    kept = response(native=True, previous="resp_0", endpoint="", response=b"\0\xff")
    put(store, kept)
    assert store.get("resp_1", "default") == kept


def test_a_stream_is_read_apart(store: SqlResponses) -> None:
    """Compressed in the file, and not carried along where nobody follows it; a later state takes its place."""
    put(store, response("a", status="in_progress"))
    put(store, response("a", events=b"data: x\n\n" * 1000))
    put(store, response("b", previous="a"))
    assert store.events("a", "default") == b"data: x\n\n" * 1000
    assert store.get("a", "default") == response("a")
    assert [kept.events for kept in store.chain("b", "default") or ()] == [b"", b""]
    put(store, response("a"))
    assert store.events("a", "default") is None


def test_a_stream_belongs_to_its_response(store: SqlResponses, clock: Clock) -> None:
    """It is not there for another project, and ends with it."""
    put(store, response(status="in_progress"))
    put(store, response(events=b"data: x\n\n"))
    assert store.events("resp_1", "other") is None
    assert store.events("resp_9", "default") is None
    clock.now = NOON + HOUR
    assert store.events("resp_1", "default") is None


def test_what_was_forgotten_while_it_was_made_does_not_come_back(store: SqlResponses) -> None:
    """Its end finds nothing to end."""
    put(store, response(status="in_progress"))
    assert store.delete("resp_1", "default")
    put(store, response(events=b"data: x\n\n"))
    assert store.get("resp_1", "default") is None


def test_an_unknown_one_is_none(store: SqlResponses) -> None:
    """To read, to go on from, or to forget."""
    assert store.get("resp_9", "default") is None
    assert store.chain("resp_9", "default") is None
    assert not store.delete("resp_9", "default")


def test_a_later_state_takes_the_place_of_an_earlier(store: SqlResponses) -> None:
    """Work in the background is kept at its start and at its end."""
    put(store, response(status="in_progress"))
    put(store, response(status="completed", endpoint="q/x"))
    found = store.get("resp_1", "default")
    assert found is not None
    assert (found.status, found.endpoint) == ("completed", "q/x")


def test_a_project_sees_its_own(store: SqlResponses) -> None:
    """Another's is not there: not to read, not to go on from, not to forget."""
    put(store, response())
    put(store, response("resp_2", "other", previous="resp_1"))
    assert store.get("resp_1", "other") is None
    assert store.chain("resp_2", "other") is None
    assert not store.delete("resp_1", "other")
    assert store.get("resp_1", "default") is not None


def test_an_id_of_another_project_is_not_taken_over(store: SqlResponses) -> None:
    """Nobody can write over what is not theirs, and nothing is raised."""
    put(store, response())
    put(store, response(project="other", status="failed"))
    assert store.get("resp_1", "default") == response()
    assert store.get("resp_1", "other") is None


def test_a_chain_begins_with_the_oldest(store: SqlResponses) -> None:
    """Up to the one that is asked for, whatever else followed the same."""
    put(store, response("a"))
    put(store, response("b", previous="a"))
    put(store, response("c", previous="b"))
    put(store, response("fork", previous="a"))
    chain = store.chain("c", "default")
    assert chain is not None
    assert [kept.id for kept in chain] == ["a", "b", "c"]


def test_a_chain_with_a_gap_is_none(store: SqlResponses) -> None:
    """Half a conversation is another one."""
    put(store, response("a"))
    put(store, response("b", previous="a"))
    put(store, response("c", previous="b"))
    assert store.delete("b", "default")
    assert store.chain("c", "default") is None
    assert store.chain("a", "default") is not None


def test_a_chain_that_leads_back_to_itself_ends(store: SqlResponses, monkeypatch: pytest.MonkeyPatch) -> None:
    """And one that is longer than any conversation is none."""
    put(store, response("a", previous="b"))
    put(store, response("b", previous="a"))
    assert store.chain("a", "default") is None
    monkeypatch.setattr(module, "CHAIN_MAX", 2)
    put(store, response("one"))
    put(store, response("two", previous="one"))
    put(store, response("three", previous="two"))
    assert store.chain("two", "default") is not None
    assert store.chain("three", "default") is None


def test_a_response_ends_at_its_time(store: SqlResponses, clock: Clock) -> None:
    """From that second on it is not there, whether it was dropped already or not."""
    put(store, response(), expires=NOON + 10)
    clock.now = NOON + 9.5
    assert store.get("resp_1", "default") is not None
    clock.now = NOON + 10
    assert store.get("resp_1", "default") is None
    assert store.chain("resp_1", "default") is None


def test_what_has_ended_is_dropped(store: SqlResponses, clock: Clock) -> None:
    """And nothing else; its id is free again."""
    put(store, response("old"), expires=NOON + 10)
    put(store, response("new"), expires=NOON + 11)
    clock.now = NOON + 10
    assert store.purge() == 1
    assert store.purge() == 0
    assert store.get("new", "default") is not None
    put(store, response("old", "other"))
    assert store.get("old", "other") is not None


def test_what_a_worker_left_unfinished_has_failed(store: SqlResponses) -> None:
    """Of that worker alone, and nothing that was finished."""
    put(store, response("queued", status="queued"))
    put(store, response("going", status="in_progress"))
    put(store, response("done"))
    put(store, response("others", status="in_progress"), maker="2")
    put(store, response("going", status="in_progress", events=b"data: x\n\n"))
    assert store.events("going", "default") == b"data: x\n\n"
    assert store.abandon("1") == 2
    assert store.events("going", "default") is None
    found = [store.get(name, "default") for name in ("queued", "going", "done", "others")]
    assert [each and each.status for each in found] == ["failed", "failed", "completed", "in_progress"]
    assert store.abandon("1") == 0


def test_what_anybody_left_unfinished_has_failed(store: SqlResponses) -> None:
    """But for those who are still at work: a control process that starts finds workers that go on."""
    put(store, response("a", status="queued"))
    put(store, response("b", status="in_progress"), maker="2")
    put(store, response("c", status="in_progress"), maker="3")
    assert store.abandon(but={"3", "4"}) == 2
    found = [store.get(name, "default") for name in ("a", "b", "c")]
    assert [each and each.status for each in found] == ["failed", "failed", "in_progress"]
    assert store.abandon() == 1


def test_each_machine_speaks_of_its_own(open_store: Callable[..., Store], clock: Clock, store: SqlResponses) -> None:
    """Two that share a database start and lose workers without ending each other's work; a lost one's is ended."""
    other = open_store(clock=clock, node="0000000b").responses
    put(store, response("a", status="queued"))
    put(other, response("b", status="queued"))
    assert store.abandon("1") == 1
    put(store, response("a", status="queued"))
    assert store.abandon() == 1
    assert [each and each.status for each in (store.get("a", "default"), store.get("b", "default"))] == [
        "failed",
        "queued",
    ]
    assert store.abandon(node="0000000b") == 1
    assert other.abandon() == 0
