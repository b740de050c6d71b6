"""What the suite needs of the machine: processes pinned to a core, their CPU time and memory, free ports.

Linux only: everything is read from /proc.
"""

from __future__ import annotations

import contextlib
import os
import platform
import socket
import subprocess
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from shutil import which

SUBJECT_CORE = 0
LOAD_CORE = 1
TICKS = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tokenway-bench"
"""Built programs and the peers' environments; outside the repository, kept between runs."""


class Unavailable(Exception):
    """A subject or a tool cannot be had here; the message says why, for the report."""


def _stat(pid: int) -> list[str]:
    """The fields of /proc/PID/stat from the third on (the second may hold blanks)."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def tree(root: int) -> list[int]:
    """The process and all its living descendants."""
    found = [root]
    for pid in found:
        with contextlib.suppress(OSError):
            for task in Path(f"/proc/{pid}/task").iterdir():
                found.extend(int(child) for child in (task / "children").read_text().split())
    return found


def cpu_seconds(root: int, *, is_alone: bool = False) -> float:
    """User and system time of the process tree (or of the one process) so far, reaped children included."""
    ticks = 0
    for pid in [root] if is_alone else tree(root):
        with contextlib.suppress(OSError):
            ticks += sum(int(field) for field in _stat(pid)[11:15])
    return ticks / TICKS


def core_seconds(core: int) -> tuple[float, float]:
    """Since boot: time the core was busy, whoever used it, and time the hypervisor gave it to other machines."""
    for line in Path("/proc/stat").read_text().splitlines():
        name, *fields = line.split()
        if name == f"cpu{core}":
            user, nice, system, _idle, _wait, irq, softirq, steal = (int(field) for field in fields[:8])
            return (user + nice + system + irq + softirq) / TICKS, steal / TICKS
    raise Unavailable(f"core {core} is not in /proc/stat")


@dataclass(frozen=True)
class Memory:
    """Resident bytes of one process; `private` leaves out pages shared with others."""

    pid: int
    command: str
    resident: int
    private: int


def memory(root: int) -> list[Memory]:
    """Memory of each process of the tree, the root first."""
    found = []
    for pid in tree(root):
        with contextlib.suppress(OSError):
            lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
            sizes = {line.split(":")[0]: int(line.split()[1]) * 1024 for line in lines}
            command = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            private = sizes["Private_Clean"] + sizes["Private_Dirty"]
            found.append(Memory(pid, command.strip()[:200], sizes["Rss"], private))
    return found


def free_port() -> int:
    """A TCP port of loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def pinned(core: int, command: list[str]) -> list[str]:
    """The command, bound to one core."""
    return ["taskset", "-c", str(core), *command]


@contextlib.contextmanager
def realtime(roots: Iterable[int]) -> Iterator[None]:
    """Lets these process trees run ahead of everything ordinary, each thread of them. Root only.

    For a machine that others use too: without it a woken server waits for milliseconds behind whatever runs on its
    core, finds its caches cold, and what is measured is theirs. They stand still meanwhile, so phases should be short.
    """

    def set_all(policy: int, priority: int) -> None:
        for pid in {pid for root in roots for pid in tree(root)}:
            with contextlib.suppress(OSError):
                for task in Path(f"/proc/{pid}/task").iterdir():
                    os.sched_setscheduler(int(task.name), policy, os.sched_param(priority))

    set_all(os.SCHED_RR, 1)
    try:
        yield
    finally:
        set_all(os.SCHED_OTHER, 0)


def stop(process: subprocess.Popen[bytes], wait_s: float = 8.0) -> None:
    """Ends a process and what is left of its tree."""
    pids = tree(process.pid)
    process.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(wait_s)
    for pid in pids:
        if pid != process.pid or process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, 9)
    process.wait()


def build(source: Path) -> Path:
    """Compiles a C program into the cache, once per version of its source.

    Raises Unavailable without a compiler.
    """
    program = CACHE / "bin" / source.stem
    if program.exists() and program.stat().st_mtime >= source.stat().st_mtime:
        return program
    program.parent.mkdir(parents=True, exist_ok=True)
    command = ["cc", "-O2", "-Wall", "-Wextra", "-std=gnu11", "-o", str(program), str(source)]
    try:
        result = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise Unavailable("no C compiler: install gcc (apt-get install gcc libc6-dev)") from None
    if result.returncode:
        raise Unavailable(f"{source.name} does not compile: {result.stderr[:400]}")
    return program


def install_tools() -> None:
    """Brings wrk, nginx and a C compiler from the distribution when they are missing and we may.

    Raises Unavailable with the command to type otherwise.
    """
    missing = [
        package for package, program in (("wrk", "wrk"), ("nginx", "nginx"), ("gcc", "cc")) if not which(program)
    ]
    if not missing:
        return
    command = ["apt-get", "install", "-y", "--no-install-recommends", *missing]
    if os.geteuid() or not which("apt-get"):
        raise Unavailable(f"missing programs; run: {' '.join(command)}")
    print(f"installing {', '.join(missing)}", flush=True)
    subprocess.run(["apt-get", "update", "-q"], capture_output=True, check=False)
    if subprocess.run(command, capture_output=True, check=False).returncode:
        raise Unavailable(f"this failed: {' '.join(command)}")


def describe() -> dict[str, str]:
    """What a reader must know of the machine to judge the figures."""
    model = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        platform.machine(),
    )
    total = Path("/proc/meminfo").read_text().split()[1]
    return {
        "processor": model,
        "cores": str(os.cpu_count()),
        "memory_gib": f"{int(total) / 2**20:.0f}",
        "kernel": platform.release(),
        "python": platform.python_version(),
        "load_average": " ".join(Path("/proc/loadavg").read_text().split()[:3]),
        "date": time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime()),
    }
