"""Broken machines, readers and translations: each has one mistake that an invariant must catch.

They show that the simulation can fail. A mutant is a subclass with a wrong method, or the machine with a filter over
what it is told and what it orders.
"""

from __future__ import annotations

from collections.abc import Iterable
from math import inf
from typing import Final

import msgspec

from tokenway.dialects.openai_chat.passing import PassingChat
from tokenway.dialects.translate import Translation
from tokenway.exchange import commands as c
from tokenway.exchange import events as e
from tokenway.exchange.attempts import Choice, Field
from tokenway.exchange.deadlines import Deadline, Deadlines
from tokenway.exchange.machine import Exchange
from tokenway.exchange.phases import Phase
from tokenway.metering.ledger import Settlement
from tokenway.model.event import Counted, Event, Finished
from tokenway.model.faults import Fault
from tokenway.model.usage import Metered

Out = list[c.Command]


class SettlesTwice(Exchange):
    """Writes the settlement again."""

    def feed(self, event: e.Event) -> Out:
        """Doubles it."""
        out = super().feed(event)
        return out + [command for command in out if isinstance(command, c.Settle)]


class NeverSettles(Exchange):
    """Forgets the money."""

    def feed(self, event: e.Event) -> Out:
        """Drops the settlement where nothing is shown after it."""
        out = super().feed(event)
        return [each for each in out if not isinstance(each, c.Settle)] if isinstance(event, e.ClientGone) else out


class SettlesLast(Exchange):
    """Shows the end before the ledger has it."""

    def feed(self, event: e.Event) -> Out:
        """Moves the settlement of a failure behind the error."""
        out = super().feed(event)
        return sorted(out, key=lambda command: isinstance(command, c.Settle)) if _has(out, c.SendError) else out


class ForgetsToCancel(Exchange):
    """Leaves connections behind."""

    def feed(self, event: e.Event) -> Out:
        """Drops the cancellation."""
        return [command for command in super().feed(event) if not isinstance(command, c.Cancel)]


class IgnoresTheCallersLeaving(Exchange):
    """Goes on for nobody."""

    def feed(self, event: e.Event) -> Out:
        """Does not hear it."""
        return [] if isinstance(event, e.ClientGone) else super().feed(event)


class SwallowsCuts(Exchange):
    """Takes a cut stream for a whole one."""

    def feed(self, event: e.Event) -> Out:
        """Turns a cut into an end."""
        if isinstance(event, e.UpstreamFailed) and event.fault is Fault.CUT:
            return super().feed(e.UpstreamEnd(event.at, event.attempt, b"", event.usage))
        return super().feed(event)


class SendsAfterTheEnd(Exchange):
    """Repeats the last bytes behind the end."""

    def feed(self, event: e.Event) -> Out:
        """Appends them."""
        out = super().feed(event)
        return out + [command for command in out if isinstance(command, c.SendBytes)] if _has(out, c.SendEnd) else out


class SendsTwoHeads(Exchange):
    """Begins the answer again at its end."""

    def feed(self, event: e.Event) -> Out:
        """Puts a head in front of the end."""
        out = super().feed(event)
        return [*out[:-1], c.SendHead(1), out[-1]] if _has(out, c.SendEnd) else out


class LosesTheLastBytes(Exchange):
    """Ends without what came with the end."""

    def feed(self, event: e.Event) -> Out:
        """Drops them."""
        return super().feed(msgspec.structs.replace(event, data=b"") if isinstance(event, e.UpstreamEnd) else event)


class RetriesAfterTheFirstBytes(Exchange):
    """Begins a second answer behind the first half of another."""

    def feed(self, event: e.Event) -> Out:
        """Forgets that bytes have gone out."""
        if isinstance(event, e.UpstreamFailed) and self.phase is Phase.FLOWING:
            self.phase = Phase.TRYING
            self.winner = None
        return super().feed(event)


class NeverRetries(Exchange):
    """Gives up at once."""

    def feed(self, event: e.Event) -> Out:
        """Has no retries."""
        if isinstance(event, e.ClientRequest):
            event = e.ClientRequest(event.at, msgspec.structs.replace(event.order, max_retries=0))
        return super().feed(event)


class RetriesOnceMore(Exchange):
    """Makes one attempt too many."""

    def feed(self, event: e.Event) -> Out:
        """Has one retry more."""
        if isinstance(event, e.ClientRequest):
            order = event.order
            event = e.ClientRequest(event.at, msgspec.structs.replace(order, max_retries=order.max_retries + 1))
        return super().feed(event)


class RetriesWhatCannotBeHelped(Exchange):
    """Asks again after the caller's own mistake."""

    def feed(self, event: e.Event) -> Out:
        """Takes every status for an overload."""
        if isinstance(event, e.UpstreamFailed) and event.fault is Fault.STATUS:
            event = msgspec.structs.replace(event, should_retry=True)
        return super().feed(event)


class IgnoresRetryAfter(Exchange):
    """Does not wait as long as it was asked to."""

    def feed(self, event: e.Event) -> Out:
        """Does not read the advice."""
        return super().feed(
            msgspec.structs.replace(event, retry_after=None) if isinstance(event, e.UpstreamFailed) else event
        )


class _SameAgain(Field):
    """Prefers what was tried."""

    __slots__ = ()

    def next(self, now: float) -> Choice | None:
        """The first endpoint, always."""
        return Choice(0, max(now, self._ready_at.get(0, now))) if 0 not in self._out else super().next(now)


class AsksTheSameEndpoint(Exchange):
    """Stays with an endpoint though another is untried."""

    def feed(self, event: e.Event) -> Out:
        """Has a field that is no field."""
        out = super().feed(event)
        if isinstance(event, e.ClientRequest):
            self.field = _SameAgain(event.order.endpoints, event.order.takers)
        return out


class ChargesForFailures(Exchange):
    """Has the caller pay for an answer that it did not get."""

    def feed(self, event: e.Event) -> Out:
        """Bills what is ours."""
        return [_billed(command) if isinstance(command, c.Settle) else command for command in super().feed(event)]


class LosesUsage(Exchange):
    """Forgets what a failed attempt has counted."""

    def feed(self, event: e.Event) -> Out:
        """Drops the count."""
        if isinstance(event, e.UpstreamFailed):
            event = msgspec.structs.replace(event, usage=None)
        elif isinstance(event, e.ClientGone | e.DeadlinePassed):
            looks = tuple(msgspec.structs.replace(look, usage=None) for look in event.looks)
            event = msgspec.structs.replace(event, looks=looks)
        return super().feed(event)


class HidesErrors(Exchange):
    """Ends a broken stream as if it were whole."""

    def feed(self, event: e.Event) -> Out:
        """Puts an end mark where the error was."""
        return [
            c.SendError(each.problem, in_band=True, body=b"data: [DONE]\n\n")
            if isinstance(each, c.SendError) and each.in_band
            else each
            for each in super().feed(event)
        ]


class DropsAFinish(Translation):
    """Keeps to itself why the answer ended."""

    __slots__ = ()

    def _take(self, events: Iterable[Event], now: float, out: list[bytes]) -> None:
        super()._take([event for event in events if not isinstance(event, Finished)], now, out)


class ForwardsAfterTheEnd(Translation):
    """Has the caller read what comes behind the end."""

    __slots__ = ()

    def tail(self, cost: bytes, extra: bytes) -> bytes:
        """The end, and the last event once more."""
        end = super().tail(cost, extra)
        return end + end


class CountsTwice(Translation):
    """Adds a count to the ones before it, though each is all of it."""

    __slots__ = ()

    def _note(self, event: Event, now: float) -> None:
        before = self.metered.usage
        super()._note(event, now)
        after = self.metered.usage
        if isinstance(event, Counted) and before is not None and after is not None:
            total = after.output_text + before.output_text
            self.metered = Metered(given=True, usage=msgspec.structs.replace(after, output_text=total))


class LosesADelta(Translation):
    """Drops the last of several deltas of one read."""

    __slots__ = ()

    def feed(self, data: bytes, now: float) -> bytes:
        """All but the last."""
        out = super().feed(data, now)
        events = out.split(b"\n\n")
        return b"\n\n".join([*events[:-2], b""]) if len(events) > 4 else out


class TakesACutForAnEnd(Translation):
    """Finds every translated answer whole."""

    __slots__ = ()

    @property
    def is_whole(self) -> bool:
        """Always."""
        return True


def _has(out: Out, kind: type[c.Command]) -> bool:
    return any(isinstance(command, kind) for command in out)


def _billed(settle: c.Settle) -> c.Settle:
    shares = tuple(
        msgspec.structs.replace(share, settlement=Settlement.UPSTREAM_BILLED)
        if share.settlement is Settlement.ABSORBED
        else share
        for share in settle.shares
    )
    return msgspec.structs.replace(settle, shares=shares)


class _Without(Deadlines):
    """Deadlines of which one is never set."""

    __slots__ = ("_missing",)

    def __init__(self, missing: Deadline) -> None:
        super().__init__()
        self._missing = missing

    def set(self, which: Deadline, at: float, lane: int = 0) -> None:
        """Sets the others."""
        super().set(which, inf if which is self._missing else at, lane)


def without(missing: Deadline) -> type[Exchange]:
    """The machine with a deadline that it ignores."""

    class Ignores(Exchange):
        """One deadline is never set."""

        def __init__(self) -> None:
            super().__init__()
            self.deadlines = _Without(missing)

    Ignores.__name__ = f"Ignores{missing.name}"
    return Ignores


class CallsDeadlinesEarly(Exchange):
    """Gives up before its time."""

    def feed(self, event: e.Event) -> Out:
        """Takes all waiting for silence."""
        if isinstance(event, e.DeadlinePassed):
            looks = tuple(msgspec.structs.replace(look, last_activity=0.0) for look in event.looks)
            event = msgspec.structs.replace(event, looks=looks)
        return super().feed(event)


class ForwardsHalfEvents(PassingChat):
    """Does not wait for the end of an event."""

    def feed(self, data: bytes, now: float) -> bytes:
        """Forwards what is there."""
        return super().feed(data, now) + self._splitter.take_rest()


class DropsAnEvent(PassingChat):
    """Loses one of several events of a read."""

    def _look(self, whole: bytes, now: float) -> bytes:
        out = super()._look(whole, now)
        events = out.split(b"\n\n")
        return b"\n\n".join(events[1:]) if len(events) > 3 else out


class TakesAnyEndForWhole(PassingChat):
    """Finds every stream whole."""

    @property
    def is_whole(self) -> bool:
        """Always."""
        return True


class ForwardsUsage(PassingChat):
    """Does not hold the count back."""

    def _take(self, chunk: object, event: bytes, now: float) -> bool:
        super()._take(chunk, event, now)  # type: ignore[arg-type]
        return True


class BelievesAnything(PassingChat):
    """Takes the first count for the last."""

    def _look(self, whole: bytes, now: float) -> bytes:
        before = self.metered
        out = super()._look(whole, now)
        if before.given:
            self.metered = before
        return out


MACHINES: Final[tuple[type[Exchange], ...]] = (
    SettlesTwice,
    NeverSettles,
    SettlesLast,
    ForgetsToCancel,
    IgnoresTheCallersLeaving,
    SwallowsCuts,
    SendsAfterTheEnd,
    SendsTwoHeads,
    LosesTheLastBytes,
    RetriesAfterTheFirstBytes,
    NeverRetries,
    RetriesOnceMore,
    RetriesWhatCannotBeHelped,
    IgnoresRetryAfter,
    AsksTheSameEndpoint,
    ChargesForFailures,
    LosesUsage,
    HidesErrors,
    CallsDeadlinesEarly,
    *(without(deadline) for deadline in Deadline),
)
TRANSLATIONS: Final[tuple[type[Translation], ...]] = (
    DropsAFinish,
    ForwardsAfterTheEnd,
    CountsTwice,
    LosesADelta,
    TakesACutForAnEnd,
)
READERS: Final[tuple[type[PassingChat], ...]] = (
    ForwardsHalfEvents,
    DropsAnEvent,
    TakesAnyEndForWhole,
    ForwardsUsage,
    BelievesAnything,
)
