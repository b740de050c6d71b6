"""What this machine must have before the runtime may be loaded, asked without loading it.

The runtime's x86 build uses instructions that an older processor does not have; there the process would be
killed by the kernel instead of getting an error. So the processor's flags are read first.
"""

from __future__ import annotations

import ctypes.util
import platform
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

REQUIRED_FLAGS = ("avx2", "fma", "f16c", "bmi2")
X86 = ("x86_64", "amd64")
ARM = ("aarch64", "arm64")
CPUINFO = Path("/proc/cpuinfo")


@dataclass(frozen=True, slots=True)
class Machine:
    """What the probe looks at. `cpuinfo` is the text of /proc/cpuinfo, empty where there is none."""

    system: str
    architecture: str
    cpuinfo: str
    find_library: Callable[[str], str | None]
    is_musl: bool = False

    @classmethod
    def this(cls) -> Machine:
        """The machine this process runs on."""
        try:
            cpuinfo = CPUINFO.read_text(errors="replace")
        except OSError:
            cpuinfo = ""  # not Linux, or a sandbox without /proc
        return cls(
            system=sys.platform,
            architecture=platform.machine().lower(),
            cpuinfo=cpuinfo,
            find_library=ctypes.util.find_library,
            is_musl=sys.platform == "linux" and bool(list(Path("/lib").glob("ld-musl-*"))),
        )


def probe(machine: Machine) -> list[str]:
    """What is missing, one sentence each that also says what to do; empty when the runtime can be loaded."""
    lacks: list[str] = []
    if machine.system not in ("linux", "darwin"):
        lacks.append(f"The local engine runs on Linux and macOS, not on {machine.system}: configure a provider.")
        return lacks
    if machine.architecture not in X86 + ARM:
        lacks.append(
            f"The local engine has no build for {machine.architecture} processors: configure a provider instead."
        )
        return lacks
    if machine.is_musl:
        lacks.append(
            "The local engine has no build for musl systems such as Alpine: use an image based on Debian or Ubuntu."
        )
    if machine.system == "linux":
        if machine.architecture in X86:
            lacks.extend(_missing_flags(machine.cpuinfo))
        if machine.find_library("gomp") is None:
            lacks.append(
                "The system library libgomp.so.1 is not installed: install it, on Debian and Ubuntu with "
                "`apt-get install libgomp1`."
            )
    return lacks


def _missing_flags(cpuinfo: str) -> list[str]:
    line = next((line for line in cpuinfo.splitlines() if line.startswith("flags")), None)
    if line is None:
        return []  # unknown is not missing; the supervisor understands it if the processor refuses
    have = set(line.partition(":")[2].split())
    lacks = [flag for flag in REQUIRED_FLAGS if flag not in have]
    if not lacks:
        return []
    sentence = (
        f"This processor lacks {', '.join(lacks)}, which the local engine needs: run it on a processor with AVX2 "
        "(x86 since about 2013, in virtual machines with the host's CPU model), or configure a provider."
    )
    return [sentence]
