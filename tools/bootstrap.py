"""Installs Tokenway into `.venv` and starts it: what `make run`, `make test` and `make check` begin with.

    bootstrap.py install          what `make run` needs: the gateway and its local engine
    bootstrap.py dev              that, and what the checks and the tests need
    bootstrap.py servers          the database servers that tests start, from the system's packages where it may
    bootstrap.py serve [FLAG...]  install, then become `tokenway serve FLAG...`

It runs on the machine's own Python, before anything is installed, so it uses the standard library only.
What was installed is noted in `.venv` as a digest of the lock and of the project's metadata: as long as
that is the same, nothing is asked of pip again and the start takes a fraction of a second. The package
itself is installed in place, so an edit needs no new installation; its byte code is written here because
the start of a worker counts and PYTHONDONTWRITEBYTECODE may be set.
"""

from __future__ import annotations

import compileall
import contextlib
import ctypes
import hashlib
import importlib
import importlib.util
import io
import json
import os
import shutil
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent
NOTE: Final = "tokenway-installed.json"
OLDEST: Final = (3, 11)
USAGE: Final = "usage: bootstrap.py install | dev | servers | serve [FLAG...]"
OUTPUT_LINES: Final = 20
"""How much of pip's last words is shown when it fails."""
POSTGRES: Final = Path("/usr/lib/postgresql")
"""Where Debian puts PostgreSQL's programs, a folder for each version."""
NO_CLUSTER: Final = Path("/etc/postgresql-common/createcluster.d/tokenway.conf")
NO_START: Final = Path("/usr/sbin/policy-rc.d")


class SetupError(Exception):
    """The installation cannot go on; the message says what to do."""


@dataclass(frozen=True)
class Level:
    """How much is installed: a lock, and how much of it comes over the network at most."""

    name: str
    lock: str
    download_mb: int


RUN: Final = Level("run", "locks/run.txt", 170)
DEV: Final = Level("dev", "locks/dev.txt", 230)


def digest(root: Path, level: Level) -> str:
    """Changes when another installation is due: the lock, or the project's metadata."""
    with (root / "pyproject.toml").open("rb") as file:
        project = tomllib.load(file)
    metadata = {name: project.get(name) for name in ("project", "build-system")}
    metadata["hatch"] = project.get("tool", {}).get("hatch")
    content = json.dumps(metadata, sort_keys=True).encode() + (root / level.lock).read_bytes()
    return hashlib.sha256(content + str(root).encode()).hexdigest()


def installed(venv: Path) -> dict[str, str]:
    """Level to digest, of what `.venv` holds; empty when it is not whole."""
    try:
        note = json.loads((venv / NOTE).read_text(encoding="utf-8"))
    except (FileNotFoundError, json.JSONDecodeError):
        return {}
    # A moved or half-removed environment still has its note; its programs tell.
    whole = (venv / "bin" / "python").exists() and (venv / "bin" / "tokenway").exists()
    return note if whole and isinstance(note, dict) else {}


def is_current(root: Path, level: Level) -> bool:
    """Whether `.venv` already holds the level, or the one that includes it."""
    have = installed(root / ".venv")
    return any(have.get(each.name) == digest(root, each) for each in ({level.name: level, "dev": DEV}).values())


class Steps:
    """Numbered lines of progress."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._done = 0
        self._began = time.monotonic()

    def say(self, text: str) -> None:
        """Begins the next step."""
        self._done += 1
        print(f"[{self._done}/{self._total}] {text}", flush=True)

    def finish(self) -> None:
        """Says how long it all took."""
        print(f"installed in {time.monotonic() - self._began:.0f} s", flush=True)


def call(command: Sequence[str], what: str, environment: Mapping[str, str] | None = None) -> None:
    """Runs a program silently; raises SetupError with its last words when it fails."""
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
        env=environment,
    )  # fmt: skip
    if done.returncode:
        words = "\n".join(done.stdout.splitlines()[-OUTPUT_LINES:])
        raise SetupError(f"{words}\n{what} failed (exit {done.returncode})")


def install_system(packages: Sequence[str]) -> bool:
    """Installs Debian packages when that is possible without asking anybody; False when it is not."""
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        return False
    quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    install = ["apt-get", "install", "-y", "-qq", "--no-install-recommends", *packages]
    call(["apt-get", "update", "-qq"], "apt-get update", quiet)
    call(install, " ".join(install), quiet)
    return True


def needs_openmp() -> bool:
    """Whether the local engine's OpenMP library is missing (slim images leave it out)."""
    if sys.platform != "linux":
        return False
    try:
        ctypes.CDLL("libgomp.so.1")
    except OSError:
        return True
    return False


def prepare_system() -> None:
    """Brings the system libraries; without root it says which, and goes on without the local engine."""
    if needs_openmp() and not install_system(["libgomp1"]):
        print("      libgomp.so.1 is missing: the local engine needs `sudo apt-get install libgomp1`", flush=True)


def missing_servers() -> list[str]:
    """Debian's packages of the servers that tests start, as far as neither they nor others like them are there."""
    missing = []
    if shutil.which("initdb") is None and not any(POSTGRES.glob("*/bin/initdb")):
        missing.append("postgresql")
    if shutil.which("valkey-server") is None and shutil.which("redis-server") is None:
        missing.append("redis-server")
    return missing


@contextlib.contextmanager
def placed(path: Path, text: str) -> Iterator[None]:
    """Has a program in its place meanwhile, where there is none."""
    if path.exists():
        yield
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    path.chmod(0o755)
    try:
        yield
    finally:
        path.unlink()


def prepare_servers() -> None:
    """Brings the servers, and starts none: each test starts its own. Without root it says which are missing."""
    missing = missing_servers()
    if not missing:
        return
    names = " ".join(missing)
    why = ""
    try:
        # Nothing of the system's own runs because of us: no cluster is made, and no service started.
        with placed(NO_CLUSTER, "create_main_cluster = false\n"), placed(NO_START, "#!/bin/sh\nexit 101\n"):
            done = install_system(missing)
    except (SetupError, OSError) as error:
        done, why = False, f"{error}\n"
    if not done:
        print(f"{why}tests that need {names} are skipped: `sudo apt-get install {names}` brings them", flush=True)


def require_venv_module() -> None:
    """Debian splits ensurepip off: installs it as root, else raises SetupError with the command."""
    if importlib.util.find_spec("ensurepip") is not None:
        return
    package = f"python{sys.version_info.major}.{sys.version_info.minor}-venv"
    if install_system([package]):
        importlib.invalidate_caches()
    if importlib.util.find_spec("ensurepip") is None:
        raise SetupError(f"this Python cannot make a virtual environment: run `sudo apt-get install {package}`")


def works(python: Path) -> bool:
    """Whether a virtual environment's Python runs, is new enough and has pip."""
    program = f"import sys, pip; sys.exit(sys.version_info < {OLDEST})"
    if not python.exists():
        return False
    return subprocess.run([str(python), "-c", program], check=False, capture_output=True).returncode == 0


def make_venv(venv: Path) -> None:
    """Makes `.venv` unless there is one that works; raises SetupError."""
    if works(venv / "bin" / "python"):
        return
    require_venv_module()
    call([sys.executable, "-m", "venv", "--clear", str(venv)], "making .venv")


def pip(venv: Path, *arguments: str) -> None:
    """Runs the environment's pip; raises SetupError."""
    environment = {name: value for name, value in os.environ.items() if name not in {"PYTHONPATH", "PYTHONHOME"}}
    options = ["--disable-pip-version-check", "--no-input", "install", "--no-deps", "--quiet", "--progress-bar", "off"]
    command = [str(venv / "bin" / "python"), "-m", "pip", *options, *arguments]
    call(command, f"pip install {' '.join(arguments)}", environment)


def install(root: Path, level: Level) -> None:
    """Makes `.venv` hold the level; raises SetupError."""
    venv = root / ".venv"
    steps = Steps(5)
    (venv / NOTE).unlink(missing_ok=True)
    steps.say("system libraries")
    prepare_system()
    steps.say(f"virtual environment .venv with Python {sys.version.split()[0]}")
    make_venv(venv)
    steps.say(f"packages from {level.lock}, hashes checked (up to {level.download_mb} MB to fetch, once)")
    # A source distribution would compile for minutes; where there is no wheel, say so instead.
    pip(venv, "--require-hashes", "--only-binary", ":all:", "--no-compile", "-r", str(root / level.lock))
    steps.say("Tokenway itself, in place")
    pip(venv, "--no-build-isolation", "--editable", str(root))
    steps.say("byte code")
    # A package may ship a file for another Python; what does not compile is not imported either.
    command = [str(venv / "bin" / "python"), "-m", "compileall", "-q", "-j", "0", str(venv / "lib")]
    subprocess.run(command, check=False, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    note = {level.name: digest(root, level)}
    (venv / NOTE).write_text(json.dumps(note), encoding="utf-8")
    steps.finish()


def compile_sources(root: Path) -> None:
    """Writes the byte code of our own modules where it is missing or old."""
    python = root / ".venv" / "bin" / "python"
    package = str(root / "src")
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    if (root / ".venv" / "lib" / f"python{version}").exists():
        with contextlib.redirect_stdout(io.StringIO()):
            compileall.compile_dir(package, quiet=1)
    else:  # another Python's byte code: let that one write it
        subprocess.run([str(python), "-m", "compileall", "-q", package], check=False, stdout=subprocess.DEVNULL)


def main(arguments: Sequence[str]) -> int:
    """Exit 0 when done, 1 when it failed, 2 on bad usage; `serve` does not return."""
    command, *rest = arguments or [""]
    if command not in {"install", "dev", "servers", "serve"} or (rest and command != "serve"):
        print(USAGE, file=sys.stderr)
        return 2
    if command == "servers":
        prepare_servers()
        return 0
    level = DEV if command == "dev" else RUN
    try:
        if not is_current(ROOT, level):
            install(ROOT, level)
    except SetupError as error:
        print(f"tokenway: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\ntokenway: interrupted; run the same command again to go on", file=sys.stderr)
        return 1
    compile_sources(ROOT)
    if command == "serve":
        program = str(ROOT / ".venv" / "bin" / "tokenway")
        os.execv(program, [program, "serve", *rest])
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
