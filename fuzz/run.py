"""Feeds the incremental parsers with damaged input: `python -m fuzz.run [--seconds N] [--seed N] [NAME...]`.

A harness is a module in this folder with `SEEDS`, a tuple of well-formed inputs, and `harness(data,
chance)`, which raises when its invariant does not hold. Inputs are drawn from the seeds by a few
mutations; the draw depends on the harness's name, the seed and the round alone, so a failure is
repeated by its three numbers.
"""

from __future__ import annotations

import argparse
import importlib
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Final

FOLDER: Final = Path(__file__).resolve().parent
NOT_HARNESSES: Final = frozenset({"__init__", "run"})
INTERESTING: Final = (
    *(b"", b"\0", b"\r", b"\n", b"\r\n\r\n", b"\n\n", b"data: ", b":"),
    *(b"\xef\xbb\xbf", b"\xff", b"\xf0\x9f\x98\x80", b"\\u0065", b"\xff\xff\xff\xff"),
    *(b"{", b"}", b'"', b"\\", b"[" * 50, b"null", b"-1", b"0" * 20, b"9" * 20, b"1e999"),
)
"""Pieces that parsers trip over."""

Harness = Callable[[bytes, Random], None]


@dataclass(frozen=True)
class Target:
    """One harness and the well-formed inputs it starts from."""

    name: str
    seeds: tuple[bytes, ...]
    harness: Harness


def names(folder: Path = FOLDER) -> list[str]:
    """The harnesses in a folder."""
    return sorted(path.stem for path in folder.glob("*.py") if path.stem not in NOT_HARNESSES)


def load(name: str) -> Target:
    """The harness of that name; raises ModuleNotFoundError or AttributeError when it is none."""
    module = importlib.import_module(f"fuzz.{name}")
    return Target(name, tuple(module.SEEDS), module.harness)


def mutate(seeds: Sequence[bytes], chance: Random) -> bytes:
    """One input: a seed, changed in a few places, or as it is."""
    data = bytearray(chance.choice(seeds))
    for _ in range(chance.choice((0, 1, 1, 2, 3, 8))):
        start = chance.randint(0, len(data))
        end = min(len(data), start + chance.choice((1, 1, 2, 4, 16, 64)))
        match chance.randrange(6):
            case 0:
                data[start:end] = bytes(byte ^ (1 << chance.randrange(8)) for byte in data[start:end])
            case 1:
                del data[start:end]
            case 2:
                data[start:start] = data[start:end]
            case 3:
                data[start:start] = chance.choice(INTERESTING)
            case 4:
                other = chance.choice(seeds)
                data[start:] = other[chance.randint(0, len(other)) :]
            case _:
                data[start:end] = chance.randbytes(end - start)
    return bytes(data)


def pieces(data: bytes, chance: Random) -> list[bytes]:
    """The data cut at random places, as a network cuts it: whole, byte by byte, or between."""
    size = chance.choice((1, 2, 7, 64, len(data) + 1))
    cut = []
    start = 0
    while start < len(data):
        end = start + chance.randint(1, size)
        cut.append(data[start:end])
        start = end
    return cut


def play(target: Target, seed: int, number: int) -> tuple[bytes, BaseException | None]:
    """One round: the input, and what its invariant raised. Anything a harness raises is a finding."""
    chance = Random(f"{target.name}:{seed}:{number}")
    data = mutate(target.seeds, chance)
    try:
        target.harness(data, chance)
    except Exception as error:  # noqa: BLE001 - a finding can be any exception
        return data, error
    return data, None


def search(target: Target, seed: int, first: int, until: float) -> bool:
    """Plays rounds from `first` on until the monotonic time `until`; prints a finding; True when there is none."""
    number = first
    while time.monotonic() < until:
        data, error = play(target, seed, number)
        if error is not None:
            traceback.print_exception(error)
            print(f"{target.name}: round {number} of seed {seed} broke the invariant; input: {data!r}")
            print(f"again: python -m fuzz.run {target.name} --seed {seed} --first {number}")
            return False
        number += 1
    print(f"{target.name}: {number - first} rounds of seed {seed}, no finding")
    return True


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs each harness for its time; 1 when any has a finding."""
    parser = argparse.ArgumentParser(prog="python -m fuzz.run", description="Feeds the parsers with damaged input.")
    parser.add_argument("names", nargs="*", metavar="NAME", help="the harnesses to run; all when none is named")
    parser.add_argument("--seconds", type=float, default=60.0, help="time for each harness (default 60)")
    parser.add_argument("--seed", type=int, default=int(time.time()), help="the search to play (default: a new one)")
    parser.add_argument("--first", type=int, default=0, help="the round to begin with (default 0)")
    options = parser.parse_args(arguments)
    unknown = sorted(set(options.names) - set(names()))
    if unknown:
        parser.error(f"no harness is called {', '.join(unknown)}; there are {', '.join(names())}")
    clean = [
        search(load(name), options.seed, options.first, time.monotonic() + options.seconds)
        for name in options.names or names()
    ]
    return 0 if all(clean) else 1


if __name__ == "__main__":
    sys.exit(main())
