"""`python -m benchmarks.flame`: where the gateway's worker spends its time under load, by py-spy.

Starts the same upstream, gateway and load as the suite, samples the worker, and prints the functions with the most
time of their own; or writes a flame graph or a speedscope file.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
import threading
from collections import Counter
from pathlib import Path
from shutil import which

from benchmarks.load.clients import closed_loop
from benchmarks.machine import LOAD_CORE, Unavailable, install_tools, pinned
from benchmarks.runner import BURST_BODY, PLAIN_BODY, STREAM_BODY, running, upstream
from benchmarks.subjects import Tokenway

BODIES = {"plain": PLAIN_BODY, "stream": STREAM_BODY, "burst": BURST_BODY}
SHOWN = 40
_LINE = re.compile(r":\d+(?=\)$)")


def top(raw: str, *, is_by_line: bool = False) -> str:
    """Functions (or lines) by their own share of all samples, with the share of all below them.

    `raw` is py-spy's raw format: one stack a line, frames from the root joined by ";", then a blank and a count.
    """
    own: Counter[str] = Counter()
    below: Counter[str] = Counter()
    for line in raw.splitlines():
        stack, _, count = line.rpartition(" ")
        frames = [frame if is_by_line else _LINE.sub("", frame) for frame in stack.split(";")]
        own[frames[-1]] += int(count)
        for frame in set(frames):
            below[frame] += int(count)
    total = max(1, own.total())
    lines = [f"{own.total()} samples", "  own   all  function"]
    lines += [f"{count / total:5.1%} {below[frame] / total:5.1%}  {frame}" for frame, count in own.most_common(SHOWN)]
    return "\n".join(lines)


def _record(pid: int, output: Path, arguments: argparse.Namespace) -> None:
    """Samples the process. Raises Unavailable without py-spy, or when it may not look."""
    beside = Path(sys.executable).parent / "py-spy"
    program = str(beside) if beside.exists() else which("py-spy")
    if not program:
        raise Unavailable("py-spy is not installed: pip install py-spy")
    command = [program, "record", "--pid", str(pid), "--duration", str(arguments.seconds), "--rate", str(arguments.hz)]
    command += ["--format", arguments.format, "--output", str(output)]
    command += ["--native"] if arguments.native else []
    result = subprocess.run(pinned(LOAD_CORE, command), capture_output=True, text=True, check=False)
    if result.returncode or not output.exists():
        raise Unavailable(f"py-spy failed: {result.stderr.strip()[-300:]}")


def _profile(arguments: argparse.Namespace, output: Path) -> None:
    install_tools()
    subject = Tokenway()
    subject.prepare()
    with upstream() as model, running(subject, model.port) as target:
        content = BODIES[arguments.phase]
        closed_loop(target.port, content, connections=subject.connections, seconds=1)
        load = threading.Thread(
            target=closed_loop,
            args=(target.port, content),
            kwargs={"connections": subject.connections, "seconds": arguments.seconds + 1},
        )
        load.start()
        try:
            _record(target.worker().pid, output, arguments)
        finally:
            load.join()


def main() -> int:
    """Exit 0: profiled, 1: could not."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.flame", description=__doc__)
    parser.add_argument("--phase", choices=sorted(BODIES), default="plain", help="what to send (default plain)")
    parser.add_argument("--seconds", type=int, default=8)
    parser.add_argument("--hz", type=int, default=400, help="samples a second (default 400)")
    parser.add_argument("--native", action="store_true", help="C functions too")
    parser.add_argument("--lines", action="store_true", help="lines instead of functions")
    parser.add_argument("--format", choices=("raw", "flamegraph", "speedscope"), default="raw")
    parser.add_argument("--output", type=Path, help="keep the profile here (raw: printed as a table anyway)")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        output = arguments.output or Path(folder) / "profile"
        if arguments.format != "raw" and not arguments.output:
            parser.error("--format flamegraph and speedscope need --output")
        try:
            _profile(arguments, output)
        except Unavailable as why:
            print(why, file=sys.stderr)
            return 1
        print(
            top(output.read_text(), is_by_line=arguments.lines) if arguments.format == "raw" else f"written to {output}"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
