"""`python -m benchmarks.run` (`make bench`): measure the subjects in turn, several rounds, and write the results."""

from __future__ import annotations

import argparse
import datetime as dt
import json
import os
import sys
from pathlib import Path
from statistics import median

from benchmarks import report
from benchmarks.machine import LOAD_CORE, SUBJECT_CORE, Unavailable, describe, install_tools
from benchmarks.runner import PHASES, Figures, Plan, import_ms, upstream, visit, visit_direct
from benchmarks.subjects import ALL, Subject, Tokenway

HERE = Path(__file__).parent


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.run", description=__doc__)
    names = ", ".join(subject.name for subject in ALL)
    parser.add_argument("--only", metavar="A,B", help=f"subjects to measure, of: {names}; prints, writes nothing")
    parser.add_argument(
        "--phases", metavar="A,B", help=f"phases to measure, of: {', '.join(PHASES)}; prints, writes nothing"
    )
    parser.add_argument("--rounds", type=int, default=3, help="visits to each subject, in turn (default 3)")
    parser.add_argument("--seconds", type=float, default=4.0, help="length of one phase (default 4)")
    parser.add_argument(
        "--quick", action="store_true", help="one round of one-second phases: an impression, writes nothing"
    )
    parser.add_argument(
        "--nice", type=int, default=0, help="run all at this niceness; below 0 (root) on a shared machine"
    )
    parser.add_argument(
        "--realtime",
        action="store_true",
        help="real-time priority while measuring (root); for a shared machine, which stands still meanwhile",
    )
    parser.add_argument("--json", action="store_true", help="print the result as JSON and no table")
    parser.add_argument(
        "--write-readme", action="store_true", help="put the newest result into README.md, measure nothing"
    )
    return parser.parse_args()


def _available(only: str | None, note: report.Note) -> tuple[list[Subject], dict[str, str]]:
    """The subjects to visit and the version of each; what cannot be had is noted."""
    wanted = only.split(",") if only else [subject.name for subject in ALL]
    known = {subject.name: subject for subject in ALL}
    if unknown := [name for name in wanted if name not in known]:
        raise Unavailable(f"no subject {', '.join(unknown)}; there are {', '.join(known)}")
    subjects, versions = [], {}
    for name, make in known.items():
        if name not in wanted:
            continue
        subject = make()
        try:
            versions[name] = subject.prepare()
        except Unavailable as why:
            note(f"{name}: left out: {why}")
            continue
        subjects.append(subject)
    return subjects, versions


def _measure(arguments: argparse.Namespace) -> report.Result:
    notes: list[str] = []

    def note(text: str) -> None:
        if text not in notes:
            notes.append(text)
        print(f"  ! {text}", file=sys.stderr, flush=True)

    def say(text: str) -> None:
        print(text, file=sys.stderr, flush=True)

    install_tools()
    rounds, seconds = (1, 1.0) if arguments.quick else (arguments.rounds, arguments.seconds)
    machine = describe()
    phases = frozenset(arguments.phases.split(",") if arguments.phases else PHASES)
    if unknown := phases - set(PHASES):
        raise Unavailable(f"no phase {', '.join(sorted(unknown))}; there are {', '.join(PHASES)}")
    plan = Plan(seconds, arguments.realtime, phases, note)
    subjects, versions = _available(arguments.only, note)
    os.sched_setaffinity(0, {LOAD_CORE})
    os.nice(arguments.nice)
    samples: dict[str, list[Figures]] = {}
    common: float | None = None
    with upstream() as model:
        for number in range(1, rounds + 1):
            say(f"round {number} of {rounds}: direct")
            samples.setdefault("direct", []).append(visit_direct(model, plan))
            for subject in subjects:
                say(f"round {number} of {rounds}: {subject.name}")
                try:
                    figures = visit(subject, model, plan, common)
                except Unavailable as why:
                    note(f"{subject.name}: {why}")
                    continue
                # The first subject (the gateway, where it is measured) sets the rate at which all are compared.
                common = common or figures.get("plain.rps", 0.0) / 2 or None
                samples.setdefault(subject.name, []).append(figures)
                say(f"  {report.one_line(figures)}")
    for module in report.IMPORTS if "tokenway" in samples else ():
        try:
            times = [import_ms(Tokenway().python, module) for _ in range(5)]
            samples["tokenway"][0][f"start.import.{module}"] = median(times)
        except Unavailable as why:
            note(str(why))
    return report.Result(machine, versions, {"rounds": rounds, "seconds": seconds}, samples, notes)


def main() -> int:
    """Exit 0: measured, 1: could not."""
    arguments = _arguments()
    results = HERE / "results"
    if arguments.write_readme:
        written = sorted(results.glob("*.md"))
        if not written:
            print("no result yet: run `make bench` first", file=sys.stderr)
            return 1
        report.write_readme(HERE / "README.md", written[-1].read_text())
        return 0
    if not {SUBJECT_CORE, LOAD_CORE} <= os.sched_getaffinity(0):
        print("two cores are needed: one for the subject, one for load and upstream", file=sys.stderr)
        return 1
    try:
        result = _measure(arguments)
    except Unavailable as why:
        print(why, file=sys.stderr)
        return 1
    if not (arguments.quick or arguments.only or arguments.phases):
        results.mkdir(exist_ok=True)
        stem = results / dt.datetime.now(dt.UTC).strftime("%Y-%m-%d")
        stem.with_suffix(".json").write_text(json.dumps(result.as_json(), indent=1) + "\n")
        stem.with_suffix(".md").write_text(report.markdown(result))
    print(json.dumps(result.as_json()) if arguments.json else report.markdown(result))
    return 0


if __name__ == "__main__":
    sys.exit(main())
