"""A diagnosis of the installation: one probe per question, each with what to do about the answer.

No probe changes anything, calls a provider or fails with an exception of its own: what it cannot find
out, it says.
"""

from __future__ import annotations

import http.client
import importlib.metadata
import importlib.util
import os
import platform
import re
import resource
import shutil
import socket
import sys
import time
from collections.abc import Iterator, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import msgspec

import tokenway
from tokenway.compose.paths import JOURNALS

PYTHON_MIN: Final = (3, 11)
DISK_FAIL: Final = 100 * 1024 * 1024
DISK_WARN: Final = 1024 * 1024 * 1024
"""Bytes free: the journal of a busy day is of this order, and a full disk refuses new work."""
STREAMS: Final = 2000
FILES_PER_STREAM: Final = 2
FILES_OTHER: Final = 200
"""A stream holds a client's and an upstream's socket; the rest is listeners, journals and the database."""
JOURNAL_WARN: Final = 64 * 1024 * 1024
"""Bytes of journal: the size at which a file is closed and the next begun, so more means nobody reads them."""
PROBE_SECONDS: Final = 2.0


class Level(StrEnum):
    """How a probe went."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


class Probe(msgspec.Struct, frozen=True):
    """One line of the diagnosis; `advice` says what to do and is empty when all is well."""

    name: str
    level: Level
    detail: str
    advice: str = ""


class Listener(msgspec.Struct, frozen=True):
    """An address the gateway would listen on, and the option that moves it."""

    name: str
    base_url: str
    health_path: str
    option: str


def python_probe(version: tuple[int, ...] = sys.version_info[:3]) -> Probe:
    """Whether the interpreter is recent enough."""
    detail = f"{'.'.join(map(str, version))} on {platform.system()} {platform.machine()}"
    if version[:2] < PYTHON_MIN:
        wanted = ".".join(map(str, PYTHON_MIN))
        return Probe("python", Level.FAIL, detail, f"install Python {wanted} or newer")
    return Probe("python", Level.OK, detail)


def packages_probe() -> Probe:
    """Whether every package that the installation asks for is there, with its version."""
    try:
        requirements = importlib.metadata.requires("tokenway") or []
    except importlib.metadata.PackageNotFoundError:
        return Probe("packages", Level.WARN, "tokenway runs from a source tree", "install it with `pip install .`")
    found, missing = [f"tokenway {tokenway.__version__}"], []
    for requirement in requirements:
        name = re.split(r"[^A-Za-z0-9._-]", requirement, maxsplit=1)[0]
        if "extra ==" in requirement or (name == "uvloop" and sys.platform == "win32"):
            continue
        try:
            found.append(f"{name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            missing.append(name)
    if missing:
        return Probe("packages", Level.FAIL, f"missing: {', '.join(missing)}", "run `pip install tokenway` again")
    return Probe("packages", Level.OK, ", ".join(found))


def speed_probe() -> Probe:
    """Whether the event loop and the HTTP parser in C are there: without them everything works, slower."""
    missing = [name for name in ("uvloop", "httptools") if importlib.util.find_spec(name) is None]
    if missing:
        return Probe("speed", Level.WARN, f"{' and '.join(missing)} missing", f"pip install {' '.join(missing)}")
    return Probe("speed", Level.OK, "uvloop and httptools")


def data_probes(data_dir: Path) -> Iterator[Probe]:
    """Whether the data directory can be written, and how much room it has."""
    place = data_dir
    while not place.exists() and place != place.parent:
        place = place.parent
    if not place.is_dir() or not os.access(place, os.W_OK | os.X_OK):
        yield Probe(
            "data directory",
            Level.FAIL,
            f"{data_dir} cannot be written",
            "choose another with --data-dir, or its owner",
        )
    elif place != data_dir:
        yield Probe("data directory", Level.OK, f"{data_dir} (made at the first start)")
    else:
        yield Probe("data directory", Level.OK, str(data_dir))
    free = shutil.disk_usage(place).free
    detail = f"{free // (1024 * 1024):,} MiB free"
    if free < DISK_WARN:
        yield Probe("disk", Level.FAIL if free < DISK_FAIL else Level.WARN, detail, f"make room below {place}")
    else:
        yield Probe("disk", Level.OK, detail)


def listener_probe(listener: Listener) -> Probe:
    """Whether a gateway answers at the address, or the port is free for one."""
    parts = urlsplit(listener.base_url)
    host, port = parts.hostname or "127.0.0.1", parts.port or 80
    name = f"{listener.name} {host}:{port}"
    connection = http.client.HTTPConnection(host, port, timeout=PROBE_SECONDS)
    try:
        connection.request("GET", listener.health_path)
        status = connection.getresponse().status
    except ConnectionRefusedError:
        return _free_port(name, host, port, listener.option)
    except (OSError, http.client.HTTPException) as error:
        detail = f"taken by something that is no gateway ({type(error).__name__})"
        return Probe(name, Level.FAIL, detail, f"stop it, or choose another port with {listener.option}")
    finally:
        connection.close()
    if status == http.client.OK:
        return Probe(name, Level.OK, "a gateway answers")
    detail = f"something answers {status} at {listener.health_path}"
    return Probe(name, Level.FAIL, detail, f"stop it, or choose another port with {listener.option}")


def _free_port(name: str, host: str, port: int, option: str) -> Probe:
    try:
        with socket.create_server((host, port)):
            return Probe(name, Level.OK, "free; no gateway is running here")
    except OSError as error:
        return Probe(name, Level.FAIL, f"cannot listen there ({error.strerror})", f"choose another port with {option}")


def clock_probe(now: float | None = None) -> Probe:
    """Whether the clock is later than the program itself: expiry, budgets and the ledger go by it."""
    seconds = time.time() if now is None else now
    made = Path(tokenway.__file__).stat().st_mtime
    detail = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(seconds))
    if seconds < made:
        return Probe("clock", Level.FAIL, f"{detail}, before this program was installed", "set the clock, e.g. by NTP")
    return Probe("clock", Level.OK, detail)


def files_probe(limits: tuple[int, int] | None = None) -> Probe:
    """Whether the limit of open files has room for 2,000 streams; `limits` are (soft, hard)."""
    soft, hard = limits or resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = STREAMS * FILES_PER_STREAM + FILES_OTHER
    shown = "unlimited" if soft == resource.RLIM_INFINITY else f"{soft:,}"
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return Probe("open files", Level.OK, f"{shown} allowed")
    detail = f"{shown} allowed, {needed:,} needed for {STREAMS:,} streams"
    if hard == resource.RLIM_INFINITY or hard >= needed:
        return Probe("open files", Level.WARN, detail, f"run `ulimit -n {needed}` before `tokenway serve`")
    return Probe("open files", Level.WARN, detail, f"raise the hard limit ({hard:,}) in the service's LimitNOFILE")


def journal_probe(data_dir: Path, ingested: Mapping[str, int] | None) -> Probe:
    """How many bytes of journal wait for the ledger; `ingested` is bytes read by file name, None if unknown."""
    read = ingested or {}
    waiting = 0
    for path in (data_dir / JOURNALS).glob("*.journal"):
        try:
            waiting += max(0, path.stat().st_size - read.get(path.name, 0))
        except FileNotFoundError:
            continue  # deleted by the gateway between the listing and the look: it waits for nobody
    detail = f"{waiting:,} bytes wait for the ledger"
    if waiting > JOURNAL_WARN:
        return Probe("journal", Level.WARN, detail, "start the gateway, which reads them, or see its log for why not")
    return Probe("journal", Level.OK, detail)


def providers_probe(variables: list[str], *, local_works: bool) -> Probe:
    """Which providers' variables are set; names only, never a value."""
    if variables:
        return Probe("providers", Level.OK, f"variables set: {', '.join(variables)}")
    if local_works:
        return Probe("providers", Level.OK, "no provider's variable is set; the local model serves")
    return Probe(
        "providers",
        Level.WARN,
        "no provider's variable is set and the local model is not there",
        "set e.g. OPENAI_API_KEY, or run `tokenway local install`",
    )
