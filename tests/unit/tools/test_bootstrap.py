"""The installation behind `make run`, on small projects of its own and without a network."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tools import bootstrap
from tools.bootstrap import DEV, NOTE, RUN, SetupError
from tools.tree import ROOT

PROJECT = """
[project]
name = "tokenway"
version = "1"
dependencies = []
[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]
"""

# A build backend in one file: an installation in place is a wheel with a path and a script.
BACKEND = """
import pathlib, zipfile

def prepare_metadata_for_build_editable(folder, settings=None):
    info = pathlib.Path(folder) / "tokenway-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\\nName: tokenway\\nVersion: 1\\n")
    return info.name

def build_editable(folder, settings=None, metadata=None):
    name = "tokenway-1-py3-none-any.whl"
    info = "tokenway-1.dist-info/"
    with zipfile.ZipFile(pathlib.Path(folder) / name, "w") as wheel:
        wheel.writestr("tokenway.pth", str(pathlib.Path("src").resolve()))
        wheel.writestr(info + "METADATA", "Metadata-Version: 2.1\\nName: tokenway\\nVersion: 1\\n")
        wheel.writestr(info + "WHEEL", "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
        wheel.writestr(info + "entry_points.txt", "[console_scripts]\\ntokenway = tokenway.main:main\\n")
        wheel.writestr(info + "RECORD", "")
    return name
"""

MAIN = """
import sys
import dependency

def main():
    print("serving", sys.argv[1:], dependency.__cached__.endswith(".pyc"))
"""


def write(path: Path, text: str) -> None:
    """Writes a file and the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def make_wheel(folder: Path) -> str:
    """A package with one module; returns the hash of its file."""
    folder.mkdir()
    path = folder / "dependency-1.0-py3-none-any.whl"
    info = "dependency-1.0.dist-info/"
    with zipfile.ZipFile(path, "w") as wheel:
        wheel.writestr("dependency.py", "VALUE = 1\n")
        wheel.writestr(info + "METADATA", "Metadata-Version: 2.1\nName: dependency\nVersion: 1.0\n")
        wheel.writestr(info + "WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(info + "RECORD", "")
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A repository of the same form as ours, with one dependency that lies in a folder."""
    root = tmp_path / "repository"
    digest = make_wheel(tmp_path / "wheels")
    write(root / "pyproject.toml", PROJECT)
    write(root / "backend.py", BACKEND)
    write(root / "src/tokenway/__init__.py", "")
    write(root / "src/tokenway/main.py", MAIN)
    for level in (RUN, DEV):
        write(root / level.lock, f"dependency==1.0 --hash=sha256:{digest}\n")
    (root / "tools").mkdir()
    shutil.copyfile(ROOT / "tools/bootstrap.py", root / "tools/bootstrap.py")
    return root


def run(project: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The bootstrap of that project, with no index and no byte code written by accident."""
    environment = {
        **os.environ,
        "PIP_NO_INDEX": "1",
        "PIP_FIND_LINKS": str(project.parent / "wheels"),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    command = [sys.executable, str(project / "tools/bootstrap.py"), *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def fake_venv(root: Path, note: str) -> None:
    """An environment that looks installed, with that note."""
    for name in ("bin/python", "bin/tokenway"):
        write(root / ".venv" / name, "")
    write(root / ".venv" / NOTE, note)


@pytest.mark.slow
def test_it_installs_once_and_becomes_the_program(project: Path) -> None:
    """A file with another hash is refused; the next call installs and serves, and the one after serves at once."""
    lock = (project / RUN.lock).read_text(encoding="utf-8")
    write(project / RUN.lock, f"dependency==1.0 --hash=sha256:{'0' * 64}\n")
    refused = run(project, "serve")

    assert refused.returncode == 1
    assert "HASH" in refused.stderr.upper()
    assert "serving" not in refused.stdout
    assert not (project / ".venv" / NOTE).exists()

    write(project / RUN.lock, lock)
    first = run(project, "serve", "--port", "9")
    second = run(project, "serve")

    assert first.returncode == 0, first.stderr
    assert first.stdout.splitlines()[0].startswith("[1/5]")
    assert first.stdout.splitlines()[-1] == "serving ['serve', '--port', '9'] True"
    assert second.stdout == "serving ['serve'] True\n"
    assert list((project / ".venv").rglob("dependency.*.pyc"))
    assert list((project / "src").rglob("main.*.pyc"))


@pytest.mark.parametrize("arguments", [[], ["nonsense"], ["dev", "--port"]])
def test_bad_usage_is_answered_with_the_usage(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Unknown words change nothing and exit with 2."""
    assert bootstrap.main(arguments) == 2
    assert capsys.readouterr().err == bootstrap.USAGE + "\n"


def test_the_digest_follows_what_is_installed(project: Path) -> None:
    """Another lock or other metadata is another installation; a linter's setting is not."""
    before = bootstrap.digest(project, RUN)
    with (project / "pyproject.toml").open("a", encoding="utf-8") as file:
        file.write("[tool.ruff]\nline-length = 100\n")
    assert bootstrap.digest(project, RUN) == before

    write(project / RUN.lock, "dependency==1.1\n")
    assert bootstrap.digest(project, RUN) != before

    changed = bootstrap.digest(project, RUN)
    write(project / "pyproject.toml", PROJECT.replace("dependencies = []", 'dependencies = ["dependency"]'))
    assert bootstrap.digest(project, RUN) != changed


def test_what_development_installed_serves_for_running(project: Path) -> None:
    """The dev level includes the run level, not the other way round."""
    fake_venv(project, json.dumps({"dev": bootstrap.digest(project, DEV)}))
    assert bootstrap.is_current(project, RUN)
    assert bootstrap.is_current(project, DEV)

    fake_venv(project, json.dumps({"run": bootstrap.digest(project, RUN)}))
    assert bootstrap.is_current(project, RUN)
    assert not bootstrap.is_current(project, DEV)


@pytest.mark.parametrize("note", ["", "{", "[]", "{}"])
def test_a_broken_note_means_not_installed(project: Path, note: str) -> None:
    """An interrupted write never counts as an installation."""
    fake_venv(project, note)

    assert not bootstrap.is_current(project, RUN)


def test_an_environment_without_its_programs_is_not_installed(project: Path) -> None:
    """A note that outlived the environment does not count."""
    fake_venv(project, json.dumps({"run": bootstrap.digest(project, RUN)}))
    (project / ".venv/bin/tokenway").unlink()

    assert bootstrap.installed(project / ".venv") == {}


def test_a_program_that_fails_is_quoted() -> None:
    """The error ends with what failed, after the program's last words."""
    with pytest.raises(SetupError, match=r"(?s)^last words\nthe work failed \(exit 3\)$"):
        bootstrap.call([sys.executable, "-c", "print('last words'); raise SystemExit(3)"], "the work")


def test_only_a_python_that_runs_works(tmp_path: Path) -> None:
    """An absent file and a program that fails are no Python."""
    write(tmp_path / "broken", "#!/bin/sh\nexit 1\n")
    (tmp_path / "broken").chmod(0o755)

    assert not bootstrap.works(tmp_path / "absent")
    assert not bootstrap.works(tmp_path / "broken")


def test_without_a_package_manager_nothing_is_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where apt-get is not on the PATH, the caller is told that it could not be done."""
    monkeypatch.setenv("PATH", str(tmp_path))

    assert bootstrap.install_system(["anything"]) is False


def test_a_python_without_ensurepip_is_explained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where Debian left the module out and it cannot be installed, the command to run is named."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)

    with pytest.raises(SetupError, match=r"apt-get install python3\.\d+-venv"):
        bootstrap.require_venv_module()


def test_a_missing_openmp_is_named_and_does_not_stop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without the library and without the right to install it, the gateway is installed all the same."""

    def absent(name: str) -> None:
        raise OSError(name)

    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setattr("ctypes.CDLL", absent)

    bootstrap.prepare_system()

    assert "apt-get install libgomp1" in capsys.readouterr().out


def test_missing_servers_are_installed_and_none_is_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While the packages come, the system is told to make no cluster and to start no service, and only then."""
    conf, policy = tmp_path / "createcluster.d" / "tokenway.conf", tmp_path / "policy-rc.d"
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(bootstrap, "POSTGRES", tmp_path / "postgresql")
    monkeypatch.setattr(bootstrap, "NO_CLUSTER", conf)
    monkeypatch.setattr(bootstrap, "NO_START", policy)
    asked = []

    def install(packages: list[str]) -> bool:
        asked.append(packages)
        assert conf.read_text() == "create_main_cluster = false\n"
        assert subprocess.run([str(policy)], check=False).returncode == 101
        return True

    monkeypatch.setattr(bootstrap, "install_system", install)
    assert bootstrap.main(["servers"]) == 0
    assert asked == [["postgresql", "redis-server"]]
    assert not conf.exists()
    assert not policy.exists()

    # A rule of the system's own is left as it is.
    policy.write_text("#!/bin/sh\nexit 101\n")
    policy.chmod(0o755)
    bootstrap.prepare_servers()
    assert policy.exists()

    # What is there is not asked for.
    (tmp_path / "postgresql" / "15" / "bin").mkdir(parents=True)
    (tmp_path / "postgresql" / "15" / "bin" / "initdb").touch()
    bootstrap.prepare_servers()
    assert asked[2:] == [["redis-server"]]
    (tmp_path / "valkey-server").touch(mode=0o755)
    bootstrap.prepare_servers()
    assert len(asked) == 3


def test_servers_that_cannot_be_had_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """And the tests go on without them, also when the package manager fails."""

    def fails(packages: list[str]) -> bool:
        raise SetupError("no network")

    monkeypatch.setattr(bootstrap, "missing_servers", lambda: ["postgresql"])
    monkeypatch.setattr(bootstrap, "NO_CLUSTER", tmp_path / "a")
    monkeypatch.setattr(bootstrap, "NO_START", tmp_path / "b")
    for install in (lambda _packages: False, fails):
        monkeypatch.setattr(bootstrap, "install_system", install)
        assert bootstrap.main(["servers"]) == 0
        assert "tests that need postgresql are skipped: `sudo apt-get install postgresql`" in capsys.readouterr().out


def test_the_finder_prints_a_python_that_is_new_enough(tmp_path: Path) -> None:
    """The shell script skips an old python3 and takes the next name; with none it says what to install."""
    shell = shutil.which("sh")
    assert shell is not None
    script = [shell, str(ROOT / "tools/find_python.sh")]
    write(tmp_path / "python3", "#!/bin/sh\nexit 1\n")
    (tmp_path / "python3").chmod(0o755)
    old_only = subprocess.run(script, env={"PATH": str(tmp_path)}, capture_output=True, text=True, check=False)
    (tmp_path / "python3.12").symlink_to(sys.executable)
    both = subprocess.run(script, env={"PATH": str(tmp_path)}, capture_output=True, text=True, check=False)

    assert old_only.returncode == 1
    assert "Python 3.11 or newer" in old_only.stderr
    assert both.stdout.strip() == str(tmp_path / "python3.12")
