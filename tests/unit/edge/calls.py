"""Calls without a connection, and a clock that stands still, for those who decide which of them go on."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from tests.unit.edge.broker import Broker
from tokenway.edge import admission as admission_module
from tokenway.edge import stocks as stocks_module
from tokenway.edge import waiting as waiting_module
from tokenway.edge.admission import Admission
from tokenway.edge.claims import Claim
from tokenway.metering.ledger import Draw, Line, Settlement, Trace
from tokenway.model.errors import Problem
from tokenway.model.limits import Limit, Measure, OnOutage, Scope, Term
from tokenway.model.snapshot import Principal, Snapshot
from tokenway.model.usage import Usage

UNIX = 1_700_000_000.0
"""In the twentieth second of a minute."""


class Clock:
    """Both clocks of a worker, which go on when a test says so."""

    def __init__(self) -> None:
        self.mono = 1000.0

    @property
    def unix(self) -> float:
        """Unix time."""
        return UNIX + self.mono - 1000.0


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The clock that admission goes by."""
    made = Clock()
    for module in (admission_module, stocks_module, waiting_module):
        monkeypatch.setattr(module, "monotonic", lambda: made.mono)
        monkeypatch.setattr(module, "time", SimpleNamespace(time=lambda: made.unix))
    return made


def limit(
    measure: Measure = Measure.USD, amount: int = 100, term: Term = Term.TOTAL, name: str = "", *, per_run: bool = False
) -> Limit:
    """A limit of the key `k`."""
    return Limit(name or measure.value, Scope.KEY, "k", measure, amount, term, per_run=per_run)


class Call:
    """One call, and what it heard."""

    def __init__(self, worker: Worker, amount: int = 10, **more: object) -> None:
        self.principal: Principal = worker.principal
        self.counted = "m"
        self.run = ""
        self.trace: Trace | None = None
        self.asked_at = 0.0
        self.claim: Claim | None = None
        self.tokens = (30, 20)
        self.content: object = b'{"model":"m"}'
        self.at = 0.0
        self.problem: Problem | None = None
        self.mistake: Exception | None = None
        for name, value in more.items():
            setattr(self, name, value)
        self._worker = worker
        worker.heard.append(self)
        worker.admission.reserve(self, amount)

    def tokens_most(self) -> tuple[int, int]:
        """The most tokens that go in, and that come out."""
        return self.tokens

    def admitted(self, at: float) -> None:
        """It may go on."""
        assert self.is_waiting, "it was told twice"
        self.at = at
        self._worker.order.append(self)

    def refused(self, problem: Problem) -> None:
        """It may not."""
        assert self.is_waiting, "it was told twice"
        self.problem = problem

    def broke(self, error: Exception) -> None:
        """It has raised this."""
        self.mistake = error

    @property
    def is_waiting(self) -> bool:
        """Whether it has heard nothing yet."""
        return not self.at and self.problem is None

    @property
    def status(self) -> int:
        """200 when it goes on, 0 while it waits."""
        return 200 if self.at else 0 if self.problem is None else self.problem.status

    def end(self, spent: int = 0, usage: Usage | None = None) -> tuple[Draw, ...]:
        """It is over, cost so much and took these tokens."""
        assert self.claim is not None
        line = Line(1, "p/e", Settlement.DELIVERED, usage)
        return self._worker.admission.close(self.claim, spent, [line], self.counted)


class Worker:
    """One worker's admission, with a broker that answers at once unless it is told to wait (`hold`)."""

    def __init__(self, *limits: Limit, queue: float = 0.0, workers: int = 1, outage: OnOutage = OnOutage.SERVE) -> None:
        self.held: list[object] = []
        """What the broker has not done yet."""
        self.is_held = False
        self.broker = Broker(self._later)
        self.admission = Admission(self.broker.tell)
        self.order: list[Call] = []
        """The calls that go on, in the order in which they do."""
        self.heard: list[Call] = []
        self.principal = Principal("k", "key", "p", limits=tuple(each.id for each in limits), on_outage=outage)
        self.adopt(*limits, queue=queue, workers=workers)

    def adopt(self, *limits: Limit, queue: float = 0.0, workers: int = 1) -> None:
        """Puts these limits in force."""
        by_id = {each.id: each for each in limits}
        self.broker.serve(self.admission, by_id)
        self.admission.adopt(Snapshot(1, {}, {}, {}, {}, limits=by_id, queue=queue, workers=workers))

    def call(self, amount: int = 10, **more: object) -> Call:
        """A call that can cost so much."""
        return Call(self, amount, **more)

    def _later(self, work: object) -> None:
        if self.is_held:
            self.held.append(work)
        else:
            work()  # type: ignore[operator]

    def answer(self) -> None:
        """The broker does what it has not done yet."""
        held, self.held = self.held, []
        for work in held:
            work()  # type: ignore[operator]
