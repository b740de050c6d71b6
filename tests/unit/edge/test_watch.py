"""What is watched of an exchange: what its caller has got, how fast it comes."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from tokenway.dialects import resume
from tokenway.dialects.registry import FORMATS
from tokenway.dialects.resume import Progress
from tokenway.edge import watch as watch_module
from tokenway.edge.fleet import Fleet
from tokenway.edge.watch import Kept, Watch, may_go_on
from tokenway.exchange.commands import Settle, Share
from tokenway.exchange.events import Look, Order, Shown
from tokenway.metering.ledger import Settlement
from tokenway.model.catalog import Capabilities, Dialect, Endpoint, Model, Operation, Timeouts
from tokenway.model.faults import Fault
from tokenway.model.preferences import Rescue
from tokenway.wire.limits import KEPT_STREAM

FORM = FORMATS[Dialect.OPENAI_CHAT]
ABLE = Endpoint("a", "m", capabilities=Capabilities(prefill=True))
PLAIN = Endpoint("b", "m")


def chunk(delta: str) -> bytes:
    """One event of a stream of chat."""
    return (
        f'data: {{"id":"c","object":"chat.completion.chunk","created":1,"model":"m",'
        f'"choices":[{{"index":0,"delta":{delta},"finish_reason":null}}]}}\n\n'
    ).encode()


ROLE, TEXT = chunk('{"role":"assistant","content":""}'), chunk('{"content":"Hello"}')
CALL = chunk('{"tool_calls":[{"index":0,"id":"x","type":"function","function":{"name":"f","arguments":""}}]}')


def intake(**fields: object) -> Any:
    """A request, planned."""
    more = "".join(f',"{name}":{value}' for name, value in fields.items())
    body = b'{"model":"m","messages":[{"role":"user","content":"hi"}],"stream":true%b}' % more.encode()
    return SimpleNamespace(request=FORM.parse(Operation.CHAT, body, "", False), crossings=None, route=None, copies=1)


def kept(*pieces: bytes, endpoint: Endpoint = ABLE) -> Kept:
    """What a caller has got."""
    made = Kept((endpoint,))
    for piece in pieces:
        made.add(piece)
    return made


@pytest.mark.parametrize(
    ("pieces", "shown"),
    [
        ((), Shown.NOTHING),
        ((ROLE,), Shown.NOTHING),
        ((ROLE, TEXT, TEXT), Shown.TEXT),
        ((ROLE, CALL), Shown.OTHER),
        ((ROLE, TEXT, CALL), Shown.OTHER),
    ],
)
def test_what_was_shown(pieces: tuple[bytes, ...], shown: Shown) -> None:
    """A frame of an answer, a text, or something that is never spliced."""
    assert kept(*pieces).shown(intake(), FORM) is shown


@pytest.mark.parametrize(
    "fields",
    [
        {"response_format": '{"type":"json_object"}'},
        {"logprobs": "true"},
        {"tools": '[{"type":"function","function":{"name":"f"}}]', "tool_choice": '"required"'},
        {"messages": "5"},
    ],
    ids=["a form", "probabilities", "a call that must be", "unreadable"],
)
def test_a_text_that_is_tied_to_something_is_not_spliced(fields: dict[str, str]) -> None:
    """Its beginning may be begun anew all the same."""
    assert kept(ROLE, TEXT).shown(intake(**fields), FORM) is Shown.OTHER
    assert kept(ROLE).shown(intake(**fields), FORM) is Shown.NOTHING


def test_the_text_is_read_anew_when_more_has_come() -> None:
    """Once for each state."""
    made = kept(ROLE, TEXT)
    assert made.sent(FORM).text == "Hello"
    assert made.sent(FORM) is made.sent(FORM)
    made.add(TEXT)
    assert made.sent(FORM).text == "HelloHello"


class Misread:
    """A request that meets a mistake of ours."""

    def neutral(self) -> Any:
        """Something that nobody thought of."""
        raise KeyError("what a caller wrote")


def test_a_mistake_of_ours_does_not_hide_that_a_stream_has_failed() -> None:
    """It cannot go on elsewhere, and that is all."""
    request: Any = SimpleNamespace(request=Misread(), crossings=None, route=None)
    assert kept(ROLE, TEXT).shown(request, FORM) is Shown.OTHER


def test_an_answer_that_is_too_long_is_not_rescued() -> None:
    """What is kept is bounded."""
    made = kept(ROLE, *[TEXT] * (KEPT_STREAM // len(TEXT) + 1))
    assert made.sent(FORM).progress is Progress.OTHER
    made.add(TEXT)
    assert made.shown(intake(), FORM) is Shown.OTHER


class Reader:
    """An attempt that is told where to write."""

    def __init__(self, first_delta: float) -> None:
        self.stream = SimpleNamespace(first_delta=first_delta)
        self.writer: Any = None

    def splice(self, write: Any) -> None:
        """From here on to there."""
        self.writer = write


def test_without_prefill_nothing_is_kept_behind_the_first_text() -> None:
    """It could not be used; the stream is as cheap as any other from then on."""
    written: list[bytes] = []
    made, reader = kept(ROLE, endpoint=PLAIN), Reader(0.0)
    write = made.keeping(written.append, cast("Any", reader))
    write(ROLE)
    assert made.sent(FORM).progress is Progress.NOTHING
    reader.stream.first_delta = 5.0
    write(TEXT)
    assert written == [ROLE, TEXT]
    assert reader.writer == written.append
    assert made.sent(FORM).progress is Progress.OTHER


def test_with_prefill_all_is_kept() -> None:
    """As it is written."""
    written: list[bytes] = []
    made, reader = kept(ROLE), Reader(5.0)
    write = made.keeping(written.append, cast("Any", reader))
    write(TEXT)
    assert (written, reader.writer, made.sent(FORM).text) == ([TEXT], None, "Hello")


def test_what_may_go_on() -> None:
    """One stream of a chat."""
    assert may_go_on(intake())
    assert not may_go_on(SimpleNamespace(request=intake().request, copies=2))  # type: ignore[arg-type]
    whole = FORM.parse(Operation.CHAT, b'{"model":"m","messages":[]}', "", False)
    assert not may_go_on(SimpleNamespace(request=whole, copies=1))  # type: ignore[arg-type]


def watch(**order: Any) -> Watch:
    """What watches an exchange with such an order."""
    state = SimpleNamespace(fleet=Fleet(0.0))
    told = intake()
    told.order = Order((ABLE, PLAIN), True, 0, Timeouts(), 1, **order)
    told.route = SimpleNamespace(model=Model("m", (ABLE, PLAIN)))
    return Watch(cast("Any", state), told, FORM, can_go_on=True)


def test_what_was_sent_is_read_only_where_somebody_may_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not as long as the budget for retries is used up; and only once for what has come."""
    made, read = watch(rescue=Rescue.ON, min_tps=20.0, grace=4.0), []

    def sent_so_far(form: Any, data: bytes) -> Any:
        read.append(data)
        return resume.sent_so_far(form, data)

    monkeypatch.setattr(watch_module, "sent_so_far", sent_so_far)
    assert made.kept is not None
    made.kept.add(ROLE + TEXT)
    reader: Any = SimpleNamespace(
        endpoint=ABLE, last_activity=1.0, look=lambda at: Look(has_text=True, last_activity=at), speed=lambda *_: 0.1
    )

    def look(*, may_retry: bool) -> Look:
        (found,) = made.looks([reader], reader, 9.0, paused=False, may_fail=True, may_retry=may_retry)
        return found

    assert [look(may_retry=False).shown for _ in range(3)] == [Shown.OTHER] * 3
    assert read == []
    assert [look(may_retry=True).shown for _ in range(3)] == [Shown.TEXT] * 3
    assert read == [ROLE + TEXT]


def settle(made: Watch, charged: int, lost: int | None = None) -> None:
    """An exchange ends, and perhaps the loser of a race had a cost."""
    shares = [Share(1, ABLE, Settlement.DELIVERED)]
    if lost is not None:
        shares.append(Share(2, PLAIN, Settlement.ABSORBED, fault=Fault.OUTRUN))
    costs = SimpleNamespace(cost=charged), SimpleNamespace(cost=lost)
    record = SimpleNamespace(lines=costs[: len(shares)], charged=charged, at=0.0)
    command = Settle(Settlement.DELIVERED, tuple(shares), 1, 200)
    readers: Any = [SimpleNamespace(trip=None) for _ in shares]
    made.settled(command, cast("Any", SimpleNamespace(record=record)), readers)


def test_a_lost_race_is_paid_for_by_the_calls_that_may_be_raced() -> None:
    """Whoever wants races, model or caller: their budget is closed until as much was charged, and not for ever."""
    made = watch(hedge_share=0.03)
    settle(made, 1000, 90)
    states = [made.hedges.is_open]
    for _ in range(2):
        settle(made, 1000)
        states.append(made.hedges.is_open)
    other = watch()
    other.hedges.lost(1)
    settle(other, 10**9)
    assert (states, other.hedges.is_open) == ([False, False, True], False)
