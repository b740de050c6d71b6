"""Plays histories and checks each: `python -m tests.simulation.run --seeds 100000 --workers 2`.

A failing seed is printed with what is wrong and with its trace, and `--seed N --trace` plays it again.
"""

from __future__ import annotations

import argparse
import gc
import multiprocessing
import sys
import time
from collections.abc import Iterable, Sequence

import msgspec

from tests.simulation.checks import violations
from tests.simulation.clock import START
from tests.simulation.world import History, play
from tokenway.dialects.openai_chat.passing import PassingChat
from tokenway.dialects.translate import Translation
from tokenway.exchange.machine import Exchange


def first_failure(
    seeds: Iterable[int],
    machine: type[Exchange] = Exchange,
    reader: type[PassingChat] = PassingChat,
    translation: type[Translation] = Translation,
) -> tuple[History, list[str]] | None:
    """The first history that breaks an invariant, with what is wrong; None when all hold."""
    for seed in seeds:
        history = play(seed, machine, reader, translation)
        found = violations(history)
        if found:
            return history, found
    return None


CHUNK = 2_000
"""Seeds that a process plays at a time."""


def failing_seed(seeds: Sequence[int]) -> int | None:
    """The first seed that breaks an invariant; None when all hold.

    What histories leave behind is collected once for all of them: that is quicker than to look for it in each.
    """
    gc.disable()
    try:
        failure = first_failure(seeds)
    finally:
        gc.enable()
        gc.collect()
    return None if failure is None else failure[0].plan.seed


def play_all(start: int, count: int, workers: int) -> int | None:
    """As `failing_seed`, by several processes."""
    chunks = [range(at, min(at + CHUNK, start + count)) for at in range(start, start + count, CHUNK)]
    if workers == 1:
        return next((seed for seed in map(failing_seed, chunks) if seed is not None), None)
    with multiprocessing.get_context("fork").Pool(workers, maxtasksperchild=50) as pool:
        return next((seed for seed in pool.imap(failing_seed, chunks) if seed is not None), None)


def trace(history: History) -> str:
    """A history as text: what was drawn, what the machine was told and what it ordered."""
    plan = history.plan
    lines = [
        f"seed {plan.seed}: {plan.voice.dialect} {plan.operation} n={plan.choices}",
        f"  retries {plan.max_retries}, {plan.timeouts}",
        f"  request {plan.body.decode()}",
        f"  caller {plan.habits}",
    ]
    lines += [
        f"  endpoint {endpoint.id} speaks {plan.voice_of(endpoint).dialect}, {endpoint.price}"
        for endpoint in plan.endpoints
    ]
    for at, event, commands in history.steps:
        lines.append(f"{at - START:10.3f}  {_short(event)}")
        lines += [f"{'':12}→ {_short(command)}" for command in commands]
    for number, call in enumerate(history.calls, start=1):
        if call is None:
            lines.append(f"attempt {number}: not made")
            continue
        lines.append(f"attempt {number} at {call.endpoint.id}: {call.script.name}, {call.how}, told {call.told}")
        lines += [f"{'':4}{item.kind} {item.data!r}" for item in call.script.items]
    lines += [f"record {record}" for record in history.records]
    lines.append(f"caller has {b''.join(history.client.writes)!r}")
    if history.crash is not None:
        lines.append(f"raised {history.crash!r}")
    return "\n".join(lines)


def _short(value: msgspec.Struct) -> str:
    fields = {name: getattr(value, name) for name in value.__struct_fields__}
    shown = {name: getattr(each, "id", each) for name, each in fields.items() if name not in {"at", "order"} and each}
    return f"{type(value).__name__} " + ", ".join(f"{name}={each!r}" for name, each in shown.items())


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs; 0 when every history holds, 1 when one does not."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation.run", description=__doc__)
    parser.add_argument("--seeds", type=int, default=20_000, help="how many histories")
    parser.add_argument("--start", type=int, default=0, help="the first seed")
    parser.add_argument("--workers", type=int, default=1, help="how many processes play them")
    parser.add_argument("--seed", type=int, help="only this one")
    parser.add_argument("--trace", action="store_true", help="with --seed: print what happened")
    options = parser.parse_args(arguments)
    if options.seed is not None:
        history = play(options.seed)
        found = violations(history)
        if options.trace or found:
            print(trace(history))
        print("\n".join(found) or f"seed {options.seed}: every invariant holds")
        return 1 if found else 0
    begun = time.perf_counter()
    seed = play_all(options.start, options.seeds, options.workers)
    if seed is not None:
        history = play(seed)
        print(trace(history))
        print(f"seed {seed} breaks what must hold:")
        print("\n".join(f"  {sentence}" for sentence in violations(history)))
        print(f"again: python -m tests.simulation.run --seed {seed} --trace")
        return 1
    took = time.perf_counter() - begun
    speed = options.seeds / took
    print(f"{options.seeds} histories from seed {options.start} hold: {took:.1f} s, {speed:.0f} seeds a second")
    return 0


if __name__ == "__main__":
    sys.exit(main())
