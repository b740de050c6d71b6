"""Two hundred thousand histories, each as its seed draws it; every invariant must hold in all of them."""

from __future__ import annotations

import pytest

from tests.simulation.checks import violations
from tests.simulation.facts import Facts
from tests.simulation.run import failing_seed, main, trace
from tests.simulation.voices.table import VOICES
from tests.simulation.world import play
from tokenway.metering.ledger import Settled, Settlement
from tokenway.model.catalog import Dialect
from tokenway.model.faults import Fault

SEEDS = 200_000
CHUNK = 2_500
PARTS = 8
"""Into how many classes they are divided: the tests of one class run in one process."""


def failure_text(seed: int | None) -> str:
    """What a person needs to find the mistake: what is wrong, how to see it again, what happened."""
    if seed is None:
        return ""
    history = play(seed)
    again = f"python -m tests.simulation.run --seed {seed} --trace"
    return "\n".join([*violations(history), again, trace(history)])


def _part(number: int) -> type:
    """The tests of one part of the seeds."""
    size = SEEDS // PARTS

    class TestHistories:
        """A part of the histories."""

        @pytest.mark.parametrize("start", range(number * size, (number + 1) * size, CHUNK))
        def test_every_history_holds(self, start: int) -> None:
            """Whatever providers, callers and the clock do, no invariant of an exchange breaks."""
            assert failure_text(failing_seed(range(start, start + CHUNK))) == ""

    return TestHistories


TestFirst, TestSecond, TestThird, TestFourth, TestFifth, TestSixth, TestSeventh, TestEighth = map(_part, range(PARTS))


def test_a_seed_tells_one_history() -> None:
    """The same seed gives the same events, commands and bytes, so that a failure can be seen again."""
    for seed in range(30):
        one, other = play(seed), play(seed)
        assert [step[1:] for step in one.steps] == [step[1:] for step in other.steps]
        assert [step[0] for step in one.steps] == [step[0] for step in other.steps]
        assert [call and call.request for call in one.calls] == [call and call.request for call in other.calls]
        assert one.records == other.records
        assert one.client.writes == other.client.writes


def test_the_histories_are_varied() -> None:
    """The seeds reach every fault, every settlement, retries, slow callers and callers that leave."""
    faults: set[str] = set()
    settlements: set[Settlement] = set()
    most = left = paused = 0
    for seed in range(1_500):
        history = play(seed)
        most = max(most, len(history.calls))
        left += history.client.left_at is not None
        paused += bool(history.client.pauses)
        for record in history.records:
            if isinstance(record, Settled):
                faults |= {line.fault for line in record.lines}
                settlements |= {line.settlement for line in record.lines}
    assert faults == {"", *(fault.value for fault in Fault)} - {Fault.TOO_LARGE.value}
    assert settlements == set(Settlement) - {Settlement.EXPIRED}
    assert most >= 5
    assert left > 50
    assert paused > 20


def test_several_attempts_make_one_answer() -> None:
    """The seeds reach races, gathered answers, continuations between dialects, and freezes that end in both ways."""
    races = gathered = thawed = outrun = crossed = rescued = 0
    for seed in range(3_000):
        history = play(seed)
        facts = Facts(history)
        races += any(each.hedges for each in facts.opened)
        gathered += history.plan.gathers and facts.has_end
        thawed += any(each.thaws for each in facts.frozen)
        outrun += any(not each.thaws for each in facts.frozen)
        rescued += facts.has_end and len(facts.parts) > 1
        spoken = {history.plan.voice_of(history.attempt_endpoints[part.attempt - 1]).dialect for part in facts.parts}
        crossed += len(spoken) > 1
    assert min(races, gathered, rescued) > 20
    assert min(thawed, outrun, crossed) > 2


def test_every_dialect_meets_every_other() -> None:
    """Whole streams and whole answers are delivered from each dialect to each, as are streams that broke."""
    whole: set[tuple[Dialect, Dialect, bool]] = set()
    broken: set[tuple[Dialect, Dialect]] = set()
    for seed in range(6_000):
        history = play(seed)
        plan = history.plan
        settled = next((record for record in history.records if isinstance(record, Settled)), None)
        if not plan.is_mixed or not history.calls or settled is None or settled.status != 200:
            continue
        facts = Facts(history)
        if len(facts.parts) > 1 or plan.gathers:
            continue
        call = facts.call
        pair = (plan.voice.dialect, plan.voice_of(call.endpoint).dialect)
        if settled.error_type:
            broken.add(pair)
        else:
            whole.add((*pair, plan.stream))
    every = [(voice.dialect, other.dialect) for voice in VOICES for other in VOICES]
    assert whole == {(*pair, stream) for pair in every for stream in (False, True)}
    assert broken == set(every)


def test_a_history_can_be_read(capsys: pytest.CaptureFixture[str]) -> None:
    """`--seed N --trace` prints what was drawn, each event with its commands, and the verdict."""
    assert main(["--seed", "3", "--trace"]) == 0
    text = capsys.readouterr().out
    assert "seed 3:" in text
    assert "ClientRequest" in text
    assert "→ Reserve" in text
    assert "every invariant holds" in text


def test_the_speed_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    """A run that finds nothing says how many histories it played, and how fast."""
    assert main(["--seeds", "5", "--start", "100"]) == 0
    assert "5 histories from seed 100 hold" in capsys.readouterr().out


def test_several_processes_play(capsys: pytest.CaptureFixture[str]) -> None:
    """With `--workers` the seeds are shared by processes, and none is left out."""
    assert main(["--seeds", "30", "--start", "100", "--workers", "2"]) == 0
    assert "30 histories from seed 100 hold" in capsys.readouterr().out


def test_a_raising_relay_is_a_finding() -> None:
    """What the relay raises breaks the history, and is told with its type."""
    history = play(0)
    history.crash = KeyError("x")
    assert violations(history) == ["it raised KeyError: 'x'"]
