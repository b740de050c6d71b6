"""`python -m benchmarks.routing`: plays the policies against each other and prints what came of it."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from rich.console import Console
from rich.markdown import Markdown
from rich.progress import Progress, TaskID

from benchmarks.machine import describe
from benchmarks.report import Result, write_readme
from benchmarks.routing import report
from benchmarks.routing.contest import POLICIES, hold, shortened
from benchmarks.routing.fleet import SCENARIOS

HERE = Path(__file__).parent
PLOT = HERE / "routing.svg"


def _several(known: Mapping[str, object], text: str) -> list[str]:
    names = text.split(",")
    if unknown := [name for name in names if name not in known]:
        raise argparse.ArgumentTypeError(f"no {', '.join(unknown)}; there are {', '.join(known)}")
    return names


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.routing", description=__doc__)
    parser.add_argument("--requests", type=int, help="how many per scenario, at its rate (default: a whole one)")
    parser.add_argument("--seeds", type=int, default=5, help="fleets to play, numbered from 1 (default 5)")
    choices: dict[str, Mapping[str, object]] = {"policies": POLICIES, "scenarios": SCENARIOS}
    for flag, known in choices.items():
        parser.add_argument(
            f"--{flag}",
            type=partial(_several, known),
            default=list(known),
            metavar="A,B",
            help=f"of: {', '.join(known)} (default all)",
        )
    parser.add_argument("--json", action="store_true", help="print all figures as JSON and no table")
    parser.add_argument("--plot", type=Path, help="write the plot there, as SVG")
    parser.add_argument(
        "--write-readme", action="store_true", help=f"put tables and plot into {HERE.name}/README.md and {PLOT.name}"
    )
    return parser.parse_args()


def _play(arguments: argparse.Namespace) -> dict[str, Result]:
    names = report.order(arguments.policies)
    seeds = range(1, arguments.seeds + 1)
    machine = describe()
    results = {}
    with Progress(console=Console(stderr=True), transient=True) as progress:
        for name in arguments.scenarios:
            scenario = shortened(SCENARIOS[name], arguments.requests)
            task = progress.add_task(name, total=scenario.requests * len(names) * len(seeds))
            samples = hold(scenario, seeds, names, partial(_tell, progress, task))
            progress.remove_task(task)
            method = {"requests": scenario.requests, "hours": scenario.hours, "seeds": len(seeds)}
            results[name] = Result(machine, {}, method, samples, [])
    return results


def _tell(progress: Progress, task: TaskID, what: str, done: int) -> None:
    progress.update(task, completed=done, description=what)


def main() -> int:
    """Exit 0: played."""
    arguments = _arguments()
    results = _play(arguments)
    if arguments.plot:
        arguments.plot.write_text(report.svg(results))
    if arguments.write_readme:
        PLOT.write_text(report.svg(results))
        write_readme(HERE / "README.md", report.markdown(results), report.MARK_BEGIN)
    if arguments.json:
        print(json.dumps({name: result.as_json() for name, result in results.items()}))
    elif sys.stdout.isatty():
        Console().print(Markdown(report.markdown(results)))
    else:
        print(report.markdown(results), end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
