"""The supervisor against children that behave in every way: real processes, scripted in a line or two."""

from __future__ import annotations

import asyncio
import os
import signal
import stat
import sys
import textwrap
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import psutil
import pytest

from tokenway.aio.tasks import Tasks
from tokenway.local.models import CHAT_MODEL, Finder
from tokenway.local.pipe import EXIT_UNUSABLE, Report
from tokenway.local.probe import Machine
from tokenway.local.supervise import EngineState, LocalEngine, Pace, Parts, Phase, child_command

MACHINE = Machine(system="linux", architecture="aarch64", cpuinfo="", find_library=lambda name: name)
READY = f"print({msgspec.json.encode(Report((CHAT_MODEL,), ())).decode()!r}, flush=True)"
LIVE = f"sys.stdin.readline(); {READY}; sys.stdin.read()"
QUICK = Pace(ready=20, backoff_first=0.01, backoff_max=0.02, stop=5)


@dataclass
class Stage:
    """Makes engines whose children run a script, and records what they tell."""

    folder: Path
    tasks: Tasks
    states: list[EngineState] = field(default_factory=list)
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    engines: list[LocalEngine] = field(default_factory=list)

    def find(self, module: str) -> Path | None:
        """All packages are installed in one folder."""
        return self.folder / "packages"

    def engine(
        self,
        *scripts: str,
        pace: Pace = QUICK,
        machine: Machine = MACHINE,
        find: Finder | None = None,
        extra: dict[str, Path] | None = None,
    ) -> LocalEngine:
        """An engine whose first child runs the first script, and so on; the last one is repeated."""
        left = list(scripts)

        def command(socket: Path) -> list[str]:
            script = left.pop(0) if len(left) > 1 else left[0]
            return [sys.executable, "-c", f"import os, sys, time\n{textwrap.dedent(script)}", str(socket)]

        parts = Parts(command=command, machine=lambda: machine, find=find or self.find, pace=pace)
        engine = LocalEngine(self.folder / "run", self.folder, extra or {}, self.told, self.tasks, parts)
        self.engines.append(engine)
        return engine

    def told(self, state: EngineState) -> None:
        """Records a state."""
        self.states.append(state)
        self.changed.set()

    async def until(self, is_it: Callable[[EngineState], bool]) -> EngineState:
        """The first recorded state, from now on, that is the one."""
        seen = 0
        async with asyncio.timeout(30):
            while True:
                for state in self.states[seen:]:
                    if is_it(state):
                        del self.states[: self.states.index(state) + 1]
                        return state
                seen = len(self.states)
                self.changed.clear()
                await self.changed.wait()


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    """A stage with the weights in place; everything is stopped afterwards."""
    (tmp_path / "packages").mkdir()
    (tmp_path / "packages" / "SmolLM2-135M-Instruct.Q4_1.gguf").write_bytes(b"GGUF")
    failures: list[str] = []
    tasks = Tasks(lambda name, error: failures.append(f"{name}: {error!r}"))
    made = Stage(tmp_path, tasks)
    yield made
    for engine in made.engines:
        await engine.stop()
    await tasks.close()
    assert failures == []


def in_phase(phase: Phase) -> Callable[[EngineState], bool]:
    """Whether a state is in this phase."""
    return lambda state: state.phase is phase


async def test_a_child_that_reports_is_ready(stage: Stage) -> None:
    """Start returns at once; the models and the process come with the report."""
    engine = stage.engine(LIVE)
    engine.start()
    assert engine.state.phase is Phase.PROBING
    state = await stage.until(in_phase(Phase.READY))
    assert state.models == (CHAT_MODEL,)
    assert state.pid is not None
    assert psutil.pid_exists(state.pid)
    assert state == engine.state


async def test_stopping_ends_the_child_and_leaves_nothing(stage: Stage) -> None:
    """Closing the pipe is enough for a child that reads it; the folder is gone too."""
    engine = stage.engine(LIVE)
    engine.start()
    state = await stage.until(in_phase(Phase.READY))
    assert len(list((stage.folder / "run").iterdir())) == 1
    await engine.stop()
    assert state.pid is not None
    assert not psutil.pid_exists(state.pid)
    assert list((stage.folder / "run").iterdir()) == []


async def test_a_child_that_does_not_listen_is_killed(stage: Stage) -> None:
    """A child that ignores its pipe does not outlive the engine."""
    engine = stage.engine(f"{READY}\nwhile True: time.sleep(60)", pace=Pace(ready=20, stop=0.05))
    engine.start()
    state = await stage.until(in_phase(Phase.READY))
    await engine.stop()
    assert state.pid is not None
    assert not psutil.pid_exists(state.pid)


async def test_the_secret_goes_through_the_pipe_only(stage: Stage) -> None:
    """Neither arguments nor environment hold it, and printing the state does not either."""
    script = f"""
        line = sys.stdin.readline()
        key = line.split('"key":"')[1].split('"')[0]
        open({str(stage.folder / "seen")!r}, "w").write(str(key in repr(os.environ) or key in repr(sys.argv)) + key)
        {READY}
        sys.stdin.read()
    """
    engine = stage.engine(script)
    engine.start()
    state = await stage.until(in_phase(Phase.READY))
    assert (stage.folder / "seen").read_text() == f"False{state.api_key.reveal()}"
    assert state.api_key.reveal() not in repr(state)


async def test_the_child_is_told_not_to_spin(stage: Stage) -> None:
    """The OpenMP setting is in its environment, and it has a session of its own."""
    check = "assert os.environ['GOMP_SPINCOUNT'] == '2000' and os.getsid(0) == os.getpid()"
    engine = stage.engine(f"{check}\n{LIVE}")
    engine.start()
    await stage.until(in_phase(Phase.READY))


async def test_a_killed_child_is_replaced_at_the_same_address(stage: Stage) -> None:
    """The reason names the signal; address and key stay."""
    engine = stage.engine(LIVE)
    engine.start()
    first = await stage.until(in_phase(Phase.READY))
    assert first.pid is not None
    os.kill(first.pid, signal.SIGKILL)
    restarting = await stage.until(in_phase(Phase.RESTARTING))
    assert "SIGKILL" in restarting.reason
    second = await stage.until(in_phase(Phase.READY))
    assert (second.base_url, second.api_key) == (first.base_url, first.api_key)
    assert second.pid != first.pid


async def test_the_last_words_are_in_the_reason(stage: Stage) -> None:
    """What the child wrote to standard error before it died is told."""
    engine = stage.engine("sys.exit('GGML_ASSERT: out of luck')", LIVE)
    engine.start()
    state = await stage.until(in_phase(Phase.RESTARTING))
    assert "status 1" in state.reason
    assert "GGML_ASSERT: out of luck" in state.reason
    await stage.until(in_phase(Phase.READY))


async def test_an_unsupported_processor_is_not_tried_again(stage: Stage) -> None:
    """Death by an illegal instruction is final and explained."""
    engine = stage.engine("os.kill(os.getpid(), 4)")
    engine.start()
    state = await stage.until(in_phase(Phase.UNAVAILABLE))
    assert "AVX2" in state.reason
    assert [state.phase for state in stage.states] == []


async def test_a_child_without_models_is_not_tried_again(stage: Stage) -> None:
    """What it reports is the reason."""
    report = msgspec.json.encode(Report((), ("The file is broken.",))).decode()
    engine = stage.engine(f"print({report!r}, flush=True); sys.exit({EXIT_UNUSABLE})")
    engine.start()
    state = await stage.until(in_phase(Phase.UNAVAILABLE))
    assert state.reason == "The file is broken."


async def test_a_child_that_is_never_ready_is_replaced(stage: Stage) -> None:
    """Silence ends with the patience for it."""
    engine = stage.engine("sys.stdin.read()", pace=Pace(ready=0.2, backoff_first=0.01, stop=5))
    engine.start()
    state = await stage.until(in_phase(Phase.RESTARTING))
    assert "was not ready after 0.2 s" in state.reason


async def test_babble_instead_of_a_report_is_an_accident(stage: Stage) -> None:
    """A line that is no report does not end the supervision."""
    engine = stage.engine("print('hello', flush=True); sys.stdin.read()", LIVE)
    engine.start()
    await stage.until(in_phase(Phase.RESTARTING))
    await stage.until(in_phase(Phase.READY))


async def test_waits_grow_up_to_a_limit(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each accident doubles the wait, and health resets it."""
    waits: list[float] = []
    sleep = asyncio.sleep

    async def noted(delay: float) -> None:
        waits.append(delay)
        await sleep(0)

    engine = stage.engine("sys.exit(1)", pace=Pace(ready=20, backoff_first=0.5, backoff_max=3, stop=5))
    monkeypatch.setattr("tokenway.local.supervise.asyncio.sleep", noted)
    engine.start()
    for _ in range(5):
        await stage.until(in_phase(Phase.RESTARTING))
    await engine.stop()
    assert waits[:4] == [0.5, 1.0, 2.0, 3.0]
    waits.clear()
    engine = stage.engine("sys.exit(1)", pace=Pace(ready=20, backoff_first=0.5, healthy=0, stop=5))
    engine.start()
    for _ in range(4):
        await stage.until(in_phase(Phase.RESTARTING))
    assert waits[:3] == [0.5, 0.5, 0.5]


async def test_a_program_that_cannot_be_started_is_an_accident(stage: Stage) -> None:
    """The reason says so; supervision goes on."""
    parts = Parts(lambda _: ["/no/such/program"], lambda: MACHINE, stage.find, QUICK)
    engine = LocalEngine(stage.folder / "run", stage.folder, {}, stage.told, stage.tasks, parts)
    stage.engines.append(engine)
    engine.start()
    state = await stage.until(in_phase(Phase.RESTARTING))
    assert "cannot be started" in state.reason


async def test_an_unfit_machine_starts_nothing(stage: Stage) -> None:
    """The probe's sentence is the reason."""
    machine = Machine("linux", "x86_64", "flags : sse2\n", lambda name: name)
    engine = stage.engine("raise SystemExit('started')", machine=machine)
    engine.start()
    state = await stage.until(in_phase(Phase.UNAVAILABLE))
    assert "lacks avx2" in state.reason


async def test_without_packages_it_says_what_to_install(stage: Stage) -> None:
    """No runtime, no weights: both commands are in the reason."""
    engine = stage.engine("raise SystemExit('started')", find=lambda _: None)
    engine.start()
    state = await stage.until(in_phase(Phase.UNAVAILABLE))
    assert "pip install 'tokenway[local]'" in state.reason
    assert "tokenway local install" in state.reason


async def test_what_is_not_served_is_told_while_ready(stage: Stage) -> None:
    """A wrong entry of the configuration does not keep the rest from working."""
    engine = stage.engine(LIVE, extra={"mine": stage.folder / "absent.gguf"})
    engine.start()
    state = await stage.until(in_phase(Phase.READY))
    assert "absent.gguf" in state.reason


def test_the_socket_is_private_and_its_path_short(stage: Stage) -> None:
    """Only the owner can enter the folder, and a deep data folder does not break the address."""
    deep = stage.folder / ("d" * 60) / ("e" * 60)
    for wanted in (stage.folder / "run", deep):
        engine = LocalEngine(wanted, stage.folder, {}, stage.told, stage.tasks)
        stage.engines.append(engine)
        scheme, path, prefix = engine.state.base_url.split(":")
        assert (scheme, prefix) == ("unix", "/v1")
        assert len(path) <= 100
        assert stat.S_IMODE(Path(path).parent.stat().st_mode) == 0o700


def test_the_child_is_this_python() -> None:
    """The command names the module and the socket, and nothing secret."""
    assert child_command(Path("/x")) == [sys.executable, "-m", "tokenway.local.child", "/x"]
