"""Another model that serves a call in the place of the one that was asked for: its limits, when it is its turn.

A call is admitted by the limits of its key and of the model that was asked for. Those of another one are drawn from
only when an attempt at it begins, so that what it has used up keeps nobody from the first. What they do not hold is an
attempt that could not be made.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final

from tokenway.edge.opening import send, unmade
from tokenway.model.errors import ErrorType, Problem
from tokenway.routing.retry import LIMITED_CODE

if TYPE_CHECKING:
    from tokenway.edge.admission import Admission
    from tokenway.edge.attempt import AttemptReader
    from tokenway.edge.claims import Claim
    from tokenway.edge.intake import Intake
    from tokenway.edge.relay import Relay
    from tokenway.edge.state import EdgeState
    from tokenway.metering.ledger import Draw, Line

MONEY: Final = 402


class StandIn:
    """A call as its admission sees it, of which only the model's own limits are asked."""

    def __init__(self, relay: Relay, model: str, then: Callable[[Problem | None], None]) -> None:
        """`then` is told whether the attempt can be made, now or later: None, or why not."""
        self.principal = relay.principal
        self.counted = model
        self.run = relay.run
        self.trace = relay.trace
        self.asked_at = 0.0
        self.claim: Claim | None = None
        self.is_admitted = False
        self.content: object = relay.content
        self.tokens_most = relay.tokens_most
        self._then = then
        self._broke = relay.broke

    def admitted(self, _at: float) -> None:
        """The model's limits hold it."""
        self.is_admitted = True
        self._told(None)

    def refused(self, problem: Problem) -> None:
        """They do not."""
        self._told(problem)

    def broke(self, error: Exception) -> None:
        """Beginning the attempt has raised this."""
        self._broke(error)

    def _told(self, problem: Problem | None) -> None:
        then, self._then = self._then, _nothing
        then(problem)
        # Whoever is asked later does not need them, and they lead back to the relay.
        self.content, self.tokens_most, self._broke = b"", _no_tokens, _raise


def stands_in(state: EdgeState, relay: Relay, intake: Intake, reader: AttemptReader) -> bool:
    """Whether an attempt is at another model with limits of its own; then it begins when they hold it."""
    route = intake.route
    model = route.others.get(reader.endpoint.id)
    if model not in route.bounded:
        return False
    if relay.stand_ins is None:
        relay.stand_ins = []
    if any(each.is_admitted and each.counted == model for each in relay.stand_ins):
        return False

    def then(problem: Problem | None) -> None:
        if reader.ended_at:
            return  # it was given up meanwhile
        if problem is None:
            send(state, relay, intake, reader)
        else:
            relay.tell(unmade(relay, reader.number, refused_by(model, problem)))

    made = StandIn(relay, model, then)
    relay.stand_ins.append(made)
    state.admission.reserve_more(made, relay.reserved)
    return True


def claims_of(relay: Relay) -> Iterator[Claim]:
    """All that a call needs, or has drawn, of limits."""
    if relay.claim is not None:
        yield relay.claim
    for each in relay.stand_ins or ():
        if each.claim is not None:
            yield each.claim


def close_all(
    admission: Admission, claims: Sequence[Claim], spent: int, lines: Sequence[Line], model: str
) -> tuple[Draw, ...]:
    """As `Admission.close`, for all that a call has drawn."""
    for claim in claims:
        admission.withdraw(claim)
    return tuple(draw for claim in claims for draw in admission.close(claim, spent, lines, model))


def refused_by(model: str, problem: Problem) -> Problem:
    """Why an attempt cannot be made at a model whose limits do not hold it: nothing that another one cannot do."""
    details: dict[str, Any] = {**problem.details, "model": model}
    return Problem(
        429 if problem.status == MONEY else problem.status,
        ErrorType.RATE_LIMIT_EXCEEDED if problem.status == MONEY else problem.type,
        f"The model '{model[:120]}' would serve in the place of the one that was asked for: {problem.message}",
        code=LIMITED_CODE,
        retry_after=problem.retry_after,
        should_retry=problem.should_retry,
        details=details,
    )


def _nothing(_problem: Problem | None) -> None:
    pass


def _no_tokens() -> tuple[int, int]:
    return 0, 0


def _raise(error: Exception) -> None:
    raise error
