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
import ssl
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import msgspec

import tokenway
from tokenway.compose.addresses import control_url, public_url
from tokenway.compose.diagnosis import Level, Probe
from tokenway.compose.local_status import local_status
from tokenway.compose.paths import JOURNALS, read_credentials
from tokenway.compose.server_probes import database_probes, shared_probes
from tokenway.compose.stores import database_path, open_store
from tokenway.control.config import Loaded, find_config, load, store_url
from tokenway.control.findings import Severity
from tokenway.dialects.providers import KNOWN
from tokenway.model.errors import TokenwayError
from tokenway.model.settings import LOCAL_PROVIDER, Settings
from tokenway.store.journal import JournalFault, JournalReader, journal_files

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
_ANSWERS: Final = "a gateway answers"


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
    host, port = parts.hostname or "127.0.0.1", parts.port or 0
    name = f"{listener.name} {host}:{port}"
    if port == 0:
        return Probe(name, Level.OK, "the system chooses a port at the start")
    connection = _connection(parts.scheme, host, port)
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
        return Probe(name, Level.OK, _ANSWERS)
    detail = f"something answers {status} at {listener.health_path}"
    return Probe(name, Level.FAIL, detail, f"stop it, or choose another port with {listener.option}")


def _connection(scheme: str, host: str, port: int) -> http.client.HTTPConnection:
    if scheme == "http":
        return http.client.HTTPConnection(host, port, timeout=PROBE_SECONDS)
    # The question is whether a gateway answers, not whether its certificate is for this address; no key is sent.
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return http.client.HTTPSConnection(host, port, timeout=PROBE_SECONDS, context=context)


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


def journal_probe(data_dir: Path, ingested: Callable[[str], int] = lambda _: 0) -> Probe:
    """How many bytes of journal wait for the ledger; `ingested` says how many of a journal it has."""
    waiting = 0
    for path in journal_files(data_dir / JOURNALS):
        try:
            reader = JournalReader(path)
        except FileNotFoundError:
            continue  # deleted by the gateway between the listing and the look: it waits for nobody
        except (OSError, JournalFault) as error:
            return Probe(
                "journal", Level.FAIL, f"{path} cannot be read ({error})", "run as its owner, or upgrade tokenway"
            )
        reader.offset = max(reader.offset, ingested(reader.identity))
        waiting += reader.backlog
        reader.close()
    detail = f"{waiting:,} bytes wait for the ledger"
    if waiting > JOURNAL_WARN:
        return Probe("journal", Level.WARN, detail, "start the gateway, which reads them, or see its log for why not")
    return Probe("journal", Level.OK, detail)


def configuration_probe(loaded: Loaded) -> Probe:
    """Whether the configuration can be used, with the first thing that is wrong with it."""
    source = str(loaded.path) if loaded.path else "no file; defaults and environment"
    serious = [finding for finding in loaded.findings if finding.severity is not Severity.NOTE]
    if not serious:
        return Probe("configuration", Level.OK, source)
    level = Level.FAIL if loaded.settings is None else Level.WARN
    return Probe("configuration", level, str(serious[0]), "`tokenway check` lists everything")


def local_probe(problems: Sequence[str], *, is_off: bool = False) -> Probe:
    """Whether the local model can run; it is optional, so what it lacks is a warning."""
    if is_off:
        return Probe("local engine", Level.OK, "switched off in the configuration")
    if problems:
        return Probe(
            "local engine",
            Level.WARN,
            problems[0].removesuffix("."),
            "`tokenway local status` lists everything it lacks",
        )
    return Probe("local engine", Level.OK, "can run on this machine")


def providers_probe(variables: Sequence[str], configured: Sequence[str], *, local_works: bool) -> Probe:
    """Which providers' variables are set and which providers are configured; names only, never a value."""
    found = []
    if variables:
        found.append(f"variables set: {', '.join(variables)}")
    if configured:
        found.append(f"configured: {', '.join(configured)}")
    if found:
        return Probe("providers", Level.OK, "; ".join(found))
    if local_works:
        return Probe("providers", Level.OK, "no provider's variable is set; the local model serves")
    return Probe(
        "providers",
        Level.WARN,
        "no provider's variable is set and the local model is not there",
        "set e.g. OPENAI_API_KEY, or run `tokenway local install`",
    )


def variable_probes(loaded: Loaded) -> Iterator[Probe]:
    """What there is to know about providers' variables that are set, as `tokenway check` notes it."""
    for finding in loaded.findings:
        if finding.severity is Severity.NOTE and finding.file.startswith("$"):
            yield Probe("providers", Level.OK, f"{finding.file} is set: {finding.reason}")


def diagnose(config: Path | None, data_dir: Path, environment: Mapping[str, str]) -> list[Probe]:
    """Every probe of this installation, in the order in which one would mend them."""
    loaded = load(find_config(config, environment), environment)
    settings = loaded.settings or Settings()
    local = local_status(settings)
    is_off = settings.is_off(LOCAL_PROVIDER)
    configured = sorted(name for name in settings.providers if not settings.is_off(name))
    variables = [name for row in KNOWN.values() for name in row.key_variables if environment.get(name)]
    return [
        python_probe(),
        packages_probe(),
        speed_probe(),
        *data_probes(data_dir),
        files_probe(),
        clock_probe(),
        configuration_probe(loaded),
        listener_probe(Listener("public port", public_url(settings.server), "/health/live", "--port")),
        listener_probe(Listener("control port", control_url(settings.server), "/metrics", "--control-port")),
        *started_elsewhere_probe(data_dir, public_url(settings.server)),
        local_probe(local.problems, is_off=is_off),
        providers_probe(variables, configured, local_works=local.works and not is_off),
        *variable_probes(loaded),
        *_store_probes(settings, data_dir),
        *(() if settings.shared is None else shared_probes(settings.shared)),
    ]


def started_elsewhere_probe(data_dir: Path, configured: str) -> Iterator[Probe]:
    """The gateway of this data directory, where flags have given it another address than the configuration."""
    try:
        credentials = read_credentials(data_dir)
    except TokenwayError:
        return  # whoever needs them says what is wrong
    if credentials is None or credentials.base_url in {"", configured}:
        return
    probe = listener_probe(Listener("gateway", credentials.base_url, "/health/live", "--port"))
    if probe.detail == _ANSWERS:
        yield probe


def _store_probes(settings: Settings, data_dir: Path) -> Iterator[Probe]:
    path = database_path(settings, data_dir)
    if path is None:
        yield from database_probes(store_url(settings, data_dir), lambda ingested: journal_probe(data_dir, ingested))
        return
    if not path.exists():
        yield journal_probe(data_dir)
        return
    try:
        store = open_store(settings, data_dir, makes=False)
    except TokenwayError as error:
        yield Probe("database", Level.FAIL, str(error), "run as its owner, or name another with --data-dir")
        return
    try:
        yield journal_probe(data_dir, store.ledger.offset)
    finally:
        store.close()
