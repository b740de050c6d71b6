"""`tokenway.compose.local_status`: what is said of the local engine, without loading it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tokenway.compose import local_status as module
from tokenway.compose.local_status import install_local, local_status
from tokenway.local.models import CHAT_WEIGHTS, WeightFile, file_sha256
from tokenway.model.settings import ProviderSettings, Settings


@pytest.fixture
def complete(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine that lacks nothing: small files stand for both weights; the file of the chat model."""
    path = tmp_path / "weights.gguf"
    path.write_bytes(b"GGUF and more")
    small = replace(CHAT_WEIGHTS, size=path.stat().st_size, sha256=file_sha256(path))

    def locate(_: WeightFile) -> Path:
        return path

    monkeypatch.setattr(module, "CHAT_WEIGHTS", small)
    monkeypatch.setattr(module, "EMBED_WEIGHTS", small)
    monkeypatch.setattr(module, "locate", locate)
    monkeypatch.setattr(module, "probe", lambda _: [])
    monkeypatch.setattr(module, "missing", lambda _: [])
    return path


def test_a_machine_that_lacks_nothing_works(complete: Path) -> None:
    """Both built-in models would be served."""
    assert local_status(Settings()) == (True, ("local", "local-embed"), ())


def test_further_models_of_the_configuration_are_listed(complete: Path) -> None:
    """A GGUF file under `providers.local.models` is a model like the built-in ones."""
    settings = Settings(providers={"local": ProviderSettings(models={"mine": "/models/mine.gguf"})})
    assert local_status(settings).models == ("local", "local-embed", "mine")


def test_weights_of_the_right_size_and_wrong_content_are_found(complete: Path) -> None:
    """The hash is checked, not only the size, and the sentence says how to repair it."""
    complete.write_bytes(b"GGUF and mole")
    found = local_status(Settings())
    assert not found.works
    assert "`tokenway local install`" in found.problems[0]


def test_what_machine_and_packages_lack_is_one_list(complete: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sentences of the machine come first, then those about packages."""
    monkeypatch.setattr(module, "probe", lambda _: ["No libgomp."])
    monkeypatch.setattr(module, "missing", lambda _: ["No runtime."])
    assert local_status(Settings()).problems == ("No libgomp.", "No runtime.")


def test_installing_tells_and_returns_the_status(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the installer says is passed on."""
    said: list[str] = []
    monkeypatch.setattr(module, "install", lambda say: say("Done.") or 0)
    assert install_local(said.append) == 0
    assert said == ["Done."]
