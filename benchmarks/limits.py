"""`python -m benchmarks.limits [--profile]`: what limits cost a call: reservation, settlement, and both in the journal.

Real are the admission, its leases and the journal; the control process is played, and grants what is wanted at once.
Prints microseconds per call in a loop, the best of some rounds, for no limit and for more and more of them: first all
of it, then without the journal's two records.
"""

from __future__ import annotations

import argparse
import cProfile
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

from benchmarks.ingest import settled
from tokenway.edge.admission import Admission
from tokenway.edge.claims import Claim
from tokenway.metering.ledger import Line, Reserved, Settled, Settlement, Trace
from tokenway.model.errors import Problem
from tokenway.model.limits import Limit, Measure, Scope, Term
from tokenway.model.link import Granted, Return, Want
from tokenway.model.snapshot import Principal, Snapshot
from tokenway.model.usage import Usage
from tokenway.store.journal import JournalWriter

ROUNDS: Final = 200
CALLS: Final = 300
AMOUNT: Final = 90_000
"""What a call can cost, in nano-dollars."""
SPENT: Final = 12_345
PLENTY: Final = 10**15
LINES: Final = (Line(0, "lab/mock", Settlement.DELIVERED, Usage(input_uncached=100, output_text=64), SPENT, 200),)


class Set(NamedTuple):
    """Limits that count for each call."""

    name: str
    measures: tuple[tuple[Measure, Term], ...]


SETS: Final = (
    Set("no limit", ()),
    Set("budget", ((Measure.USD, Term.DAY),)),
    Set("budget, rpm, tpm", ((Measure.USD, Term.DAY), (Measure.REQUESTS, Term.MINUTE), (Measure.TOKENS, Term.MINUTE))),
    Set(
        "two budgets, rpm, tpm, places",
        (
            (Measure.USD, Term.DAY),
            (Measure.USD, Term.MONTH),
            (Measure.REQUESTS, Term.MINUTE),
            (Measure.TOKENS, Term.MINUTE),
            (Measure.CONCURRENCY, Term.TOTAL),
        ),
    ),
)


class Call:
    """As much of an exchange as is admitted."""

    __slots__ = ("asked_at", "at", "claim", "content", "counted", "principal", "run", "trace")

    def __init__(self, principal: Principal) -> None:
        self.principal = principal
        self.counted = "mock"
        self.run = ""
        self.trace: Trace | None = None
        self.asked_at = self.at = 0.0
        self.claim: Claim | None = None
        self.content: object = b""

    def tokens_most(self) -> tuple[int, int]:
        """The most tokens that go in, and that come out."""
        return 400, 256

    def admitted(self, at: float) -> None:
        """It goes on."""
        self.at = at

    def refused(self, problem: Problem) -> None:
        """It never is."""
        raise SystemExit(problem.message)

    def broke(self, error: Exception) -> None:
        """It never does."""
        raise error


class Bench:
    """One worker's admission and journal, with a key that has these limits."""

    def __init__(self, folder: Path, limits: Set) -> None:
        made = [
            Limit(f"config:key:bench:{measure.value}:{term.value}", Scope.KEY, "k", measure, PLENTY, term)
            for measure, term in limits.measures
        ]
        self.journal = JournalWriter(folder, "edge-1")
        self.admission = Admission(self._told)
        self.admission.adopt(Snapshot(1, {}, {}, {}, {}, limits={each.id: each for each in made}))
        self.principal = Principal("key_0001", "bench", "default", limits=tuple(each.id for each in made))
        self.record = settled(1)

    def _told(self, message: Want | Return) -> None:
        """The control process: grants what is wanted and much more, for ever."""
        if isinstance(message, Want):
            self.admission.granted(Granted(message.number, message.limit, 0, PLENTY // 100, PLENTY, 0.0, 0.0))

    def call(self) -> Settled:
        """A call that is let in, and settled; both are entered."""
        call, record = Call(self.principal), self.record
        self.admission.reserve(call, AMOUNT)
        self.journal.append(Reserved(record.id, call.at, record.key, record.project, AMOUNT))
        settlement = _with(record, self._close(call))
        self.journal.append(settlement)
        return settlement

    def bare(self) -> None:
        """The same without the journal."""
        call = Call(self.principal)
        self.admission.reserve(call, AMOUNT)
        self._close(call)

    def _close(self, call: Call) -> tuple[object, ...]:
        return () if call.claim is None else self.admission.close(call.claim, SPENT, LINES, "mock")

    def microseconds(self, calls: int, *, is_bare: bool = False) -> float:
        """The best of some rounds, per call."""
        one = self.bare if is_bare else self.call
        times = []
        for _ in range(ROUNDS):
            began = time.perf_counter()
            for _ in range(calls):
                one()
            times.append(time.perf_counter() - began)
        return min(times) / calls * 1e6


def _with(record: Settled, draws: Sequence[object]) -> Settled:
    """The record of a call that drew so."""
    return Settled(
        record.id,
        record.at,
        record.key,
        record.project,
        record.model,
        record.endpoint,
        record.operation,
        record.dialect,
        record.stream,
        record.settlement,
        record.charged,
        record.status,
        record.lines,
        record.stamps,
        record.overhead,
        draws=draws,  # type: ignore[arg-type]
    )


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.limits", description=__doc__)
    parser.add_argument("--calls", type=int, default=CALLS, help=f"calls in each of {ROUNDS} rounds (default {CALLS})")
    parser.add_argument("--profile", action="store_true", help="show where the time of the largest set goes")
    asked = parser.parse_args()
    for limits in SETS:
        with tempfile.TemporaryDirectory() as folder:
            bench = Bench(Path(folder), limits)
            bench.microseconds(200)
            whole, bare = bench.microseconds(asked.calls), bench.microseconds(asked.calls, is_bare=True)
            print(f"{limits.name:32} {whole:6.1f} µs per call, {bare:6.1f} without the journal")
            if asked.profile and limits is SETS[-1]:
                cProfile.runctx("bench.microseconds(asked.calls, is_bare=True)", globals(), locals(), sort="tottime")


if __name__ == "__main__":
    main()
