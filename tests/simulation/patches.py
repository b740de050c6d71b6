"""Broken parts around the machine, and machines that are broken where several attempts make one answer.

Each is one mistake that an invariant must catch, as those of `mutants` are. A patch puts something in the place of a
method or of a name for as long as its histories are played.
"""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from typing import Any, Final, NamedTuple

import msgspec

from tokenway.dialects.continuation import Seam
from tokenway.dialects.gather import Gathering
from tokenway.edge import arrange as arrange_module
from tokenway.edge import attempt as attempt_module
from tokenway.edge import entry as entry_module
from tokenway.edge.attempt import AttemptReader
from tokenway.edge.crossing import Crossings
from tokenway.edge.fleet import Fleet
from tokenway.edge.watch import Kept, Watch
from tokenway.exchange import commands as c
from tokenway.exchange import events as e
from tokenway.exchange.attempts import Choice, Field
from tokenway.exchange.events import Order, Shown
from tokenway.exchange.machine import Exchange
from tokenway.metering.ledger import Settlement
from tokenway.model.preferences import Rescue
from tokenway.routing.hedge import HedgeBudget
from tokenway.routing.retry import RetryBudget, Scope

Out = list[c.Command]


class SplicesCalls(Exchange):
    """Goes on with whatever the caller has seen."""

    def feed(self, event: e.Event) -> Out:
        """Takes all of it for text."""
        if isinstance(event, e.UpstreamFailed) and event.shown is Shown.OTHER:
            event = msgspec.structs.replace(event, shown=Shown.TEXT)
        return super().feed(event)


class ChargesBothParts(Exchange):
    """Has the caller pay for each part of an answer that went on elsewhere."""

    def feed(self, event: e.Event) -> Out:
        """Delivers what was only begun."""
        return [_all_delivered(each) if isinstance(each, c.Settle) else each for each in super().feed(event)]


def _all_delivered(settle: c.Settle) -> c.Settle:
    if settle.settlement is not Settlement.DELIVERED:
        return settle
    shares = tuple(
        msgspec.structs.replace(share, settlement=Settlement.DELIVERED)
        if share.settlement is Settlement.ABSORBED and share.usage is not None
        else share
        for share in settle.shares
    )
    return msgspec.structs.replace(settle, shares=shares)


class KeepsTheLoser(Exchange):
    """Lets what was outrun go on."""

    def feed(self, event: e.Event) -> Out:
        """Drops the cancellation."""
        out = super().feed(event)
        wins = isinstance(event, e.UpstreamBytes | e.UpstreamText | e.UpstreamEnd)
        return [each for each in out if not isinstance(each, c.Cancel)] if wins else out


class KeepsTheLosersPlace(Exchange):
    """Has what was outrun, or too slow, take up its place until the answer is out."""

    def feed(self, event: e.Event) -> Out:
        """Takes no cancellation for an end."""
        return [c.Cancel(each.attempt) if isinstance(each, c.Cancel) else each for each in super().feed(event)]


class HedgesTwice(Exchange):
    """Starts two races at once."""

    def feed(self, event: e.Event) -> Out:
        """Begins another one behind each."""
        out = super().feed(event)
        if any(isinstance(each, c.Open) and each.hedge for each in out):
            choice = self.field.next_beside(self.made[0].slot, event.at) or Choice(self.made[-1].slot, event.at)
            self.open(choice.slot, event.at, out, hedge=True)
        return out


class HedgesAtOnce(Exchange):
    """Does not wait until a first token is late."""

    def feed(self, event: e.Event) -> Out:
        """Races from the start."""
        if isinstance(event, e.ClientRequest) and event.order.hedge_after < inf:
            event = e.ClientRequest(event.at, msgspec.structs.replace(event.order, hedge_after=0.0))
        return super().feed(event)


class NeverThaws(Exchange):
    """Leaves a slow answer frozen when nobody could go on with it."""

    def feed(self, event: e.Event) -> Out:
        """Drops the thaw."""
        return [each for each in super().feed(event) if not isinstance(each, c.Thaw)]


class BeginsAnew(Exchange):
    """Has an answer that has begun begun again elsewhere."""

    def feed(self, event: e.Event) -> Out:
        """Forgets what an attempt is for."""
        return [
            c.Open(each.attempt, each.endpoint, each.credential, each.hedge) if isinstance(each, c.Open) else each
            for each in super().feed(event)
        ]


class BlamesTheCaller(Exchange):
    """Takes a refusal to go on with an answer for the caller's mistake."""

    def feed(self, event: e.Event) -> Out:
        """Forgets what an attempt was for."""
        out = super().feed(event)
        for attempt in getattr(self, "made", ()):
            attempt.resumes = False
        return out


class ForgetsTheirTimeouts(Exchange):
    """Has the same deadlines for every endpoint."""

    def feed(self, event: e.Event) -> Out:
        """Drops an endpoint's own."""
        if isinstance(event, e.ClientRequest):
            bare = tuple(msgspec.structs.replace(each, timeouts=None) for each in event.order.endpoints)
            event = e.ClientRequest(event.at, msgspec.structs.replace(event.order, endpoints=bare))
        return super().feed(event)


class LeavesFastOnes(Exchange):
    """Takes every stream for a slow one."""

    def feed(self, event: e.Event) -> Out:
        """Sees no speed."""
        if isinstance(event, e.DeadlinePassed) and self.phase.name == "FLOWING":
            looks = tuple(msgspec.structs.replace(look, tps=0.0, shown=Shown.TEXT) for look in event.looks)
            event = msgspec.structs.replace(event, looks=looks)
        return super().feed(event)


class RetriesWithoutBudget(Exchange):
    """Does not hear that the worker can afford no more."""

    def feed(self, event: e.Event) -> Out:
        """Takes the budget for endless."""
        if isinstance(event, e.UpstreamFailed | e.DeadlinePassed):
            event = msgspec.structs.replace(event, may_retry=True)
        return super().feed(event)


class HedgesWithoutBudget(Exchange):
    """Races though no race is left."""

    def feed(self, event: e.Event) -> Out:
        """Takes the budget for endless."""
        return super().feed(
            msgspec.structs.replace(event, may_hedge=True) if isinstance(event, e.DeadlinePassed) else event
        )


class RacesWithTheBroken(Exchange):
    """Takes every endpoint for one that takes a call."""

    def feed(self, event: e.Event) -> Out:
        """Has a field of takers."""
        out = super().feed(event)
        if isinstance(event, e.ClientRequest):
            self.field = Field(event.order.endpoints, len(event.order.endpoints))
        return out


MACHINES: Final[tuple[type[Exchange], ...]] = (
    SplicesCalls,
    ChargesBothParts,
    KeepsTheLoser,
    KeepsTheLosersPlace,
    HedgesTwice,
    HedgesAtOnce,
    NeverThaws,
    BeginsAnew,
    BlamesTheCaller,
    ForgetsTheirTimeouts,
    LeavesFastOnes,
    RetriesWithoutBudget,
    HedgesWithoutBudget,
    RacesWithTheBroken,
)


class Patch(NamedTuple):
    """What is put in whose place, under which name."""

    name: str
    target: Any
    member: str
    broken: Any


def _without_prefix(self: Crossings, endpoint: Any, text: str) -> Any:
    del text
    return _written_to_resume(self, endpoint, "")


def _with_all(self: Crossings, endpoint: Any, text: str) -> Any:
    return _written_to_resume(self, endpoint, text + "x")


_written_to_resume = Crossings.written_to_resume


def _drop_held(self: AttemptReader) -> None:
    if self._held is not None:
        self._held.clear()
    _thaw(self)


_thaw = AttemptReader.thaw


def _anywhere(self: Field, now: float, *, prefill: bool, besides: frozenset[int] = frozenset()) -> Choice | None:
    del prefill
    return _next_to_resume(self, now, prefill=False, besides=besides)


_next_to_resume = Field.next_to_resume
_note = Field.note


def _noted_as(scope: Scope) -> Callable[..., None]:
    def note(self: Field, slot: int, verdict: Any, ready_at: float, _scope: Scope = Scope.ENDPOINT) -> None:
        _note(self, slot, verdict, ready_at, scope)

    return note


def _rescues_when_off(*values: Any) -> Order:
    order = Order(*values)
    return msgspec.structs.replace(order, rescue=Rescue.FAULT) if order.rescue is Rescue.OFF else order


def _only_the_first_key(self: Fleet, rows: Any, tokens: int, now: float, **more: Any) -> Any:
    arranged = _seat(self, rows, tokens, now, **more)
    kept = [place for place, number in enumerate(arranged.credentials) if number == 0]
    return msgspec.structs.replace(
        arranged,
        endpoints=tuple([arranged.endpoints[place] for place in kept]),
        credentials=tuple([0 for _ in kept]),
        rows=tuple([arranged.rows[place] for place in kept]),
    )


_seat = Fleet.seat


def _all_is_text(self: Kept, intake: Any, form: Any) -> Shown:
    shown = _shown(self, intake, form)
    return Shown.TEXT if shown is Shown.NOTHING else shown


_shown = Kept.shown


def _never(*_: Any, **__: Any) -> bool:
    return False


PATCHES: Final[tuple[Patch, ...]] = (
    Patch("ForgetsThePrefix", Crossings, "written_to_resume", _without_prefix),
    Patch("AsksForMoreThanThePrefix", Crossings, "written_to_resume", _with_all),
    Patch("RepeatsThePrefix", Seam, "take", lambda _, text: text),
    Patch("ForwardsWhileFrozen", AttemptReader, "freeze", lambda _: None),
    Patch("LosesFrozenBytes", AttemptReader, "thaw", _drop_held),
    Patch("ResumesAtAnEndpointWithoutPrefill", Field, "next_to_resume", _anywhere),
    Patch("BlamesTheEndpointForItsKey", Field, "note", _noted_as(Scope.ENDPOINT)),
    Patch("TriesAllKeysOfABrokenEndpoint", Field, "note", _noted_as(Scope.CREDENTIAL)),
    Patch("RescuesWhenOff", arrange_module, "Order", _rescues_when_off),
    Patch("AsksWithOneKey", Fleet, "seat", _only_the_first_key),
    Patch("LosesTheLosersCount", entry_module, "counted", lambda command, _: command),
    Patch("SeesNothingAtADeadline", Exchange, "may_fail", _never),
    Patch("TakesNothingForText", Kept, "shown", _all_is_text),
    Patch("SeesNothing", Watch, "shown", lambda *_: Shown.OTHER),
    Patch("GathersWhatBroke", Gathering, "is_whole", property(lambda _: True)),
    Patch("TakesADripForLife", attempt_module, "moves", lambda _: True),
    Patch("WaitsForSilentWholeAnswers", Exchange, "can_turn_from", _never),
    Patch("LosesWhatWaitedForText", AttemptReader, "_take_early", lambda _, out: out),
    Patch("ForgetsRaces", HedgeBudget, "is_open", property(_never)),
    Patch("PaysInForNobody", HedgeBudget, "call", lambda *_: None),
    Patch("ForgetsTheRetryBudget", RetryBudget, "is_open", lambda *_: True),
)
